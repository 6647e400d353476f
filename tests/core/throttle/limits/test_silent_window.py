"""Windows of a server that says nothing: found, used, followed, told from outages."""

import math

import pytest

from httpx_resilience._core.throttle.limits.silent_window import RISKY, SilentWindow
from simulation.servers import FixedWindow

LONG_AGO = -100.0


class Talk:
    """Requests one by one, to a server that answers at once."""

    def __init__(self, *, surely: bool = True, burst_from: float = 0.0) -> None:
        self.window = SilentWindow()
        self.surely = surely
        self.burst_from = burst_from
        self.burst = 0

    def accepted(self, at: float, count: int = 1) -> None:
        for _ in range(count):
            if self.window.is_on:
                self.window.started(at)
            self.window.accepted(at, at, self.burst, self.burst_from)
            self.burst += 1

    def refused(self, *times: float) -> None:
        for at in times:
            if self.window.is_on:
                self.window.started(at)
            self.window.refused(at, at, holds=self.surely, burst_from=self.burst_from)

    def admitted(self, at: float) -> int:
        """Send all that may go, accepted; return how many."""
        count = 0
        while self.window.admit(at).is_open and count < 1000:
            self.accepted(at)
            count += 1
        return count

    def first_spell(self, limit: int = 20, until: float = 10.0) -> None:
        """Have a burst refused from 1 on, and accepted again."""
        self.accepted(0.5, limit)
        self.refused(1.0, 2.0, 0.5 * until, 0.9 * until)
        self.accepted(until)

    def learned(self, limit: int = 20) -> "Talk":
        """Learn of windows of ten seconds; the second ends at 20, the third begins."""
        self.first_spell(limit)
        for nth in range(limit - 1):
            assert self.window.admit(10.01 + nth / 1000).is_open
            self.accepted(10.01 + nth / 1000)
        assert self.window.admit(10.5) is RISKY
        self.refused(10.5, 11.3, 12.5, 18.0)
        self.accepted(20.0)
        return self


# A dry spell.


def test_in_a_dry_spell_one_goes_at_a_time_and_better_one_that_waited_long() -> None:
    talk = Talk()
    talk.accepted(0.5, 20)
    talk.refused(1.0)
    assert talk.window.admit(1.01) == (False, "silent_limit", 1.05, False)
    assert talk.window.admit(1.05) is RISKY
    talk.window.started(1.05)
    assert not talk.window.admit(2.0).is_open
    assert talk.window.admit(2.06) is RISKY  # it hangs


def test_503s_hold_nobody_until_there_are_enough_of_them() -> None:
    talk = Talk(surely=False)
    talk.refused(1.0, 1.1)
    assert not talk.window.is_on
    assert talk.window.admit(1.1).is_open
    talk.surely = True
    talk.refused(1.2)
    assert not talk.window.admit(1.2).is_open


def test_a_short_spell_is_no_window() -> None:
    talk = Talk()
    talk.accepted(0.5, 20)
    talk.refused(1.0, 1.2)
    talk.accepted(1.3)
    assert not (talk.window.is_on)
    assert not (talk.window.is_learned)


def test_what_was_sent_before_the_last_refusal_ends_no_spell() -> None:
    talk = Talk()
    talk.refused(1.0, 3.0)
    talk.window.accepted(2.9, 3.1, 0, 0.0)
    assert not talk.window.admit(3.1).is_open


def test_two_refusals_with_nothing_for_long_in_between_are_no_spell() -> None:
    talk = Talk()
    talk.refused(1.0, 60.0)
    talk.accepted(60.5)
    assert not talk.window.is_learned


# A window.


def test_after_a_long_spell_ever_more_go_up_to_what_went_before_and_then_one() -> None:
    talk = Talk()
    talk.first_spell(20)
    assert talk.window.is_learned
    went = []
    for at in (10.1, 10.2, 10.3, 10.4, 10.5, 10.6):
        before = talk.window._sent
        while talk.window.admit(at).is_open and talk.window._sent < 25:
            talk.window.started(at)
        went.append(talk.window._sent - before)
        for _ in range(went[-1]):
            talk.window.accepted(at, at, 0, 0.0)
    assert went == [1, 2, 4, 8, 4, 1]


def test_as_many_go_as_were_accepted_before_the_first_refusal_and_then_none() -> None:
    talk = Talk().learned(20)
    assert talk.window.limit == 20
    for nth in range(19):
        assert talk.window.admit(20.0 + nth / 100).is_open
        talk.accepted(20.0 + nth / 100)
    held = talk.window.admit(20.5)
    assert not held.is_open
    assert 29.0 <= held.retry_at <= 31.0
    assert talk.window.admit(held.retry_at) is RISKY


def test_a_window_that_was_not_used_up_is_followed_by_another_one() -> None:
    talk = Talk().learned(20)
    talk.accepted(20.1, 15)
    assert talk.admitted(35.0) == 20


def test_few_that_are_accepted_after_a_spell_are_a_slow_bucket() -> None:
    talk = Talk()
    talk.accepted(0.5, 20)
    talk.refused(1.0, 1.5)
    talk.accepted(1.9)
    assert talk.window.is_learned
    talk.refused(2.0)
    assert not (talk.window.is_on)
    assert not (talk.window.is_learned)
    talk.refused(2.1, 3.0)  # the next must be three times as long
    talk.accepted(3.2)
    assert not talk.window.is_learned


def test_what_is_accepted_early_in_the_next_spell_shows_that_the_first_was_an_outage() -> None:
    talk = Talk()
    talk.first_spell(20)
    talk.accepted(10.1, 19)
    talk.refused(10.2)
    look = talk.window.admit(10.3)
    assert look.retry_at == pytest.approx(10.2 + 0.8)
    talk.accepted(look.retry_at)
    assert not talk.window.is_learned


# Changes.


def test_a_limit_that_is_lowered_is_met_once() -> None:
    talk = Talk().learned(20)
    talk.accepted(20.1, 9)
    talk.refused(20.2, 28.0)
    talk.accepted(30.0)
    assert talk.window.limit == 10


def test_a_window_that_is_refused_long_before_its_limit_is_looked_at_soon() -> None:
    talk = Talk().learned(20)
    talk.accepted(20.1, 5)
    talk.refused(20.2)
    assert talk.window.admit(20.21).retry_at == pytest.approx(20.25)


def test_now_and_then_more_goes_and_a_limit_that_was_raised_is_found() -> None:
    talk, at, limits, server = Talk().learned(20), 20.0, [], FixedWindow(40, 10.0, aligned=True)
    while at < 200.0:
        admission = talk.window.admit(at)
        if not admission.is_open:
            at = admission.retry_at
        elif server.take(at).accepted:
            talk.accepted(at)
        else:
            talk.refused(at)
        limits.append(talk.window.limit)
    assert limits[-1] == 40
    assert limits.index(40) <= 5 * 22


# Outages.


@pytest.mark.parametrize(
    ("burst_from", "now", "is_outage"),
    [(0.0, 60.0, False), (0.0, 77.0, True), (LONG_AGO, 1.5, True)],
)
def test_503s_that_end_a_burst_are_a_limiters_for_a_minute(
    burst_from: float, now: float, is_outage: bool
) -> None:
    talk = Talk(burst_from=burst_from)
    talk.refused(1.0, 1.1)
    assert talk.window.is_outage(now) is is_outage


def test_windows_that_came_back_with_the_same_count_are_a_limiters_until_they_are_overdue() -> None:
    talk = Talk().learned()
    talk.refused(20.1)
    end = talk.window._length.end
    assert not talk.window.is_outage(end + 4.9)
    assert talk.window.is_outage(end + 0.5 * talk.window._length.seconds.high + 0.1)


def test_in_an_outage_nobody_is_held_and_after_it_windows_go_on() -> None:
    talk = Talk().learned(20)
    talk.refused(20.1)
    talk.window.pause()
    assert talk.window.admit(40.0).is_open
    talk.refused(40.0)
    assert talk.window.admit(40.1).is_open
    talk.accepted(50.0)
    assert talk.admitted(50.1) == 19


def test_what_is_not_certain_is_forgotten_in_an_outage() -> None:
    talk = Talk()
    talk.first_spell(20)
    talk.window.pause()
    assert not (talk.window.is_on)
    assert not (talk.window.is_learned)
    assert not (talk.window.is_paused)


def test_windows_without_any_refusal_are_forgotten() -> None:
    talk, at = Talk().learned(20), 20.0
    while talk.window.is_on and at < math.inf:
        at += 40.0
        talk.window.admit(at)
    assert 120.0 <= at - 18.0 <= 300.0
