"""Servers whose headers mislead refuse few requests, and jobs take little longer than they must."""

from statistics import median

import pytest

from simulation.misleading import HABITS, play

SUITE, SOAK = range(12), range(1000, 1096)


BOUNDS = [
    ("headers only on 429s", 20.0, 1.2),
    ("headers on 20 % of responses", 7.0, 1.2),
    ("remaining one too many", 1.0, 1.2),
    ("stale by 100 ms", 3.0, 1.5),
    ("stale by 1 s", 1.0, 1.2),
    ("two nodes", 0.6, 1.5),
    ("remaining without reset", 3.0, 1.2),
    ("no Date, a wrong clock", 2.0, 1.2),
]
"""Habits, the refusals per 100 calls, and the median time beside the least."""


def check(name: str, refused: float, slow: float, seeds: range) -> None:
    results = [play(HABITS[name], seed) for seed in seeds]
    assert sum(100 * each.refused / each.calls for each in results) / len(results) <= refused
    assert median(each.slowness for each in results) <= slow
    assert sorted(each.slowness for each in results)[int(0.9 * len(results))] <= 2.5
    assert sum(each.lost for each in results) <= 0.001 * sum(each.calls for each in results)


def test_an_honest_server_refuses_nothing() -> None:
    check("honest", 0.0, 1.2, SUITE)


@pytest.mark.parametrize(("name", "refused", "slow"), BOUNDS)
def test_of_a_hundred_calls_few_are_refused(name: str, refused: float, slow: float) -> None:
    check(name, refused, slow, SUITE)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "refused", "slow"), [*BOUNDS, ("four nodes", 0.6, 1.6)])
def test_of_many_seeds_calls_few_are_refused(name: str, refused: float, slow: float) -> None:
    check(name, 1.2 * refused + 2.0, 1.1 * slow, SOAK)  # few seeds are lucky
