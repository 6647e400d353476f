"""Events as lines: JSON for programs, ``key=value`` for people."""

import json
import textwrap
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from .._core.telemetry.events import Event, Level


def line_of(event: Event) -> dict[str, Any]:
    """Return an event's log line: its fields, with the level, and the time as of now."""
    return {
        "event": event.name,
        "level": event.level.name.lower(),
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds"),
        **event.as_fields(),
    }


class JsonLines:
    """Writes each event as a line of JSON on stdout.

    Args:
        least: The level from which on events are written.
        stop: Called once when they cannot be written, for nobody reads on (``| head``) or the disk
            is full.
    """

    def __init__(self, least: Level, stop: Callable[[], object]) -> None:
        self._least = least
        self._stop = stop
        self._error: OSError | None = None

    def __call__(self, event: Event) -> None:
        """Take an event. Never raises: the sink that calls would hide it."""
        if event.level < self._least or self._error is not None:
            return
        try:
            print(json.dumps(line_of(event)), flush=True)
        except OSError as error:
            self._error = error
            self._stop()

    def close(self) -> None:
        """Raise what stopped it, if anything did."""
        if self._error is not None:
            raise self._error


def readable(line: dict[str, Any], width: int) -> Text:
    """Return a log line as ``key=value`` pairs, wrapped between pairs and words."""
    event, *rest = (f"{key}={_shown(value)}" for key, value in line.items())
    wrapped = textwrap.wrap(
        " ".join([event, *rest]),
        width,
        initial_indent="  ",
        subsequent_indent="    ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    text = Text("\n".join(wrapped), no_wrap=True, overflow="ignore")
    text.highlight_regex(r"(?<!\S)[a-z_]+=", "cyan")
    text.highlight_regex(r"(?<=event=)\S+", "bold")
    return text


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return json.dumps(text) if not text or any(c in ' ="' for c in text) else text
