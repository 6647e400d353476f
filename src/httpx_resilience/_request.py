"""httpx.Request → Call, and the request that is really sent.

This runs for every request, so its headers are gone through once, and a name is recognised by one
dictionary lookup of its raw bytes, once it has been seen.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import httpx

from ._body import OneShotStream, always, replayable
from ._core.catalog import TOKEN
from ._core.dialect import Dialect
from ._core.outcome import Call, make_call
from ._core.tuples import maker

_IDEMPOTENCY_KEY = "Idempotency-Key"
_KEYED_METHODS = ("POST", "PATCH")
_USUAL_METHODS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE", "PUT", "POST", "PATCH"})
_MAX_NAMES = 1024
"""Header names, and origins, that are remembered before that starts anew."""

_HAS_LIST = getattr(httpx.Headers({"A-b": "c"}), "_list", None) == [(b"A-b", b"a-b", b"c")]
"""Whether httpx keeps a request's headers where it always has: as raw name, name in small letters,
and value. To go through them is twice as quick there, to add one thrice; if it is ever
otherwise, the public way is taken."""

_OTHER, _AUTHORIZATION, _API_KEY, _ID, _KEY = range(5)


class Seen(NamedTuple):
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
        return f"<Seen has_id={self.has_id} has_key={self.has_key}>"

    def anonymous(self) -> "Seen":
        """Return one of four without a credential, shared by all calls that wait."""
        return _ANONYMOUS[self.has_id][self.has_key]


_ANONYMOUS = tuple(
    tuple(Seen(has_id=has_id, has_key=has_key) for has_key in (False, True))
    for has_id in (False, True)
)
_make_seen = maker(Seen)


class HeaderScan:
    """Looks at requests' headers, as a dialect wants it; it keeps names, and no value."""

    __slots__ = ("_known", "_roles")

    def __init__(self, dialect: Dialect) -> None:
        rules = dialect.requests
        self._roles = {"authorization": _AUTHORIZATION, "x-api-key": _API_KEY}
        for name, role in (
            (rules.request_id_header, _ID),
            (rules.idempotency_header, _KEY),
            (_IDEMPOTENCY_KEY, _KEY),
        ):
            if name is not None:
                self._roles.setdefault(name.lower(), role)
        self._known: dict[bytes, int] = {}

    def __call__(self, request: httpx.Request) -> Seen:
        """Return what a request's headers tell."""
        known = self._known
        authorization = api_key = None
        has_id = has_key = False
        headers = request.headers
        for _, name, value in headers._list if _HAS_LIST else _triples(headers):  # noqa: SLF001
            role = known.get(name)
            if role is None:
                role = self._recognise(name)
            if not role:
                continue
            if role == _AUTHORIZATION:
                authorization = value
            elif role == _API_KEY:
                api_key = value
            elif role == _ID:
                has_id = True
            else:
                has_key = True
        return _make_seen((authorization, api_key, has_id, has_key))

    def _recognise(self, name: bytes) -> int:
        if len(self._known) >= _MAX_NAMES:
            self._known.clear()
        role = self._known[name] = self._roles.get(name.lower().decode("latin-1"), _OTHER)
        return role


def _triples(headers: httpx.Headers) -> list[tuple[bytes, bytes, bytes]]:
    return [(name, name.lower(), value) for name, value in headers.raw]


def new_id() -> str:
    """Return an id of 32 hexadecimal digits, unlike any other."""
    return os.urandom(16).hex()


def origin_of(url: httpx.URL) -> str:
    """Return ``scheme://host:port``, without userinfo; the scheme's own port may be left out.

    >>> origin_of(httpx.URL("https://user:pw@vault.example/v1?q=1"))
    'https://vault.example'
    """
    return f"{url.scheme}://{url.netloc.decode('ascii')}"


class Origins:
    """The origins of the URLs of late: to recognise one takes half the time of composing it."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, bytes, int | None], str] = {}

    def __call__(self, url: httpx.URL) -> str:
        """Return a URL's origin."""
        key = (url.raw_scheme, url.raw_host, url.port)
        origin = self._known.get(key)
        if origin is None:
            if len(self._known) >= _MAX_NAMES:
                self._known.clear()
            origin = self._known[key] = origin_of(url)
        return origin


def call_of(
    request: httpx.Request,
    origin: str,
    dialect: Dialect,
    order: int,
    redact: Callable[[str], str] | None,
    seen: Seen,
) -> Call:
    """Return what the core knows of a request: a new call."""
    rules, method = dialect.requests, request.method
    path = request.url.raw_path.partition(b"?")[0].decode("ascii")
    has_key = seen.has_key
    if rules.idempotency_header is not None:
        has_key = has_key or method in _KEYED_METHODS
    told = method if method in _USUAL_METHODS or TOKEN.fullmatch(method) else "invalid"
    cost = rules.cost_of(method, path) if rules.categories else 1
    return make_call((new_id(), told, origin, path, has_key, redact, order, cost))


def prepare(
    request: httpx.Request, call: Call, dialect: Dialect, seen: Seen, *, is_changed: bool = False
) -> tuple[httpx.Request, Callable[[], bool]]:
    """Return the request to send, and whether it can be sent (again) now.

    It bears the ids that the dialect wants. The user's own request is never changed: what is
    added goes onto a copy; so does what the driver changes later (``is_changed``).
    """
    stream: httpx.AsyncByteStream
    if type(request.stream) is httpx.ByteStream:  # as most are
        stream, is_replayable = request.stream, always
    elif isinstance(request.stream, OneShotStream):  # a hook returned what it was given
        stream, is_replayable = request.stream, request.stream.is_replayable
    else:
        stream, is_replayable = replayable(request.stream)
    rules = dialect.requests
    added: list[tuple[str, str]] = []
    name = rules.request_id_header
    if name is not None and not seen.has_id:
        added.append((name, call.call_id))
    key = rules.idempotency_header
    if key is not None and not seen.has_key and request.method in _KEYED_METHODS:
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
    clone.headers = _with(request.headers, added)
    clone.extensions = dict(request.extensions)
    clone.stream = stream
    return clone


def _with(headers: httpx.Headers, added: list[tuple[str, str]]) -> httpx.Headers:
    """Return a copy of headers, with some that are not among them."""
    fresh = httpx.Headers(headers)
    for name, value in added:
        if _HAS_LIST:
            raw = name.encode("ascii")
            fresh._list.append((raw, raw.lower(), value.encode("ascii")))  # noqa: SLF001 - see there
        else:
            fresh[name] = value
    return fresh
