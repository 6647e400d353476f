"""A further limit is one more file: a ``Limit`` in the row that a throttle asks."""

from typing import Any

from core.throttle.books import Parts
from httpx_resilience import ThrottleHeld, ThrottleReleased
from httpx_resilience._core.throttle import GRANTED, WAITING, Ticket
from httpx_resilience._core.throttle.admission import ANYONE, OPEN, Admission, Ending, Limit
from httpx_resilience._core.throttle.limits.adaptive_rate import AdaptiveRateLimiter
from httpx_resilience._core.throttle.limits.closing import Closing
from httpx_resilience._core.throttle.limits.concurrency import ConcurrencyLimiter
from httpx_resilience._core.throttle.limits.slow_start import SlowStart
from support.gates import Scope, WakingThrottle, granted, left


class AtMost:
    """So many units in flight at a time, whatever the server says: a toy."""

    def __init__(self, units: int) -> None:
        self.free = units

    def admit(self, now: float, cost: int, ticket: Ticket = ANYONE) -> Admission:
        return OPEN if cost <= self.free else Admission(False, "overload")

    def started(self, now: float, cost: int) -> None:
        self.free -= cost

    def ended(self, ending: Ending) -> None:
        self.free += ending.ticket.cost

    def has_credit(self, now: float) -> bool:
        return False


class OneMore(WakingThrottle):
    """A throttle with a further limit, asked last."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        limit: Limit = AtMost(3)
        self._limits = (*self._limits, limit)
        self._learners = (*self._learners, limit)


class OneMoreScope(Scope):
    throttle_type = OneMore


def test_one_more_limit_in_the_row_holds_and_releases() -> None:
    scope = OneMoreScope()
    first = scope.ask(0.0)
    scope.answer(first, 0.1, left(900, 0.1, 60.0))
    tickets = scope.ask_for(5, 0.2)
    assert [ticket.state for ticket in tickets] == [GRANTED] * 3 + [WAITING] * 2
    (held,) = scope.logged(ThrottleHeld)
    assert (held.reason, held.delay) == ("overload", None)
    assert scope.row(0.3).held_reason == "overload"
    scope.answer(tickets[0], 0.4, left(899, 0.4, 60.0))
    assert granted(tickets) == 3
    scope.throttle.failed(tickets[1], 0.5, sent=True)
    assert granted(tickets[2:]) == 3
    assert len(scope.logged(ThrottleReleased)) == 1


def test_one_more_limit_is_asked_for_what_a_request_costs_and_after_the_others() -> None:
    scope = OneMoreScope()
    assert scope.ask(0.0, cost=2).is_probe
    assert scope.row(0.1).held_reason == "cold_start"
    scope = OneMoreScope()
    assert scope.ask(0.0, cost=4).state == WAITING
    assert scope.row(0.1).held_reason is None  # one unit might go


def all_limits() -> list[Limit]:
    parts = Parts()
    return [
        Closing(),
        AdaptiveRateLimiter(parts.in_flight, parts.quotas),
        parts.quotas,
        SlowStart(parts.in_flight, parts.quotas, Closing()),
        ConcurrencyLimiter(parts.in_flight, parts.queue, parts.quotas),
    ]


def test_each_limit_admits_the_first_request_of_a_scope() -> None:
    for limit in all_limits():
        assert limit.admit(0.0, 1).is_open, limit
        limit.started(0.0, 1)
        assert limit.admit(0.0, 1).is_open, limit
