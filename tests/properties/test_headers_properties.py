"""What holds for whatever a server sends, and for whatever a clock shows."""

import math
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import format_datetime

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from httpx_resilience._core.headers import (
    DEFAULT_FAMILIES,
    RateLimitReader,
    binding,
    retry_after,
    server_wait,
)
from httpx_resilience._core.headers.families import ASIDES
from httpx_resilience._core.headers.server_clock import ServerClock

NOW = 1700000000
FAR = 400 * 86400.0
READER = RateLimitReader()
WORDS = ("minute", "daily", "requests", "input-tokens", "tokens-minute", "short")

OTHERS = (
    *("Date", "Age", "Retry-After", "retry-after-ms", "x-ms-retry-after-ms", "x-retry-after"),
    *("RateLimit", "RateLimit-Policy", "X-RateLimit-Scope", "X-RateLimit-Global"),
    *("X-App-Rate-Limit", "X-App-Rate-Limit-Count", "X-Shopify-Shop-Api-Call-Limit"),
    *("Beta-RateLimit", "Beta-RateLimit-Policy", "x-ratelimit-tokens-query-cost"),
    *("Anthropic-RateLimit-Unified-Status", "Anthropic-RateLimit-Unified-Reset"),
    *("Sforce-Limit-Info", "Zendesk-RateLimit-Tickets", "X-RateLimit-Retry-After"),
)
NAMES = sorted(
    {
        name.replace("*", word)
        for family in DEFAULT_FAMILIES
        for name in family.headers().values()
        for word in WORDS
    }
    | {name for name, _, _ in ASIDES}
    | set(OTHERS)
)
PIECES = (
    *("0", "1", "60", "-5", "0.98", "1700000060", "1700000060500", "9" * 20, "9" * 5000, "1e400"),
    *("nan", "inf", "6m0s", "17ms", "1d" * 99, "Tue, 14 Nov 2023 22:14:20 GMT", "later", "5,000"),
    *("2023-11-14T22:15Z", "9999-12-31T23:59:59.999+00:00", "0001-01-01T00:00:00+99:99", '"', "\\"),
    *("rejected", "-1"),
    *('"a";r=0;t=50', '"b";q=100;w=60;pk=:YQ==:', "limit=10, remaining=0, reset=5", "10;w=1"),
    *("32/40", "api-usage=18/5000", "100:120,20:1", "total=1; remaining=0; resets=9", "1m", ";=,"),
)
names = st.one_of(st.sampled_from(NAMES).map(str.encode), st.binary(max_size=20))
values = st.one_of(
    st.lists(st.sampled_from(PIECES), max_size=4).map(lambda some: ", ".join(some).encode()),
    st.lists(st.sampled_from(PIECES), max_size=4).map(lambda some: ";".join(some).encode()),
    st.integers(-10, 10**20).map(lambda number: b"%d" % number),
    st.binary(max_size=60),
)
headers = st.lists(st.tuples(names, values), max_size=12)
walls = st.floats(0, 4e9)
statuses = st.sampled_from([200, 301, 400, 403, 429, 500, 503])
CASINGS: list[Callable[[bytes], bytes]] = [bytes.lower, bytes.upper, bytes.title]
casings = st.sampled_from(CASINGS)


def dated(epoch: int) -> tuple[bytes, bytes]:
    return b"Date", format_datetime(datetime.fromtimestamp(epoch, UTC), usegmt=True).encode()


@given(headers, walls, statuses)
@settings(max_examples=300, deadline=None)
def test_whatever_is_sent_is_read_within_bounds_and_nothing_raises(
    sent: list[tuple[bytes, bytes]], wall: float, status: int
) -> None:
    reading = READER.read(sent, wall=wall)
    assert len(reading.limits) <= 32
    for limit in reading.limits:
        assert limit.limit is None or limit.limit >= 0
        assert limit.remaining is None or limit.remaining >= 0
        if limit.limit is not None and limit.remaining is not None:
            assert limit.remaining <= limit.limit
        assert limit.reset_in is None or 0.0 <= limit.reset_in <= FAR
        assert limit.reset_at is None or limit.reset_in is not None
        assert 1e-6 <= limit.granularity <= 60.0
        assert limit.window is None or 0.0 < limit.window < math.inf
        assert limit.refill is None or 0.0 <= limit.refill < math.inf
        assert limit.bucket is None or 0 < len(limit.bucket) <= 128
    assert (binding(reading.limits) is None) == (reading.limits == ())
    wait = server_wait(sent, status=status, wall=wall, reading=reading)
    assert wait is None or (status >= 400 and wait.seconds > 0.0)
    asked = retry_after(sent, wall=wall)
    assert asked is None or asked >= 0.0


@given(headers, casings)
@settings(max_examples=150, deadline=None)
def test_the_case_of_a_name_says_nothing(
    sent: list[tuple[bytes, bytes]], casing: Callable[[bytes], bytes]
) -> None:
    recased = [(casing(name), value) for name, value in sent]
    assert READER.read(recased, wall=NOW) == READER.read(sent, wall=NOW)
    assert retry_after(recased, wall=NOW) == retry_after(sent, wall=NOW)


@given(st.sampled_from(NAMES), st.lists(st.sampled_from(PIECES), min_size=2, max_size=4), headers)
@settings(max_examples=150, deadline=None)
def test_duplicates_are_read_like_the_line_a_proxy_makes_of_them(
    name: str, told: list[str], others: list[tuple[bytes, bytes]]
) -> None:
    others = [pair for pair in others if pair[0].lower() != name.lower().encode()]
    assume(sum(len(value) + 2 for value in told) <= 8192)  # of a longer field only the head is read
    apart = [(name.encode(), value.encode()) for value in told]
    merged = [(name.encode(), ", ".join(told).encode())]
    assert READER.read(apart + others, wall=NOW) == READER.read(merged + others, wall=NOW)


@given(
    st.integers(-400 * 86400, 400 * 86400),
    st.integers(0, 10**6),
    st.integers(0, 10**6),
    st.sampled_from([(1, ""), (1000, ""), (1, ".5")]),
)
@settings(max_examples=150, deadline=None)
def test_a_later_date_never_puts_an_epoch_reset_farther_off(
    ahead: int, date: int, later: int, form: tuple[int, str]
) -> None:
    scale, decimals = form
    reset = (b"X-RateLimit-Reset", f"{(NOW + ahead) * scale}{decimals}".encode())
    told = [READER.read([dated(NOW + at), reset], wall=0.0).limits for at in (date, date + later)]
    if told[0] and told[1]:
        first, second = told[0][0].reset_in, told[1][0].reset_in
        assert first is not None
        assert second is not None
        assert second <= first


latencies = st.floats(0.0, 2.0)
exchanges = st.lists(st.tuples(st.floats(0.0, 50.0), latencies, latencies), min_size=1, max_size=60)


@given(exchanges, st.floats(-1e9, 1e9), st.floats(0.0, 1e5))
@settings(max_examples=200, deadline=None)
def test_the_clock_always_holds_the_true_offset_of_an_honest_server(
    exchanged: list[tuple[float, float, float]], offset: float, later: float
) -> None:
    clock, sent = ServerClock(), 0.0
    for pause, there, back in exchanged:
        sent += pause
        received = sent + there + back
        clock.observe(float(math.floor(sent + there + offset)), sent, received)
        low, high = clock.offset(received + later) or (math.inf, -math.inf)
        assert low - 1e-6 <= offset <= high + 1e-6


@given(
    st.lists(st.floats(0.01, 0.15), min_size=20, max_size=20),
    st.floats(-1e6, 1e6),
    st.floats(0.13, 0.87),
)
@settings(max_examples=100, deadline=None)
def test_twenty_responses_spread_over_the_second_tell_it_below_a_second(
    round_trips: list[float], offset: float, pause: float
) -> None:
    clock = ServerClock()
    for number, took in enumerate(round_trips):
        sent = number * pause
        clock.observe(float(math.floor(sent + took / 2 + offset)), sent, sent + took)
    low, high = clock.offset(20 * pause) or (-math.inf, math.inf)
    assert high - low < 1.0
