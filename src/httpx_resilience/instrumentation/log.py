"""Events as log lines: through structlog where the application configured it, else stdlib.

An unconfigured structlog would print debug lines into the program's standard output; so without a
configuration the lines go to ``logging.getLogger("httpx_resilience")`` as ``key=value`` pairs,
with level and timestamp added, which belong to the application's processors otherwise.

structlog is not imported here: that takes a quarter of the time of importing httpx, and an
application that configured it has imported it itself, maybe after us.

Nothing is awaited here: structlog's asynchronous logger is used by its synchronous face; where a
logger has none, or cannot be made at all, the line goes to stdlib.
"""

import inspect
import logging
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from .._core.telemetry.events import Level

LOGGER_NAME = "httpx_resilience"

_stdlib = logging.getLogger(LOGGER_NAME)
_modules = sys.modules


def is_enabled(level: Level) -> bool:
    """Return whether a line of this level would be written."""
    logger = _structlog_logger() if "structlog" in _modules else None
    if logger is not None:
        return _allows(logger, level)
    return _stdlib.isEnabledFor(level)


def logger_for(level: Level) -> Any:
    """Return what would write a line of this level now; None if nobody would.

    structlog takes 2 µs to answer: so it is asked once for a line, and not again to write it.
    """
    logger = _structlog_logger()
    if logger is None:
        return _stdlib if _stdlib.isEnabledFor(level) else None
    return logger if _allows(logger, level) else None


def write_to(logger: Any, level: Level, name: str, fields: dict[str, Any]) -> None:
    """Write one line by what ``logger_for`` returned for its level."""
    if logger is not _stdlib:
        returned = getattr(logger, level.name.lower())(name, **_printable(fields))
        if returned is None or not _is_unwritten(returned):
            return
    write_to_stdlib(level, name, fields)


def write_to_stdlib(level: Level, name: str, fields: dict[str, Any]) -> None:
    """Write one line through stdlib, whatever else is configured."""
    _stdlib.log(level, "%s", _render(level, name, _printable(fields)))


def _structlog_logger() -> Any:
    """Return a logger of structlog's if the application configured it, else None."""
    structlog = _modules.get("structlog")
    if structlog is None:
        return None
    asked = getattr(structlog, "is_configured", None)  # missing while it is being imported
    if asked is None or not asked():
        return None
    try:
        logger = structlog.get_logger(LOGGER_NAME).bind()
    except Exception:  # noqa: BLE001 - it cannot be made: an AsyncBoundLogger on Trio, for one
        return None
    # Asked of the class: some loggers have whatever attribute they are asked for.
    return logger.sync_bl if hasattr(type(logger), "sync_bl") else logger


def _is_unwritten(returned: object) -> bool:
    """Return whether a logger only returned what should be awaited, and discard that."""
    if not inspect.isawaitable(returned) or hasattr(returned, "done"):
        return False  # a future or a task is on its way by itself
    close = getattr(returned, "close", None)
    if close is not None:  # a coroutine that is dropped unawaited warns
        close()
    return True


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

    Servers' words are checked before they are logged; a path is whatever ``redact`` makes of it.
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
