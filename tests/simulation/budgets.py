"""The retry budget under outages, blips, noise and overload: what it costs and saves, for fleets.

It alone: no retry parks here (see ``outages``).

``PYTHONPATH=tests python -m simulation.budgets`` prints it: medians over seeds, for 1, 30, 300 and
500 processes that together make the same calls. ``... budgets SEED`` prints one seed's.
"""

import sys
from collections.abc import Callable, Iterable
from statistics import median
from typing import NamedTuple

from httpx_resilience import Policy, RetryPolicy
from simulation.callers import Answer, Record
from simulation.fleet import Played, Scene, play
from simulation.machines import CODED, UNCODED, UNREACHABLE, Fault, Machine

FLEETS = (1, 30, 300, 500)
SEEDS = range(3)
WARM = 65.0
"""Seconds of well-being before anything happens: budgets are full then."""

UNPARKED = Policy(park=None)
NO_RETRIES = Policy(retry=RetryPolicy(max_attempts=1), budget=None)

Measure = Callable[[Played], float]


class Row(NamedTuple):
    """A situation, and what is measured in it."""

    scene: Scene
    measures: dict[str, Measure]


def outage(rate: float, seconds: float, answer: Answer = CODED) -> Scene:
    fault = Fault("outage", WARM, WARM + seconds, answer=answer)
    return Scene(1, rate, lambda chance: Machine(chance, [fault]), WARM + seconds, UNPARKED)


def noise(rate: float, seconds: float, share: float, answer: Answer = CODED) -> Scene:
    fault = Fault("brown_out", 0.0, WARM + seconds, share, answer)
    return Scene(1, rate, lambda chance: Machine(chance, [fault]), WARM + seconds, UNPARKED)


STALL, STALLED = 25.0, 10.0
"""When the loaded machine stalls, and for how long."""

LOADED = Scene(
    1,
    280.0,
    lambda chance: Machine(chance, [Fault("stall", STALL, STALL + STALLED)], capacity=300.0),
    STALL + STALLED + 45.0,
    UNPARKED,
    timeout=1.0,
)
"""93 % of its capacity; a queue of 600 holds two seconds' work, and clients wait for one."""


def attempts_per_call(played: Played) -> float:
    records = troubled(played)
    return sum(record.attempts for record in records) / len(records)


def success(played: Played) -> float:
    records = troubled(played)
    return sum(record.succeeded for record in records) / len(records)


def saved(played: Played) -> float:
    hit = [record for record in troubled(played) if record.hit]
    return sum(record.succeeded for record in hit) / max(1, len(hit))


def troubled(played: Played) -> list[Record]:
    """Return the calls that arrived while there was trouble."""
    return [record for record in played.records if record.arrived_at >= WARM]


def recovery(played: Played) -> float:
    """Return the seconds from a stall's end until from then on nine in ten calls succeed."""
    begin = STALL + STALLED
    buckets: dict[int, list[bool]] = {}
    for record in played.records:
        if record.arrived_at >= begin:
            buckets.setdefault(int(record.arrived_at - begin), []).append(record.succeeded)
    bad = [second for second, ended in buckets.items() if sum(ended) < 0.9 * len(ended)]
    return max(bad, default=-1) + 1.0


AMPLIFIED: dict[str, Measure] = {"attempts per call": attempts_per_call}
SAVED: dict[str, Measure] = {"saved": saved, "attempts per call": attempts_per_call}
RECOVERED: dict[str, Measure] = {"recovery in s": recovery}
RODE_OUT: dict[str, Measure] = {"success": success, "attempts per call": attempts_per_call}

ROWS: dict[str, Row] = {
    "outage of 60 s at 100/s": Row(outage(100.0, 60.0), AMPLIFIED),
    "outage of 60 s at 100/s, from a proxy": Row(outage(100.0, 60.0, UNCODED), AMPLIFIED),
    "outage of 60 s at 100/s, unreachable": Row(outage(100.0, 60.0, UNREACHABLE), AMPLIFIED),
    "outage of 30 s at 20/s": Row(outage(20.0, 30.0), AMPLIFIED),
    "one failure in ten": Row(noise(50.0, 60.0, 0.1), RODE_OUT),
    "one failure in ten, from a proxy": Row(noise(50.0, 60.0, 0.1, UNCODED), RODE_OUT),
    "blip of 1 s at 100/s": Row(outage(100.0, 1.0), SAVED),
    "blip of 2 s at 20/s": Row(outage(20.0, 2.0), SAVED),
    "stall of 10 s at 93 % load": Row(LOADED, RECOVERED),
    "the same without retries": Row(LOADED._replace(policy=NO_RETRIES), RECOVERED),
}


def measured(name: str, clients: int, what: str, seeds: Iterable[int] = SEEDS) -> dict[int, float]:
    """Return what a row measures, for each seed."""
    row = ROWS[name]
    return {
        seed: row.measures[what](play(row.scene._replace(clients=clients), seed)) for seed in seeds
    }


def main(seeds: Iterable[int]) -> None:
    """Print the table."""
    for name, row in ROWS.items():
        for clients in FLEETS:
            runs = [play(row.scene._replace(clients=clients), seed) for seed in seeds]
            told = (
                f"{what} {median(measure(run) for run in runs):.4g}"
                for what, measure in row.measures.items()
            )
            sys.stdout.write(f"{name:40} {clients:4} processes: {', '.join(told)}\n")


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]] or SEEDS)
