"""What a call records of itself: when, with which level, rounded how, and under which path."""

import math
from collections.abc import Callable

import pytest

from httpx_resilience import SCAIVAULT, ErrorClass, Policy
from httpx_resilience._core.call_state import CallState, Rules
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import RateLimit, RateLimitReader, Reading
from httpx_resilience._core.outcome import Call, HookDone, Outcome
from httpx_resilience._core.retry.decision import Retry, Stop
from httpx_resilience._core.telemetry.events import CallFinished, Event, Level, RetryScheduled
from httpx_resilience._core.telemetry.recorder import CallRecorder, PendingEvent
from support.core import START, call_of

AT = START + 7.0
"""When what is recorded here happened; the call was sent at ``START``."""

RULES = Rules(Policy(), SCAIVAULT, RateLimitReader(), lambda: 0.5)
OUTCOME = Outcome(AT - 2.0, AT - 1.0, AT, status=503)
FAILURE = Failure(ErrorClass.TRANSIENT, status=503)
BROKEN = Failure(ErrorClass.INTERNAL, status=500)
ANNOUNCED = Reading((RateLimit(10, 3, 30.0),))

RECORDED: dict[str, tuple[str, Callable[[CallRecorder], None]]] = {
    "call_started": ("call_started", lambda record: record.call_started(AT)),
    "attempt_started": ("attempt_started", lambda record: record.attempt_started(AT)),
    "throttle_delayed": (
        "throttle_delayed",
        lambda record: record.throttle_delayed("read", 2.0, AT),
    ),
    "rate_limit_observed": (
        "rate_limit_observed",
        lambda record: record.rate_limit_observed("read", ANNOUNCED, AT),
    ),
    "attempt_finished": (
        "attempt_finished",
        lambda record: record.attempt_finished(OUTCOME, FAILURE, ANNOUNCED),
    ),
    "retry_scheduled": (
        "retry_scheduled",
        lambda record: record.retry_scheduled(OUTCOME, FAILURE, Retry(1.0, "backoff", 1.0), 2.0),
    ),
    "hook_finished": (
        "recovery_hook",
        # It came back later than the attempt that it is about.
        lambda record: record.hook_finished(
            OUTCOME._replace(at=AT - 1.0), FAILURE, HookDone(AT, "request")
        ),
    ),
    "gave_up": (
        "gave_up",
        lambda record: record.gave_up(OUTCOME, FAILURE, Stop("attempts_exhausted"), 2.0, 1),
    ),
    "recovered": ("recovered", lambda record: record.recovered(OUTCOME, 2.0, None)),
    "retry_parked": (
        "retry_parked",
        lambda record: record.retry_parked(OUTCOME, FAILURE, "unavailable", 6.0, 2),
    ),
    "call_finished": (
        "call_finished",
        lambda record: record.call_finished(OUTCOME, FAILURE, "attempts_exhausted", 1),
    ),
}
every_method = pytest.mark.parametrize(("name", "record"), RECORDED.values(), ids=RECORDED)


class Keeper:
    """Keeps what is recorded as it came."""

    verbose = True

    def __init__(self) -> None:
        self.pending: list[PendingEvent] = []

    def record(self, pending: PendingEvent) -> None:
        self.pending.append(pending)


def recorded(*records: Callable[[CallRecorder], None], call: Call | None = None) -> PendingEvent:
    """Return what the last of these records of a call that was sent at ``START``."""
    state, keeper = CallState(call or call_of(), RULES), Keeper()
    state.sent_first(START)
    recorder = CallRecorder(state, RULES, keeper)
    for record in records:
        record(recorder)
    return keeper.pending[-1]


def test_the_table_holds_every_method_of_a_recorder() -> None:
    methods = {name for name, each in vars(CallRecorder).items() if callable(each)}
    assert set(RECORDED) == {name for name in methods if not name.startswith("_")}


@every_method
def test_what_is_recorded_is_an_event_of_that_name_at_the_time_given(
    name: str, record: Callable[[CallRecorder], None]
) -> None:
    pending = recorded(record)
    event = pending.event()
    assert (event.name, event.at, pending.at) == (name, AT, AT)
    assert pending.level is event.level
    assert event.origin == "https://vault.example"


def test_the_end_of_an_internal_error_is_recorded_as_an_error() -> None:
    pending = recorded(lambda r: r.gave_up(OUTCOME, BROKEN, Stop("permanent"), None, 1))
    assert pending.level is pending.event().level is Level.ERROR


@every_method
@pytest.mark.parametrize(
    ("redact", "shown"),
    [
        (None, "/v1/secrets/app"),
        (lambda path: path[:3], "/v1"),
        (lambda path: 1 / 0, "invalid"),
    ],
    ids=["none", "cut", "raises"],
)
def test_no_path_is_recorded_but_the_one_that_may_be_shown(
    name: str,
    record: Callable[[CallRecorder], None],
    redact: Callable[[str], str] | None,
    shown: str,
) -> None:
    pending = recorded(record, call=call_of()._replace(redact=redact))
    kept = pending.fields if pending.about is None else pending.about._asdict()
    assert kept.get("path", shown) == shown
    assert getattr(pending.event(), "path", shown) == shown
    assert redact is None or "/v1/secrets" not in repr(pending)


def test_the_path_of_a_request_that_a_hook_made_is_shown_by_its_own_rule() -> None:
    state, keeper = CallState(call_of(), RULES), Keeper()
    recorder = CallRecorder(state, RULES, keeper)
    recorder.attempt_finished(OUTCOME, FAILURE)
    state.replace_call(call_of()._replace(path="/v2/other", redact=str.upper))
    recorder.attempt_finished(OUTCOME, FAILURE)
    assert [pending.event().as_fields()["path"] for pending in keeper.pending] == [
        "/v1/secrets/app",
        "/V2/OTHER",
    ]


def test_what_the_events_of_one_attempt_have_in_common_is_made_once() -> None:
    state, keeper = CallState(call_of(), RULES), Keeper()
    recorder = CallRecorder(state, RULES, keeper)
    recorder.attempt_finished(OUTCOME, FAILURE)
    recorder.retry_scheduled(OUTCOME, FAILURE, Retry(1.0, "backoff", 1.0), None)
    state.attempt = 2
    recorder.attempt_finished(OUTCOME, FAILURE)
    one, same, next_one = (pending.about for pending in keeper.pending)
    assert one is same
    assert next_one is not None
    assert (next_one.number, next_one.failure) == (2, FAILURE)


def test_a_response_that_announces_no_limit_is_not_recorded_as_one() -> None:
    keeper = Keeper()
    recorder = CallRecorder(CallState(call_of(), RULES), RULES, keeper)
    recorder.rate_limit_observed("read", Reading(), AT)
    assert keeper.pending == []


def scheduled(**fields: float) -> Event:
    about = recorded(RECORDED["attempt_finished"][1]).about
    given = {"delay": 1.0, "delay_source": "backoff", "time_left": 2.0, **fields}
    return PendingEvent(Level.WARNING, RetryScheduled, AT, about, given).event()


@pytest.mark.parametrize(
    ("field", "given", "told"),
    [
        ("delay", 0.1234, 0.123),
        ("delay", 0.1236, 0.124),
        ("time_left", 59.99951, 60.0),
        ("elapsed", 7.00049, 7.0),
        ("budget", 2.346, 2.35),
        ("budget", 0.004, 0.0),
        ("idempotent", True, True),
    ],
)
def test_seconds_are_rounded_to_milliseconds_and_tokens_to_hundredths(
    field: str, given: float, told: float
) -> None:
    value = getattr(scheduled(**{field: given}), field)
    assert (value, type(value)) == (told, type(told))


@pytest.mark.parametrize("given", [math.inf, -math.inf, math.nan])
def test_what_is_no_finite_number_is_left_out(given: float) -> None:
    line = scheduled(time_left=given, budget=given).as_fields()
    assert line.keys().isdisjoint({"time_left", "budget"})
    assert line["delay"] == 1.0


def test_the_time_of_an_event_is_not_rounded() -> None:
    about = recorded(RECORDED["attempt_finished"][1]).about
    pending = PendingEvent(Level.DEBUG, CallFinished, 1.23456789, about, {"reason": "success"})
    assert pending.event().at == 1.23456789
