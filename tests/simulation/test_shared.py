"""Processes that share a limit by a store are hardly ever refused, and lose little; seeded."""

from collections.abc import Callable

import pytest

pytest.importorskip("lupa", reason="lupa runs the store's scripts; it is not installed here")

from simulation.shared import Figures, Fleet, Run
from simulation.shared_tokens import play as play_tokens
from simulation.tokens import SHAPES

Prepare = Callable[[Run], None]

FOUR = [
    Fleet(kind=kind, windows=8, reset=reset)
    for kind, reset in (
        ("aligned", "ceil"),
        ("log", "float"),
        ("bucket_full", "float"),
    )
]


def play(fleet: Fleet, prepare: Prepare = lambda run: None, seed: int = 1) -> tuple[Run, Figures]:
    run = Run(fleet, seed)
    prepare(run)
    return run, run.figures()


@pytest.mark.parametrize("fleet", FOUR, ids=lambda fleet: fleet.kind)
def test_four_processes_are_not_refused_and_do_what_one_could(fleet: Fleet) -> None:
    _, figures = play(fleet)
    assert figures.refused <= 0.1
    assert figures.done >= 0.9  # of 8 windows, the first of which nobody knows
    assert figures.fair >= 0.8
    assert figures.asks <= 10.3  # ten a second, and a few at once
    assert figures.lost == 0


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["aligned", "log", "bucket_full"])
@pytest.mark.parametrize("reset", ["ceil", "float", "delta"])
def test_long_windows_are_used_to_the_last(kind: str, reset: str) -> None:
    for seed in range(20):
        _, figures = play(Fleet(kind, 600, 60.0, windows=5, reset=reset), seed=seed)
        assert figures.refused <= 0.2, seed
        assert figures.done >= 0.93, seed


@pytest.mark.parametrize(
    ("kind", "windows"),
    [
        pytest.param("aligned", 3, marks=pytest.mark.soak),
        pytest.param("log", 8, marks=pytest.mark.soak),
        pytest.param("bucket_full", 8, marks=pytest.mark.soak),
    ],
)
def test_fifty_processes_of_two_tasks_share_one_limit(kind: str, windows: int) -> None:
    _, figures = play(Fleet(kind, 500, 10.0, processes=50, tasks=2, windows=windows))
    assert figures.refused <= 0.5
    assert figures.done >= 0.85
    assert figures.lost == 0


def away(begin: float, end: float) -> Prepare:
    def prepare(run: Run) -> None:
        run.engine.at(begin, lambda: setattr(run.store, "is_away", True))
        run.engine.at(end, lambda: setattr(run.store, "is_away", False))

    return prepare


def slow(begin: float, end: float) -> Prepare:
    def prepare(run: Run) -> None:
        run.engine.at(begin, lambda: setattr(run.store, "answers_after", 0.5))
        run.engine.at(end, lambda: setattr(run.store, "answers_after", 0.001))

    return prepare


def emptied(*times: float) -> Prepare:
    def prepare(run: Run) -> None:
        for at in times:
            run.engine.at(at, run.store.hashes.clear)

    return prepare


FAULTS = {
    "away": away(23.0, 53.0),
    "away in the middle of a burst": away(20.3, 53.0),
    "slow": slow(23.0, 53.0),
    "emptied": emptied(23.0, 40.3, 51.0),
}


@pytest.mark.parametrize("kind", ["aligned", pytest.param("bucket_full", marks=pytest.mark.soak)])
@pytest.mark.parametrize("fault", FAULTS)
def test_while_the_store_is_away_calls_go_on(fault: str, kind: str) -> None:
    run, figures = play(Fleet(kind=kind, windows=8), FAULTS[fault])
    assert figures.lost == 0
    assert figures.refused <= 2.0
    assert figures.done >= 0.8
    names = [getattr(event, "name", "") for event in run.events]
    is_away = fault != "emptied"
    assert names.count("store_lost") == names.count("store_back") == (4 if is_away else 0)


def test_a_process_that_dies_with_a_lease_leaves_no_gap() -> None:
    def prepare(run: Run) -> None:
        run.engine.at(30.25, run.jobs[0].stop)

    run, figures = play(Fleet(windows=8), prepare)
    assert figures.refused <= 0.1
    assert figures.lost == 0
    done = [sum(r.succeeded for r in job.records) for job in run.jobs]
    assert sum(done) >= 0.9 * 800
    assert done[0] < min(done[1:])


def test_without_a_store_the_number_of_processes_divides_what_is_left() -> None:
    alone = Run(Fleet(windows=8), 1, has_store=False).figures()
    divided = Run(Fleet(windows=8), 1, has_store=False, peers=4).figures()
    assert alone.refused > 8.0
    assert divided.refused <= 0.5
    assert divided.done >= 0.85


@pytest.mark.parametrize("name", ["200 to 4,000, given", "a minute's window, 200 to 4,000, given"])
def test_tokens_of_given_costs_are_shared(name: str) -> None:
    alone = play_tokens(SHAPES[name], 1, has_store=False)
    shared = play_tokens(SHAPES[name], 1)
    assert alone.refused > 80
    assert shared.refused <= 2
    assert shared.lost == 0
    assert shared.time <= 1.6


def test_tokens_of_learned_costs_are_spent_by_each_process_as_it_sees_fit() -> None:
    shared = play_tokens(SHAPES["1,000 each"], 1)
    assert shared.refused <= 5
    assert shared.lost == 0
    assert shared.time <= 1.3
