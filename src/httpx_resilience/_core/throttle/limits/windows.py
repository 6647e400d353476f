"""The kinds of windows that servers keep, and what is known of a window's end: data."""

from typing import NamedTuple

from ...tuples import maker

UNKNOWN = "unknown"
FIXED = "fixed"
"""A window at whose end everything comes back."""
LOG = "log"
"""At the reset at least one unit comes back: a log, or a bucket that announces its next token."""
BUCKET = "bucket"
"""A continuously refilled bucket whose reset is when it is full."""
SLIDING_COUNTER = "sliding_counter"
"""At the reset nothing comes back, after it units trickle in."""
INDETERMINATE = "indeterminate"
"""None of these, as far as is known: after a refusal, or when it does not add up."""

TRICKLING = frozenset({SLIDING_COUNTER, INDETERMINATE, LOG})

LONGEST = 86_400.0
"""Seconds for which one answer can hold calls back: a server that asks for ever is asked again."""

SETTLED = 5.0
"""Seconds after which a request in flight is taken as counted by the server."""

GUARD = 0.002
"""Seconds past the latest possible reset, for the rounding of timers."""

MAX_PROBES = 10
"""Units of one window that are kept back as probes at the most."""


class ResetInterval(NamedTuple):
    """When a window ends, in the driver's time; ``key`` distinguishes the ends of windows."""

    key: float
    low: float
    nominal: float
    high: float
    slack: float


make_interval = maker(ResetInterval)


class WindowEnd(NamedTuple):
    """When more is certain: the interval in which the present window ends."""

    low: float
    nominal: float
    high: float


make_end = maker(WindowEnd)
