"""A transport for httpx and httpx2 clients that understands, retries and explains failures.

What is made of httpx is imported when it is first used, so that whoever uses
``httpx_resilience.httpx2`` needs no httpx; and so are the dialects but the two most used.
"""

import typing as _typing

from . import dialects as _dialects
from ._budget import RetryBudget
from ._core.dialect.catalog import Envelope, ErrorClass, ErrorSpec, MessageRule
from ._core.dialect.dialect import Dialect
from ._core.dialect.envelope import ErrorInfo
from ._core.dialect.requests import CategoryRule, CostEstimate, RequestRules
from ._core.headers import HeaderFamily
from ._core.policy import BudgetPolicy, ParkPolicy, Policy, RetryPolicy, ThrottlePolicy
from ._core.retry.backoff import Backoff
from ._core.retry.origin_status import OriginStatus
from ._core.telemetry.events import (
    AttemptFinished,
    AttemptStarted,
    CallEvent,
    CallFinished,
    CallStarted,
    Event,
    GaveUp,
    Level,
    NestedTransport,
    OriginRecovered,
    OriginUnavailable,
    RateLimitChanged,
    RateLimitEvent,
    RateLimitLow,
    RateLimitObserved,
    Recovered,
    RecoveryHook,
    RetryParked,
    RetryScheduled,
    ScopeEvent,
    ThrottleDelayed,
    ThrottleHeld,
    ThrottleReleased,
    TrafficSummary,
)
from ._core.telemetry.store_events import StoreBack, StoreLost
from ._core.throttle import RateLimitStatus
from ._http.errors import ResilienceError
from ._http.results import history_of
from ._recovery import FailedAttempt
from .dialects.generic import GENERIC
from .dialects.scaivault import SCAIVAULT
from .instrumentation.history import Attempt, CallHistory
from .instrumentation.redact import redact_path
from .instrumentation.sink import Listener

if _typing.TYPE_CHECKING:
    from ._httpx import (
        ApiError,
        AsyncResilientTransport,
        DeadlineExceeded,
        RefreshToken,
        ResilientTransport,
        ThrottleTimeout,
        TokenRefused,
        TransportClosed,
        error_of,
        raise_for_error,
        read_change_write,
    )
    from ._store.redis import RedisStore, StoreHolder, StoreLimit, StoreScope
    from .dialects import (
        ANTHROPIC,
        AWS_SECRETS_MANAGER,
        AZURE_OPENAI,
        GEMINI,
        GITHUB,
        GROQ,
        HASHICORP_VAULT,
        MISTRAL,
        NOTION,
        OPENAI,
        SHOPIFY,
        SLACK,
        STRIPE,
    )

__all__ = [
    "ANTHROPIC",
    "AWS_SECRETS_MANAGER",
    "AZURE_OPENAI",
    "GEMINI",
    "GENERIC",
    "GITHUB",
    "GROQ",
    "HASHICORP_VAULT",
    "MISTRAL",
    "NOTION",
    "OPENAI",
    "SCAIVAULT",
    "SHOPIFY",
    "SLACK",
    "STRIPE",
    "ApiError",
    "AsyncResilientTransport",
    "Attempt",
    "AttemptFinished",
    "AttemptStarted",
    "Backoff",
    "BudgetPolicy",
    "CallEvent",
    "CallFinished",
    "CallHistory",
    "CallStarted",
    "CategoryRule",
    "CostEstimate",
    "DeadlineExceeded",
    "Dialect",
    "Envelope",
    "ErrorClass",
    "ErrorInfo",
    "ErrorSpec",
    "Event",
    "FailedAttempt",
    "GaveUp",
    "HeaderFamily",
    "Level",
    "Listener",
    "MessageRule",
    "NestedTransport",
    "OriginRecovered",
    "OriginStatus",
    "OriginUnavailable",
    "ParkPolicy",
    "Policy",
    "RateLimitChanged",
    "RateLimitEvent",
    "RateLimitLow",
    "RateLimitObserved",
    "RateLimitStatus",
    "Recovered",
    "RecoveryHook",
    "RedisStore",
    "RefreshToken",
    "RequestRules",
    "ResilienceError",
    "ResilientTransport",
    "RetryBudget",
    "RetryParked",
    "RetryPolicy",
    "RetryScheduled",
    "ScopeEvent",
    "StoreBack",
    "StoreHolder",
    "StoreLimit",
    "StoreLost",
    "StoreScope",
    "ThrottleDelayed",
    "ThrottleHeld",
    "ThrottlePolicy",
    "ThrottleReleased",
    "ThrottleTimeout",
    "TokenRefused",
    "TrafficSummary",
    "TransportClosed",
    "error_of",
    "history_of",
    "raise_for_error",
    "read_change_write",
    "redact_path",
]

_OF_HTTPX = frozenset(
    {
        "ApiError",
        "AsyncResilientTransport",
        "DeadlineExceeded",
        "RefreshToken",
        "ResilientTransport",
        "ThrottleTimeout",
        "TokenRefused",
        "TransportClosed",
        "error_of",
        "raise_for_error",
        "read_change_write",
    }
)
"""What is made of httpx."""

_DIALECTS = frozenset(
    {
        "ANTHROPIC",
        "AWS_SECRETS_MANAGER",
        "AZURE_OPENAI",
        "GEMINI",
        "GITHUB",
        "GROQ",
        "HASHICORP_VAULT",
        "MISTRAL",
        "NOTION",
        "OPENAI",
        "SHOPIFY",
        "SLACK",
        "STRIPE",
    }
)
"""What is imported one by one."""

_OF_STORES = frozenset({"RedisStore", "StoreHolder", "StoreLimit", "StoreScope"})
"""What few programs need: those whose processes share a limit."""


def __getattr__(name: str) -> object:
    if name in _DIALECTS:
        globals()[name] = found = getattr(_dialects, name)
        return found
    if name in _OF_STORES:
        from ._store.redis import RedisStore, StoreHolder, StoreLimit, StoreScope

        made = (RedisStore, StoreHolder, StoreLimit, StoreScope)
        globals().update((each.__name__, each) for each in made)
        return globals()[name]
    if name not in _OF_HTTPX:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from . import _httpx

    for each in _OF_HTTPX:
        globals()[each] = getattr(_httpx, each)
    return globals()[name]


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
