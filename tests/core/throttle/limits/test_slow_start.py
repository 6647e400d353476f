"""Slow start: one probe, then more, until a server shows whether it announces what is left."""

import math

import pytest

from core.throttle.books import Parts, announce, ending
from httpx_resilience import RateLimitChanged
from httpx_resilience._core.throttle.admission import Admission, Ending
from httpx_resilience._core.throttle.limits.slow_start import SILENT, STEP, SlowStart
from httpx_resilience._core.throttle.limits.windows import SETTLED
from support.gates import BROKEN, OUTAGE, REFUSED, after


class Slow(Parts):
    """A slow start that begins at 0, and the parts that it asks."""

    def __init__(self) -> None:
        super().__init__()
        self.limit = SlowStart(self.in_flight, self.quotas, self.closing)
        self.first = self.ask(0, 0.0)

    def ask(self, in_flight: int, now: float) -> Admission:
        self.in_flight.count = in_flight
        return self.limit.admit(now, 1)

    def allowed(self, now: float) -> int:
        """Return how many may be in flight, of those that ask while one is."""
        return next((n for n in range(1, 100) if not self.ask(n, now).is_open), 100)

    def end(self, *endings: Ending) -> None:
        for each in endings:
            for limit in (self.closing, self.quotas, self.limit):
                limit.ended(each)


LIMIT_ALONE = ending(0.1, announced=(announce(None, 0.1),))
LEFT = ending(0.1, announced=(announce(90, 0.1),))
CLOSES = ending(0.1, failure=after(REFUSED, 60.0), closes=True)


def test_the_first_request_is_a_probe_and_goes_alone() -> None:
    slow = Slow()
    assert slow.first.is_probe
    assert slow.ask(1, 0.5) == (False, "cold_start", STEP, False)


def test_where_a_request_went_unasked_the_first_that_asks_may_go_beside_it() -> None:
    parts = Parts()
    parts.in_flight.count = 1
    limit = SlowStart(parts.in_flight, parts.quotas, parts.closing)
    assert limit.admit(0.0, 1).is_probe


def test_without_an_answer_twice_as_many_may_be_in_flight_each_second() -> None:
    slow = Slow()
    times = (0.99, 1.0, 1.99, 2.0, 3.5, 4.49, 4.5)
    assert [slow.allowed(now) for now in times] == [1, 2, 2, 4, 8, 8, 16]


@pytest.mark.parametrize(
    ("endings", "is_over", "allowed"),
    [
        ([ending(0.1)] * (SILENT - 1), False, SILENT),
        ([ending(0.1)] * SILENT, True, 100),
        ([ending(0.1, failure=BROKEN)] * 9, False, 10),  # failures are no evidence of silence
        ([ending(0.1, is_answered=False)] * 9, False, 10),
        ([LIMIT_ALONE] * SILENT, True, 100),
        ([ending(0.1)] * SILENT + [ending(0.1, failure=BROKEN)], True, 100),
        ([ending(0.1)] * SILENT + [CLOSES], False, 1),
        ([ending(0.1, failure=BROKEN)] * 3 + [CLOSES, ending(0.1)], False, 2),
    ],
)
def test_three_successes_that_announce_nothing_end_it_and_anything_else_widens_it(
    endings: list[Ending], is_over: bool, allowed: int
) -> None:
    slow = Slow()
    slow.end(*endings)
    assert (slow.limit.is_over, slow.limit.has_credit(0.2)) == (is_over, is_over)
    assert slow.allowed(0.2) == allowed


def test_a_response_that_belongs_to_another_bucket_widens_it_by_one() -> None:
    slow = Slow()
    slow.limit.answered_elsewhere()
    assert slow.allowed(0.2) == 2


def test_nobody_is_held_back_where_the_server_announces_what_is_left() -> None:
    slow = Slow()
    slow.end(*[ending(0.1)] * SILENT, LEFT, *[ending(0.3)] * SILENT)
    assert not slow.limit.is_over  # should the headers vanish, it begins anew
    assert slow.limit.has_credit(0.3)
    assert slow.allowed(0.3) == 100
    assert not slow.ask(0, 0.3).is_probe


def test_after_headers_were_seen_it_begins_anew_and_its_next_step_waits_for_the_probe() -> None:
    slow = Slow()
    slow.end(*[ending(0.1)] * (SILENT - 1), LEFT)
    slow.quotas.distrust(at_reset=False)
    assert slow.ask(0, 1.0).is_probe
    assert slow.ask(1, 1.0 + STEP).retry_at == 1.0 + SETTLED
    assert slow.allowed(1.0 + SETTLED) == 2
    slow.end(ending(7.0))  # earlier silence does not count
    assert not slow.limit.is_over


def test_in_a_closed_scope_the_second_may_go_a_step_after_it_opens() -> None:
    slow = Slow()
    slow.end(ending(0.5, failure=after(OUTAGE, 60.0), closes=True))
    opens_at = slow.closing.until
    assert slow.ask(1, opens_at + 0.5).retry_at == opens_at + STEP
    assert slow.ask(1, opens_at + STEP).is_open


@pytest.mark.parametrize(("last", "vanished"), [(ending(3.0), True), (LIMIT_ALONE, False)])
def test_a_limit_that_was_announced_vanishes_when_silence_is_the_servers_way(
    last: Ending, vanished: bool
) -> None:
    slow = Slow()
    slow.end(LEFT)
    slow.quotas.distrust(at_reset=False)
    slow.end(ending(1.0), ending(2.0))
    assert len(slow.quotas) == 1
    slow.end(last)
    assert slow.limit.is_over
    slow.end(ending(4.0))  # once it is over, silence says nothing more
    assert (len(slow.quotas) == 0) is vanished
    changes = [event.rate_limit for event in slow.events if isinstance(event, RateLimitChanged)]
    assert changes == ([100, None] if vanished else [100])


# What only refusals announce.

ANNOUNCES = ending(1.1, failure=after(REFUSED, 9.0), closes=True, announced=(announce(0, 1.1),))


def refused() -> Slow:
    """Return one whose server takes two requests and announces nothing until it refuses."""
    slow = Slow()
    slow.end(ending(0.2), ending(0.3), ANNOUNCES)
    return slow


def test_after_a_refusal_own_requests_are_counted_though_slow_start_allows_more() -> None:
    slow = refused()
    opens_at = slow.closing.until
    for count in range(2):
        assert slow.ask(0, opens_at).is_open
        slow.limit.started(opens_at, 1)
        slow.end(ending(opens_at + 0.1 * count, sent=opens_at))
    slow.in_flight.last_started_at = opens_at
    assert slow.ask(1, opens_at + 0.3).reason == "exhausted"


def test_refusals_that_announce_nothing_or_of_a_server_that_always_does_are_not_counted() -> None:
    silent, always = Slow(), Slow()
    silent.end(ending(0.2), CLOSES)
    always.end(LEFT, ANNOUNCES)
    assert silent.limit._unannounced.room is None
    assert always.limit._unannounced.room is None


def test_no_period_is_measured_in_which_the_server_says_what_is_left() -> None:
    slow = refused()
    first = slow.limit._unannounced
    slow.end(LEFT)
    assert first.room == 2
    assert (first._opened_at, first._length) == (-math.inf, math.inf)


def test_more_silence_shows_no_silent_server_where_only_every_fourth_response_announces() -> None:
    slow = Slow()
    for at in (1.0, 2.0):
        slow.end(ending(at, announced=(announce(90, at),)))
        slow.end(*[ending(at + 0.1) for _ in range(3)])
    slow.end(ending(3.0, announced=(announce(80, 3.0),)))
    slow.quotas.distrust(at_reset=False)
    slow.end(*[ending(3.1) for _ in range(8)])
    assert not slow.limit.is_over
    slow.end(ending(3.2))
    assert slow.limit.is_over
