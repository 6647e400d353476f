"""Event loops in virtual time, asyncio's and Trio's: nothing waits, the clock jumps."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import anyio

from httpx_resilience.cli.simulate.loop import VirtualLoop as VirtualLoop


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
