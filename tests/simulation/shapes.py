"""Random jobs against random rate-limited servers, each told by one number.

``PYTHONPATH=tests python -m simulation.shapes 210`` replays the shape of seed 210.
"""

import math
import sys
from random import Random
from typing import NamedTuple

from httpx_resilience import Policy, RetryPolicy, ThrottlePolicy
from httpx_resilience._core.headers.server_clock import ServerClock
from simulation.callers import Latency, Record, Report
from simulation.checkers import Checker, InOrder, OneScout, Watched
from simulation.jobs import Job, clairvoyant
from simulation.servers import LIMITERS, RESETS, RateLimitedServer

PATIENT = Policy(
    budget=None,
    throttle=ThrottlePolicy(max_wait=1e9),
    retry=RetryPolicy(max_attempts=50, retry_for=1e9, max_retry_after=1e9),
)
"""Gives up on nothing, so that a job says how fast it was and not whom it let down."""

ENDLESS = 10**9


class Shape(NamedTuple):
    """A server, and a client that asks as much as it may."""

    kind: str
    limit: int
    window: float
    reset_format: str
    tasks: int
    latency: Latency
    skew: float
    step: tuple[float, float] | None


def any_shape(seed: int) -> Shape:
    """Return the shape of a seed: any server, limit, window, latency and skew."""
    r = Random(seed)
    kind = r.choice(list(LIMITERS))
    limit = round(math.exp(r.uniform(0, math.log(1000))))
    window = math.exp(r.uniform(0, math.log(3600)))
    if r.random() < 0.7:
        window = max(1.0, float(round(window)))
    reset_format = r.choice(list(RESETS))
    tasks = round(math.exp(r.uniform(0, math.log(200))))
    latency = Latency(
        r.choice([0.002, 0.01, 0.05, 0.15]),
        r.choice([0, 0.01, 0.05, 0.15]),
        r.choice([0, 0, 0.02]),
    )
    skew = r.uniform(-300, 300)
    step = (r.uniform(0, 3 * window), r.choice([-30, 5, 120])) if r.random() < 0.15 else None
    return Shape(kind, limit, window, reset_format, tasks, latency, skew, step)


def busy_shape(kind: str, seed: int, *, shortest: float, longest: float) -> Shape:
    """Return the shape of a seed in which the budget alone is in the way."""
    r = Random(f"{kind} {seed}")
    return any_shape(r.randrange(10**9))._replace(
        kind=kind,
        limit=round(math.exp(r.uniform(math.log(20), math.log(300)))),
        window=math.exp(r.uniform(math.log(shortest), math.log(longest))),
        tasks=r.randint(10, 100),
        latency=Latency(r.choice([0.01, 0.05]), r.choice([0, 0.02])),
        step=None,
    )


class Run(NamedTuple):
    """What became of a shape."""

    seed: int
    shape: Shape
    until: float
    report: Report
    throttle: Watched
    scouts: int
    lost: tuple[Record, ...]

    @property
    def accepted(self) -> int:
        return self.report.statuses.get(200, 0)

    @property
    def refused(self) -> int:
        return len(self.report.refused_at)

    @property
    def efficiency(self) -> float:
        """Requests done, as a share of what a client does that knows the server's state."""
        shape = self.shape
        limiter = LIMITERS[shape.kind](shape.limit, shape.window)
        ideal, _ = clairvoyant(
            limiter, calls=ENDLESS, tasks=shape.tasks, latency=shape.latency, until=self.until
        )
        return self.accepted / max(1, ideal)

    @property
    def trace(self) -> tuple[object, ...]:
        """Everything that happened, to be compared."""
        return tuple(self.throttle.grants), tuple(self.report.arrivals), self.report.statuses

    @property
    def began_cold(self) -> bool:
        """Whether a refusal is the price of a cold start that gives way.

        Nothing is known before the first answer, and after a second without it one more request
        goes: only evidence may hold a call for long. Where one request is all there
        is, that one is refused.
        """
        first = self.throttle.first_response_at or 0.0
        return self.shape.limit == 1 and first > 1.0 and self.refused == 1

    @property
    def guessed_wrong(self) -> bool:
        """Whether a refusal is the price of the length that is assumed of a short window.

        Ten units or more, a multiple of five, whose resets are in whole seconds and come about
        five seconds after the first request, are taken for five seconds' until one is refused.
        """
        shape = self.shape
        may_guess = shape.limit >= 10 and shape.limit % 5 == 0 and shape.reset_format != "float"
        return may_guess and 4.0 < shape.window < 12.0 and self.refused == 1

    def __str__(self) -> str:
        return (
            f"{self.shape}: {self.report.statuses}, refused at {self.report.refused_at[:5]}, "
            f"{len(self.lost)} lost {[str(record) for record in self.lost[:3]]}; "
            f"replay: PYTHONPATH=tests python -m simulation.shapes {self.seed}"
        )


def play(
    shape: Shape,
    seed: int,
    *,
    requests: int = 600,
    fewest: float = 3,
    policy: Policy = PATIENT,
    wall_skew: float = 0.0,
    wall_step: float = 0.0,
) -> Run:
    """Run a shape's job for some windows, under the eyes of the checkers.

    Args:
        shape: What to run.
        seed: Of the latencies.
        requests: How many there may be, about; a large limit is run for fewer windows.
        fewest: The least number of windows.
        policy: The client's.
        wall_skew: By how much the client's wall clock is wrong.
        wall_step: By how much it is set in the middle.
    """
    server = RateLimitedServer(
        LIMITERS[shape.kind](shape.limit, shape.window),
        shape.limit,
        shape.reset_format,
        skew=shape.skew,
        step=shape.step,
    )
    scouts = OneScout()
    checkers: tuple[Checker, ...] = (scouts, InOrder())
    report = Report()
    assert policy.throttle is not None
    throttle = Watched(
        "https://sim", "all", policy.throttle, ServerClock(), _drop, checkers=checkers
    )
    job = Job(
        server.handle,
        calls=ENDLESS,
        tasks=shape.tasks,
        seed=seed,
        latency=shape.latency,
        policy=policy,
        throttle=throttle,
        wall_skew=wall_skew,
        rest=shape.window / 10,
    )
    until = (max(fewest, min(10, requests // shape.limit)) - 0.05) * shape.window
    if wall_step:
        caller = job.caller
        job.engine.at(until / 2, lambda: setattr(caller, "wall_skew", wall_skew + wall_step))
    report = job.run(until)
    throttle.check_conservation()
    return Run(seed, shape, until, report, throttle, scouts.scouts, tuple(job.lost))


def _drop(event: object) -> None:
    """Nobody listens."""


if __name__ == "__main__":
    for argument in sys.argv[1:]:
        run = play(any_shape(int(argument)), int(argument))
        sys.stdout.write(f"{run}\n{100 * run.efficiency:.1f} % of what is possible\n")
