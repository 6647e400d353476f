"""A rate for servers that limit in silence by 503: proven by trials, or disproven and forgotten."""

import math
import random

import pytest

from httpx_resilience._core.throttle.limits.adaptive_rate import SLOWEST, AdaptiveRateLimiter
from simulation.servers import TokenBucket


class Job:
    """Requests as fast as the pacer lets them, to a server that takes no time to answer."""

    def __init__(self, pacer: AdaptiveRateLimiter, *, surely: bool = False) -> None:
        self.pacer = pacer
        self.surely = surely
        self.accepted: list[float] = []
        self.refused: list[float] = []

    def one(self, sent: float, is_accepted: bool) -> None:
        self.pacer.took(sent)
        (self.accepted if is_accepted else self.refused).append(sent)
        if is_accepted:
            self.pacer.accepted(sent, sent + 0.001)
        else:
            self.pacer.refused(sent, sent + 0.001, surely=self.surely)

    def limited(self, server: TokenBucket, seconds: float, at: float = 0.0) -> float:
        now, end = at, at + seconds
        while (now := max(now + 0.002, self.pacer.open_at(now))) <= end:
            self.one(now, server.take(now).accepted)
        return end

    def by_chance(self, share: float, seed: int, seconds: float) -> float:
        """Send fifty a second, a crowd where paced; return the share of the time that it is."""
        chance, now, paced = random.Random(seed), 0.0, 0.0
        while now <= seconds:
            before, is_paced = now, self.pacer.rate is not None
            now = max(now + (0.001 if is_paced else 0.02), self.pacer.open_at(now))
            paced += is_paced * (now - before)
            self.one(now, chance.random() >= share)
        return paced / seconds


@pytest.mark.parametrize("rate", [20.0, 50.0, 100.0])
def test_a_limiter_that_answers_503_is_found_out_and_used_well(rate: float) -> None:
    job = Job(AdaptiveRateLimiter())
    job.limited(TokenBucket(5, 5 / rate, full=True), 60.0)
    assert job.pacer.rate is not None
    assert 0.5 * rate <= job.pacer.rate <= 2.0 * rate
    late = [sum(at > 20.0 for at in ats) for ats in (job.accepted, job.refused)]
    assert late[0] >= 0.75 * rate * 40.0
    assert late[1] <= 0.2 * sum(late)


@pytest.mark.parametrize("seed", range(5))
def test_503s_that_come_by_chance_hold_nobody_back_for_long(seed: int) -> None:
    assert Job(AdaptiveRateLimiter()).by_chance(0.3, seed, 180.0) <= 0.1, f"seed {seed}"


def test_what_was_found_to_be_no_limiter_is_not_looked_at_again_for_a_minute() -> None:
    pacer = AdaptiveRateLimiter()
    pacer._doubt(100.0)
    for nth in range(40):
        at = 101.0 + 0.1 * nth
        (pacer.accepted(at, at) if nth % 2 else pacer.refused(at, at, surely=False))
    assert pacer.rate is None
    for nth in range(40):
        at = 161.0 + 0.1 * nth
        (pacer.accepted(at, at) if nth % 2 else pacer.refused(at, at, surely=False))
    assert pacer.rate is not None


def test_503s_are_no_limiters_where_nothing_succeeded_for_three_seconds() -> None:
    for gap, found in ((2.5, True), (3.5, False)):
        pacer = AdaptiveRateLimiter()
        for nth in range(4):
            pacer.accepted(0.1 * nth, 0.1 * nth)
        for nth in range(8):
            at = 0.3 + gap + 0.01 * nth
            pacer.refused(at, at, surely=False)
        assert (pacer.rate is not None) is found, gap


def test_the_first_pace_is_seven_tenths_of_what_the_last_second_took() -> None:
    pacer = AdaptiveRateLimiter()
    for nth in range(2000):
        pacer.accepted(0.025 * nth, 0.025 * nth)  # forty a second
    at = 0.025 * 2000
    pacer.refused(at, at, surely=True)
    assert pacer.rate is not None
    assert pacer.rate == pytest.approx(0.7 * 40, rel=0.05)
    assert pacer.open_at(at) == pytest.approx(at + 1 / pacer.rate)


def test_until_something_is_accepted_each_refusal_halves_the_pace() -> None:
    pacer = AdaptiveRateLimiter()
    for nth in range(400):
        pacer.accepted(0.025 * nth, 0.025 * nth)
    at, rates = 10.0, []
    for _ in range(8):
        pacer.refused(at, at, surely=True)
        rates.append(pacer.rate or 0.0)
        at += 0.1
    halved = [rates[0] / 2**nth for nth in range(8)]
    assert rates == pytest.approx([max(SLOWEST, rate) for rate in halved])


def test_a_pace_that_grew_far_beyond_the_rate_is_forgotten_after_half_a_minute() -> None:
    """The limit was lifted: nothing is refused any more."""
    job = Job(AdaptiveRateLimiter(), surely=True)
    end = job.limited(TokenBucket(5, 0.5, full=True), 30.0)  # ten a second
    assert job.pacer.rate is not None
    now = end
    while now < end + 119.0:
        now = max(now + 0.002, job.pacer.open_at(now))
        job.one(now, True)
        if job.pacer.rate is None:
            break
    assert 29.0 <= now - job.refused[-1] <= 60.0


def test_what_is_not_surely_a_limiter_is_forgotten_when_its_pace_is_not_used_up() -> None:
    pacer = AdaptiveRateLimiter()
    at = 0.0
    for nth in range(60):
        at = 0.02 * nth
        (pacer.refused(at, at, surely=False) if nth % 3 == 2 else pacer.accepted(at, at))
        if pacer.rate is not None:
            break
    assert (pacer.rate or 0.0) > 10.0
    found = []
    for seconds in (1.0, 2.9, 3.1):
        pacer.open_at(at + seconds)
        found.append(pacer.rate is not None)
        pacer.accepted(at + seconds, at + seconds)
    assert found == [True, True, False]


def warm(*, rate: float = 40.0, until: float = 50.0) -> AdaptiveRateLimiter:
    """Return a pacer of a server that took so many a second until then."""
    pacer = AdaptiveRateLimiter()
    for nth in range(round(10 * rate)):
        at = until - 10.0 + nth / rate
        pacer.accepted(at, at)
    return pacer


def test_the_first_pace_of_a_server_that_is_known_for_less_than_a_second_is_from_that_time() -> (
    None
):
    pacer = AdaptiveRateLimiter()
    for nth in range(10):
        pacer.accepted(100.0 + 0.02 * nth, 100.0 + 0.02 * nth)
    pacer.refused(100.2, 100.2, surely=True)
    assert pacer.rate == pytest.approx(0.7 * 50, rel=0.15)


@pytest.mark.parametrize(
    ("accepted", "ceiling"),
    [
        (10, 20.0),  # ten in half a second
        (1, 14.0),
        (5, 14.0),  # it never falls below half of the pace
        (19, 28.0),  # and never rises
    ],
)
def test_a_later_refusal_sets_the_pace_a_little_below_what_was_taken_since(
    accepted: int, ceiling: float
) -> None:
    pacer = warm()
    pacer.refused(50.0, 50.0, surely=True)
    assert pacer.rate == pytest.approx(28.0, rel=0.05)
    pacer._pace(28.0, 50.0)
    for nth in range(accepted):
        pacer.accepted(50.1 + 0.01 * nth, 50.1 + 0.01 * nth)
    pacer.refused(50.5, 50.5, surely=True)
    assert pacer.ceiling == pytest.approx(ceiling)
    share = max(0.8, 1 - 3 / (accepted + 1))
    assert pacer.rate == pytest.approx(share * ceiling)


def test_around_the_rate_the_pace_grows_by_a_twentieth_a_second_at_most() -> None:
    pacer, now = warm(rate=20.0), 50.0
    pacer.refused(now, now, surely=True)
    while (pacer.rate or 0.0) < 0.9 * pacer.ceiling:
        now = pacer.open_at(now)
        pacer.took(now)
        pacer.accepted(now, now)
    assert now < 53.0
    before, began_at = pacer.rate or 0.0, now
    while now < began_at + 3.0:
        now = pacer.open_at(now)
        pacer.took(now)
        pacer.accepted(now, now)
    assert 1.05 < (pacer.rate or 0.0) / before < 1.2


def test_a_pace_near_the_rate_is_kept_for_two_minutes_without_a_refusal() -> None:
    pacer, now = warm(rate=100.0), 50.0
    pacer.refused(now, now, surely=True)
    for _ in range(150):
        now = pacer.open_at(now)
        pacer.took(now)
        pacer.accepted(now, now)
    assert now < 53.0
    found = []
    for later in (82.0, 169.0, 171.0):
        pacer.open_at(later)
        found.append(pacer.rate is not None)
    assert found == [True, True, False]


def test_a_trial_lets_twelve_go_beside_those_that_the_server_may_have_room_for() -> None:
    pacer = warm()
    for nth in range(8):
        at = 50.0 + 0.001 * nth
        pacer.refused(at, at, surely=False)
        pacer.accepted(at, at)
    assert pacer.rate is not None
    pacer.refused(50.1, 50.1, surely=False)
    gone = 0
    while pacer.open_at(50.11) <= 50.11 and gone < 100:
        pacer.took(50.11)
        gone += 1
    assert gone == 12 + math.ceil(pacer.ceiling * 0.02)
    assert pacer.open_at(50.11) > 50.11


def test_what_was_taken_is_measured_over_the_last_refusals_too() -> None:
    pacer = warm()
    pacer.refused(50.0, 50.0, surely=True)
    for nth in range(1, 41):
        pacer.accepted(50.0 + 0.05 * nth, 50.0 + 0.05 * nth)
    pacer.refused(52.0, 52.0, surely=True)
    assert pacer.ceiling == pytest.approx(20.0)
    for nth in range(1, 11):
        pacer.accepted(52.0 + 0.1 * nth, 52.0 + 0.1 * nth)
    pacer.refused(53.0, 53.0, surely=True)
    assert pacer.ceiling == pytest.approx((20 + 10) / (1 + 1))  # half of the former count


# What looks like a limiter.


@pytest.mark.parametrize(("refused", "found"), [(5, False), (6, True)])
def test_of_forty_a_second_six_503s_at_once_look_like_a_limiter(refused: int, found: bool) -> None:
    pacer = warm()
    for nth in range(refused):
        pacer.refused(50.0 + 0.001 * nth, 50.0 + 0.001 * nth, surely=False)
    assert (pacer.rate is not None) is found


def test_503s_of_long_ago_do_not_make_a_limiter() -> None:
    pacer = AdaptiveRateLimiter()
    for at in (0.0, 10.0):
        pacer.accepted(at, at)
        for nth in range(1, 3):
            pacer.refused(at + 0.01 * nth, at + 0.01 * nth, surely=False)
    assert pacer.rate is None
    pacer.refused(10.03, 10.03, surely=False)
    assert pacer.rate is not None


def test_what_was_forgotten_makes_nothing_look_like_a_limiter() -> None:
    pacer = warm()
    pacer.refused(50.0, 50.0, surely=True)
    pacer.open_at(171.0)
    assert pacer.rate is None
    for nth in range(3):  # every other one, which is not yet enough
        pacer.accepted(171.0 + 0.02 * nth, 171.0 + 0.02 * nth)
        pacer.refused(171.01 + 0.02 * nth, 171.01 + 0.02 * nth, surely=False)
    assert pacer.rate is None


# Whether it is one.


def suspected(*, accepted: int) -> AdaptiveRateLimiter:
    """Return a pacer that may be one of a limiter; so many were accepted at its pace by 50.1."""
    pacer = warm()
    for nth in range(6):
        pacer.refused(50.0 + 0.001 * nth, 50.0 + 0.001 * nth, surely=False)
    assert pacer.rate is not None
    for nth in range(accepted):
        pacer.accepted(50.05 + 0.01 * nth, 50.05 + 0.01 * nth)
    return pacer


def tried(pacer: AdaptiveRateLimiter, *outcomes: bool, at: float = 50.1) -> AdaptiveRateLimiter:
    """Refuse one, which begins a trial, and what the server had room for; then tell of others."""
    pacer.refused(at, at, surely=False)
    for _ in range(math.ceil(pacer.ceiling * 0.02)):
        pacer.refused(at, at, surely=False)
    for is_accepted in outcomes:
        if is_accepted:
            pacer.accepted(at, at)
        else:
            pacer.refused(at, at, surely=False)
    return pacer


@pytest.mark.parametrize(
    ("outcomes", "is_sure"),
    [
        ([False] * 4, False),
        ([False] * 5, True),
        ([False] * 5 + [True] * 3, True),  # once proven, it stays so
        ([False, True] * 3 + [False] * 4, False),
        ([False, True] * 3 + [False] * 5, True),
    ],
)
def test_five_refusals_more_than_successes_in_trials_prove_a_limiter(
    outcomes: list[bool], is_sure: bool
) -> None:
    assert tried(suspected(accepted=1), *outcomes)._is_sure is is_sure


@pytest.mark.parametrize(("successes", "is_paced"), [(3, True), (4, False)])
def test_four_successes_more_than_refusals_in_trials_disprove_it(
    successes: int, is_paced: bool
) -> None:
    pacer = tried(suspected(accepted=1), *[True] * successes)
    assert (pacer.rate is not None) is is_paced


def test_where_nothing_was_accepted_at_its_pace_trials_prove_nothing() -> None:
    assert not tried(suspected(accepted=0), *[False] * 9)._is_sure


def test_what_is_not_surely_a_limiter_gets_one_a_second_at_least() -> None:
    pacer = suspected(accepted=0)
    rates = []
    for nth in range(12):
        at = 50.1 + 0.1 * nth
        pacer.refused(at, at, surely=False)
        rates.append(pacer.rate)
    assert rates[-3:] == [1.0] * 3


@pytest.mark.parametrize("accepted", [1, 4])
@pytest.mark.parametrize(("share", "is_paced"), [(3.9, True), (4.1, False)])
def test_no_success_for_four_times_as_long_as_usual_is_an_outage(
    accepted: int, share: float, is_paced: bool
) -> None:
    pacer = suspected(accepted=0)
    began_at = pacer._measured_from
    for nth in range(1, accepted + 1):
        pacer.accepted(began_at + 2.0 * nth, began_at + 2.0 * nth)
    at = began_at + 2.0 * accepted + share * 2.0
    pacer.refused(at, at, surely=False)
    assert (pacer.rate is not None) is is_paced


# How a pace grows.


def growth(pacer: AdaptiveRateLimiter, now: float) -> float:
    """Return by how much it grows when a request goes."""
    before = pacer.rate or 0.0
    pacer.took(now)
    return (pacer.rate or 0.0) / before


@pytest.mark.parametrize(("accepted", "doublings"), [(3, 0.0), (4, 2 / 28), (9, 2 / 28)])
def test_a_pace_recovers_after_four_successes_and_by_no_more_than_it_is_used(
    accepted: int, doublings: float
) -> None:
    pacer = warm()
    pacer.refused(50.0, 50.0, surely=True)
    for nth in range(1, accepted + 1):
        pacer.accepted(50.0 + 0.01 * nth, 50.0 + 0.01 * nth)
    pacer._pace(28.0, 50.0)
    pacer._clean = accepted
    assert growth(pacer, 51.0) == pytest.approx(2.0**doublings)  # two intervals, not the second


@pytest.mark.parametrize(("times", "a_second"), [(1.0, 0.05), (1.4, 0.05), (1.6, 0.2), (2.9, 0.2)])
def test_a_pace_far_above_the_rate_grows_by_a_fifth_a_second(times: float, a_second: float) -> None:
    pacer = warm(rate=10.0)
    pacer.refused(50.0, 50.0, surely=True)
    pacer.rate = times * pacer.ceiling
    assert growth(pacer, 50.01) == pytest.approx(math.exp(a_second * 0.01))
