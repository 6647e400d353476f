"""Over loopback against servers that fail in every way: what the caller gets, and what it costs.

What follows a response's headers on the way to the caller is httpx's own: a caller who reads an
endless body fills the memory with it, as without this library, and one who decompresses a bomb
likewise. So such bodies are looked at here, and then left.
"""

import ssl

import anyio
import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    Backoff,
    DeadlineExceeded,
    ErrorClass,
    Policy,
    RetryPolicy,
    ThrottleTimeout,
    error_of,
    history_of,
)
from support.fault_table import CASES, RETRY_AFTERS, Asked, Case
from support.faults import FaultyServer, dripping, envelope, response, says
from support.vitals import Vitals, busy_connections, eventually, watched

pytestmark = pytest.mark.anyio

BOUND = 10.0
"""Seconds for a whole case, most of which take hundredths: a hang, not a busy machine."""

BLOCKED = 0.05
"""Seconds of CPU in one go. h11 alone needs 10 ms for 5,000 headers."""

TRIES = 3
"""A busy machine's CPU may be twice as slow, though not three times in a row."""

SOON = Backoff(initial=0.004, maximum=0.004)
POLICY = Policy(
    retry=RetryPolicy(
        max_attempts=3,
        backoff={
            ErrorClass.RATE_LIMITED: SOON,
            ErrorClass.TRANSIENT: SOON,
            ErrorClass.CONNECTION: SOON,
        },
    )
)
UNPACED = POLICY.replace(throttle=None)
"""Refusals without rate-limit headers make the next call wait; not what is looked at here."""

TLS = ssl.create_default_context()  # takes longer than most cases

# Trio says of httpcore's generators that they are left half-read, which only they could change.
LEFT = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
BOTH = [("asyncio", name) for name in CASES] + [
    pytest.param("trio", name, marks=[LEFT] if case.reading == "unread" else [])
    for name, case in CASES.items()
    if case.on_trio
]
QUICK = [name for name, case in CASES.items() if not case.slow]


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Ending:
    """What the caller of a case got."""

    def __init__(self) -> None:
        self.ending: int | str = ""
        self.attempts = 0
        self.code: str | None = None
        self.reason: str | None = None
        self.reading = "whole"

    async def call(self, client: httpx.AsyncClient, url: str, case: Case) -> None:
        source: httpx.Response | Exception
        try:
            async with client.stream(case.method, url, content=case.content) as got:
                await anyio.sleep(0.003)  # what follows is the caller's time
                source, self.ending, info = got, got.status_code, error_of(got)
                self.code = None if info is None else info.code
                await anyio.sleep(0.003)
                self.reading = "unread" if case.reading == "unread" else await _reading(got)
        except httpx.HTTPError as error:
            source, self.ending = error, type(error).__name__
        history = history_of(source)
        assert history is not None
        self.attempts, self.reason = len(history.attempts), history.reason


async def _reading(got: httpx.Response) -> str:
    try:
        await got.aread()
    except httpx.HTTPError as error:
        return type(error).__name__
    return "whole"


async def endure(case: Case, *, memory: bool) -> Vitals:
    """Let a case happen between two good calls; compare what the caller got; look for leftovers."""
    got, server, inner = Ending(), FaultyServer(*case.script), httpx.AsyncHTTPTransport(verify=TLS)
    transport = AsyncResilientTransport(inner, policy=UNPACED, dialect=case.dialect)
    timeout = httpx.Timeout(2.0, read=case.read_timeout)
    with server.running() as url, anyio.fail_after(BOUND):
        async with httpx.AsyncClient(transport=transport, timeout=timeout) as client:
            close = {} if case.reused else {"Connection": "close"}
            assert (await client.get(url, headers=close)).status_code == 200
            server.broken = True
            async with watched(memory=memory) as seen:
                await got.call(client, url, case)
                assert busy_connections(inner) == []
            server.broken = False
            assert (await client.get(url)).status_code == 200
        assert await eventually(lambda: server.open == 0)
    assert vars(got) == {key: value for key, value in vars(case).items() if key in vars(got)}
    assert server.requests == case.attempts
    assert seen.tasks == 0
    return seen


@pytest.mark.parametrize(("anyio_backend", "name"), BOTH)
async def test_a_fault_ends_as_the_table_says_and_never_blocks_the_event_loop(name: str) -> None:
    blocked = BLOCKED
    for _ in range(TRIES):
        if blocked < BLOCKED:
            break
        blocked = (await endure(CASES[name], memory=False)).blocked
    assert blocked < BLOCKED


@pytest.mark.parametrize("name", QUICK)
async def test_a_fault_ends_as_the_table_says_and_takes_little_memory(name: str) -> None:
    seen = await endure(CASES[name], memory=True)
    assert 0 < seen.memory < CASES[name].memory


@pytest.mark.parametrize("name", RETRY_AFTERS)
async def test_a_retry_after_is_obeyed_where_it_makes_sense(name: str) -> None:
    asked: Asked = RETRY_AFTERS[name]
    lines = [f"Retry-After: {value}" for value in asked.values]
    server = FaultyServer(says(response(503, envelope("service_unavailable"), *lines)))
    transport = AsyncResilientTransport(httpx.AsyncHTTPTransport(verify=TLS), policy=POLICY)
    with server.running() as url, anyio.fail_after(BOUND):
        async with httpx.AsyncClient(transport=transport) as client:
            server.broken = True
            history = history_of(await client.get(url))
            server.broken = False
            if asked.attempts == 1:
                with pytest.raises(ThrottleTimeout):  # nobody else is to ask before that time
                    await client.get(url)
            past = await client.get(url, extensions={"resilience": None})
            assert past.status_code == 200
    assert history is not None
    assert (len(history.attempts), history.reason) == (asked.attempts, asked.reason)
    assert history.attempts[0].delay_source == asked.source
    assert (history.retry_at is not None) is asked.tells_when
    if asked.source == "retry_after":
        assert [round(each.delay or 0.0, 2) for each in history.attempts[:-1]] == [0.02, 0.02]


@pytest.mark.parametrize("anyio_backend", ["asyncio", "trio"])
async def test_headers_that_drip_for_ever_are_cut_at_the_deadline() -> None:
    """No read timeout of httpx's ever passes, for there is always something to read."""
    server = FaultyServer(says(b"HTTP/1.1 200 x\r\n", then=dripping(b"A: b\r\n", 0.01)))
    inner = httpx.AsyncHTTPTransport(verify=TLS)
    policy = Policy(retry=RetryPolicy(deadline=0.2))
    transport = AsyncResilientTransport(inner, policy=policy)
    with server.running() as url, anyio.fail_after(BOUND):
        async with httpx.AsyncClient(transport=transport) as client:
            server.broken = True
            with pytest.raises(DeadlineExceeded):
                await client.get(url)
            server.broken = False
            assert busy_connections(inner) == []
            assert (await client.get(url)).status_code == 200
        assert await eventually(lambda: server.open == 0)
    assert server.requests == 1
