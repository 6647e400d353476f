"""An asyncio event loop in virtual time: nothing waits, the clock jumps to the next timer."""

import asyncio
import selectors
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer, say how long it would have taken."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        """Return what is ready; if nothing is, it is later."""
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("nothing is scheduled: the program would hang")
        self._loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """``asyncio.Runner(loop_factory=VirtualLoop)``: hours pass in microseconds."""

    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))
        self._now = 1000.0

    def time(self) -> float:
        """Return the virtual time, in seconds."""
        return self._now

    def jump(self, seconds: float) -> None:
        """Be so much later."""
        self._now += max(seconds, 1e-9)
