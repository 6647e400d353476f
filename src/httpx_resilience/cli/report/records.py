"""What a line says, checked: a log is text that anybody may have written to.

A record is a dictionary of the fields that `docs/logs.md` lists, each of its type and of a sane
size, with the line's time under ``at``. Whatever counts records may rely on that.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from ..._core.telemetry.events import CallEvent, CallStarted, Event, ThrottleDelayed
from .times import time_of

Record = dict[str, Any]

LONGEST_TEXT = 500
"""Characters that are kept of a field; a path may be longer, and is cut."""

_MOST = 1e15
"""Numbers beyond are no seconds, and no counts."""

_TEXTS = (
    "event level origin call_id request_id method path code error_class exception_type scope "
    "reason delay_source advice outcome"
)
_NUMBERS = (
    "attempt max_attempts status elapsed duration rate_limit rate_remaining rate_reset_in delay "
    "time_left budget parked queued released failures previous calls succeeded attempts retries "
    "held schema"
)
_FLAGS = "idempotent maybe_applied status_mismatch escalated"

_TEXT, _NUMBER, _FLAG = 1, 2, 3
_KINDS: dict[str, int] = {
    **dict.fromkeys(_TEXTS.split(), _TEXT),
    **dict.fromkeys(_NUMBERS.split(), _NUMBER),
    **dict.fromkeys(_FLAGS.split(), _FLAG),
}
_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
_ESCAPE = re.compile(r'\\([\\"n])')
_RENDERED = ("event", "message", "msg")
"""Where a JSON line has a line of the stdlib fallback, if it wraps one."""


def _kinds_of(kind: type[Event]) -> Iterator[type[Event]]:
    for each in kind.__subclasses__():
        if "name" in vars(each):
            yield each
        yield from _kinds_of(each)


_ALL = {kind.name: kind for kind in _kinds_of(Event)}
EVENTS = frozenset(_ALL)
"""The names of all events."""

OF_CALLS = frozenset(
    name
    for name, kind in _ALL.items()
    if issubclass(kind, CallEvent | CallStarted | ThrottleDelayed)
)
"""Those that are about one call, and name it."""


class MalformedError(Exception):
    """A line has the shape of one of the log's, and a field that cannot be one."""


def record_of(line: bytes, time_key: str) -> Record | None:
    """Return what a line says; None if it is none of this library's.

    Args:
        line: JSON, or the ``key=value`` pairs of the stdlib fallback, whatever stands before them.
        time_key: Name of the field that has the line's time.

    Raises:
        MalformedError: A field has a value that it cannot have.
    """
    text = line.decode("utf-8", "replace")
    if text.startswith("{"):
        record = _of_json(text)
    else:
        record = _of_pairs(text) if "event=" in text else None
    if record is None or record.get("event") not in EVENTS or "schema" not in record:
        return None
    stamp = record.get(time_key)
    _check(record)
    if "origin" not in record or (record["event"] in OF_CALLS and "call_id" not in record):
        raise MalformedError
    record["at"] = time_of(stamp)
    return record


def _of_json(text: str) -> Record | None:
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if type(record) is not dict:
        return None
    if "schema" not in record:
        for key in _RENDERED:
            inner = record.get(key)
            if type(inner) is str and "event=" in inner:
                return {**record, **(_of_pairs(inner) or {})}
    event = record.get("event")
    return record if type(event) is str else None


def _of_pairs(text: str) -> Record | None:
    """Return the pairs of a line of the stdlib fallback.

    >>> _of_pairs('WARNING:httpx_resilience:event=gave_up path="/a b" attempt=2 escalated=true')
    {'event': 'gave_up', 'path': '/a b', 'attempt': 2, 'escalated': True}
    """
    record: Record = {}
    for key, value in _PAIR.findall(text, text.find("event=")):
        if value.startswith('"'):
            value = _ESCAPE.sub(lambda found: found[1].replace("n", "\n"), value[1:-1])
        record[key] = _typed(_KINDS.get(key), value)
    return record


def _typed(kind: int | None, value: str) -> object:
    if kind == _FLAG:
        return value == "true"
    if kind == _NUMBER:
        try:
            return int(value) if value.isdecimal() else float(value)
        except ValueError:
            return value  # of no use, as ``_check`` finds
    return value


def _check(record: Record) -> None:
    """Leave no field that is of another type than it should be, or larger than it can be."""
    odd = None
    for key, value in record.items():
        kind = _KINDS.get(key)
        if kind is None:
            continue
        of = type(value)
        if kind == _TEXT:
            if of is not str or len(value) > LONGEST_TEXT:
                odd = [key] if odd is None else [*odd, key]
        elif kind == _NUMBER:
            if (of is not float and of is not int) or not -_MOST < value < _MOST:
                odd = [key] if odd is None else [*odd, key]
        elif of is not bool:
            odd = [key] if odd is None else [*odd, key]
    for key in odd or ():
        if record[key] is None:
            del record[key]
        elif type(record[key]) is str and _KINDS[key] == _TEXT:
            record[key] = record[key][: LONGEST_TEXT - 1] + "…"
        else:
            raise MalformedError
