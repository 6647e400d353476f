"""Limits on the requests in flight, learned by several rules, beside a fixed one and none.

``PYTHONPATH=tests python -m simulation.concurrency`` prints the table, medians over seeds;
``... concurrency mix`` the rows whose names hold that word.

Tasks make one call after the other. A call waits until a request of it may be in flight, in the
order of arrival; the rule that is tried learns from each. ``auto`` is ours; ``vegas`` and
``gradient2`` are those of Netflix's concurrency-limits, with the numbers that they have there.
"""

import functools
import math
import sys
from collections import deque
from collections.abc import Callable, Iterable
from random import Random
from statistics import mean, median
from typing import NamedTuple, Protocol

from httpx_resilience._core.throttle.limits.adaptive_concurrency import AdaptiveConcurrency
from simulation.callers import Answer, Server
from simulation.engine import Engine
from simulation.shared_servers import Distant, Queued, Shared, falling

SEEDS = range(1, 4)


class Rule(Protocol):
    """Something that says how many requests may be in flight."""

    @property
    def limit(self) -> float: ...

    def answered(self, sent: float, received: float, in_flight: int) -> None: ...

    def failed(self, sent: float, now: float, in_flight: int) -> None: ...


class Fixed:
    """As many as it is made with, always."""

    def __init__(self, limit: float) -> None:
        self.limit = limit

    def answered(self, sent: float, received: float, in_flight: int) -> None:
        pass

    def failed(self, sent: float, now: float, in_flight: int) -> None:
        pass


class Vegas:
    """Netflix's ``VegasLimit``: the queue that the least latency leaves is kept small."""

    def __init__(self, chance: Random) -> None:
        self.limit = 20.0
        self._chance, self._least, self._count, self._jitter = chance, math.inf, 0, 1.0

    def answered(self, sent: float, received: float, in_flight: int) -> None:
        latency, limit = received - sent, self.limit
        self._count += 1
        if self._count >= 30 * self._jitter * limit:
            self._count, self._jitter = 0, self._chance.uniform(0.5, 1.0)
            self._least = latency
            return
        if latency < self._least:
            self._least = latency
            return
        if in_flight * 2 < limit:
            return
        step = max(1.0, math.log10(limit))
        queued = math.ceil(limit * (1 - self._least / latency))
        if queued <= step:
            limit += 6 * step
        elif queued < 3 * step:
            limit += step
        elif queued > 6 * step:
            limit -= step
        self.limit = max(1.0, min(1000.0, limit))

    def failed(self, sent: float, now: float, in_flight: int) -> None:
        self.limit = max(1.0, self.limit - max(1.0, math.log10(self.limit)))


class Gradient2:
    """Netflix's ``Gradient2Limit``: the latency is compared with that of the last 600 requests."""

    def __init__(self) -> None:
        self.limit = 20.0
        self._usual, self._count = 0.0, 0

    def answered(self, sent: float, received: float, in_flight: int) -> None:
        latency = max(1e-6, received - sent)
        self._count += 1
        weight = 1 / self._count if self._count <= 10 else 2 / 601
        self._usual += (latency - self._usual) * weight
        if self._usual > 2 * latency:
            self._usual *= 0.95
        if in_flight < self.limit / 2:
            return
        gradient = max(0.5, min(1.0, 1.5 * self._usual / latency))
        limit = 0.8 * self.limit + 0.2 * (self.limit * gradient + 4)
        self.limit = max(1.0, min(1000.0, limit))

    def failed(self, sent: float, now: float, in_flight: int) -> None:
        pass  # it knows of latencies only


RULES: dict[str, Callable[[Random], Rule]] = {
    "off": lambda chance: Fixed(math.inf),
    "10": lambda chance: Fixed(10),
    "vegas": Vegas,
    "gradient2": lambda chance: Gradient2(),
    "auto": lambda chance: AdaptiveConcurrency(),
}


class Call(NamedTuple):
    """What became of a call: its times, whether it succeeded, and the limit at its end."""

    arrived: float
    sent: float
    ended: float
    succeeded: bool
    limit: float


class Tasks:
    """``count`` tasks that call one after the other while ``active``, through a rule's limit."""

    def __init__(
        self,
        engine: Engine,
        server: Server,
        rule: Rule,
        chance: Random,
        count: int,
        active: Callable[[float], bool],
    ) -> None:
        self.calls: list[Call] = []
        self._engine, self._server, self._rule, self._active = engine, server, rule, active
        self._waiting: deque[float] = deque()
        self._in_flight = 0
        for _ in range(count):
            engine.at(0.01 * chance.random(), self._call)

    def _call(self) -> None:
        if not self._active(self._engine.now):
            self._engine.at(self._engine.now + 0.05, self._call)
            return
        self._waiting.append(self._engine.now)
        self._send()

    def _send(self) -> None:
        while self._waiting and self._in_flight + 1 <= max(1.0, self._rule.limit):
            self._in_flight += 1
            answered = functools.partial(self._end, self._waiting.popleft(), self._engine.now)
            self._server.receive(self._engine, answered)

    def _end(self, arrived: float, sent: float, answer: Answer) -> None:
        now, rule, succeeded = self._engine.now, self._rule, answer.status == 200
        (rule.answered if succeeded else rule.failed)(sent, now, self._in_flight)
        self._in_flight -= 1
        self.calls.append(Call(arrived, sent, now, succeeded, rule.limit))
        self._engine.at(now, self._call)
        self._send()


class Measured(NamedTuple):
    """What a rule came to, without the first quarter of the time.

    Attributes:
        rate: Successes a second.
        latency: Seconds from send to headers that 99 of 100 successes did not exceed.
        whole: Likewise from the call on.
        limit: The limit, on average over the requests.
        lowest: The lowest that it was.
    """

    rate: float
    latency: float
    whole: float
    limit: float
    lowest: float


class Row(NamedTuple):
    """A server, the tasks that call it, and for how long."""

    server: Callable[[Random], Server]
    tasks: int
    seconds: float
    active: Callable[[float], bool] = lambda now: True

    def run(self, rule: Callable[[Random], Rule], seed: int) -> Measured:
        """Measure a rule."""
        engine, chance = Engine(), Random(seed)
        server, learned = self.server(chance), rule(Random(seed))
        tasks = Tasks(engine, server, learned, chance, self.tasks, self.active)
        engine.run(self.seconds)
        calls = [call for call in tasks.calls if call.ended > self.seconds / 4]
        return measured(calls, 0.75 * self.seconds)


def measured(calls: list[Call], seconds: float) -> Measured:
    """Return what calls came to that ended in so many seconds."""
    well = [call for call in calls if call.succeeded]
    limits = [call.limit for call in calls]
    return Measured(
        len(well) / seconds,
        _p99([call.ended - call.sent for call in well]),
        _p99([call.ended - call.arrived for call in well]),
        mean(limits),
        min(limits),
    )


def _p99(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.99 * len(values)) - 1] if values else math.inf


def exponential(chance: Random) -> float:
    return chance.expovariate(1.0)


def alike(chance: Random) -> float:
    return chance.uniform(0.9, 1.1)


def fast_or_slow(slow: float, chance: Random) -> float:
    """Two endpoints, of 2 and of 300 ms, one of them with some probability."""
    return (0.3 if chance.random() < slow else 0.002) * chance.uniform(0.9, 1.3)


def pool(chance: Random, there: int) -> float:
    """What httpx takes for a request, measured: 10 tasks make 1,302 a second, 500 make 123."""
    return 0.000618 + 0.000015 * there


def served(chance: Random, there: int) -> float:
    return chance.expovariate(50.0)


def farther(chance: Random, now: float) -> float:
    return (0.02 if now < 20.0 else 0.12) + chance.expovariate(500.0)


ROWS: dict[str, Row] = {
    "throughput falls (0.02, 0.0005)": Row(
        lambda chance: Shared(chance, falling(0.02, 0.02, 0.0005), alike), 500, 40.0
    ),
    "throughput falls, unlike requests": Row(
        lambda chance: Shared(chance, falling(0.02, 0.02, 0.0005), exponential), 500, 40.0
    ),
    "throughput falls soon (0, 0.01)": Row(
        lambda chance: Shared(chance, falling(0.02, 0.0, 0.01), exponential), 500, 40.0
    ),
    "httpx's pool, 500 tasks": Row(lambda chance: Queued(chance, 1, pool), 500, 10.0),
    "httpx's pool, 10 tasks": Row(lambda chance: Queued(chance, 1, pool), 10, 10.0),
    "16 workers": Row(lambda chance: Queued(chance, 16, served), 500, 40.0),
    "16 workers, refuses more than 64": Row(
        lambda chance: Queued(chance, 16, served, 64), 300, 20.0
    ),
    "16 workers, bursts": Row(
        lambda chance: Queued(chance, 16, served), 300, 60.0, lambda now: now % 5.0 < 1.0
    ),
    "16 workers, mix of 2 and 300 ms": Row(
        lambda chance: Queued(chance, 16, lambda chance, _: fast_or_slow(0.5, chance)), 300, 100.0
    ),
    "no bound, 50 ms": Row(
        lambda chance: Distant(chance, lambda chance, _: 0.05 + chance.expovariate(200)), 500, 10.0
    ),
    "no bound, mix of 2 and 300 ms": Row(
        lambda chance: Distant(chance, lambda chance, _: fast_or_slow(0.5, chance)), 200, 40.0
    ),
    "no bound, 300 ms once in 20": Row(
        lambda chance: Distant(chance, lambda chance, _: fast_or_slow(0.05, chance)), 200, 8.0
    ),
    "no bound, 2 % fail": Row(lambda chance: Distant(chance, lambda *_: 0.05, 0.02), 200, 12.0),
    "no bound, 4 to 16 s": Row(
        lambda chance: Distant(chance, lambda chance, _: chance.uniform(4, 16)), 40, 900.0
    ),
    "moves from 20 to 120 ms": Row(lambda chance: Distant(chance, farther), 100, 60.0),
}


def main(wanted: str = "", seeds: Iterable[int] = SEEDS) -> None:
    """Print the table."""
    out = sys.stdout
    for name, row in ROWS.items():
        if wanted not in name:
            continue
        out.write(f"{name}, {row.tasks} tasks\n" if "tasks" not in name else f"{name}\n")
        for rule, made in RULES.items():
            runs = [row.run(made, seed) for seed in seeds]
            rate, latency, whole, limit, lowest = (
                median(column) for column in zip(*runs, strict=True)
            )
            out.write(
                f"  {rule:10}{rate:9.1f}/s   p99 from send {1000 * latency:9.1f} ms, from call "
                f"{1000 * whole:9.1f} ms   limit {limit:7.1f}, lowest {lowest:6.1f}\n"
            )
        out.flush()


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]))
