"""A reset, classified by value and never by header name, on the server's clock."""

import math
from typing import Literal, NamedTuple

from .limits import UNKNOWN, Reset
from .values import FINEST, Moment, moments

ResetUnit = Literal["auto", "epoch", "delta", "ms", "duration", "date"]
RESET_UNITS: tuple[ResetUnit, ...] = ("auto", "epoch", "delta", "ms", "duration", "date")

FARTHEST = 400 * 86400.0
"""Seconds; a reset farther from the server's time than this is a misunderstanding, and dropped."""

_FIRST_EPOCHS: dict[ResetUnit, float] = {
    "auto": 1e9,
    "epoch": 1e9,
    "ms": 1e11,
    "delta": math.inf,
    "duration": math.inf,
    "date": math.inf,
}
"""From which number on a reset of that unit is an instant; a month is 2.7e9 ms."""


class Context(NamedTuple):
    """What the rest of the response says that a reset or a policy may need.

    Attributes:
        now: The server's time, epoch seconds: its Date, else the caller's wall time.
        retry_after: The raw ``Retry-After``.
        policy: The raw ``RateLimit-Policy``.
    """

    now: float
    retry_after: bytes | None = None
    policy: bytes | None = None


def epoch_scale(value: float) -> float | None:
    """Return in how many parts of a second an epoch of this size counts; None if it is none.

    >>> epoch_scale(1700000000), epoch_scale(1700000000500), epoch_scale(3600)
    (1.0, 1000.0, None)
    """
    if value < 1e11:
        return 1.0 if value >= 1e9 else None
    if value < 1e14:
        return 1e3
    return 1e6 if value < 1e17 else 1e9


def reset_of(moment: Moment, unit: ResetUnit, window: float | None, context: Context) -> Reset:
    """Return the reset that ``moment`` gives; ``UNKNOWN`` if it makes no sense.

    Args:
        moment: The time as it stands in the header.
        unit: How a bare number is to be read; dates and durations speak for themselves.
        window: The policy's window in seconds, if stated.
        context: The rest of the response.
    """
    value, kind, granularity = moment
    if kind == "date":
        return _instant(value, granularity, context.now)
    if kind == "duration":
        return _delta(value, granularity)
    scale = epoch_scale(value) if value >= _FIRST_EPOCHS[unit] else None
    if scale is not None:
        return _instant(value / scale, _coarse(value, granularity, scale), context.now)
    if unit in ("epoch", "date"):
        return UNKNOWN
    scale = 1e3 if unit == "ms" or _is_milliseconds(value, unit, window, context) else 1.0
    return _delta(value / scale, _coarse(value, granularity, scale))


def _coarse(value: float, granularity: float, scale: float) -> float:
    """Return seconds; whole ones in a finer unit prove nothing (``int(reset) * 1000``)."""
    return 1.0 if value % scale == 0 else max(FINEST, granularity / scale)


def _instant(epoch: float, granularity: float, now: float) -> Reset:
    ahead = epoch - now
    if abs(ahead) > FARTHEST:
        return UNKNOWN
    return Reset(max(0.0, ahead), epoch, granularity)


def _delta(seconds: float, granularity: float) -> Reset:
    if seconds > FARTHEST:
        return UNKNOWN
    return Reset(max(0.0, seconds), None, granularity)


def _is_milliseconds(value: float, unit: ResetUnit, window: float | None, context: Context) -> bool:
    """Recognise a delta in milliseconds: as seconds it would defy the window or the Retry-After."""
    if unit != "auto":
        return False
    if window is not None and value > window + 1.0 and value / 1e3 <= window:
        return True
    if value < 1000.0 or context.retry_after is None:
        return False
    wait = moments(context.retry_after)[0]
    if wait is None or wait.kind != "number":
        return False
    return abs(value / 1e3 - wait.value) <= max(1.0, 0.05 * wait.value)
