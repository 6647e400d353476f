"""Trials of whether 503s are a limiter's."""

import pytest

from httpx_resilience._core.throttle.limits.trial import Trial


def begun(rate: float = 50.0) -> Trial:
    one = Trial()
    one.begin(rate, 9.98, 10.0)
    return one


def test_it_admits_twelve_beside_what_the_server_may_have_room_for() -> None:
    one, admitted = begun(), 0
    while one.admits(10.01):
        one.started()
        admitted += 1
    assert admitted == 12 + 2  # two came back in 0.04 seconds


def test_it_takes_the_fiftieth_of_a_second() -> None:
    one = begun()
    assert (one.admits(10.02), one.admits(10.021)) == (True, False)
    assert [one.is_of(sent) for sent in (9.999, 10.0, 10.02, 10.021)] == [False, True, True, False]
    assert not Trial().admits(0.0)


@pytest.mark.parametrize(
    ("refused", "accepted", "shown"), [(5, 0, "limiter"), (4, 0, ""), (0, 4, "none"), (0, 3, "")]
)
def test_five_refusals_show_a_limiter_and_four_successes_that_there_is_none(
    refused: int, accepted: int, shown: str
) -> None:
    one = begun()
    for is_refused in [True] * 2 + [True] * refused + [False] * accepted:  # two had room
        one.outcome(is_refused=is_refused, counts=True)
    assert (one.is_proven, one.is_disproven) == (shown == "limiter", shown == "none")
    one.start_over()
    assert not (one.is_proven)
    assert not (one.is_disproven)


def test_what_does_not_count_shows_nothing() -> None:
    one = begun()
    for _ in range(20):
        one.outcome(is_refused=True, counts=False)
    assert not one.is_proven
