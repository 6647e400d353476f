"""Parked retries: who parks, who is released by what, who probes when, and when patience ends."""

import math
from typing import Any

import pytest

from httpx_resilience import (
    BudgetPolicy,
    Event,
    OriginRecovered,
    OriginUnavailable,
    ParkPolicy,
)
from httpx_resilience._core.dialect.catalog import ErrorClass
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.retry.budget import RetryBudget
from httpx_resilience._core.retry.parked_call import (
    BUDGET,
    EXPIRED,
    LEFT,
    PAID,
    PARKED,
    PROBE,
    RELEASE,
    RELEASED,
    UNAVAILABLE,
    ParkedCall,
)
from httpx_resilience._core.retry.parking import Parking

FAILURE = Failure(ErrorClass.TRANSIENT, status=503)
LATENCY = 0.1


class Origin:
    """An origin's parking, driven by hand; ``rand`` is 0 for credit and probes alike."""

    def __init__(self, tokens: float = 100.0, rand: float = 0.0) -> None:
        self.events: list[Event] = []
        self.budget = RetryBudget(BudgetPolicy(floor=tokens, heal_after=1e9))
        self.parking = Parking("https://vault.example", lambda: rand, self.events.append)

    def well(self, seconds: float = 10.0, until: float = 0.0) -> "Origin":
        """Let first attempts succeed, ten a second."""
        for n in range(int(10 * seconds)):
            self.first(until - seconds + n / 10)
        return self

    def first(self, now: float, latency: float = LATENCY) -> list[ParkedCall]:
        """Let a first attempt succeed that others followed."""
        self.parking.new_sent_at = now
        return self.ends(now, latency)

    def ends(
        self, now: float, latency: float = LATENCY, call: ParkedCall | None = None
    ) -> list[ParkedCall]:
        """Let an attempt succeed; return whom that released."""
        woken = self.parking.succeeded(call, now - latency, now, now)
        return [each for each in woken if each.state == RELEASED]

    def down(self, now: float = 0.0, failures: int = 3) -> "Origin":
        """Let first attempts fail until the origin is unavailable."""
        for _ in range(failures):
            self.parking.new_sent_at = now
            self.parking.failed(None, FAILURE, now)
        return self

    def call(self, failed_at: float = 0.0, **more: Any) -> ParkedCall:
        known: dict[str, Any] = {
            "give_up_at": math.inf,
            "cost": 1.0,
            "budget": self.budget,
            "policy": ParkPolicy(),
            "attempts": 1,
            "last": False,
            "is_paced": lambda: False,
            "may_go": lambda now: True,
            "may_probe": lambda now: True,
        }
        return ParkedCall(failed_at=failed_at, **(known | more))

    def park(self, now: float = 0.5, **more: Any) -> ParkedCall:
        call = self.call(**more)
        self.parking.admit(call, now)
        return call

    @property
    def spent(self) -> float:
        return self.budget.policy.floor - self.budget.tokens

    def probe_at(self) -> float:
        """Return when the next probe goes, as whoever keeps the time has it."""
        kept = [self.parking.timer_deadline(call) for call in self.waiting]
        (at,) = [each for each in kept if each is not None]
        return at

    @property
    def waiting(self) -> list[ParkedCall]:
        return list(self.parking.calls)


class TestAdmission:
    """A retry whose backoff is over."""

    def test_it_is_paid_for_and_sent_where_the_origin_is_available(self) -> None:
        origin = Origin().well()
        call = origin.park()
        assert (call.state, call.source, call.paid, origin.spent) == (RELEASED, PAID, 1.0, 1.0)
        assert call.parked_at is None

    def test_it_parks_without_a_token_where_the_origin_is_unavailable(self) -> None:
        origin = Origin().well().down()
        call = origin.park()
        assert (call.state, call.reason, origin.spent) == (PARKED, UNAVAILABLE, 0.0)
        assert (call.parked_at, len(origin.parking)) == (0.5, 1)

    def test_it_parks_where_the_budget_is_spent_and_retries_have_helped(self) -> None:
        call = Origin(tokens=0.5).well(seconds=0.1).park()
        assert (call.state, call.reason) == (PARKED, BUDGET)

    def test_it_is_given_up_where_the_budget_is_spent_and_retries_do_not_help(self) -> None:
        origin = Origin(tokens=50.0)
        for n in range(12):  # (7 / 8) ** 11 is below a quarter
            paid = origin.park(now=float(n))
            assert paid.state == RELEASED
            origin.parking.failed(paid, FAILURE, float(n))
            origin.first(n + 0.5)
        origin.budget.withdraw(origin.budget.tokens, 20.0)
        call = origin.park(now=20.0, failed_at=20.0)
        assert (call.state, call.reason, call.parked_at) == (EXPIRED, BUDGET, None)

    def test_retries_that_help_again_are_parked_again(self) -> None:
        origin = Origin(tokens=50.0)
        for n in range(12):
            origin.parking.failed(origin.park(now=float(n)), FAILURE, float(n))
            origin.first(n + 0.5)
        for n in range(12, 16):
            origin.ends(float(n), call=origin.park(now=float(n)))
        origin.budget.withdraw(origin.budget.tokens, 20.0)
        assert origin.park(now=20.0, failed_at=20.0).state == PARKED

    def test_no_more_than_max_parked_are_kept(self) -> None:
        origin, few = Origin().well().down(), ParkPolicy(max_parked=2)
        calls = [origin.park(policy=few) for _ in range(3)]
        assert [call.state for call in calls] == [PARKED, PARKED, EXPIRED]
        assert calls[2].reason == BUDGET

    def test_who_could_not_wait_a_tenth_of_a_second_does_not_park(self) -> None:
        origin = Origin().well().down()
        assert origin.park(give_up_at=0.59).state == EXPIRED
        assert origin.park(give_up_at=0.61).state == PARKED

    def test_a_retry_parks_behind_those_that_an_outage_left(self) -> None:
        origin = Origin().well().down()
        origin.park()
        origin.park()
        origin.first(4.0)
        assert origin.parking.availability.unavailable_since is None
        assert origin.park(now=4.5, failed_at=4.2).state == PARKED


class TestRelease:
    """Success is the clock."""

    def test_four_successes_release_one(self) -> None:
        origin = Origin().well().down()
        first, second = origin.park(), origin.park()
        released = [origin.first(5.0 + n / 10) for n in range(7)]
        assert released == [[], [], [], [first], [], [], [second]]  # the ramp: 0.25, 0.26, …
        assert (first.source, first.paid, origin.spent) == (RELEASE, 0.0, 0.0)

    def test_the_longest_parked_is_released_first(self) -> None:
        origin = Origin().well().down()
        calls = [origin.park(now=0.5 + n / 10, failed_at=-float(n)) for n in range(3)]
        released = [call for n in range(40) for call in origin.first(2.0 + n / 10)]
        assert released == calls

    def test_more_are_released_while_all_goes_well_up_to_two_in_five(self) -> None:
        origin = Origin().well().down()
        for _ in range(100):
            origin.park()
        released = [len(origin.first(2.0 + n / 10)) for n in range(100)]
        assert sum(released[:20]) == pytest.approx(20 * 0.35, abs=1)
        assert sum(released[-50:]) == pytest.approx(50 * 0.4, abs=1)

    def test_a_failure_halves_the_pace(self) -> None:
        origin = Origin().well().down()
        for _ in range(100):
            origin.park()
        for n in range(50):
            origin.first(2.0 + n / 10)
        origin.parking.failed(None, FAILURE, 7.0)
        released = [len(origin.first(7.1 + n / 100)) for n in range(8)]
        assert sum(released) == pytest.approx(8 * 0.28, abs=1)

    def test_slow_successes_release_fewer(self) -> None:
        origin = Origin().well(100.0).down()
        origin.park()
        origin.first(2.0)  # it is back
        slow = 4 * origin.parking.availability.usual  # which counts for a quarter
        released = [call for n in range(6) for call in origin.first(2.1 + n / 10, latency=slow)]
        assert released == []

    def test_nothing_is_released_between_three_failures_in_a_row_and_the_next_success(self) -> None:
        origin = Origin().well().down()
        for _ in range(10):
            origin.park()
        for n in range(3):
            origin.first(1.0 + n / 10)  # almost one is released
        origin.down(now=2.0)
        assert origin.first(3.0) == []  # what was saved up is gone
        origin.down(now=4.0)
        assert not [call for call in origin.parking.tick(4.01) if call.state == RELEASED]

    def test_one_failure_takes_nothing_of_what_was_saved_up(self) -> None:
        origin = Origin(tokens=0.5).well(seconds=1.0)
        origin.parking.failed(None, FAILURE, 0.1)
        call = origin.park()
        assert origin.first(0.6) == [call]

    def test_whose_scope_is_closed_is_passed_over_and_the_credit_stays(self) -> None:
        origin = Origin().well().down()
        closed = origin.park(may_go=lambda now: now >= 9.0)
        for n in range(20):
            assert origin.first(3.0 + n / 10) == []
        other = origin.park(now=6.0, failed_at=5.0)
        assert origin.first(6.1) == [other]
        assert [call for n in range(4) for call in origin.first(9.0 + n)] == [closed]

    def test_who_is_paced_anyway_is_released_at_once_when_the_origin_is_back(self) -> None:
        origin = Origin().well().down()
        paced = [origin.park(is_paced=lambda: True) for _ in range(5)]
        assert origin.first(3.0) == paced

    def test_a_success_after_which_nobody_sends_releases_one_that_waits_for_tokens(self) -> None:
        origin = Origin(tokens=0.5).well(seconds=0.1)
        calls = [origin.park(), origin.park()]
        assert origin.ends(1.0, latency=0.001) == [calls[0]]
        origin.parking.retry_sent_at = 1.1
        assert origin.ends(1.2, latency=0.001) == [calls[1]]

    def test_but_not_one_that_an_outage_left(self) -> None:
        origin = Origin().well().down()
        origin.park()
        assert origin.ends(3.0, latency=0.001) == []


class TestProbes:
    """Where nobody sends, one parked call at a time does."""

    def test_it_is_one_at_a_time_and_costs_three_quarters(self) -> None:
        origin = Origin().well().down()
        calls = [origin.park(), origin.park()]
        (probe,) = [c for c in origin.parking.tick(origin.probe_at()) if c.state == RELEASED]
        assert (probe, probe.source, probe.paid) == (calls[0], PROBE, 0.75)
        assert origin.spent == 0.75
        for now in (5.0, 6.0, 6.4):
            assert not [c for c in origin.parking.tick(now) if c.state == RELEASED]

    def test_others_that_come_back_do_not_let_a_second_one_go(self) -> None:
        origin = Origin().well().down()
        calls = [origin.park(), origin.park()]
        origin.parking.tick(origin.probe_at())
        origin.parking.failed(None, FAILURE, 0.7)
        origin.parking.ended(None, 0.8)
        origin.ends(0.9, latency=50.0)
        assert not [c for c in origin.parking.tick(6.0) if c.state == RELEASED]
        assert calls[1].state == PARKED

    def test_the_next_goes_when_it_has_come_back(self) -> None:
        origin = Origin().well().down()
        calls = [origin.park(), origin.park()]
        origin.parking.tick(origin.probe_at())
        origin.parking.retry_sent_at = 0.5
        origin.parking.failed(calls[0], FAILURE, 0.6)
        origin.parking.tick(origin.probe_at())
        assert (calls[1].state, calls[1].source) == (RELEASED, PROBE)

    @pytest.mark.parametrize(
        ("age", "rand", "after"),
        [(0.1, 0.0, 0.25), (0.1, 1.0, 0.5), (4.0, 0.0, 2.0), (4.0, 1.0, 4.0), (100.0, 1.0, 15.0)],
    )
    def test_they_are_the_rarer_the_longer_the_outage_is(
        self, age: float, rand: float, after: float
    ) -> None:
        origin = Origin(rand=rand).well().down()
        origin.parking.new_sent_at = age
        patient = ParkPolicy(patience=1e6, drain=1e6)
        origin.park(now=age, policy=patient)
        assert origin.probe_at() == pytest.approx(age + after)

    def test_nobody_probes_where_others_send(self) -> None:
        origin = Origin().well().down()
        call = origin.park(now=0.2)
        at = origin.probe_at()
        origin.parking.new_sent_at = at - 0.01
        assert not [c for c in origin.parking.tick(at) if c.state == RELEASED]
        assert call.state == PARKED
        assert origin.probe_at() > at

    def test_the_call_with_the_fewest_attempts_probes(self) -> None:
        origin = Origin().well().down()
        calls = [origin.park(attempts=n) for n in (3, 2, 1, 2)]
        origin.parking.tick(origin.probe_at())
        assert [call.state == RELEASED for call in calls] == [False, False, True, False]

    def test_of_the_32_that_wait_longest(self) -> None:
        origin = Origin().well().down()
        calls = [origin.park(attempts=3 if n < 32 else 1) for n in range(40)]
        origin.parking.tick(origin.probe_at())
        assert calls[0].state == RELEASED

    def test_one_that_the_rate_limit_would_hold_does_not_probe(self) -> None:
        origin = Origin().well().down()
        held = origin.park(may_probe=lambda now: False)
        other = origin.park()
        origin.parking.tick(origin.probe_at())
        assert (held.state, other.state) == (PARKED, RELEASED)

    def test_the_last_that_can_be_paid_is_saved_for_the_end_of_patience(self) -> None:
        for tokens, at in ((1.5, 0.5), (1.4, 6.0)):
            origin = Origin(tokens=tokens).down()
            origin.park()
            assert origin.probe_at() == pytest.approx(at), f"{tokens} tokens"

    def test_so_is_a_last_attempt(self) -> None:
        origin = Origin().down()
        origin.park(last=True)
        assert origin.probe_at() == pytest.approx(6.0)

    def test_where_the_budget_is_spent_one_goes_after_a_silence(self) -> None:
        origin = Origin(tokens=0.0).down()
        call = origin.park()
        at = origin.probe_at()
        assert at == pytest.approx(1.0)
        origin.parking.tick(at)
        assert (call.state, call.source, call.paid) == (RELEASED, PROBE, 0.0)

    def test_and_none_while_others_send(self) -> None:
        origin = Origin(tokens=0.0).down()
        call = origin.park()
        for n in range(1, 60):
            origin.parking.new_sent_at = now = n / 10
            origin.parking.tick(now)
        assert call.state == PARKED

    def test_workers_that_are_all_parked_do_not_wait_for_each_other(self) -> None:
        origin = Origin(tokens=0.0).well(seconds=0.1)
        call = origin.park()
        assert call.state == PARKED
        origin.parking.tick(origin.probe_at())
        assert call.state == RELEASED

    def test_an_available_origin_is_asked_at_a_third_of_the_clients_own_rate(self) -> None:
        at = {}
        for rate in (0, 1, 10):
            origin = Origin(tokens=10.0, rand=1.0)
            for n in range(30 * rate):
                origin.budget.deposit(n / rate - 30.0)
            origin.budget.withdraw(origin.budget.tokens - 0.9, 0.0)
            origin.parking.new_sent_at = 0.0
            origin.park(now=0.01)
            at[rate] = origin.probe_at()
        assert at == {0: 1.5, 1: 1.5, 10: pytest.approx(0.45, rel=0.1)}


class TestPatience:
    """When a parked call gives up."""

    def end(self, origin: Origin, **more: Any) -> float:
        return origin.parking.ends_at(origin.call(**more))

    def test_it_lasts_from_the_first_failure_on(self) -> None:
        origin = Origin().down()
        assert self.end(origin, failed_at=1.0) == 7.5
        assert self.end(origin, failed_at=1.0, policy=ParkPolicy(patience=2.0)) == 3.0

    def test_an_outage_of_an_origin_that_was_well_is_ridden_out(self) -> None:
        origin = Origin().well().down(now=2.0)
        assert self.end(origin, failed_at=2.0) == 12.0
        assert self.end(origin, failed_at=4.0) == 12.0
        assert self.end(origin, failed_at=8.0) == 14.5

    def test_but_not_by_calls_that_failed_before_it(self) -> None:
        origin = Origin().well().down(now=2.0)
        assert self.end(origin, failed_at=1.9) == pytest.approx(8.4)

    def test_a_drain_keeps_the_parked_five_times_as_long_as_the_outage(self) -> None:
        origin = Origin().well().down()
        origin.first(4.0)
        assert self.end(origin, failed_at=0.0) == 24.0

    def test_for_40_seconds_and_for_45_from_the_first_failure_on_at_most(self) -> None:
        origin = Origin().well().down()
        origin.first(30.0)
        assert self.end(origin, failed_at=29.0) == 70.0
        assert self.end(origin, failed_at=20.0) == 65.0
        assert self.end(origin, failed_at=20.0, policy=ParkPolicy(drain=10.0)) == 30.0

    def test_its_time_ends_it_before(self) -> None:
        assert self.end(Origin().well().down(), failed_at=0.0, give_up_at=3.0) == 3.0

    def test_fail_fast_after_ends_it_so_long_after_the_outage_began(self) -> None:
        origin, policy = Origin().well().down(), ParkPolicy(fail_fast_after=5.0)
        assert self.end(origin, failed_at=0.0, policy=policy) == 5.0
        assert self.end(origin, failed_at=4.0, policy=policy) == 5.0
        assert self.end(origin, failed_at=8.0, policy=policy) == 8.0
        assert origin.park(now=8.3, failed_at=8.0, policy=policy).state == EXPIRED

    def test_who_lost_it_is_given_up_and_the_others_stay(self) -> None:
        origin = Origin().down()
        early, late = origin.park(failed_at=0.0), origin.park(failed_at=1.0)
        origin.parking.new_sent_at = 6.4
        assert early in origin.parking.tick(6.5)
        assert (early.state, late.state) == (EXPIRED, PARKED)

    def test_it_is_looked_at_anew_when_its_time_comes(self) -> None:
        origin = Origin().well().down()
        call = origin.park()
        origin.first(9.0)  # the drain keeps it until 54, or 45 from its failure on
        origin.parking.new_sent_at = 9.9
        origin.parking.tick(10.0)
        assert call.state == PARKED
        origin.parking.new_sent_at = 44.9
        origin.parking.tick(45.0)
        assert call.state == EXPIRED


class TestCalm:
    """While all is well, one success speaks for those of the next hundredth of a second."""

    def test_it_speaks_for_first_attempts_at_the_usual_speed(self) -> None:
        parking = Origin().well(until=0.1).parking
        parking.succeeded(None, -0.1, 0.0, 0.0)
        assert parking.is_calm(-0.095, 0.005)
        assert not parking.is_calm(-0.09, 0.011)
        assert not parking.is_calm(-10.0, 0.005)

    @pytest.mark.parametrize("what", ["a failure", "a parked call", "an outage"])
    def test_but_not_where_anything_is_amiss(self, what: str) -> None:
        origin = Origin(tokens=0.5).well(until=0.1)
        origin.parking.succeeded(None, -0.1, 0.0, 0.0)
        if what == "a failure":
            origin.parking.failed(None, FAILURE, 0.001)
        elif what == "a parked call":
            origin.park(now=0.001)
        else:
            origin.down(now=0.001)
        assert not origin.parking.is_calm(-0.095, 0.005)

    def test_nor_before_the_first(self) -> None:
        assert not Origin().parking.is_calm(0.0, 0.1)


class TestTimer:
    """One keeps the time for all."""

    def test_the_longest_parked_keeps_it_and_hands_it_on(self) -> None:
        origin = Origin().well().down()
        first, second = origin.park(), origin.park()
        assert origin.parking.timer_deadline(first) is not None
        assert origin.parking.timer_deadline(second) is None
        assert second in origin.parking.leave(first, 0.6, sent=False)
        assert origin.parking.timer_deadline(second) is not None
        assert (first.state, len(origin.parking)) == (LEFT, 1)

    def test_nobody_keeps_it_when_all_have_left(self) -> None:
        origin = Origin().well().down()
        call = origin.park()
        assert origin.parking.leave(call, 0.6, sent=False) == ()
        assert origin.parking.timer_deadline(call) is None

    def test_it_is_never_set_for_the_past(self) -> None:
        origin = Origin().well().down()
        call = origin.park(may_probe=lambda now: False)
        now = origin.probe_at()
        for _ in range(20):
            origin.parking.tick(now)
            if call.state != PARKED:
                break
            assert origin.probe_at() > now
            now = origin.probe_at()
        assert call.state == EXPIRED


class TestCancellation:
    """What a call held goes to others."""

    def test_a_release_that_is_not_sent_gives_its_credit_back(self) -> None:
        origin = Origin().well().down()
        first, second = origin.park(), origin.park()
        while not origin.first(5.0):
            pass
        assert first.state == RELEASED
        origin.parking.leave(first, 5.0, sent=False)
        assert origin.first(5.0) == [second]

    def test_one_that_was_sent_does_not(self) -> None:
        origin = Origin().well().down()
        first, _ = origin.park(), origin.park()
        while not origin.first(5.0):
            pass
        origin.parking.leave(first, 5.0, sent=True)
        assert origin.first(5.0) == []

    def test_a_probe_lets_the_next_go(self) -> None:
        origin = Origin().well().down()
        first, second = origin.park(), origin.park()
        origin.parking.tick(origin.probe_at())
        assert first.state == RELEASED
        assert origin.parking.leave(first, 1.0, sent=True) == (second,)
        assert origin.probe_at() < 10.0


class TestEvents:
    """An outage is logged once, when it lasts."""

    def test_a_moment_is_not_logged(self) -> None:
        origin = Origin().well().down()
        origin.first(0.9)
        assert origin.events == []

    def test_an_outage_is_logged_after_a_second_and_its_end(self) -> None:
        origin = Origin().well().down(now=0.0)
        origin.park()
        origin.down(now=1.0)
        origin.down(now=2.0)
        origin.first(4.0)
        unavailable, recovered = origin.events
        assert isinstance(unavailable, OriginUnavailable)
        assert (unavailable.at, unavailable.elapsed, unavailable.failures) == (1.0, 1.0, 4)
        assert (unavailable.reason, unavailable.status, unavailable.queued) == ("failing", 503, 1)
        assert isinstance(recovered, OriginRecovered)
        assert (recovered.at, recovered.elapsed, recovered.queued) == (4.0, 4.0, 1)
        assert recovered.released == 0

    def test_a_timer_logs_it_where_nobody_calls(self) -> None:
        origin = Origin().well().down()
        origin.park()
        origin.parking.tick(1.5)
        assert [event.name for event in origin.events] == ["origin_unavailable"]

    def test_one_that_answers_too_late_is_logged_as_slow(self) -> None:
        origin = Origin().well(100.0)
        for n in range(4):
            origin.first(n / 2, latency=50.0)
        origin.park(now=3.0, failed_at=2.5)
        origin.parking.tick(3.0)
        (event,) = origin.events
        assert isinstance(event, OriginUnavailable)
        assert (event.reason, event.status) == ("slow", None)
