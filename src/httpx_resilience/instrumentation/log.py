"""Events as log lines: through structlog where the application configured it, else stdlib.

An unconfigured structlog would print debug lines into the program's standard output; so without a
configuration the lines go to ``logging.getLogger("httpx_resilience")`` as ``key=value`` pairs,
with level and timestamp added, which belong to the application's processors otherwise.
"""

import logging
from datetime import UTC, datetime
from typing import Any

import structlog

from .._core.events import Event, Level

LOGGER_NAME = "httpx_resilience"

_stdlib = logging.getLogger(LOGGER_NAME)
_logfmt = structlog.processors.LogfmtRenderer(
    key_order=["event", "level", "timestamp"], drop_missing=True, bool_as_flag=False
)


def is_enabled(level: Level) -> bool:
    """Tell whether a line of this level would be written by anybody."""
    if structlog.is_configured():
        return _allows(structlog.get_logger(LOGGER_NAME).bind(), level)
    return _stdlib.isEnabledFor(level)


def write(event: Event) -> None:
    """Write an event as one line, if its level is enabled."""
    write_line(event.level, event.name, event.as_fields)


def write_line(level: Level, name: str, fields: Any) -> None:
    """Write one line; ``fields`` is called for the fields only if the level is enabled."""
    if structlog.is_configured():
        logger = structlog.get_logger(LOGGER_NAME).bind()
        if _allows(logger, level):
            getattr(logger, level.name.lower())(name, **_printable(fields()))
    elif _stdlib.isEnabledFor(level):
        _stdlib.log(level, "%s", _render(level, name, _printable(fields())))


def _allows(logger: Any, level: Level) -> bool:
    asked = getattr(logger, "is_enabled_for", None) or getattr(logger, "isEnabledFor", None)
    if asked is None:
        return level >= Level.INFO
    try:
        return bool(asked(int(level)))
    except Exception:  # noqa: BLE001 - a logger that cannot say, whatever it is
        return level >= Level.INFO


def _printable(fields: dict[str, Any]) -> dict[str, Any]:
    """Return the fields with whatever could forge a line, or colour a terminal, escaped.

    Servers' words are checked before they are told; a path is whatever ``redact`` makes of it.
    """
    for name, value in fields.items():
        if isinstance(value, str) and not value.isprintable():
            fields[name] = value.encode("unicode_escape").decode("ascii")
    return fields


def _render(level: Level, name: str, fields: dict[str, Any]) -> str:
    line = {
        "event": name,
        "level": level.name.lower(),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **fields,
    }
    return str(_logfmt(None, "", line))
