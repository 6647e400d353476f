"""Events: frozen records, and the fields of their lines."""

import pickle
from dataclasses import FrozenInstanceError, fields, replace
from typing import Any

import pytest

from httpx_resilience import (
    AttemptFinished,
    ErrorClass,
    Event,
    GaveUp,
    Policy,
    RateLimitLow,
    RateLimitObserved,
    Recovered,
    RetryScheduled,
    ThrottleReleased,
)
from httpx_resilience._core.call_state import Rules
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.retry.decision import REASONS
from httpx_resilience._core.telemetry.advice import OTHER_API, advice_for
from httpx_resilience._core.telemetry.events import CallEvent, Level
from httpx_resilience.dialects.scaivault import SCAIVAULT

COMMON = {
    "origin": "https://vault.example",
    "call_id": "c1",
    "method": "GET",
    "path": "/v1/x",
    "attempt": 1,
    "max_attempts": 4,
    "elapsed": 0.5,
    "idempotent": True,
    "maybe_applied": False,
}
EVENTS: list[CallEvent] = [
    AttemptFinished(**COMMON, duration=0.5),  # type: ignore[arg-type]
    RetryScheduled(**COMMON, delay=1.0, delay_source="backoff", time_left=9.0),  # type: ignore[arg-type]
    GaveUp(**COMMON, reason="permanent"),  # type: ignore[arg-type]
    Recovered(**COMMON),  # type: ignore[arg-type]
]
by_name = pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.name)


@by_name
def test_a_line_leaves_out_what_is_none_and_keeps_what_is_false(event: Event) -> None:
    line = event.as_fields()
    assert None not in line.values()
    assert line["maybe_applied"] is False
    assert line["schema"] == 1
    assert "name" not in line
    given = {f.name for f in fields(event) if getattr(event, f.name) is not None}
    assert given - {"at"} == set(line) - {"schema"}


@by_name
def test_a_record_cannot_change(event: Event) -> None:
    with pytest.raises(FrozenInstanceError):
        event.origin = "x"  # type: ignore[misc]


@by_name
def test_a_record_loses_no_field(event: Event) -> None:
    with pytest.raises(FrozenInstanceError):
        del event.origin  # pyright: ignore[reportAttributeAccessIssue]  # as it says
    assert event.origin == COMMON["origin"]


@by_name
def test_records_are_equal_if_their_kind_and_all_their_fields_are(event: Event) -> None:
    same, other = replace(event), replace(event, origin="https://other.example")
    assert same == event
    assert hash(same) == hash(event)
    assert other != event
    assert event != event.as_fields()
    assert len({event, same, other}) == 2


def test_records_of_two_kinds_with_the_same_fields_differ() -> None:
    low = RateLimitLow(origin="https://v", scope="all")
    assert low != RateLimitObserved(origin="https://v", scope="all")


def test_a_record_shows_its_fields_in_order() -> None:
    told = repr(ThrottleReleased(origin="https://v", scope="all", reason="exhausted", elapsed=1.5))
    wanted = "at=0.0, origin='https://v', scope='all', reason='exhausted', elapsed=1.5"
    assert told == f"ThrottleReleased({wanted})"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"scope": "all"}, "RateLimitLow: unknown fields [], missing ['origin']"),
        ({}, "RateLimitLow: unknown fields [], missing ['origin', 'scope']"),
        (
            {"origin": "https://v", "scope": "all", "token": "s3cret"},
            "RateLimitLow: unknown fields ['token'], missing []",
        ),
    ],
)
def test_a_record_of_the_wrong_fields_names_them_and_not_what_they_hold(
    given: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        RateLimitLow(**given)
    assert str(caught.value) == message


@by_name
def test_a_record_survives_pickling(event: Event) -> None:
    assert pickle.loads(pickle.dumps(event)) == event


def test_levels_are_those_of_the_standard_library() -> None:
    assert [event.level for event in EVENTS] == [10, 30, 30, 20]
    escalated = GaveUp(**COMMON, reason="attempts_exhausted", escalated=True)  # type: ignore[arg-type]
    assert escalated.level is Level.ERROR


RULES = Rules(Policy(), SCAIVAULT, RateLimitReader(), lambda: 0.5)


def test_a_code_that_is_not_the_default_apis_says_so_where_no_dialect_was_named() -> None:
    failure = Failure(ErrorClass.PERMANENT, 400, code="invalid_api_key", coded=True)
    default = RULES._replace(is_default_dialect=True)
    assert advice_for("permanent", failure, default) == OTHER_API
    assert "dialect=GENERIC" in OTHER_API
    assert advice_for("permanent", failure, RULES) is None
    known = failure._replace(spec=SCAIVAULT.codes["storage_error"])
    assert advice_for("permanent", known, default) != OTHER_API


@pytest.mark.parametrize("error_class", list(ErrorClass))
@pytest.mark.parametrize("reason", REASONS)
def test_advice_names_something_to_do_for_every_reason_and_code(
    reason: str, error_class: ErrorClass
) -> None:
    for spec in SCAIVAULT.codes.values():
        advice = advice_for(reason, Failure(error_class, spec=spec), RULES)
        assert advice is not None
        assert advice.endswith(".")


def test_the_advice_of_a_code_is_the_catalogues_own_where_the_reason_says_nothing_better() -> None:
    spec = SCAIVAULT.codes["storage_error"]
    failure = Failure(ErrorClass.PERMANENT, spec=spec)
    assert advice_for("permanent", failure, RULES) == spec.advice
    assert advice_for("budget_exhausted", failure, RULES) != spec.advice
