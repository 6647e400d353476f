"""Numbers, dates, durations and lists out of header bytes; whatever cannot be read is None.

Everything is bounded: 8 KiB of a field, 32 members of a list, 20 digits of a number. The parsers
of strings that servers repeat (a limit, a reset, a Date) remember their last answers. Patterns
are compiled when first used, for that takes longer than to import the module.
"""

import math
import re
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Literal, NamedTuple

MAX_FIELD = 8192
MAX_MEMBERS = 32
FINEST = 1e-6
"""Seconds; a float near today's epoch cannot hold a finer fraction."""

_DIGITS = 20
_LONGEST_TIME = 128
_REMEMBERED = 256

_NUMBER = r"[+-]?\d{1,20}(?:\.(\d{1,20}))?"
_THOUSANDS = r"(?<![\d.])\d{1,3}(?:,\d{3})+(?![\d.])"
_MEMBER = r'(?:[^",]|"(?:[^"\\]|\\.)*"?)+'
_ESCAPED = r"""\\(["\\])"""
_PARAMETER = r'(?:[^";]|"(?:[^"\\]|\\.)*"?)+'
# A comma after a weekday belongs to the date; all the long names end in "day".
_DATE_COMMA = r"(?<!Mon|Tue|Wed|Thu|Fri|Sat|Sun|day),"

_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
# Go writes the micro sign in UTF-8; both of Unicode's, and the Latin-1 one, as bytes read one by
# one.
_DURATION_PART = r"(\d{1,20})(?:\.(\d{1,20}))?(ns|us|\xc2\xb5s|\xce\xbcs|\xb5s|ms|s|m|h|d)"
_DURATION = f"(?:{_DURATION_PART})+"

_MONTHS: tuple[str, ...] = (
    *("jan", "feb", "mar", "apr", "may", "jun"),
    *("jul", "aug", "sep", "oct", "nov", "dec"),
)
_DAY = r"(?P<day>\d\d?)"
_MONTH = r"(?P<month>[a-z]{3})"
_YEAR = r"(?P<year>\d{4})"
_CLOCK = r"(?P<hour>\d\d):(?P<minute>\d\d):(?P<second>\d\d)"
_ZONE = r"(?:GMT|UTC?|Z|(?P<zone>[+-]\d\d:?\d\d))"

# RFC 9110, section 5.6.7: IMF-fixdate, and the obsolete forms of RFC 850 and asctime.
_IMF_FIXDATE = rf"(?:[a-z]{{3}}, )?{_DAY} {_MONTH} {_YEAR} {_CLOCK} {_ZONE}"
_RFC_850 = rf"[a-z]{{3,9}}, {_DAY}-{_MONTH}-(?P<year>\d\d) {_CLOCK} {_ZONE}"
_ASCTIME = rf"[a-z]{{3}} {_MONTH} {{1,2}}{_DAY} {_CLOCK} {_YEAR}"
# RFC 3339, also with a space, with any fraction, with minutes only, without a zone (then UTC).
_ISO_DATE = r"(?P<year>\d{4})-(?P<month>\d\d)-(?P<day>\d\d)[T ](?P<hour>\d\d):(?P<minute>\d\d)"
_ISO = rf"{_ISO_DATE}(?::(?P<second>\d\d)(?:\.(?P<fraction>\d{{1,20}}))?)? ?{_ZONE}?"
_JS_ZONE = r"GMT(?P<zone>[+-]\d{4})(?: \(.{1,64}\))?"
_JAVASCRIPT = rf"[a-z]{{3}} {_MONTH} {_DAY} {_YEAR} {_CLOCK} {_JS_ZONE}"


_HTTP_DATES = (_IMF_FIXDATE, _RFC_850, _ASCTIME)
_DATES = (*_HTTP_DATES, _ISO, _JAVASCRIPT)
_DATE_FLAGS = re.ASCII | re.IGNORECASE


@cache
def compiled(pattern: str, flags: re.RegexFlag = re.ASCII) -> re.Pattern[str]:
    """Return a pattern, compiled at its first use."""
    return re.compile(pattern, flags)


class Moment(NamedTuple):
    """A time as it stands in a header.

    Attributes:
        value: The bare number; seconds of a duration; epoch seconds of a date.
        kind: What it is.
        granularity: What one step of the last place stated comes to, in the same unit as ``value``.
    """

    value: float
    kind: Literal["number", "duration", "date"]
    granularity: float


class Quota(NamedTuple):
    """One member of a limit or remaining field: the amount, and the ``w`` it came with."""

    amount: int | None
    window: float | None


def clipped(value: bytes) -> bytes:
    """Return the members that stand whole within the first 8 KiB of a longer field."""
    if len(value) <= MAX_FIELD:
        return value
    return value[:MAX_FIELD].rpartition(b",")[0]


def number(text: str) -> float | int | None:
    """Return a plain decimal number of at most 20 digits; an exponent, inf and nan are none."""
    match = compiled(_NUMBER).fullmatch(text.strip(" \t"))
    if match is None:
        return None
    return float(match[0]) if match[1] else int(match[0])


def whole(text: str) -> int | None:
    """Return ``number(text)`` rounded down."""
    value = number(text)
    return None if value is None else math.floor(value)


def members(text: str) -> list[str]:
    """Split at commas outside quoted strings; at most 32 members."""
    found = (member.strip(" \t") for member in compiled(_MEMBER).findall(text))
    return [member for member in found if member][:MAX_MEMBERS]


def parameters(member: str) -> tuple[str, dict[str, str]]:
    """Split ``item;key=value;…`` into the item and its parameters, quotes taken off."""
    item, *rest = compiled(_PARAMETER).findall(member) or [""]
    pairs = (part.partition("=") for part in rest)
    return unquoted(item), {key.strip(" \t").lower(): unquoted(value) for key, _, value in pairs}


def unquoted(text: str) -> str:
    r"""Return a structured field's string or token as plain text (RFC 9651, section 3.3.3).

    >>> unquoted(r'"a\"b, c"')
    'a"b, c'
    """
    text = text.strip(" \t")
    if len(text) < 2 or not text[0] == text[-1] == '"':
        return text.strip('"')
    text = text[1:-1]
    return compiled(_ESCAPED).sub(r"\1", text) if "\\" in text else text


@lru_cache(_REMEMBERED)
def quotas(value: bytes) -> tuple[Quota, ...]:
    """Read a limit or remaining field, ``100`` in most cases, with a ``Quota`` for each limiter.

    Members with ``;w=`` beside plain ones are the policies of draft 03: they give the window of the
    limit they equal, and are no limiters of their own.
    """
    if value.isdigit() and len(value) <= _DIGITS:
        return (Quota(int(value), None),)
    thousands = compiled(_THOUSANDS)
    text = thousands.sub(lambda match: match[0].replace(",", ""), value.decode("latin-1"))
    every = [_quota(member) for member in members(text)]
    plain = [quota for quota in every if quota.window is None or quota.amount is None]
    if not plain:
        return tuple(every)
    windows = {each.amount: each.window for each in reversed(every) if each.window is not None}
    return tuple(each._replace(window=windows.get(each.amount, each.window)) for each in plain)


def _quota(member: str) -> Quota:
    item, given = parameters(member)
    amount = whole(item)
    window = positive(given.get("w"))
    if amount is None and window is None:
        window = _duration_seconds(item) or None  # AspNetCoreRateLimit: "1m" is a period
    return Quota(amount, window)


def positive(text: str | None) -> float | None:
    """Return a number above zero as a float."""
    value = number(text) if text is not None else None
    return float(value) if value is not None and value > 0 else None


@lru_cache(_REMEMBERED)
def moments(value: bytes) -> tuple[Moment | None, ...]:
    """Read a comma-separated list of times, None in the place of one that cannot be read."""
    comma = compiled(_DATE_COMMA, re.IGNORECASE)
    parts = comma.split(value.decode("latin-1"), maxsplit=MAX_MEMBERS)[:MAX_MEMBERS]
    return tuple(moment(part) for part in parts)


def moment(text: str) -> Moment | None:
    """Read a number, a Go duration (``6m0s``), or a date of any of the five forms.

    >>> moment("2m52.8s")
    Moment(value=172.8, kind='duration', granularity=0.1)
    >>> moment("2023-11-14T22:15Z")
    Moment(value=1700000100.0, kind='date', granularity=60.0)
    """
    text = text.strip(' \t"')
    if len(text) > _LONGEST_TIME:
        return None
    if (match := compiled(_NUMBER).fullmatch(text)) is not None:
        value = float(text) if match[1] else int(text)
        return Moment(value, "number", _step(match[1]))
    if (seconds := _duration_seconds(text)) is not None:
        return Moment(seconds, "duration", _duration_step(text))
    return _date(text, _DATES)


@lru_cache(_REMEMBERED)
def http_date(value: bytes) -> float | None:
    """Return the epoch seconds of an HTTP-date (RFC 9110, section 5.6.7)."""
    found = _date(value.decode("latin-1").strip(" \t"), _HTTP_DATES)
    return found.value if found else None


def _step(decimals: str | None) -> float:
    """Return the value of the last place: 1 without decimals, else a power of ten."""
    return max(FINEST, 10.0 ** -len(decimals)) if decimals else 1.0


def _duration_seconds(text: str) -> float | None:
    if len(text) > _LONGEST_TIME or not compiled(_DURATION).fullmatch(text):
        return None
    return sum(
        float(f"{whole_part}.{decimals or 0}") * _UNITS[_ascii_unit(unit)]
        for whole_part, decimals, unit in compiled(_DURATION_PART).findall(text)
    )


def _duration_step(text: str) -> float:
    """Return the last place of the last unit; at most a minute, for ``1h`` is rarely that vague."""
    _, decimals, unit = compiled(_DURATION_PART).findall(text)[-1]
    return min(60.0, max(FINEST, _step(decimals) * _UNITS[_ascii_unit(unit)]))


def _ascii_unit(unit: str) -> str:
    return unit if unit.isascii() else "us"


def _date(text: str, patterns: tuple[str, ...]) -> Moment | None:
    for pattern in patterns:
        if match := compiled(pattern, _DATE_FLAGS).fullmatch(text):
            return _epoch(match.groupdict())
    return None


def _epoch(parts: dict[str, str | None]) -> Moment | None:
    second, fraction = parts["second"], parts.get("fraction")
    day, hour, minute, seconds = (
        int(parts[name] or 0) for name in ("day", "hour", "minute", "second")
    )
    year, month = _year(parts["year"] or ""), _month(parts["month"] or "")
    try:
        start = datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()
    except ValueError:
        return None
    if seconds > 60:  # 60 is a leap second
        return None
    value = start - _zone_seconds(parts.get("zone")) + seconds + float(f"0.{fraction or 0}")
    return Moment(value, "date", _step(fraction) if second else 60.0)


def _year(text: str) -> int:
    # Two digits, RFC 850: there is no clock here to ask, so the century turns at 70 as in POSIX.
    return int(text) if len(text) > 2 else int(text) + (1900 if int(text) >= 70 else 2000)


def _month(text: str) -> int:
    if text.isdigit():
        return int(text)
    return 1 + _MONTHS.index(text.lower()) if text.lower() in _MONTHS else 0


def _zone_seconds(zone: str | None) -> int:
    if not zone:
        return 0
    hours, minutes = int(zone[1:3]), int(zone[-2:])
    return (-1 if zone[0] == "-" else 1) * (hours * 3600 + minutes * 60)
