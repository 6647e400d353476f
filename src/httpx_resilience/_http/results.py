"""What a caller asks of a response or an exception afterwards."""

import httpx

from .._core.dialect.dialect import Dialect
from .._core.dialect.envelope import ErrorInfo, read_error
from .._core.telemetry.advice import OTHER_API
from ..dialects.scaivault import DEFAULT_DIALECT, SCAIVAULT
from ..instrumentation.history import CallHistory
from .bodies import PeekedStream, decode, is_event_stream
from .errors import ApiError

HISTORY = "resilience"
"""Key of the call's history in ``response.extensions``; also of the policy in a request's."""

PEEKED = "resilience.peeked"
DIALECT = "resilience.dialect"

_NOTE = "httpx-resilience: "
"""How our notes on exceptions begin."""


def error_of(response: httpx.Response, *, dialect: Dialect | None = None) -> ErrorInfo | None:
    """Return what an error response says of itself, or None if it says no code.

    Works on any ``httpx.Response``. One that came through ``AsyncResilientTransport`` need not be
    read first: its body was looked at already, unless it is a stream of server-sent events.

    Args:
        response: Any response; a success or redirect gives None.
        dialect: How the API speaks; by default the dialect of the transport that it came
            through, else ``SCAIVAULT``.

    Raises:
        httpx.ResponseNotRead: The response came from elsewhere, as a stream not yet read.

    >>> body = {"error": {"code": "policy_not_found", "message": "no policy 7"}}
    >>> info = error_of(httpx.Response(404, json=body))
    >>> info.code, info.message, info.spec.advice
    ('policy_not_found', 'no policy 7', "Check the policy's id.")
    """
    if response.status_code < 400:
        return None
    spoken: Dialect = dialect or response.extensions.get(DIALECT) or SCAIVAULT
    peeked = response.extensions.get(PEEKED)
    if isinstance(peeked, PeekedStream):
        body = decode(peeked.head, response.headers.get("content-encoding", ""))
    else:
        try:
            body = response.content
        except httpx.ResponseNotRead:
            if is_event_stream(response.headers.raw):
                return None
            raise
    return read_error(body, spoken)


def raise_for_error(response: httpx.Response) -> httpx.Response:
    """Return a response that is no error; raise ``ApiError`` for one that is.

    The error's text has status, code, meaning, advice and attempts, never the server's message or
    details, which may hold secrets: those are in ``.info``.

    Args:
        response: A response that knows its request, as every response of a client does.

    Raises:
        ApiError: The status is 4xx or 5xx. A subclass of ``httpx.HTTPStatusError``.
        RuntimeError: The response has no request.

    >>> raise_for_error(httpx.Response(204, request=httpx.Request("GET", "https://vault.example")))
    <Response [204 No Content]>
    """
    _ = response.request  # raises for a response without one, as httpx's raise_for_status does
    if response.status_code < 400:
        return response
    raise api_error(response)


def api_error(response: httpx.Response, dialect: Dialect | None = None) -> ApiError:
    """Return the error that an error response stands for."""
    info = error_of(response, dialect=dialect)
    if info is not None and info.spec is not None:
        text = f"{response.status_code} {info.spec.code}: {info.spec.meaning} {info.spec.advice}"
    else:
        text = f"{response.status_code} {httpx.codes.get_reason_phrase(response.status_code)}"
    spoken = dialect or response.extensions.get(DIALECT)
    if spoken is DEFAULT_DIALECT and info is not None and info.spec is None:
        text += f": {OTHER_API}"
    history = history_of(response)
    if history is not None and history.retries:
        text += f" (after {history.retries + 1} attempts: {history.reason})"
    return ApiError(text, request=response.request, response=response, info=info)


def history_of(source: httpx.Response | BaseException) -> CallHistory | None:
    """Return the history of the call that a response or an exception ended.

    Args:
        source: A response, an exception that a call raised, or an ``httpx.HTTPStatusError`` made
            from a response.

    Returns:
        The history, or None if it did not come through ``AsyncResilientTransport``.

    >>> history_of(httpx.Response(200)) is None
    True
    """
    if isinstance(source, httpx.HTTPStatusError):
        source = source.response
    if isinstance(source, httpx.Response):
        found = source.extensions.get(HISTORY)
    else:
        found = getattr(source, "_resilience_history", None)
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
