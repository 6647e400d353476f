"""Servers that lie and strings that bite: bounded waits, bounded memory, clean log lines."""

import io
import itertools
import logging
import math
import tracemalloc
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import anyio
import anyio.lowlevel
import httpx
import pytest
import structlog

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    AsyncResilientTransport,
    Dialect,
    Level,
    Listener,
    Policy,
    RetryPolicy,
    ThrottlePolicy,
    ThrottleTimeout,
    history_of,
)
from support.logs import filtering
from support.scripted import OK, Line, Reply, Scripted, coded, get
from support.virtual import backend

pytestmark = pytest.mark.anyio

# Strings that bite.

BITING = {
    "newline": "a\nlevel=error event=forged",
    "return": "a\rlevel=error",
    "ansi": "\x1b[31mred\x1b[0m",
    "bell": "a\x07b",
    "null": "a\x00b",
    "bidi": "abc\u202egnp.exe",
    "separator": "a\u2028b\u2029c",
    "c1": "a\x9b31mb",
    "quotes": 'a" level="error',
    "equals": "a=b c=d",
    "long": "a" * 5000,
}
FORBIDDEN = "\x1b\x07\x00\r\u202e\u2028\u2029\x9b"


@pytest.fixture(params=["structlog as JSON", "structlog in colours", "standard library"])
def log(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    out = io.StringIO()
    structlog.reset_defaults()
    handler = logging.StreamHandler(out)
    logger = logging.getLogger("httpx_resilience")
    level = logger.level
    if request.param == "standard library":
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    else:
        renderer: Any = structlog.processors.JSONRenderer()
        if request.param == "structlog in colours":
            renderer = structlog.dev.ConsoleRenderer(colors=False)
        structlog.configure(
            processors=[structlog.processors.add_log_level, renderer],
            wrapper_class=filtering(logging.DEBUG),
            logger_factory=structlog.PrintLoggerFactory(out),
        )
    yield out.getvalue
    logger.removeHandler(handler)
    logger.setLevel(level)
    structlog.reset_defaults()


def biting(word: str) -> Callable[[httpx.Request], Any]:
    """Return a server whose every word bites, until it is asked again."""
    error = {"error": {"code": word, "message": word, "request_id": word, "type": word}}
    raw = word.encode()
    names = ("X-Request-ID", "X-RateLimit-Bucket", "X-RateLimit-Resource", "X-RateLimit-Scope")
    headers = [(name.encode(), raw) for name in names]
    headers += [(b"RateLimit", b'"%b";r=0;t=1' % raw), (b"RateLimit-Policy", b'"%b";q=9;w=5' % raw)]
    headers += [(b"X-RateLimit-Remaining", b"0"), (b"Retry-After", b"1")]

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(429, headers=headers, json=error)

    return answer


@pytest.mark.parametrize("dialect", [SCAIVAULT, GENERIC], ids=["scaivault", "generic"])
@pytest.mark.parametrize("word", BITING)
async def test_no_word_of_a_server_forges_a_line_or_reaches_a_terminal(
    word: str, dialect: Dialect, log: Callable[[], str]
) -> None:
    names: list[str] = []
    transport = AsyncResilientTransport(
        Scripted(biting(BITING[word]), OK),
        dialect=dialect,
        on_event=Listener(lambda event: names.append(event.name), level=Level.DEBUG),
    )
    response = await transport.handle_async_request(get())
    written = log()
    lines = written.splitlines()
    assert len(lines) == len(names) >= 3
    assert not set(written) & set(FORBIDDEN)
    assert not any("forged" in line or "level=error" in line for line in lines)
    assert all(len(line) < 2000 for line in lines)
    told = repr(history_of(response)) + repr(transport.rate_limits())
    assert not set(told) & set(FORBIDDEN)


@pytest.mark.parametrize("word", BITING)
async def test_whatever_redact_makes_of_a_path_is_escaped_in_the_log(
    word: str, log: Callable[[], str]
) -> None:
    names: list[str] = []
    transport = AsyncResilientTransport(
        Scripted(coded(503, "service_unavailable"), OK),
        redact=lambda _: BITING[word],
        on_event=Listener(lambda event: names.append(event.name), level=Level.DEBUG),
    )
    await transport.handle_async_request(get())
    written = log()
    assert len(written.splitlines()) == len(names) >= 3
    assert not set(written) & set(FORBIDDEN)
    assert "\nlevel=error" not in written


@pytest.mark.parametrize("path", ["/v1/a\u202eb", "/v1/a%0Ab%1b[31m", "/v1/%00", "/v1/\u2028"])
async def test_a_path_is_told_percent_encoded(path: str, log: Callable[[], str]) -> None:
    transport = AsyncResilientTransport(Scripted(coded(404, "secret_not_found")))
    response = await transport.handle_async_request(get(f"https://vault.example{path}"))
    history = history_of(response)
    assert history is not None
    written = log()
    assert "%" in written
    assert written.isascii() or "structlog" not in written
    assert not set(written + repr(history.events)) & set(FORBIDDEN)


# Whose budget it is.

CALLERS: dict[str, tuple[str, dict[str, str]]] = {
    "nobody": ("https://vault.example", {}),
    "bearer a": ("https://vault.example", {"Authorization": "Bearer a"}),
    "bearer b": ("https://vault.example", {"Authorization": "Bearer b"}),
    "bearer a elsewhere": ("https://other.example", {"Authorization": "Bearer a"}),
    "bearer a on another port": ("https://vault.example:8443", {"Authorization": "Bearer a"}),
    "bearer a in the clear": ("http://vault.example", {"Authorization": "Bearer a"}),
    "basic a": ("https://vault.example", {"Authorization": "Basic a"}),
    "basic b": ("https://vault.example", {"Authorization": "Basic b"}),
    "key a": ("https://vault.example", {"X-Api-Key": "a"}),
    "key b": ("https://vault.example", {"X-Api-Key": "b"}),
    "bearer a and key b": (
        "https://vault.example",
        {"Authorization": "Bearer c", "X-Api-Key": "b"},
    ),
}
SPENT = Reply(
    200,
    headers=(
        ("X-RateLimit-Limit", "9"),
        ("X-RateLimit-Remaining", "0"),
        ("X-RateLimit-Reset", "50"),
    ),
)


@pytest.mark.parametrize("dialect", [SCAIVAULT, GENERIC], ids=["scaivault", "generic"])
async def test_what_one_caller_spent_holds_no_other_back(dialect: Dialect) -> None:
    for spender in CALLERS:
        inner = Scripted(SPENT, OK)
        transport = AsyncResilientTransport(inner, dialect=dialect)
        for name in [spender, *(each for each in CALLERS if each != spender), spender]:
            origin, headers = CALLERS[name]
            began = anyio.current_time()
            await transport.handle_async_request(get(f"{origin}/v1/secrets/x", headers=headers))
            waited = anyio.current_time() - began
            second_time = inner.attempts == len(CALLERS) + 1
            assert (waited > 40.0) == second_time, (spender, name)


# Servers that lie.

MAX_WAIT = 30.0
PATIENCE = Policy(
    retry=RetryPolicy(max_attempts=1, max_retry_after=1e9),
    throttle=ThrottlePolicy(max_wait=MAX_WAIT),
)
Told = dict[str, str]
FAR = str(2**63)


def limit(limit: object, remaining: object, reset: object, **more: str) -> Told:
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(reset),
        **{name.replace("_", "-"): value for name, value in more.items()},
    }


LIARS: dict[str, Callable[[int], tuple[int, Told]]] = {
    "limit 0": lambda n: (200, limit(0, 0, 10)),
    "nothing left for a year": lambda n: (200, limit(100, 0, 365 * 86400)),
    "nothing left and no reset": lambda n: (200, limit(100, 0, "")),
    "less than nothing": lambda n: (200, limit(-5, -7, -9)),
    "more than anybody counts": lambda n: (200, limit(10**19, 10**19, 10**19)),
    "more left than the limit": lambda n: (200, limit(3, 10**12, 1)),
    "it flips": lambda n: (200, limit(100, 100 * (n % 2), 3600)),
    "its limit flips": lambda n: (200, limit(1 + 10**6 * (n % 2), 0, 7)),
    "a reset that goes back": lambda n: (200, limit(10, 0, 86400 - n)),
    "a reset that runs away": lambda n: (200, limit(10, 0, 10 * n + 10)),
    "new buckets": lambda n: (200, limit(10, 0, 60, X_RateLimit_Bucket=f"bucket-{n}")),
    "new policies": lambda n: (
        200,
        {"RateLimit": ", ".join(f'"p{n}-{m}";r=0;t=9999' for m in range(40))},
    ),
    "new windows": lambda n: (
        200,
        {"RateLimit-Limit": f"10;w={n + 1}", "RateLimit-Remaining": "0"},
    ),
    "new names": lambda n: (200, {f"X-RateLimit-Limit-Word{n}": "5"}),
    "a wait of for ever": lambda n: (429, {"Retry-After": FAR}),
    "a wait of twenty digits": lambda n: (503, {"Retry-After": "9" * 20}),
    "a wait in the year 9999": lambda n: (429, {"Retry-After": "Fri, 31 Dec 9999 23:59:59 GMT"}),
    "a wait on every other": lambda n: (429 if n % 2 else 200, {"Retry-After": "86400"}),
    "refusals in silence": lambda n: (429, {}),
    "outages in silence": lambda n: (503, {}),
    "a clock that jumps": lambda n: (
        200,
        {"Date": "Thu, 01 Jan 1970 00:00:00 GMT", **limit(5, 0, 1_700_000_000 * (n % 3))},
    ),
    "an id of 8 kB": lambda n: (429, {"X-Request-ID": "x" * 8192, **limit(5, 0, 5)}),
}


class Answering(httpx.AsyncBaseTransport):
    """Answers and keeps nothing of it but how many came."""

    def __init__(self, line: Callable[[int], Callable[[httpx.Request], Any]]) -> None:
        self._line = line
        self.came = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.came += 1
        response: httpx.Response = await self._line(self.came)(request)
        return response


def liar(kind: str) -> Callable[[httpx.Request], Any]:
    numbers = itertools.count()

    async def answer(request: httpx.Request) -> httpx.Response:
        status, headers = LIARS[kind](next(numbers))
        await anyio.lowlevel.checkpoint()
        return httpx.Response(status, headers=headers)

    return answer


@pytest.mark.parametrize("dialect", [SCAIVAULT, GENERIC], ids=["scaivault", "generic"])
@pytest.mark.parametrize("kind", LIARS)
async def test_no_lie_makes_a_call_wait_beyond_its_time(kind: str, dialect: Dialect) -> None:
    """Each call is answered, or told that it cannot be, within ``max_wait``."""
    line: Line = liar(kind)
    transport = AsyncResilientTransport(Scripted(line), dialect=dialect, policy=PATIENCE)
    ended: dict[str, int] = {}
    retry_at: list[float | None] = []

    async def one(n: int) -> None:
        await anyio.sleep(7.0 * (n // 10))
        began = anyio.current_time()
        try:
            response = await transport.handle_async_request(get(f"https://vault.example/v1/{n}"))
            await response.aclose()
            came = "answered"
        except ThrottleTimeout as refused:
            came = "refused"
            retry_at.append(refused.retry_at)
        assert anyio.current_time() - began <= MAX_WAIT + 0.02
        ended[came] = ended.get(came, 0) + 1

    async with anyio.create_task_group() as group:
        for n in range(100):
            group.start_soon(one, n)
    assert sum(ended.values()) == 100
    assert ended["answered"] >= 1
    assert all(at is None or math.isfinite(at) for at in retry_at)
    assert all(throttle.is_idle for throttle in transport._calls.registry._throttles.values())


class TestMemory:
    """On one event loop, with nobody who keeps log lines."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, Mapping[str, Any]]:
        return backend("asyncio")

    @pytest.fixture(autouse=True)
    def quiet(self) -> Iterator[None]:
        logger = logging.getLogger("httpx_resilience")
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        yield
        logger.setLevel(level)

    async def grown(self, kinds: Sequence[str], counts: tuple[int, int]) -> int:
        """Return by how many bytes the later responses make the process grow."""
        answers = [liar(kind) for kind in kinds]
        server = Answering(lambda n: answers[n % len(answers)])
        transport = AsyncResilientTransport(server, dialect=GENERIC)

        async def send(count: int) -> int:
            for _ in range(count):
                n = server.came
                who = {"Authorization": f"Bearer {n // 5}"}
                url = f"https://vault.example/{n // 4}/x"
                request = get(url, headers=who, extensions={"resilience": None})
                await (await transport.handle_async_request(request)).aclose()
            return tracemalloc.get_traced_memory()[0]

        tracemalloc.start()
        try:
            before, after = await send(counts[0]), await send(counts[1])
        finally:
            tracemalloc.stop()
        state = transport._calls.registry
        assert len(state._throttles) <= 1024
        assert len(state._routes) <= 1024
        assert all(len(throttle._quotas) <= 64 for throttle in state._throttles.values())
        return after - before

    async def test_ten_thousand_lies_take_no_more_memory_than_the_first_six_thousand(self) -> None:
        kinds = [kind for kind in LIARS if kind != "new policies"]  # 40 in each: slow to trace
        assert await self.grown(kinds, (6000, 4000)) < 500_000

    @pytest.mark.soak
    @pytest.mark.parametrize("kind", LIARS)
    async def test_no_kind_of_lie_makes_a_transport_grow(self, kind: str) -> None:
        counts = (8_000, 2_000) if kind == "new policies" else (15_000, 15_000)
        assert await self.grown([kind], counts) < 500_000


async def test_a_new_category_and_credential_for_each_call_fills_no_more_than_1024_scopes() -> None:
    transport = AsyncResilientTransport(Scripted(SPENT))
    for n in range(3000):
        request = get(
            f"https://vault.example/v1/category{n}/x", headers={"Authorization": f"Bearer {n}"}
        )
        await (await transport.handle_async_request(request)).aclose()
    assert len(transport._calls.registry._throttles) == 1024
    assert len(transport.rate_limits()) == 1024
