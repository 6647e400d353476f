"""A rate for servers that limit in silence: it is found, kept, proven or disproven, forgotten."""

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

from core.throttle.books import Parts, announce, ending
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.throttle.limits.adaptive_rate import SLOWEST, AdaptiveRateLimiter
from simulation.servers import TokenBucket
from support.gates import BROKEN, MISSING, OUTAGE, REFUSED, after

UNCODED = OUTAGE._replace(coded=False)


def limiter() -> AdaptiveRateLimiter:
    parts = Parts()
    return AdaptiveRateLimiter(parts.in_flight, parts.quotas)


class Job:
    """Requests as fast as a limiter lets them, to a server that takes no time to answer."""

    def __init__(self, *, surely: bool = False) -> None:
        self.limiter = limiter()
        self.surely = surely
        self.accepted: list[float] = []
        self.refused: list[float] = []

    def one(self, sent: float, is_accepted: bool) -> None:
        self.limiter.started(sent)
        (self.accepted if is_accepted else self.refused).append(sent)
        if is_accepted:
            self.limiter.accepted(sent, sent + 0.001)
        else:
            self.limiter.refused(sent, sent + 0.001, surely=self.surely)

    def limited(self, rate: float, seconds: float) -> float:
        """Send to a bucket of 5 that is refilled at a rate; return when that ended."""
        server, now = TokenBucket(5, 5 / rate, full=True), 0.0
        while (now := max(now + 0.002, self.limiter.open_at(now))) <= seconds:
            self.one(now, server.take(now).accepted)
        return seconds

    def by_chance(self, share: float, seed: int, seconds: float) -> float:
        """Send fifty a second, a crowd where held; return the share of the time that it is."""
        chance, now, held = random.Random(seed), 0.0, 0.0
        while now <= seconds:
            before, is_held = now, self.limiter.rate is not None
            now = max(now + (0.001 if is_held else 0.02), self.limiter.open_at(now))
            held += is_held * (now - before)
            self.one(now, chance.random() >= share)
        return held / seconds


def warm(*, rate: float = 40.0, until: float = 50.0) -> AdaptiveRateLimiter:
    """Return the limiter of a server that took so many a second until then."""
    one = limiter()
    for nth in range(round(10 * rate)):
        at = until - 10.0 + nth / rate
        one.accepted(at, at)
    return one


def refuse(one: AdaptiveRateLimiter, *times: float, surely: bool = False) -> AdaptiveRateLimiter:
    for at in times:
        one.refused(at, at, surely=surely)
    return one


def accept(one: AdaptiveRateLimiter, *times: float) -> AdaptiveRateLimiter:
    for at in times:
        one.accepted(at, at)
    return one


def each(first: float, step: float, count: int) -> list[float]:
    """Return times, one a step."""
    return [first + step * nth for nth in range(count)]


def rate_of(one: AdaptiveRateLimiter) -> float:
    assert one.rate is not None
    return one.rate


# As a whole.


@pytest.mark.parametrize("rate", [2.0, 10.0, 50.0])
def test_a_silent_limit_is_used_well_with_few_refusals(rate: float) -> None:
    job = Job(surely=True)
    job.limited(rate, 120.0)
    accepted, refused = len(job.accepted), len(job.refused)
    assert accepted >= 0.8 * rate * 120.0
    assert refused <= 0.15 * (accepted + refused)


@pytest.mark.parametrize("rate", [20.0, 50.0, 100.0])
def test_a_limiter_that_answers_503_is_found_and_used_well(rate: float) -> None:
    job = Job()
    job.limited(rate, 60.0)
    assert 0.5 * rate <= rate_of(job.limiter) <= 2.0 * rate
    late = [sum(at > 20.0 for at in times) for times in (job.accepted, job.refused)]
    assert late[0] >= 0.75 * rate * 40.0
    assert late[1] <= 0.2 * sum(late)


@pytest.mark.parametrize("seed", range(5))
def test_503s_that_come_by_chance_hold_nobody_back_for_long(seed: int) -> None:
    assert Job().by_chance(0.3, seed, 180.0) <= 0.1, f"seed {seed}"


def test_a_rate_that_grew_far_beyond_the_limit_is_forgotten_after_half_a_minute() -> None:
    """The limit was lifted: nothing is refused any more."""
    job = Job(surely=True)
    now = end = job.limited(10.0, 30.0)
    while now < end + 119.0 and job.limiter.rate is not None:
        now = max(now + 0.002, job.limiter.open_at(now))
        job.one(now, True)
    assert 29.0 <= now - job.refused[-1] <= 60.0


# What begins it.


@pytest.mark.parametrize(
    "one",
    [
        lambda: accept(limiter(), *each(0.0, 0.01, 100)),
        lambda: refuse(limiter(), *each(0.0, 0.05, 500)),  # an outage
        lambda: refuse(warm(), *each(50.0, 0.001, 5)),  # of forty a second: one too few
    ],
)
def test_nothing_is_held_back_where_nothing_looks_like_a_limiter(
    one: Callable[[], AdaptiveRateLimiter],
) -> None:
    found = one()
    assert (found.rate, found.ceiling, found.open_at(60.0)) == (None, math.inf, -math.inf)
    assert found.admit(60.0, 1).is_open
    assert found.has_credit(60.0)


def test_a_503_now_and_then_is_no_limiter() -> None:
    one = limiter()
    for nth in range(1000):
        (refuse if nth % 50 == 49 else accept)(one, 0.05 * nth)
    assert one.rate is None


def test_of_forty_a_second_six_503s_at_once_look_like_a_limiter() -> None:
    one = refuse(warm(), *each(50.0, 0.001, 6))
    assert one.admit(50.005, 1) == (False, "silent_limit", one.open_at(50.005), False)
    assert one.admit(one.open_at(50.005), 1).is_open
    assert not one.has_credit(60.0)


def test_503s_of_long_ago_do_not_make_a_limiter() -> None:
    one = limiter()
    for at in (0.0, 10.0):
        refuse(accept(one, at), at + 0.01, at + 0.02)
    assert one.rate is None
    assert refuse(one, 10.03).rate is not None
    assert refuse(accept(limiter(), 0.0), 0.01, 0.02, 2.9).rate is None


@pytest.mark.parametrize(("gap", "found"), [(2.5, True), (3.5, False)])
def test_503s_are_no_limiter_where_nothing_succeeded_for_three_seconds(
    gap: float, found: bool
) -> None:
    one = accept(limiter(), *each(0.0, 0.1, 4))
    assert (refuse(one, *each(0.3 + gap, 0.01, 8)).rate is not None) is found


def test_what_was_forgotten_makes_nothing_look_like_a_limiter() -> None:
    one = refuse(warm(), 50.0, surely=True)
    one.open_at(171.0)
    assert one.rate is None
    for at in each(171.0, 0.02, 3):  # every other one, which is not yet enough
        refuse(accept(one, at), at + 0.01)
    assert one.rate is None


@pytest.mark.parametrize(
    ("outcome", "found"),
    [
        ({}, "accepted"),
        ({"failure": MISSING}, "accepted"),  # a 404 is no refusal
        ({"failure": REFUSED}, "refused surely"),
        ({"failure": UNCODED}, "refused"),
        ({"failure": OUTAGE}, None),  # it says itself what is wrong
        ({"failure": UNCODED._replace(status=502)}, None),
        ({"failure": BROKEN}, None),
        ({"is_answered": False}, None),
        ({"failure": after(REFUSED, 1.0), "closes": True}, None),  # not in silence
        ({"failure": after(UNCODED, 1.0), "closes": True}, None),
        ({"announced": (announce(1, 0.0),), "failure": REFUSED}, "refused surely"),
        ({"announced": (announce(0, 0.0),), "failure": REFUSED}, None),
        ({"announced": (announce(1, 0.0),), "failure": UNCODED}, None),
        ({"announced": (announce(1, 0.0),)}, "accepted"),
    ],
)
def test_a_refusal_that_nothing_announced_explains_is_of_a_silent_limit(
    outcome: dict[str, Any], found: str | None
) -> None:
    assert heard(Parts(), **outcome) == ([found] if found else [])


@pytest.mark.parametrize(
    ("failure", "found"), [(UNCODED, []), (REFUSED, ["refused surely"]), (None, ["accepted"])]
)
def test_a_server_that_announces_limits_does_not_limit_by_503(
    failure: Failure | None, found: list[str]
) -> None:
    parts = Parts()
    parts.learn(0.0, announce(50, 0.0))
    assert heard(parts, failure=failure) == found


@pytest.mark.parametrize(("in_flight", "found"), [(4, ["refused surely"]), (5, [])])
def test_a_refusal_is_explained_where_what_is_in_flight_takes_what_is_left(
    in_flight: int, found: list[str]
) -> None:
    parts = Parts()
    parts.in_flight.units = in_flight
    assert heard(parts, failure=REFUSED, announced=(announce(5, 0.0),)) == found


def heard(parts: Parts, **outcome: Any) -> list[str]:
    """Return what a limiter takes an outcome for."""
    calls = []

    class Hearing(AdaptiveRateLimiter):
        def accepted(self, sent: float, now: float) -> None:
            calls.append("accepted")
            assert (sent, now) == (0.5, 1.0)

        def refused(self, sent: float, now: float, *, surely: bool) -> None:
            calls.append("refused surely" if surely else "refused")
            assert (sent, now) == (0.5, 1.0)

    outcome_of = ending(1.0, sent=0.5, **outcome)
    if outcome_of.announced:
        parts.learn(1.0, *outcome_of.announced)  # what headers say is learned before
    Hearing(parts.in_flight, parts.quotas).ended(outcome_of)
    return calls


# How fast it is.


def test_the_first_rate_is_seven_tenths_of_what_the_last_second_took() -> None:
    one = refuse(accept(limiter(), *each(0.0, 0.025, 2000)), 50.0, surely=True)
    assert rate_of(one) == pytest.approx(0.7 * 40, rel=0.05)
    assert one.open_at(50.0) == pytest.approx(50.0 + 1 / rate_of(one))


def test_the_first_rate_of_a_server_known_for_less_than_a_second_is_from_that_time() -> None:
    one = refuse(accept(limiter(), *each(100.0, 0.02, 10)), 100.2, surely=True)
    assert rate_of(one) == pytest.approx(0.7 * 50, rel=0.15)


def test_until_something_is_accepted_each_refusal_halves_the_rate_down_to_the_slowest() -> None:
    one = accept(limiter(), *each(0.0, 0.025, 400))
    rates = [rate_of(refuse(one, at, surely=True)) for at in each(10.0, 0.1, 8)]
    assert rates == pytest.approx([max(SLOWEST, rates[0] / 2**nth) for nth in range(8)])
    alone = limiter()
    for at in each(0.0, 2.0, 100):
        alone.refused(at, at + 0.01, surely=True)
        assert rate_of(alone) >= SLOWEST


def test_what_is_not_surely_a_limiter_gets_one_a_second_at_least() -> None:
    one = suspected(accepted=0)
    rates = [refuse(one, at).rate for at in each(50.1, 0.1, 12)]
    assert rates[-3:] == [1.0] * 3


@pytest.mark.parametrize(
    ("accepted", "ceiling"),
    [
        (10, 20.0),  # ten in half a second
        (1, 14.0),
        (5, 14.0),  # it never falls below half of the rate
        (19, 28.0),  # and never rises
    ],
)
def test_a_later_refusal_sets_the_rate_a_little_below_what_was_taken_since(
    accepted: int, ceiling: float
) -> None:
    one = refuse(warm(), 50.0, surely=True)
    assert rate_of(one) == pytest.approx(28.0, rel=0.05)
    one.rate = 28.0
    refuse(accept(one, *each(50.1, 0.01, accepted)), 50.5, surely=True)
    assert one.ceiling == pytest.approx(ceiling)
    grown, sooner = 25 * 0.002, 25 / (accepted + 1)  # in twenty-five successes
    taken_back = 28.0 * math.exp(-grown * sooner * max(1.0, sooner / 2))
    below = max(0.8, 1 - 3 / (accepted + 1)) * ceiling
    assert rate_of(one) == pytest.approx(max(below, taken_back))


def test_what_was_taken_is_measured_over_the_last_refusals_too() -> None:
    one = refuse(warm(), 50.0, surely=True)
    refuse(accept(one, *each(50.05, 0.05, 40)), 52.0, surely=True)
    assert one.ceiling == pytest.approx(20.0)
    refuse(accept(one, *each(52.1, 0.1, 10)), 53.0, surely=True)
    assert one.ceiling == pytest.approx((20 + 10) / (1 + 1))  # half of the former count


def test_a_refusal_of_a_request_that_went_before_the_last_decrease_says_nothing() -> None:
    one = refuse(warm(), 50.0, surely=True)
    before = rate_of(one)
    one.refused(49.9, 50.1, surely=True)
    assert rate_of(one) == before
    one.refused(50.0, 50.2, surely=True)
    assert rate_of(one) < before


def growth(one: AdaptiveRateLimiter, now: float) -> float:
    """Return by how much the rate grows when a request goes."""
    before = rate_of(one)
    one.started(now)
    return rate_of(one) / before


@pytest.mark.parametrize(("accepted", "doublings"), [(3, 0.0), (4, 2 / 28), (9, 2 / 28)])
def test_a_rate_recovers_after_four_successes_and_by_no_more_than_it_is_used(
    accepted: int, doublings: float
) -> None:
    one = accept(refuse(warm(), 50.0, surely=True), *each(50.01, 0.01, accepted))
    one.rate = 28.0
    assert growth(one, 51.0) == pytest.approx(2.0**doublings)  # two intervals, not the second


def test_a_rate_recovers_up_to_nine_tenths_of_the_limit() -> None:
    one = accept(refuse(warm(), 50.0, surely=True), *each(50.01, 0.01, 4))
    one.rate = 0.899 * one.ceiling
    one.started(51.0)
    assert one.rate == pytest.approx(0.9 * one.ceiling)


@pytest.mark.parametrize(("times", "a_second"), [(1.0, 0.05), (1.4, 0.05), (1.6, 0.2), (2.9, 0.2)])
def test_a_rate_far_above_the_limit_grows_by_a_fifth_a_second(
    times: float, a_second: float
) -> None:
    one = refuse(warm(rate=10.0), 50.0, surely=True)
    one.rate = times * one.ceiling
    found = [growth(one, 50.01), growth(one, 50.03)]
    assert found == pytest.approx([math.exp(a_second * 0.01), math.exp(a_second * 0.02)])


@pytest.mark.parametrize(("ceiling", "a_second"), [(2.0, 0.02), (10.0, 0.05), (100.0, 0.2)])
def test_around_the_limit_a_rate_grows_by_so_much_a_request_or_a_second(
    ceiling: float, a_second: float
) -> None:
    one = refuse(warm(rate=10.0), 50.0, surely=True)
    one.rate = one.ceiling = ceiling
    assert growth(one, 50.005) == pytest.approx(math.exp(a_second * 0.005))


def went(one: AdaptiveRateLimiter, now: float) -> float:
    """Send a request as soon as one may go, which succeeds at once; return when it went."""
    now = one.open_at(now)
    one.started(now)
    one.accepted(now, now)
    return now


@pytest.mark.parametrize(("late", "early"), [(0.01, 0.01), (0.02, 0.02), (5.0, 0.02)])
def test_a_timer_that_is_late_does_not_slow_the_rate_and_a_while_without_calls_saves_nothing_up(
    late: float, early: float
) -> None:
    one = refuse(warm(), 50.0, surely=True)
    now = one.open_at(50.0) + late
    one.started(now)
    assert one.open_at(now) == pytest.approx(now - early + 1 / rate_of(one))


def test_what_was_sent_before_there_was_a_rate_is_not_measured() -> None:
    one = refuse(warm(), 50.0, surely=True)
    before = rate_of(one)
    one.accepted(49.9, 50.1)
    assert rate_of(refuse(one, 50.5, surely=True)) == before / 2


# When it is forgotten.


def test_a_rate_near_the_limit_is_kept_for_two_minutes_without_a_refusal() -> None:
    one, now = refuse(warm(rate=100.0), 50.0, surely=True), 50.0
    for _ in range(150):
        now = went(one, now)
    assert now < 53.0
    found = []
    for later in (82.0, 169.0, 170.0, 170.1):
        one.open_at(later)
        found.append(one.rate is not None)
    assert found == [True, True, True, False]
    assert (one.ceiling, one.admit(171.0, 1).is_open) == (math.inf, True)


def test_what_is_not_surely_a_limiter_is_forgotten_when_its_rate_is_not_used_up() -> None:
    one, at, nth = limiter(), 0.0, 0
    while one.rate is None:
        at, nth = 0.02 * nth, nth + 1
        (refuse if nth % 3 == 0 else accept)(one, at)
    assert rate_of(one) > 10.0
    found = []
    for later in (1.0, 2.9, 3.1):
        one.open_at(at + later)
        found.append(one.rate is not None)
        accept(one, at + later)
    assert found == [True, True, False]


def test_what_is_not_surely_a_limiter_is_kept_while_its_rate_is_used_up() -> None:
    one, now = suspected(accepted=1), 50.1
    while now < 55.0 and one.rate is not None:
        now = went(one, now)
    assert one.rate is not None


@pytest.mark.parametrize("accepted", [1, 4])
@pytest.mark.parametrize(("share", "is_kept"), [(3.9, True), (4.1, False)])
def test_no_success_for_four_times_as_long_as_usual_is_an_outage(
    accepted: int, share: float, is_kept: bool
) -> None:
    one, began_at = suspected(accepted=0), 50.005  # at the sixth 503
    accept(one, *each(began_at + 2.0, 2.0, accepted))
    refuse(one, began_at + 2.0 * accepted + share * 2.0)
    assert (one.rate is not None) is is_kept


# Trials.


def suspected(*, accepted: int) -> AdaptiveRateLimiter:
    """Return one that may be a limiter's; so many were accepted at its rate by 50.1."""
    one = refuse(warm(), *each(50.0, 0.001, 6))
    assert one.rate is not None
    return accept(one, *each(50.05, 0.01, accepted))


def tried(one: AdaptiveRateLimiter, *outcomes: bool, at: float = 50.1) -> AdaptiveRateLimiter:
    """Refuse one, which begins a trial, and what the server had room for; then the outcomes."""
    refuse(one, at)
    refuse(one, *[at] * math.ceil(one.ceiling * 0.02))
    for is_accepted in outcomes:
        (accept if is_accepted else refuse)(one, at)
    return one


def is_sure(one: AdaptiveRateLimiter, at: float = 50.2) -> bool:
    """Whether it is proven to be a limiter: a refusal begins no other trial."""
    return refuse(one, at).open_at(at) > at


def test_a_trial_admits_twelve_beside_those_that_the_server_may_have_room_for() -> None:
    one = warm()
    for at in each(50.0, 0.001, 8):
        accept(refuse(one, at), at)
    refuse(one, 50.1)
    gone = 0
    while one.admit(50.11, 1).is_open and gone < 100:
        one.started(50.11)
        gone += 1
    assert gone == 12 + math.ceil(one.ceiling * 0.02)


@pytest.mark.parametrize(("at", "is_open"), [(50.12, True), (50.121, False)])
def test_a_trial_takes_the_fiftieth_of_a_second(at: float, is_open: bool) -> None:
    one = refuse(suspected(accepted=1), 50.1)
    assert one.admit(at, 1).is_open is is_open


@pytest.mark.parametrize(
    ("outcomes", "proven"),
    [
        ([False] * 4, False),
        ([False] * 5, True),
        ([False] * 5 + [True] * 3, True),  # once proven, it stays so
        ([False, True] * 3 + [False] * 4, False),
        ([False, True] * 3 + [False] * 5, True),
    ],
)
def test_five_refusals_more_than_successes_in_trials_prove_a_limiter(
    outcomes: list[bool], proven: bool
) -> None:
    assert is_sure(tried(suspected(accepted=1), *outcomes)) is proven


@pytest.mark.parametrize(("successes", "is_kept"), [(3, True), (4, False)])
def test_four_successes_more_than_refusals_in_trials_disprove_it(
    successes: int, is_kept: bool
) -> None:
    one = tried(suspected(accepted=1), *[True] * successes)
    assert (one.rate is not None) is is_kept


def test_where_nothing_was_accepted_at_its_rate_trials_prove_nothing() -> None:
    assert not is_sure(tried(suspected(accepted=0), *[False] * 9))


def test_what_was_found_to_be_no_limiter_is_not_looked_at_again_for_a_minute() -> None:
    one = tried(suspected(accepted=1), *[True] * 4)
    for begin, found in ((51.0, False), (105.0, False), (110.1, True)):
        for nth, at in enumerate(each(begin, 0.1, 40)):
            (accept if nth % 2 else refuse)(one, at)
        assert (one.rate is not None) is found


@pytest.mark.parametrize("says_so", [True, False])
def test_what_was_known_of_a_limiter_that_is_forgotten_counts_no_more(says_so: bool) -> None:
    if says_so:
        one = refuse(warm(), 50.0, surely=True)
    else:
        one = tried(suspected(accepted=1), *[False] * 5)
    accept(one, *each(50.3, 0.1, 30)).open_at(180.0)
    refuse(accept(one, *each(180.0, 0.025, 400)), *each(190.0, 0.001, 6))
    before = rate_of(one)
    refuse(one, 190.1)
    assert rate_of(one) == before / 2  # nothing was accepted at this rate
    assert one.open_at(190.1) <= 190.1  # a trial, for it may be none


@pytest.mark.parametrize(("successes", "is_lower"), [(18, True), (19, False)])
def test_after_twenty_successes_one_503_may_be_chance(successes: int, is_lower: bool) -> None:
    one = suspected(accepted=1)
    accept(one, *each(50.06, 0.001, successes))
    before = rate_of(one)
    refuse(one, 50.1)
    assert (rate_of(one) < before) is is_lower
    before = rate_of(one)
    assert rate_of(refuse(one, 50.2)) < before  # and not another one, soon after


@pytest.mark.parametrize(("step", "holds"), [(0.7, False), (0.1, True)])
def test_503s_in_a_row_hold_everybody_only_if_several_come_within_a_second(
    step: float, holds: bool
) -> None:
    one = refuse(accept(limiter(), 0.0), *each(0.01, 0.01, 3), *each(0.7, step, 4))
    assert one.rate is not None
    assert one.window.is_on is holds
