"""Servers whose headers mislead, each by one habit, and jobs against them in a table.

``PYTHONPATH=tests python -m simulation.misleading`` prints for each habit what was refused per 100
calls, and the time beside the least that is possible: its median and its ninth decile.
"""

import math
import sys
from bisect import bisect_right
from collections.abc import Sequence
from email.utils import formatdate
from random import Random
from statistics import median
from typing import NamedTuple

from httpx_resilience import Policy
from simulation.callers import Latency
from simulation.engine import EPOCH
from simulation.jobs import Job, clairvoyant
from simulation.servers import LIMITERS, RESETS, Answer

WINDOWS = 5
"""Windows' worth of calls in a job, about."""


class Habit(NamedTuple):
    """How a server misleads.

    Attributes:
        share: Of accepted responses, that have rate-limit headers.
        too_many: By how much its ``remaining`` is too large, but for refusals.
        lag: Seconds by which it is stale.
        nodes: That count each on its own.
        has_reset, has_date: Whether it says when the window ends, and what time it is.
        wall_skew: Seconds by which the client's clock may be wrong, either way.
    """

    share: float = 1.0
    too_many: int = 0
    lag: float = 0.0
    nodes: int = 1
    has_reset: bool = True
    has_date: bool = True
    wall_skew: tuple[float, float] = (0.0, 0.0)


HABITS = {
    "honest": Habit(),
    "headers only on 429s": Habit(share=0.0),
    "headers on 20 % of responses": Habit(share=0.2),
    "remaining one too many": Habit(too_many=1),
    "stale by 100 ms": Habit(lag=0.1),
    "stale by 1 s": Habit(lag=1.0),
    "two nodes": Habit(nodes=2),
    "four nodes": Habit(nodes=4),
    "remaining without reset": Habit(has_reset=False),
    "no Date, a wrong clock": Habit(has_date=False, wall_skew=(10.0, 60.0)),
}


class Misleading:
    """A limiter that keeps an honest count, and has a habit."""

    def __init__(self, kind: str, limit: int, window: float, habit: Habit, chance: Random) -> None:
        self._habit, self._limit, self._chance = habit, limit, chance
        self._is_fixed = kind in ("aligned", "anchored")
        self._nodes = [LIMITERS[kind](limit, window) for _ in range(habit.nodes)]
        self._times: list[float] = []
        self._answers: list[Answer] = []
        self._write = RESETS[chance.choice(["floor", "ceil", "float", "delta"])]

    def handle(self, now: float) -> tuple[int, Sequence[tuple[bytes, bytes]]]:
        habit, clock = self._habit, EPOCH + now
        answer = self._chance.choice(self._nodes).take(now)
        said = self._stale(answer, now)
        headers = [("Date", formatdate(math.floor(clock), usegmt=True))] if habit.has_date else []
        if not answer.accepted or self._chance.random() < habit.share:
            left = said.remaining + (habit.too_many if answer.accepted else 0)
            headers += [
                ("X-RateLimit-Limit", str(self._limit)),
                ("X-RateLimit-Remaining", str(left)),
            ]
            if habit.has_reset:
                headers.append(("X-RateLimit-Reset", self._write(EPOCH + said.reset, clock)))
        if not answer.accepted:
            headers.append(("Retry-After", str(max(1, math.ceil(answer.reset - now)))))
        status = 200 if answer.accepted else 429
        return status, [(name.encode(), value.encode()) for name, value in headers]

    def _stale(self, answer: Answer, now: float) -> Answer:
        """Return what the server would have said a while ago; of a window that is over, nothing."""
        self._times.append(now)
        self._answers.append(answer)
        index = bisect_right(self._times, now - self._habit.lag) - 1
        if index < 0 or (self._is_fixed and self._answers[index].reset <= now):
            return Answer(answer.accepted, self._limit, answer.reset)
        return Answer(answer.accepted, self._answers[index].remaining, answer.reset)


class Result(NamedTuple):
    """What became of a job."""

    calls: int
    refused: int
    lost: int
    slowness: float


def play(habit: Habit, seed: int) -> Result:
    """Run one job; its server and its client are told by the seed."""
    chance = Random(f"misleading {seed}")
    kind = list(LIMITERS)[seed % len(LIMITERS)]
    limit, window = chance.choice([10, 20, 50, 100]), chance.choice([5.0, 10.0, 20.0, 60.0])
    tasks = chance.choice([5, 10, 20, 50])
    latency = Latency(chance.choice([0.01, 0.05]), 0.02)
    skew = chance.uniform(*habit.wall_skew) * chance.choice([-1, 1])
    calls = int((WINDOWS - 0.5) * limit * habit.nodes)
    server = Misleading(kind, limit, window, habit, chance)
    job = Job(
        server.handle,
        calls=calls,
        tasks=tasks,
        seed=seed,
        latency=latency,
        policy=Policy(),
        wall_skew=skew,
    )
    report = job.run()
    limiter = LIMITERS[kind](limit, window)
    _, least = clairvoyant(limiter, calls=calls // habit.nodes, tasks=tasks, latency=latency)
    refused = report.statuses.get(429, 0)
    return Result(calls, refused, len(job.lost), report.finished_at / least)


def main(seeds: Sequence[int] = range(24), names: Sequence[str] = ()) -> None:
    """Print the table."""
    for name, habit in HABITS.items():
        if names and name not in names:
            continue
        results = [play(habit, seed) for seed in seeds]
        refused = 100 * sum(r.refused / r.calls for r in results) / len(results)
        slow = sorted(result.slowness for result in results)
        sys.stdout.write(
            f"{name:30} {refused:6.2f} refused  {sum(r.lost for r in results):3} lost"
            f"   time {median(slow):.2f} {slow[int(0.9 * len(slow))]:.2f}\n"
        )


if __name__ == "__main__":
    main(names=sys.argv[1:])
