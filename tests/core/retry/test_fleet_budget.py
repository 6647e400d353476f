"""A fleet of processes has one floor of retries, which is in the store."""

import pytest

from httpx_resilience import BudgetPolicy
from httpx_resilience._core.retry.budget import FleetBudget

POLICY = BudgetPolicy(floor=3.0, heal_after=10.0)


class Processes:
    def __init__(self, processes: int = 4, *, is_lost: bool = False) -> None:
        self.processes = processes
        self.is_lost = is_lost


def budget(fleet: Processes | None = None) -> FleetBudget:
    return FleetBudget(POLICY, "key", fleet or Processes())


def test_it_begins_with_nothing_and_asks_for_what_is_lacking() -> None:
    own = budget()
    assert not own.withdraw(1.0, now=0.0)
    command = own.question(1.0, now=0.0)
    assert command is not None
    assert (command.script, command.key, command.args) == ("floor", "key", (3.0, 10_000, 1.0))


def test_what_is_granted_pays_for_the_retry() -> None:
    own = budget()
    own.answered(["1.000000"], now=0.0)
    assert own.withdraw(1.0, now=0.0)
    assert not own.withdraw(1.0, now=0.0)


def test_what_was_earned_is_not_asked_for() -> None:
    own = budget()
    for n in range(20):
        own.deposit(n / 10)
    assert own.question(1.0, now=3.0) is None
    lacking = own.question(3.0, now=3.0)
    assert lacking is not None
    assert lacking.args[2] == pytest.approx(3.0 - own.balance(3.0))


def test_a_floor_that_is_spent_is_not_asked_for_again_at_once() -> None:
    own = budget()
    own.answered(["0.000000"], now=0.0)
    assert own.question(1.0, now=0.05) is None
    assert own.question(1.0, now=0.2) is not None


def test_it_does_not_heal_by_itself() -> None:
    own = budget()
    assert own.balance(100.0) == 0.0


@pytest.mark.parametrize("words", [None, [], ["x"], ["nan"], ["-1"], ["99"], ["inf"]])
def test_while_the_store_is_away_a_process_has_its_part(words: list[str] | None) -> None:
    own = budget(Processes(2))
    own.answered(words, now=0.0)
    assert own.balance(0.0) == 1.5
    own.answered(words, now=5.0)
    assert own.balance(5.0) == 1.5
    own.answered(words, now=10.0)
    assert own.balance(10.0) == 3.0


def test_a_store_that_is_known_to_be_away_is_not_asked() -> None:
    own = budget(Processes(3, is_lost=True))
    assert own.question(1.0, now=0.0) is None
    assert own.withdraw(1.0, now=0.0)
