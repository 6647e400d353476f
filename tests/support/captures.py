"""Errors as APIs sent them: ``tests/captures/<dialect>/<name>.json``.

A capture names its ``source``: where the status, the headers and the body were published. One that
was written by hand says ``made`` instead, and proves nothing of the API. Secrets, and the ids of
accounts, are taken out (``removed``); request ids are as they were, or taken out.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

from httpx_resilience._core.outcome import RawHeaders

from .core import Answer

CAPTURES = Path(__file__).parents[1] / "captures"

_FIELDS = {"source", "made", "note", "status", "headers", "body", "expect"}
_EXPECTED = {"error_class", "code", "wait", "request_id", "reason"}


class Capture(NamedTuple):
    """One error of an API.

    Attributes:
        dialect: Name of the dialect it is of.
        name: Its own.
        source: Where it was published; None for one that was made.
        status: HTTP status.
        headers: Those that may count.
        body: The raw body.
        expect: What the dialect should make of it: ``error_class``, and where they are given
            ``code``, ``wait`` (seconds), ``request_id`` and ``reason`` (why the call ends).
    """

    dialect: str
    name: str
    source: str | None
    status: int
    headers: RawHeaders
    body: bytes
    expect: dict[str, Any]

    @property
    def answer(self) -> Answer:
        """It as one attempt's answer."""
        return Answer(self.status, self.body, self.headers)


def read_captures() -> list[Capture]:
    """Return all of them, in order of their names.

    Raises:
        ValueError: One has no source and is not said to be made, or has unknown fields.
    """
    return [read_capture(path) for path in sorted(CAPTURES.glob("*/*.json"))]


def read_capture(path: Path) -> Capture:
    """Return the capture of a file."""
    document = json.loads(path.read_text(encoding="utf-8"))
    where = f"{path.parent.name}/{path.name}"
    if bool(document.get("source")) == bool(document.get("made")):
        raise ValueError(f"{where}: give it a source, or say that it is made, and not both")
    unknown = (set(document) - _FIELDS) | (set(document["expect"]) - _EXPECTED)
    if unknown or "error_class" not in document["expect"]:
        raise ValueError(f"{where}: unknown fields {sorted(unknown)}, or no error_class")
    body = document["body"]
    return Capture(
        dialect=path.parent.name,
        name=path.stem,
        source=document.get("source"),
        status=document["status"],
        headers=[(name.encode(), value.encode()) for name, value in document["headers"]],
        body=b"" if body is None else json.dumps(body).encode(),
        expect=document["expect"],
    )
