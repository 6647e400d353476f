"""What a call costs that goes well, counted in steps of the interpreter: no clock, no flakes.

The figures in microseconds are the benchmarks' business (``python -m benchmarks``); here a few in
a hundred are noticed.
"""

import asyncio
import itertools
import sys
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from types import FrameType, SimpleNamespace
from typing import Any, Self

import httpx
import pytest

from httpx_resilience import AsyncResilientTransport, Listener, Policy, ResilientTransport
from httpx_resilience._runtime import threads
from support.granting_store import GrantingStore

MOST, MOST_WITHOUT_THROTTLE, MOST_OF_BUCKET = 1965, 1430, 2730
"""Bytecode instructions that a call may take beside the bare transport's: a few in a hundred more
than it took when this was written (1,915, 1,393 and 2,667 on CPython 3.11)."""

MOST_IN_A_THREAD = 1.1
"""How many times as many a synchronous call may take (1.06 when this was written)."""

TICK = 0.0002
"""Seconds that pass whenever the time is asked for: what is done now and then for all that came in
the meantime is done as often on a slow machine as on a fast one."""

MOST_OF_LEASE = 175
"""Those that a lease may add (165 when this was written)."""

CALLS = 50
NOW = 1_700_000_000.0


def answer(left: int) -> httpx.Response:
    headers = [
        (b"Date", formatdate(NOW, usegmt=True).encode()),
        (b"X-RateLimit-Limit", b"1000000"),
        (b"X-RateLimit-Remaining", str(left).encode()),
        (b"X-RateLimit-Reset", b"1700000060"),
    ]
    return httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"{}"))


class Vault(httpx.AsyncBaseTransport):
    """Answers well, with a little less left each time."""

    def __init__(self) -> None:
        self._left = itertools.count(999_999, -1)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return answer(next(self._left))


class SyncVault(httpx.BaseTransport):
    """As ``Vault``, for a synchronous client."""

    def __init__(self) -> None:
        self._left = itertools.count(999_999, -1)

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return answer(next(self._left))


class Bucket(httpx.AsyncBaseTransport):
    """Answers well, with some tokens missing that are soon back: never the same twice in a row."""

    def __init__(self) -> None:
        self._missing = itertools.cycle(range(94, 101))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        missing = next(self._missing)
        headers = [
            (b"Date", formatdate(NOW, usegmt=True).encode()),
            (b"X-RateLimit-Limit", b"1000"),
            (b"X-RateLimit-Remaining", str(1000 - missing).encode()),
            (b"X-RateLimit-Reset", f"{0.06 * missing:.2f}".encode()),
        ]
        return httpx.Response(200, headers=headers, stream=httpx.ByteStream(b"{}"))


class Steps:
    """Counts bytecode instructions while it is entered."""

    def __init__(self) -> None:
        self.count = 0

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "opcode":
            self.count += 1
        else:
            frame.f_trace_opcodes = True
        return self._trace

    def __enter__(self) -> Self:
        self._before = sys.gettrace()
        sys.settrace(self._trace)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._before)


def steps_of(transport: httpx.AsyncBaseTransport) -> float:
    """Return how many instructions a call takes, once what is done once is done."""

    async def calls(count: int) -> None:
        for _ in range(count):
            request = httpx.Request(
                "GET", "https://vault.example/v1/secrets/a", headers={"Authorization": "Bearer t"}
            )
            await transport.handle_async_request(request)

    async def counted() -> float:
        loop: Any = asyncio.get_running_loop()
        loop.time = itertools.count(1000.0, TICK).__next__
        await calls(20)
        with Steps() as steps:
            await calls(CALLS)
        return steps.count / CALLS

    return asyncio.run(counted())


def sync_steps_of(transport: httpx.BaseTransport, monkeypatch: pytest.MonkeyPatch) -> float:
    """Return how many instructions a call takes in a thread."""
    clock = SimpleNamespace(monotonic=itertools.count(1000.0, TICK).__next__)
    monkeypatch.setattr(threads, "time", clock)

    def calls(count: int) -> None:
        for _ in range(count):
            request = httpx.Request(
                "GET", "https://vault.example/v1/secrets/a", headers={"Authorization": "Bearer t"}
            )
            transport.handle_request(request)

    def counted() -> float:
        calls(20)
        with Steps() as steps:
            calls(CALLS)
        return steps.count / CALLS

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(counted).result()


@pytest.fixture(autouse=True)
def _plain_logging(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have nothing log through structlog, which is asked for each call once anybody imports it."""
    monkeypatch.delitem(sys.modules, "structlog", raising=False)


@pytest.fixture(scope="module")
def bare() -> float:
    return steps_of(Vault())


def test_a_call_that_goes_well_takes_no_more_steps_than_it_did(bare: float) -> None:
    added = steps_of(AsyncResilientTransport(Vault())) - bare
    assert 300 < added < MOST, f"{added:.0f} instructions a call"


def test_nor_does_a_synchronous_one(bare: float, monkeypatch: pytest.MonkeyPatch) -> None:
    added = steps_of(AsyncResilientTransport(Vault())) - bare
    bare_sync = sync_steps_of(SyncVault(), monkeypatch)
    added_sync = sync_steps_of(ResilientTransport(SyncVault()), monkeypatch) - bare_sync
    assert 0.9 < added_sync / added < MOST_IN_A_THREAD, f"{added_sync / added:.3f} times as many"


def test_nor_does_one_to_a_token_bucket_whose_reset_moves_with_each_response() -> None:
    added = steps_of(AsyncResilientTransport(Bucket())) - steps_of(Bucket())
    assert 300 < added < MOST_OF_BUCKET, f"{added:.0f} instructions a call"


def test_a_lease_takes_few_steps_more() -> None:
    without = steps_of(AsyncResilientTransport(Vault()))
    store = GrantingStore()
    leased = steps_of(AsyncResilientTransport(Vault(), store=store)) - without
    assert 0 < leased < MOST_OF_LEASE, f"{leased:.0f} instructions a call"
    assert store.asks == 2  # for the probe, and for the lease


def test_without_the_throttle_it_takes_fewer(bare: float) -> None:
    whole = steps_of(AsyncResilientTransport(Vault()))
    without = steps_of(AsyncResilientTransport(Vault(), policy=Policy(throttle=None)))
    assert without < whole
    assert without - bare < MOST_WITHOUT_THROTTLE, f"{without - bare:.0f} instructions a call"


def test_a_listener_that_wants_no_debug_events_takes_few_steps_more() -> None:
    without = steps_of(AsyncResilientTransport(Vault()))
    heard = steps_of(AsyncResilientTransport(Vault(), on_event=lambda event: None)) - without
    debug = Listener(lambda event: None, level="debug")
    every = steps_of(AsyncResilientTransport(Vault(), on_event=debug)) - without
    assert heard < 50 < 500 < every, f"{heard:.0f} and {every:.0f} instructions a call"


def test_the_count_notices_a_doubling(bare: float) -> None:
    twice = AsyncResilientTransport(AsyncResilientTransport(Vault()))
    assert steps_of(twice) - bare > MOST
