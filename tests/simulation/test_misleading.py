"""Servers whose headers mislead refuse few requests, and jobs take little longer than they must.

The bounds are a little above what ``python -m simulation.misleading`` prints.
"""

from statistics import median

import pytest

from simulation.misleading import HABITS, play

SEEDS = range(24)


@pytest.mark.parametrize(
    ("name", "refused", "slow"),
    [
        ("honest", 0.0, 1.1),
        ("headers only on 429s", 20.0, 1.2),
        ("headers on 20 % of responses", 5.0, 1.2),
        ("remaining one too many", 0.5, 1.2),
        ("stale by 100 ms", 2.0, 1.3),
        ("stale by 1 s", 0.5, 1.2),
        ("remaining without reset", 2.0, 1.2),
        ("no Date, a wrong clock", 1.0, 1.2),
    ],
)
def test_of_a_hundred_calls_few_are_refused(name: str, refused: float, slow: float) -> None:
    results = [play(HABITS[name], seed) for seed in SEEDS]
    assert sum(100 * each.refused / each.calls for each in results) / len(results) <= refused
    assert median(each.slowness for each in results) <= slow
    assert sorted(each.slowness for each in results)[int(0.9 * len(results))] <= 2.4
    assert sum(each.lost for each in results) <= 0.001 * sum(each.calls for each in results)
