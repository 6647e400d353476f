"""httpx ↔ core: Call from Request, Trouble from exception. Nothing else knows httpx's classes."""

import os
import ssl
from collections.abc import Callable

import httpx

from ._body import OneShotStream, replayable
from ._core.catalog import TOKEN
from ._core.dialect import Dialect
from ._core.outcome import Call, Trouble

_IDEMPOTENCY_KEY = "Idempotency-Key"
_KEYED_METHODS = ("POST", "PATCH")
_REFUSED_STREAM = 7
"""HTTP/2 error code: the stream was not processed at all (RFC 9113, section 7)."""

_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout)
_PERHAPS_SENT = (
    httpx.ReadError,
    httpx.ReadTimeout,
    httpx.WriteError,
    httpx.WriteTimeout,
    httpx.CloseError,
    httpx.RemoteProtocolError,
)


def new_id() -> str:
    """Return an id of 32 hexadecimal digits, unlike any other."""
    return os.urandom(16).hex()


def origin_of(url: httpx.URL) -> str:
    """Return ``scheme://host:port``, without userinfo; the scheme's own port may be left out.

    >>> origin_of(httpx.URL("https://user:pw@vault.example/v1?q=1"))
    'https://vault.example'
    """
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def call_of(
    request: httpx.Request,
    origin: str,
    dialect: Dialect,
    order: int,
    redact: Callable[[str], str] | None = None,
) -> Call:
    """Return what the core knows of a request: a new call."""
    rules, method = dialect.requests, request.method
    path = request.url.raw_path.partition(b"?")[0].decode("ascii")
    keyed = _IDEMPOTENCY_KEY in request.headers
    if rules.idempotency_header is not None:
        keyed = keyed or rules.idempotency_header in request.headers or method in _KEYED_METHODS
    return Call(
        call_id=new_id(),
        method=method if TOKEN.fullmatch(method) else "invalid",
        origin=origin,
        path=path,
        has_idempotency_key=keyed,
        redact=redact,
        order=order,
        cost=rules.cost_of(method, path),
    )


def prepare(
    request: httpx.Request, call: Call, dialect: Dialect, *, is_changed: bool = False
) -> tuple[httpx.Request, Callable[[], bool]]:
    """Return the request to send, and whether it can be sent (again) now.

    It bears the ids that the dialect wants. The user's own request is never changed: what is
    added goes onto a copy; so does what the driver changes later (``is_changed``).
    """
    stream: httpx.AsyncByteStream
    if isinstance(request.stream, OneShotStream):  # a recovery hook returned what it was given
        stream, is_replayable = request.stream, request.stream.is_replayable
    else:
        stream, is_replayable = replayable(request.stream)
    rules, headers = dialect.requests, request.headers
    added: list[tuple[str, str]] = []
    if rules.request_id_header is not None and rules.request_id_header not in headers:
        added.append((rules.request_id_header, call.call_id))
    key = rules.idempotency_header
    is_unkeyed = key is not None and key not in headers and _IDEMPOTENCY_KEY not in headers
    if key is not None and is_unkeyed and request.method in _KEYED_METHODS:
        added.append((key, new_id()))
    if added or is_changed or stream is not request.stream:
        request = _copy(request, stream, added)
    return request, is_replayable


def _copy(
    request: httpx.Request, stream: httpx.AsyncByteStream, added: list[tuple[str, str]]
) -> httpx.Request:
    # httpx.Request has no public copy: its constructor would add headers, copy.copy drop the body.
    clone = httpx.Request.__new__(httpx.Request)
    clone.__dict__.update(request.__dict__)
    clone.headers = httpx.Headers(request.headers)
    clone.extensions = dict(request.extensions)
    for name, value in added:
        clone.headers[name] = value
    clone.stream = stream
    return clone


def trouble_of(error: Exception) -> Trouble:
    """Return what an exception of the inner transport means for a retry (DESIGN 6).

    >>> trouble_of(httpx.ConnectTimeout("")).sent
    False
    """
    name = type(error).__name__
    if isinstance(error, _NEVER_SENT):
        return Trouble(name, connection=not _is_certificate_failure(error), sent=False)
    if isinstance(error, _PERHAPS_SENT):
        return Trouble(name, connection=True, sent=not _is_refused_stream(error))
    return Trouble(name, connection=False, sent=False)


def _is_certificate_failure(error: BaseException) -> bool:
    return any(isinstance(e, ssl.SSLCertVerificationError) for e in _causes(error))


def _is_refused_stream(error: BaseException) -> bool:
    # httpcore passes h2's StreamReset event as the argument of its own RemoteProtocolError.
    return any(
        getattr(argument, "error_code", None) == _REFUSED_STREAM
        for cause in _causes(error)
        for argument in cause.args
    )


def _causes(error: BaseException) -> list[BaseException]:
    chain: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in chain and len(chain) < 16:
        chain.append(link)
        link = link.__cause__ or link.__context__
    return chain
