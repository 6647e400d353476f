"""What a report says, as plain values: what ``--json`` prints, and what tables and pages show."""

from dataclasses import asdict
from typing import Any

from ..._core.telemetry.events import SCHEMA
from .bins import Part
from .counts import Counts, Place
from .lines import Found

FORMAT = 1
"""Version of the names and types of a report; names may be added."""

CALL_EVENTS, SUMMARIES = "call_finished", "traffic_summary"
_INFO = {
    "origin_recovered",
    "rate_limit_changed",
    "recovered",
    "recovery_hook",
    "store_back",
    "throttle_held",
    "throttle_released",
    SUMMARIES,
}
_DEBUG = {"attempt_started", "call_started", CALL_EVENTS}
_OF_LIMITS = {"rate_limit_changed", "rate_limit_low", "rate_limit_observed"}
_SUMMARY_WIDTH = 60
"""Seconds between summaries, at the least."""

Report = dict[str, Any]


def result_of(counts: Counts, found: Found) -> Report:
    """Return what was counted.

    What the log cannot say, for the events that it follows from are not in it, is None.
    """
    counts.finish()
    events = set(counts.events)
    is_info = bool(events & (_INFO | _DEBUG))
    source = _source(counts)
    recovered = is_info or None
    return {
        "report": FORMAT,
        "schema": SCHEMA,
        "lines": asdict(found),
        "events": dict(counts.events.most_common()),
        "since": counts.first,
        "until": counts.last,
        "forgotten_calls": counts.open.evicted,
        "calls": _calls(_total(counts), source),
        "over_time": _over_time(counts, source),
        "failures": [
            {
                "error_class": error_class,
                "what": what,
                "met": each.met,
                "retried": each.retried,
                "recovered": recovered and each.recovered,
                "gave_up": dict(each.gave_up.most_common()),
            }
            for (error_class, what), each in sorted(
                counts.failures.items(), key=lambda item: -item[1].met
            )
        ],
        "origins": [
            {"origin": origin, **_place(place, source, is_info=is_info)}
            for origin, place in sorted(counts.origins.items(), key=_by_failures)
        ],
        "paths": [
            {
                "origin": origin,
                "method": method,
                "path": path,
                **_place(place, CALL_EVENTS if CALL_EVENTS in events else None, is_info=is_info),
            }
            for (origin, method, path), place in sorted(counts.paths.items(), key=_by_failures)
        ],
        "time_lost": _time_lost(counts),
        "rate_limits": _rate_limits(counts) if events & _OF_LIMITS or counts.limits.found else None,
        "outages": [asdict(each) for each in counts.outages.found],
        "outages_in_all": counts.outages.count,
        "slowest_recoveries": [asdict(each) for each in counts.slowest.found()]
        if is_info
        else None,
        "needs_a_person": [asdict(each) for each in counts.attentions.found()],
    }


def _by_failures(item: tuple[object, Place]) -> tuple[int, int, int]:
    place = item[1]
    return (-place.gave_up, -place.failures, -(place.calls or place.covered))


def _total(counts: Counts) -> Place:
    total = Place()
    for place in counts.origins.values():
        for name in Place.__slots__:
            setattr(total, name, getattr(total, name) + getattr(place, name))
    return total


def _source(counts: Counts) -> str | None:
    """Return which events say more of the calls: debug may have been logged for a while only."""
    total = _total(counts)
    if total.calls or total.covered:
        return CALL_EVENTS if total.calls >= total.covered else SUMMARIES
    return None


def _numbers(of: Place | Part, source: str | None) -> tuple[int, int, int] | None:
    if source == CALL_EVENTS:
        return of.calls, of.succeeded, of.attempts
    if source == SUMMARIES:
        return of.covered, of.covered_succeeded, of.covered_attempts
    return None


def _calls(of: Place | Part, source: str | None) -> Report | None:
    numbers = _numbers(of, source)
    if numbers is None:
        return None
    calls, succeeded, attempts = numbers
    return {
        "source": source,
        "calls": calls,
        "succeeded": succeeded,
        "attempts": attempts,
        "attempts_per_call": round(attempts / calls, 3) if calls else None,
    }


def _place(place: Place, source: str | None, *, is_info: bool) -> Report:
    calls, succeeded, attempts = _numbers(place, source) or (None, None, None)
    return {
        "calls": calls,
        "succeeded": succeeded,
        "attempts": attempts,
        "failures": place.failures,
        "recovered": place.recovered if is_info else None,
        "gave_up": place.gave_up,
    }


def _over_time(counts: Counts, source: str | None) -> Report:
    bins = counts.bins
    while source == SUMMARIES and bins.width < _SUMMARY_WIDTH:
        bins.widen()
    return {
        "width": bins.width,
        "parts": [
            {
                "at": start,
                "calls": (_numbers(part, source) or (None,) * 3)[0],
                "succeeded": (_numbers(part, source) or (None,) * 3)[1],
                "attempts": (_numbers(part, source) or (None,) * 3)[2],
                "failures": part.failures,
                "retries": part.retries,
                "gave_up": part.gave_up,
                "throttle": round(part.throttle, 3),
                "backoff": round(part.backoff, 3),
                "parking": round(part.parking, 3),
                "rate_limit_left": None if part.share is None else round(part.share, 4),
            }
            for start, part in bins.parts()
        ],
    }


def _time_lost(counts: Counts) -> Report:
    waits, throttle = counts.waits, None
    # Who logs debug logs each wait, and who waited for nothing has none to log.
    if counts.events["throttle_delayed"] or any(counts.events[name] for name in _DEBUG):
        throttle = max(waits.throttle, waits.covered)
    elif counts.events[SUMMARIES]:
        throttle = waits.covered
    return {
        "throttle": None if throttle is None else round(throttle, 3),
        "backoff": {
            source: round(wait, 3)
            for source, wait in sorted(waits.backoff.items(), key=lambda item: -item[1])
        },
        "parking": round(waits.parking, 3),
    }


def _rate_limits(counts: Counts) -> list[Report]:
    ordered = sorted(
        counts.limits.found.items(),
        key=lambda item: (-item[1].held, 1.0 if item[1].share is None else item[1].share),
    )
    return [
        {
            "origin": origin,
            "scope": scope,
            "limit": each.limit,
            "least_remaining": each.least,
            "least_share": None if each.share is None else round(each.share, 4),
            "at": each.at,
            "holds": dict(each.holds.most_common()),
            "held": round(each.held, 3),
        }
        for (origin, scope), each in ordered
    ]
