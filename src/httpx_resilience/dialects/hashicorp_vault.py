"""HashiCorp Vault: a list of sentences, no codes.

Read: "HTTP API" (hashicorp/vault, website/content/api-docs/index.mdx).

A standby answers ``sys/health`` with 429, which is no rate limit: ask it with ``?standbyok=true``.
"""

from .._core.dialect.catalog import Envelope, ErrorClass, MessageRule, RequestRules
from .._core.dialect.dialect import UNCODED_STATUSES, Dialect
from .._core.frozen import FrozenMap
from ._rows import catalogue, row

_LOAD = "Rate limit / availability"

HASHICORP_VAULT = Dialect(
    name="hashicorp_vault",
    codes=catalogue(
        # github.com/hashicorp/vault/issues/2129; "HTTP API": "try again later".
        row(
            "sealed",
            ErrorClass.TRANSIENT,
            503,
            "The vault is sealed.",
            "Unseal it; nothing can be read before.",
            category=_LOAD,
        ),
        # "HTTP API": 412 "should be retried, perhaps with a little backoff"; the words are those
        # of sdk/logical/error.go, ErrMissingRequiredState.
        row(
            "missing_required_state",
            ErrorClass.TRANSIENT,
            412,
            "This node has not seen the write yet that the request builds on.",
            "Nothing to do; if it lasts, look at the replication.",
            category=_LOAD,
        ),
        # hashicorp/vault, sdk/logical/error.go, ErrRateLimitQuotaExceeded
        row(
            "rate_limit_quota_exceeded",
            ErrorClass.RATE_LIMITED,
            429,
            "A rate limit quota of the operator's is spent.",
            "Spread the calls, or have the quota raised.",
            category=_LOAD,
        ),
        # hashicorp/vault, sdk/logical/error.go, ErrLeaseCountQuotaExceeded
        row(
            "lease_count_quota_exceeded",
            ErrorClass.PERMANENT,
            429,
            "There are as many leases as the operator's quota allows.",
            "Revoke leases that are not used, or have the quota raised.",
            category=_LOAD,
        ),
    ),
    # 412 as above, whatever the words.
    statuses=FrozenMap({**UNCODED_STATUSES, 412: ErrorClass.TRANSIENT}),
    envelope=Envelope(
        code=(),
        message=(("errors", "*"),),
        details=(),
        request_id=(),
        messages=(
            MessageRule(contains="Vault is sealed", code="sealed", statuses=(503,)),
            MessageRule(
                contains="required index state not present",
                code="missing_required_state",
                statuses=(412,),
            ),
            MessageRule(
                contains="rate limit quota exceeded",
                code="rate_limit_quota_exceeded",
                statuses=(429,),
            ),
            MessageRule(
                contains="lease count quota exceeded",
                code="lease_count_quota_exceeded",
                statuses=(429,),
            ),
        ),
    ),
    # KV version 2 makes a version of each write (hashicorp/vault, api-docs/secret/kv/kv-v2.mdx).
    requests=RequestRules(put_is_idempotent=False),
)
"""The HTTP API of a HashiCorp Vault."""
