"""What is in flight, and the requests that were abandoned on their way."""

import math

import pytest

from httpx_resilience._core.throttle import Ticket
from httpx_resilience._core.throttle.in_flight import ABANDONED, InFlight


def abandon(in_flight: InFlight, granted_at: float, now: float, cost: int = 1) -> None:
    ticket = Ticket(0, math.inf, granted_at, cost)
    ticket.granted_at = granted_at
    in_flight.abandon(ticket, now)


def test_at_first_nothing_is_in_flight() -> None:
    in_flight = InFlight()
    assert (in_flight.count, in_flight.units, in_flight.last_started_at) == (0, 0, -math.inf)
    assert (bool(in_flight.abandoned), in_flight.forgotten_at) == (False, math.inf)


@pytest.mark.parametrize(
    ("until", "units", "forgotten_at"),
    [
        (20.0, 10, 1.0 + ABANDONED),
        (ABANDONED + 0.99, 10, 1.0 + ABANDONED),
        (ABANDONED + 1.0, 3, 4.0 + ABANDONED),  # half a minute from when it went
        (ABANDONED + 4.0, 0, math.inf),
    ],
)
def test_an_abandoned_request_takes_its_units_for_half_a_minute_from_when_it_went(
    until: float, units: int, forgotten_at: float
) -> None:
    in_flight = InFlight()
    abandon(in_flight, 1.0, 20.0, cost=7)
    abandon(in_flight, 4.0, 20.0, cost=3)
    in_flight.forget(until)
    assert (in_flight.units, in_flight.forgotten_at) == (units, forgotten_at)
    assert bool(in_flight.abandoned) is (units > 0)
    assert in_flight.count == 0


def test_abandoned_requests_are_forgotten_where_no_call_is_ever_held_back() -> None:
    in_flight = InFlight()
    for nth in range(100):
        abandon(in_flight, 10.0 * nth, 10.0 * nth)
    assert in_flight.units == 3
