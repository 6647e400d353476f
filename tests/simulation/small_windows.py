"""Windows of a few seconds as the limiters of web frameworks keep and announce them, in a table.

``PYTHONPATH=tests python -m simulation.small_windows`` prints, for each limiter, the shortest time
that a job of six windows can take as a share of the time that it took, and what was refused.
"""

import math
import sys
from collections.abc import Callable, Sequence
from email.utils import formatdate
from random import Random
from statistics import median
from typing import NamedTuple

from httpx_resilience import Policy
from simulation.callers import Latency, Report
from simulation.engine import EPOCH
from simulation.jobs import Job
from simulation.servers import LIMITERS

LIMIT, WINDOW, CALLS, TASKS = 50, 5.0, 300, 20
LEAST = 25.0
"""Seconds: six windows, of which the first opens at once."""
LOOPBACK = Latency(0.003, 0.002)

Headers = list[tuple[bytes, bytes]]
Style = Callable[[int, float, float], Sequence[tuple[str, str]]]
"""From what remains, when the window ends and the time now, both on the server's clock."""


def _triplet(prefix: str, remaining: int, reset: object) -> list[tuple[str, str]]:
    return [
        (f"{prefix}-Limit", str(LIMIT)),
        (f"{prefix}-Remaining", str(remaining)),
        (f"{prefix}-Reset", str(reset)),
    ]


def _seconds_left(end: float, now: float) -> int:
    return math.ceil(round(end - now, 3))  # JavaScript's clock counts milliseconds


def _flask_limiter(remaining: int, end: float, now: float) -> list[tuple[str, str]]:
    reset = int(1 + end)
    return [*_triplet("X-RateLimit", remaining, reset), ("Retry-After", str(int(reset - now)))]


def _slowapi(remaining: int, end: float, now: float) -> list[tuple[str, str]]:
    reset = 1 + end
    return [*_triplet("X-RateLimit", remaining, reset), ("Retry-After", str(int(reset - now)))]


def _express_legacy(remaining: int, end: float, now: float) -> list[tuple[str, str]]:
    return _triplet("X-RateLimit", remaining, math.ceil(end))


def _draft_6(remaining: int, end: float, now: float) -> list[tuple[str, str]]:
    policy = ("RateLimit-Policy", f"{LIMIT};w={WINDOW:g}")
    return [policy, *_triplet("RateLimit", remaining, _seconds_left(end, now))]


def _draft_7(remaining: int, end: float, now: float) -> list[tuple[str, str]]:
    now_left = f"limit={LIMIT}, remaining={remaining}, reset={_seconds_left(end, now)}"
    return [("RateLimit-Policy", f"{LIMIT};w={WINDOW:g}"), ("RateLimit", now_left)]


def _draft_8(remaining: int, end: float, now: float) -> list[tuple[str, str]]:
    name = f'"{LIMIT}-in-{WINDOW:g}sec"'
    now_left = f"{name}; r={remaining}; t={_seconds_left(end, now)}"
    return [("RateLimit-Policy", f"{name}; q={LIMIT}; w={WINDOW:g}"), ("RateLimit", now_left)]


def _fastify(remaining: int, end: float, now: float) -> list[tuple[str, str]]:
    return _triplet("x-ratelimit", remaining, _seconds_left(end, now))


def _koa(remaining: int, end: float, now: float) -> list[tuple[str, str]]:
    return _triplet("X-RateLimit", remaining, math.floor(end))


def _floored_delta(remaining: int, end: float, now: float) -> list[tuple[str, str]]:
    return _triplet("X-RateLimit", remaining, math.floor(end - now))


class Row(NamedTuple):
    """A limiter: how it counts, and what it says."""

    name: str
    kind: str
    style: Style
    is_old: bool = False
    """Its Date is renewed once a second, as uvicorn's is."""


ROWS = [
    Row("flask-limiter fixed", "anchored", _flask_limiter),
    Row("flask-limiter moving", "log", _flask_limiter),
    Row("slowapi fixed", "anchored", _slowapi, is_old=True),
    Row("slowapi moving", "log", _slowapi, is_old=True),
    Row("express-rate-limit legacy", "anchored", _express_legacy),
    Row("express-rate-limit draft 6", "anchored", _draft_6),
    Row("express-rate-limit draft 7", "anchored", _draft_7),
    Row("express-rate-limit draft 8", "anchored", _draft_8),
    Row("@fastify/rate-limit", "anchored", _fastify),
    Row("koa-ratelimit", "anchored", _koa),
    Row("epoch, rounded down, log", "log", _koa),
    Row("delta, rounded down", "anchored", _floored_delta),
    Row("aligned, epoch + 1", "aligned", _flask_limiter),
    Row("aligned, epoch", "aligned", _koa),
    Row("aligned, delta", "aligned", _fastify),
    Row("log, delta", "log", _fastify),
]


class Limited:
    """A server of that kind; its clock begins at any fraction of a second."""

    def __init__(self, row: Row, skew: float) -> None:
        self._limiter = LIMITERS[row.kind](LIMIT, WINDOW)
        self._style = row.style
        self._renewed = skew % 0.7 if row.is_old else 0.0
        self._skew = skew

    def handle(self, now: float) -> tuple[int, Headers]:
        clock = EPOCH + now + self._skew
        answer = self._limiter.take(now + self._skew)
        end = EPOCH + answer.reset
        date = math.floor(clock - self._renewed) + self._renewed
        said = [("Date", formatdate(math.floor(date), usegmt=True))]
        said += self._style(answer.remaining, end, clock)
        if not answer.accepted and "Retry-After" not in dict(said):
            said.append(("Retry-After", str(math.ceil(answer.reset - now - self._skew))))
        headers = [(name.encode(), value.encode()) for name, value in said]
        return (200 if answer.accepted else 429), headers


def play(row: Row, seed: int) -> Report:
    """Run six windows' calls."""
    chance = Random(f"{row.name} {seed}")
    server = Limited(row, chance.uniform(-300.0, 300.0))
    job = Job(server.handle, calls=CALLS, tasks=TASKS, seed=seed, latency=LOOPBACK, policy=Policy())
    return job.run()


def main(seeds: int = 15) -> None:
    """Print the table."""
    for row in ROWS:
        reports = [play(row, seed) for seed in range(seeds)]
        assert all(report.reasons == {"success": CALLS} for report in reports)
        shares = [LEAST / report.finished_at for report in reports]
        refused = [len(report.refused_at) for report in reports]
        sys.stdout.write(
            f"{row.name:28} {median(shares):.2f} {min(shares):.2f}   {max(refused)}"
            f" {sum(refused) / seeds:.1f}\n"
        )


if __name__ == "__main__":
    main()
