"""The retry budget under outages, blips, noise and overload: a bound for every row, for fleets.

``PYTHONPATH=tests python -m simulation.budgets`` prints the table that these bounds are about.
"""

from collections.abc import Iterable
from random import Random
from statistics import median

import pytest

from httpx_resilience import Policy, RetryPolicy
from simulation.budgets import FLEETS, LOADED, ROWS, SEEDS, measured
from simulation.callers import Answer, Caller
from simulation.engine import Engine
from simulation.fleet import NEAR, play
from simulation.machines import CODED, UNCODED, Fault, Machine
from simulation.watchers import WithinBudget

SUITE, SOAK = range(1), range(5)

ALL = dict.fromkeys(FLEETS, (0.0, 1.3))

# What a row is to hold at each size of fleet: the design's own bound at the size that it names. A
# fleet of hundreds that makes some calls a minute each is lone callers, who get all their attempts:
# its floors alone allow 3 tokens each (bounds marked with a star).
HOLDS: dict[tuple[str, str], dict[int, tuple[float, float]]] = {
    ("outage of 60 s at 100/s", "attempts per call"): {**ALL, 1: (1.0, 1.05)},
    ("outage of 60 s at 100/s, from a proxy", "attempts per call"): {**ALL, 1: (1.0, 1.05)},
    ("outage of 30 s at 20/s", "attempts per call"): {
        1: (1.0, 1.25),
        30: (1.0, 1.25),
        300: (1.0, 2.5),  # *
        500: (1.0, 3.5),  # *
    },
    ("one failure in ten", "success"): dict.fromkeys(FLEETS, (0.998, 1.0)),
    ("one failure in ten", "attempts per call"): dict.fromkeys(FLEETS, (1.0, 1.12)),
    ("one failure in ten, from a proxy", "success"): dict.fromkeys(FLEETS, (0.998, 1.0)),
    ("one failure in ten, from a proxy", "attempts per call"): dict.fromkeys(FLEETS, (1.0, 1.12)),
    ("blip of 1 s at 100/s", "saved"): {n: (0.9 if n == 300 else 0.95, 1.0) for n in FLEETS},
    ("blip of 1 s at 100/s", "attempts per call"): dict.fromkeys(FLEETS, (1.0, 3.2)),
    ("blip of 2 s at 20/s", "saved"): {n: (0.7 if n == 30 else 0.95, 1.0) for n in FLEETS},
    ("blip of 2 s at 20/s", "attempts per call"): dict.fromkeys(FLEETS, (1.0, 3.2)),
}
CASES = [(row, what, clients) for (row, what), bounds in HOLDS.items() for clients in bounds]


def check(row: str, what: str, clients: int, seeds: Iterable[int]) -> None:
    low, high = HOLDS[row, what][clients]
    found = measured(row, clients, what, seeds)
    assert low <= median(found.values()) <= high, f"{row}, {clients} processes, {what}: {found}"


@pytest.mark.parametrize(("row", "what"), HOLDS)
def test_a_row_of_the_design_holds_for_one_process(row: str, what: str) -> None:
    check(row, what, 1, SEEDS)


@pytest.mark.parametrize(
    ("row", "what", "clients"),
    [
        ("outage of 60 s at 100/s", "attempts per call", 500),
        ("outage of 60 s at 100/s, from a proxy", "attempts per call", 30),
        ("one failure in ten", "success", 300),
        ("blip of 1 s at 100/s", "saved", 30),
        ("blip of 2 s at 20/s", "saved", 500),
    ],
)
def test_a_row_of_the_design_holds_for_a_fleet(row: str, what: str, clients: int) -> None:
    check(row, what, clients, SUITE)


@pytest.mark.soak
@pytest.mark.parametrize(("row", "what", "clients"), CASES)
def test_a_row_of_the_design_holds_for_every_fleet(row: str, what: str, clients: int) -> None:
    check(row, what, clients, SOAK)


def check_recovery(clients: int, seeds: Iterable[int]) -> None:
    """As without retries, give or take five seconds."""
    stalled, plain = "stall of 10 s at 93 % load", "the same without retries"
    ours = measured(stalled, clients, "recovery in s", seeds)
    theirs = measured(plain, clients, "recovery in s", seeds)
    assert median(ours.values()) <= median(theirs.values()) + 5.0, f"{ours}, without: {theirs}"


def test_a_loaded_server_that_stalled_recovers_as_if_nobody_had_retried() -> None:
    check_recovery(300, range(1, 2))


@pytest.mark.soak
@pytest.mark.parametrize("clients", FLEETS)
def test_a_loaded_server_that_stalled_recovers_under_every_fleet(clients: int) -> None:
    check_recovery(clients, range(8))


def test_naive_retries_keep_the_loaded_server_down_in_the_same_model() -> None:
    naive = Policy(retry=RetryPolicy(max_attempts=4), budget=None, throttle=None)
    played = play(LOADED._replace(clients=30, policy=naive, until=56.0), 0)
    ends = [record.succeeded for record in played.records if record.arrived_at > 52.0]
    assert sum(ends) < 0.5 * len(ends)


@pytest.mark.parametrize("answer", [CODED, UNCODED])
@pytest.mark.parametrize("clients", [1, 30, 300, 500])
def test_a_thousand_calls_that_fail_at_once_come_back_without_a_herd(
    answer: Answer, clients: int
) -> None:
    """Back after 2 s at 200/s; no budget, attempts unbounded: at most 5 a call."""
    patient = RetryPolicy(max_attempts=1_000_000, retry_for=1e9)
    for seed in range(2):
        engine = Engine()
        fault = Fault("outage", 0.0, 2.0, answer=answer)
        server = Machine(Random(seed), [fault], capacity=200.0, queue=20)
        policy = Policy(retry=patient, budget=None, throttle=None)
        fleet = [
            Caller(engine, server, policy, Random(seed * 1000 + n), latency=NEAR)
            for n in range(clients)
        ]
        records = [fleet[n % clients].call(lambda: None) for n in range(1000)]
        engine.run()
        assert all(record.succeeded for record in records), f"seed {seed}"
        assert sum(record.attempts for record in records) <= 5_000, f"seed {seed}"


@pytest.mark.parametrize("row", ["outage of 60 s at 100/s", "outage of 30 s at 20/s"])
def test_futile_retries_are_paid_for_at_every_instant(row: str) -> None:
    ledgers: list[WithinBudget] = []

    def watch(caller: Caller) -> list[WithinBudget]:
        ledgers.append(WithinBudget())
        return [ledgers[-1]]

    play(ROWS[row].scene._replace(clients=20), 1, watch)
    assert sum(ledger.futile for ledger in ledgers) > 50


@pytest.mark.parametrize("row", ROWS)
def test_a_seed_run_twice_gives_the_same_trace(row: str) -> None:
    scene = ROWS[row].scene
    scene, seed = scene._replace(clients=3, rate=scene.rate / 10), 3
    first = play(scene, seed).trace
    assert play(scene, seed).trace == first, f"seed {seed}"
    assert play(scene, seed + 1).trace != first, f"seed {seed + 1}"
