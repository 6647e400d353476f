"""The server's clock, learned from Date headers of one second's precision."""

import math

import pytest

from httpx_resilience._core.headers.server_clock import ServerClock

EPOCH = 1700000000.0


def answer(clock: ServerClock, sent: float, ahead: float = EPOCH, latency: float = 0.1) -> None:
    """Let a server whose clock is ``ahead`` of ours answer halfway through the exchange."""
    clock.observe(float(math.floor(sent + latency / 2 + ahead)), sent, sent + latency)


def bounds(clock: ServerClock, now: float) -> tuple[float, float]:
    known = clock.offset(now)
    assert known is not None
    return known


def test_before_the_first_response_nothing_is_known() -> None:
    assert ServerClock().offset(0.0) is None
    assert ServerClock().to_local(EPOCH, 0.0) is None


def test_one_response_tells_the_offset_to_a_second_and_the_round_trip() -> None:
    clock = ServerClock()
    assert repr(clock) == "ServerClock(responses=0, offset=None)"
    clock.observe(1000.0, sent=10.0, received=10.5)
    assert clock.offset(10.5) == (989.5, 991.0)
    assert repr(clock) == "ServerClock(responses=1, offset=(989.5, 991.0))"


def test_several_responses_narrow_it_to_what_all_allow() -> None:
    clock = ServerClock()
    clock.observe(1000.0, sent=10.0, received=10.5)
    clock.observe(1000.0, sent=10.25, received=10.5)
    clock.observe(1001.0, sent=10.5, received=11.0)
    assert clock.offset(11.0) == pytest.approx((990.0, 990.75), abs=1e-3)


def test_a_response_that_brings_nothing_new_changes_nothing() -> None:
    clock = ServerClock()
    clock.observe(1000.0, sent=10.0, received=10.1)
    before = clock.offset(20.0)
    clock.observe(1000.0, sent=8.0, received=12.1)
    assert clock.offset(20.0) == before


def test_knowledge_widens_by_100_ppm_as_it_ages() -> None:
    clock = ServerClock()
    clock.observe(1000.0, sent=10.0, received=10.5)
    assert clock.offset(1010.5) == pytest.approx((989.4, 991.1))


def test_each_bound_ages_on_its_own() -> None:
    clock = ServerClock()
    clock.observe(1000.0, sent=10.0, received=10.5)
    clock.observe(2000.0, sent=1010.0, received=1010.1)  # a better lower bound, the same upper one
    low, high = bounds(clock, 1010.1)
    assert low == pytest.approx(989.9)
    assert high == pytest.approx(991.0, abs=1e-9)


@pytest.mark.parametrize("rate", [9e-5, -9e-5])
def test_clocks_that_drift_apart_within_100_ppm_are_followed_without_a_restart(rate: float) -> None:
    clock = ServerClock()
    for number in range(3000):
        sent = number * 7.3
        answer(clock, sent, ahead=EPOCH + sent * rate)
        low, high = bounds(clock, sent + 0.1)
        assert low <= EPOCH + sent * rate <= high
    assert clock.version == 1


def test_a_stepped_server_clock_is_believed_at_once() -> None:
    clock = ServerClock()
    for tenth in range(30):
        answer(clock, tenth / 10)
    answer(clock, 3.0, ahead=EPOCH + 3600.0)
    low, high = bounds(clock, 3.1)
    assert EPOCH + 3600.0 - 1.2 < low <= EPOCH + 3600.0 <= high < EPOCH + 3600.0 + 1.2


@pytest.mark.parametrize("apart", [0.9, 30.0])
def test_several_hosts_behind_one_name_are_covered_by_a_hull(apart: float) -> None:
    clock = ServerClock()
    for number in range(60):
        answer(clock, number * 0.37, ahead=EPOCH + apart * (number % 2))
    low, high = bounds(clock, 22.5)
    assert low <= EPOCH
    assert EPOCH + apart <= high
    assert high - low < apart + 2.5


def test_hosts_that_agree_again_for_100_responses_need_no_hull() -> None:
    clock = ServerClock()
    for number in range(10):
        answer(clock, number * 0.37, ahead=EPOCH + 30.0 * (number % 2))
    for number in range(10, 130):
        answer(clock, number * 0.37)
    low, high = bounds(clock, 130 * 0.37)
    assert low <= EPOCH <= high
    assert high - low < 0.5


def test_a_hull_forgets_a_host_after_32_responses() -> None:
    clock = ServerClock()
    for number in range(10):
        answer(clock, number * 0.37, ahead=EPOCH + 30.0 * (number % 2))
    for number in range(10, 44):
        answer(clock, number * 0.37)
    assert bounds(clock, 44 * 0.37)[1] < EPOCH + 2.0


def test_a_hull_widens_with_age_too() -> None:
    clock = ServerClock()
    for number in range(10):
        answer(clock, number * 0.37, ahead=EPOCH + 30.0 * (number % 2))
    soon, late = bounds(clock, 4.0), bounds(clock, 10_004.0)
    assert late == pytest.approx((soon[0] - 1.0, soon[1] + 1.0), abs=1e-2)


def test_an_answer_before_its_question_is_ignored() -> None:
    clock = ServerClock()
    clock.observe(1000.0, sent=11.0, received=10.0)
    clock.observe(1000.0, sent=math.nan, received=10.0)
    assert clock.offset(10.0) is None


def test_a_server_epoch_becomes_an_interval_of_our_time() -> None:
    clock = ServerClock()
    clock.observe(1000.0, sent=10.0, received=10.5)
    assert clock.to_local(1030.0, now=10.5) == (39.0, 40.5)


# Servers without Date.


def hinted(*refused_at: float, wait: float = 30.0) -> ServerClock:
    """Return what refusals say, whose limit resets so much later, rounded up both."""
    clock = ServerClock()
    for at in refused_at:
        server = EPOCH + at
        clock.hint(math.ceil(server + wait), wait, at, at)
    return clock


@pytest.mark.parametrize("at", [10.0, 10.3, 10.999])
def test_a_refusal_that_says_when_and_how_long_hints_at_the_clock(at: float) -> None:
    low, high = bounds(hinted(at), at)
    assert low <= EPOCH <= high
    assert high - low == pytest.approx(3.0)


def test_further_hints_narrow_it_and_one_that_contradicts_begins_anew() -> None:
    clock = hinted(10.0, 20.1)
    low, high = bounds(clock, 21.0)
    assert low <= EPOCH <= high
    assert high - low < 2.2
    version = clock.version
    clock.hint(EPOCH + 1000.0, 10.0, 30.0, 30.0)
    assert bounds(clock, 30.0) == (EPOCH + 959.0, EPOCH + 962.0)
    assert clock.version == version + 1


def test_a_date_counts_more_than_hints() -> None:
    clock = hinted(10.0)
    answer(clock, 50.0, ahead=EPOCH + 60.0)
    low, high = bounds(clock, 50.1)
    assert low <= EPOCH + 60.0 <= high
    clock.hint(EPOCH + 1000.0, 10.0, 60.0, 60.0)
    assert bounds(clock, 50.1) == (low, high)
