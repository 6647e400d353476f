"""Error body (bytes) → ErrorInfo. Nothing in a body is trusted; whatever is odd is no error."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, NamedTuple

from .catalog import TOKEN, ErrorSpec, Path
from .dialect import Dialect

MAX_BODY = 262_144
"""Bytes of a decoded body that are looked at: four times what is peeked of the encoded one."""

MAX_DEPTH = 100
"""Levels of nesting; a body beyond it is no error (and no strain on the parser's stack)."""

MAX_NESTED = 10_000
"""Objects and lists in a body: by far the dearest to parse of what fits into ``MAX_BODY``."""

_WHITESPACE = " \t\n\r"
_decoder = json.JSONDecoder()

_LONGEST_WAIT = 1e9
"""Seconds; a number in a body beyond it is no wait."""

# A string that is never closed ends with the body: searched for again behind each of its quotes
# it would take quadratic time.
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*+"?', re.DOTALL)
_NO_BRACKET = bytes(set(range(256)) - set(b"[]{}"))


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class ErrorInfo:
    """What an error response says of itself.

    Attributes:
        code: The machine-readable code.
        message: The server's sentence for people; may hold secrets, so it is in no repr.
        details: The server's details; may hold secrets, so they are in no repr.
        fields: The items of ``details["fields"]``, for validation errors; in no repr either.
        request_id: The server's request id, to be named in a support ticket.
        spec: The dialect's catalogue row for the code, or None if it is not listed.
    """

    code: str
    message: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)
    fields: tuple[Mapping[str, Any], ...] = ()
    request_id: str | None = None
    spec: ErrorSpec | None = None

    def __repr__(self) -> str:
        code, request_id = safe_token(self.code), safe_token(self.request_id)
        return f"ErrorInfo(code={code!r}, request_id={request_id!r}, spec={self.spec!r})"


class ErrorSummary(NamedTuple):
    """What an error body says that decides, and what names it in a ticket.

    Attributes:
        code: The machine-readable code, or None.
        request_id: The server's request id.
        wait: Seconds to wait, where the dialect says that a body names them.
    """

    code: str | None = None
    request_id: str | None = None
    wait: float | None = None


_SILENT = ErrorSummary()


def read_summary(body: bytes, dialect: Dialect, *, with_id: bool = True) -> ErrorSummary:
    """Return what an error body says that a decision needs; it is parsed once.

    Never raises, as ``read_error``. ``with_id``, if the request id is wanted, too.

    >>> read_summary(b'{"error": {"code": "busy"}}', Dialect(name="any")).code
    'busy'
    """
    document = _parse(body)
    if document is None:
        return _SILENT
    envelope = dialect.envelope
    code = _code(document, envelope.code)
    request_id = _first(document, envelope.request_id, str) if code and with_id else None
    return ErrorSummary(code, request_id, _wait(document, envelope.wait) if envelope.wait else None)


def read_error(body: bytes, dialect: Dialect) -> ErrorInfo | None:
    """Return what an error body says in the dialect's envelope, or None if it says no code.

    Never raises: a body that is not JSON, not an object, too large, cut off, badly encoded,
    wrongly typed or too deeply nested is no error.

    >>> body = b'{"error": {"code": "busy", "request_id": "req_1"}}'
    >>> read_error(body, Dialect(name="any"))
    ErrorInfo(code='busy', request_id='req_1', spec=None)
    """
    document = _parse(body)
    if document is None:
        return None
    envelope = dialect.envelope
    code = _code(document, envelope.code)
    if not code:
        return None
    details = _first(document, envelope.details, dict) or {}
    listed = details.get("fields")
    rows = listed if isinstance(listed, list) else []
    return ErrorInfo(
        code=code,
        message=_first(document, envelope.message, str),
        details=details,
        fields=tuple(row for row in rows if isinstance(row, dict)),
        request_id=_first(document, envelope.request_id, str),
        spec=dialect.spec(code),
    )


def _wait(document: Any, paths: tuple[Path, ...]) -> float | None:
    for kind in (int, float):
        value = _first(document, paths, kind)
        if value is not None and not isinstance(value, bool) and 0 <= value <= _LONGEST_WAIT:
            return float(value)
    return None


def safe_token(text: str | None) -> str | None:
    """Return a server's word as it may be logged: itself if it looks like one, else ``invalid``.

    >>> safe_token("rate_limited"), safe_token("bad word"), safe_token(None)
    ('rate_limited', 'invalid', None)
    """
    return text if text is None or TOKEN.fullmatch(text) else "invalid"


def _code(document: Any, paths: tuple[Path, ...]) -> str | None:
    for path in paths:
        found: str | None = _first(document, (path,), str)
        if found and path[-1] == "type":
            found = _last_segment(found)
        if found:
            return found
    return None


def _last_segment(uri: str) -> str:
    """Return what distinguishes one problem type from another (RFC 9457, section 3.1.1)."""
    return "" if uri == "about:blank" else re.split(r"[/#:]", uri.rstrip("/"))[-1]


def _parse(body: bytes) -> Any:
    if not body or len(body) > MAX_BODY or _is_too_nested(body):
        return None
    try:  # as json.loads does, which takes a third longer
        is_utf8 = body.startswith(b'{"')  # as with nearly all, and there is nothing to detect
        encoding = "utf-8" if is_utf8 else json.detect_encoding(body)
        text = body.decode(encoding, "surrogatepass").strip(_WHITESPACE)
        document, end = _decoder.raw_decode(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) and end == len(text) else None


def _is_too_nested(body: bytes) -> bool:
    nested = body.count(b"[") + body.count(b"{")
    if not MAX_DEPTH < nested <= MAX_NESTED:
        return nested > MAX_NESTED
    brackets = _STRING.sub(b"", body).translate(None, _NO_BRACKET)
    depths = accumulate(1 if bracket in b"[{" else -1 for bracket in brackets)
    return any(depth > MAX_DEPTH for depth in depths)


def _first(document: Any, paths: tuple[Path, ...], kind: type) -> Any:
    for path in paths:
        value = document
        for key in path:
            value = value.get(key) if type(value) is dict else _step(value, key)
        if isinstance(value, kind):
            return value
    return None


def _step(value: Any, key: str) -> Any:
    if key == "*" and isinstance(value, list) and value:
        return value[0]
    return None
