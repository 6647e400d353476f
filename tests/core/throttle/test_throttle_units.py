"""A throttle whose server limits other units than requests, too."""

import math

import pytest

from core.throttle.books import announce
from httpx_resilience import ErrorClass
from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import RateLimit, Reading, Wait
from httpx_resilience._core.throttle import EXPIRED, GRANTED, WAITING, Throttle, Ticket
from support.gates import Scope

REFUSED = Failure(ErrorClass.RATE_LIMITED, status=429, wait=Wait(2.0, "retry_after"))


def tokens(left: int, limit: int = 30_000, end: float = 60.0, at: float = 0.0) -> RateLimit:
    return announce(left, at, end=end, limit=limit, unit="tokens")


def requests(left: int, at: float = 0.0) -> RateLimit:
    return announce(left, at, limit=500)


def ask(
    throttle: Throttle, now: float, units: dict[str, int] | None = None, order: int = 0
) -> Ticket:
    return throttle.reserve(order, now, now + 600.0, units=units)


def answer(
    throttle: Throttle, ticket: Ticket, at: float, *said: RateLimit, failure: Failure | None = None
) -> None:
    throttle.observe(ticket, ticket.granted_at, at, Reading(said), failure)


def begun(*said: RateLimit) -> Throttle:
    """Return a throttle after its first answer, which says so."""
    throttle = Scope().throttle
    answer(throttle, ask(throttle, 0.0), 0.1, *said)
    return throttle


@pytest.mark.parametrize(
    ("limit", "units", "why"),
    [
        (30_000, {"tokens": 30_001}, "it takes 30001 tokens, and the limit is 30000"),
        (30_000, {"tokens": 30_000}, ""),
        (30_000, {"points": 10**9}, ""),
        (30_000, None, ""),
        (0, None, "the server's limit of tokens is 0"),
    ],
)
def test_what_can_never_go_ends_at_once_and_says_why(
    limit: int, units: dict[str, int] | None, why: str
) -> None:
    throttle = begun(requests(499), tokens(limit, limit))
    ticket = ask(throttle, 1.0, units, order=1)
    assert throttle.never_admits(ticket, 1.0) == why
    assert (ticket.state == EXPIRED) is bool(why)


def test_a_limit_of_requests_of_0_ends_calls_at_once_until_its_reset() -> None:
    throttle = begun(announce(0, 0.0, limit=0, end=30.0))
    ticket = ask(throttle, 1.0, order=1)
    assert ticket.state == EXPIRED
    assert ticket.retry_at == pytest.approx(30.0, abs=0.3)
    assert ask(throttle, 31.0, order=2).state == GRANTED  # the probe that looks


def test_a_limit_of_0_without_a_reset_is_believed_for_a_minute() -> None:
    throttle = begun(requests(499), announce(0, 0.0, limit=0, end=None, unit="tokens"))
    assert ask(throttle, 0.5, order=1).state == EXPIRED
    assert ask(throttle, 61.0, order=2).state == GRANTED


def test_calls_that_were_queued_before_the_limit_was_known_end_when_it_is_their_turn() -> None:
    scope = Scope()
    throttle = scope.throttle
    first = ask(throttle, 0.0)
    huge, small = (ask(throttle, 0.0, {"tokens": cost}, at) for at, cost in ((1, 40_000), (2, 100)))
    assert (huge.state, small.state) == (WAITING, WAITING)
    answer(throttle, first, 0.1, requests(499), tokens(29_000))
    assert (huge.state, small.state) == (EXPIRED, GRANTED)
    assert huge in scope.throttle.ready


def test_a_refusal_for_tokens_leaves_what_is_known_of_requests() -> None:
    throttle = begun(requests(400), tokens(29_000))
    ticket = ask(throttle, 1.0, {"tokens": 20_000}, order=1)
    answer(throttle, ticket, 1.1, requests(399, 1.1), tokens(500, at=1.1), failure=REFUSED)
    rows = {row.unit: row for row in throttle.status(4.0)}
    assert (rows["requests"].remaining, rows["tokens"].remaining) == (399, 500)


def test_a_refusal_for_requests_is_none_for_tokens() -> None:
    throttle = begun(requests(1), tokens(29_000))
    ticket = ask(throttle, 1.0, order=1)
    answer(throttle, ticket, 1.1, requests(0, 1.1), tokens(29_000, at=1.1), failure=REFUSED)
    rows = {row.unit: row for row in throttle.status(4.0)}
    assert (rows["requests"].remaining, rows["tokens"].remaining) == (None, None)


def test_a_refusal_that_names_plenty_of_all_was_for_the_scarcest_unit() -> None:
    throttle = begun(requests(499), tokens(9_000))
    (metered,) = throttle._quotas.metered
    ticket = ask(throttle, 1.0, order=1)
    answer(throttle, ticket, 1.1, requests(498, 1.1), tokens(9_000, at=1.1), failure=REFUSED)
    assert metered.costs.learned.high >= 9_001
    assert throttle.status(4.0)[0].remaining == 498


def test_a_call_that_leaves_gives_back_what_was_reserved() -> None:
    throttle = begun(requests(499), tokens(29_000))
    ticket = ask(throttle, 1.0, {"tokens": 20_000}, order=1)
    waiting = ask(throttle, 1.0, {"tokens": 20_000}, order=2)
    assert waiting.state == WAITING
    throttle.leave(ticket, 1.0, sent=False)
    assert waiting.state == GRANTED


def test_a_call_that_goes_whatever_is_left_is_counted() -> None:
    throttle = begun(requests(499), tokens(29_000))
    throttle.admit_unconditionally(1, 1.0, 1, {"tokens": 28_000})
    assert throttle.status(1.0)[1].remaining == 1_000


def test_all_units_must_agree() -> None:
    throttle = begun(requests(499), tokens(29_000), announce(10, 0.0, limit=10, unit="points"))
    assert throttle.would_admit(1.0, units={"tokens": 29_000, "points": 10})
    assert not throttle.would_admit(1.0, units={"tokens": 29_000, "points": 11})
    assert not throttle.would_admit(1.0, units={"tokens": 29_001, "points": 10})


def test_nothing_goes_without_a_look_where_other_units_count() -> None:
    throttle = begun(requests(499), tokens(29_000))
    assert throttle.admit_at_once(1, 1.0) is None
    assert throttle.status(1.0)[1].reset_in is not None
    assert math.isfinite(throttle.status(1.0)[1].reset_in or math.inf)


def test_a_refusal_for_tokens_that_names_no_time_is_no_sign_of_a_limit_that_is_silent() -> None:
    throttle = begun(requests(400), tokens(29_000))
    unhinted = REFUSED._replace(wait=None)
    for nth in range(1, 6):
        ticket = ask(throttle, float(nth), {"tokens": 20_000}, order=nth)
        answer(
            throttle, ticket, nth + 0.1, requests(399, nth), tokens(500, at=nth), failure=unhinted
        )
        throttle.leave(ticket, nth + 0.1, sent=False)
    assert not throttle.is_pacing
    assert throttle.status(9.0)[0].remaining == 399
