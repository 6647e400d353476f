"""ScaiVault, a secrets service: its error contract, its rules for requests, its categories.

The classes follow the service's own retry table; what that table does not list is not retried,
as it says itself. Meanings and advice are ours.
"""

from functools import lru_cache

from .._core.dialect.catalog import ErrorClass, ErrorSpec
from .._core.dialect.dialect import Dialect
from .._core.dialect.requests import RequestRules

_AUTH = "Authentication / authorization"
_VALIDATION = "Validation"
_NOT_FOUND = "Not found"
_CONFLICT = "Conflict"
_AVAILABILITY = "Rate limit / availability"
_SERVER = "Server errors"

_RETRIED = {
    "rate_limited": ErrorClass.RATE_LIMITED,
    "service_unavailable": ErrorClass.TRANSIENT,
    "internal_error": ErrorClass.INTERNAL,
    "version_conflict": ErrorClass.CONFLICT,
}

_LOG_IN_ANEW = "Get a new token from the identity provider, then send the call again."
_ASK_ADMIN = "Ask an administrator for a policy that allows this; sending it again will not help."

# status, code, meaning, advice
_ROWS: dict[str, list[tuple[int, str, str, str]]] = {
    _AUTH: [
        (
            401,
            "authentication_required",
            "The request carried no usable Authorization header.",
            "Send a bearer token, or refresh the one in use.",
        ),
        (401, "token_expired", "The token is past its expiry time.", _LOG_IN_ANEW),
        (
            401,
            "token_invalid",
            "The token's signature does not check out.",
            "Check that the token belongs to this environment and was not cut or altered.",
        ),
        (
            401,
            "token_revoked",
            "Somebody revoked the token before its time.",
            "Find out who revoked it and why before asking for a new one.",
        ),
        (403, "access_denied", "No policy lets this identity do this here.", _ASK_ADMIN),
        (
            403,
            "insufficient_scope",
            "The token's scopes do not cover this action.",
            "Ask for a token with wider scopes.",
        ),
        (
            403,
            "mfa_required",
            "The action needs a token that was obtained with a second factor.",
            "Log in again with a second factor, then repeat the call.",
        ),
        (
            403,
            "ip_not_allowed",
            "The caller's address is outside the ranges the policy allows.",
            "Call from an allowed network, or have the policy's ranges widened.",
        ),
        (
            403,
            "time_window_violation",
            "The policy does not allow this at this time of day.",
            "Wait for the policy's time window, or have it widened.",
        ),
        (
            403,
            "tenant_access_denied",
            "Another tenant was named without partner administration rights.",
            "Drop the tenant from the request, or use a partner administrator's identity.",
        ),
    ],
    _VALIDATION: [
        (
            400,
            "invalid_request",
            "The body is not JSON, or not of the expected shape.",
            "Correct the request body; the client that builds it has a bug.",
        ),
        (
            400,
            "invalid_path",
            "The secret's path breaks the rules for paths.",
            "Correct the path.",
        ),
        (
            400,
            "invalid_secret_type",
            "The secret_type is not one the server knows.",
            "Use one of the documented secret types.",
        ),
        (
            400,
            "invalid_duration",
            "A duration could not be read.",
            "Write durations as a number and a unit, such as 90d.",
        ),
        (
            400,
            "invalid_cursor",
            "The pagination cursor is malformed or too old.",
            "Start the listing again without a cursor.",
        ),
        (
            422,
            "validation_error",
            "One or more fields were refused.",
            "Show the listed fields to whoever filled them in (error_of gives them).",
        ),
        (
            400,
            "invalid_policy",
            "The policy's rules or bindings do not make sense.",
            "Correct the policy document.",
        ),
        (
            400,
            "invalid_glob",
            "A path pattern is not a valid glob.",
            "Correct the pattern.",
        ),
    ],
    _NOT_FOUND: [
        (
            404,
            "secret_not_found",
            "There is no secret at that path.",
            "Check the path, and that this is the right environment.",
        ),
        (
            404,
            "version_not_found",
            "That version never existed or has aged out.",
            "Read the current version, or one that is still kept.",
        ),
        (404, "policy_not_found", "There is no such policy.", "Check the policy's id."),
        (404, "binding_not_found", "There is no such binding.", "Check the binding's id."),
        (404, "webhook_not_found", "There is no such webhook.", "Check the webhook's id."),
        (
            404,
            "subscription_not_found",
            "There is no such subscription.",
            "Check the subscription's id, or subscribe again.",
        ),
        (
            404,
            "rotation_policy_not_found",
            "There is no such rotation policy.",
            "Check the rotation policy's id.",
        ),
        (404, "ca_not_found", "There is no such certificate authority.", "Check the CA's id."),
        (
            404,
            "certificate_not_found",
            "There is no such certificate.",
            "Check the certificate's serial number or id.",
        ),
        (
            404,
            "csr_not_found",
            "There is no such signing request.",
            "Check the signing request's id.",
        ),
        (
            404,
            "trust_anchor_not_found",
            "There is no such trust anchor.",
            "Check the trust anchor's id.",
        ),
        (
            404,
            "engine_not_found",
            "There is no such secrets engine.",
            "Check the engine's name.",
        ),
        (404, "role_not_found", "There is no such role.", "Check the role's name."),
        (
            404,
            "lease_not_found",
            "There is no such lease; it may have run out.",
            "Ask for new credentials instead of renewing these.",
        ),
        (404, "tenant_not_found", "There is no such tenant.", "Check the tenant's id."),
        (404, "identity_not_found", "There is no such identity.", "Check the identity's id."),
        (
            404,
            "federation_backend_not_found",
            "There is no such federation backend.",
            "Check the backend's name.",
        ),
    ],
    _CONFLICT: [
        (
            409,
            "secret_exists",
            "The path belongs to a deleted secret that is still retained.",
            "Restore the secret, purge it, or choose another path.",
        ),
        (
            409,
            "version_conflict",
            "Somebody else changed the secret in the meantime.",
            "Read the current version, apply the change to it, and write again.",
        ),
        (
            409,
            "policy_in_use",
            "Bindings still refer to the policy.",
            "Detach the bindings first, or force the deletion.",
        ),
        (
            409,
            "engine_in_use",
            "Leases of the engine are still active.",
            "Revoke the leases first.",
        ),
        (
            409,
            "ca_has_certificates",
            "The authority has issued certificates that are still valid.",
            "Revoke the certificates first.",
        ),
        (409, "name_conflict", "The name is taken.", "Choose another name."),
        (
            410,
            "secret_expired",
            "The secret's own expiry time has passed.",
            "Have the secret's owner write a new version.",
        ),
    ],
    _AVAILABILITY: [
        (
            429,
            "rate_limited",
            "The identity spent its rate limit for this category of calls.",
            "If it stays, spread the load over time, or ask for a higher limit.",
        ),
        (
            429,
            "quota_exceeded",
            "The tenant's hard quota is used up; waiting will not bring it back.",
            "Free some of the quota, or have it raised.",
        ),
        (
            503,
            "service_unavailable",
            "Something the server depends on is out for the moment.",
            "If it stays, look at the server's status and at what it depends on.",
        ),
        (
            503,
            "feature_disabled",
            "The feature is switched off in this deployment.",
            "Have the feature enabled, or do without it; sending it again will not help.",
        ),
    ],
    _SERVER: [
        (
            500,
            "internal_error",
            "The server failed in a way it did not expect.",
            "Open a support ticket with the request id.",
        ),
        (
            500,
            "encryption_error",
            "The server's key management failed.",
            "Check the key management service, then open a ticket with the request id.",
        ),
        (
            500,
            "storage_error",
            "The server's database or object storage failed.",
            "Check the storage, then open a ticket with the request id.",
        ),
        (
            502,
            "backend_error",
            "A federated backend or certificate issuer behind the server failed.",
            "Look at that backend; the vault itself is well.",
        ),
        (
            504,
            "backend_timeout",
            "A federated backend behind the server did not answer in time.",
            "Look at that backend; the vault itself is well.",
        ),
    ],
}

_METHOD_KINDS = {"GET": "read", "HEAD": "read", "OPTIONS": "read", "DELETE": "delete"}


@lru_cache(maxsize=1024)  # the same secrets are read again and again
def category_of(method: str, path: str) -> str:
    """Return the rate-limit category that ScaiVault counts a request against.

    Known are the secrets (read, write, delete, list) and ``auth``; any other path is distinguished
    by its first segment after the version and by what the method does.

    >>> category_of("GET", "/v1/secrets/app/db"), category_of("PUT", "/v1/policies/7")
    ('read', 'policies:write')
    """
    kind = _METHOD_KINDS.get(method, "write")
    _, _, rest = path.lstrip("/").partition("/")
    segment, _, tail = rest.partition("/")
    if segment == "secrets":
        return "list" if kind == "read" and not tail else kind
    if segment == "auth":
        return "auth"
    return f"{segment[:64]}:{kind}"


SCAIVAULT = Dialect(
    name="scaivault",
    codes={
        code: ErrorSpec(
            code=code,
            status=status,
            category=category,
            error_class=_RETRIED.get(code, ErrorClass.PERMANENT),
            meaning=meaning,
            advice=advice,
        )
        for category, rows in _ROWS.items()
        for status, code, meaning, advice in rows
    },
    unknown_code=ErrorClass.PERMANENT,
    requests=RequestRules(
        put_is_idempotent=False,
        request_id_header="X-Request-ID",
        category=category_of,
    ),
)
"""The ScaiVault secrets API."""

DEFAULT_DIALECT = SCAIVAULT.extend()
"""The dialect of whoever names none: equal to ``SCAIVAULT``, but another object, so that a code
which is not ScaiVault's can be explained to whoever calls another API."""
