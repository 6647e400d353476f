"""The way a request goes: for every failure the attempts, the waits, the reason, the log line."""

import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    BudgetPolicy,
    ErrorClass,
    Event,
    Policy,
    RetryPolicy,
    ThrottlePolicy,
)
from httpx_resilience._core.call_state import Rules
from httpx_resilience._core.flow import call_flow
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.outcome import Cancelled, Outcome, Woken
from httpx_resilience._core.retry.budget import RetryBudget
from httpx_resilience._core.retry.decision import (
    CLOSED,
    REASONS,
    THROTTLE_TIMEOUT,
    UNAVAILABLE,
)
from httpx_resilience._core.steps import Admit, Done, Pause, Send
from httpx_resilience._core.telemetry.events import AttemptFinished, Level, Recovered
from httpx_resilience._core.telemetry.recorder import PendingEvent
from httpx_resilience._core.throttle import Throttle
from support import contract
from support.contract import CODES, METHODS, UNCODED, Expected
from support.core import (
    CONNECTION_LOST,
    CONNECTION_REFUSED,
    OK,
    START,
    WALL,
    Answer,
    Ear,
    HookOutcome,
    Played,
    call_of,
    coded,
    play,
    reasons,
)

CASES = [
    pytest.param(method, status, code, expected, id=f"{method}-{code}")
    for code, (status, expected) in CODES.items()
    for method in METHODS
]
UNCODED_CASES = [
    pytest.param(method, status, by_method[method], id=f"{method}-{status}")
    for status, by_method in UNCODED.items()
    for method in METHODS
]


RULES = Rules(Policy(), SCAIVAULT, RateLimitReader(), lambda: 0.5)


def check(played: Played, expected: Expected, line: dict[str, object]) -> None:
    assert played.attempts == expected.attempts
    assert played.gaps == list(expected.delays)
    assert (played.done.reason, played.done.attempts) == (expected.reason, expected.attempts)
    told = played.gave_up.as_fields()
    assert told.pop("call_id") == "c1"
    assert told.pop("origin") == "https://vault.example"
    assert told.pop("path") == "/v1/secrets/app"
    told.pop("request_id", None)
    told.pop("advice", None)
    assert told == line
    assert played.gave_up.level == (Level.ERROR if expected.escalated else Level.WARNING)
    assert [event.delay for event in played.scheduled] == [round(d, 3) for d in expected.delays]
    assert len(played.ear.only(AttemptFinished)) == expected.attempts


def test_the_table_holds_every_code_of_the_catalogue_and_no_other() -> None:
    assert set(CODES) == set(SCAIVAULT.codes)
    assert len(CODES) == 51


@pytest.mark.parametrize(("method", "status", "code", "expected"), CASES)
def test_every_code_is_treated_as_the_catalogue_says(
    method: str, status: int, code: str, expected: Expected
) -> None:
    played = play(coded(status, code), method=method, budget=RetryBudget())
    processed = status in contract.SERVER_ERRORS
    line = contract.last_line(
        expected, method, status=status, code=code, perhaps_processed=processed
    )
    check(played, expected, line)
    assert played.gave_up.request_id == "req_abc123"
    assert played.gave_up.advice


@pytest.mark.parametrize(("method", "status", "expected"), UNCODED_CASES)
@pytest.mark.parametrize("body", [b"", b"<html>Bad Gateway</html>"], ids=["empty", "html"])
def test_a_response_without_a_code_is_treated_by_its_status(
    method: str, status: int, expected: Expected, body: bytes
) -> None:
    played = play(Answer(status, body), method=method, budget=RetryBudget())
    processed = status in contract.SERVER_ERRORS or status == 408
    line = contract.last_line(expected, method, status=status, perhaps_processed=processed)
    check(played, expected, line)


def test_an_internal_error_is_repeated_once_and_then_escalated_with_its_request_id() -> None:
    played = play(coded(500, "internal_error"), method="POST")
    assert played.attempts == 2
    assert played.gave_up.level is Level.ERROR
    assert played.gave_up.escalated is True
    assert played.gave_up.request_id == "req_abc123"


def test_an_internal_error_after_two_outages_has_one_more_try() -> None:
    outage = coded(503, "service_unavailable")
    played = play(outage, outage, coded(500, "internal_error"))
    assert played.attempts == 4
    assert [e.error_class for e in played.scheduled] == ["transient", "transient", "internal"]


def test_two_internal_errors_end_a_call_that_had_an_outage_between_them() -> None:
    broken = coded(500, "internal_error")
    played = play(broken, coded(503, "service_unavailable"), broken, OK)
    assert (played.attempts, played.done.reason) == (3, "attempts_exhausted")


@pytest.mark.parametrize("rand", [0.0, 0.5, 0.999999])
def test_a_retry_comes_no_sooner_than_the_server_asks_and_little_later(rand: float) -> None:
    refused = coded(429, "rate_limited", [(b"Retry-After", b"2")])
    (gap,) = play(refused, OK, rand=rand).gaps
    assert 2.0 <= gap <= 2.2


def test_a_wait_that_is_too_long_ends_the_call_at_once_and_says_when() -> None:
    played = play(coded(429, "rate_limited", [(b"Retry-After", b"3600")]))
    assert (played.attempts, played.ended_at) == (1, START)
    assert played.done.reason == "retry_after_too_long"
    assert played.done.retry_in == 3600.0
    assert (played.gave_up.delay, played.gave_up.delay_source) == (3600.0, "retry_after")


def test_a_wait_of_exactly_the_longest_allowed_is_waited() -> None:
    played = play(coded(429, "rate_limited", [(b"Retry-After", b"60")]), OK, rand=0.0)
    assert played.gaps == [60.0]


def test_a_wait_without_end_is_refused_and_told_without_a_number() -> None:
    forever = [(b"Retry-After", b"9223372036854775807")]
    played = play(coded(429, "rate_limited", forever))
    assert played.done.reason == "retry_after_too_long"
    assert played.done.retry_in == math.inf
    assert "delay" not in played.gave_up.as_fields()


@pytest.mark.parametrize("skew", [-300.0, 0.0, 300.0])
def test_a_date_in_retry_after_is_read_on_the_servers_clock(skew: float) -> None:
    headers = [
        (b"Date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
        (b"Retry-After", b"Tue, 14 Nov 2023 22:13:27 GMT"),
    ]
    played = play(coded(429, "rate_limited", headers), OK, wall=WALL + skew, rand=0.0)
    assert played.gaps == [7.0]
    assert played.scheduled[0].delay_source == "retry_after"


def test_a_rate_limit_without_retry_after_waits_for_its_reset() -> None:
    headers = [
        (b"Date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
        (b"X-RateLimit-Limit", b"10"),
        (b"X-RateLimit-Remaining", b"0"),
        (b"X-RateLimit-Reset", b"1700000012"),
    ]
    played = play(coded(429, "rate_limited", headers), OK, rand=0.0)
    assert 12.0 <= played.gaps[0] <= 13.0
    assert played.scheduled[0].delay_source == "rate_limit_reset"


def test_a_rate_limit_whose_wait_the_server_named_costs_no_token() -> None:
    budget = RetryBudget()
    play(coded(429, "rate_limited", [(b"Retry-After", b"1")]), budget=budget)
    assert budget.balance(START) == 3.0


def test_every_reason_but_those_of_waits_is_reached() -> None:
    outage, lost = coded(503, "service_unavailable"), Answer(transport_failure=CONNECTION_LOST)
    empty = RetryBudget(BudgetPolicy(floor=0.0))
    brief = Policy(retry=RetryPolicy(retry_for=0.2))
    played = [
        play(OK),
        play(coded(404, "secret_not_found")),
        play(outage),
        play(outage, budget=empty),
        play(outage, policy=brief),
        play(coded(429, "rate_limited", [(b"Retry-After", b"61")])),
        play(lost, method="POST"),
        play(lost, is_replayable=lambda: False),
        play(outage, policy=None),
        play(coded(503, "service_unavailable", [(b"x-should-retry", b"false")])),
    ]
    others = (THROTTLE_TIMEOUT, CLOSED, UNAVAILABLE)
    assert reasons(played) == [reason for reason in REASONS if reason not in others]


def test_a_success_after_a_retry_is_told_and_pays_the_token_back() -> None:
    budget = RetryBudget()
    played = play(coded(503, "service_unavailable"), OK, budget=budget)
    (recovered,) = played.ear.only(Recovered)
    assert (recovered.attempt, recovered.status, recovered.budget) == (2, 200, 3.0)
    assert played.done.reason == "success"
    assert budget.balance(START + 1) == 3.0


def test_a_first_attempt_that_succeeds_tells_nobody_who_does_not_want_details() -> None:
    ear = Ear()
    ear.verbose = False
    flow = call_flow(call_of(), RULES, None, ear, lambda: True, START)
    next(flow)
    flow.send(Outcome(START, START, START, status=200))
    assert ear.events == []


@pytest.mark.parametrize(
    ("status", "earned"), [(200, 0.1), (304, 0.1), (404, 0.1), (503, 0.0), (429, 0.0), (500, 0.0)]
)
def test_an_answer_that_is_no_failing_of_the_server_earns(status: int, earned: float) -> None:
    budget = RetryBudget(BudgetPolicy(floor=0.0))
    for at in range(30):  # earlier traffic, so that the cap is above the floor
        budget.deposit(START + at / 10 - 3)
    before = budget.balance(START)
    play(Answer(status), budget=budget, policy=Policy(retry=RetryPolicy(max_attempts=1)))
    assert budget.balance(START) == pytest.approx(before + earned)


def test_a_failure_of_our_own_side_neither_earns_nor_costs() -> None:
    budget = RetryBudget(BudgetPolicy(floor=0.0))
    for at in range(30):
        budget.deposit(START + at / 10 - 3)
    before = budget.balance(START)
    local = CONNECTION_REFUSED._replace(exception_type="PoolTimeout", connection=False)
    play(Answer(transport_failure=local), budget=budget)
    assert budget.balance(START) == before


def test_a_retry_that_ends_in_a_permanent_failure_was_productive() -> None:
    budget = RetryBudget()
    played = play(coded(503, "service_unavailable"), coded(404, "secret_not_found"), budget=budget)
    assert played.done.reason == "permanent"
    assert budget.balance(START + 1) == 3.0


def test_a_refused_connection_costs_a_quarter() -> None:
    budget = RetryBudget()
    play(Answer(transport_failure=CONNECTION_REFUSED), budget=budget)
    assert budget.balance(START + 5) == pytest.approx(3.0 - 3 * 0.25)


def test_a_call_without_a_policy_is_sent_once_and_counts_for_the_origin() -> None:
    budget = RetryBudget()
    played = play(coded(503, "service_unavailable"), policy=None, budget=budget)
    assert (played.attempts, played.done.reason) == (1, "disabled")
    assert played.gave_up.max_attempts == 1


def test_a_failed_call_that_is_not_retried_holds_up_the_healing() -> None:
    budget = RetryBudget()
    for _ in range(3):
        budget.withdraw(1.0, START - 20)
    once = Policy(retry=RetryPolicy(max_attempts=1))
    play(coded(503, "service_unavailable"), policy=once, budget=budget)
    assert budget.balance(START + 29) == 0.0
    assert budget.balance(START + 30) == 3.0


class TestTime:
    def test_the_first_attempt_is_not_cut_by_retry_for(self) -> None:
        played = play(Answer(200, takes=600.0))
        assert (played.cuts, played.done.reason) == ([None], "success")

    def test_a_retry_is_cut_when_retry_for_ends_and_the_previous_outcome_returned(self) -> None:
        slow = Answer(200, takes=600.0)
        played = play(coded(503, "service_unavailable"), slow)
        assert played.cuts == [None, START + 120.0]
        assert (played.done.reason, played.done.result) == ("out_of_time", "previous")
        assert played.ended_at == START + 120.0

    def test_a_deadline_cuts_a_first_attempt(self) -> None:
        policy = Policy(retry=RetryPolicy(deadline=5.0))
        played = play(Answer(200, takes=600.0), policy=policy)
        assert played.cuts == [START + 5.0]
        assert (played.done.reason, played.done.result) == ("out_of_time", "deadline")

    def test_an_attempt_that_was_cut_ends_for_want_of_time_whatever_the_method(self) -> None:
        policy = Policy(retry=RetryPolicy(deadline=5.0, max_attempts=1))
        played = play(Answer(200, takes=600.0), method="POST", policy=policy)
        assert (played.done.reason, played.done.result) == ("out_of_time", "deadline")

    def test_a_deadline_before_the_end_of_retry_for_cuts_a_retry(self) -> None:
        policy = Policy(retry=RetryPolicy(deadline=5.0))
        played = play(coded(503, "service_unavailable"), Answer(200, takes=600.0), policy=policy)
        assert played.cuts == [START + 5.0, START + 5.0]
        assert played.done.result == "deadline"

    def test_a_deadline_after_the_end_of_retry_for_leaves_the_previous_outcome(self) -> None:
        policy = Policy(retry=RetryPolicy(deadline=50.0, retry_for=10.0))
        played = play(coded(503, "service_unavailable"), Answer(200, takes=600.0), policy=policy)
        assert played.cuts == [START + 50.0, START + 10.0]
        assert played.done.result == "previous"

    def test_no_wait_is_begun_that_leaves_no_time_for_an_attempt(self) -> None:
        # The first wait is 0.375 s, an attempt needs 0.1 s: 0.475 s are just enough.
        enough = Policy(retry=RetryPolicy(retry_for=0.4751))
        short = Policy(retry=RetryPolicy(retry_for=0.4749))
        outage = coded(503, "service_unavailable")
        assert play(outage, OK, policy=enough).attempts == 2
        refused = play(outage, OK, policy=short)
        assert (refused.attempts, refused.ended_at) == (1, START)
        assert refused.done.reason == "out_of_time"

    def test_retry_for_of_zero_allows_no_retry(self) -> None:
        policy = Policy(retry=RetryPolicy(retry_for=0.0))
        played = play(coded(503, "service_unavailable"), policy=policy)
        assert (played.attempts, played.done.reason) == (1, "out_of_time")

    def test_a_hint_is_never_cut_short_to_fit_the_time_left(self) -> None:
        policy = Policy(retry=RetryPolicy(retry_for=10.0))
        played = play(coded(429, "rate_limited", [(b"Retry-After", b"11")]), OK, policy=policy)
        assert (played.attempts, played.done.reason) == (1, "out_of_time")


class TestCancellation:
    def test_a_retry_that_is_cancelled_while_it_waits_gives_its_token_back(self) -> None:
        budget, ear = RetryBudget(), Ear()
        flow = call_flow(call_of(), RULES, budget, ear, lambda: True, START)
        assert isinstance(next(flow), Send)
        step = flow.send(Outcome(START, START, START, status=503))
        assert isinstance(step, Pause)
        assert budget.balance(START) == 2.0
        with pytest.raises(StopIteration):
            flow.send(Cancelled(START + 0.1))
        assert budget.balance(START + 0.1) == 3.0

    def test_a_retry_that_is_cancelled_while_it_is_sent_gives_its_token_back(self) -> None:
        budget, ear = RetryBudget(), Ear()
        flow = call_flow(call_of(), RULES, budget, ear, lambda: True, START)
        next(flow)
        step = flow.send(Outcome(START, START, START, status=503))
        assert isinstance(step, Pause)
        assert isinstance(flow.send(Woken(step.until)), Send)
        with pytest.raises(StopIteration):
            flow.send(Cancelled(step.until + 1))
        assert budget.balance(START + 2) == 3.0


def test_what_a_user_rules_for_a_code_comes_before_the_catalogue() -> None:
    mine = SCAIVAULT.extend(codes={"backend_timeout": ErrorClass.TRANSIENT})
    assert play(coded(504, "backend_timeout"), dialect=mine).attempts == 4


def test_a_put_that_was_perhaps_processed_is_repeated_where_the_dialect_allows() -> None:
    lost = Answer(transport_failure=CONNECTION_LOST)
    assert play(lost, method="PUT", dialect=GENERIC).attempts == 4
    assert play(lost, method="PUT").attempts == 1


@pytest.mark.parametrize(
    ("method", "applied"), [("GET", False), ("HEAD", False), ("DELETE", True), ("POST", True)]
)
def test_a_change_that_was_perhaps_made_is_told_from_then_on(method: str, applied: bool) -> None:
    played = play(Answer(503), OK, method=method, keyed=True)
    (recovered,) = played.ear.only(Recovered)
    assert recovered.maybe_applied is applied


def test_a_refused_change_is_not_told_as_perhaps_made() -> None:
    played = play(coded(429, "rate_limited"), OK, method="POST")
    assert played.ear.only(Recovered)[0].maybe_applied is False


def test_a_code_that_stands_under_another_status_wins_and_is_told() -> None:
    played = play(coded(400, "rate_limited"), OK)
    assert played.attempts == 2
    assert played.scheduled[0].status_mismatch is True


def test_a_call_that_the_throttle_refuses_is_over() -> None:
    policy = ThrottlePolicy(max_wait=5.0)
    throttle = Throttle("https://v", "all", policy, ServerClock(), list[Event]().append)
    throttle.reserve(0, START, math.inf)
    rules = RULES._replace(policy=Policy(throttle=policy))
    call = call_of()._replace(order=1)
    flow = call_flow(call, rules, None, Ear(), lambda: True, START, throttle)
    assert isinstance(next(flow), Admit)
    step = flow.send(Woken(START + 5.0))
    assert isinstance(step, Done)
    assert (step.reason, step.result, step.attempts) == ("throttle_timeout", "throttled", 0)
    assert next(flow, None) is None
    assert throttle.statistics().in_flight == 1


HOOKED = {"version_conflict"}
CONFLICT = coded(409, "version_conflict")


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("stopped", "permanent"), ("raised", "permanent"), ("cut", "out_of_time")],
)
def test_a_call_whose_hook_makes_no_request_is_over(outcome: HookOutcome, reason: str) -> None:
    played = play(CONFLICT, recover=HOOKED, hook=outcome)
    assert (played.attempts, played.done.reason) == (1, reason)


def test_a_hook_that_makes_no_other_request_has_the_same_call_sent() -> None:
    played = play(CONFLICT, OK, recover=HOOKED, hook="request")
    assert (played.attempts, played.done.reason) == (2, "success")


# GENERIC: the status decides.

BODIES = {
    "coded": b'{"error": {"code": "internal_error"}}',
    "a problem": b'{"type": "https://x.example/probs/quota_exceeded", "status": 404}',
    "uncoded": b"<html>",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(
    ("status", "method", "attempts", "reason"),
    [
        (429, "GET", 4, "attempts_exhausted"),
        (429, "POST", 4, "attempts_exhausted"),
        (503, "GET", 4, "attempts_exhausted"),
        (503, "PUT", 4, "attempts_exhausted"),
        (503, "POST", 1, "not_idempotent"),
        (500, "GET", 2, "attempts_exhausted"),
        (500, "PATCH", 1, "not_idempotent"),
        (408, "DELETE", 4, "attempts_exhausted"),
        (404, "GET", 1, "permanent"),
        (409, "PUT", 1, "permanent"),
        (501, "GET", 1, "permanent"),
    ],
)
def test_status_and_method_decide_whatever_the_code(
    body: bytes, status: int, method: str, attempts: int, reason: str
) -> None:
    played = play(Answer(status, body), method=method, dialect=GENERIC)
    assert (played.attempts, played.done.reason) == (attempts, reason)


def test_a_code_is_told_though_it_does_not_decide() -> None:
    played = play(Answer(404, BODIES["a problem"]), dialect=GENERIC)
    assert played.gave_up.code == "quota_exceeded"
    assert played.gave_up.status_mismatch is None


def test_a_code_that_cannot_be_told_is_told_as_invalid() -> None:
    played = play(Answer(400, b'{"error": "no such thing"}'), dialect=GENERIC)
    assert played.gave_up.code == "invalid"


# What is recorded, and that nothing is decided by it.


class Quiet(Ear):
    """Wants no debug events; keeps what is recorded all the same."""

    verbose = False


class Deaf:
    """Takes nothing, keeps nothing."""

    verbose = False

    def record(self, pending: PendingEvent) -> None:
        pass


def names(ear: Ear) -> list[str]:
    return [event.name for event in ear.events]


OUTAGE = coded(503, "service_unavailable")


def test_a_verbose_recorder_is_told_of_the_start_of_a_call_its_attempts_and_its_end() -> None:
    assert names(play(OUTAGE, OK).ear) == [
        "call_started",
        "attempt_started",
        "attempt_finished",
        "retry_scheduled",
        "attempt_started",
        "attempt_finished",
        "recovered",
        "call_finished",
    ]
    assert names(play(coded(404, "secret_not_found")).ear) == [
        "call_started",
        "attempt_started",
        "attempt_finished",
        "gave_up",
        "call_finished",
    ]
    assert names(play(OK).ear)[-1] == "call_finished"


def test_another_recorder_is_not_told_of_starts_and_ends() -> None:
    for answers, told in [
        ((OUTAGE, OK), ["attempt_finished", "retry_scheduled", "attempt_finished", "recovered"]),
        ((coded(404, "secret_not_found"),), ["attempt_finished", "gave_up"]),
        ((OK,), []),
    ]:
        quiet = Quiet()
        play(*answers, recorder=quiet)
        assert names(quiet) == told


HOOK_OUTCOMES: tuple[HookOutcome, ...] = ("request", "stopped", "raised", "cut")


class Row(NamedTuple):
    """What is answered, how the call is made, and with how many tokens its budget begins."""

    answers: tuple[Answer, ...]
    settings: Mapping[str, Any] = MappingProxyType({})
    floor: float = 3.0


def rows() -> dict[str, Row]:
    """Return every row of the tables above, by name."""
    found: dict[str, Row] = {}
    for code, (status, _) in CODES.items():
        found |= {
            f"{each}-{code}": Row((coded(status, code),), {"method": each}) for each in METHODS
        }
    for status in UNCODED:
        found |= {f"{each}-{status}": Row((Answer(status),), {"method": each}) for each in METHODS}
    local = CONNECTION_REFUSED._replace(exception_type="PoolTimeout", connection=False)
    for failure in (CONNECTION_LOST, CONNECTION_REFUSED, local):
        lost, name = (Answer(transport_failure=failure),), failure.exception_type
        found |= {f"{each}-{name}": Row(lost, {"method": each}) for each in METHODS}
        found[f"one-shot-{name}"] = Row(lost, {"is_replayable": lambda: False})
    for hook in HOOK_OUTCOMES:
        hooked: dict[str, Any] = {"recover": HOOKED, "hook": hook}
        found[f"hook-{hook}"] = Row((CONFLICT,), hooked)
        found[f"hook-{hook}-then-well"] = Row((CONFLICT, OK), hooked)
        own_write = {**hooked, "method": "POST", "keyed": True}
        found[f"hook-{hook}-own-write"] = Row((Answer(503), CONFLICT), own_write)
    for floor in (0.0, 0.5, 1.0, 2.0):
        found[f"budget-{floor}"] = Row((OUTAGE,), floor=floor)
    for seconds in (0.01, 0.4, 2.0):
        for retry in (RetryPolicy(retry_for=seconds), RetryPolicy(deadline=seconds)):
            timed = {"policy": Policy(retry=retry)}
            name = f"{'retry_for' if retry.deadline is None else 'deadline'}-{seconds}"
            found[name] = Row((OUTAGE,), timed)
            found[f"{name}-slow"] = Row((OUTAGE, Answer(200, takes=600.0)), timed)
    found["disabled"] = Row((OUTAGE,), {"policy": None})
    found["recovers"] = Row((OUTAGE, OK))
    return found


ROWS = rows()


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_a_recorder_that_does_nothing_changes_no_decision(row: Row) -> None:
    policy = BudgetPolicy(floor=row.floor)
    one, other = RetryBudget(policy), RetryBudget(policy)
    heard = play(*row.answers, **row.settings, budget=one)
    unheard = play(*row.answers, **row.settings, budget=other, recorder=Deaf())
    assert (unheard.attempts, unheard.gaps) == (heard.attempts, heard.gaps)
    assert unheard.done == heard.done
    assert (unheard.cuts, unheard.ended_at) == (heard.cuts, heard.ended_at)
    assert other.balance(heard.ended_at) == one.balance(heard.ended_at)
    assert heard.ear.events
    assert unheard.ear.events == []
