"""What no other test comes by: ends of the flow, reprs, and the less likely answer to each if."""

import math

import pytest

from httpx_resilience import SCAIVAULT, Event, Policy, RequestRules, ThrottlePolicy
from httpx_resilience._core.call_state import CallState, Rules
from httpx_resilience._core.flow import call_flow
from httpx_resilience._core.headers import RateLimit, RateLimitReader, Reading
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.lru import LRUMap
from httpx_resilience._core.outcome import HookDone, Outcome, Woken
from httpx_resilience._core.steps import Admit, CallFlow, Done, Recover, Send
from httpx_resilience._core.telemetry.recorder import CallRecorder
from httpx_resilience._core.throttle import Throttle
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.windows import BUCKET, INDETERMINATE
from support.core import START, Ear, call_of, envelope


def ended(flow: CallFlow) -> bool:
    """Whether a flow that was told of its end has nothing more to say."""
    return next(flow, None) is None


def test_a_call_that_the_throttle_refuses_is_over() -> None:
    told: list[Event] = []
    policy = Policy(throttle=ThrottlePolicy(max_wait=5.0))
    assert policy.throttle is not None
    throttle = Throttle("https://v", "all", policy.throttle, ServerClock(), told.append)
    throttle.reserve(0, START, math.inf)
    rules = Rules(policy, SCAIVAULT, RateLimitReader(), lambda: 0.5)
    call = call_of()._replace(order=1)
    flow = call_flow(call, rules, None, Ear(), lambda: True, START, throttle)
    step = next(flow)
    assert isinstance(step, Admit)
    step = flow.send(Woken(START + 5.0))
    assert isinstance(step, Done)
    assert (step.reason, step.result, step.attempts) == ("throttle_timeout", "throttled", 0)
    assert ended(flow)
    assert throttle.statistics().in_flight == 1


@pytest.mark.parametrize(
    ("outcome", "reason"),
    [("stopped", "permanent"), ("raised", "permanent"), ("cut", "out_of_time")],
)
def test_a_call_whose_hook_makes_no_request_is_over(outcome: str, reason: str) -> None:
    flow, now = at_the_hook()
    step = flow.send(HookDone(now, outcome))  # type: ignore[arg-type]
    assert isinstance(step, Done)
    assert step.reason == reason
    assert ended(flow)


def test_a_hook_that_tells_nothing_new_of_the_call_has_the_same_call_sent() -> None:
    flow, now = at_the_hook()
    step = flow.send(HookDone(now, "request"))
    assert isinstance(step, Send)
    assert step.attempt == 2
    step = flow.send(Outcome(now, now, now, status=200))
    assert isinstance(step, Done)
    assert (step.reason, step.attempts) == ("success", 2)


def at_the_hook() -> tuple[CallFlow, float]:
    """Return a flow that waits for what its hook comes to, and the time."""
    rules = Rules(Policy(), SCAIVAULT, RateLimitReader(), lambda: 0.5, {"version_conflict"})
    flow = call_flow(call_of(), rules, None, Ear(), lambda: True, START)
    next(flow)
    conflict = Outcome(START, START, START, status=409, body=envelope("version_conflict"))
    flow.send(conflict)
    now = START + 1.0
    assert isinstance(flow.send(Woken(now)), Recover)
    return flow, now


def test_an_answer_that_announces_no_limit_is_not_told_as_one() -> None:
    ear, rules = Ear(), Rules(Policy(), SCAIVAULT, RateLimitReader(), lambda: 0.5)
    CallRecorder(CallState(call_of(), rules), rules, ear).rate_limit_observed(
        "read", Reading(), START
    )
    assert ear.events == []


def test_a_request_costs_one_unit_where_no_rule_says_otherwise() -> None:
    assert RequestRules().cost_of("GET", "/v1/files/1") == 1


def test_a_function_of_ones_own_names_the_budget_of_a_request() -> None:
    rules = RequestRules(category=lambda method, path: f"{method} of {path}")
    assert rules.category_of("GET", "/v1") == "GET of /v1"
    assert ThrottlePolicy().replace(reserve=2) == ThrottlePolicy(reserve=2)


def test_a_map_that_was_told_no_way_to_make_an_entry_says_so() -> None:
    kept: LRUMap[ServerClock] = LRUMap()
    with pytest.raises(TypeError, match="no way to make an entry"):
        kept.get("a")
    assert len(kept) == 0
    made = kept.get("a", ServerClock)
    assert kept.get("a") is made


def test_a_reader_and_a_clock_tell_what_they_know() -> None:
    assert repr(RateLimitReader()) == "RateLimitReader(families=())"
    clock = ServerClock()
    assert repr(clock) == "ServerClock(responses=0, offset=None)"
    clock.observe(1000.0, 10.0, 10.5)
    assert repr(clock) == "ServerClock(responses=1, offset=(989.5, 991.0))"


@pytest.mark.parametrize(
    ("retry_after", "reset_in"),
    [
        ("30", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30000.0),
        ("later", 30000.0),
        ("0.5", 30000.0),
    ],
)
def test_a_reset_is_in_milliseconds_if_a_number_of_seconds_to_wait_says_so(
    retry_after: str, reset_in: float
) -> None:
    headers = [
        (b"Date", b"Tue, 14 Nov 2023 22:13:20 GMT"),
        (b"Retry-After", retry_after.encode()),
        (b"X-RateLimit-Remaining", b"0"),
        (b"X-RateLimit-Reset", b"30000"),
    ]
    (limit,) = RateLimitReader().read(headers, wall=0.0).limits
    assert limit.reset_in == reset_in


def test_a_bucket_that_gives_less_than_it_should_is_none_any_more() -> None:
    """Somebody else spends, or it was never one: no unit is expected of it."""
    quota, clock, limit = Quota(), ServerClock(), 20
    for taken in range(1, 20):
        full_in = float(taken)  # one token a second
        told = RateLimit(limit, limit - taken, full_in, None, 0.001)
        quota.started(START, taken)
        quota.observe(told, START, START, clock, 0)
    assert quota.kind == BUCKET
    later = START + 10.0
    quota.observe(RateLimit(limit, 2, 18.0, None, 0.001), later, later, clock, 0)
    assert quota.kind == INDETERMINATE
    assert not quota.admit(later, 2, -math.inf).is_open
