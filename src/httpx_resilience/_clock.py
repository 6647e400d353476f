"""Which event loop runs, its clock, and what ends a wait or makes one.

anyio asks at every step which loop runs: for ``anyio.current_time`` that takes 3 µs, and a call
needs the time thrice; 1 µs for a cancel scope, 3 µs for ``anyio.sleep_until``. asyncio is not
imported here, which would cost programs on Trio, and imports, a tenth of importing httpx: where
one of its loops runs, it is there.

Trio is imported by httpx wherever it is installed, whatever its version. So nothing is asked of it
but by its own loops: whether one runs is what Trio tells sniffio, whom anyio and httpx ask as well.
"""

import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import anyio

_scopes: dict[bool, type["anyio.CancelScope"]] = {}
"""anyio's cancel scopes for Trio (True) and for asyncio. Their type is quoted: looking it up
would import a good part of anyio."""

_modules = sys.modules


def running_loop() -> object:
    """Return a token of the running event loop, unlike any other loop's.

    Raises:
        RuntimeError: No event loop runs.
    """
    trio: Any = _modules.get("trio")
    if trio is not None and _runs_trio():
        return trio.lowlevel.current_trio_token()
    asyncio: Any = _modules.get("asyncio") or _asyncio()
    return asyncio.get_running_loop()


def running_clock() -> Callable[[], float]:
    """Return the clock of the running event loop.

    Raises:
        RuntimeError: No event loop runs.
    """
    trio: Any = _modules.get("trio")
    if trio is not None and _runs_trio():
        clock: Callable[[], float] = trio.lowlevel.current_clock().current_time
        return clock
    asyncio = _asyncio()
    told = asyncio.get_running_loop().time
    if getattr(told, "__func__", None) is asyncio.BaseEventLoop.time:
        return time.monotonic  # which is what it calls
    return told  # type: ignore[no-any-return]  # asyncio is looked up, so it is untyped


def sleep(seconds: float) -> Awaitable[None]:
    """Return what to await for so many seconds; what ``anyio.sleep`` itself awaits."""
    trio: Any = _modules.get("trio")
    library = trio if trio is not None and _runs_trio() else _asyncio()
    waited: Awaitable[None] = library.sleep(seconds)
    return waited


def scope_until(deadline: float) -> "anyio.CancelScope":
    """Return what ``anyio.CancelScope(deadline=deadline)`` does."""
    trio: Any = _modules.get("trio")
    is_trio = trio is not None and _runs_trio()
    kind = _scopes.get(is_trio)
    if kind is None:
        kind = _scopes[is_trio] = type(anyio.CancelScope())
    return kind(deadline=deadline)


def _runs_trio() -> bool:
    """Return whether this thread is within a loop of Trio (0.23 or later, as anyio needs it)."""
    library = getattr(_modules.get("sniffio"), "thread_local", None)  # missing before sniffio 1.3
    return getattr(library, "name", None) == "trio"


def _asyncio() -> Any:
    try:
        return _modules["asyncio"]
    except KeyError:
        raise RuntimeError("no running event loop") from None
