"""What a caller asks of a response or an exception afterwards."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING

from .._core.dialect.dialect import Dialect
from .._core.dialect.envelope import ErrorInfo, read_error, safe_token
from .._core.headers import STRIPES_VETO, VETO
from .._core.telemetry.advice import OTHER_API
from ..dialects.scaivault import DEFAULT_DIALECT, SCAIVAULT
from ..instrumentation.history import CallHistory
from .bodies import PEEK_BYTES, Peeked, decode, is_event_stream
from .errors import ErrorClasses, StatusError
from .successes import is_json

if TYPE_CHECKING:
    from . import typed as http

HISTORY = "resilience"
"""Key of the call's history in ``response.extensions``; also of the policy in a request's."""

PEEKED = "resilience.peeked"
DIALECT = "resilience.dialect"

_NOTE = "httpx-resilience: "
"""How our notes on exceptions begin."""


def error_of(response: http.Response, dialect: Dialect | None = None) -> ErrorInfo | None:
    """Return what an error response says of itself, or None if it says no code."""
    spoken: Dialect = dialect or response.extensions.get(DIALECT) or SCAIVAULT
    status, headers = response.status_code, response.headers.raw
    if status < 400 and not (spoken.envelope.errors_in_success and is_json(headers)):
        return None
    body = _body_of(response)
    return None if body is None else read_error(body, spoken, status=status, headers=headers)


def _body_of(response: http.Response) -> bytes | None:
    """Return the decoded body that is looked at for an error; None if it is not."""
    peeked = response.extensions.get(PEEKED)
    if isinstance(peeked, Peeked):
        return decode(peeked.head, response.headers.get("content-encoding", ""))
    is_success = response.status_code < 400
    try:
        body = response.content
    except RuntimeError:  # the library's ResponseNotRead
        if is_success or is_event_stream(response.headers.raw):
            return None
        raise
    return None if is_success and len(body) > PEEK_BYTES else body


def raise_for_error(response: http.Response, errors: ErrorClasses) -> None:
    """Raise the error that a response stands for, if it is one."""
    _ = response.request  # raises for a response without one, as httpx's raise_for_status does
    if response.status_code >= 400 or error_of(response) is not None:
        raise api_error(response, errors)


def api_error(
    response: http.Response, errors: ErrorClasses, dialect: Dialect | None = None
) -> StatusError:
    """Return the error that an error response stands for."""
    info, status = error_of(response, dialect), response.status_code
    if info is not None and info.spec is not None:
        text = f"{status} {info.spec.code}: {info.spec.meaning} {info.spec.advice}".rstrip(": ")
    elif info is not None and status < 400:
        text = f"{status} with the error {safe_token(info.code)}"
    else:
        text = f"{status} {_phrase_of(status)}"
    spoken = dialect or response.extensions.get(DIALECT)
    if spoken is DEFAULT_DIALECT and info is not None and info.spec is None:
        text += f": {OTHER_API}"
    history = history_of(response)
    if history is not None and history.retries:
        text += f" (after {history.retries + 1} attempts: {history.reason})"
    return errors.api(text, request=response.request, response=response, info=info)


def _phrase_of(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return ""


def forbid_retry(response: http.Response) -> None:
    """Have a response say that it should not be sent again, unless the server says something.

    Stripe's own SDK obeys a header of its own: where a response has such, it gets that, too.
    """
    headers = response.headers
    if VETO in headers or STRIPES_VETO in headers:
        return
    is_stripes = any(name.startswith("stripe-") for name in headers)
    headers[VETO] = "false"
    if is_stripes:
        headers[STRIPES_VETO] = "false"


def history_of(source: object) -> CallHistory | None:
    """Return the history of the call that a response or an exception ended.

    Args:
        source: A response, an exception that a call raised, or an ``HTTPStatusError`` made from a
            response; of httpx or httpx2.

    Returns:
        The history, or None if it did not come through a transport of this library.

    >>> import httpx
    >>> history_of(httpx.Response(200)) is None
    True
    """
    found = getattr(source, "_resilience_history", None)
    if found is None:
        response = getattr(source, "response", source)
        found = getattr(response, "extensions", {}).get(HISTORY)
    return found if isinstance(found, CallHistory) else None


def attach(error: BaseException, history: CallHistory) -> None:
    """Make a call's history reachable from the exception that ended it, and say so in a note.

    One object may end many calls, one after the other: it bears the last one's note only.
    """
    error._resilience_history = history  # type: ignore[attr-defined]  # noqa: SLF001 - ours
    notes = getattr(error, "__notes__", None)
    if isinstance(notes, list):
        notes[:] = [note for note in notes if not str(note).startswith(_NOTE)]
    count = len(history.attempts)
    attempts = "1 attempt" if count == 1 else f"{count} attempts"
    error.add_note(
        f"{_NOTE}gave up after {attempts} in {history.elapsed:g} s: "
        f"{history.reason} (call_id {history.call_id})"
    )
