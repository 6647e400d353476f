"""Error (body, headers) → ErrorInfo. Nothing in it is trusted; whatever is odd is no error."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ..headers import Reading
from ..headers.values import moment
from ..outcome import RawHeaders
from .catalog import TOKEN, Envelope, ErrorSpec, MessageRule
from .dialect import Dialect
from .document import parse
from .paths import Path, first, follow

MAX_BODY = 262_144
"""Bytes of a decoded body that are looked at: four times what is peeked of the encoded one."""

MAX_TEXT = 16_384
"""Characters of a message, or of a body's text, in which words are looked for."""

_LONGEST_WAIT = 1e9
"""Seconds; a number in a body beyond it is no wait."""

_MOST = 10**18
"""Beyond it a number in a body is no code."""

_LONGEST_NUMBER = 24
"""Characters behind a word in which a number is looked for."""

_NUMBER = re.compile(r"[\s:=~]{0,8}(\d{1,3}(?:,\d{3}){1,3}|\d{1,12})(?![\d,])")

_LONGEST_HEADER = 512
"""Bytes of a header in which a code is looked for."""


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
        requested: Units that the request takes, where the dialect says that a message names them.
    """

    code: str | None = None
    request_id: str | None = None
    wait: float | None = None
    requested: int | None = None


_SILENT = ErrorSummary()


def read_summary(
    body: bytes,
    dialect: Dialect,
    *,
    status: int = 0,
    headers: RawHeaders = (),
    with_id: bool = True,
) -> ErrorSummary:
    """Return what an error says that a decision needs; its body is parsed once.

    Never raises, as ``read_error``. ``with_id``, if the request id is wanted, too.

    >>> read_summary(b'{"error": {"code": "busy"}}', Dialect(name="any")).code
    'busy'
    """
    document, envelope = parse(body, MAX_BODY), dialect.envelope
    code = _code(document, body, dialect, status, headers)
    if document is None:
        return ErrorSummary(code) if code else _SILENT
    request_id = first(document, envelope.request_id, str) if code and with_id else None
    wait = _wait(document, envelope.wait) if envelope.wait else None
    requested = _requested(document, envelope) if envelope.requested else None
    return ErrorSummary(code, request_id, wait, requested)


def read_error(
    body: bytes, dialect: Dialect, *, status: int = 0, headers: RawHeaders = ()
) -> ErrorInfo | None:
    """Return what an error says in the dialect's envelope, or None if it says no code.

    Never raises: a body that is not JSON, neither an object nor a list, too large, cut off, badly
    encoded, wrongly typed or too deeply nested is no error.

    Args:
        body: The decoded body.
        dialect: How the API speaks.
        status: HTTP status; 0 if it is unknown. Below 400 only the body is asked for the code.
        headers: Raw names and values of the response.

    >>> body = b'{"error": {"code": "busy", "request_id": "req_1"}}'
    >>> read_error(body, Dialect(name="any"))
    ErrorInfo(code='busy', request_id='req_1', spec=None)
    """
    document, envelope = parse(body, MAX_BODY), dialect.envelope
    code = _code(document, body, dialect, status, headers)
    if not code:
        return None
    details = first(document, envelope.details, dict) or {}
    listed = details.get("fields")
    rows = listed if isinstance(listed, list) else []
    return ErrorInfo(
        code=code,
        message=first(document, envelope.message, str),
        details=details,
        fields=tuple(row for row in rows if isinstance(row, dict)),
        request_id=first(document, envelope.request_id, str),
        spec=dialect.spec(code),
    )


def with_usage(reading: Reading, body: bytes, dialect: Dialect) -> Reading:
    """Return a reading that says what the request took, as the body of its success does.

    >>> from httpx_resilience import RequestRules
    >>> from httpx_resilience._core.headers import RateLimit
    >>> tokens = RequestRules(usage={"tokens": ("usage", "total_tokens")})
    >>> said = Reading((RateLimit(30_000, 900, unit="tokens"),))
    >>> body = b'{"usage": {"total_tokens": 321}}'
    >>> with_usage(said, body, Dialect(name="llm", requests=tokens)).limits[0].cost
    321
    """
    paths, document = dialect.requests.usage, parse(body, MAX_BODY)
    took = {unit: first(document, (path,), int) for unit, path in paths.items()}
    limits = [
        limit._replace(cost=cost)
        if type(cost := took.get(limit.unit)) is int and 0 <= cost < _MOST
        else limit
        for limit in reading.limits
    ]
    return reading._replace(limits=tuple(limits))


def _wait(document: Any, paths: tuple[Path, ...]) -> float | None:
    for path in paths:
        seconds = _seconds(follow(document, path))
        if seconds is not None and 0 <= seconds <= _LONGEST_WAIT:
            return float(seconds)
    return None


def _requested(document: Any, envelope: Envelope) -> int | None:
    """Return the number behind the word for what a request takes, as in ``Requested 30601``."""
    _, found, rest = (first(document, envelope.message, str) or "").partition(envelope.requested)
    number = _NUMBER.match(rest[:_LONGEST_NUMBER]) if found else None
    return int(number[1].replace(",", "")) if number else None


def _seconds(value: Any) -> float | None:
    """Return a number of seconds, or a duration such as ``"3.5s"``; a string of digits is none."""
    if type(value) is str:
        found = moment(value)
        return found.value if found is not None and found.kind == "duration" else None
    return value if type(value) is float or type(value) is int else None


def safe_token(text: str | None) -> str | None:
    """Return a server's word as it may be logged: itself if it looks like one, else ``invalid``.

    >>> safe_token("rate_limited"), safe_token("bad word"), safe_token(None)
    ('rate_limited', 'invalid', None)
    """
    return text if text is None or TOKEN.fullmatch(text) else "invalid"


# The code.


def _code(
    document: Any, body: bytes, dialect: Dialect, status: int, headers: RawHeaders
) -> str | None:
    """Return an error's code: the first that is in the catalogue, else the first that there is.

    Of codes that nobody listed a word comes before a number. Where the status says success, headers
    are not asked, and 0 means that all is well.
    """
    envelope, is_success = dialect.envelope, 0 < status < 400
    words: list[str] = []
    numbers: list[str] = []
    for path in envelope.code:
        found = follow(document, path)
        if type(found) is str:
            code, unlisted = _word(found, path[-1]), words
        elif type(found) is int and -_MOST < found < _MOST:
            code, unlisted = str(found), numbers
        else:
            continue
        if not code or (is_success and code == "0"):
            continue
        if dialect.spec(code) is not None:
            return code
        unlisted.append(code)
    if envelope.code_headers and not is_success:
        for code in _header_codes(headers, envelope.code_headers):
            if dialect.spec(code) is not None:
                return code
            words.append(code)
    if words:
        return words[0]
    for code in numbers:
        if _is_code(int(code), dialect):
            return code
    return _by_message(document, body, envelope, status) if envelope.messages else None


def _is_code(number: int, dialect: Dialect) -> bool:
    """Return whether a number that nobody listed is a code, and not the HTTP status once more.

    To an API whose codes are words it is none: whoever sent it, it was not the API.
    """
    codes = dialect.codes
    is_status = 100 <= number <= 599
    return not is_status and (not codes or any(code.lstrip("-").isdigit() for code in codes))


def _word(found: str, key: str) -> str:
    if key == "type":
        return _last_segment(found)
    return _shape_name(found) if key == "__type" else found


def _last_segment(uri: str) -> str:
    """Return what distinguishes one problem type from another (RFC 9457, section 3.1.1)."""
    return "" if uri == "about:blank" else re.split(r"[/#:]", uri.rstrip("/"))[-1]


def _shape_name(text: str) -> str:
    """Return an error's name as AWS writes it: what stands before ``:`` and after ``#``.

    (Smithy, "AWS JSON 1.1 protocol", operation error serialization.)
    """
    return text.partition(":")[0].rpartition("#")[2].strip()


def _header_codes(headers: RawHeaders, wanted: tuple[str, ...]) -> Iterator[str]:
    """Yield the codes in the wanted headers, in the order in which they are wanted."""
    found: dict[bytes, bytes] = {}
    names = [name.lower().encode("ascii") for name in wanted]
    for name, value in headers:
        lower = name.lower()
        if lower in names:
            found.setdefault(lower, value[:_LONGEST_HEADER])
    for lower in names:
        code = _shape_name(found.get(lower, b"").decode("latin-1"))
        if code:
            yield code


def _by_message(document: Any, body: bytes, envelope: Envelope, status: int) -> str | None:
    """Return the code of the first rule that fits what the error says in words."""
    rules = [rule for rule in envelope.messages if rule.is_about(status)]
    if not rules:
        return None
    message = first(document, envelope.message, str)
    text = message[:MAX_TEXT] if message else body[:MAX_TEXT].decode("utf-8", "replace")
    return _fitting(rules, text.casefold())


def _fitting(rules: list[MessageRule], text: str) -> str | None:
    return next((rule.code for rule in rules if rule.contains.casefold() in text), None)


# The body.
