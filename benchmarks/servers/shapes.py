"""Seven shapes of rate-limit headers, as servers send them, in responses of fifteen fields each.

The limits behind them are the simulations' model servers, so that what is left goes down and up
again, and resets move, as they do in earnest; none is ever used up. The client makes about a
hundred calls a second, at irregular intervals.
"""

import asyncio
import itertools
import math
import random
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate

import httpx

from simulation.servers import FixedWindow, Limiter, TokenBucket

from ..harness.virtual import ServerTime
from .vault import BODY, Headers

FIELDS = 15
RATE = 100.0
"""Calls a second, on average."""
_WINDOW = 5.0

LimitHeaders = Callable[[float], Headers]
"""Count a call at a time of the event loop's clock; return what the response says of limits."""

_OTHERS: Headers = [
    (b"Content-Type", b"application/json"),
    (b"Content-Length", str(len(BODY)).encode()),
    (b"Server", b"nginx"),
    (b"Connection", b"keep-alive"),
    (b"Cache-Control", b"no-store"),
    (b"Vary", b"Accept-Encoding"),
    (b"Strict-Transport-Security", b"max-age=31536000; includeSubDomains"),
    (b"X-Content-Type-Options", b"nosniff"),
    (b"X-Frame-Options", b"DENY"),
    (b"Referrer-Policy", b"no-referrer"),
    (b"Content-Security-Policy", b"default-src 'none'"),
    (b"Access-Control-Allow-Origin", b"*"),
    (b"Via", b"1.1 edge"),
]


def _fixed(limit: int) -> FixedWindow:
    return FixedWindow(limit, _WINDOW, aligned=True)


def _none() -> LimitHeaders:
    return lambda now: []


def _epoch(limit: int, limiter: Limiter) -> LimitHeaders:
    def headers(now: float) -> Headers:
        answer = limiter.take(now)
        return [
            (b"X-RateLimit-Limit", b"%d" % limit),
            (b"X-RateLimit-Remaining", b"%d" % answer.remaining),
            (b"X-RateLimit-Reset", b"%d" % math.ceil(ServerTime.EPOCH + answer.reset)),
        ]

    return headers


def _delta() -> LimitHeaders:
    limiter = _fixed(2000)

    def headers(now: float) -> Headers:
        answer = limiter.take(now)
        return [
            (b"RateLimit-Limit", b"2000"),
            (b"RateLimit-Remaining", b"%d" % answer.remaining),
            (b"RateLimit-Reset", b"%d" % math.ceil(answer.reset - now)),
        ]

    return headers


def _github() -> LimitHeaders:
    three = _epoch(5000, limiter := _fixed(5000))

    def headers(now: float) -> Headers:
        return [
            *three(now),
            (b"X-RateLimit-Used", b"%d" % limiter.count),
            (b"X-RateLimit-Resource", b"core"),
        ]

    return headers


def _structured() -> LimitHeaders:
    limiter = _fixed(2000)

    def headers(now: float) -> Headers:
        answer = limiter.take(now)
        left = (answer.remaining, math.ceil(answer.reset - now))
        return [
            (b"RateLimit", b'"default";r=%d;t=%d' % left),
            (b"RateLimit-Policy", b'"default";q=2000;w=%d' % _WINDOW),
        ]

    return headers


def _llm() -> LimitHeaders:
    """Requests, and tokens of which a call takes 250; both refilled all the time."""
    requests, tokens = TokenBucket(12_000, 120.0, full=True), TokenBucket(36_000, 360.0, full=True)
    each = 250

    def headers(now: float) -> Headers:
        calls, words = requests.take(now), tokens.take(now)
        return [
            (b"x-ratelimit-limit-requests", b"%d" % requests.limit),
            (b"x-ratelimit-remaining-requests", b"%d" % calls.remaining),
            (b"x-ratelimit-reset-requests", duration(calls.reset - now)),
            (b"x-ratelimit-limit-tokens", b"%d" % (tokens.limit * each)),
            (b"x-ratelimit-remaining-tokens", b"%d" % (words.remaining * each)),
            (b"x-ratelimit-reset-tokens", duration(words.reset - now)),
        ]

    return headers


def duration(seconds: float) -> bytes:
    """Return a duration as programs in Go write it.

    >>> duration(0.12), duration(1.5), duration(360.0)
    (b'120ms', b'1.5s', b'6m0s')
    """
    if seconds < 1:
        return b"%dms" % math.ceil(seconds * 1000)
    minutes, rest = divmod(seconds, 60)
    return (f"{minutes:.0f}m" if minutes else "").encode() + f"{round(rest, 3):g}s".encode()


SHAPES: dict[str, Callable[[], LimitHeaders]] = {
    "none": _none,
    "epoch": lambda: _epoch(2000, _fixed(2000)),
    "token bucket": lambda: _epoch(2000, TokenBucket(2000, 2000 / RATE, full=True)),
    "delta": _delta,
    "github": _github,
    "structured": _structured,
    "llm": _llm,
}
"""How each is made, by name."""


class ShapedServer(httpx.AsyncBaseTransport):
    """Answers 200 with the headers of a shape, made beforehand by ``stock``."""

    def __init__(self, shape: str) -> None:
        self._limits = SHAPES[shape]()
        self._numbers = itertools.count()
        self._headers: Iterator[Headers] = iter(())

    def stock(self, gaps: Sequence[float]) -> None:
        """Make the headers of the next responses, these seconds apart, from now on."""
        start = asyncio.get_running_loop().time()
        times = itertools.accumulate(gaps, initial=start)
        self._headers = iter([self._all(now) for now in itertools.islice(times, 1, None)])

    def _all(self, now: float) -> Headers:
        date = formatdate(math.floor(ServerTime.EPOCH + now), usegmt=True).encode()
        own = [
            (b"Date", date),
            (b"X-Request-Id", b"req_%010d" % next(self._numbers)),
            *self._limits(now),
        ]
        return own + _OTHERS[: FIELDS - len(own)]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Answer."""
        return httpx.Response(200, headers=next(self._headers), stream=httpx.ByteStream(BODY))


def intervals(calls: int, seed: int = 0) -> list[float]:
    """Return the seconds before each call."""
    rand = random.Random(seed)
    return [rand.expovariate(RATE) for _ in range(calls)]
