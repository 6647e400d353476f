"""Events as log lines: through structlog where the application configured it, else stdlib.

An unconfigured structlog would print debug lines into the program's standard output; so without a
configuration the lines go to ``logging.getLogger("httpx_resilience")`` as ``key=value`` pairs,
with level and timestamp added, which belong to the application's processors otherwise.

structlog is not imported here: that takes a quarter of the time of importing httpx, and an
application that configured it has imported it itself, maybe after us.
"""

import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from .._core.events import Event, Level

LOGGER_NAME = "httpx_resilience"

_stdlib = logging.getLogger(LOGGER_NAME)
_modules = sys.modules


def is_enabled(level: Level) -> bool:
    """Tell whether a line of this level would be written by anybody."""
    structlog = _structlog() if "structlog" in _modules else None
    if structlog is not None:
        return _allows(structlog.get_logger(LOGGER_NAME).bind(), level)
    return _stdlib.isEnabledFor(level)


def write(event: Event) -> None:
    """Write an event as one line, if its level is enabled."""
    write_line(event.level, event.name, event.as_fields)


def write_line(level: Level, name: str, fields: Callable[[], dict[str, Any]]) -> None:
    """Write one line; ``fields`` is called for the fields only if the level is enabled."""
    logger = logger_for(level)
    if logger is not None:
        write_to(logger, level, name, fields())


def logger_for(level: Level) -> Any:
    """Return what would write a line of this level now; None if nobody would.

    structlog takes 2 µs to answer: so it is asked once for a line, and not again to write it.
    """
    structlog = _structlog()
    if structlog is None:
        return _stdlib if _stdlib.isEnabledFor(level) else None
    logger = structlog.get_logger(LOGGER_NAME).bind()
    return logger if _allows(logger, level) else None


def write_to(logger: Any, level: Level, name: str, fields: dict[str, Any]) -> None:
    """Write one line by what ``logger_for`` returned for its level."""
    if logger is _stdlib:
        _stdlib.log(level, "%s", _render(level, name, _printable(fields)))
    else:
        getattr(logger, level.name.lower())(name, **_printable(fields))


def _structlog() -> Any:
    """Return structlog if the application configured it, else None."""
    structlog = _modules.get("structlog")
    if structlog is None:
        return None
    asked = getattr(structlog, "is_configured", None)  # missing while it is being imported
    return structlog if asked is not None and asked() else None


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


def _render(level: Level, name: str, fields: Mapping[str, object]) -> str:
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    return logfmt({"event": name, "level": level.name.lower(), "timestamp": now, **fields})


def logfmt(fields: Mapping[str, object]) -> str:
    """Return fields as one line of ``key=value`` pairs, as structlog's ``LogfmtRenderer`` would.

    >>> logfmt({"event": "gave_up", "path": "/a b", "escalated": True})
    'event=gave_up path="/a b" escalated=true'
    """
    return " ".join(f"{key}={_logfmt_value(value)}" for key, value in fields.items())


def _logfmt_value(value: object) -> str:
    if value is None:
        return ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    is_quoted = " " in text or "=" in text or '"' in text
    if is_quoted:
        text = text.replace("\\", "\\\\")
    text = text.replace('"', '\\"').replace("\n", "\\n")
    return f'"{text}"' if is_quoted else text
