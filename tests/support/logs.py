"""structlog as an application configures it."""

from typing import Any

import structlog


def filtering(level: int) -> type[Any]:
    """Return structlog's own class of loggers that write from a level on, and say so.

    Before 25.1 they cannot say it, and count as at info, as any logger that cannot. It is added
    here, so that every version's lines are looked at.
    """
    kind: type[Any] = structlog.make_filtering_bound_logger(level)
    if hasattr(kind, "is_enabled_for"):
        return kind
    return type("Saying", (kind,), {"is_enabled_for": lambda _, asked: asked >= level})
