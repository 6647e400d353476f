"""The log lines' contract, as a JSON Schema (draft 7) that comes with the package."""

import json
from importlib.resources import files
from typing import Any

__all__ = ["log_schema", "log_schema_text"]

_FILE = "log.schema.json"


def log_schema_text() -> str:
    """Return the JSON Schema of the log lines as it is in the package, a line for each field."""
    return files("httpx_resilience.instrumentation").joinpath(_FILE).read_text(encoding="utf-8")


def log_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 7) of the log lines, one JSON object each.

    It allows fields, events and values that it does not name: later versions have more of them,
    and an application adds its own. Those that it names keep their names and types for as long as
    the lines say ``"schema": 1``. The values known today are the ``examples``.

    >>> schema = log_schema()
    >>> schema["definitions"]["gave_up"]["properties"]["reason"]["type"]
    'string'
    """
    made: dict[str, Any] = json.loads(log_schema_text())
    return made
