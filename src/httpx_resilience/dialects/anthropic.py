"""Anthropic: the type of an error, and what its details add.

Read: "Errors" (platform.claude.com/docs/en/api/errors), and anthropic 2.12.0, ``types/shared``,
whose classes say which status and which retry belong to an ``error_code``.
"""

from .._core.dialect.catalog import Envelope, ErrorClass, RequestRules
from .._core.dialect.dialect import Dialect
from ._rows import STAINLESS_STATUSES, catalogue, row

_BILLING = "Billing"
_LOAD = "Rate limit / availability"
_KEYS = "Encryption keys"

ANTHROPIC = Dialect(
    name="anthropic",
    codes=catalogue(
        # github.com/brainlid/langchain/issues/302, with headers.
        row(
            "rate_limit_error",
            ErrorClass.RATE_LIMITED,
            429,
            "A limit of requests or tokens is spent, or traffic has grown too fast.",
            "Spread the calls, or ask for higher limits.",
            category=_LOAD,
        ),
        # "Errors": "The API is temporarily overloaded"; captured as 529, and seen as 429:
        # github.com/anthropics/anthropic-sdk-typescript/issues/616.
        row(
            "overloaded_error",
            ErrorClass.TRANSIENT,
            None,
            "The API is overloaded by the traffic of all its users.",
            "Nothing to do; if it lasts, see the vendor's status page.",
            category=_LOAD,
        ),
        # "Errors": "An unexpected error has occurred internal to Anthropic's systems".
        row(
            "api_error",
            ErrorClass.INTERNAL,
            500,
            "Something unexpected went wrong inside the API.",
            "If it happens again, give the request id to the vendor's support.",
            category=_LOAD,
        ),
        # anthropic 2.12.0, types/shared/gateway_timeout_error_object.py.
        row(
            "timeout_error",
            ErrorClass.TRANSIENT,
            504,
            "The request took too long.",
            "Use streaming or the batch API for long requests.",
            category=_LOAD,
        ),
        # "Errors"; the SDK repeats 409.
        row(
            "conflict_error",
            ErrorClass.TRANSIENT,
            409,
            "Something else was changing the same resource.",
            "Nothing to do; if it lasts, find out who else writes it.",
            category=_LOAD,
        ),
        # "Errors", and anthropic 2.12.0, types/shared/billing_error_object.py.
        row(
            "billing_error",
            ErrorClass.PERMANENT,
            402,
            "There is a problem with billing or payment.",
            "Check the payment details in the console.",
            category=_BILLING,
        ),
        # The rest are values of error.details.error_code; anthropic 2.12.0, types/shared/.
        # Without a retry-after, "resuming on the first of the next month".
        row(
            "enforced_spend_limit_reached",
            ErrorClass.PERMANENT,
            429,
            "The organization has crossed the monthly usage threshold of its tier.",
            "Ask for a higher tier, or wait for the next month.",
            category=_BILLING,
        ),
        row(
            "contract_spend_limit_reached",
            ErrorClass.PERMANENT,
            429,
            "The organization has reached the spending limit of its contract.",
            "Ask for a higher limit.",
            category=_BILLING,
        ),
        # "Retry after the time in the retry-after header".
        row(
            "ramp_limit_exceeded",
            ErrorClass.RATE_LIMITED,
            429,
            "Usage would grow faster than it is allowed to.",
            "Raise the traffic gradually.",
            category=_LOAD,
        ),
        # "Retry in a few minutes".
        row(
            "cmek_context_unavailable",
            ErrorClass.TRANSIENT,
            503,
            "The workspace's encryption settings could not be read.",
            "Nothing to do; it passes within minutes.",
            category=_KEYS,
        ),
        # "Retry the request; if this continues, check that the key is available".
        row(
            "cmek_key_unreachable",
            ErrorClass.TRANSIENT,
            503,
            "The workspace's encryption key could not be reached.",
            "Check that the key is available in the key management service.",
            category=_KEYS,
        ),
    ),
    statuses=STAINLESS_STATUSES,
    envelope=Envelope(
        code=(("error", "details", "error_code"), ("error", "type")),
        message=(("error", "message"),),
        details=(("error", "details"),),
        request_id=(("request_id",),),
    ),
    requests=RequestRules(
        post_is_repeatable=True,  # anthropic 2.12.0 repeats every method, _base_client.py
        response_id_header="request-id",  # "Errors", Request id
    ),
    stop_layers_above=True,  # anthropic 2.12.0 obeys x-should-retry, _base_client.py
)
"""Anthropic's API, for ``anthropic`` and plain clients."""
