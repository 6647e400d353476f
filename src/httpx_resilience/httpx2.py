"""Everything that is made of httpx2: transports, errors, tokens, and what reads its responses."""

from __future__ import annotations

from collections.abc import Awaitable, Mapping
from typing import overload

import httpx2

from ._async import AsyncTransport
from ._core.dialect.dialect import Dialect
from ._core.dialect.envelope import ErrorInfo
from ._http import results
from ._http.binding import checked_client, checked_response
from ._http.with_httpx2 import (
    ASYNC,
    SYNC,
    ApiError,
    DeadlineExceeded,
    ThrottleTimeout,
    TokenRefused,
    TransportClosed,
)
from ._store.redis import RedisStore
from ._sync import SyncTransport
from ._update import Change, Update
from .auth.grants import Kinds, Through
from .auth.tokens import TokenAuth

__all__ = [
    "ApiError",
    "AsyncResilientTransport",
    "DeadlineExceeded",
    "RedisStore",
    "RefreshToken",
    "ResilientTransport",
    "ThrottleTimeout",
    "TokenRefused",
    "TransportClosed",
    "error_of",
    "raise_for_error",
    "read_change_write",
]


class AsyncResilientTransport(
    AsyncTransport[httpx2.Request, httpx2.Response, httpx2.AsyncBaseTransport],
    httpx2.AsyncBaseTransport,
):
    """Understand, retry and explain the failures of the calls of an ``httpx2.AsyncClient``.

    Args:
        transport: The transport it wraps; an ``httpx2.AsyncHTTPTransport()`` of its own if left
            out. httpx2 ignores the client's ``verify``, ``cert``, ``http2``, ``limits`` and
            ``proxy`` once a transport is given: set them here.
        dialect: How the API speaks; or a map from origin to dialect, for a client of several APIs,
            with ``"*"`` for all others (``GENERIC`` if left out).
        policy: When, how often and for how long failed attempts are repeated.
        budget: A retry budget to draw on instead of one per origin of its own; it may be shared
            with other transports, in other threads.
        identity: From a request to who is calling, for tokens that are rotated: a plain function
            that returns a string or None. By default callers are distinguished by the
            credential that the request carries. Only a keyed hash of it is kept.
        on_event: A plain function, or several, that are given every event of level info or above,
            or a ``Listener``, which names the level itself; they should be quick, and what they
            raise is logged once. ``OpenTelemetry`` (extra ``otel``) is given here, too.
        recover: From error code to an async hook that is given the failure and the request and
            returns the request to send now, or None to stop. What a hook sends while it runs, or a
            task that it started, is not recovered again, but by hooks that the request brings.
        redact: A plain function that a path goes through before it is logged or recorded; see
            ``redact_path``.
        store: What several processes share the server's rate limits by: a ``RedisStore``, with a
            client of the same kind as this transport. Calls never fail because of it.
        peers: How many processes there are that share the limits, this one included, for programs
            without a store: each takes its part. From 1 to 10,000.

    Raises:
        TypeError: An argument is of the wrong type, or an async function where a plain one belongs,
            or the reverse; the message names it and what is allowed.
        ValueError: A code of ``recover`` is in no catalogue, or a key of ``dialect`` no origin.

    Belongs to one event loop, as httpx2's own transports do; in the next one it starts afresh.

    >>> import anyio, httpx2
    >>> async def read() -> int:
    ...     vault = httpx2.MockTransport(lambda request: httpx2.Response(200))
    ...     transport = AsyncResilientTransport(vault)
    ...     async with httpx2.AsyncClient(transport=transport) as client:
    ...         response = await client.get("https://vault.example/v1/secrets/app/db")
    ...     return len(response.extensions["resilience"].attempts)
    >>> anyio.run(read)
    1
    """

    _binding = ASYNC


class ResilientTransport(
    SyncTransport[httpx2.Request, httpx2.Response, httpx2.BaseTransport], httpx2.BaseTransport
):
    """Understand, retry and explain the failures of the calls of an ``httpx2.Client``.

    Serves any number of threads: what they share (budgets, rate limits, the queue) is one, and a
    call that waits is woken by whichever thread makes room. In the child of a fork it starts
    afresh. A thread cannot be cut: a ``deadline`` bounds each operation of an attempt (waiting for
    a connection, connecting, sending, receiving) by the time that is left, so that a call may take
    that much longer, and longer with a server that drips.

    Args:
        transport: The transport it wraps; an ``httpx2.HTTPTransport()`` of its own if left
            out. httpx2 ignores the client's ``verify``, ``cert``, ``http2``, ``limits`` and
            ``proxy`` once a transport is given: set them here.
        dialect: How the API speaks; or a map from origin to dialect, for a client of several APIs,
            with ``"*"`` for all others (``GENERIC`` if left out).
        policy: When, how often and for how long failed attempts are repeated.
        budget: A retry budget to draw on instead of one per origin of its own; it may be shared
            with other transports, in other threads.
        identity: From a request to who is calling, for tokens that are rotated: a plain function
            that returns a string or None. By default callers are distinguished by the
            credential that the request carries. Only a keyed hash of it is kept.
        on_event: A plain function, or several, that are given every event of level info or above,
            or a ``Listener``, which names the level itself; they should be quick, and what they
            raise is logged once. They are called outside of all locks. ``OpenTelemetry`` (extra
            ``otel``) is given here, too.
        recover: From error code to a plain hook that is given the failure and the request and
            returns the request to send now, or None to stop. What a hook sends while it runs is not
            recovered again, but by hooks that the request brings.
        redact: A plain function that a path goes through before it is logged or recorded; see
            ``redact_path``.
        store: What several processes share the server's rate limits by: a ``RedisStore``, with a
            client of the same kind as this transport. Calls never fail because of it.
        peers: How many processes there are that share the limits, this one included, for programs
            without a store: each takes its part. From 1 to 10,000.

    Raises:
        TypeError: An argument is of the wrong type, or an async function where a plain one belongs,
            or the reverse; the message names it and what is allowed.
        ValueError: A code of ``recover`` is in no catalogue, or a key of ``dialect`` no origin.

    >>> import httpx2
    >>> vault = httpx2.MockTransport(lambda request: httpx2.Response(200))
    >>> with httpx2.Client(transport=ResilientTransport(vault)) as client:
    ...     response = client.get("https://vault.example/v1/secrets/app/db")
    >>> len(response.extensions["resilience"].attempts)
    1
    """

    _binding = SYNC


class _AsyncThrough(Through, httpx2.AsyncBaseTransport):
    pass


class _SyncThrough(Through, httpx2.BaseTransport):
    pass


class RefreshToken(
    TokenAuth[httpx2.Request, httpx2.Response, httpx2.AsyncClient | httpx2.Client], httpx2.Auth
):
    """Authenticate by a bearer token, and renew it before it expires or when the server says so.

    For ``httpx2.AsyncClient(auth=...)`` and ``httpx2.Client(auth=...)``, over any transport, in any
    number of threads. A hundred calls that find the token
    expired make one renewal. Over a transport of ours, a call that waited in a queue goes
    out with the token of the moment, and the rate-limit scope stays the same across renewals.

    A fetch that fails fails all calls that were waiting for it; the next new call tries again. A
    renewal ahead of expiry that fails costs no call: the good token is used until it expires, and
    the next renewal is tried a second later. A call that brings a policy with a ``deadline`` waits
    no longer than that for a token; the transport's own policy is not known here, so where that
    has a ``deadline``, set ``fetch_timeout``, too.

    Args:
        fetch: A function that returns a token, or a token and its lifetime in seconds: an async one
            for ``AsyncClient``, a plain one for ``Client``.
        origins: The servers that may see the token, such as ``"https://vault.example"``; a
            redirect elsewhere never gets it.
        identity: Who this is, for the rate-limit scope; a name of its own if left out. Two
            instances with the same name share a scope.
        ahead: Seconds before its expiry at which a token is renewed; at most a tenth of its
            lifetime is taken.
        fetch_timeout: Seconds that a fetch may take, above 0; then it is cancelled, and the calls
            fail with ``httpx2.TimeoutException``. A renewal ahead of expiry gets half of the time
            that its token is still good, if that is less. A plain function cannot be cancelled, but
            no other call waits for it any longer.
        clock: Monotonic seconds.

    Raises:
        TypeError: ``fetch`` cannot be called, or is an async generator. At the first call: it is an
            async function and the client a ``Client``, or the reverse.
        ValueError: ``origins`` is empty or holds something else than origins.

    >>> async def fetch() -> str:
    ...     return "a token"
    >>> RefreshToken(fetch, origins=["https://vault.example"])
    <RefreshToken for https://vault.example>
    """

    _kinds = Kinds(
        ASYNC, SYNC, AsyncResilientTransport, ResilientTransport, _AsyncThrough, _SyncThrough
    )


def error_of(response: httpx2.Response, *, dialect: Dialect | None = None) -> ErrorInfo | None:
    """Return what an error response says of itself, or None if it says no code.

    Works on any ``httpx2.Response``. One that came through a transport of ours need not be read
    first: its body was looked at already, unless it is a stream of server-sent events.

    Args:
        response: Any response; a success gives None, unless the dialect says that the API sends
            errors with status 200, too (``Envelope.errors_in_success``).
        dialect: How the API speaks; by default the dialect of the transport that it came
            through, else ``SCAIVAULT``.

    Raises:
        httpx2.ResponseNotRead: It is an error that came from elsewhere, as a stream not yet read.

    >>> body = {"error": {"code": "policy_not_found", "message": "no policy 7"}}
    >>> info = error_of(httpx2.Response(404, json=body))
    >>> info.code, info.message, info.spec.advice
    ('policy_not_found', 'no policy 7', "Check the policy's id.")
    """
    return results.error_of(checked_response(response, ASYNC), dialect)


def raise_for_error(response: httpx2.Response) -> httpx2.Response:
    """Return a response that is no error; raise ``ApiError`` for one that is.

    The error's text has status, code, meaning, advice and attempts, never the server's message or
    details, which may hold secrets: those are in ``.info``.

    Args:
        response: A response that knows its request, as every response of a client does.

    Raises:
        ApiError: The status is 4xx or 5xx, or the body of a success holds an error of a dialect
            that has such. A subclass of ``httpx2.HTTPStatusError``.
        RuntimeError: The response has no request.

    >>> raise_for_error(httpx2.Response(204, request=httpx2.Request("GET", "https://vault.example")))
    <Response [204 No Content]>
    """
    results.raise_for_error(checked_response(response, ASYNC), ASYNC.errors)
    return response


@overload
def read_change_write(
    client: httpx2.AsyncClient,
    url: str,
    change: Change,
    *,
    code: str = ...,
    headers: Mapping[str, str] | None = ...,
) -> Awaitable[httpx2.Response]: ...


@overload
def read_change_write(
    client: httpx2.Client,
    url: str,
    change: Change,
    *,
    code: str = ...,
    headers: Mapping[str, str] | None = ...,
) -> httpx2.Response: ...


def read_change_write(
    client: httpx2.AsyncClient | httpx2.Client,
    url: str,
    change: Change,
    *,
    code: str = "version_conflict",
    headers: Mapping[str, str] | None = None,
) -> Awaitable[httpx2.Response] | httpx2.Response:
    """Fetch a document, change it and write it back; on a conflict, re-read, re-apply and retry.

    The attempts are those of one call: bounded by the policy's backoff for ``CONFLICT`` and by
    ``max_attempts``, spaced by its jitter, logged as its retries. Inside a recovery hook it works
    as elsewhere.

    Args:
        client: A client over a transport of ours, of either kind; over another nothing is retried,
            which the first conflict says.
        url: Of the document, for GET and PUT.
        change: From the document (parsed JSON) to the body of the PUT, which should name the
            version that it was made from; may be async for an ``AsyncClient``. It may run more
            than once.
        code: The error code that says that somebody else was faster.
        headers: For both requests.

    Returns:
        The response to the last PUT, be it a success or not: pass it to ``raise_for_error``. For an
        ``AsyncClient`` it is to be awaited.

    Raises:
        ApiError: The document could not be read.
        RuntimeError: There was a conflict, and the client is not over a transport of ours: the
            document was not written.
        TypeError: The client is one of another library.

    >>> import anyio, httpx2
    >>> from httpx_resilience.httpx2 import AsyncResilientTransport
    >>> from httpx_resilience.testing import FakeScaiVault
    >>> def count_up(current):
    ...     return {"value": current["value"] + 1, "cas": current["version"]}
    >>> async def main() -> int:
    ...     vault = httpx2.ASGITransport(FakeScaiVault(anonymous=True))
    ...     transport = AsyncResilientTransport(vault)
    ...     async with httpx2.AsyncClient(transport=transport, base_url="http://vault") as client:
    ...         await client.put("/v1/secrets/hits", json={"value": 1})
    ...         written = await read_change_write(client, "/v1/secrets/hits", count_up)
    ...         return (await client.get("/v1/secrets/hits")).json()["value"]
    >>> anyio.run(main)
    2
    """
    update = Update(client, url, change, code, headers)
    if isinstance(client, httpx2.AsyncClient):
        written: Awaitable[httpx2.Response] = update.run_async(ASYNC)
        return written
    now: httpx2.Response = update.run(checked_client(client, SYNC))
    return now
