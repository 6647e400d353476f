"""Parked retries in outages: what is to hold for each, beside no retries at all.

``PYTHONPATH=tests python -m simulation.outages`` prints the table that these bounds are about.
"""

from collections.abc import Iterable
from statistics import median

import pytest

from httpx_resilience import Policy
from simulation.outages import NO_RETRIES, ROWS, measured

SUITE, FEW, SOAK = (1, 2, 3), (1,), range(8)

HOLDS: dict[tuple[str, str], tuple[float, float]] = {
    ("outage 60 s at 100/s", "attempts"): (0.9, 1.01),
    ("outage 60 s at 100/s", "peak"): (1.0, 2.3),
    ("outage 30 s at 20/s", "attempts"): (0.9, 1.02),
    ("outage 30 s at 20/s", "peak"): (1.0, 2.3),
    ("500 clients x 0.2/s, 60 s, 503", "attempts"): (0.9, 1.25),
    ("500 clients x 0.2/s, 60 s, refused", "attempts"): (0.9, 1.32),
    ("blip 0.3 s at 20/s", "saved"): (0.99, 1.0),
    ("blip 2 s at 2/s, after 10 s", "saved"): (0.99, 1.0),
    ("blip 2 s at 20/s, after 10 s", "saved"): (0.99, 1.0),
    ("blip 2 s at 20/s, after 10 s", "attempts_per_hit"): (2.0, 2.3),
    ("blip 2 s at 20/s, from a proxy", "saved"): (0.99, 1.0),
    ("blip 5 s at 100/s", "saved"): (0.99, 1.0),
    ("blip 5 s at 100/s", "attempts_per_hit"): (2.0, 2.3),
    ("blip 5 s at 100/s", "wait"): (1.0, 9.0),
    ("blip 5 s at 2/s", "saved"): (0.99, 1.0),
    ("blip 5 s at 20/s, cold", "saved"): (0.99, 1.0),
    ("blip 5 s at 20/s, cold", "attempts_per_hit"): (2.0, 2.3),
    ("blip 8 s at 20/s", "saved"): (0.97, 1.0),
    ("blip 8 s at 20/s", "wait"): (1.0, 14.0),
    ("cold, 20 workers, refused 3 s", "lost"): (0, 0),
    ("cold, 20 workers, refused 5 s", "lost"): (0, 0),
    ("cold, 20 workers, 503 for 3 s", "lost"): (0, 0),
    ("cold, 20 workers, 503 for 5 s", "lost"): (0, 0),
    ("300 calls at once, refused 3 s", "lost"): (0, 0),
    ("flapping 1/1 s, refused", "lost"): (0, 20),
    ("flapping 1/1 s, 503", "lost"): (0, 20),
    ("10 % failures at 20/s", "success"): (0.999, 1.0),
    ("10 % failures at 20/s", "attempts"): (1.0, 1.13),
    ("30 % failures at 20/s", "success"): (0.99, 1.0),
    ("30 % failures at 100/s", "success"): (0.99, 1.0),
    ("30 % failures at 100/s", "attempts"): (1.0, 1.45),
    ("30 % failures, 5 workers", "seconds"): (1.0, 400.0),
    ("30 % failures, 5 workers", "lost"): (0, 60),
    ("30 % failures, 50 workers", "seconds"): (1.0, 40.0),
    ("dead host at 20/s", "took"): (6.0, 7.0),
    ("dead host at 20/s", "attempts"): (1.0, 1.05),
    ("dead host, a call each 30 s", "took"): (6.0, 7.0),
}
"""Row and what is measured → the least and the most that it may be, medians over seeds."""

SLOW = {
    "500 clients x 0.2/s, 60 s, 503",
    "500 clients x 0.2/s, 60 s, refused",
    "blip 5 s at 100/s",
}
"""Left to the soak, but for one measure each."""

QUICK = [key for key in HOLDS if key[0] not in SLOW] + [
    ("500 clients x 0.2/s, 60 s, 503", "attempts"),
    ("blip 5 s at 100/s", "saved"),
]


def check(row: str, what: str, seeds: Iterable[int]) -> None:
    low, high = HOLDS[row, what]
    found = measured(row, what, Policy(), seeds)
    assert low <= median(found) <= high, f"{row}, {what}: {found}"


@pytest.mark.parametrize(("row", "what"), QUICK)
def test_what_is_to_hold_in_an_outage_holds(row: str, what: str) -> None:
    seeds = FEW if "100/s" in row or "500" in row else SUITE
    check(row, what, SOAK if what == "peak" and "20/s" in row else seeds)


@pytest.mark.soak
@pytest.mark.parametrize(("row", "what"), HOLDS)
def test_what_is_to_hold_in_an_outage_holds_over_seeds(row: str, what: str) -> None:
    check(row, what, SOAK)


LOADED = [row for row in ROWS if row.startswith(("stall", "half capacity"))]


def check_recovery(row: str, seeds: Iterable[int]) -> None:
    """The same arrivals: no later than five seconds after a client without retries."""
    ours = measured(row, "recovery", Policy(), seeds)
    theirs = measured(row, "recovery", NO_RETRIES, seeds)
    late = [(a, b) for a, b in zip(ours, theirs, strict=True) if a > b + 5.0]
    assert not late, f"{row}: {ours}, without retries {theirs}"


@pytest.mark.parametrize("row", ["stall 10 s at 93 %, 30 clients"])
def test_a_loaded_server_recovers_as_if_nobody_had_retried(row: str) -> None:
    check_recovery(row, FEW)


@pytest.mark.soak
@pytest.mark.parametrize("row", LOADED)
def test_a_loaded_server_recovers_as_if_nobody_had_retried_over_seeds(row: str) -> None:
    check_recovery(row, SOAK)


def test_without_parking_the_same_outages_lose_most_of_what_they_hit() -> None:
    for row in ("blip 5 s at 20/s, cold", "blip 8 s at 20/s"):
        (saved,) = measured(row, "saved", Policy(park=None), FEW)
        assert saved < 0.1, row
