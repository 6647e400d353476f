"""Parked retries in outages of every kind, beside no retries, and retries that do not park.

``PYTHONPATH=tests python -m simulation.outages`` prints the table, medians over seeds;
``... outages 101 102`` that of other seeds than the ones it was made with.
"""

import functools
import math
import sys
from collections.abc import Callable, Iterable
from random import Random
from statistics import median
from typing import NamedTuple

from httpx_resilience import Policy, RetryPolicy
from simulation.callers import Answer, Caller, Record, Respond, Server
from simulation.engine import Engine
from simulation.fleet import NEAR, Scene, play
from simulation.machines import CODED, UNCODED, UNREACHABLE, Fault, Machine

NO_RETRIES = Policy(retry=RetryPolicy(max_attempts=1), budget=None)
POLICIES = {"no retries": NO_RETRIES, "not parked": Policy(park=None), "parked": Policy()}
SEEDS = range(5)


class Measured(NamedTuple):
    """What became of one run.

    Attributes:
        records: The calls that arrived from the beginning of the trouble on, or all.
        begin: When the trouble began.
        end: When it ended.
    """

    records: list[Record]
    arrivals: list[float]
    begin: float
    end: float

    @property
    def lost(self) -> float:
        return sum(not record.succeeded for record in self.records)

    @property
    def success(self) -> float:
        return sum(record.succeeded for record in self.records) / max(1, len(self.records))

    @property
    def attempts(self) -> float:
        """Requests per call while it lasted."""
        came = sum(self.begin <= record.arrived_at < self.end for record in self.records)
        return sum(self.begin <= at < self.end for at in self.arrivals) / max(1, came)

    @property
    def hit(self) -> list[Record]:
        return [record for record in self.records if record.hit]

    @property
    def saved(self) -> float:
        return sum(record.succeeded for record in self.hit) / max(1, len(self.hit))

    @property
    def attempts_per_hit(self) -> float:
        return sum(record.attempts for record in self.hit) / max(1, len(self.hit))

    @property
    def wait(self) -> float:
        """Seconds that 99 % of the saved did not exceed."""
        took = sorted(record.took for record in self.hit if record.succeeded)
        return took[math.ceil(0.99 * len(took)) - 1] if took else 0.0

    @property
    def peak(self) -> float:
        """Requests in the busiest second after it, of those that come in one on average."""
        seconds: dict[int, int] = {}
        for at in self.arrivals:
            if at >= self.end:
                seconds[int(at - self.end)] = seconds.get(int(at - self.end), 0) + 1
        whole = max(seconds, default=0)
        usual = len(self.records) / max(1.0, max(r.arrived_at for r in self.records) - self.begin)
        return max((n for second, n in seconds.items() if second < whole), default=0) / usual

    @property
    def recovery(self) -> float:
        """Seconds from its end until from then on nine in ten calls succeed."""
        buckets: dict[int, list[bool]] = {}
        for record in self.records:
            if record.arrived_at >= self.end:
                second = int(record.arrived_at - self.end)
                buckets.setdefault(second, []).append(record.succeeded)
        bad = [second for second, ended in buckets.items() if sum(ended) < 0.9 * len(ended)]
        return max(bad, default=-1) + 1.0

    @property
    def seconds(self) -> float:
        """Seconds until the last call has ended."""
        return max(record.ended_at for record in self.records)

    @property
    def took(self) -> float:
        """Seconds until a call fails, in the middle."""
        return median([record.took for record in self.records if not record.succeeded] or [0.0])


Play = Callable[[Policy, int], Measured]


def open_loop(
    fault: Fault | list[Fault],
    rate: float,
    *,
    clients: int = 1,
    after: float = 30.0,
    capacity: float = 1e6,
    queue: float = 600,
    timeout: float = math.inf,
) -> Play:
    """Return a fleet whose calls arrive at random, and a server with faults."""
    faults = fault if isinstance(fault, list) else [fault]
    begin, end = min(f.begin for f in faults), max(f.end for f in faults)

    def run(policy: Policy, seed: int) -> Measured:
        def server(chance: Random) -> Server:
            return Machine(chance, faults, capacity=capacity, queue=queue)

        scene = Scene(clients, rate, server, end + after, policy, timeout, fixed_arrivals=True)
        played = play(scene, seed)
        records = [record for record in played.records if record.arrived_at >= begin]
        arrivals = sorted(at for caller in played.callers for at in caller.report.arrivals)
        return Measured(records, arrivals, begin, end)

    return run


def blip(
    seconds: float, rate: float, *, warm: float = 60.0, clients: int = 1, answer: Answer = CODED
) -> Play:
    fault = Fault("outage", warm, warm + seconds, answer=answer)
    return open_loop(fault, rate, clients=clients, after=45.0)


def noise(share: float, rate: float, seconds: float = 30.0, warm: float = 60.0) -> Play:
    return open_loop(Fault("brown_out", warm, warm + seconds, share), rate, after=0.0)


class Faulty:
    """A server that answers after 20 ms, but for when it is down."""

    def __init__(self, is_down: Callable[[float], bool], answer: Answer) -> None:
        self._is_down = is_down
        self._answer = answer

    def receive(self, engine: Engine, respond: Respond) -> None:
        if self._is_down(engine.now):
            respond(self._answer)
        else:
            engine.at(engine.now + 0.02, lambda: respond(Answer(200)))


class Workers:
    """``tasks`` tasks that make calls one after the other; a lost one is not made again."""

    def __init__(self, caller: Caller, calls: int, tasks: int) -> None:
        self.records: list[Record] = []
        self._caller = caller
        self._left = calls
        for _ in range(tasks):
            caller.engine.at(caller.chance.random() * 0.02, self._next)

    def _next(self) -> None:
        if self._left:
            self._left -= 1
            self.records.append(self._caller.call(self._ended))

    def _ended(self) -> None:
        self._caller.engine.at(self._caller.engine.now, self._next)


def closed_loop(
    is_down: Callable[[float], bool], answer: Answer, calls: int, tasks: int = 20, end: float = 0.0
) -> Play:
    """Return a job of workers that begins cold."""

    def run(policy: Policy, seed: int) -> Measured:
        engine, chance = Engine(), Random(seed)
        caller = Caller(engine, Faulty(is_down, answer), policy, chance, latency=NEAR)
        workers = Workers(caller, calls, tasks)
        engine.run()
        return Measured(workers.records, caller.report.arrivals, 0.0, end)

    return run


def down_for(seconds: float, answer: Answer, calls: int = 150) -> Play:
    return closed_loop(lambda now: now < seconds, answer, calls, end=seconds)


def flapping(up: float, down: float, answer: Answer, calls: int = 3_000) -> Play:
    period = up + down
    return closed_loop(lambda now: now % period < down, answer, calls)


def failing(share: float, tasks: int, answer: Answer = CODED, calls: int = 1_000) -> Play:
    """Return a job of workers whose requests fail by chance, each for itself."""

    def run(policy: Policy, seed: int) -> Measured:
        chance = Random(seed)
        play = closed_loop(lambda now: chance.random() < share, answer, calls, tasks)
        return play(policy, seed)

    return run


def loaded(fault: Fault, clients: int, *, load: float = 0.93, queue: float = 600) -> Play:
    """Return a server of 300 requests a second at a load; clients wait for it for a second."""
    return open_loop(
        fault,
        300.0 * load,
        clients=clients,
        after=45.0,
        capacity=300.0,
        queue=queue,
        timeout=1.0,
    )


DEAD = Fault("outage", 0.0, 60.0, answer=UNREACHABLE)
LONG_DEAD = DEAD._replace(end=600.0)

Columns = tuple[str, ...]
RODE_OUT: Columns = ("success", "attempts")
SAVED: Columns = ("saved", "attempts_per_hit", "wait")

ROWS: dict[str, tuple[Play, Columns]] = {
    "outage 60 s at 100/s": (blip(60.0, 100.0), ("attempts", "peak")),
    "outage 30 s at 20/s": (blip(30.0, 20.0), ("attempts", "peak")),
    "500 clients x 0.2/s, 60 s, 503": (blip(60.0, 100.0, clients=500), ("attempts",)),
    "500 clients x 0.2/s, 60 s, refused": (
        blip(60.0, 100.0, clients=500, answer=UNREACHABLE),
        ("attempts",),
    ),
    "blip 0.3 s at 20/s": (blip(0.3, 20.0), SAVED),
    "blip 2 s at 2/s, after 10 s": (blip(2.0, 2.0, warm=10.0), SAVED),
    "blip 2 s at 20/s, after 10 s": (blip(2.0, 20.0, warm=10.0), SAVED),
    "blip 2 s at 20/s, from a proxy": (blip(2.0, 20.0, answer=UNCODED), SAVED),
    "blip 5 s at 100/s": (blip(5.0, 100.0), SAVED),
    "blip 5 s at 2/s": (blip(5.0, 2.0), SAVED),
    "blip 1 s at 1000/s": (blip(1.0, 1000.0, warm=20.0), SAVED),
    "blip 5 s at 20/s, cold": (blip(5.0, 20.0, warm=0.0), SAVED),
    "blip 5 s at 2/s, cold": (blip(5.0, 2.0, warm=0.0), SAVED),
    "blip 8 s at 20/s": (blip(8.0, 20.0), SAVED),
    "blip 8 s at 2/s, after 10 s": (blip(8.0, 2.0, warm=10.0), SAVED),
    "blip 8 s at 20/s, cold": (blip(8.0, 20.0, warm=0.0), SAVED),
    "cold, 20 workers, refused 3 s": (down_for(3.0, UNREACHABLE), ("lost",)),
    "cold, 20 workers, refused 5 s": (down_for(5.0, UNREACHABLE), ("lost",)),
    "cold, 20 workers, 503 for 3 s": (down_for(3.0, CODED), ("lost",)),
    "cold, 20 workers, 503 for 5 s": (down_for(5.0, CODED), ("lost",)),
    "300 calls at once, refused 3 s": (
        closed_loop(lambda now: now < 3.0, UNREACHABLE, 300, 300, end=3.0),
        ("lost", "seconds"),
    ),
    "flapping 1/1 s, refused": (flapping(1.0, 1.0, UNREACHABLE), ("lost",)),
    "flapping 1/1 s, 503": (flapping(1.0, 1.0, CODED), ("lost",)),
    "10 % failures at 20/s": (noise(0.1, 20.0), RODE_OUT),
    "30 % failures at 20/s": (noise(0.3, 20.0), RODE_OUT),
    "30 % failures at 100/s": (noise(0.3, 100.0), RODE_OUT),
    "50 % failures at 100/s": (noise(0.5, 100.0), RODE_OUT),
    "10 % failures, 20 workers": (failing(0.1, 20), ("lost", "seconds")),
    "30 % failures, 5 workers": (failing(0.3, 5), ("lost", "seconds")),
    "30 % failures, 50 workers": (failing(0.3, 50), ("lost", "seconds")),
    "30 % failures, 20 workers, proxy": (failing(0.3, 20, UNCODED), ("lost", "seconds")),
    "stall 10 s at 93 %, 1 client": (loaded(Fault("stall", 25.0, 35.0), 1), ("recovery",)),
    "stall 10 s at 93 %, 30 clients": (loaded(Fault("stall", 25.0, 35.0), 30), ("recovery",)),
    "stall 10 s at 93 %, 300 clients": (loaded(Fault("stall", 25.0, 35.0), 300), ("recovery",)),
    "half capacity 60 s, 300 clients": (
        loaded(Fault("slow", 25.0, 85.0, 0.5), 300),
        ("recovery", "success"),
    ),
    "sheds, half capacity 60 s, 300 clients": (
        loaded(Fault("slow", 25.0, 85.0, 0.5), 300, queue=15),
        ("recovery", "success"),
    ),
    "sheds, half capacity 60 s, 1 client": (
        loaded(Fault("slow", 25.0, 85.0, 0.5), 1, queue=15),
        ("recovery", "success"),
    ),
    "50 clients x 2/s, 10 s down": (
        blip(10.0, 100.0, clients=50),
        ("attempts_per_hit", "peak", "saved"),
    ),
    "dead host at 20/s": (open_loop(DEAD, 20.0, after=0.0), ("took", "attempts")),
    "dead host, a call each 30 s": (open_loop(LONG_DEAD, 1 / 30, after=0.0), ("took", "attempts")),
}


def measured(row: str, what: str, policy: Policy, seeds: Iterable[int] = SEEDS) -> list[float]:
    """Return what a row measures, for each seed."""
    return [getattr(_played(row, policy, seed), what) for seed in seeds]


@functools.lru_cache(maxsize=4)
def _played(row: str, policy: Policy, seed: int) -> Measured:
    return ROWS[row][0](policy, seed)  # several things are measured of it, one after the other


def main(seeds: Iterable[int], wanted: str = "") -> None:
    """Print the table."""
    for row, (run, columns) in ROWS.items():
        if wanted not in row:
            continue
        line = [row.ljust(40)]
        for name, policy in POLICIES.items():
            runs = [run(policy, seed) for seed in seeds]
            told = (f"{median(getattr(each, what) for each in runs):.4g}" for what in columns)
            line.append(f"{name}: {', '.join(told)}".ljust(32))
        sys.stdout.write(f"{' '.join(line)} ({', '.join(columns)})\n")
        sys.stdout.flush()


if __name__ == "__main__":
    numbers = [int(each) for each in sys.argv[1:] if each.isdigit()]
    words = [each for each in sys.argv[1:] if not each.isdigit()]
    main(numbers or SEEDS, *words)
