"""Whether a server says in words that a failed request should be sent again, or that it should not.

The convention is that of the SDKs of OpenAI, Anthropic and others, and of Stripe's.
"""

from collections.abc import Sequence

VETO, STRIPES_VETO = "x-should-retry", "stripe-should-retry"

_NAMES = (VETO.encode(), STRIPES_VETO.encode())
_SIZES = frozenset(map(len, _NAMES))


def should_retry(headers: Sequence[tuple[bytes, bytes]]) -> bool | None:
    """Return what the headers say, or None if they say nothing; of both answers it is no.

    Args:
        headers: Raw names and values, in any case.

    >>> should_retry([(b"X-Should-Retry", b"false")])
    False
    """
    said = {
        value.strip().lower()
        for name, value in headers
        if len(name) in _SIZES and name.lower() in _NAMES
    }
    if b"false" in said:
        return False
    return True if b"true" in said else None
