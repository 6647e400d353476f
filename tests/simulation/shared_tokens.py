"""Processes that share limits on tokens by a store: a table for people.

``PYTHONPATH=tests python -m simulation.shared_tokens`` prints, for jobs of ``simulation.tokens``
that are divided among four processes, how many requests were sent and refused, how many calls were
lost, and the time beside the least that is possible; without a store and with one.
"""

import sys
from random import Random
from typing import NamedTuple

from httpx_resilience import Policy
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle import LeasedThrottle, Leasing
from simulation.callers import Latency
from simulation.engine import Engine
from simulation.stores import PlainNames, SimulatedStore
from simulation.tokens import SHAPES, Costly, Metered, Nobody, Shape, least_time

PROCESSES = 4


class Result(NamedTuple):
    """What became of a job: requests sent and refused, calls lost, time beside the least."""

    sent: int
    refused: int
    lost: int
    time: float


def play(shape: Shape, seed: int, *, has_store: bool = True) -> Result:
    """Run a job, divided among processes."""
    chance, engine = Random(f"tokens {seed}"), Engine()
    store = SimulatedStore(engine)
    limits = {"tokens": shape.tokens()}
    if shape.requests is not None:
        limits = {"requests": shape.requests(), **limits}
    metered, callers, spent = Metered(limits), [], 0
    for number in range(PROCESSES):
        caller = _caller(engine, number, seed, store if has_store else None)
        caller.metered = metered
        caller.works = lambda: chance.uniform(*shape.works) if shape.works[1] else 0.0
        costs = [shape.cost(chance) for _ in range(shape.calls // PROCESSES)]
        spent += sum(costs)
        _begin(engine, caller, shape, costs)
        callers.append(caller)
    engine.run()
    reports = [caller.report for caller in callers]
    well = sum(report.reasons.get("success", 0) for report in reports)
    return Result(
        sum(report.sent for report in reports),
        sum(report.statuses.get(429, 0) for report in reports),
        shape.calls - well,
        max(report.finished_at for report in reports) / least_time(shape, spent),
    )


def _caller(engine: Engine, number: int, seed: int, store: SimulatedStore | None) -> Costly:
    policy, throttle = Policy(), None
    if store is not None:
        assert policy.throttle is not None
        leasing = Leasing(PlainNames(), f"p{number}", lambda event: None)
        throttle = LeasedThrottle(
            "https://sim",
            "all",
            policy.throttle,
            ServerClock(),
            lambda event: None,
            leasing,
            "",
            "all",
        )
    chance, latency = Random(f"{seed} {number}"), Latency(0.02, 0.02)
    caller = Costly(engine, Nobody(), policy, chance, latency=latency, throttle=throttle)
    caller.store = store
    return caller


def _begin(engine: Engine, caller: Costly, shape: Shape, costs: list[int]) -> None:
    caller.costs = {at: {"requests": 1, "tokens": cost} for at, cost in enumerate(costs)}
    left = iter(range(len(costs)))

    def begin() -> None:
        at = next(left, None)
        if at is not None:
            units = {"tokens": costs[at]} if shape.given else None
            caller.call(lambda: engine.at(engine.now, begin), units=units)

    for _ in range(min(max(1, shape.tasks // PROCESSES), len(costs))):
        engine.at(0.0, begin)


def main() -> None:
    """Print the table."""
    for name, shape in SHAPES.items():
        if shape.cancelled or shape.others:
            continue
        for way, has_store in (("no store", False), ("store", True)):
            runs = [play(shape, seed, has_store=has_store) for seed in range(5)]
            sent, refused, lost, time = (sum(column) / 5 for column in zip(*runs, strict=True))
            sys.stdout.write(
                f"{name:40}{way:10}{sent:6.1f} sent {refused:6.1f} refused {lost:5.1f} lost"
                f"   time {time:.2f}\n"
            )


if __name__ == "__main__":
    main()
