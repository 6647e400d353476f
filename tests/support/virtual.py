"""An asyncio event loop in virtual time: nothing waits, the clock jumps to the next timer."""

import asyncio
import selectors
from collections.abc import Mapping
from typing import Any


class _JumpingSelector(selectors.DefaultSelector):
    """Instead of waiting for a timer, say how long it would have taken."""

    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise RuntimeError("nothing is scheduled: the test would hang")
        self._loop.jump(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """``asyncio.run(main(), loop_factory=VirtualLoop)``: hours pass in microseconds."""

    def __init__(self) -> None:
        super().__init__(_JumpingSelector(self))
        self._now = 1000.0

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float) -> None:
        self._now += max(seconds, 1e-9)


def backend(name: str) -> tuple[str, Mapping[str, Any]]:
    """Return anyio's backend and options for a test in virtual time."""
    if name == "asyncio":
        return name, {"loop_factory": VirtualLoop}
    import trio.testing  # by hand: the marker of a test on asyncio needs no Trio

    return name, {"clock": trio.testing.MockClock(autojump_threshold=0)}
