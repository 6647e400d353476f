"""A request → ``Call``, and the request that is really sent. This runs for every request."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

from .._core.dialect.catalog import TOKEN
from .._core.dialect.dialect import Dialect
from .._core.dialect.document import Contents
from .._core.dialect.requests import RequestCost, RequestRules
from .._core.outcome import Call, make_call
from .binding import Binding
from .bodies import always, replayable
from .fast import Triple, copy_of, triples_of
from .identity import hashed

if TYPE_CHECKING:
    from . import typed as http

_IDEMPOTENCY_KEY = "Idempotency-Key"
_KEYED_METHODS = ("POST", "PATCH")
_USUAL_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "PUT", "POST", "PATCH"})
_FRAMING = frozenset({b"content-length", b"transfer-encoding"})  # RFC 9112, section 6
_AUTHORIZATION, _API_KEY, _ID, _KEY = range(4)
_PLAIN = re.compile(r"[A-Za-z0-9_.:/-]{1,64}")


class RequestHeaders(NamedTuple):
    """What a call needs of its request's headers.

    Attributes:
        authorization: The header's value, or None.
        api_key: The value of ``X-Api-Key``, or None.
        has_id: It bears a request id.
        has_key: It bears an ``Idempotency-Key``, or the dialect's own such header.
    """

    authorization: bytes | None = None
    api_key: bytes | None = None
    has_id: bool = False
    has_key: bool = False

    def __repr__(self) -> str:
        return f"<RequestHeaders has_id={self.has_id} has_key={self.has_key}>"


ANONYMOUS = tuple(
    tuple(RequestHeaders(has_id=has_id, has_key=has_key) for has_key in (False, True))
    for has_id in (False, True)
)
"""What is seen but for credentials, by ``has_id`` and ``has_key``; calls that wait share it."""


class RequestHeaderReader:
    """Looks at requests' headers, as a dialect wants it; it keeps nothing of them."""

    __slots__ = ("_roles",)

    def __init__(self, dialect: Dialect) -> None:
        rules = dialect.requests
        self._roles = {b"authorization": _AUTHORIZATION, b"x-api-key": _API_KEY}
        for name, role in (
            (rules.request_id_header, _ID),
            (rules.idempotency_header, _KEY),
            (_IDEMPOTENCY_KEY, _KEY),
        ):
            if name is not None:
                self._roles.setdefault(name.lower().encode("ascii"), role)

    def __call__(self, request: http.Request) -> RequestHeaders:
        """Return what a request's headers say."""
        roles = self._roles
        authorization = api_key = None
        has_id = has_key = False
        for _, name, value in triples_of(request.headers):
            if name in roles:
                role = roles[name]
                if role == _AUTHORIZATION:
                    authorization = value
                elif role == _API_KEY:
                    api_key = value
                elif role == _ID:
                    has_id = True
                else:
                    has_key = True
        return RequestHeaders(authorization, api_key, has_id, has_key)


def new_id() -> str:
    """Return an id of 32 hexadecimal digits, unlike any other."""
    return os.urandom(16).hex()


def origin_of(url: http.URL) -> str:
    """Return ``scheme://host:port``, without userinfo; the scheme's own port may be left out.

    >>> import httpx
    >>> origin_of(httpx.URL("https://user:pw@vault.example/v1?q=1"))
    'https://vault.example'
    """
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


def new_call(
    request: http.Request,
    path: str,
    origin: str,
    dialect: Dialect,
    order: int,
    redact: Callable[[str], str] | None,
    seen: RequestHeaders,
    hashed: Callable[[bytes], str] = hashed,
) -> Call:
    """Return what the core knows of a request: a new call."""
    rules, method = dialect.requests, request.method
    has_key = seen.has_key
    if rules.idempotency_header is not None:
        has_key = has_key or method in _KEYED_METHODS
    safe_method = method if method in _USUAL_METHODS or TOKEN.fullmatch(method) else "invalid"
    if rules.is_plain:
        given = new_id(), safe_method, origin, path, has_key, redact, order, 1, None, None
        return make_call(given)
    counted = _counted(request, rules, path, hashed)
    return make_call((new_id(), safe_method, origin, path, has_key, redact, order, *counted))


def _counted(
    request: http.Request, rules: RequestRules, path: str, hashed: Callable[[bytes], str]
) -> tuple[int, Mapping[str, int] | None, str | None]:
    """Return what a request counts as: of requests, of other units, and against which budget."""
    try:
        body: bytes | None = request.content
    except RuntimeError:  # it is a stream, which is read when it is sent
        body = None
    said = rules.spending_of(request, request.method, path, Contents(body))
    return said.cost, said.units, category_name(said, hashed)


def category_name(said: RequestCost, hashed: Callable[[bytes], str] = hashed) -> str | None:
    """Return a budget's name with what distinguishes it; with its hash, where it is no plain word.

    >>> category_name(RequestCost("chat", "gpt-5"))
    'chat:gpt-5'
    """
    value = said.value
    if said.category is None or value is None:
        return said.category
    return f"{said.category}:{value if _PLAIN.fullmatch(value) else hashed(value.encode())}"


def prepare(
    binding: Binding,
    request: http.Request,
    call: Call,
    dialect: Dialect,
    seen: RequestHeaders,
    *,
    is_changed: bool = False,
) -> tuple[http.Request, Callable[[], bool]]:
    """Return the request to send, and whether it can be sent (again) now.

    It bears the ids that the dialect wants. The user's own request is never changed: what is
    added goes onto a copy; so does what the driver changes later (``is_changed``).
    """
    given, rules = request.stream, dialect.requests
    stream: http.AsyncByteStream | http.SyncByteStream
    if type(given) is binding.byte_stream:  # as most are
        stream, is_replayable = given, always
    else:
        is_framed = any(name in _FRAMING for _, name, _ in triples_of(request.headers))
        stream, is_replayable = replayable(given, binding, is_framed=is_framed)
    added: list[Triple] = []
    name = rules.request_id_header
    if name is not None and not seen.has_id:
        added.append((*_raw(name), call.call_id.encode("ascii")))
    key = rules.idempotency_header
    if key is not None and not seen.has_key and request.method in _KEYED_METHODS:
        added.append((*_raw(key), new_id().encode("ascii")))
    if added or is_changed or stream is not given:
        request = copy_of(request, stream, added)
    return request, is_replayable


@lru_cache(maxsize=64)  # of names that dialects give, a handful
def _raw(name: str) -> tuple[bytes, bytes]:
    raw = name.encode("ascii")
    return raw, raw.lower()
