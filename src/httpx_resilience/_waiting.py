"""Where a call waits: until another one wakes it, until a time, or until the transport is closed.

An ``anyio.Event`` would do; on asyncio it takes 1.3 kB and four frames a call, ten times as much
as the bare future that it comes down to, and thousands of calls may wait.
"""

from collections.abc import Awaitable
from typing import Any

import anyio

from ._clock import running_loop, scope_until


class Lifetime:
    """One opening of a transport, until it is closed; a call belongs to the one it began in.

    Attributes:
        is_closed: Whether it is over: its calls send nothing more.
    """

    __slots__ = ("is_closed",)

    def __init__(self) -> None:
        self.is_closed = False


def new_place() -> Any:
    """Return a place to wait at: a future of the running asyncio loop, on Trio an event."""
    loop: Any = running_loop()
    return loop.create_future() if hasattr(loop, "create_future") else anyio.Event()


def woken(place: Any) -> Awaitable[None]:
    """Return what to await until somebody wakes whoever waits at a place."""
    waited: Awaitable[None] = place.wait() if isinstance(place, anyio.Event) else place
    return waited


async def rest(until: float, waiting: set[Any]) -> None:
    """Wait until a time of the running loop's clock, or until somebody wakes all who wait.

    Does what ``asyncio.sleep`` or ``trio.sleep_until`` do, at the same cost.

    Args:
        until: The time; one that is past lets others run.
        waiting: Holds the place while it is waited at.
    """
    place = new_place()
    waiting.add(place)
    try:
        if isinstance(place, anyio.Event):
            with scope_until(until):
                await place.wait()
        else:
            timer = place.get_loop().call_at(until, wake, place)
            try:
                await place
            finally:
                timer.cancel()
    finally:
        waiting.discard(place)


def is_running(loop: Any) -> bool:
    """Tell whether an event loop, asyncio's or Trio's, still runs, be it in another thread.

    Args:
        loop: What ``running_loop`` returned in it.
    """
    if hasattr(loop, "is_running"):
        return bool(loop.is_running())
    try:
        loop.run_sync_soon(_nothing)
    except Exception:  # noqa: BLE001 - trio.RunFinishedError; Trio may not be importable any more
        return False
    return True


def _nothing() -> None:
    """Do nothing: what a loop is asked for to see whether it runs."""


def wake(place: Any) -> None:
    """Wake whoever waits at a place; one that was woken already, or gave up, is left alone."""
    if isinstance(place, anyio.Event):
        place.set()
    elif not place.done():
        place.set_result(None)
