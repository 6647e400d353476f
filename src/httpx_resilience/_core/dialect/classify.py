"""Outcome, Dialect → Failure: what kind of failure an attempt came to, if it failed at all.

In order: a rule the user gave for the code, a rule the user gave for the status, the
code in the body, the HTTP status, the exception.
"""

from typing import NamedTuple

from ..headers import RateLimitReader, Reading, Wait, server_wait
from ..outcome import Outcome, RawHeaders
from .catalog import ErrorClass, ErrorSpec
from .dialect import Dialect
from .envelope import read_summary, safe_token


class Failure(NamedTuple):
    """An attempt that failed, understood.

    Attributes:
        error_class: What decides.
        status: HTTP status, or None where an exception came instead.
        code: The error code as it may be logged, or None if there was none.
        coded: The API itself (or a user's rule for its code) decided the class.
        request_id: The server's id for the request, as it may be logged.
        spec: The catalogue's row for the code.
        status_mismatch: The catalogue gives the code another HTTP status.
        exception_type: Class name of the exception.
        never_sent: The request did not reach the server.
        perhaps_processed: The server may have done what it was asked.
        wait: What the server asks for before another attempt.
    """

    error_class: ErrorClass
    status: int | None = None
    code: str | None = None
    coded: bool = False
    request_id: str | None = None
    spec: ErrorSpec | None = None
    status_mismatch: bool = False
    exception_type: str | None = None
    never_sent: bool = False
    perhaps_processed: bool = False
    wait: Wait | None = None


def classify(
    outcome: Outcome, dialect: Dialect, reader: RateLimitReader, reading: Reading | None = None
) -> Failure | None:
    """Return what kind of failure an outcome is, or None if it is none.

    A body is read for its code, a header for the wait it asks for; neither is trusted, and no
    input makes this raise. ``reading`` is what the headers say of rate limits, if that is known.
    """
    if outcome.transport_failure is not None or outcome.cut:
        return _of_exception(outcome)
    if outcome.status < 400:
        return None
    status, headers = outcome.status, outcome.headers
    request_id = request_id_of(headers, dialect)
    said = read_summary(outcome.body, dialect, with_id=request_id is None)
    spec = dialect.spec(said.code) if said.code is not None else None
    error_class, coded = _class_of(status, said.code, spec, dialect)
    return Failure(
        error_class=error_class,
        status=status,
        code=safe_token(said.code),
        coded=coded,
        request_id=request_id or safe_token(said.request_id),
        spec=spec,
        status_mismatch=spec is not None and spec.status not in (None, status),
        perhaps_processed=status >= 500 or status == 408,
        wait=_wait(outcome, said.wait, reading or reader.read(headers, wall=outcome.wall)),
    )


def _of_exception(outcome: Outcome) -> Failure:
    raised = outcome.transport_failure
    if raised is None:  # cut by a limit of ours while it ran
        return Failure(ErrorClass.CONNECTION, perhaps_processed=True)
    return Failure(
        error_class=ErrorClass.CONNECTION if raised.connection else ErrorClass.PERMANENT,
        exception_type=raised.exception_type,
        never_sent=not raised.sent,
        perhaps_processed=raised.sent,
    )


def _class_of(
    status: int, code: str | None, spec: ErrorSpec | None, dialect: Dialect
) -> tuple[ErrorClass, bool]:
    if code is not None and spec is not None and dialect.is_ruled(code):
        return spec.error_class, True
    ruled = dialect.status_rules.get(status)
    if ruled is not None:
        return ruled, False
    if code is not None:
        if spec is not None:
            return spec.error_class, True
        if dialect.unknown_code is not None:
            return dialect.unknown_code, True
    return dialect.statuses.get(status, ErrorClass.PERMANENT), False


def _wait(outcome: Outcome, in_body: float | None, reading: Reading) -> Wait | None:
    asked = server_wait(outcome.headers, status=outcome.status, wall=outcome.wall, reading=reading)
    if asked is not None and asked.source == "retry_after":
        return asked
    return Wait(in_body, "error_body") if in_body is not None else asked


def request_id_of(headers: RawHeaders, dialect: Dialect) -> str | None:
    """Return the server's id for a request, as it may be logged; None without one."""
    name = (dialect.requests.request_id_header or "X-Request-ID").lower().encode()
    size = len(name)
    for key, value in headers:
        if len(key) == size and key.lower() == name:
            return safe_token(value[:200].decode("latin-1"))
    return None
