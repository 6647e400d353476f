"""Queues that calls wait in: bare futures, ours, the peers'. Each is opened after a while."""

import asyncio
from collections.abc import Callable
from importlib import import_module
from typing import Any, Protocol

import httpx

from httpx_resilience import AsyncResilientTransport

from ..harness.targets import OURS
from ..servers.vault import CREDENTIAL, URL, WAIT, InProcessVault
from .peers import AIOLIMITER, PYRATE, aiolimiter_of, pyrate_of, why_missing

FUTURES = "bare futures"


class Line(Protocol):
    """A queue: shut, then entered by many, then opened by the time or by hand."""

    async def shut(self) -> None:
        """Have nothing left."""

    async def call(self, request: httpx.Request) -> None:
        """Wait in it, then send."""

    def open(self) -> None:
        """Release everybody, if that is not the clock's."""


class FutureLine:
    """Nothing but a future for each: what a task that waits costs anyway."""

    def __init__(self, vault: InProcessVault, size: int) -> None:
        self._vault = vault
        self._futures: list[asyncio.Future[None]] = []

    async def shut(self) -> None:
        """Nothing to do."""

    async def call(self, request: httpx.Request) -> None:
        """Wait, then send."""
        future = asyncio.get_running_loop().create_future()
        self._futures.append(future)
        await future
        await self._vault.handle_async_request(request)

    def open(self) -> None:
        """Release everybody."""
        for future in self._futures:
            future.set_result(None)


class OurLine:
    """Our transport, whose scope is exhausted until the server's reset."""

    def __init__(self, vault: InProcessVault, size: int) -> None:
        self.transport = AsyncResilientTransport(vault)

    async def shut(self) -> None:
        """Learn that nothing remains."""
        await self.call(httpx.Request("GET", URL, headers=CREDENTIAL))

    async def call(self, request: httpx.Request) -> None:
        """Wait, then send."""
        await self.transport.handle_async_request(request)

    def open(self) -> None:
        """The reset does it."""


class AiolimiterLine:
    """aiolimiter's bucket, emptied; it releases one at a time, all within ``WAIT``."""

    def __init__(self, vault: InProcessVault, size: int) -> None:
        self._vault = vault
        self._size = size
        self._limiter: Any = aiolimiter_of(size, WAIT)

    async def shut(self) -> None:
        """Empty it."""
        await self._limiter.acquire(self._size)

    async def call(self, request: httpx.Request) -> None:
        """Wait, then send."""
        async with self._limiter:
            await self._vault.handle_async_request(request)

    def open(self) -> None:
        """Time does it."""


class PyrateLine:
    """pyrate-limiter's window, used up; it opens as a whole after ``WAIT``."""

    def __init__(self, vault: InProcessVault, size: int) -> None:
        self._vault = vault
        self._size = size
        self._limiter: Any = pyrate_of(size, WAIT, asyncio.get_running_loop().time)

    async def shut(self) -> None:
        """Use it up."""
        await self._limiter.try_acquire_async(OURS, weight=self._size)

    async def call(self, request: httpx.Request) -> None:
        """Wait, then send."""
        await self._limiter.try_acquire_async(OURS)
        await self._vault.handle_async_request(request)

    def open(self) -> None:
        """Time does it."""


_OF_PEERS: dict[str, tuple[str, Callable[[InProcessVault, int], Line]]] = {
    AIOLIMITER: ("aiolimiter", AiolimiterLine),
    PYRATE: ("pyrate_limiter", PyrateLine),
}


def lines() -> tuple[dict[str, Callable[[InProcessVault, int], Line]], list[tuple[str, str]]]:
    """Return how each queue is made, by name, and who is missing and why."""
    present: dict[str, Callable[[InProcessVault, int], Line]] = {
        FUTURES: FutureLine,
        OURS: OurLine,
    }
    missing = []
    for name, (package, make) in _OF_PEERS.items():
        try:
            import_module(package)
        except ImportError as error:
            missing.append((name, why_missing(error)))
        else:
            present[name] = make
    return present, missing
