"""What a line says, checked: a log is text that anybody may have written to.

A record is a dictionary of the fields that the log's schema lists for its event: each that is
required is there, and each is of its type and of a sane size. The line's time, in seconds since
1970, stands under ``at``. Whatever counts records may rely on that.
"""

import json
import re
from typing import Any

from ..._core.telemetry.events import SCHEMA
from ...instrumentation.schema import log_schema
from .times import time_of

Record = dict[str, Any]

LONGEST_TEXT = 500
"""Characters that are kept of a field; a path may be longer, and is cut."""

_MOST = 1e15
"""Numbers beyond are no seconds, and no counts."""

_TEXT, _NUMBER, _FLAG = 1, 2, 3
_TYPES = {"string": _TEXT, "integer": _NUMBER, "number": _NUMBER, "boolean": _FLAG}
_DEFINITIONS: dict[str, Any] = log_schema()["definitions"]
_KINDS: dict[str, int] = {
    name: _TYPES[about["type"]]
    for definition in _DEFINITIONS.values()
    for name, about in definition["properties"].items()
} | {"level": _TEXT, "schema": _NUMBER}
_REQUIRED: dict[str, list[str]] = {
    event: definition.get("required", []) for event, definition in _DEFINITIONS.items()
}
_PAIR = re.compile(r'(\w+)=("(?:[^"\\]|\\.)*"|\S*)')
_ESCAPE = re.compile(r'\\([\\"n])')
_RENDERED = ("event", "message", "msg")
"""Where a JSON line has a line of the stdlib fallback, if it wraps one."""


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
    if record is None or record.get("schema") != SCHEMA:
        return None
    required = _REQUIRED.get(record["event"])
    if required is None:  # of a later version, or somebody else's
        return None
    stamp = record.get(time_key)
    _check(record)
    for name in required:
        if name not in record:
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
    return record if type(record.get("event")) is str else None


def _of_pairs(line: str) -> Record | None:
    """Return the pairs of a line of the stdlib fallback.

    >>> _of_pairs('WARNING:httpx_resilience:event=gave_up path="/a b" attempt=2 escalated=true')
    {'event': 'gave_up', 'path': '/a b', 'attempt': 2, 'escalated': True}
    """
    record: Record = {}
    for key, value in _PAIR.findall(line, line.find("event=")):
        text = _unquoted(value) if value.startswith('"') else value
        record[key] = _typed(_KINDS.get(key), text)
    return record


def _unquoted(value: str) -> str:
    return _ESCAPE.sub(lambda found: found[1].replace("n", "\n"), value[1:-1])


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
