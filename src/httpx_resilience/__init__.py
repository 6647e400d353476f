"""A transport for ``httpx.AsyncClient`` that understands, retries and explains failures."""

from ._async import AsyncResilientTransport
from ._budget import RetryBudget
from ._core.dialect.catalog import CategoryRule, Envelope, ErrorClass, ErrorSpec, RequestRules
from ._core.dialect.dialect import Dialect
from ._core.dialect.envelope import ErrorInfo
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
from ._core.throttle import RateLimitStatus
from ._http.errors import (
    ApiError,
    DeadlineExceeded,
    ResilienceError,
    ThrottleTimeout,
    TokenRefused,
    TransportClosed,
)
from ._http.results import error_of, history_of, raise_for_error
from ._recovery import FailedAttempt
from ._update import read_change_write
from .auth.tokens import RefreshToken
from .dialects.generic import GENERIC
from .dialects.scaivault import SCAIVAULT
from .instrumentation.history import Attempt, CallHistory
from .instrumentation.redact import redact_path
from .instrumentation.sink import Listener

__all__ = [
    "GENERIC",
    "SCAIVAULT",
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
    "RefreshToken",
    "RequestRules",
    "ResilienceError",
    "RetryBudget",
    "RetryParked",
    "RetryPolicy",
    "RetryScheduled",
    "ScopeEvent",
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
