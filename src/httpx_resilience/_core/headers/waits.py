"""How long a failed response asks to wait: Retry-After and its kin, else the reset of a 429."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from .limits import RateLimit, Reading
from .resets import FARTHEST, epoch_scale
from .values import Moment, clipped, http_date, moments

ABSURD = 10 * 365.25 * 86400.0
"""Seconds; a longer wait means "never" (Jira: ``Retry-After: 9223372036854775807``)."""

SHORTEST_RESET = 1.0
"""Seconds to wait for a reset that is due: headers give it to the second, so it may be that far."""

_BEST_FIRST = (
    (b"retry-after-ms", 1e3),
    (b"x-ms-retry-after-ms", 1e3),
    (b"retry-after", 1.0),
    (b"x-ratelimit-retry-after", 1.0),
    (b"x-retry-after", 1.0),
)
_WANTED = frozenset(name for name, _ in _BEST_FIRST) | {b"date"}
_COMMON = b"retry-after"
"""What is in all their names."""


class Wait(NamedTuple):
    """A wait that the server asked for.

    Attributes:
        seconds: Above 0; ``math.inf`` for one above ten years.
        source: ``"retry_after"`` or ``"rate_limit_reset"``; of what no header says,
            ``"error_body"`` or ``"catalogue"``.
    """

    seconds: float
    source: str


def retry_after(headers: Sequence[tuple[bytes, bytes]], *, wall: float) -> float | None:
    """Return the seconds that the headers ask to wait.

    The best that can be read decides: ``retry-after-ms``, ``x-ms-retry-after-ms``,
    ``Retry-After``, ``X-RateLimit-Retry-After``, ``x-retry-after``. Each may hold seconds with or
    without decimals, a duration (``30s``), a date in any known form, or an epoch (1e9 and above).
    Of one that is given twice the longer counts. An exponent (``1e400``), ``inf``, ``nan``, and a
    number of more than 20 digits are no numbers, and so as good as absent.

    Args:
        headers: Raw names and values, in any case.
        wall: Epoch seconds, for dates and epochs if the response has no usable Date.

    Returns:
        Seconds from the response's Date, at least 0; ``math.inf`` above ten years; None if there
        is no such header, or none that can be read.

    >>> retry_after([(b"Retry-After", b"1.5"), (b"retry-after-ms", b"1200")], wall=0.0)
    1.2
    """
    # Most have none, which is seen in a third of the time in all their names at once.
    if _COMMON not in b"\n".join([name for name, _ in headers]).lower():
        return None
    found: dict[bytes, list[bytes]] = {}
    for name, value in headers:
        if (lower := name.lower()) in _WANTED:
            found.setdefault(lower, []).append(clipped(value))
    now = _now(found.get(b"date", ()), wall)
    for name, scale in _BEST_FIRST:
        if name in found:
            waits = [_seconds(each, scale, now) for value in found[name] for each in moments(value)]
            if readable := [wait for wait in waits if wait is not None]:
                return max(readable)
    return None


def _now(dates: Sequence[bytes], wall: float) -> float:
    date = http_date(dates[0]) if len(dates) == 1 else None
    return wall if date is None else date


def _seconds(moment: Moment | None, scale: float, now: float) -> float | None:
    if moment is None:
        return None
    seconds = moment.value - now if moment.kind == "date" else moment.value
    if moment.kind == "number":
        seconds = _of_number(moment.value, scale, now)
    return math.inf if seconds > ABSURD else max(0.0, seconds)


def _of_number(value: float, scale: float, now: float) -> float:
    epoch = epoch_scale(value)
    if epoch is None or scale != 1.0:
        return value / scale
    ahead = value / epoch - now
    # An epoch of years ago is none, but a number that means "never" and got in its way.
    return ahead if ahead > -FARTHEST else math.inf


def server_wait(
    headers: Sequence[tuple[bytes, bytes]], *, status: int, wall: float, reading: Reading
) -> Wait | None:
    """Return what a failed response asks for, or None if it leaves it to the backoff.

    A Retry-After above 0 is obeyed, a Retry-After of 0 (or in the past) asks for nothing. Without
    one, a 429 means the latest reset of its exhausted policies, or of those that do not say what
    remains; a 403 only that of exhausted ones. Policies with units left did not cause the failure,
    so their resets say nothing about it (GitHub's secondary limits).

    Args:
        headers: Raw names and values, in any case.
        status: The response's; below 400 there is nothing to wait for.
        wall: Epoch seconds, for dates if the response has no usable Date.
        reading: What ``RateLimitReader.read`` made of the same headers.

    >>> server_wait([(b"Retry-After", b"30")], status=429, wall=0.0, reading=Reading())
    Wait(seconds=30.0, source='retry_after')
    """
    if status < 400:
        return None
    asked = retry_after(headers, wall=wall)
    if asked is not None:
        return Wait(asked, "retry_after") if asked > 0 else None
    if status not in (403, 429):
        return None
    exhausted = [limit for limit in reading.limits if limit.remaining == 0]
    if status == 429:
        return _reset_wait(
            exhausted or [limit for limit in reading.limits if limit.remaining is None]
        )
    return _reset_wait(exhausted)


def _reset_wait(limits: Sequence[RateLimit]) -> Wait | None:
    resets = [limit.reset_in for limit in limits if limit.reset_in is not None]
    if not resets:
        return None
    return Wait(max(resets) or SHORTEST_RESET, "rate_limit_reset")
