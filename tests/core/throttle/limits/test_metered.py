"""A limit on other units than requests: what is left of it, and what may go."""

import math
from typing import Any

import pytest

from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle import Ticket
from httpx_resilience._core.throttle.admission import Admission
from httpx_resilience._core.throttle.in_flight import ABANDONED, InFlight
from httpx_resilience._core.throttle.limits.counted import JITTER
from httpx_resilience._core.throttle.limits.metered import STEP, MeteredQuota
from httpx_resilience._core.throttle.limits.windows import GUARD, SETTLED
from httpx_resilience._core.throttle.reasons import COLD_START, EXHAUSTED

LIMIT = 30_000
LATENCY = 0.1


class Scope:
    """One metered quota, and a server that keeps an honest count.

    Args:
        rate: Units that come back in a second; 0 for a window that ends at 60.
        announces: Fields of its announcements that differ.
    """

    def __init__(self, rate: float = 0.0, **announces: Any) -> None:
        self.rate, self.now, self.left = rate, 0.0, float(LIMIT)
        self.in_flight = InFlight()
        self.announces = announces
        self.quota = MeteredQuota("tokens", None, self.in_flight, 0.0)
        self.orders = 0

    def wait(self, seconds: float) -> None:
        self.now += seconds
        self.left = min(LIMIT, self.left + seconds * self.rate)

    def ticket(self, tokens: int | None = None, order: int | None = None) -> Ticket:
        self.orders += 1
        units = None if tokens is None else {"tokens": tokens}
        return Ticket(self.orders if order is None else order, math.inf, self.now, 1, units)

    def ask(self, tokens: int | None = None, order: int | None = None) -> Admission:
        return self.quota.admit(self.now, self.ticket(tokens, order))

    def send(self, tokens: int | None = None) -> Ticket:
        ticket = self.ticket(tokens)
        ticket.granted_at = self.in_flight.last_started_at = self.now
        self.in_flight.count += 1
        self.quota.started(ticket)
        return ticket

    def count(self, cost: float) -> RateLimit:
        """Have the server count a request now; return what it says."""
        self.left -= cost
        reset = (LIMIT - self.left) / self.rate if self.rate else 60.0 - self.now
        said = RateLimit(LIMIT, int(self.left), reset, granularity=0.001, unit="tokens")
        return said._replace(**self.announces)

    def answer(self, ticket: Ticket, said: RateLimit | None, **more: Any) -> None:
        self.in_flight.count -= 1
        if said is None:
            self.quota.unmentioned += 1
            self.quota.miss(self.now)
        else:
            self.quota.observe(said, ticket.granted_at, self.now, ServerClock(), 0)
        self.quota.answered(ticket, ticket.granted_at, self.now, **{"is_counted": True, **more})

    def call(self, cost: float, tokens: int | None = None) -> None:
        """Send a request and have it answered."""
        ticket = self.send(tokens)
        said = self.count(cost)
        self.wait(LATENCY)
        self.answer(ticket, said)

    def learned(self, *costs: float) -> "Scope":
        """Return it after the answer that announces the limit, and these calls."""
        self.quota.observe(self.count(0), -1.0, self.now, ServerClock(), 0)
        first = self.ticket()
        first.granted_at = -1.0
        self.quota.answered(first, -1.0, self.now, is_counted=True)
        for cost in costs:
            self.call(cost)
        return self


def test_while_nothing_is_learned_requests_go_one_by_one() -> None:
    scope = Scope().learned()
    assert scope.ask().is_open
    scope.send()
    held = scope.ask()
    assert (held.is_open, held.reason, held.retry_at) == (False, COLD_START, STEP)
    scope.wait(STEP)
    assert scope.ask().is_open  # no answer for so long


def test_after_three_calls_as_many_go_at_a_time_as_were_answered() -> None:
    scope = Scope().learned(1000, 1000, 1000)
    assert scope.quota.costs.learned.high == 1000
    for _ in range(4):
        assert scope.ask().is_open
        scope.send()
    assert scope.ask().reason == COLD_START


def test_what_is_in_flight_is_reserved_at_the_learned_cost() -> None:
    scope = Scope().learned(*[1000] * 16)  # 14,000 are left
    for _ in range(14):
        assert scope.ask().is_open
        scope.send()
    held = scope.ask()
    assert (held.reason, scope.quota.left(0)) == (EXHAUSTED, 0)
    assert held.retry_at == pytest.approx(60.0 + GUARD, abs=0.2)


def test_an_answer_settles_what_was_reserved() -> None:
    scope = Scope().learned(*[1000] * 16)
    tickets = [scope.send() for _ in range(14)]
    scope.answer(tickets[0], scope.count(100))  # it took less
    assert scope.quota.left(0) == 14_000 - 100 - 13 * 1000


def test_a_refused_request_took_nothing() -> None:
    scope = Scope().learned(*[1000] * 16)
    ticket = scope.send()
    scope.wait(LATENCY)
    scope.answer(ticket, scope.count(0), is_counted=False)
    assert scope.quota.left(0) == 14_000


def test_a_request_that_was_not_sent_is_given_back_at_once_and_a_lost_one_later() -> None:
    scope = Scope().learned(*[1000] * 16)
    unsent, lost = scope.send(), scope.send()
    scope.quota.gave_back(unsent, sent=False)
    scope.quota.gave_back(lost, sent=True)
    scope.in_flight.count = 0
    assert scope.quota.left(0) == 13_000
    scope.wait(ABANDONED)
    assert scope.ask().is_open
    assert scope.quota.left(0) == 14_000


def test_a_lost_request_is_settled_by_an_answer_to_one_that_was_sent_a_second_later() -> None:
    scope = Scope().learned(*[1000] * 16)
    lost = scope.send()
    scope.quota.gave_back(lost, sent=True)
    scope.in_flight.count -= 1
    scope.count(1000)
    scope.wait(JITTER)
    scope.call(1000)
    assert scope.quota.left(0) == 12_000


def test_a_bucket_admits_the_next_when_its_cost_came_back() -> None:
    scope = Scope(rate=1000.0).learned(*[3000] * 10)
    assert scope.left < 3000
    held = scope.ask()
    assert held.reason == EXHAUSTED
    scope.wait(held.retry_at - scope.now - 0.01)
    assert not scope.ask().is_open
    scope.wait(0.01)
    assert scope.ask().is_open
    assert 3000 <= scope.left < 3600


def test_past_the_end_of_a_window_one_probe_goes() -> None:
    scope = Scope().learned(*[1000] * 30)
    assert scope.ask().retry_at == pytest.approx(60.0 + GUARD, abs=0.2)
    scope.now = 60.3
    assert scope.ask().is_probe
    scope.send()
    held = scope.ask()
    assert (held.is_open, held.retry_at) == (False, 60.3 + SETTLED)


@pytest.mark.parametrize(("tokens", "is_open"), [(14_000, True), (14_001, False)])
def test_a_given_cost_is_compared_with_what_is_left_to_the_last_unit(
    tokens: int, is_open: bool
) -> None:
    scope = Scope().learned(*[1000] * 16)
    assert scope.ask(tokens).is_open is is_open


def test_given_costs_need_nothing_learned_and_teach_nothing() -> None:
    scope = Scope().learned()
    for _ in range(5):
        assert scope.ask(2000).is_open
        scope.send(2000)
    assert scope.ask(20_001).reason == EXHAUSTED
    scope = Scope().learned()
    for _ in range(5):
        scope.call(2000, tokens=2000)
    assert not scope.quota.costs.learned.is_known


def test_a_given_cost_above_the_limit_is_too_much_and_a_learned_one_is_capped() -> None:
    scope = Scope().learned(*[1000] * 3)
    assert scope.quota.asks_too_much(scope.ticket(LIMIT + 1)) == LIMIT + 1
    assert scope.quota.asks_too_much(scope.ticket(LIMIT)) == 0
    scope.quota.costs.learned.add(10 * LIMIT)
    assert scope.quota.asks_too_much(scope.ticket()) == 0
    assert scope.quota._need(scope.ticket()) == LIMIT


def test_a_refusal_shows_what_the_request_takes_in_a_bucket_by_its_wait() -> None:
    scope = Scope(rate=1000.0).learned(*[3000] * 8)
    order = 77
    refused = scope.ticket(order=order)
    left = scope.quota.remaining
    scope.quota.refused(refused, 2.5, None)
    assert scope.quota._need(scope.ticket(order=order)) == pytest.approx(left + 2500, rel=0.05)
    assert scope.quota._need(scope.ticket()) == scope.quota.costs.learned.high


@pytest.mark.parametrize(("requested", "need"), [(7000, 7000), (None, 14_001)])
def test_a_refused_call_waits_for_what_the_server_says_it_takes_or_more_than_there_was(
    requested: int | None, need: int
) -> None:
    scope = Scope().learned(*[1000] * 16)
    scope.quota.refused(scope.ticket(order=5), None, requested)
    assert scope.quota._need(scope.ticket(order=5)) == need
    assert scope.quota.costs.learned.high == need  # the highest of 17


def test_what_the_server_says_a_request_takes_above_the_limit_is_too_much() -> None:
    scope = Scope().learned(*[1000] * 16)
    scope.quota.refused(scope.ticket(order=5), None, LIMIT + 601)
    assert scope.quota.asks_too_much(scope.ticket(order=5)) == LIMIT + 601


def test_a_refusal_teaches_nothing_of_a_given_cost() -> None:
    scope = Scope().learned(*[1000] * 16)
    scope.quota.refused(scope.ticket(500), 9.0, 7000)
    assert scope.quota.costs.learned.high == 1000


def test_what_a_response_says_the_request_took_is_a_sample() -> None:
    scope = Scope(cost=321).learned(500, 500, 500)
    assert scope.quota.costs.learned.high == 321


def test_a_refusal_is_explained_by_what_was_not_left() -> None:
    scope = Scope().learned(*[1000] * 16)
    assert not scope.quota.explains(scope.ticket())
    assert scope.quota.explains(scope.ticket(14_001))
    scope.call(13_500)
    assert scope.quota.explains(scope.ticket())


def test_without_a_limit_costs_are_learned_all_the_same() -> None:
    scope = Scope(limit=None).learned(1000, 1000, 1000)
    assert (scope.quota.limit, scope.quota.costs.learned.high) == (None, 1000)
    assert scope.ask().is_open


def test_a_window_whose_reset_is_not_announced_ends_a_window_after_its_first_answer() -> None:
    scope = Scope(reset_in=None, window=60.0)
    scope.quota.window = 60.0
    scope.learned(*[1000] * 29)
    scope.call(1000)
    held = scope.ask()
    asked = [scope.now]
    while held.retry_at < 59.0:
        asked.append(held.retry_at)
        scope.now = held.retry_at
        scope.call(0)
        held = scope.ask()
    assert 2 <= len(asked) <= 5  # the gaps grow
    assert held.retry_at == pytest.approx(60.0 + LATENCY, abs=0.2)


def test_an_unmentioned_answer_leaves_what_it_took_reserved() -> None:
    scope = Scope().learned(*[1000] * 16)
    scope.answer(scope.send(), None)
    assert scope.quota.left(0) == 13_000


def test_a_refusal_that_nothing_explains_leaves_no_evidence() -> None:
    scope = Scope().learned(*[1000] * 3)
    scope.quota.distrust(at_reset=False)
    assert not scope.quota.has_evidence
    assert scope.quota.end.high == math.inf


def test_a_bucket_of_another_size_is_recognised_once_more() -> None:
    scope = Scope(rate=1000.0).learned(*[3000] * 8)
    assert scope.quota.next_unit_at(5.0) == 5.0
    scope.announces = {"limit": 2 * LIMIT}
    scope.call(3000)
    assert scope.quota.next_unit_at(5.0) > 5.0


def test_what_a_lowered_limit_takes_away_is_no_cost() -> None:
    scope = Scope().learned(1000, 1000, 1000)
    scope.left = 10_000
    scope.announces = {"limit": 12_000}
    scope.call(1000)
    assert scope.quota.limit == 12_000
    assert scope.quota.costs.learned.high == 1000


def test_an_answer_that_names_no_remainder_is_no_evidence() -> None:
    scope = Scope(remaining=None).learned(1000)
    assert not scope.quota.has_evidence
    assert scope.quota.limit == LIMIT


def test_an_answer_to_a_request_of_long_ago_is_no_evidence() -> None:
    scope = Scope().learned(1000)
    old = scope.send()
    said = scope.count(0)
    scope.wait(2 * JITTER)
    scope.call(20_000)
    scope.answer(old, said._replace(remaining=5))
    assert scope.quota.remaining == 9_000


def test_answers_are_counted_and_those_without_a_word() -> None:
    scope = Scope().learned(1000)
    assert (scope.quota.processed, scope.quota.unmentioned) == (2, 0)
    scope.answer(scope.send(), None)
    assert (scope.quota.processed, scope.quota.unmentioned) == (3, 1)
    scope.call(1000)
    assert (scope.quota.processed, scope.quota.unmentioned) == (4, 0)


def test_it_is_low_by_the_mark_that_was_set() -> None:
    scope = Scope().learned(1000)
    assert not scope.quota.is_low
    scope.quota.mark_low(29_000)
    assert scope.quota.is_low


@pytest.mark.parametrize("last", [1000, 500])
def test_the_gap_between_probes_of_a_window_without_a_reset_doubles(last: int) -> None:
    scope = Scope(reset_in=None, window=60.0)
    scope.quota.window = 60.0
    scope.learned(*[1000] * 29)
    scope.call(last)  # less is left than a request takes
    gaps = []
    for _ in range(2):
        held = scope.ask()
        gaps.append(held.retry_at - scope.now)
        scope.now = held.retry_at
        scope.call(0)
    assert gaps[0] >= 9.9
    assert gaps[1] >= 19.9


def test_a_refused_request_is_no_answer_to_trust_in() -> None:
    scope = Scope().learned(1000, 1000, 1000)
    assert scope.quota.costs.trusted == 4
    scope.answer(scope.send(), scope.count(0), is_counted=False)
    assert scope.quota.costs.trusted == 4


def test_a_refused_call_that_went_at_last_is_like_any_other() -> None:
    scope = Scope().learned(*[1000] * 8)
    ticket = scope.send()
    scope.quota.refused(ticket, None, 7000)
    assert scope.quota._need(scope.ticket(order=ticket.order)) == 7000
    scope.answer(ticket, scope.count(900))
    scope.quota.costs.learned.add(100)
    assert scope.quota._need(scope.ticket(order=ticket.order)) == scope.quota.costs.learned.high


def test_what_an_unmentioned_answer_took_is_reserved_for_half_a_minute_at_most() -> None:
    scope = Scope().learned(*[1000] * 16)
    scope.answer(scope.send(), None)
    scope.wait(ABANDONED)
    scope.ask()
    assert scope.quota.left(0) == 14_000


def test_single_costs_are_learned_again_once_a_lost_request_is_settled() -> None:
    scope = Scope().learned(1000, 1000, 1000)
    lost = scope.send()
    scope.quota.gave_back(lost, sent=True)
    scope.in_flight.count -= 1
    scope.wait(2 * JITTER)
    for _ in range(3):
        scope.call(700)
    assert list(scope.quota.costs.learned._singles)[-2:] == [700, 700]


def test_that_less_was_left_than_a_request_takes_teaches_nothing() -> None:
    scope = Scope().learned(*[1000] * 29)
    scope.call(500)
    scope.quota.refused(scope.ticket(order=5), None, None)
    assert 501 not in scope.quota.costs.learned._singles


def test_nothing_is_measured_across_a_refusal_that_nothing_explains() -> None:
    scope = Scope().learned(1000, 1000, 1000)
    scope.quota.distrust(at_reset=False)
    scope.count(9000)  # whoever that was
    scope.call(1000)
    assert scope.quota.costs.learned.high == 1000
