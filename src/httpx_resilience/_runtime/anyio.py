"""The event loop that runs: its clock, and what ends a wait or makes one; asyncio's or Trio's.

anyio asks at every step which loop runs: for ``anyio.current_time`` that takes 3 µs, and a call
needs the time thrice; 1 µs for a cancel scope, 3 µs for ``anyio.sleep_until``. So a transport asks
once, and keeps the ``Runtime`` for as long as the same loop runs. asyncio is not imported here,
which would cost programs on Trio, and imports, a tenth of importing httpx: where one of its loops
runs, it is there.

Trio is imported by httpx wherever it is installed, whatever its version. So nothing is asked of it
but by its own loops: whether one runs is what Trio reports to sniffio, which anyio and httpx
ask as well.
"""

import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any

import anyio

from . import instant

_modules = sys.modules


def new_lock() -> "anyio.Lock":
    """Return a lock for the tasks of one event loop."""
    return anyio.Lock()


def within(seconds: float | None, *, shield: bool = False) -> "anyio.CancelScope":
    """Return a cancel scope that ends after so many seconds; never, for None."""
    return anyio.move_on_after(seconds, shield=shield)


def current_time() -> float:
    """Return the time of the running event loop's clock."""
    return anyio.current_time()


def scope_until(deadline: float) -> "anyio.CancelScope":
    """Return a cancel scope that ends at a time of the running event loop's clock."""
    return anyio.CancelScope(deadline=deadline)


async def raise_if_cancelled() -> None:
    """End here if that was asked for; else let others run."""
    await anyio.sleep(0)  # noqa: ASYNC115 - anyio.lowlevel is one more module to import


class Cancellations:
    """Notices a cancellation of the running asyncio task that a library swallowed.

    Up to Python 3.11 ``asyncio.wait_for`` swallows one that comes when it is done (bpo-37658).
    """

    __slots__ = ("_before", "_task")

    def __init__(self) -> None:
        self._task: Any = _modules["asyncio"].current_task()
        self._before = self._task.cancelling()

    async def check(self) -> None:
        """Raise the cancellation that was swallowed since this was made.

        Raises:
            asyncio.CancelledError: There was one.
        """
        if self._task.cancelling() > self._before:
            await raise_if_cancelled()  # a scope's, which knows its own error only
            raise _modules["asyncio"].CancelledError


async def together(
    function: Callable[..., Coroutine[Any, Any, None]], arguments: Iterable[tuple[Any, ...]]
) -> None:
    """Call an async function with each of some arguments at the same time, and wait for all."""
    async with anyio.create_task_group() as group:
        for each in arguments:
            group.start_soon(function, *each)


def running_loop() -> object:
    """Return a token of the running event loop, unlike any other loop's.

    Raises:
        RuntimeError: No event loop runs.
    """
    if "trio" in _modules and _runs_trio():
        return _modules["trio"].lowlevel.current_trio_token()
    asyncio: Any = _modules.get("asyncio") or _asyncio()
    return asyncio.get_running_loop()


class Runtime:
    """One event loop, as the drivers use it; made within it.

    Attributes:
        loop: A token of the loop, unlike any other loop's.
        now: Returns the time of its clock, in seconds.
        scope: Returns a cancel scope that ends at a time: ``runtime.scope(deadline=at)``.
    """

    __slots__ = ("__weakref__", "_new_waiter", "_process", "jumps", "loop", "now", "scope")

    def __init__(self) -> None:
        loop: Any = running_loop()
        self.loop = loop
        self._process = os.getpid()
        self.scope: type[anyio.CancelScope] = type(anyio.CancelScope())
        self.now: Callable[[], float]
        if hasattr(loop, "create_future"):
            self.now = _asyncio_clock(loop)
            self._new_waiter: Callable[[], Any] = loop.create_future
        else:
            trio = _modules["trio"]
            self.now = trio.lowlevel.current_clock().current_time
            self._new_waiter = anyio.Event
        self.jumps: instant.Jumps | None = None
        instant.know(self)

    def waiter(self) -> Any:
        """Return something to wait for until somebody notifies it.

        An ``anyio.Event`` would do; on asyncio it takes 1.3 kB and four frames a call, ten times
        as much as the bare future that it comes down to, and thousands of calls may wait.
        """
        return self._new_waiter()

    async def rest(self, until: float, waiting: set[Any]) -> None:
        """Wait until a time of the loop's clock, or until somebody notifies all who wait.

        Does what ``asyncio.sleep`` or ``trio.sleep_until`` do, at the same cost.

        Args:
            until: The time; one that is past lets others run.
            waiting: Holds the waiter while it is waited for.
        """
        waiter = self._new_waiter()
        waiting.add(waiter)
        try:
            if instant.current is not None and self.jumps is not None:
                await self._jump(self.jumps, until, waiter)
            elif isinstance(waiter, anyio.Event):
                with self.scope(deadline=until):
                    await waiter.wait()
            else:
                timer = waiter.get_loop().call_at(until, notify, waiter)
                try:
                    await waiter
                finally:
                    timer.cancel()
        finally:
            waiting.discard(waiter)

    async def wait_until(self, waiter: Any, until: float) -> bool:
        """Wait for a waiter, or until a time of the loop's clock; return whether that came."""
        if instant.current is not None and self.jumps is not None:
            return not await self._jump(self.jumps, until, waiter)
        with self.scope(deadline=until) as scope:
            await wait(waiter)
        return scope.cancelled_caught

    async def _jump(self, jumps: instant.Jumps, until: float, waiter: Any) -> bool:
        is_woken = waiter.is_set if isinstance(waiter, anyio.Event) else waiter.done
        return await instant.rest(jumps, until, self.now, is_woken, raise_if_cancelled)

    @property
    def is_running(self) -> bool:
        """Whether the loop still runs, be it in another thread."""
        loop: Any = self.loop
        if os.getpid() != self._process:  # it runs in the parent
            return False
        if hasattr(loop, "is_running"):
            return bool(loop.is_running())
        try:
            loop.run_sync_soon(_nothing)
        except Exception:  # noqa: BLE001 - trio.RunFinishedError; Trio may be gone by now
            return False
        return True


def wait(waiter: Any) -> Awaitable[None]:
    """Return what to await until somebody notifies a waiter."""
    waited: Awaitable[None] = waiter.wait() if isinstance(waiter, anyio.Event) else waiter
    return waited


def notify(waiter: Any) -> None:
    """End the wait for a waiter; one that was notified already, or gave up, is left alone."""
    if isinstance(waiter, anyio.Event):
        waiter.set()
    elif not waiter.done():
        waiter.set_result(None)


def _nothing() -> None:
    """Do nothing: what a loop is asked for to see whether it runs."""


def _asyncio_clock(loop: Any) -> Callable[[], float]:
    clock: Callable[[], float] = loop.time
    plain = _modules["asyncio"].BaseEventLoop.time
    is_plain = getattr(clock, "__func__", None) is plain
    return time.monotonic if is_plain else clock  # which is what it calls


def _runs_trio() -> bool:
    """Return whether this thread is within a loop of Trio (0.23 or later, as anyio needs it)."""
    library = getattr(_modules.get("sniffio"), "thread_local", None)  # missing before sniffio 1.3
    return getattr(library, "name", None) == "trio"


def _asyncio() -> Any:
    try:
        return _modules["asyncio"]
    except KeyError:
        raise RuntimeError("no running event loop") from None
