"""Two event loops in two threads, asyncio's and Trio's, draw on one retry budget."""

import random
import threading
import time
from collections import Counter
from contextlib import suppress
from typing import Any

import anyio
import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    Backoff,
    BudgetPolicy,
    ErrorClass,
    Policy,
    RetryBudget,
    RetryPolicy,
)
from support.virtual import run

CALLS = 300
FLOOR = 100_000.0
"""Tokens at the start; the cap is no more, and as only what was taken is given back, never met."""

COSTS = {ErrorClass.TRANSIENT: 1.0, ErrorClass.CONNECTION: 2.0}
POLICY = Policy(
    retry=RetryPolicy(
        backoff={
            error_class: Backoff(initial=0.01, maximum=0.01, cost=cost)
            for error_class, cost in COSTS.items()
        }
    ),
    throttle=None,
    park=None,
)


class Recorded(RetryBudget):
    """A budget that notes, for each thread, what was taken and given back.

    Whoever reads its tokens lets the other threads run before he can write them.
    """

    def __init__(self) -> None:
        self._exactly = 0.0
        super().__init__(BudgetPolicy(floor=FLOOR, maximum=FLOOR, ratio=0.0, heal_after=1e9))
        self.notes: dict[int, Counter[str]] = {}

    @property
    def _tokens(self) -> float:
        read = self._exactly
        time.sleep(0)
        return read

    @_tokens.setter
    def _tokens(self, tokens: float) -> None:
        self._exactly = tokens

    def _note(self, what: str, cost: float) -> None:
        notes = self.notes.setdefault(threading.get_ident(), Counter())
        notes[what] += round(cost * 4)
        notes[f"times {what}"] += 1

    def withdraw(self, cost: float, now: float) -> bool:
        taken = super().withdraw(cost, now)
        if taken:
            self._note("taken", cost)
        return taken

    def refund(self, cost: float, now: float) -> None:
        super().refund(cost, now)
        self._note("given back", cost)


def flaky(seed: int) -> httpx.MockTransport:
    chance = random.Random(seed)

    def answer(request: httpx.Request) -> httpx.Response:
        drawn = chance.random()
        if drawn < 0.2:
            raise httpx.ReadError("lost")
        return httpx.Response(503 if drawn < 0.5 else 200)

    return httpx.MockTransport(answer)


def calls_in_a_thread(name: str, budget: RetryBudget, seed: int, failed: list[Any]) -> None:
    async def main() -> None:
        transport = AsyncResilientTransport(flaky(seed), policy=POLICY, budget=budget)
        chance = random.Random(seed)

        async def one(n: int) -> None:
            request = httpx.Request("GET", f"https://vault.example/{n}")
            with suppress(httpx.ReadError), anyio.move_on_after(chance.uniform(0.001, 0.1)):
                await transport.handle_async_request(request)  # some are cancelled

        for batch in range(0, CALLS, 100):
            async with anyio.create_task_group() as group:
                for n in range(batch, batch + 100):
                    group.start_soon(one, n)

    try:
        run(name, main)
    except BaseException as error:  # noqa: BLE001 - told in the main thread
        failed.append(error)


@pytest.mark.parametrize("seed", [1])
def test_event_loops_in_several_threads_share_a_budget_and_lose_no_token(seed: int) -> None:
    budget, failed = Recorded(), list[Any]()
    threads = [
        threading.Thread(target=calls_in_a_thread, args=(name, budget, seed * 10 + at, failed))
        for at, name in enumerate(["asyncio", "trio", "asyncio", "trio"])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120.0)
        assert not thread.is_alive(), f"seed {seed}"
    assert failed == [], f"seed {seed}"
    assert len(budget.notes) == 4
    total = Counter[str]()
    for notes in budget.notes.values():
        assert notes["times taken"] > CALLS // 10
        assert notes["times given back"] > CALLS // 20
        total += notes
    lost = total["taken"] - total["given back"]
    assert 0 < lost < total["taken"]
    assert budget.balance() == FLOOR - lost / 4, f"seed {seed}"
