"""Outcome, Dialect → Failure: what kind of failure an attempt came to, if it failed at all.

In order: a rule the user gave for the code, a rule the user gave for the status, the code in the
body or in a header, the HTTP status and whether the response asks for a wait or for a retry, the
exception.
"""

from typing import NamedTuple

from ..headers import (
    RateLimitReader,
    Reading,
    Wait,
    is_by_proxy,
    retry_after,
    server_wait,
    should_retry,
)
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
        ruled: A rule of the user's decided the class.
        should_retry: What the server says in words: that a retry has a point, or that it has none;
            None if it says nothing.
        by_proxy: A proxy on the way answered, and not the API: its limits are not the API's.
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
    ruled: bool = False
    should_retry: bool | None = None
    by_proxy: bool = False


def classify(
    outcome: Outcome, dialect: Dialect, reader: RateLimitReader, reading: Reading | None = None
) -> Failure | None:
    """Return what kind of failure an outcome is, or None if it is none.

    A body is read for its code, a header for the wait it asks for; neither is trusted, and no
    input makes this raise. ``reading`` is what the headers say of rate limits, if that is known.
    """
    if outcome.transport_failure is not None or outcome.cut:
        return _of_exception(outcome)
    status, headers = outcome.status, outcome.headers
    is_success = status < 400
    if is_success and not (outcome.body and dialect.envelope.errors_in_success):
        return None
    request_id = request_id_of(headers, dialect)
    said = read_summary(
        outcome.body, dialect, status=status, headers=headers, with_id=request_id is None
    )
    if is_success and said.code is None:
        return None
    spec = dialect.spec(said.code) if said.code is not None else None
    reading = reading or reader.read(headers, wall=outcome.wall)
    asked = _asked(outcome, said.wait, reading, dialect)
    error_class, coded = _class_of(status, said.code, spec, dialect)
    by_code = spec is not None and said.code is not None and dialect.is_ruled(said.code)
    ruled, again = by_code or status in dialect.status_rules, should_retry(headers)
    if not coded and not ruled:
        if _asks_to_wait(asked, reading):
            error_class = dialect.statuses_that_wait.get(status, error_class)
        if again and error_class is ErrorClass.PERMANENT:
            error_class = ErrorClass.TRANSIENT
    return Failure(
        error_class=error_class,
        status=status,
        code=safe_token(said.code),
        coded=coded,
        request_id=request_id or safe_token(said.request_id),
        spec=spec,
        status_mismatch=spec is not None and spec.status not in (None, status),
        perhaps_processed=status >= 500 or status == 408,
        wait=asked or _usual_wait(outcome, spec),
        ruled=ruled,
        should_retry=again,
        by_proxy=is_by_proxy(status, headers) and (status == 407 or not reading.limits),
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


def _asked(
    outcome: Outcome, in_body: float | None, reading: Reading, dialect: Dialect
) -> Wait | None:
    """Return the wait that a response asks for: in its headers, in its body, by its rate limit."""
    status = outcome.status
    if status < 400 or (status != 429 and status in dialect.statuses_that_wait):
        status = 403  # an exhausted limit says when, and no other
    asked = server_wait(outcome.headers, status=status, wall=outcome.wall, reading=reading)
    if asked is not None and asked.source == "retry_after":
        return asked
    return Wait(in_body, "error_body") if in_body is not None else asked


def _asks_to_wait(asked: Wait | None, reading: Reading) -> bool:
    if asked is not None and asked.seconds > 0:
        return True
    return any(limit.remaining == 0 for limit in reading.limits)


def _usual_wait(outcome: Outcome, spec: ErrorSpec | None) -> Wait | None:
    """Return the catalogue's wait for a code, unless the response says to come back at once."""
    if spec is None or spec.wait is None:
        return None
    if retry_after(outcome.headers, wall=outcome.wall) is not None:  # 0
        return None
    return Wait(spec.wait, "catalogue")


def request_id_of(headers: RawHeaders, dialect: Dialect) -> str | None:
    """Return the server's id for a request, as it may be logged; None without one."""
    rules = dialect.requests
    own = rules.response_id_header or rules.request_id_header or "X-Request-ID"
    name = own.lower().encode()
    size = len(name)
    for key, value in headers:
        if len(key) == size and key.lower() == name:
            return safe_token(value[:200].decode("latin-1"))
    return None
