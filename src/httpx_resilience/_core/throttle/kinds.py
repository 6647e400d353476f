"""The kinds of limits that servers keep, and what a ledger says of one: data."""

import math
from typing import NamedTuple

UNKNOWN = "unknown"
FIXED = "fixed"
"""A window at whose end everything comes back."""
LOG = "log"
"""At the reset at least one unit comes back: a log, or a bucket that tells its next token."""
BUCKET = "bucket"
"""A continuously refilled bucket whose reset is when it is full."""
WEIGHTED = "weighted"
"""A sliding counter: at the reset nothing comes back, after it units trickle in."""
MOVING = "moving"
"""None of these, as far as is known: after a refusal, or when it does not add up."""

TRICKLING = frozenset({WEIGHTED, MOVING, LOG})

LONGEST = 86_400.0
"""Seconds for which one answer can hold calls back: a server that asks for ever is asked again."""


class Reset(NamedTuple):
    """When a window ends, in the driver's time; ``key`` tells one window's end from another's."""

    key: float
    low: float
    nominal: float
    high: float
    slack: float


class Verdict(NamedTuple):
    """Whether one more request may go now.

    Attributes:
        is_open: It may.
        is_scout: It may, although nothing is known to be left: exactly one at a time.
        wake_at: If it may not: when to ask again, unless a response comes first.
    """

    is_open: bool
    is_scout: bool = False
    wake_at: float = math.inf


class Gate(NamedTuple):
    """Whether one more request may go now, and if not, why and until when."""

    is_open: bool
    reason: str = ""
    wake_at: float = math.inf
    is_scout: bool = False


OPEN = Gate(is_open=True)
SCOUT = Gate(is_open=True, is_scout=True)
