"""Limits on tokens are spent to the last, with next to no refusals, by what calls are seen to take.

The bounds of the first three are those of the design; a job of the others in a window of a minute
takes whole windows, so that one more makes it an eighth longer.
"""

from statistics import median

import pytest

from simulation.tokens import SHAPES, play

SUITE, SOAK = range(10), range(1000, 1100)

BOUNDS = [
    ("1,000 each", 2 / 1.2, 1.1),
    ("200 to 4,000", 3.0, 1.25),
    ("200 to 4,000, given", 0.0, 1.05),
    ("a minute's window", 2 / 1.2, 1.1),
    ("a minute's window, 200 to 4,000", 3.0, 1.25),
    ("a minute's window, 200 to 4,000, given", 0.0, 1.15),
    ("requests, then tokens", 3.0, 1.1),
    ("10 % cancelled", 3.0, 1.1),
    ("10 % cancelled, 200 to 4,000", 3.0, 1.25),
    ("another spender of 20 %", 3.0, 1.25),
    ("another spender of 20 %, 200 to 4,000", 5.0, 1.25),
    ("10 tasks", 3.0, 1.25),
    ("slow answers, 50 tasks", 3.0, 1.5),
    ("slow answers, 50 tasks, 200 to 4,000", 3.0, 1.8),
]
"""Jobs, the refusals per 100 calls on average, and the median time beside the least."""


def check(name: str, refused: float, slow: float, seeds: range) -> None:
    results = [play(SHAPES[name], seed) for seed in seeds]
    assert sum(100 * each.refused / each.calls for each in results) / len(results) <= refused
    assert median(each.seconds / each.least for each in results) <= slow
    assert sum(each.lost for each in results) <= 0.002 * sum(each.calls for each in results)


@pytest.mark.parametrize(("name", "refused", "slow"), BOUNDS)
def test_a_limit_on_tokens_is_spent(name: str, refused: float, slow: float) -> None:
    check(name, refused, slow, SUITE)


@pytest.mark.soak
@pytest.mark.parametrize(("name", "refused", "slow"), BOUNDS)
def test_a_limit_on_tokens_is_spent_in_many_more_jobs(
    name: str, refused: float, slow: float
) -> None:
    check(name, refused, slow, SOAK)


def test_equal_calls_at_once_are_sent_once_each() -> None:
    for seed in SUITE:
        result = play(SHAPES["1,000 each"], seed)
        assert (result.sent, result.refused, result.lost) == (120, 0, 0)


def test_a_job_is_the_same_with_the_same_seed() -> None:
    assert play(SHAPES["10 tasks"], 3) == play(SHAPES["10 tasks"], 3)
