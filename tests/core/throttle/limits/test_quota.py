"""One policy: what is left of it, when more is certain, and what a refusal teaches."""

import math
from collections.abc import Callable
from typing import Any

import pytest

from core.throttle.books import FINE, UNIT, ask, held_until, observe
from httpx_resilience._core.headers import RateLimit
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.windows import (
    BUCKET,
    FIXED,
    GUARD,
    INDETERMINATE,
    LOG,
    MAX_PROBES,
    SETTLED,
    SLIDING_COUNTER,
    UNKNOWN,
)
from simulation.servers import LIMITERS

EPOCH = 1.7e9


def spend(quota: Quota, index: int, *, limit: int = 100) -> str:
    """Spend a fixed window of a minute; return what it is taken for then."""
    start = 60.0 * index
    observe(quota, limit - 1, start + 0.1, end=start + 60, limit=limit)
    quota.processed += limit - 1  # nobody else spends of it
    return observe(quota, 0, start + 20, end=start + 60, limit=limit).kind


def fixed(remaining: int, limit: int = 100) -> Quota:
    """Return one whose windows are fixed; the present one ends at 60."""
    quota = Quota()
    for index in (-3, -2, -1):
        spend(quota, index, limit=limit)
    observe(quota, limit, 0.0, limit=limit)
    assert quota.kind == FIXED
    quota.processed += limit - remaining
    return observe(quota, remaining, 0.0, limit=limit)


def refused(remaining: int, *, at_reset: bool = False, **more: Any) -> Quota:
    """Return one that is careful after a refusal; what is left was announced at 1."""
    quota = observe(Quota(), 50, 0.0)
    quota.distrust(at_reset=at_reset)
    return observe(quota, remaining, 1.0, **more)


def budding() -> Quota:
    """Return a bucket of 20 that the next response makes known; one comes back a second."""
    quota = Quota()
    for taken in range(1, 6):
        observe(quota, 20 - taken, 0.0, limit=20, end=float(taken))
    assert quota.kind != BUCKET
    return quota


def bucket(remaining: int = 6, **more: Any) -> Quota:
    quota = observe(budding(), remaining, 0.0, limit=20, end=20.0 - remaining, **more)
    assert quota.kind == BUCKET
    return quota


# What is left.


def test_what_is_in_flight_reserved_or_unseen_is_not_left() -> None:
    quota = observe(Quota(), 20, 0.0)
    quota.reserve = 2
    assert (quota.remaining, quota.left(0), quota.left(5)) == (20, 18, 13)
    quota.miss(1.0)
    quota.miss(1.5)
    assert quota.left(5) == 11


def test_of_silent_responses_those_are_counted_that_came_after_the_latest_request_went() -> None:
    quota = observe(Quota(), 20, 0.0)
    for at in (1.0, 1.5, 2.0, 2.5):
        quota.miss(at)
    assert observe(quota, 17, 1.6, 2.6).left(0) == 17 - 2
    assert observe(quota, 15, 3.0).left(0) == 15


@pytest.mark.parametrize(("sent", "left"), [(1.0, 18), (2.0, 19), (2.5, 19)])
def test_a_response_that_did_not_mention_it_is_counted_until_one_was_sent_after_it(
    sent: float, left: int
) -> None:
    quota = observe(Quota(), 20, 0.0)
    quota.miss(2.0)
    assert quota.left(0) == 19
    assert observe(quota, 19, sent, 3.0).left(0) == left


def test_a_response_older_than_the_evidence_is_no_evidence() -> None:
    quota = observe(Quota(), 20, 5.0, 6.0)
    assert observe(quota, 3, 1.0, 4.999).remaining == 20
    assert observe(quota, 3, 1.0, 5.0).remaining == 3


def test_a_response_that_names_no_remainder_is_no_evidence() -> None:
    quota = observe(Quota(), None, 0.0)
    assert (quota.has_evidence, quota.limit, quota.end.high) == (False, 100, math.inf)


def test_each_response_that_mentions_it_is_noted() -> None:
    quota = Quota()
    quota.unmentioned = 2
    assert observe(quota, None, 0.0).unmentioned == 0


# When more is certain.


@pytest.mark.parametrize(
    ("reset_at", "low", "nominal", "high"),
    [(None, 129.0, 130.2, 131.4), (EPOCH + 30, 128.0, 129.7, 131.4)],
)
def test_a_window_ends_as_late_as_a_reset_may_be_and_a_moment_later(
    reset_at: float | None, low: float, nominal: float, high: float
) -> None:
    quota, clock = Quota(), ServerClock()
    clock.observe(EPOCH, 100.0, 100.4)
    quota.observe(RateLimit(10, 0, 30.0, reset_at, 1.0), 100.0, 100.4, clock, 0)
    assert quota.end == pytest.approx((low, nominal, high + GUARD))


def test_a_stated_window_ends_a_window_after_its_first_response_at_the_latest() -> None:
    quota = Quota()
    quota.window = 10.0
    for at, remaining in ((100.0, 2), (103.0, 1), (106.0, 0)):
        observe(quota, remaining, at, end=117.0, granularity=2.0)
    assert quota.end == pytest.approx((110.0 + GUARD,) * 3)
    observe(quota, 0, 107.0, end=111.0, granularity=2.0)  # and begins with the one that is ended
    assert quota.end.high == pytest.approx(111.0 + FINE + GUARD, abs=2.0)


def test_a_stated_window_of_a_sliding_counter_bounds_nothing() -> None:
    quota = refused(1, at_reset=True)
    quota.window = 10.0
    assert observe(quota, 1, 2.0).end.high == pytest.approx(60.0 + FINE + GUARD + 0.25)


def test_a_probe_where_no_reset_is_announced_waits_for_the_time_of_a_unit_at_least() -> None:
    quota = Quota()
    quota.window = 60.0
    quota.limit = 10
    assert observe(quota, 0, 100.0, limit=10, end=None).end.high == pytest.approx(106.0 + GUARD)


def test_the_end_of_a_window_is_doubted_the_longer_the_more_refusals_came_up_to_a_second() -> None:
    quota, found = observe(Quota(), 0, 0.0), []
    for nth in range(1, 7):
        quota.distrust(at_reset=False)
        found.append(observe(quota, 0, float(nth)).end.high - 60.0 - FINE - GUARD)
    assert found == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0, 1.0])


@pytest.mark.parametrize(("remaining", "more"), [(0, 1.25 * 59.0 / 100), (1, 0.0), (5, 0.0)])
def test_a_sliding_counter_without_units_left_gives_none_at_its_reset(
    remaining: int, more: float
) -> None:
    quota = Quota()
    quota.distrust(at_reset=True)
    observe(quota, remaining, 1.0)
    assert quota.kind == SLIDING_COUNTER
    assert quota.end.high == pytest.approx(60.0 + FINE + GUARD + 0.25 + more)


@pytest.mark.parametrize(
    ("quota", "is_now"),
    [
        (lambda: fixed(0), False),
        (lambda: refused(0), False),
        (budding, True),  # its resets moved with what was missing
        (bucket, True),
        (lambda: observe(observe(budding(), 0, 5.1, limit=20, end=5.6), 0, 5.2, limit=20), False),
    ],
)
def test_no_unit_comes_back_before_a_windows_end_but_in_a_bucket(
    quota: Callable[[], Quota], is_now: bool
) -> None:
    one = quota()
    assert one.next_unit_at(2.0) == (2.0 if is_now else one.end.low)
    assert one.end.low > 2.0


# Whether one more may go.


def test_evidence_with_units_left_stays_good_past_its_reset() -> None:
    admission = ask(observe(Quota(), 50, 0.0), 1e6)
    assert (admission.is_open, admission.is_probe) == (True, False)


def test_nothing_goes_while_none_is_left_and_one_probe_when_the_reset_is_certain() -> None:
    quota = observe(Quota(), 0, 0.0)
    high = quota.end.high
    assert ask(quota, high - 1e-6) == (False, "exhausted", high, False)
    due = ask(quota, high)
    assert (due.is_open, due.is_probe) == (True, True)
    assert held_until(ask(quota, high, 1, settles_at=high + 5.0)) == high + 5.0
    assert ask(quota, high + 5.0, 1, settles_at=high + 5.0).is_probe


def test_a_few_units_are_kept_back_and_released_by_the_end_of_the_window() -> None:
    quota = observe(Quota(), 3, 1.0, granularity=1.0)
    step = held_until(ask(quota, 2.0))
    assert 60.0 < step < quota.end.high
    assert not ask(quota, step - 1e-6).is_open
    assert (ask(quota, step).is_open, ask(quota, step).is_probe) == (True, False)
    assert not ask(quota, step, 1).is_open
    assert observe(quota, 4, 2.0).left(0) == 4
    assert ask(quota, 2.0).is_open  # the one that is not kept back


@pytest.mark.parametrize("limit", [0, 1])
def test_a_limit_of_one_keeps_nothing_back_and_one_of_zero_gives_nothing(limit: int) -> None:
    quota = observe(Quota(), limit, 0.0, limit=limit)
    assert ask(quota, 1.0).is_open is (limit == 1)
    assert ask(quota, quota.end.high).is_open


@pytest.mark.parametrize(("limit", "more"), [(6, 1.5 * 60 / 6 / 0.97 - SETTLED), (100, 0.0)])
def test_after_a_probe_that_hangs_the_next_waits_for_what_a_unit_takes(
    limit: int, more: float
) -> None:
    quota = observe(Quota(), 0, 0.0, limit=limit)
    settles_at = quota.end.high + SETTLED
    waits = ask(quota, quota.end.high, 1, settles_at=settles_at)
    assert held_until(waits) == pytest.approx(settles_at + more)
    assert ask(quota, settles_at + more + 0.001, 1, settles_at=settles_at).is_probe


@pytest.mark.parametrize(("outstanding", "more"), [(1, 0.0), (2, 60.0), (3, 60.0)])
def test_probes_that_may_have_taken_a_fixed_window_wait_for_the_next(
    outstanding: int, more: float
) -> None:
    quota = fixed(0, 2)
    settles_at = quota.end.high + SETTLED
    assert ask(quota, quota.end.high).is_probe
    waits = ask(quota, quota.end.high, outstanding, settles_at=settles_at)
    assert held_until(waits) == pytest.approx(settles_at + more)


@pytest.mark.parametrize(
    ("limit", "remaining", "cost", "is_open"),
    [
        (1, 1, 2, True),  # more than the limit is treated as the limit
        (3, 3, 50, True),
        (3, 2, 50, False),
        (3, 2, 2, True),
        (3, 1, 2, False),
        (None, 3, 1, True),
        (None, 3, 3, True),
        (None, 3, 4, False),
        (100, 11, 1, True),
    ],
)
def test_there_must_be_room_for_all_that_a_request_costs(
    limit: int | None, remaining: int, cost: int, is_open: bool
) -> None:
    quota = (
        observe(Quota(), remaining, 0.0, limit=limit) if limit is None else fixed(remaining, limit)
    )
    assert ask(quota, 1.0, cost=cost).is_open is is_open


@pytest.mark.parametrize(("left", "is_open"), [(11, True), (10, False)])
def test_a_cost_is_paid_beside_the_units_kept_back(left: int, is_open: bool) -> None:
    quota = observe(Quota(), left, 0.0, limit=1000)  # three of which are kept back
    assert ask(quota, 1.0, cost=8).is_open is is_open


@pytest.mark.parametrize(
    ("quota", "credit"),
    [
        (lambda: fixed(100), 95 - MAX_PROBES),
        (lambda: observe(Quota(), 100, 0.0), 95 - MAX_PROBES),
        (lambda: bucket(outstanding=0), 0),
        (Quota, 0),
    ],
)
def test_so_many_units_may_go_without_another_look(quota: Callable[[], Quota], credit: int) -> None:
    assert quota().fast_path_credit(5) == credit


# Units kept back that trickle.


@pytest.mark.parametrize("at_reset", [True, False])
def test_of_the_units_kept_back_one_goes_each_unit_time(at_reset: bool) -> None:
    quota = refused(2, at_reset=at_reset)
    assert ask(quota, 1.0).is_open
    quota.started(1.0, 1)
    assert held_until(ask(quota, 1.01, 1)) == pytest.approx(1.0 + UNIT)
    assert ask(quota, 1.0 + UNIT + 1e-6, 1).is_open
    quota.started(59.9, 1)
    step = held_until(ask(quota, 59.95, 1))
    assert quota.end.nominal < step < 59.9 + UNIT  # the reset is before its trickle


def test_units_beyond_those_kept_back_set_no_pace() -> None:
    quota = refused(4)
    quota.started(1.0, 1)
    assert ask(quota, 1.0, 1).is_open
    quota.started(1.0, 2)
    assert not ask(quota, 1.0, 2).is_open


def test_a_log_that_is_found_releases_the_units_kept_back_one_each_unit_time() -> None:
    quota = Quota()
    for at, remaining in ((0.0, 99), (1.0, 99), (30.0, 0)):  # a unit a second came back before
        observe(quota, remaining, at, granularity=2.0)
    observe(quota, 1, 60.1, end=63.0, outstanding=3, granularity=2.0)
    assert quota.kind == LOG
    assert held_until(ask(quota, 60.2)) == pytest.approx(60.1 + UNIT)
    assert ask(quota, 60.1 + UNIT + 1e-6).is_open


def test_requests_that_went_before_a_refusal_hold_back_nothing_after_it() -> None:
    quota = observe(Quota(), 3, 0.0)
    quota.started(0.9, 1)
    quota.distrust(at_reset=False)
    quota.started(0.95, 1)
    assert ask(observe(quota, 2, 1.0), 1.0).is_open


def unit_time(quota: Quota, now: float, **more: Any) -> float:
    """Return the seconds after which another unit that is kept back goes."""
    observe(quota, 2, now, **more)
    quota.started(now, 1)
    return held_until(ask(quota, now, 1)) - now


@pytest.mark.parametrize(
    ("at_reset", "remaining", "measured"),
    [
        (False, (50, 50), 1 / 0.97),
        (True, (50, 50), 1 / 0.97),
        (False, (50, 60), 1 / 11 / 0.97),
        (True, (50, 60), UNIT),  # a sliding counter gives no faster than its window says
        (False, (50, 49), UNIT),  # nothing came back
        (False, (99, 99), 1 / 0.97),  # full, but there was no time to lose any
    ],
)
def test_the_time_of_a_unit_is_measured_by_what_came_back(
    at_reset: bool, remaining: tuple[int, int], measured: float
) -> None:
    quota = refused(remaining[0], at_reset=at_reset)
    observe(quota, remaining[1], 2.0)
    assert unit_time(quota, 2.1) == pytest.approx(measured)


def test_what_was_not_mentioned_may_have_taken_units_that_came_back() -> None:
    quota = refused(50)
    quota.miss(1.5)
    observe(quota, 50, 2.0)
    assert unit_time(quota, 2.1) == pytest.approx(1 / 2 / 0.97)


@pytest.mark.parametrize(
    ("remaining", "outstanding", "is_measured"),
    [(98, 0, True), (99, 0, False), (94, 4, True), (94, 5, False)],
)
def test_a_window_that_was_full_for_long_may_have_lost_what_came_back(
    remaining: int, outstanding: int, is_measured: bool
) -> None:
    quota = refused(remaining, at_reset=True)
    observe(quota, remaining, 62.0, end=120.0, outstanding=outstanding)
    assert (unit_time(quota, 62.1, end=120.0) > UNIT + 1e-6) is is_measured


def test_a_refusal_begins_another_measurement() -> None:
    quota = refused(50)
    quota.distrust(at_reset=False)
    observe(quota, 90, 2.0)
    assert unit_time(quota, 2.1) == pytest.approx(UNIT)


@pytest.mark.parametrize(
    ("before", "end", "span"), [(6, 1000.0, 60.0), (None, 1000.0, 1000.0), (7, 1000.0, 1000.0)]
)
def test_the_time_of_a_unit_is_of_the_longest_window_since_the_limit_changed(
    before: int | None, end: float, span: float
) -> None:
    quota = observe(Quota(), 3, 0.0, limit=before, end=end)
    observe(quota, 0, 1.0, limit=7, end=61.0)
    hangs = held_until(ask(quota, quota.end.high, 1, settles_at=100.0))
    assert hangs == pytest.approx(100.0 + 1.5 * span / 7 / 0.97 - SETTLED)


def test_what_a_changed_limit_keeps_back_counts_at_once() -> None:
    quota = observe(Quota(), 1, 0.0)
    assert not ask(quota, 1.0).is_open
    assert ask(observe(quota, None, 1.0, limit=1), 1.0).is_open


def test_how_fast_units_come_back_is_measured_anew_when_the_limit_changed() -> None:
    quota = refused(50)
    observe(quota, 60, 2.0)
    quota.distrust(at_reset=False)
    assert unit_time(quota, 3.0) == pytest.approx(1 / 11 / 0.97)  # what was measured stays
    observe(quota, 2, 4.0, limit=200)
    quota.distrust(at_reset=False)
    assert unit_time(quota, 5.0, limit=200) == pytest.approx(56 / 200 / 0.97)


# What shows the kind of window, and what a refusal teaches.


def test_a_refusal_voids_the_evidence_and_makes_it_careful() -> None:
    quota = fixed(50)
    quota.miss(0.5)
    quota.distrust(at_reset=False)
    assert (quota.kind, quota.has_evidence, quota.remaining) == (INDETERMINATE, False, 0)
    assert (quota.end.low, quota.end.high, quota.penalty) == (math.inf, math.inf, 0.25)
    assert observe(quota, 9, 0.2, 1.0).left(0) == 9  # what was not mentioned is forgotten, too
    quota.distrust(at_reset=True)
    assert (quota.kind, quota.penalty) == (SLIDING_COUNTER, 0.5)
    assert observe(quota, 5, 61.0, end=120.0).kind == SLIDING_COUNTER


def test_each_window_that_gives_back_everything_halves_the_caution_after_refusals() -> None:
    quota = observe(Quota(), 50, 0.0)
    for _ in range(2):
        quota.distrust(at_reset=False)
    found = []
    for index in range(9):
        spend(quota, index)
        found.append(quota.penalty)
    assert found == [0.5, 0.25, 0.125, 0.0625, 0.03125, 0.015625, 0.0078125, 0.0, 0.0]


def test_a_changed_limit_is_taken_at_once_and_its_window_learned_anew() -> None:
    quota = fixed(50)
    observe(quota, 5, 41.0, limit=10)
    assert (quota.limit, quota.kind) == (10, UNKNOWN)
    assert not ask(quota, 42.0, 5).is_open
    assert observe(quota, 900, 43.0, limit=1000).remaining == 900
    assert ask(quota, 44.0, 5).is_open
    assert [spend(quota, index, limit=50) for index in (1, 2, 3)] == [UNKNOWN, FIXED, FIXED]


# Buckets.


def test_a_bucket_is_recognised_by_its_resets_and_needs_no_probe() -> None:
    quota, server, at = Quota(), LIMITERS["bucket_full"](20, 20.0), 0.0
    for _ in range(20):
        quota.started(at, 1)
        answer = server.take(at)
        observe(quota, answer.remaining, at, at + 0.001, limit=20, end=answer.reset)
        at += 0.01
    assert quota.kind == BUCKET
    retry_at = held_until(ask(quota, at, settles_at=at + 5))
    assert at < retry_at < at + 2.5  # a token a second
    later = ask(quota, retry_at, settles_at=math.inf)
    assert (later.is_open, later.is_probe) == (True, False)
    assert server.take(retry_at).accepted


def test_what_is_in_flight_or_reserved_is_not_in_the_bucket() -> None:
    quota = bucket(outstanding=3)
    assert ask(quota, 0.0, 3, cost=3).is_open
    assert held_until(ask(quota, 0.0, 3, cost=4)) == pytest.approx(1.0, abs=0.3)
    quota.reserve = 1
    assert held_until(ask(quota, 0.0, 3, cost=3)) == pytest.approx(1.0, abs=0.3)
    quota.reserve = 0
    quota.started(0.0, 4, 1)
    assert held_until(ask(quota, 0.0, 4, cost=3)) == pytest.approx(1.0, abs=0.3)


def test_what_was_not_mentioned_meanwhile_is_not_in_the_bucket() -> None:
    quota = budding()
    quota.miss(0.002)
    observe(quota, 6, 0.001, 0.003, limit=20, end=14.0)
    assert quota.kind == BUCKET
    assert ask(quota, 0.003, cost=5).is_open
    assert not ask(quota, 0.003, cost=6).is_open


def test_a_bucket_that_gives_less_than_it_should_is_none_any_more() -> None:
    """Somebody else spends, or it was never one: no unit is expected of it."""
    quota = bucket()
    observe(quota, 2, 10.0, limit=20, end=28.0)
    assert quota.kind == INDETERMINATE
    assert not ask(quota, 10.0, 2).is_open


def test_a_refusal_voids_what_was_known_of_a_bucket() -> None:
    quota = bucket()
    quota.distrust(at_reset=False)
    assert observe(quota, 7, 1.0, limit=20, end=14.0).kind == INDETERMINATE


def test_a_window_that_was_seen_to_be_fixed_is_not_taken_for_a_bucket() -> None:
    quota = Quota()
    for start in (-180.0, -120.0, -60.0, 0.0):
        observe(quota, 19, start, limit=20, end=start + 60.0)
    for at, remaining in ((0.1, 14), (4.1, 18)):  # as if one came back a second
        assert observe(quota, remaining, at, limit=20, end=6.1).kind == FIXED
