"""An asyncio event loop in virtual time: nothing waits, the clock jumps to the next timer."""

import asyncio
import selectors
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio


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


def run(name: str, main: Callable[[], Awaitable[Any]]) -> Any:
    """Run a program on an event loop in virtual time, where a test is in none of its own."""
    if name == "asyncio":
        return anyio.run(main, backend_options={"loop_factory": VirtualLoop})
    import trio.testing  # anyio.run drops the clock in its old versions

    return trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
