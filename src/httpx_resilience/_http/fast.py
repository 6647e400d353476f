"""Every private part of httpx or httpx2 that is read, each with its guard and its public way.

What runs for every request goes by what they keep a header and a URL in, where that is what it
always was; if it is ever otherwise in one of them, the public way is taken.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import typed as http

Triple = tuple[bytes, bytes, bytes]
"""A header as httpx keeps it: raw name, name in small letters, value."""

HAS_HEADER_LIST = True
"""Whether ``Headers`` keeps triples in a list: to go through them is twice as quick there, to add
one four times."""

HAS_URL_PARTS = True
"""Whether ``URL`` keeps its parts apart: 2,500 instructions for what takes 7,600 the public way, of
28,600 for a bare request."""


def check(library: Any) -> None:
    """Look whether a library keeps them as it always has; if not, go the public ways."""
    global HAS_HEADER_LIST, HAS_URL_PARTS  # noqa: PLW0603 - said once, when a library is imported
    kept = {"_list": [(b"A-b", b"a-b", b"c")], "_encoding": None}
    HAS_HEADER_LIST = HAS_HEADER_LIST and vars(library.Headers({"A-b": "c"})) == kept
    parts = getattr(library.URL("http://u:p@a:1/b?c#d"), "_uri_reference", None)
    HAS_URL_PARTS = HAS_URL_PARTS and parts == ("http", "u:p", "a", 1, "/b", "c", "d")


def triples_of(headers: http.Headers) -> list[Triple]:
    """Return headers as triples, not to be changed."""
    if HAS_HEADER_LIST:
        return headers._list  # noqa: SLF001 - guarded
    return [(name, name.lower(), value) for name, value in headers.raw]


def with_headers(headers: http.Headers, added: list[Triple]) -> http.Headers:
    """Return a copy of headers, with some that are not among them."""
    kind = type(headers)
    if not HAS_HEADER_LIST:
        fresh = kind(headers)
        fresh.update([(raw, value) for raw, _, value in added])
        return fresh
    fresh = kind.__new__(kind)
    fresh._list = headers._list + added  # noqa: SLF001 - guarded
    fresh._encoding = headers._encoding  # noqa: SLF001 - guarded
    return fresh


def split_url(url: http.URL) -> tuple[tuple[object, ...], str]:
    """Return what distinguishes the origin from others, and the path as sent, without the query.

    >>> import httpx
    >>> split_url(httpx.URL("https://vault.example/v1/a?q=1"))
    (('https', 'vault.example', None), '/v1/a')
    """
    if HAS_URL_PARTS:
        scheme, _, host, port, path, _, _ = url._uri_reference  # noqa: SLF001 - guarded
        return (scheme, host, port), path or "/"
    path = url.raw_path.partition(b"?")[0].decode("ascii")
    return (url.scheme, url.raw_host.decode("ascii"), url.port), path


def copy_of(
    request: http.Request,
    stream: http.AsyncByteStream | http.SyncByteStream,
    added: list[Triple],
) -> http.Request:
    """Return a request that may be changed without changing the one given, with headers added.

    There is no public copy: the constructor would add headers, ``copy.copy`` drop the body. What
    the instance holds is copied, whatever that is.
    """
    kind = type(request)
    clone = kind.__new__(kind)
    clone.__dict__ = own = request.__dict__.copy()
    own["headers"] = with_headers(request.headers, added)
    own["extensions"] = request.extensions.copy()
    own["stream"] = stream
    return clone
