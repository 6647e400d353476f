"""Which attempt is being sent, for whoever marks what is sent meanwhile.

A context variable, as the spans of an attempt are made further in, by what knows nothing of us.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

_resends: ContextVar[int] = ContextVar("httpx_resilience_resends", default=0)


def resends() -> int:
    """Return how often the request that is being sent here was sent before; 0 outside attempts."""
    return _resends.get()


def set_resends(count: int) -> int:
    """Set how often the request that is about to be sent was sent before; return what was set.

    Whoever sets it sets it back to that; without a token, which a coroutine that is closed in
    another context could not give back.
    """
    before = _resends.get()
    _resends.set(count)
    return before


@contextmanager
def outside_attempts() -> Iterator[None]:
    """Have what is sent within the block count as no attempt's.

    For what goes out beside the calls themselves: recovery hooks, token fetches, commands to a
    store.

    >>> before = set_resends(2)
    >>> with outside_attempts():
    ...     resends()
    0
    >>> resends(), set_resends(before)
    (2, 2)
    """
    before = set_resends(0)
    try:
        yield
    finally:
        _resends.set(before)
