"""Moments: as lines have them, as options name them, and as people read them.

All are seconds since 1970. A time without a zone is taken to be UTC, so that a report does not
depend on the machine that it is made on.
"""

import math
import re
from datetime import UTC, datetime

_MILLISECONDS_FROM = 1e11
"""Numbers from here on count milliseconds: as seconds they would be after the year 5000."""

_LATEST = 253402300799.0
"""The end of the year 9999, beyond which there are no dates."""

_AGO = re.compile(r"(\d{1,6}(?:\.\d{1,3})?)\s*(s|m|h|d|w)")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_WORDS = ((86400, "d"), (3600, "h"), (60, "min"))


def time_of(value: object) -> float | None:
    """Return when a line says that it was written; None if it cannot be read.

    Args:
        value: An ISO 8601 text, or seconds or milliseconds since 1970.

    >>> time_of("2026-11-24T04:22:39.377+00:00"), time_of(1795494159377), time_of("noon")
    (1795494159.377, 1795494159.377, None)
    """
    if type(value) is str:
        try:
            moment = datetime.fromisoformat(value)
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=UTC)
            return moment.timestamp()
        except (ValueError, OverflowError):
            return None
    if type(value) is int or type(value) is float:
        seconds = value / 1000 if value >= _MILLISECONDS_FROM else value
        return float(seconds) if 0 <= seconds <= _LATEST else None
    return None


def moment_of(text: str, now: float) -> float | None:
    """Return the moment that an option names; None if it names none.

    Args:
        text: A time as lines have it, or how long ago: ``90s``, ``15m``, ``2h``, ``7d``.
        now: The time.

    >>> moment_of("15m", now=1000.0), moment_of("soon", now=1000.0)
    (100.0, None)
    """
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return now - float(ago[1]) * _SECONDS[ago[2]]
    try:
        return time_of(float(text))
    except ValueError:
        return time_of(text.strip())


def as_date(at: float | None) -> str:
    """Return a moment as people read it, in UTC.

    >>> as_date(1795494159.377), as_date(None)
    ('2026-11-24 04:22:39', '-')
    """
    if at is None or not 0 <= at <= _LATEST:
        return "-"
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S")


def as_duration(seconds: float | None) -> str:
    """Return a length of time as people read it.

    >>> [as_duration(each) for each in (0.0312, 4.56, 75.0, 7260.0, 200000.0, None)]
    ['31 ms', '4.6 s', '1 min 15 s', '2 h 1 min', '2 d 7 h', '-']
    """
    if seconds is None or not math.isfinite(seconds):
        return "-"
    if seconds < 1:
        return f"{round(seconds * 1000)} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    left, parts = round(seconds), list[str]()
    for size, word in (*_WORDS, (1, "s")):
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {word}")
    return " ".join(part for part in parts[:2] if not part.startswith("0 "))
