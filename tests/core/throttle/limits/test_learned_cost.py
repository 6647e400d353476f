"""A learned cost: a high quantile of single costs, at the level that means show."""

import pytest

from httpx_resilience._core.throttle.limits.learned_cost import ENOUGH, LearnedCost


def learned(*costs: float) -> LearnedCost:
    cost = LearnedCost()
    for each in costs:
        cost.add(each)
    return cost


def test_three_samples_are_enough() -> None:
    assert [learned(*[5.0] * n).is_known for n in range(ENOUGH + 1)] == [False, False, False, True]


def test_of_few_samples_the_highest_counts_and_of_many_a_high_quantile() -> None:
    assert learned(200, 900, 400).high == 900
    assert learned(*[100] * 30, 200, 9_000).high == 200
    assert learned(*[100] * 29, 200, 9_000, 9_000).high == 9_000


def test_only_the_last_single_costs_count() -> None:
    assert learned(9_000, *[100] * 32).high == 100


def test_a_cost_is_never_negative() -> None:
    assert learned(-5.0).high == 0.0


@pytest.mark.parametrize(
    ("means", "high"),
    [
        ([(900, 1_300)], 400),  # what singles show is between them
        ([(600, 900)], 800),  # it is twice as high at the least
        ([(100, 150)], 200),  # half as high at the most
        ([(100, 150), (200, 300)], 400),  # the highest of the last decides
        ([(1, 2)], 400 / 16),
        ([(1e9, 2e9)], 400 * 16),
    ],
)
def test_means_move_the_level_that_single_costs_show(
    means: list[tuple[float, float]], high: float
) -> None:
    cost = learned(200, 300, 400)
    for low, upper in means if means[0][0] != 900 else [(250, 1_300)]:
        cost.add_mean(low, upper)
    assert cost.high == pytest.approx(high)


def test_a_mean_alone_stands_for_a_cost_at_its_highest() -> None:
    cost = LearnedCost()
    cost.add_mean(50, 80)
    assert (cost.is_known, cost.high) == (True, 80)


def test_a_single_cost_shows_the_present_level() -> None:
    cost = learned(200, 300, 400)
    cost.add_mean(6_000, 9_000)
    cost.add(300)
    assert cost.high == 400


def test_a_bound_counts_as_a_single_cost() -> None:
    cost = learned(200, 300)
    cost.add_bound(700)
    assert (cost.is_known, cost.high) == (True, 700)
