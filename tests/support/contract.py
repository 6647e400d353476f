"""What must become of every failure, written out by hand from the API's documents.

Nothing here is computed by the code under test. ``delays`` are those that ``rand`` = 0.5 gives.
"""

from typing import NamedTuple


class Expected(NamedTuple):
    """What becomes of a call that fails in the same way each time."""

    attempts: int
    error_class: str
    reason: str
    delays: tuple[float, ...] = ()
    budget: float = 3.0
    escalated: bool = False
    parked: float | None = None


PERMANENT = Expected(1, "permanent", "permanent")
RATE_LIMITED = Expected(4, "rate_limited", "attempts_exhausted", (0.75, 1.5, 3.0), 1.5)
TRANSIENT = Expected(4, "transient", "attempts_exhausted", (0.375, 1.125, 3.375), 0.0)
CONNECTION = Expected(4, "connection", "attempts_exhausted", (0.375, 1.125, 3.375), 0.0)
NEVER_SENT = CONNECTION._replace(budget=2.25)
LATE = 4.75
"""Seconds from the third failure, which shows an outage, to the last attempt, which is saved for
the end of the call's patience: 6.5 s after its first failure, less 0.25."""

PARKED = 4.375
"""Seconds of them that it is parked: all but a backoff."""


def with_parking(expected: Expected) -> Expected:
    """Return what becomes of a lone call whose third failure shows an outage: its last is a probe.

    A probe costs three quarters of what a retry does.
    """
    if expected.error_class not in ("transient", "connection") or len(expected.delays) < 3:
        return expected
    cost = round((3.0 - expected.budget) / 3, 6)
    budget = round(3.0 - 2.75 * cost, 2)
    return expected._replace(delays=(*expected.delays[:2], LATE), budget=budget, parked=PARKED)


INTERNAL = Expected(2, "internal", "attempts_exhausted", (0.375,), 2.0, escalated=True)

CODES = {
    "authentication_required": (401, PERMANENT),
    "token_expired": (401, PERMANENT),
    "token_invalid": (401, PERMANENT),
    "token_revoked": (401, PERMANENT),
    "access_denied": (403, PERMANENT),
    "insufficient_scope": (403, PERMANENT),
    "mfa_required": (403, PERMANENT),
    "ip_not_allowed": (403, PERMANENT),
    "time_window_violation": (403, PERMANENT),
    "tenant_access_denied": (403, PERMANENT),
    "invalid_request": (400, PERMANENT),
    "invalid_path": (400, PERMANENT),
    "invalid_secret_type": (400, PERMANENT),
    "invalid_duration": (400, PERMANENT),
    "invalid_cursor": (400, PERMANENT),
    "validation_error": (422, PERMANENT),
    "invalid_policy": (400, PERMANENT),
    "invalid_glob": (400, PERMANENT),
    "secret_not_found": (404, PERMANENT),
    "version_not_found": (404, PERMANENT),
    "policy_not_found": (404, PERMANENT),
    "binding_not_found": (404, PERMANENT),
    "webhook_not_found": (404, PERMANENT),
    "subscription_not_found": (404, PERMANENT),
    "rotation_policy_not_found": (404, PERMANENT),
    "ca_not_found": (404, PERMANENT),
    "certificate_not_found": (404, PERMANENT),
    "csr_not_found": (404, PERMANENT),
    "trust_anchor_not_found": (404, PERMANENT),
    "engine_not_found": (404, PERMANENT),
    "role_not_found": (404, PERMANENT),
    "lease_not_found": (404, PERMANENT),
    "tenant_not_found": (404, PERMANENT),
    "identity_not_found": (404, PERMANENT),
    "federation_backend_not_found": (404, PERMANENT),
    "secret_exists": (409, PERMANENT),
    "version_conflict": (409, PERMANENT._replace(error_class="conflict")),
    "policy_in_use": (409, PERMANENT),
    "engine_in_use": (409, PERMANENT),
    "ca_has_certificates": (409, PERMANENT),
    "name_conflict": (409, PERMANENT),
    "secret_expired": (410, PERMANENT),
    "rate_limited": (429, RATE_LIMITED),
    "quota_exceeded": (429, PERMANENT),
    "service_unavailable": (503, TRANSIENT),
    "feature_disabled": (503, PERMANENT),
    "internal_error": (500, INTERNAL),
    "encryption_error": (500, PERMANENT),
    "storage_error": (500, PERMANENT),
    "backend_error": (502, PERMANENT),
    "backend_timeout": (504, PERMANENT),
}
"""Code → status, and what becomes of a call; the same for every method, for the API says so."""


def _unless_applied(often: Expected) -> dict[str, Expected]:
    """A GET goes on; a PUT makes a new version each time, and a POST may have been processed."""
    once = often._replace(attempts=1, reason="not_idempotent", delays=(), budget=3.0)
    return {"GET": often, "PUT": once, "POST": once}


def _whatever(expected: Expected) -> dict[str, Expected]:
    return dict.fromkeys(("GET", "PUT", "POST"), expected)


UNCODED = {
    404: _whatever(PERMANENT),
    408: _unless_applied(TRANSIENT),
    418: _whatever(PERMANENT),
    429: _whatever(RATE_LIMITED),
    500: _unless_applied(INTERNAL),
    502: _unless_applied(TRANSIENT),
    503: _unless_applied(TRANSIENT),
    504: _unless_applied(TRANSIENT),
}
"""Status of a response without a code → by method."""

EXCEPTIONS = {
    "ConnectError": _whatever(NEVER_SENT),
    "ConnectTimeout": _whatever(NEVER_SENT),
    "ReadError": _unless_applied(CONNECTION),
    "ReadTimeout": _unless_applied(CONNECTION),
    "WriteError": _unless_applied(CONNECTION),
    "WriteTimeout": _unless_applied(CONNECTION),
    "CloseError": _unless_applied(CONNECTION),
    "RemoteProtocolError": _unless_applied(CONNECTION),
    "PoolTimeout": _whatever(PERMANENT),
    "ProxyError": _whatever(PERMANENT),
    "LocalProtocolError": _whatever(PERMANENT),
    "UnsupportedProtocol": _whatever(PERMANENT),
    "DecodingError": _whatever(PERMANENT),
    "TooManyRedirects": _whatever(PERMANENT),
    "InvalidURL": _whatever(PERMANENT),
    "CookieConflict": _whatever(PERMANENT),
    "RequestNotRead": _whatever(PERMANENT),
    "ResponseNotRead": _whatever(PERMANENT),
    "StreamClosed": _whatever(PERMANENT),
    "StreamConsumed": _whatever(PERMANENT),
    "StreamError": _whatever(PERMANENT),
    "HTTPStatusError": _whatever(PERMANENT),
    "HTTPError": _whatever(PERMANENT),
    "NetworkError": _whatever(PERMANENT),
    "ProtocolError": _whatever(PERMANENT),
    "RequestError": _whatever(PERMANENT),
    "TimeoutException": _whatever(PERMANENT),
    "TransportError": _whatever(PERMANENT),
}
"""httpx's exceptions → by method. Of the abstract ones nobody can tell what they mean."""

METHODS = ("GET", "PUT", "POST")
IDEMPOTENT = {"GET": True, "PUT": False, "POST": False}
SERVER_ERRORS = range(500, 600)


def last_line(
    expected: Expected,
    method: str,
    *,
    status: int | None = None,
    code: str | None = None,
    exception_type: str | None = None,
    perhaps_processed: bool = False,
) -> dict[str, object]:
    """Return the fields of the ``gave_up`` line, but for the ids, the place and the advice."""
    elapsed = round(sum(expected.delays), 3)
    line = {
        "schema": 1,
        "method": method,
        "attempt": expected.attempts,
        "max_attempts": 4,
        "status": status,
        "code": code,
        "error_class": expected.error_class,
        "exception_type": exception_type,
        "reason": expected.reason,
        "elapsed": elapsed,
        "time_left": round(120.0 - elapsed, 3),
        "budget": expected.budget,
        "idempotent": IDEMPOTENT[method],
        "maybe_applied": perhaps_processed and method != "GET",
        "escalated": True if expected.escalated else None,
        "parked": expected.parked,
    }
    return {name: value for name, value in line.items() if value is not None}
