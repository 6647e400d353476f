"""Every event that a test emits is looked at: its log line has to be what the schema says.

The suite makes more than a million. So the values of each are looked at as they are, and what
becomes of them as JSON, by structlog's ``JSONRenderer``, where the fields or their types are new.
"""

import json
import sys
from typing import Any

import fastjsonschema
import structlog

from httpx_resilience import Event
from httpx_resilience._core.telemetry.events import SCHEMA
from httpx_resilience.instrumentation.schema import log_schema

MOST = sys.float_info.max
"""What is more is infinite, for which JSON has no number."""

found: list[str] = []
"""What is wrong with the lines of the present test."""


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of what this version emits: no event, field or value that it lacks."""
    names = schema["properties"]["event"]["examples"]
    definitions = {}
    for name, each in schema["definitions"].items():
        properties = {
            field: {"enum" if key == "examples" else key: value for key, value in own.items()}
            for field, own in each["properties"].items()
        }
        for own in properties.values():
            if own["type"] == "number":
                own["maximum"] = MOST
        properties |= {"event": {"enum": names}, "schema": {"const": SCHEMA}}
        definitions[name] = {**each, "properties": properties, "additionalProperties": False}
    return {**schema, "definitions": definitions}


_definitions: dict[str, dict[str, Any]] = strict(log_schema())["definitions"]


def _of_values(definition: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an event's own fields: some may be None, and one is its time."""
    properties: dict[str, Any] = {"at": {"type": "number"}}
    for name, own in definition["properties"].items():
        properties[name] = own
        if name not in definition["required"] and "type" in own:
            known = {"enum": [None, *own["enum"]]} if "enum" in own else {}
            properties[name] = {**own, "type": [own["type"], "null"], **known}
    return {**definition, "properties": properties}


def _compiled(schema: dict[str, Any]) -> Any:
    return fastjsonschema.compile(schema, use_default=False)


# Each event by itself: the whole schema asks of a line whether it is the first, the second …
_values = {name: _compiled(_of_values(each)) for name, each in _definitions.items()}
_lines = {name: _compiled(each) for name, each in _definitions.items()}
_render = structlog.processors.JSONRenderer(allow_nan=False)
_known: set[tuple[object, ...]] = set()


def check(event: Event) -> None:
    """Note what is wrong with an event's line."""
    own, kind = event.__dict__, type(event)
    shape = (kind, *map(type, own.values()))
    try:
        _values[kind.name](own)
        if shape not in _known:
            check_line({"event": kind.name, **event.as_fields()})
            _known.add(shape)
    except (fastjsonschema.JsonSchemaException, KeyError) as error:
        found.append(f"{error}: {own}")


def check_line(line: dict[str, Any]) -> None:
    """Note what is wrong with a line, as structlog writes it."""
    try:
        _lines[line["event"]](json.loads(_render(None, "info", line)))
    except (fastjsonschema.JsonSchemaException, KeyError, TypeError, ValueError) as error:
        found.append(f"{error}: {line}")


def install() -> None:
    """Have every event that is made be looked at."""
    whole = Event.__init__

    def checked(self: Event, **given: Any) -> None:
        whole(self, **given)
        check(self)

    Event.__init__ = checked  # type: ignore[method-assign]  # as it says
