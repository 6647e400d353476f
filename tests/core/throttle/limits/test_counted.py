"""Of the evidence, that counts which may have been counted last."""

import math

import pytest

from httpx_resilience._core.throttle.limits.counted import JITTER, Counted, CountedEvidence
from httpx_resilience._core.throttle.limits.windows import ResetInterval


def said(sent: float, received: float, remaining: int, high: float = 60.0) -> Counted:
    return Counted(sent, received, remaining, ResetInterval(high, high, high, high, 0.0))


def evidence(*responses: Counted) -> CountedEvidence:
    found = CountedEvidence()
    for each in responses:
        found.add(each)
    return found


def test_there_is_none_at_first() -> None:
    found = CountedEvidence()
    assert (bool(found), found.remaining, found.newest_sent) == (False, 0, -math.inf)


def test_the_least_counts_of_those_that_may_have_been_counted_last() -> None:
    found = evidence(said(0.0, 0.5, 900), said(0.1, 0.4, 950))
    assert found.remaining == 900


def test_a_response_is_no_evidence_once_one_is_answered_that_was_sent_after_it_came() -> None:
    assert evidence(said(0.0, 0.5, 10), said(0.6, 0.7, 900)).remaining == 900
    assert evidence(said(0.0, 0.5, 10), said(0.4, 0.7, 900)).remaining == 10


def test_a_response_is_no_evidence_once_one_is_answered_that_was_sent_a_second_after_it() -> None:
    slow = said(0.0, 9.0, 10)
    assert evidence(slow, said(JITTER, 9.5, 900)).remaining == 10
    assert evidence(slow, said(JITTER + 0.01, 9.5, 900)).remaining == 900


def test_an_old_response_is_known_by_when_it_was_sent_and_received() -> None:
    found = evidence(said(5.0, 6.0, 10))
    assert found.is_old(4.5, 4.9)
    assert found.is_old(5.0 - JITTER - 0.01, 7.0)
    assert not found.is_old(5.0 - JITTER, 7.0)


def test_what_came_back_is_counted_from_a_second_after_the_send() -> None:
    quick, slow = said(0.0, 0.2, 1000), said(0.0, 9.0, 1000)
    assert evidence(quick).at_zero(100.0) == pytest.approx(1000 - 20)
    assert evidence(slow).at_zero(100.0) == pytest.approx(1000 - 100 * JITTER)
    assert evidence(slow).at_zero(0.0) == 1000


def test_the_latest_reset_counts() -> None:
    assert evidence(said(0.0, 0.5, 5, 70.0), said(0.1, 0.4, 9, 60.0)).latest_reset.high == 70.0


def test_responses_that_say_no_less_are_dropped() -> None:
    found = evidence(*[said(0.001 * n, 1.0 + 0.001 * n, 1000 - n) for n in range(500)])
    assert len(found._responses) == 1
    assert found.remaining == 501


def test_nothing_is_left_of_what_is_forgotten() -> None:
    found = evidence(said(0.0, 0.5, 900))
    found.clear()
    assert not found
