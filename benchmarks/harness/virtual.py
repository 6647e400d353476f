"""An event loop in virtual time: nothing waits, the clock jumps to the next timer.

So retries and queues are measured with the waits that they have in earnest, and only what the
processor does is paid for.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


_TICK = 1e-9
"""What a turn of the loop takes at least: a timer may be due a rounding error from now."""


class _Jumping(selectors.DefaultSelector):
    def __init__(self, loop: "VirtualLoop") -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("nothing is scheduled: the benchmark would hang")
        self._loop.now += max(timeout, _TICK)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """For what opens no sockets: it never looks whether one is ready."""

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Return the loop's own time."""
        return self.now


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Run to its end in virtual time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


class ServerTime:
    """The server's wall clock, which runs with the event loop's, virtual or not."""

    EPOCH = 1_700_000_000.0

    def __call__(self) -> float:
        """Return Unix seconds."""
        return self.EPOCH + asyncio.get_running_loop().time()
