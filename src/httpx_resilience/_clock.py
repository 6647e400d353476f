"""Which event loop runs, and its clock.

``anyio.current_time`` would do, at 3 µs a call; a call needs the time thrice. asyncio is not
imported here, which would cost programs on Trio, and imports, a tenth of importing httpx: where
one of its loops runs, it is there.
"""

import sys
import time
from collections.abc import Callable
from typing import Any

_modules = sys.modules


def running_loop() -> object:
    """Return a token of the running event loop, unlike any other loop's.

    Raises:
        RuntimeError: No event loop runs.
    """
    trio: Any = _modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        return trio.lowlevel.current_trio_token()
    return _asyncio().get_running_loop()


def running_clock() -> Callable[[], float]:
    """Return the clock of the running event loop.

    Raises:
        RuntimeError: No event loop runs.
    """
    trio: Any = _modules.get("trio")
    if trio is not None and trio.lowlevel.in_trio_run():
        clock: Callable[[], float] = trio.current_time
        return clock
    asyncio = _asyncio()
    told = asyncio.get_running_loop().time
    if getattr(told, "__func__", None) is asyncio.BaseEventLoop.time:
        return time.monotonic  # which is what it calls
    return told  # type: ignore[no-any-return]


def _asyncio() -> Any:
    try:
        return _modules["asyncio"]
    except KeyError:
        raise RuntimeError("no running event loop") from None
