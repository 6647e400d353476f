"""Where the bars of a page's plots stand, and what is said of each when one points at it."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .result import Report
from .times import as_date, as_duration

WIDTH, HEIGHT = 860, 200
LEFT, TOP, BOTTOM = 56, 34, 24
_ACROSS, _DOWN = WIDTH - LEFT - 8, HEIGHT - TOP - BOTTOM
_TICKS = 6
_THINNEST = 1.5

Read = Callable[[Mapping[str, Any]], float | None]


@dataclass(frozen=True, slots=True)
class Series:
    """What a plot's bars are made of, from below.

    Attributes:
        name: What it is.
        color: Class of its bars in the page's style.
        read: Takes it from a part of time.
    """

    name: str
    color: str
    read: Read


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle."""

    color: str
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Column:
    """All of one part of time: what is pointed at, its bars, and what it says."""

    x: float
    width: float
    bars: list[Bar]
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot, ready to be drawn.

    Attributes:
        title: What it shows.
        legend: Names and colors.
        columns: Its bars.
        rows: Heights of the lines behind them, and what they stand for.
        times: Places on the axis of time, and what they stand for.
        missing: Why there is nothing to show; None if there is.
    """

    title: str
    legend: list[Series]
    columns: list[Column]
    rows: list[tuple[float, str]]
    times: list[tuple[float, str]]
    missing: str | None = None


def plots_of(report: Report) -> Iterator[Plot]:
    """Yield the plots of a report."""
    yield _plot(
        report,
        "Calls",
        [Series("succeeded", "good", _value("succeeded")), Series("failed", "bad", _failed)],
        "calls were not counted in this log: log info or debug",
    )
    yield _plot(
        report,
        "Attempts per call",
        [Series("attempts per call", "plain", _amplification)],
        "calls were not counted in this log: log info or debug",
        unit=" x",
    )
    yield _plot(
        report,
        "Failed attempts",
        [
            Series("retried", "plain", _value("retries")),
            Series("gave up", "bad", _value("gave_up")),
        ],
        "no attempt failed",
    )
    yield _plot(
        report,
        "Seconds that calls waited, all together",
        [
            Series("throttle", "plain", _value("throttle")),
            Series("backoff", "warm", _value("backoff")),
            Series("parking", "bad", _value("parking")),
        ],
        "no call waited, as far as this log says",
        unit=" s",
    )
    yield _plot(
        report,
        "Least left of a rate limit",
        [Series("left", "good", _left)],
        "nothing in this log says what was left: log debug",
        unit=" %",
        top=100.0,
    )


def _value(name: str) -> Read:
    return lambda part: part[name]


def _failed(part: Mapping[str, Any]) -> float | None:
    calls, succeeded = part["calls"], part["succeeded"]
    return None if calls is None else max(0, calls - succeeded)


def _amplification(part: Mapping[str, Any]) -> float | None:
    return part["attempts"] / part["calls"] if part["calls"] else None


def _left(part: Mapping[str, Any]) -> float | None:
    left = part["rate_limit_left"]
    return None if left is None else 100 * left


def _plot(
    report: Report,
    title: str,
    series: list[Series],
    missing: str,
    *,
    unit: str = "",
    top: float | None = None,
) -> Plot:
    width, parts = report["over_time"]["width"], report["over_time"]["parts"]
    values = [[each.read(part) for each in series] for part in parts]
    known = [
        sum(value or 0.0 for value in row) for row in values if any(v is not None for v in row)
    ]
    if not known or (top is None and max(known) <= 0):
        return Plot(title, series, [], [], [], missing)
    peak = _round_up(max(known)) if top is None else top
    begin, end = parts[0]["at"], parts[-1]["at"] + width
    columns = [
        _column(part, row, series, (begin, end, width), peak, unit)
        for part, row in zip(parts, values, strict=True)
        if any(value is not None for value in row)
    ]
    rows = [(_y(peak * step / 4, peak), _number(peak * step / 4) + unit) for step in range(0, 5, 2)]
    return Plot(title, series, columns, rows, _times(begin, end))


def _column(
    part: Mapping[str, Any],
    row: Sequence[float | None],
    series: Sequence[Series],
    time: tuple[float, float, float],
    peak: float,
    unit: str,
) -> Column:
    begin, end, width = time
    x, across = _x(part["at"], begin, end), max(_THINNEST, _ACROSS * width / (end - begin))
    bars, below = [], 0.0
    for each, value in zip(series, row, strict=True):
        if value:
            high, low = _y(below + value, peak), _y(below, peak)
            bars.append(Bar(each.color, x, high, round(across * 0.88, 2), round(low - high, 2)))
            below += value
    said = ", ".join(
        f"{each.name} {_number(value)}{unit}"
        for each, value in zip(series, row, strict=True)
        if value is not None
    )
    text = f"{as_date(part['at'])} UTC, {as_duration(width)}: {said}"
    return Column(x, round(across, 2), bars, text)


def _x(at: float, begin: float, end: float) -> float:
    return round(LEFT + _ACROSS * (at - begin) / (end - begin), 2)


def _y(value: float, peak: float) -> float:
    return round(TOP + _DOWN * (1 - min(1.0, value / peak)), 2)


def _round_up(value: float) -> float:
    """Return the next number that is good to read, so that bars do not touch the top.

    >>> [_round_up(each) for each in (0.7, 3, 11, 1900)]
    [0.8, 4.0, 20.0, 2000.0]
    """
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10, 20) if step * power >= value)


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _times(begin: float, end: float) -> list[tuple[float, str]]:
    span, found = end - begin, []
    for step in range(_TICKS):
        at = begin + span * step / (_TICKS - 1)
        date = as_date(at)
        label = date[11:] if span < 86_400 else date[5:16] if span < 30 * 86_400 else date[:10]
        found.append((_x(at, begin, end), label))
    return found
