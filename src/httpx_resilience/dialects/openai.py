"""OpenAI: quotas and spending limits that no retry helps with, rate limits and overload.

Read: "Error codes" (developers.openai.com/api/docs/guides/error-codes), "Troubleshooting API usage
and spend limits" (help.openai.com, article 6614457), openai 3.54.0.
"""

from .._core.dialect.catalog import Envelope, ErrorClass, RequestRules
from .._core.dialect.dialect import Dialect
from ._rows import STAINLESS_STATUSES, catalogue, row

_BILLING = "Billing"
_LOAD = "Rate limit / availability"
_REQUEST = "Request"

CODES = catalogue(
    # Captured in many threads, for example github.com/Pythagora-io/gpt-pilot/issues/340; in others
    # as the type, with a code of null: github.com/ayaka14732/ChatGPTAPIFree/issues/16.
    row(
        "insufficient_quota",
        ErrorClass.PERMANENT,
        429,
        "The account has no quota left: no credit, or its spending limit is reached.",
        "Add credit or raise the limit in the billing settings; waiting does not help.",
        category=_BILLING,
    ),
    # The next four: help.openai.com, article 6614457. "Retrying these errors won't restore access".
    row(
        "credit_balance_exhausted",
        ErrorClass.PERMANENT,
        429,
        "The organization has no prepaid credits left.",
        "Add credits in the billing settings.",
        category=_BILLING,
    ),
    row(
        "organization_spend_limit_exceeded",
        ErrorClass.PERMANENT,
        429,
        "The organization has reached the spending limit that it set for itself.",
        "Raise the organization's limit, or wait for the next month.",
        category=_BILLING,
    ),
    row(
        "project_spend_limit_exceeded",
        ErrorClass.PERMANENT,
        429,
        "The project has reached its spending limit.",
        "Raise the project's limit, or wait for the next month.",
        category=_BILLING,
    ),
    row(
        "organization_usage_limit_exceeded",
        ErrorClass.PERMANENT,
        429,
        "The organization has reached the usage limit that OpenAI approved.",
        "Ask for a higher usage limit.",
        category=_BILLING,
    ),
    # github.com/vanderschaarlab/climb/issues/1, beside its relative that never fits.
    row(
        "rate_limit_exceeded",
        ErrorClass.RATE_LIMITED,
        429,
        "Too many requests or tokens in a minute or a day.",
        "Spread the calls; a request whose tokens are above the limit has to become smaller.",
        category=_LOAD,
    ),
    # The guide's "429 - Slow Down" and "503 - Server overloaded": both are to be repeated later.
    row(
        "slow_down",
        ErrorClass.RATE_LIMITED,
        429,
        "Traffic has grown too fast.",
        "Go back to the earlier rate for some minutes, then raise it gradually.",
        category=_LOAD,
    ),
    row(
        "server_is_overloaded",
        ErrorClass.TRANSIENT,
        503,
        "The servers are overloaded.",
        "Nothing to do; if it lasts, see the vendor's status page.",
        category=_LOAD,
    ),
)
"""Rows that OpenAI's relatives share."""

ENVELOPE = Envelope(
    code=(("error", "code"), ("error", "type")),
    message=(("error", "message"),),
    details=(("error",),),
    request_id=(),
)
"""The code, else the type, which is all that some quota errors have."""

OPENAI = Dialect(
    name="openai",
    codes=CODES,
    statuses=STAINLESS_STATUSES,
    envelope=ENVELOPE,
    requests=RequestRules(
        post_is_repeatable=True,  # openai 3.54.0 repeats every method, _base_client.py
        response_id_header="x-request-id",  # openai 3.54.0, _exceptions.py
    ),
    stop_layers_above=True,  # openai 3.54.0 obeys x-should-retry, _base_client.py
)
"""OpenAI's API, for ``openai``, ``langchain-openai`` and plain clients."""
