"""The JSON Schema of the log lines, made from the types of the events and their docstrings.

``python tests/support/log_schema.py`` writes it into the package; a test keeps it up to date.
"""

import json
import types
import typing
from dataclasses import MISSING, fields
from typing import Any

from httpx_resilience import ErrorClass, Event
from httpx_resilience._core.telemetry.events import SCHEMA
from support import tables

PATH = tables.ROOT / "src/httpx_resilience/instrumentation/log.schema.json"

TYPES: dict[Any, str] = {str: "string", int: "integer", float: "number", bool: "boolean"}

TOKEN = "^[A-Za-z0-9_.:-]{1,128}$"
"""What ids and codes of servers have to look like; others are logged as ``invalid``."""

PATTERNS = {
    "origin": "^[a-z][a-z0-9+.-]*://[^/?#@]*$",
    "call_id": TOKEN,
    "request_id": TOKEN,
    "code": TOKEN,
    "path": "^[^?#]*$",
}

LEAST = {"attempt": 1, "max_attempts": 1, "status": 100}
"""The least value of a number, where that is not 0."""

STOPS = [reason for reason in tables.WHEN if reason != "success"]

KNOWN: dict[str, dict[str, list[str]]] = {
    "error_class": {"": [str(each) for each in ErrorClass]},
    "delay_source": {"": list(tables.SOURCES), "gave_up": [*tables.SOURCES, "throttle"]},
    "outcome": {"": ["request", "stopped", "raised", "cut"]},
    "reason": {
        "": list(tables.HOLDS),
        "gave_up": STOPS,
        "call_finished": ["success", *STOPS],
        "retry_parked": ["unavailable", "budget"],
        "origin_unavailable": ["failing", "slow"],
        "store_lost": ["timeout", "connection", "reply", "refused"],
    },
}
"""By field and event, the values of closed vocabularies."""

FAILURES: dict[str, tuple[str, dict[str, dict[str, Any]]]] = {
    "listener_failed": (
        "A listener raised; logged once for each. Level error.",
        {
            "listener": {
                "type": "integer",
                "minimum": 0,
                "description": "Its place in `on_event`, from 0",
            },
            "exception_type": {"type": "string", "description": "Class name of what it raised"},
        },
    ),
    "store_unencrypted": (
        "A store's connection leaves the machine without TLS; logged once for each. Level warning.",
        {
            "namespace": {"type": "string", "description": "Of the store's keys"},
            "advice": {"type": "string", "description": "What a person can do about it"},
        },
    ),
    "log_failed": (
        "The logger raised; logged once, through stdlib. Level error.",
        {"exception_type": {"type": "string", "description": "Class name of what it raised"}},
    ),
}
"""Lines that are about no call."""

ABOUT = (
    "A log line of httpx-resilience, as structlog's JSONRenderer or the stdlib fallback is given "
    "it. Times are seconds. Lines may have more fields (level, timestamp, whatever the application "
    "adds), later versions more fields, events and values; none is renamed, none gets another type."
)


def plain(text: str) -> str:
    """Return a docstring's words without its markup."""
    return text.replace("``", "`")


def field_schema(kind: type[Event], name: str, annotation: Any, meaning: str) -> dict[str, Any]:
    """Return the schema of one field of an event."""
    options = [each for each in typing.get_args(annotation) if each is not types.NoneType]
    (plain_type,) = options or [annotation]
    made: dict[str, Any] = {"type": TYPES[plain_type]}
    if plain_type in (int, float):
        made["minimum"] = LEAST.get(name, 0)
    if name in PATTERNS:
        made["pattern"] = PATTERNS[name]
    if name in KNOWN:
        known = KNOWN[name]
        made["examples"] = known.get(kind.name, known[""])
    return {**made, "description": plain(meaning)}


def is_always_there(annotation: Any, default: object) -> bool:
    return default is MISSING and types.NoneType not in typing.get_args(annotation)


def event_schema(kind: type[Event]) -> dict[str, Any]:
    """Return the schema of one event's line."""
    said, shown = tables.all_described(kind), tables.in_its_line(kind)
    hints = typing.get_type_hints(kind)
    properties, required = {}, []
    for field in fields(kind):
        if field.name in shown:
            hint = hints[field.name]
            properties[field.name] = field_schema(kind, field.name, hint, said[field.name])
            if is_always_there(hint, field.default):
                required.append(field.name)
    level = tables.level_of(kind)
    about = f"{tables.first_sentence(kind.__doc__ or '')}. Level {level}."
    return {"description": plain(about), "required": required, "properties": properties}


def log_schema() -> dict[str, Any]:
    """Return the schema of all lines."""
    made = {kind.name: event_schema(kind) for kind in tables.event_types()}
    for name, (about, properties) in FAILURES.items():
        made[name] = {"description": about, "required": [*properties], "properties": properties}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "$id": f"urn:httpx-resilience:log:{SCHEMA}",
        "title": "Log lines of httpx-resilience",
        "description": ABOUT,
        "type": "object",
        "required": ["event", "schema"],
        "properties": {
            "event": {"type": "string", "examples": sorted(made)},
            "schema": {"const": SCHEMA},
        },
        "allOf": [
            {
                "if": {"properties": {"event": {"const": name}}},
                "then": {"$ref": f"#/definitions/{name}"},
            }
            for name in sorted(made)
        ],
        "definitions": {name: made[name] for name in sorted(made)},
    }


def rendered(schema: dict[str, Any]) -> str:
    """Return the schema as text: a line for each field."""
    lines: list[str] = []

    def write(value: Any, indent: int, before: str, after: str) -> None:
        space, one_line = "  " * indent, json.dumps(value)
        inside = value.values() if isinstance(value, dict) else value
        is_leaf = not isinstance(value, dict | list) or not any(
            isinstance(each, dict) for each in inside
        )
        if is_leaf or len(space + before + one_line + after) <= 100:
            lines.append(f"{space}{before}{one_line}{after}")
            return
        items = list(value.items()) if isinstance(value, dict) else [(None, v) for v in value]
        opening, closing = "{}" if isinstance(value, dict) else "[]"
        lines.append(f"{space}{before}{opening}")
        for index, (key, each) in enumerate(items):
            name = "" if key is None else f"{json.dumps(key)}: "
            write(each, indent + 1, name, "," if index < len(items) - 1 else "")
        lines.append(f"{space}{closing}{after}")

    write(schema, 0, "", "")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    PATH.write_text(rendered(log_schema()), encoding="utf-8")
