"""Many processes that share one limit, with a store and without: a table for people.

``PYTHONPATH=tests python -m simulation.shared`` prints, for each kind of window, how many of 100
requests are refused, what is done of what a clairvoyant client does in the same time, what the
slowest process gets of an equal share, and how often a process asks the store in a second.
"""

import statistics
import sys
from random import Random
from typing import NamedTuple

from httpx_resilience import Policy
from httpx_resilience._core.headers.server_clock import ServerClock
from httpx_resilience._core.throttle import LeasedThrottle, Leasing, Throttle
from httpx_resilience._core.throttle.limits.fleet import Peers
from simulation.callers import Latency
from simulation.engine import Engine
from simulation.jobs import Job, clairvoyant
from simulation.servers import LIMITERS, RateLimitedServer
from simulation.stores import PlainNames, SimulatedStore

LATENCY = Latency(0.02, 0.01)
ORIGIN = "https://sim"


class Fleet(NamedTuple):
    """Processes and the limit that they share."""

    kind: str = "aligned"
    limit: int = 100
    window: float = 10.0
    processes: int = 4
    tasks: int = 10
    windows: int = 12
    reset: str = "ceil"
    has_headers: bool = True


class Figures(NamedTuple):
    """What came of it.

    Attributes:
        refused: Requests of 100.
        done: Of what a clairvoyant client does.
        fair: What the slowest process got of an equal share.
        asks: Round trips a second and process.
        lost: Calls that failed.
    """

    refused: float
    done: float
    fair: float
    asks: float
    lost: int


class Run:
    """A fleet at work. ``peers``: no store, but the number of processes is known."""

    def __init__(
        self,
        fleet: Fleet,
        seed: int,
        *,
        has_store: bool = True,
        peers: int = 0,
        policy: Policy | None = None,
    ) -> None:
        self.fleet = fleet
        self.engine = engine = Engine()
        self.store = SimulatedStore(engine, seed=seed)
        limiter = LIMITERS[fleet.kind](fleet.limit, fleet.window)
        self.server = RateLimitedServer(
            limiter, fleet.limit, fleet.reset, has_headers=fleet.has_headers
        )
        self.jobs: list[Job] = []
        self.events: list[object] = []
        chance = Random(seed)
        policy = policy or Policy(budget=None)
        for n in range(fleet.processes):
            own = chance.randrange(2**32)
            job = Job(
                self.server.handle,
                calls=10**9,
                tasks=fleet.tasks,
                seed=own,
                latency=LATENCY,
                policy=policy,
                engine=engine,
                throttle=self._throttle(n, policy, has_store=has_store, peers=peers),
            )
            job.caller.store = self.store
            self.jobs.append(job)

    def _throttle(self, n: int, policy: Policy, *, has_store: bool, peers: int) -> Throttle:
        limits = policy.throttle
        assert limits is not None
        emit = self.events.append
        if not has_store:
            return Throttle(
                ORIGIN, "all", limits, ServerClock(), emit, Peers(peers) if peers else None
            )
        leasing = Leasing(PlainNames(), f"p{n}", emit)
        return LeasedThrottle(ORIGIN, "all", limits, ServerClock(), emit, leasing, "", "all")

    def figures(self) -> Figures:
        """Run it to its end."""
        fleet = self.fleet
        until = fleet.windows * fleet.window
        self.engine.run(until)
        done = [sum(r.succeeded for r in job.records) for job in self.jobs]
        answers = [job.report.statuses for job in self.jobs]
        refused = sum(statuses.get(429, 0) for statuses in answers)
        total = sum(sum(statuses.values()) for statuses in answers)
        best, _ = clairvoyant(
            LIMITERS[fleet.kind](fleet.limit, fleet.window),
            calls=10**6,
            tasks=fleet.processes * fleet.tasks,
            latency=LATENCY,
            until=until,
        )
        asks = max(self.store.calls.values(), default=0) / until / fleet.processes
        lost = sum(len(job.lost) for job in self.jobs)
        equal = sum(done) / len(done)
        return Figures(
            100 * refused / max(1, total), sum(done) / best, min(done) / equal, asks, lost
        )


ROWS = [
    *(
        Fleet(kind=kind)
        for kind in ("aligned", "anchored", "log", "bucket_full", "bucket_next", "counter")
    ),
    *(
        Fleet(kind=kind, limit=600, window=60.0, windows=5)
        for kind in ("aligned", "log", "bucket_full")
    ),
    *(
        Fleet(kind=kind, limit=500, window=10.0, processes=50, tasks=2, windows=8)
        for kind in ("aligned", "log", "bucket_full")
    ),
]


def mean(fleet: Fleet, seeds: range, **options: object) -> Figures:
    """Return the means over seeds."""
    runs = [Run(fleet, seed, **options).figures() for seed in seeds]  # type: ignore[arg-type]  # as Run's
    return Figures(*(statistics.mean(column) for column in zip(*runs, strict=True)))


def main() -> None:
    """Print the table."""
    seeds = range(int(sys.argv[1]) if len(sys.argv) > 1 else 3)
    sys.stdout.write(f"{'fleet':34}{'':12}refused   done   fair   asks/s   lost\n")
    for fleet in ROWS:
        name = f"{fleet.processes} x {fleet.tasks} {fleet.kind} {fleet.limit}/{fleet.window:g}"
        for way, options in (
            ("no store", {"has_store": False}),
            ("peers", {"has_store": False, "peers": fleet.processes}),
            ("store", {}),
        ):
            f = mean(fleet, seeds, **options)
            sys.stdout.write(
                f"{name:34}{way:12}{f.refused:7.2f} {f.done:6.2f} {f.fair:6.2f} {f.asks:8.2f} "
                f"{f.lost:6g}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
