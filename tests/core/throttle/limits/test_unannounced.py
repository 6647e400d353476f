"""A limit that only refusals announce: own requests are counted, period by period."""

import pytest

from core.throttle.books import announce, ending, held_until
from httpx_resilience._core.dialect.catalog import ErrorClass
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.throttle.in_flight import InFlight
from httpx_resilience._core.throttle.limits.unannounced import UnannouncedLimit
from httpx_resilience._core.throttle.limits.windows import SETTLED

REFUSED = Failure(ErrorClass.RATE_LIMITED, status=429)


class Scope:
    """A limit, and the requests of its scope."""

    def __init__(self) -> None:
        self.in_flight = InFlight()
        self.limit = UnannouncedLimit(self.in_flight)

    def accept(self, count: int, at: float) -> "Scope":
        for _ in range(count):
            self.limit.started(at, 1)
            self.limit.accepted(ending(at + 0.1, sent=at))
        return self

    def refuse(self, at: float, opens_at: float, *, announced: int = 20) -> "Scope":
        end = ending(
            at + 0.1, sent=at, failure=REFUSED, announced=(announce(0, at, limit=announced),)
        )
        self.limit.refused(end, opens_at)
        return self


def two_periods() -> Scope:
    """Return one that was refused twice at 20 in 10 seconds; the third period begins at 20."""
    return Scope().accept(20, 0.0).refuse(0.5, 10.0).accept(20, 10.0).refuse(10.5, 20.0)


def test_nothing_is_held_before_the_first_refusal() -> None:
    scope = Scope().accept(1000, 0.0)
    assert scope.limit.admit(1.0, 1).is_open
    assert scope.limit.room is None


@pytest.mark.parametrize(("accepted", "room"), [(20, 20), (50, 20), (7, 7), (0, 1)])
def test_a_period_has_room_for_what_the_last_one_accepted_up_to_the_limit(
    accepted: int, room: int
) -> None:
    assert Scope().accept(accepted, 0.0).refuse(0.5, 10.0).limit.room == room


def test_what_overtook_the_refusal_had_room_too() -> None:
    scope = Scope().accept(18, 0.0).refuse(0.5, 10.0)
    scope.limit.accepted(ending(0.7, sent=0.5))
    assert scope.limit.room == 19


def test_other_refusals_of_the_same_period_teach_nothing() -> None:
    scope = Scope().accept(20, 0.0).refuse(0.5, 10.0).refuse(0.5, 11.0)
    assert scope.limit.room == 20
    assert scope.accept(20, 10.0).refuse(10.5, 20.0).limit.admit(20.0, 1).is_open


def test_beyond_the_room_one_request_at_a_time_goes_while_the_length_is_unknown() -> None:
    scope = Scope().accept(20, 0.0).refuse(0.5, 10.0).accept(20, 10.0)
    assert scope.limit.admit(10.2, 1).is_probe
    scope.in_flight.count, scope.in_flight.last_started_at = 1, 10.2
    assert held_until(scope.limit.admit(10.3, 1)) == 10.2 + SETTLED


def test_beyond_the_room_all_wait_for_the_next_period_once_its_length_is_known() -> None:
    scope = two_periods().accept(19, 20.0)
    assert scope.limit.admit(20.2, 1).is_open
    scope.accept(1, 20.2)
    assert held_until(scope.limit.admit(20.3, 1)) == 30.0
    assert scope.limit.admit(30.0, 1).is_open
    assert held_until(scope.accept(20, 30.5).limit.admit(30.6, 1)) == 40.5


def test_a_period_begins_with_its_first_request() -> None:
    scope = two_periods()
    scope.limit.admit(22.0, 1)
    scope.accept(20, 23.0)
    assert held_until(scope.limit.admit(23.5, 1)) == 33.0


def test_every_few_periods_one_looks_for_more_room() -> None:
    scope = two_periods()
    probes = []
    for period in range(2, 12):
        at = 10.0 * period
        assert scope.limit.admit(at, 1).is_open
        scope.accept(20, at)
        probes.append(scope.limit.admit(at + 0.5, 1).is_probe)
    assert probes == [False, False, False, False, True, False, False, False, False, True]


def test_one_looks_at_once_where_the_last_period_differed() -> None:
    scope = two_periods().accept(20, 20.0).accept(5, 20.2).refuse(20.5, 30.0, announced=50)
    assert scope.limit.room == 25
    assert scope.accept(25, 30.0).limit.admit(30.5, 1).is_probe


def test_a_request_of_more_units_than_there_is_room_for_goes_alone() -> None:
    assert two_periods().limit.admit(20.0, 100).is_open
