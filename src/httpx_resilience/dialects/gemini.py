"""Gemini: Google's error model (google.rpc.Status), whose details name the quota and the delay.

The body's ``retryDelay`` is a delay of seconds even for a quota that comes back the next day
(github.com/voideditor/void/issues/557), so a violated quota of a day decides, wherever it stands in
the list. Google's lists of quotas are long: the ids below are those that were captured.
"""

from .._core.dialect.catalog import Envelope, ErrorClass, ErrorSpec, RequestRules
from .._core.dialect.dialect import Dialect
from .._core.dialect.paths import Path
from ._rows import STATUSES_WITH_529, catalogue, row

_LOAD = "Rate limit / availability"
_QUOTA = "Quota of a day"

_QUOTA_FAILURE = "[@type=type.googleapis.com/google.rpc.QuotaFailure]"
_RETRY_INFO = "[@type=type.googleapis.com/google.rpc.RetryInfo]"

# Streams that are no server-sent events answer with a list: google-gemini/gemini-cli/issues/14831.
_ROOTS: tuple[Path, ...] = (("error",), ("*", "error"))

_QUOTAS_OF_A_DAY = (
    # github.com/voideditor/void/issues/557, github.com/ogkalu2/comic-translate/issues/403
    "GenerateRequestsPerDayPerProjectPerModel-FreeTier",
    # github.com/langgenius/dify/issues/19838
    "GenerateRequestsPerDayPerProjectPerModel",
)


def _of_a_day(quota: str) -> ErrorSpec:
    return row(
        quota,
        ErrorClass.PERMANENT,
        429,
        "A quota of the day is spent.",
        "Raise the quota, use another model, or wait for midnight Pacific time.",
        category=_QUOTA,
    )


GEMINI = Dialect(
    name="gemini",
    codes=catalogue(
        *(_of_a_day(quota) for quota in _QUOTAS_OF_A_DAY),
        # github.com/RooCodeInc/Roo-Code/issues/3883, with a delay; many without.
        row(
            "RESOURCE_EXHAUSTED",
            ErrorClass.RATE_LIMITED,
            429,
            "A quota of requests or tokens is spent.",
            "Spread the calls, or raise the quota.",
            category=_LOAD,
        ),
        # google-genai 3.4.0, _api_client.py, _RETRY_HTTP_STATUS_CODES: 500, 503 and 504; the names
        # of their codes are those of google.rpc.Code.
        row(
            "UNAVAILABLE",
            ErrorClass.TRANSIENT,
            503,
            "The service or the model is overloaded or down.",
            "Nothing to do; if it lasts, use another model.",
            category=_LOAD,
        ),
        row(
            "INTERNAL",
            ErrorClass.INTERNAL,
            500,
            "Something unexpected went wrong at Google.",
            "If it happens again, make the input shorter or use another model.",
            category=_LOAD,
        ),
        row(
            "DEADLINE_EXCEEDED",
            ErrorClass.TRANSIENT,
            504,
            "The request took too long.",
            "Make the request smaller, or give it a longer timeout.",
            category=_LOAD,
        ),
    ),
    statuses=STATUSES_WITH_529,
    envelope=Envelope(
        code=(
            *(
                (*root, "details", _QUOTA_FAILURE, "violations", f"[quotaId={quota}]", "quotaId")
                for root in _ROOTS
                for quota in _QUOTAS_OF_A_DAY
            ),
            *((*root, "status") for root in _ROOTS),
        ),
        message=tuple((*root, "message") for root in _ROOTS),
        details=_ROOTS,
        request_id=(),
        wait=tuple((*root, "details", _RETRY_INFO, "retryDelay") for root in _ROOTS),
    ),
    requests=RequestRules(
        post_is_repeatable=True,  # google-genai 3.4.0 repeats POST where it repeats at all
    ),
    stop_layers_above=True,  # for SDKs above that obey x-should-retry
)
"""Google's Gemini API, for ``google-genai`` and plain clients."""
