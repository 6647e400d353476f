"""What a caller gets for each way in which a server can fail: the table, as data."""

import gzip
from dataclasses import dataclass

import zstandard

from httpx_resilience import GENERIC, SCAIVAULT, Dialect
from support.faults import (
    CHUNKED,
    GOOD,
    Fault,
    closing,
    dripping,
    envelope,
    half_closing,
    pouring,
    resetting,
    response,
    says,
    stalling,
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One way to fail, and what is to come of it.

    Attributes:
        script: What the server does to attempt 1, 2 and so on; its last line again for the rest.
        ending: The status of the response, or the name of the exception, that the caller gets.
        attempts: How often the request is sent in all.
        code: What ``error_of`` finds.
        reason: Why the call ends, as its history says.
        reading: What the caller meets when reading the body: the name of an exception, ``"whole"``,
            or ``"unread"`` where reading it is at the caller's own risk.
        reused: Attempt 1 goes over a connection that has served before.
        read_timeout: Seconds.
        memory: Bytes that Python may allocate meanwhile, the server's side included.
        on_trio: It is tried on Trio as well.
        slow: It takes its time, and is not tried again for its memory.
    """

    script: tuple[Fault, ...]
    ending: int | str = 503
    attempts: int = 3
    code: str | None = None
    reason: str = "attempts_exhausted"
    reading: str = "whole"
    method: str = "GET"
    content: bytes | None = None
    dialect: Dialect = SCAIVAULT
    reused: bool = True
    read_timeout: float = 2.0
    memory: int = 8 * 2**20
    on_trio: bool = False
    slow: bool = False


UNAVAILABLE = response(503, envelope("service_unavailable"))
LARGE = b"<html>" + b"x" * 300_000
REFUSAL = response(429, envelope("rate_limited"), "Connection: close")
UPLOAD = bytes(5_000_000)
"""More than the socket's buffers hold."""

NESTED = b'{"error": {"code": "rate_limited"}, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
ESCAPED = b'{"x": [' + b"[]," * 200 + b'"' + b'\\"' * 120_000
"""Brackets enough to count, and a string that is never closed but has many quotes."""


def _connections() -> dict[str, Case]:
    return {
        "reset on accept": Case(
            script=(Fault(resetting, "accepted"),), ending="ReadError", reused=False
        ),
        "reset before the headers": Case(
            script=(Fault(resetting),), ending="ReadError", on_trio=True
        ),
        "reset within the headers": Case(
            script=(says(UNAVAILABLE[:30], then=resetting),), ending="ReadError"
        ),
        "reset within the body": Case(
            script=(says(response(503, LARGE)[:500], then=resetting),), reading="ReadError"
        ),
        "half-closed before the headers": Case(
            script=(Fault(half_closing),), ending="RemoteProtocolError"
        ),
        "half-closed within the headers": Case(
            script=(says(UNAVAILABLE[:30], then=half_closing),), ending="RemoteProtocolError"
        ),
        "half-closed within the body": Case(
            script=(says(UNAVAILABLE[:-10], then=half_closing),),
            reading="RemoteProtocolError",
            on_trio=True,
        ),
        "a reused connection is closed without an answer": Case(
            script=(Fault(closing), GOOD), ending=200, attempts=2, reason="success", on_trio=True
        ),
        "a reused connection is reset without an answer": Case(
            script=(Fault(resetting), GOOD), ending=200, attempts=2, reason="success"
        ),
        "a reused connection is closed upon a POST": Case(
            script=(Fault(closing),),
            ending="RemoteProtocolError",
            attempts=1,
            reason="not_idempotent",
            method="POST",
            content=b"{}",
        ),
        "a status line of garbage": Case(
            script=(says(b"\x00\xff what is this\r\n\r\n", then=closing),),
            ending="RemoteProtocolError",
        ),
        "two lengths that contradict": Case(
            script=(says(response(503, b"ab", "Content-Length: 3"), then=closing),),
            ending="RemoteProtocolError",
        ),
        "silence": Case(
            script=(Fault(stalling),),
            ending="ReadTimeout",
            read_timeout=0.1,
            on_trio=True,
            slow=True,
        ),
        "an early 429 to a large upload": Case(
            script=(says(REFUSAL, then=half_closing, when="head"), GOOD),
            ending=200,
            attempts=2,
            reason="success",
            method="POST",
            content=UPLOAD,
            memory=24 * 2**20,  # both sides' buffers hold the upload, some of them twice
            on_trio=True,
        ),
        # anyio reads nothing on asyncio while it writes, and RST makes the kernel forget the 429.
        "an early 429 to a large upload, and a reset": Case(
            script=(says(REFUSAL, then=resetting, when="head"),),
            ending="ReadError",
            attempts=1,
            reason="not_idempotent",
            method="POST",
            content=UPLOAD,
            memory=24 * 2**20,
        ),
    }


def _bodies() -> dict[str, Case]:
    gzipped, zstd = "Content-Encoding: gzip", "Content-Encoding: zstd"
    bomb = bytes(64 * 2**20)
    return {
        "a truncated body of chunks": Case(
            script=(says(CHUNKED + b"40\r\n<html>", then=closing),),
            reading="RemoteProtocolError",
        ),
        "a whole envelope in a truncated body": Case(
            script=(
                says(
                    CHUNKED + b"80\r\n" + envelope("feature_disabled").ljust(0x80) + b"\r\n",
                    then=closing,
                ),
            ),
            attempts=1,
            code="feature_disabled",
            reason="permanent",
            reading="RemoteProtocolError",
        ),
        "a truncated success": Case(
            script=(says(response(200, b"ab", length=9), then=closing),),
            ending=200,
            attempts=1,
            reason="success",
            reading="RemoteProtocolError",
        ),
        "a stall within the body": Case(
            script=(says(UNAVAILABLE[:-10], then=stalling),),
            reading="ReadTimeout",
            read_timeout=0.1,
            on_trio=True,
            slow=True,
        ),
        "a drip of one byte a second": Case(
            script=(says(CHUNKED, then=dripping(b"1\r\nx\r\n", 1.0)), GOOD),
            ending=200,
            attempts=2,
            reason="success",
            slow=True,
        ),
        "a gzip bomb": Case(
            script=(says(response(503, gzip.compress(bomb, 1), gzipped)),), reading="unread"
        ),
        "a zstd bomb": Case(
            script=(says(response(503, zstandard.compress(bomb, 1), zstd)),), reading="unread"
        ),
        "sixteen thousand content encodings": Case(
            script=(says(response(503, b"", zstd + ", zstd" * 16_000)),), reading="unread"
        ),
        "an endless body": Case(
            script=(says(CHUNKED, then=pouring),), reading="unread", on_trio=True
        ),
        "a body that is no gzip": Case(
            script=(says(response(503, envelope("feature_disabled"), gzipped)),),
            reading="DecodingError",
        ),
        "invalid UTF-8": Case(
            script=(says(response(503, envelope("feature_disabled")[:-2] + b'"\xff": 1}}')),)
        ),
        "a hundred thousand levels of JSON": Case(script=(says(response(503, NESTED)),)),
        "a hundred thousand levels of JSON, compressed": Case(
            script=(says(response(503, gzip.compress(NESTED), gzipped)),), on_trio=True
        ),
        "an open string of escaped quotes": Case(script=(says(response(503, ESCAPED)),)),
        "an open string of escaped quotes, compressed": Case(
            script=(says(response(503, gzip.compress(ESCAPED), gzipped)),)
        ),
        "a quarter of a megabyte of brackets, compressed": Case(
            script=(says(response(503, gzip.compress(b'{"x":[' + b"[]," * 87_000), gzipped)),)
        ),
        "a number of 5,000 digits": Case(
            script=(
                says(response(503, b'{"error": {"code": "feature_disabled", "n": %s}}' % _DIGITS)),
            )
        ),
        "a number of 5,000 digits as a wait": Case(
            script=(says(response(503, b'{"error": {"code": "x"}, "retry_after": %s}' % _DIGITS)),)
        ),
    }


_DIGITS = b"9" * 5_000

WRONG_TYPES = {
    "error: a number": b'{"error": 5}',
    "error: null": b'{"error": null}',
    "error: a list": b'{"error": [{"code": "feature_disabled"}]}',
    "code: a number": envelope(404),
    "code: null": envelope(None),
    "code: an object": envelope({"code": "feature_disabled"}),
    "code: a list": envelope(["feature_disabled"]),
    "code: empty": envelope(""),
    "a list": b'[{"error": {"code": "feature_disabled"}}]',
    "a string": b'"feature_disabled"',
    "a number": b"503",
    "true": b"true",
    "NaN": b"NaN",
}
"""Bodies without a code that could be believed."""


def _envelopes() -> dict[str, Case]:
    cases = {
        f"wrong types, {dialect.name}: {name}": Case(
            script=(says(response(503, body)),),
            dialect=dialect,
            code="5" if (dialect.name, name) == ("generic", "error: a number") else None,
        )
        for dialect in (SCAIVAULT, GENERIC)
        for name, body in WRONG_TYPES.items()
        if (dialect.name, name) != ("generic", "error: a list")
    }
    odd = envelope("service_unavailable", message=7, details=[1], request_id={"a": 1})
    surrogate = b'{"error": {"code": "\\ud800"}}'
    return cases | {
        "wrong types beside a code": Case(
            script=(says(response(503, odd)),), code="service_unavailable"
        ),
        "a lone surrogate for a code": Case(
            script=(says(response(503, surrogate)),),
            attempts=1,
            code="\ud800",
            reason="permanent",
        ),
    }


def _headers() -> dict[str, Case]:
    lines = [f"X-{n:x}:" for n in range(5_000)]
    return {
        "a header of 100 kB": Case(
            script=(says(response(503, b"", "RateLimit: " + "1," * 50_000)),)
        ),
        "a Retry-After of 100 kB": Case(
            script=(says(response(503, b"", "Retry-After: " + "1" * 100_000)),)
        ),
        "a header of more than h11 takes": Case(
            script=(says(response(503, b"", "RateLimit: " + "1," * 150_000)),),
            ending="RemoteProtocolError",
        ),
        "5,000 headers": Case(script=(says(response(503, b"", *lines)),)),
        "4,500 rate-limit headers": Case(
            script=(says(response(503, b"", *(["X-RateLimit-Limit: 1"] * 4_500))),)
        ),
    }


CASES = _connections() | _bodies() | _envelopes() | _headers()


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is to come of the values of ``Retry-After`` in a 503.

    Attributes:
        attempts: How often the request is sent in all.
        reason: Why the call ends.
        source: Where the waits come from, if there are any.
        tells_when: The history names the time to come back.
    """

    values: tuple[str, ...]
    attempts: int = 3
    reason: str = "attempts_exhausted"
    source: str | None = "backoff"
    tells_when: bool = False


def _too_long(*values: str, tells_when: bool = False) -> Asked:
    return Asked(
        values=values,
        attempts=1,
        reason="retry_after_too_long",
        source=None,
        tells_when=tells_when,
    )


def _obeyed(*values: str) -> Asked:
    return Asked(values=values, source="retry_after")


RETRY_AFTERS = {
    "nan": Asked(values=("nan",)),
    "infinity": Asked(values=("inf",)),
    "an exponent": Asked(values=("1e400",)),
    "negative": Asked(values=("-5",)),
    "empty": Asked(values=("",)),
    "5,000 digits": Asked(values=("9" * 5_000,)),
    "2^63": _too_long(str(2**63)),
    "the year 9999": _too_long("Fri, 31 Dec 9999 23:59:59 GMT"),
    "the year 1": Asked(values=("Mon, 01 Jan 0001 00:00:00 GMT",)),
    "an hour": _too_long("3600", tells_when=True),
    "twice, the longer last": _obeyed("0.01", "0.02"),
    "twice, the longer first": _obeyed("0.02", "0.01"),
    "twice, the longer too long": _too_long("0.01", "3600", tells_when=True),
    "twice, one of them unreadable": _obeyed("nan", "0.02"),
}
