"""How long the windows are of a server that does not say so, and when the present one ends."""

import math
from random import Random

import pytest

from httpx_resilience._core.throttle.limits.window_length import Span, WindowLength, roundest


def known(low: float, high: float) -> WindowLength:
    """Return what is known of a length, of which the present window began at 100."""
    one = WindowLength()
    one.began(100.0 - high)
    one.ended(100.0 - high + low, 100.0, 100.0)
    assert one.seconds == pytest.approx((low, high))
    return one


def test_nothing_is_known_before_a_window_was_seen_to_end() -> None:
    one = WindowLength()
    assert (one.is_known, one.end) == (False, math.inf)
    one.ended(9.0, 10.0, 10.1)  # when that had begun is unknown
    assert (one.is_known, one.end) == (False, math.inf)
    one.ended(39.0, 41.0, 41.1)
    assert one.is_known
    assert one.seconds == pytest.approx((28.9, 30.9))
    assert one.end == pytest.approx(41.1 + 30.9)


def test_each_end_makes_it_narrower() -> None:
    one = known(28.0, 32.0)
    one.ended(129.0, 131.0, 131.1)
    assert one.seconds == pytest.approx((29.0, 31.0))
    one.ended(131.2, 162.0, 162.1)  # refused only when it was used up
    assert one.seconds == pytest.approx((29.0, 30.9))


def test_a_window_that_ends_sooner_than_it_can_is_another_one() -> None:
    one = known(29.5, 30.0)
    one.ended(101.0, 115.0, 115.1)
    assert one.seconds == pytest.approx((1.0, 15.0))


def test_a_window_that_lasts_longer_is_looked_at_ever_later_but_at_most_by_half() -> None:
    one, at, gaps = known(9.9, 10.0), 110.0, []
    for _ in range(8):
        before, at = at, one.next_look(at)
        gaps.append(at - before)
    assert gaps[:4] == pytest.approx([0.4, 0.816, 1.8, 4.2], rel=0.1)
    assert gaps[-1] == pytest.approx(0.5 * (at - 100.0) / 1.5)


def test_an_end_that_is_known_well_is_awaited() -> None:
    assert known(9.85, 10.0).next_look(100.2) == pytest.approx(110.0)
    assert known(58.9, 60.0).next_look(100.2) == pytest.approx(160.0)


def test_the_roundest_length_is_tried_and_then_whether_it_is_shorter() -> None:
    one = known(28.0, 64.0)
    one._is_sooner = False
    assert one.next_look(101.0) == pytest.approx(160.0)
    one.ended(101.0, 160.0, 160.1)
    sooner = one.next_look(161.0)
    assert sooner == pytest.approx(160.1 + 60.0 - 1.2)
    one.ended(161.0, sooner, sooner + 0.1)  # it is: the roundest that is left
    assert one.next_look(sooner + 1.0) == pytest.approx(sooner + 0.1 + 40.0)


@pytest.mark.parametrize("window", [1.0, 5.0, 15.0, 42.0, 60.0])
@pytest.mark.parametrize("is_aligned", [True, False])
def test_ends_are_found_with_few_looks(window: float, is_aligned: bool) -> None:
    one, chance = WindowLength(), Random(1)
    start = at = begin = 1.2 * window
    refused = 0
    one.began(0.0)
    one.ended(0.7 * window, at, start)
    for _ in range(30):
        end = (start // window + 1) * window if is_aligned else start + window
        low = start + 0.01
        while (at := one.next_look(low)) < end:
            assert at > low
            low, refused = at, refused + 1
        start = at + 0.01 * chance.random()
        one.ended(low, at, start)
    assert refused <= 40
    assert start - begin <= 30 * (1.06 * window + 0.05)


@pytest.mark.parametrize(
    ("low", "high", "number"),
    [
        (3000.0, 4000.0, 3600.0),
        (59.0, 61.0, 60.0),
        (10.0, 10.0, 10.0),
        (0.3 * 10, 4.0, 3.0),
        (0.12, 0.18, 0.15),
        (0.0, 7.0, 5.0),
    ],
)
def test_a_round_number_is_found(low: float, high: float, number: float) -> None:
    assert roundest(Span(low, high)) == pytest.approx(number)
