"""Stripe: locks and conflicts that pass, and one idempotency key for all attempts.

Read: "Rate limits" and "Error codes" (docs.stripe.com), stripe 16.1.0, ``_http_client.py``.
"""

from .._core.dialect.catalog import Envelope, ErrorClass, RequestRules
from .._core.dialect.dialect import UNCODED_STATUSES, Dialect
from .._core.frozen import FrozenMap
from ._rows import catalogue, row

_LOAD = "Rate limit / availability"
_CONFLICT = "Conflict"

STRIPE = Dialect(
    name="stripe",
    codes=catalogue(
        # github.com/dj-stripe/dj-stripe/issues/1917; "Rate limits", Object lock timeouts: retry.
        row(
            "lock_timeout",
            ErrorClass.TRANSIENT,
            429,
            "Another request or process is using the same object.",
            "Do not send several requests about one object at once.",
            category=_LOAD,
        ),
        # "Error codes", rate_limit; "Rate limits": retry with exponential backoff.
        row(
            "rate_limit",
            ErrorClass.RATE_LIMITED,
            429,
            "Too many requests in a second.",
            "Spread the calls; Stripe-Rate-Limited-Reason says which limit it was.",
            category=_LOAD,
        ),
        # "Error codes", idempotency_key_in_use; stripe 16.1.0 repeats 409.
        row(
            "idempotency_key_in_use",
            ErrorClass.TRANSIENT,
            409,
            "A request with the same idempotency key is still being processed.",
            "Nothing to do; if it lasts, see who else uses the key.",
            category=_CONFLICT,
        ),
    ),
    statuses=FrozenMap({**UNCODED_STATUSES, 409: ErrorClass.TRANSIENT}),  # stripe 16.1.0
    envelope=Envelope(
        code=(("error", "code"), ("error", "type")),  # stripe 16.1.0, _error_object.py
        message=(("error", "message"),),
        details=(("error",),),
        request_id=(),
    ),
    requests=RequestRules(
        idempotency_header="Idempotency-Key",  # stripe 16.1.0, _api_requestor.py
        response_id_header="request-id",  # stripe 16.1.0, _error.py
    ),
    stop_layers_above=True,  # stripe's SDK obeys Stripe-Should-Retry
)
"""Stripe's API."""
