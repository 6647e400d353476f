"""How servers that limit in silence are used, and what is refused and lost: a table for people.

``PYTHONPATH=tests python -m simulation.silence`` prints, for fixed windows and token buckets that
answer 429 or 503 and send no headers, the median of the time over that of a client that knows the
server's state, the refusals per 100 requests, and the calls lost per 100, over a few seeds.
"""

import statistics
import sys
from typing import NamedTuple

from httpx_resilience import Policy
from simulation.callers import Latency
from simulation.jobs import Job, clairvoyant
from simulation.servers import LIMITERS, Limiter, RateLimitedServer

WINDOWS = [(20, 1), (50, 5), (60, 10), (100, 30), (100, 60)]
"""Limits and lengths."""

BUCKETS = [(2, 30), (5, 10), (10, 5), (30, 10), (60, 10), (10, 1), (30, 2), (100, 5)]
"""Requests per second and bursts; the last three are tiny."""

ROUNDS = 8
"""Windows that a job takes, at the least."""

SECONDS = 20
"""How long a job against a bucket takes, at the least, beside what the burst is."""

LATENCY = Latency()


class Silent(NamedTuple):
    """A server that limits in silence, and how many call it at once."""

    kind: str
    limit: int
    window: float
    refusal: int
    tasks: int = 20

    def limiter(self) -> Limiter:
        return LIMITERS[self.kind](self.limit, self.window)

    @property
    def calls(self) -> int:
        rounds = ROUNDS
        if self.kind == "bucket_full":
            rounds = 1 + round(SECONDS / self.window)
        return max(300, rounds * self.limit)


class Figures(NamedTuple):
    """What a job came to: times the minimum, and of 100 requests or calls."""

    time: float
    refused: float
    lost: float

    def __str__(self) -> str:
        return f"{self.time:.2f} {self.refused:4.1f} {self.lost:4.1f}"


def play(silent: Silent, seed: int) -> Figures:
    """Run a job against a silent server, at a phase of its clock that the seed decides."""
    limiter, calls, start = silent.limiter(), silent.calls, 0.37 * seed * silent.window
    server = RateLimitedServer(limiter, silent.limit, has_headers=False, refusal=silent.refusal)
    job = Job(
        lambda now: server.handle(now + start),
        calls=calls,
        tasks=silent.tasks,
        seed=seed,
        latency=LATENCY,
        policy=Policy(),
    )
    report = job.run()
    _, best = clairvoyant(_From(silent.limiter(), start), calls=calls, tasks=20, latency=LATENCY)
    refused = len(report.refused_at)
    return Figures(
        report.finished_at / best, 100 * refused / report.sent, 100 * len(job.lost) / calls
    )


class _From:
    """A limiter whose clock has gone for some time."""

    def __init__(self, limiter: Limiter, start: float) -> None:
        self._limiter, self._start = limiter, start

    def earliest(self, now: float) -> float:
        return self._limiter.earliest(now + self._start) - self._start

    def take(self, now: float) -> object:
        return self._limiter.take(now + self._start)


def figures(silent: Silent, seeds: int = 5) -> Figures:
    """Return the medians over seeds; of the lost, the mean."""
    runs = [play(silent, seed) for seed in range(seeds)]
    time, refused, lost = zip(*runs, strict=True)
    return Figures(statistics.median(time), statistics.median(refused), statistics.mean(lost))


def rows() -> dict[str, list[Silent]]:
    """Return what is in the table: a name, and the servers of its line."""
    table = {
        f"{kind} {limit}/{window}": [
            Silent(kind, limit, window, refusal, tasks)
            for refusal in (429, 503)
            for tasks in (5, 20)
        ]
        for kind in ("aligned", "anchored")
        for limit, window in WINDOWS
    }
    for rate, burst in BUCKETS:
        table[f"bucket {rate}/s {burst}"] = [
            Silent("bucket_full", burst, burst / rate, refusal, tasks)
            for refusal in (429, 503)
            for tasks in (5, 20)
        ]
    return table


def main() -> None:
    """Print the table: times the minimum, refusals per 100, lost per 100."""
    heads = ["429, 5 tasks", "429, 20 tasks", "503, 5 tasks", "503, 20 tasks"]
    lines = [["server", *heads]]
    lines += [[name, *map(str, map(figures, line))] for name, line in rows().items()]
    for line in lines:
        sys.stdout.write("  ".join(cell.ljust(16) for cell in line).rstrip() + "\n")


if __name__ == "__main__":
    main()
