"""What a person can do about a call that failed."""

from ..call_state import Rules
from ..dialect.catalog import ErrorClass
from ..dialect.classify import Failure
from ..retry.decision import (
    ATTEMPTS_EXHAUSTED,
    BODY_NOT_REPLAYABLE,
    BUDGET_EXHAUSTED,
    NOT_IDEMPOTENT,
    OUT_OF_TIME,
    PERMANENT,
    RETRY_AFTER_TOO_LONG,
    THROTTLE_TIMEOUT,
    UNAVAILABLE,
    VETOED,
)

_BY_REASON = {
    BUDGET_EXHAUSTED: "Look at the server: more calls to it fail than the retry budget covers.",
    NOT_IDEMPOTENT: "Check whether the server carried it out before sending it again.",
    BODY_NOT_REPLAYABLE: "Send the body as bytes or from a seekable file, so it can be repeated.",
    RETRY_AFTER_TOO_LONG: "Send it again after the time the server asks for, not before.",
    THROTTLE_TIMEOUT: "Send it again when the rate limit has room; ask for a higher one if needed.",
    UNAVAILABLE: "Look at the server: it was unavailable for longer than calls are parked.",
    OUT_OF_TIME: "Look at the server; give the call more time if it is merely slow.",
}

_BY_CLASS = {
    ErrorClass.INTERNAL: "Report it to whoever runs the server, with the request id if any.",
    ErrorClass.TRANSIENT: "Look at the server's status, and at the proxies in front of it.",
    ErrorClass.CONNECTION: "Check that the server runs and can be reached from here.",
    ErrorClass.RATE_LIMITED: "Spread the load, or ask for a higher limit.",
}

_VETOED = "The server says that sending it again does not help: look at what it answers."

_PROXY = "Look at the proxy on the way: it answered, and not the API."

_UNSPECIFIC = (PERMANENT, ATTEMPTS_EXHAUSTED, VETOED)
"""Reasons that say nothing the error code does not say better."""

OTHER_API = (
    "This code is not one of ScaiVault's, whose errors are the default. For another API name its "
    "dialect, or dialect=GENERIC."
)


def advice_for(reason: str, failure: Failure, rules: Rules) -> str | None:
    """Return what a person can do about a call that ended so."""
    if failure.by_proxy:
        return _PROXY
    if reason not in _UNSPECIFIC and reason in _BY_REASON:
        return _BY_REASON[reason]
    if failure.spec is not None and failure.spec.advice:
        return failure.spec.advice
    if reason == PERMANENT and failure.coded and failure.spec is None and rules.is_default_dialect:
        return OTHER_API
    if reason == VETOED:
        return _VETOED
    return _BY_CLASS.get(failure.error_class)
