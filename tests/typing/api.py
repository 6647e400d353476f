"""Uses of the public API that mypy --strict and pyright check. Never run."""

from collections.abc import Mapping
from typing import Any, assert_type

import httpx

from httpx_resilience import (
    GENERIC,
    OPENAI,
    SCAIVAULT,
    ApiError,
    AsyncResilientTransport,
    Attempt,
    AttemptFinished,
    Backoff,
    BudgetPolicy,
    CallEvent,
    CallHistory,
    DeadlineExceeded,
    Dialect,
    Envelope,
    ErrorClass,
    ErrorInfo,
    ErrorSpec,
    Event,
    GaveUp,
    Level,
    Listener,
    MessageRule,
    Policy,
    RateLimitChanged,
    RateLimitEvent,
    RateLimitStatus,
    Recovered,
    RequestRules,
    ResilienceError,
    RetryBudget,
    RetryPolicy,
    RetryScheduled,
    ThrottleDelayed,
    ThrottleHeld,
    ThrottlePolicy,
    ThrottleReleased,
    ThrottleTimeout,
    TransportClosed,
    dialects,
    error_of,
    history_of,
    raise_for_error,
    redact_path,
)

# Transports.

plain = AsyncResilientTransport()
wrapping = AsyncResilientTransport(httpx.AsyncHTTPTransport(http2=True))
as_base: httpx.AsyncBaseTransport = plain
client = httpx.AsyncClient(transport=plain)


def listen(event: Event) -> None:
    assert_type(event.as_fields(), dict[str, Any])


def listen_and_return(event: Event) -> int:
    return len(event.as_fields())


class Metrics:
    def __call__(self, event: Event) -> None: ...


shared = RetryBudget(BudgetPolicy(floor=5.0))
AsyncResilientTransport(on_event=listen)
AsyncResilientTransport(on_event=[listen, listen_and_return, Metrics()])
AsyncResilientTransport(on_event=[listen, Listener(Metrics(), level=Level.DEBUG)])
AsyncResilientTransport(on_event=Listener(listen_and_return, level="warning"))
assert_type(Listener(listen).level, Level)
AsyncResilientTransport(on_event=Metrics(), redact=redact_path, budget=shared)
assert_type(OPENAI, Dialect)
assert_type(dialects.AWS_SECRETS_MANAGER, Dialect)
AsyncResilientTransport(dialect=GENERIC, policy=Policy(), redact=lambda path: path[:8])


def who(request: httpx.Request) -> str | None:
    return request.url.host or None


AsyncResilientTransport(identity=who)
AsyncResilientTransport(identity=lambda request: request.url.host)
assert_type(plain.rate_limits(), tuple[RateLimitStatus, ...])

# Policies.

policy = Policy(
    retry=RetryPolicy(
        max_attempts=3,
        retry_for=60.0,
        deadline=10.0,
        max_retry_after=30,
        backoff={ErrorClass.TRANSIENT: Backoff(initial=0.1, jitter="full")},
        retry_non_idempotent=True,
    ),
    budget=BudgetPolicy(ratio=0.2),
)
throttle = ThrottlePolicy(reserve=5, low_below=0.2, max_wait=30, max_queue=100, window=2.0)
assert_type(throttle.replace(window=None), ThrottlePolicy)
assert_type(Policy(throttle=throttle).throttle, ThrottlePolicy | None)
Policy(throttle=None)
assert_type(policy.replace(budget=None), Policy)
assert_type(policy.retry.replace(max_attempts=2), RetryPolicy)
assert_type(policy.describe(), str)
assert_type(policy.retry.backoff, Mapping[ErrorClass, Backoff])
assert_type(Backoff().delay(attempt=1, rand=0.5), float)
assert_type(shared.balance(), float)

# Dialects.

mine = SCAIVAULT.extend(
    codes={
        "my_code": ErrorClass.TRANSIENT,
        "x": ErrorSpec(code="x", error_class=ErrorClass.INTERNAL),
    },
    statuses={418: ErrorClass.PERMANENT},
)
assert_type(mine, Dialect)
assert_type(mine.spec("my_code"), ErrorSpec | None)
own = Dialect(
    name="own",
    codes={"busy": ErrorSpec(code="busy", error_class=ErrorClass.TRANSIENT)},
    unknown_code=None,
    statuses={503: ErrorClass.TRANSIENT},
    statuses_that_wait={403: ErrorClass.RATE_LIMITED},
    envelope=Envelope(
        code=(("errors", "*", "code"),),
        ignore_case=True,
        code_headers=("X-Code",),
        messages=(MessageRule(contains="slow down", code="busy", statuses=(403,)),),
        errors_in_success=True,
    ),
    requests=RequestRules(idempotency_header="Idempotency-Key", post_is_repeatable=True),
    stop_layers_above=True,
)
assert_type(Policy(stop_layers_above=False).stop_layers_above, bool | None)


async def use() -> None:
    async with httpx.AsyncClient(transport=AsyncResilientTransport(policy=policy)) as http:
        response = await http.get(
            "https://vault.example", extensions={"resilience": policy.replace(budget=None)}
        )
    info = error_of(response)
    assert_type(info, ErrorInfo | None)
    if info is not None:
        assert_type(info.code, str)
        assert_type(info.message, str | None)
        assert_type(info.details, Mapping[str, Any])
        assert_type(info.fields, tuple[Mapping[str, Any], ...])
    assert_type(error_of(response, dialect=own), ErrorInfo | None)
    history = history_of(response)
    assert_type(history, CallHistory | None)
    if history is not None:
        assert_type(history.attempts, tuple[Attempt, ...])
        assert_type(history.reason, str | None)
        assert_type(history.retry_at, float | None)
        assert_type(history.attempts[0].delay, float | None)
        assert_type(history.events, tuple[Event, ...])
    try:
        assert_type(raise_for_error(response), httpx.Response)
    except ApiError as error:
        assert_type(error.info, ErrorInfo | None)
        assert_type(error.code, str | None)
        assert_type(error.response, httpx.Response)
        history_of(error)
    except DeadlineExceeded as late:
        assert_type(late.request, httpx.Request)
        timeout: httpx.TimeoutException = late
        assert_type(history_of(timeout), CallHistory | None)
    except ThrottleTimeout as full:
        assert_type(full.retry_at, float | None)
        assert_type(full.scope, str)
        assert_type(full.request, httpx.Request)
        unsent: httpx.TimeoutException = full
        history_of(unsent)
    except TransportClosed as closed:
        assert_type(closed.request, httpx.Request)
        transport_error: httpx.TransportError = closed
        history_of(transport_error)
    except ResilienceError as root:
        history_of(root)


def tell(event: Event) -> str:
    match event:
        case RetryScheduled():
            assert_type(event.delay, float)
            return event.delay_source
        case GaveUp():
            assert_type(event.escalated, bool | None)
            return event.reason
        case Recovered() | AttemptFinished():
            return event.call_id
        case ThrottleHeld():
            assert_type(event.delay, float | None)
            assert_type(event.queued, int)
            return event.reason
        case ThrottleReleased():
            assert_type(event.elapsed, float)
            return event.scope
        case ThrottleDelayed():
            assert_type(event.delay, float)
            return event.path
        case RateLimitChanged():
            assert_type(event.previous, int | None)
            return event.scope
        case RateLimitEvent():
            assert_type(event.rate_remaining, int | None)
            return event.scope
        case CallEvent():
            return event.path
    assert_type(event.level, Level)
    return event.origin
