"""Parked retries in outages: what is to hold for each, beside no retries at all.

``PYTHONPATH=tests python -m simulation.outages`` prints the table that these bounds are about.
"""

from collections.abc import Iterable
from functools import partial
from random import Random
from statistics import median

import pytest

from httpx_resilience import Policy, RetryScheduled
from simulation.callers import Answer, Caller, Watcher
from simulation.fleet import Scene, play
from simulation.machines import CODED, UNREACHABLE, Fault, Machine
from simulation.outages import NO_RETRIES, ROWS, measured
from simulation.watchers import NothingTooEarly
from simulation.weather import LATER

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


# Outages at random: what always holds.


def any_outage(seed: int) -> tuple[Scene, float]:
    """Return a fleet whose server is away once, and the latest that a call may end after it came.

    The outage is shorter than a call's patience, and the origin was well before.
    """
    r = Random(f"outage {seed}")
    clients, each = r.choice([1, 1, 3, 10]), r.choice([2.0, 10.0, 40.0])
    begin = r.uniform(15.0, 30.0)
    end = begin + r.uniform(0.2, 6.0)
    faults = [Fault("outage", begin, end, answer=r.choice([CODED, UNREACHABLE, LATER]))]
    server = partial(Machine, faults=faults, capacity=r.choice([10.0, 100.0]) * clients * each)
    return Scene(clients, clients * each, server, end + 30.0), 45.0


def check_outage(seed: int) -> None:
    hints: list[NothingTooEarly] = []
    probes: list[OneProbe] = []

    def watch(caller: Caller) -> list[Watcher]:
        hints.append(NothingTooEarly())
        probes.append(OneProbe(caller))
        return [hints[-1], probes[-1]]

    scene, longest = any_outage(seed)
    played = play(scene, seed, watch)
    where = f"seed {seed}"
    lost = [str(record) for record in played.records if not record.succeeded]
    assert not lost, f"{where}: {lost[:3]}"
    assert max(record.attempts for record in played.records) <= 4, where
    assert max(record.took for record in played.records) <= longest, where
    for caller in played.callers:
        assert caller.parking is not None
        assert caller.budget is not None
        assert len(caller.parking) == 0, where
        assert caller.budget.tokens >= 0.0, where


class OneProbe:
    """No more than one parked call is under way as a probe; tokens are never below none."""

    def __init__(self, caller: Caller) -> None:
        self._caller = caller
        self._under_way: set[int] = set()
        self.most = 0

    def sent(self, order: int, attempt: int, now: float) -> None:
        budget = self._caller.budget
        assert budget is None or budget.tokens >= 0.0, f"{budget} at {now}"
        if attempt > 1 and self._last_source() == "probe":
            self._under_way.add(order)
        assert len(self._under_way) <= 1, f"{self._under_way} at {now}"

    def received(self, order: int, answer: Answer, now: float) -> None:
        self._under_way.discard(order)

    def _last_source(self) -> str:
        scheduled = [e for e in self._caller.report.events[-3:] if isinstance(e, RetryScheduled)]
        return scheduled[-1].delay_source if scheduled else ""


@pytest.mark.parametrize("seed", range(6))
def test_nobody_is_lost_in_a_random_outage_that_is_shorter_than_patience(seed: int) -> None:
    check_outage(seed)


@pytest.mark.soak
@pytest.mark.parametrize("first", range(6, 306, 25))
def test_nobody_is_lost_in_many_random_outages(first: int) -> None:
    for seed in range(first, first + 25):
        check_outage(seed)
