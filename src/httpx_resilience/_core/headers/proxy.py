"""Whether a refusal is a proxy's own, and not the API's: only where that is certain.

Certain are the status 407 and the header ``Proxy-Authenticate``, which no server sends for itself
(RFC 9110, sections 11.7.1 and 15.5.8), and a ``Proxy-Status`` with an ``error`` that a proxy found
without a response of the next hop (RFC 9209, section 2.1). What merely passed a proxy (``Via``), or
looks as if it came from one (``Server``, a page of HTML), may as well be the API's word.
"""

from collections.abc import Sequence

from .values import clipped, members, parameters

_STATUSES = frozenset({407, 429, 503})
_AUTHENTICATE, _STATUS = b"proxy-authenticate", b"proxy-status"


def is_by_proxy(status: int, headers: Sequence[tuple[bytes, bytes]]) -> bool:
    """Return whether a 407, 429 or 503 is certainly the answer of a proxy on the way.

    >>> is_by_proxy(503, [(b"Proxy-Status", b"squid.example; error=connection_refused")])
    True
    >>> is_by_proxy(503, [(b"Via", b"1.1 squid.example")])
    False
    """
    if status == 407 or status not in _STATUSES:
        return status == 407
    stated = []
    for name, value in headers:
        lower = name.lower()
        if lower == _AUTHENTICATE:
            return True
        if lower == _STATUS:
            stated.append(value)
    return any(map(_is_own_error, members(clipped(b",".join(stated)).decode("latin-1"))))


def _is_own_error(member: str) -> bool:
    _, given = parameters(member)
    return bool(given.get("error")) and "received-status" not in given
