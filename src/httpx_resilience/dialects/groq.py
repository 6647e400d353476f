"""Groq: OpenAI's envelope; "API Error Codes and Responses" (console.groq.com/docs/errors).

``rate_limit_exceeded`` is in no row: it comes with 429, and with 413 for a request that is larger
than a minute's tokens (github.com/assafelovic/gpt-researcher/issues/985), so the status decides.
"""

from .._core.dialect.catalog import ErrorClass, RequestRules
from .._core.dialect.dialect import Dialect
from .._core.frozen import FrozenMap
from ._rows import STAINLESS_STATUSES, catalogue, row
from .openai import CODES, ENVELOPE

GROQ = Dialect(
    name="groq",
    codes=catalogue(
        # "Flex Processing" (console.groq.com/docs/flex-processing): "add jittered backoff and
        # retries".
        row(
            "capacity_exceeded",
            ErrorClass.TRANSIENT,
            498,
            "The flex tier is at capacity.",
            "Nothing to do; if it lasts, use the on-demand tier.",
            category="Rate limit / availability",
        ),
        # Its API is compatible with OpenAI's (console.groq.com/docs/openai): should it, or a
        # gateway before it, say OpenAI's words for billing, then they mean the same.
        *(spec for spec in CODES.values() if spec.error_class is ErrorClass.PERMANENT),
    ),
    # 498 is the flex tier's, code or no code.
    statuses=FrozenMap({**STAINLESS_STATUSES, 498: ErrorClass.TRANSIENT}),
    envelope=ENVELOPE,
    requests=RequestRules(
        post_is_repeatable=True,  # groq 1.7.0 repeats every method, _base_client.py
    ),
    stop_layers_above=True,  # groq 1.7.0 obeys x-should-retry, _base_client.py
)
"""Groq's API, for ``groq`` and plain clients."""
