"""How much of each limiter's budget is used, and what is refused: a table for people.

``PYTHONPATH=tests python -m simulation.table`` prints, for each limit and window, the median and
the least share of what a clairvoyant client would do, and the number of refusals, over all ways to
write a reset and three skews of the server's clock.
"""

import statistics
import sys

from httpx_resilience import Policy, RetryPolicy, ThrottlePolicy

from .callers import Latency
from .jobs import Job, clairvoyant
from .servers import LIMITERS, RESETS, RateLimitedServer

SHAPES = [(1000, 60), (100, 60), (60, 60), (20, 25), (5, 60), (100, 10), (20, 5), (10, 2), (5, 1)]
SKEWS = (0.0, -2.7, 37.41)
PATIENT = Policy(
    budget=None,
    throttle=ThrottlePolicy(max_wait=1e9),
    retry=RetryPolicy(max_attempts=50, retry_for=1e9, max_retry_after=1e9),
)


def used(kind: str, limit: int, window: float, reset: str, seed: int) -> tuple[float, int]:
    """Return the share of a clairvoyant client's calls that were accepted, and the refusals."""
    until = (max(3, min(10, 3000 // limit)) - 0.05) * window
    latency = Latency(0.02, 0.01)
    server = RateLimitedServer(LIMITERS[kind](limit, window), limit, reset, skew=SKEWS[seed])
    job = Job(server.handle, calls=10**9, tasks=32, seed=seed, latency=latency, policy=PATIENT)
    report = job.run(until)
    best, _ = clairvoyant(
        LIMITERS[kind](limit, window), calls=10**9, tasks=32, latency=latency, until=until
    )
    return report.statuses.get(200, 0) / best, report.statuses.get(429, 0)


def main() -> None:
    lines = [["L/W", *LIMITERS]]
    for limit, window in SHAPES:
        line = [f"{limit}/{window}"]
        for kind in LIMITERS:
            runs = [used(kind, limit, window, reset, seed) for reset in RESETS for seed in range(3)]
            shares = [share for share, _ in runs]
            refused = sum(count for _, count in runs)
            line.append(f"{statistics.median(shares):.1%} {min(shares):.0%} {refused}")
        lines.append(line)
    for line in lines:
        sys.stdout.write("  ".join(cell.ljust(14) for cell in line).rstrip() + "\n")


if __name__ == "__main__":
    main()
