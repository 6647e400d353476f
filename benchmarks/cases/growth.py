"""How the cost of one call grows with the number of scopes, waiters, attempts, calls in flight.

Everything is ours; each figure is a median of microseconds per call (or attempt), and its ratio is
to the smallest size of the same kind: near 1 all along is what is hoped for. Time is virtual.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass

import httpx

from httpx_resilience import (
    AsyncResilientTransport,
    Backoff,
    ErrorClass,
    Policy,
    RetryPolicy,
)

from ..contenders.transports import logger_off
from ..harness.rounds import Effort, Report, Stopwatch, collector_off, in_turns
from ..harness.rows import Row
from ..harness.targets import OURS
from ..harness.virtual import ServerTime, run_virtual
from ..servers.vault import CREDENTIAL, URL, WAIT, CountingVault, InProcessVault

NAME = "growth"
_AT_LEAST = 1000
"""Calls that a figure is made of, at the least."""
_ONCE_IS_ENOUGH = 50_000

Measure = Callable[[int], Awaitable[float]]
"""From a size to microseconds per call."""


@dataclass(frozen=True, slots=True)
class Kind:
    """Something that grows."""

    what: str
    unit: str
    sizes: tuple[int, ...]
    measure: Measure


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    rows: list[Row] = []
    with logger_off():
        for kind in _KINDS:
            most = max(effort.of(kind.sizes[-1]), kind.sizes[0])
            sizes = [size for size in kind.sizes if size <= most]
            seen: dict[int, list[float]] = {size: [] for size in sizes}
            run_virtual(_once(kind.measure, sizes[0]))  # warms up
            for size in in_turns(sizes, effort.of(3), lambda text: None):
                report(f"{kind.what}: {size:,}")
                if size < _ONCE_IS_ENOUGH or not seen[size]:
                    seen[size].append(run_virtual(_once(kind.measure, size)))
            rows += _rows(kind, seen)
    return rows


async def _once(measure: Measure, size: int) -> float:
    return await measure(size)


def _rows(kind: Kind, seen: dict[int, list[float]]) -> list[Row]:
    figures = {size: statistics.median(own) for size, own in seen.items()}
    least = figures[min(figures)]
    return [
        Row(
            benchmark=NAME,
            what=kind.what,
            contender=f"{OURS}, {size:,}",
            value=figure,
            unit=kind.unit,
            ratio=figure / least,
        )
        for size, figure in figures.items()
    ]


async def _scopes(size: int) -> float:
    """Every call has another identity, in turn; the first thousand or so of them are kept."""
    vault = InProcessVault(ServerTime())
    transport = AsyncResilientTransport(vault)
    requests = [
        httpx.Request("GET", URL, headers={"Authorization": f"Bearer {index}"})
        for index in range(size)
    ]
    calls = max(size, _AT_LEAST)
    vault.stock(calls + size)
    for request in requests:
        await transport.handle_async_request(request)
    with collector_off(), Stopwatch() as watch:
        for index in range(calls):
            await transport.handle_async_request(requests[index % size])
    return watch.seconds / calls * 1e6


async def _waiters(size: int) -> float:
    """All wait for one reset, and are then released."""
    lots = max(1, _AT_LEAST // size)
    with collector_off():
        seconds = sum([await _lot_of_waiters(size) for _ in range(lots)])
    return seconds / lots / size * 1e6


async def _lot_of_waiters(size: int) -> float:
    vault = CountingVault()
    vault.stock(min(size, 10_000), later=WAIT)
    transport = AsyncResilientTransport(vault)
    await transport.handle_async_request(httpx.Request("GET", URL, headers=CREDENTIAL))
    request = httpx.Request("GET", URL, headers=CREDENTIAL, extensions={"index": 0})
    loop = asyncio.get_running_loop()
    with Stopwatch() as watch:
        tasks = [loop.create_task(transport.handle_async_request(request)) for _ in range(size)]
        for task in tasks:
            await task
    return watch.seconds


async def _attempts(size: int) -> float:
    """One call that fails each time until it may not go on."""
    vault = _DownVault()
    soon = Backoff(initial=0.001, maximum=0.001, jitter="none")
    retry = RetryPolicy(max_attempts=size, retry_for=1e6, backoff={ErrorClass.TRANSIENT: soon})
    policy = Policy(retry=retry, budget=None, throttle=None)
    transport = AsyncResilientTransport(vault, policy=policy)
    request = httpx.Request("GET", URL, headers=CREDENTIAL)
    calls = max(1, _AT_LEAST // size)
    with collector_off(), Stopwatch() as watch:
        for _ in range(calls):
            await transport.handle_async_request(request)
    return watch.seconds / vault.served * 1e6


class _DownVault(InProcessVault):
    """Never answers anything but 503, without a word about its reasons."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.served += 1
        return httpx.Response(503, stream=httpx.ByteStream(b""))


async def _in_flight(size: int) -> float:
    """As many calls at the same time, whose answers take a second each."""
    vault = _SlowVault(ServerTime())
    vault.stock(min(size, 10_000))
    transport = AsyncResilientTransport(vault)
    request = httpx.Request("GET", URL, headers=CREDENTIAL)
    await transport.handle_async_request(request)  # the probe
    turns = max(1, _AT_LEAST // size)
    with collector_off(), Stopwatch() as watch:
        for _ in range(turns):
            await asyncio.gather(*_calls(transport, request, size))
    return watch.seconds / turns / size * 1e6


def _calls(
    transport: httpx.AsyncBaseTransport, request: httpx.Request, size: int
) -> Iterator[Awaitable[httpx.Response]]:
    return (transport.handle_async_request(request) for _ in range(size))


class _SlowVault(InProcessVault):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(1.0)
        return await super().handle_async_request(request)


_KINDS = (
    Kind("scopes", "µs a call", (1, 10, 100, 1000, 10_000), _scopes),
    Kind("waiters", "µs a call", (10, 100, 1000, 10_000, 100_000), _waiters),
    Kind("attempts of one call", "µs an attempt", (1, 10, 100, 1000), _attempts),
    Kind("calls in flight", "µs a call", (1, 10, 100, 1000, 10_000), _in_flight),
)
