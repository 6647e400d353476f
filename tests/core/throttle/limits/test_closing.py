"""A scope that the server has closed: until when, and for whose sake."""

import math

import pytest

from core.throttle.books import ending
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.throttle.limits.closing import Closing
from httpx_resilience._core.throttle.limits.windows import GUARD, LONGEST
from support.gates import OUTAGE, REFUSED, after

NEVER = -math.inf


@pytest.mark.parametrize(
    ("failures", "until", "troubled_until"),
    [
        ([after(REFUSED, 30.0)], 40.0, NEVER),
        ([after(OUTAGE, 30.0)], 40.0, 40.0),
        ([after(OUTAGE, 30.0), after(OUTAGE, 2.0)], 40.0, 40.0),  # the longest closing counts
        ([after(REFUSED, 2.0), after(REFUSED, 30.0)], 40.0, NEVER),
        ([after(OUTAGE, 5.0), after(REFUSED, 30.0)], 40.0, 15.0),
        ([after(REFUSED, math.inf)], 10.0 + LONGEST, NEVER),
        ([REFUSED], NEVER, NEVER),  # it names no time
    ],
)
def test_a_failure_that_names_a_time_closes_the_scope_until_then(
    failures: list[Failure], until: float, troubled_until: float
) -> None:
    closing = Closing()
    for failure in failures:
        closing.ended(ending(10.0, failure=failure, closes=True))
    assert closing.until == pytest.approx(until + GUARD)
    assert closing.troubled_until == pytest.approx(troubled_until + GUARD)


def test_what_is_not_meant_for_the_scope_closes_nothing() -> None:
    closing = Closing()
    closing.ended(ending(10.0, failure=after(REFUSED, 30.0)))
    closing.ended(ending(10.0))
    assert closing.until == NEVER


def test_a_closed_scope_opens_when_its_time_has_come_and_not_before() -> None:
    closing = Closing()
    assert closing.admit(0.0, 1).is_open
    closing.ended(ending(10.0, failure=after(REFUSED, 30.0), closes=True))
    early, due = closing.admit(closing.until - 1e-6, 1), closing.admit(closing.until, 1)
    assert early == (False, "server_hint", closing.until, False)
    assert due.is_open
    credit = [closing.has_credit(at) for at in (closing.until - 1e-6, closing.until)]
    assert credit == [False, True]
