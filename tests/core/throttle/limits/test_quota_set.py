"""A scope's policies: which there are, whether one is used up, when room is expected."""

import math
from typing import Any

import pytest

from core.throttle.books import FINE, Parts, announce, ending
from httpx_resilience import RateLimitChanged, RateLimitLow
from httpx_resilience._core.headers import Wait
from httpx_resilience._core.throttle import Ticket
from httpx_resilience._core.throttle.admission import Ending
from httpx_resilience._core.throttle.in_flight import ABANDONED
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.quota_set import MAX_QUOTAS, QuotaSet
from httpx_resilience._core.throttle.limits.windows import (
    GUARD,
    INDETERMINATE,
    MAX_PROBES,
    SETTLED,
    SLIDING_COUNTER,
    UNKNOWN,
)
from support.gates import EPOCH, OUTAGE, REFUSED, after, left

ANNOUNCED = announce(90, 0.0)
OTHERS: dict[str, Any] = {"bucket": "burst", "unit": "tokens", "window": 60.0}
BURST = announce(50, 0.0, end=5.0, bucket="burst")


def learned(*announced: Any, outstanding: int = 0, **policy: Any) -> QuotaSet:
    """Return the quotas of a scope that one response at 0 announced."""
    parts = Parts(**policy)
    parts.in_flight.units = outstanding
    return parts.learn(0.0, *announced)


# Which there are.


def test_policies_are_told_apart_by_bucket_unit_window_and_else_their_order() -> None:
    parts = Parts()
    for at, remaining in ((0.0, 30), (1.0, 20)):
        alike = [announce(remaining - nth, at) for nth in range(3)]
        others = [announce(9, at, **{key: value}) for key, value in OTHERS.items()]
        parts.learn(at, *alike, *others)
    assert [quota.remaining for quota in parts.quotas.values()] == [20, 19, 18, 9, 9, 9]
    assert [quota.unit for quota in parts.quotas.values()].count("tokens") == 1
    assert [quota.bucket for quota in parts.quotas.values()].count("burst") == 1


def test_where_there_is_one_policy_it_is_at_hand() -> None:
    parts = Parts()
    assert parts.quotas.only is None
    (quota,) = parts.learn(0.0, ANNOUNCED).values()
    assert parts.quotas.only is quota
    assert parts.learn(1.0, announce(80, 1.0), announce(9, 1.0, bucket="b")).only is None


@pytest.mark.parametrize(
    ("mentions", "now", "dropped"), [(3, 6.0, True), (2, 6.0, False), (3, 4.0, False)]
)
def test_a_policy_that_three_responses_leave_out_is_dropped_after_its_reset(
    mentions: int, now: float, dropped: bool
) -> None:
    parts = Parts()
    parts.learn(0.0, ANNOUNCED, BURST)
    for nth in range(mentions):
        at = now - 1.0 + 0.1 * nth if nth < mentions - 1 else now
        parts.learn(at, announce(80, at))
    assert len(parts.quotas) == 2 - dropped
    assert (parts.quotas.only is not None) is dropped


def test_a_policy_that_is_mentioned_again_is_kept_and_so_is_one_where_nothing_is() -> None:
    parts = Parts()
    parts.learn(0.0, ANNOUNCED, BURST)
    for at in (6.0, 6.1):
        parts.learn(at, announce(80, at))
    parts.learn(6.2, announce(80, 6.2), announce(9, 6.2, end=7.0, bucket="burst"))
    for at in (8.0, 8.1):
        parts.learn(at, announce(80, at))
    for at in (9.0, 9.1, 9.2):
        parts.quotas.miss(set(), at)
    assert len(parts.quotas) == 2


def test_of_too_many_policies_those_go_that_were_left_out_for_longest() -> None:
    parts = Parts()
    parts.learn(0.0, *[announce(9, 0.0, end=1e5, bucket=f"{nth}") for nth in range(20)])
    for nth in range(100, 160):
        kept = announce(9, 1.0, end=1e5, bucket="10")
        parts.learn(1.0, kept, announce(9, 1.0, end=1e5, bucket=f"{nth}"))
    names = {quota.bucket for quota in parts.quotas.values()}
    assert len(names) == MAX_QUOTAS
    assert names >= {"10", *(f"{nth}" for nth in range(100, 160))}


@pytest.mark.parametrize(
    ("policy", "announced", "found"), [(None, 60.0, 60.0), (2.0, 60.0, 2.0), (2.0, None, 2.0)]
)
def test_a_window_is_what_the_policy_says_else_what_the_server_says(
    policy: float | None, announced: float | None, found: float
) -> None:
    quotas = learned(announce(50, 0.0, window=announced), window=policy)
    assert [quota.window for quota in quotas.values()] == [found]


@pytest.mark.parametrize("announced", [(ANNOUNCED,), (ANNOUNCED, BURST)])
def test_limits_that_vanish_are_reported_with_what_they_were(announced: Any) -> None:
    parts = Parts()
    parts.learn(0.0, *announced).vanish(2.0)
    assert (len(parts.quotas), parts.quotas.only, parts.quotas.has_evidence) == (0, None, False)
    gone = [event for event in parts.events if isinstance(event, RateLimitChanged)]
    gone = gone[len(announced) :]
    assert [(event.previous, event.rate_limit) for event in gone] == [(100, None)] * len(announced)


def test_a_limit_that_appears_changes_or_runs_low_is_reported() -> None:
    parts = Parts()
    for at, limit, remaining in ((0.0, 100, 10), (1.0, 50, 4)):
        parts.learn(at, announce(remaining, at, limit=limit))
    changed, again, low = parts.events
    assert isinstance(changed, RateLimitChanged)
    assert isinstance(again, RateLimitChanged)
    assert isinstance(low, RateLimitLow)
    assert (changed.previous, again.previous, low.rate_remaining) == (None, 100, 4)


# What may go.


@pytest.mark.parametrize(
    ("remaining", "outstanding", "is_drained"),
    [((0,), 0, True), ((5,), 5, True), ((5,), 6, True), ((6,), 5, False), ((6, 90), 6, True)],
)
def test_scopes_are_drained_where_any_policy_has_nothing_left(
    remaining: tuple[int, ...], outstanding: int, is_drained: bool
) -> None:
    quotas = learned(*[announce(each, 0.0) for each in remaining])
    assert quotas.are_drained(outstanding) is is_drained


def test_all_policies_with_evidence_must_agree() -> None:
    quotas = learned(
        announce(0, 0.0, end=5.0),
        announce(0, 0.0, bucket="day"),
        announce(None, 0.0, bucket="none"),
    )
    ends = [quota.end.high for quota in quotas.values() if quota.has_evidence]
    for now, retry_at in ((1.0, ends[0]), (ends[0], ends[1])):
        assert quotas.admit(now, 1) == (False, "exhausted", retry_at, False)
    assert quotas.admit(ends[1], 1) == (True, "", math.inf, True)


def test_a_request_is_a_probe_if_it_is_one_for_any_policy() -> None:
    quotas = learned(announce(0, 0.0, end=5.0), announce(90, 0.0, bucket="day"))
    assert quotas.admit(6.0, 1).is_probe
    assert not learned(ANNOUNCED).admit(6.0, 1).is_probe
    assert Parts().quotas.admit(6.0, 1).is_open


def test_a_request_in_flight_is_taken_as_counted_some_seconds_after_the_last_one_went() -> None:
    parts = Parts()
    parts.learn(0.0, announce(0, 0.0, end=5.0))
    parts.in_flight.last_started_at = 5.5
    assert parts.quotas.admit(6.0, 1).is_probe
    parts.in_flight.units = 1
    assert parts.quotas.admit(6.0, 1).retry_at == 5.5 + SETTLED


def abandon(parts: Parts, cost: int, granted_at: float) -> None:
    ticket = Ticket(0, math.inf, 0.0, cost)
    ticket.granted_at = granted_at
    parts.in_flight.abandon(ticket, granted_at)


def test_what_is_held_back_for_abandoned_requests_waits_until_they_are_counted_no_more() -> None:
    parts = Parts()
    parts.learn(0.0, announce(1, 0.0, limit=1, end=600.0))
    abandon(parts, 1, 1.0)
    assert parts.quotas.admit(2.0, 1).retry_at == 1.0 + ABANDONED
    assert parts.quotas.admit(1.0 + ABANDONED, 1).is_open
    assert parts.in_flight.units == 0


@pytest.mark.parametrize(
    ("announced", "outstanding", "credit"),
    [
        ((), 0, 0),
        ((announce(90, 0.0),), 5, 85 - MAX_PROBES),
        ((announce(90, 0.0), announce(40, 0.0, bucket="b")), 5, 35 - MAX_PROBES),
        ((announce(None, 0.0),), 0, 0),
    ],
)
def test_so_many_units_may_go_without_another_look(
    announced: tuple[Any, ...], outstanding: int, credit: int
) -> None:
    parts = Parts()
    parts.learn(0.0, *announced)
    parts.in_flight.units = outstanding
    assert parts.quotas.fast_path_credit() == credit
    assert parts.quotas.has_credit(0.0) is bool(announced)


def test_a_request_that_went_is_noted_with_what_is_in_flight_and_what_it_costs() -> None:
    parts = Parts()
    for taken in (*range(1, 6), 14):  # a bucket of 20 to which one comes back a second
        parts.learn(0.0, announce(20 - taken, 0.0, limit=20, end=float(taken)))
    parts.quotas.started(0.0, 4)
    parts.in_flight.units = 4
    assert parts.quotas.admit(0.0, 2).is_open
    assert not parts.quotas.admit(0.0, 3).is_open


def test_room_is_expected_at_the_ends_of_the_windows_that_have_nothing_left() -> None:
    quotas = learned(
        announce(0, 0.0, bucket="spent", end=60.0),
        announce(1, 0.0, bucket="nearly", end=70.0),
        announce(50, 0.0, bucket="plenty", end=80.0),
        announce(0, 0.0, bucket="over", end=5.0),
        announce(None, 0.0, bucket="unknown", end=90.0),
    )
    assert quotas.ends(10.0) == pytest.approx([60.0 + FINE + GUARD])
    assert quotas.resets(10.0) == pytest.approx([60.0 - FINE, 5.0 - FINE])
    quotas.distrust(at_reset=False)
    assert (quotas.ends(10.0), quotas.resets(10.0)) == ([], [])


# What responses say.


@pytest.mark.parametrize(
    ("outcome", "is_refused", "kind"),
    [
        (ending(70.0, is_probe=True), True, SLIDING_COUNTER),
        (ending(70.0), True, INDETERMINATE),
        (ending(70.0, is_probe=True), False, UNKNOWN),  # trouble says nothing of the limits
    ],
)
def test_a_refusal_that_names_a_time_voids_what_was_known(
    outcome: Ending, is_refused: bool, kind: str
) -> None:
    parts = Parts()
    parts.learn(0.0, announce(9, 0.0), announce(None, 0.0, bucket="none"))
    failure = after(REFUSED if is_refused else OUTAGE, 1.0)
    parts.quotas.ended(outcome._replace(failure=failure, closes=True, announced=(ANNOUNCED,)))
    first, second = parts.quotas.values()
    assert isinstance(first, Quota)
    assert isinstance(second, Quota)
    assert (first.kind, first.has_evidence) == (kind, not is_refused)
    # A probe of a policy of which nothing was known says nothing of its reset.
    assert second.kind == (INDETERMINATE if is_refused else UNKNOWN)


def test_a_response_is_learned_with_when_it_was_sent_unless_it_was_already() -> None:
    parts = Parts()
    parts.quotas.ended(ending(1.0, sent=0.5, announced=(announce(9, 1.0),)))
    parts.quotas.ended(ending(1.1, sent=0.6, announced=(announce(5, 1.1),), is_learned=True))
    (quota,) = parts.quotas.values()
    assert quota.remaining == 9
    parts.quotas.ended(ending(1.6, sent=1.2, announced=(announce(20, 1.6),)))
    assert quota.remaining == 20  # sent after the other had come


@pytest.mark.parametrize(
    ("outcome", "left_after"),
    [
        (ending(1.0), 8),
        (ending(1.0, failure=OUTAGE), 8),
        (ending(1.0, is_answered=False), 9),  # counted as abandoned, if it was sent
    ],
)
def test_a_response_that_announces_nothing_may_have_taken_a_unit(
    outcome: Ending, left_after: int
) -> None:
    quotas = learned(announce(9, 0.0))
    quotas.ended(outcome)
    assert [quota.left(0) for quota in quotas.values()] == [left_after]


@pytest.mark.parametrize(("is_probe", "kept"), [(True, ["day"]), (False, ["day", "minute"])])
def test_after_a_probe_that_finds_no_headers_what_is_over_is_forgotten(
    is_probe: bool, kept: list[str]
) -> None:
    quotas = learned(announce(0, 0.0, bucket="minute"), announce(0, 0.0, end=1e4, bucket="day"))
    first = next(iter(quotas.values()))
    quotas.ended(ending(first.end.high, is_probe=is_probe))
    assert sorted(str(quota.bucket) for quota in quotas.values()) == kept


@pytest.mark.parametrize(("sent", "units"), [(1.0 + SETTLED - 0.1, 7), (1.0 + SETTLED, 0)])
@pytest.mark.parametrize("is_learned", [True, False])
def test_a_response_to_what_was_sent_much_later_saw_abandoned_requests_counted(
    sent: float, units: int, is_learned: bool
) -> None:
    parts = Parts()
    parts.learn(0.0, ANNOUNCED)
    abandon(parts, 7, 1.0)
    announced = (announce(80, 8.0),)
    parts.quotas.ended(ending(8.0, sent=sent, announced=announced, is_learned=is_learned))
    assert parts.in_flight.units == units


def test_what_repeats_the_last_response_is_learned_the_short_way_where_there_is_one_policy() -> (
    None
):
    parts = Parts()
    assert parts.repeat(ANNOUNCED, 0.0) == -1
    for start in (0.0, 60.0, 120.0, 180.0):
        parts.clock.observe(EPOCH + start, start + 0.1, start + 0.1)
        parts.learn(start + 0.1, left(999, start + 0.1, start + 60.0))
    now, parts.in_flight.units = 180.2, 40
    same = left(990, now, 240.0)
    assert parts.repeat(same, now) == 950 - MAX_PROBES
    assert parts.repeat(left(100, now, 240.0), now) == -1  # a tenth is low
    parts.quotas.learn((same, left(9, now, 240.0, bucket="b")), now, now)
    assert parts.repeat(same, now) == -1


@pytest.mark.parametrize(("low_below", "remaining", "short"), [(0.0, 10, False), (0.0, 11, True)])
def test_what_may_be_a_unit_kept_back_is_never_taken_the_short_way(
    low_below: float, remaining: int, short: bool
) -> None:
    parts = Parts(low_below=low_below)
    for start in (0.0, 60.0, 120.0, 180.0):
        parts.clock.observe(EPOCH + start, start + 0.1, start + 0.1)
        parts.learn(start + 0.1, left(999, start + 0.1, start + 60.0))
    assert (parts.repeat(left(remaining, 180.2, 240.0), 180.2) >= 0) is short


# Servers that announce on a part of their responses.


def partly_announced(*, silent: int, announced: int = 1) -> Parts:
    """Return what is known after so many silent answers to each that announced something."""
    parts = Parts()
    for at in range(announced):
        parts.learn(float(at), announce(90 - at, float(at)))
        for _ in range(silent):
            parts.quotas.ended(ending(float(at) + 0.5))
    parts.learn(float(announced), announce(0, float(announced)))
    return parts


@pytest.mark.parametrize(("silent", "patience"), [(0, 1.0), (1, 1.75), (4, 4.0)])
def test_patience_is_the_number_of_answers_to_one_that_announces(
    silent: int, patience: float
) -> None:
    parts = partly_announced(silent=silent, announced=3)
    parts.quotas.ended(ending(10.0))  # it may be the beginning of silence
    assert parts.quotas.patience == patience


@pytest.mark.parametrize(("silent", "probes"), [(0, 1), (4, 12)])
def test_silent_probes_end_what_was_known_when_they_are_more_than_usual(
    silent: int, probes: int
) -> None:
    parts = partly_announced(silent=silent, announced=3)
    for index in range(probes):
        assert len(parts.quotas) == 1
        parts.quotas.ended(ending(70.0 + index, is_probe=True))
    assert not parts.quotas
    parts.quotas.vanish(80.0)
    assert parts.quotas.patience == 1.0


def test_a_refusal_hints_at_the_servers_clock_if_it_says_itself_how_long_to_wait() -> None:
    parts = Parts()
    announced = announce(0, 1.0, end=10.0, reset_at=EPOCH + 10.0)
    asks = ending(1.0, failure=after(REFUSED, 9.0), closes=True, announced=(announced,))
    parts.quotas.ended(asks._replace(failure=REFUSED._replace(wait=Wait(9.0, "rate_limit_reset"))))
    parts.quotas.ended(asks._replace(announced=(announce(0, 1.0),)))
    assert parts.clock.offset(1.0) is None
    parts.quotas.ended(asks)
    assert parts.clock.offset(1.0) == (EPOCH - 1.0, EPOCH + 2.0)
