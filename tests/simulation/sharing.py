"""What a second spender of the same budget gets beside us: a table for people.

``PYTHONPATH=tests python -m simulation.sharing`` prints, for windows that announce what is left,
how many of 100 of the other's calls are refused, how many would be beside one who spreads its calls
evenly, and what our job gets of its fair share.
"""

import statistics
import sys
from random import Random
from typing import NamedTuple

from httpx_resilience import Policy
from simulation.callers import Latency
from simulation.engine import Engine
from simulation.jobs import Job
from simulation.servers import LIMITERS, RateLimitedServer

SHAPES = [("aligned", 100, 10), ("anchored", 100, 10), ("aligned", 300, 60), ("anchored", 60, 30)]
DEMANDS = (0.1, 0.25, 0.5, 0.8)
"""What the other asks for, as shares of the limit."""

WINDOWS = 20
WARM_UP = 6
"""Windows that a run takes, and those at its beginning that do not count."""

LATENCY = Latency(0.02, 0.01)
PATIENT = Policy(budget=None)


class Shared(NamedTuple):
    """A budget, and the share of it that another one asks for at random."""

    kind: str
    limit: int
    window: float
    demand: float

    @property
    def fair(self) -> float:
        """Units of a window that are ours if the other gets what it asks for, up to half."""
        return self.limit * (1.0 - min(0.5, self.demand))


class Figures(NamedTuple):
    """What came of it: the other's calls refused of 100, ours accepted by our fair share."""

    refused: float
    ours: float


def play(shared: Shared, seed: int, *, is_even: bool = False) -> Figures:
    """Run our job beside another one; ``is_even``, if it is one that spreads its calls evenly."""
    engine, chance = Engine(), Random(seed)
    limiter = LIMITERS[shared.kind](shared.limit, shared.window)
    server = RateLimitedServer(limiter, shared.limit, "ceil")
    begin, until = WARM_UP * shared.window, (WARM_UP + WINDOWS) * shared.window
    ours: list[bool] = []
    others: list[bool] = []

    def counted(took: list[bool], accepted: bool) -> None:
        if engine.now >= begin:
            took.append(accepted)

    def respond(now: float) -> tuple[int, list[tuple[bytes, bytes]]]:
        status, headers = server.handle(now)
        counted(ours, status == 200)
        return status, headers

    def spend() -> None:
        counted(others, limiter.take(engine.now).accepted)
        engine.at(engine.now + chance.expovariate(shared.demand * rate), spend)

    def evenly() -> None:
        counted(ours, limiter.take(engine.now).accepted)
        engine.at(engine.now + 1.0 / (shared.fair / shared.window), evenly)

    rate = shared.limit / shared.window
    engine.at(chance.random() / rate, spend)
    if is_even:
        engine.at(0.0, evenly)
    else:
        Job(
            respond,
            calls=10**9,
            tasks=20,
            seed=seed,
            latency=LATENCY,
            policy=PATIENT,
            engine=engine,
        )
    engine.run(until)
    refused = 100.0 * (len(others) - sum(others)) / max(1, len(others))
    return Figures(refused, 100.0 * sum(ours) / (WINDOWS * shared.fair))


def figures(shared: Shared, seeds: int = 3, *, is_even: bool = False) -> Figures:
    """Return the means over seeds."""
    runs = [play(shared, seed, is_even=is_even) for seed in range(seeds)]
    refused, ours = zip(*runs, strict=True)
    return Figures(statistics.mean(refused), statistics.mean(ours))


def main() -> None:
    """Print the table."""
    lines = [["budget", "other asks", "refused", "beside an even one", "our share"]]
    for kind, limit, window in SHAPES:
        for demand in DEMANDS:
            shared = Shared(kind, limit, window, demand)
            refused, ours = figures(shared)
            even = figures(shared, is_even=True).refused
            name = f"{kind} {limit}/{window}"
            lines.append([name, f"{demand:.0%}", f"{refused:.1f}", f"{even:.1f}", f"{ours:.0f} %"])
    for line in lines:
        sys.stdout.write("  ".join(cell.ljust(18) for cell in line).rstrip() + "\n")


if __name__ == "__main__":
    main()
