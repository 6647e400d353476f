"""Servers that limit tokens as well as requests, as LLM APIs do, and jobs against them in a table.

``PYTHONPATH=tests python -m simulation.tokens`` prints for each kind of job how many requests were
sent and refused, and the time beside the least that is possible.
"""

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from email.utils import formatdate
from random import Random
from statistics import median
from typing import NamedTuple

from httpx_resilience import Policy
from simulation.callers import Answer, Caller, Latency, Record, Respond
from simulation.engine import EPOCH, Engine


class Bucket:
    """``limit`` units, refilled by ``rate`` a second."""

    def __init__(self, limit: float, rate: float) -> None:
        self.limit, self.rate = limit, rate
        self.left, self.at = limit, 0.0

    def roll(self, now: float) -> None:
        self.left = min(self.limit, self.left + (now - self.at) * self.rate)
        self.at = now

    def reset_in(self, now: float) -> float:
        return (self.limit - self.left) / self.rate

    def ready_in(self, cost: float, now: float) -> float:
        return max(0.0, cost - self.left) / self.rate


class Window:
    """``limit`` units a window, which is aligned to the clock."""

    def __init__(self, limit: float, seconds: float) -> None:
        self.limit, self.seconds = limit, seconds
        self.left, self.index = limit, 0

    def roll(self, now: float) -> None:
        index = math.floor(now / self.seconds)
        if index != self.index:
            self.left, self.index = self.limit, index

    def reset_in(self, now: float) -> float:
        return (self.index + 1) * self.seconds - now

    def ready_in(self, cost: float, now: float) -> float:
        return 0.0 if self.left >= cost else self.reset_in(now)


class Metered:
    """A server that counts requests and tokens; a refused request takes nothing.

    Its headers are OpenAI's: durations, and ``retry-after-ms`` on each refusal.
    """

    def __init__(self, limits: Mapping[str, Bucket | Window]) -> None:
        self.limits = limits

    def take(self, costs: Mapping[str, float], now: float) -> float:
        """Take a request, or return after how many seconds it would fit."""
        for limit in self.limits.values():
            limit.roll(now)
        waits = [limit.ready_in(costs[unit], now) for unit, limit in self.limits.items()]
        if not any(waits):
            for unit, limit in self.limits.items():
                limit.left -= costs[unit]
        return max(waits)

    def answer(self, costs: Mapping[str, float], now: float) -> Answer:
        wait = self.take(costs, now)
        headers = [("Date", formatdate(math.floor(EPOCH + now), usegmt=True))]
        for unit, limit in self.limits.items():
            headers += [
                (f"x-ratelimit-limit-{unit}", f"{limit.limit:.0f}"),
                (f"x-ratelimit-remaining-{unit}", f"{math.floor(limit.left)}"),
                (f"x-ratelimit-reset-{unit}", f"{limit.reset_in(now):.3f}s"),
            ]
        if wait:
            headers.append(("retry-after-ms", f"{math.ceil(wait * 1e3)}"))
        raw = [(name.encode(), value.encode()) for name, value in headers]
        return Answer(429 if wait else 200, raw)


class Costly(Caller):
    """A caller whose calls differ in what they cost; ``works`` is how long the server thinks."""

    costs: Mapping[int, Mapping[str, float]]
    metered: Metered
    works: Callable[[], float]

    def deliver(self, order: int, respond: Respond) -> None:
        engine = self.engine
        answer = self.metered.answer(self.costs[order], engine.now)
        engine.at(
            engine.now + (self.works() if answer.status == 200 else 0.0), lambda: respond(answer)
        )


class Shape(NamedTuple):
    """A job.

    Attributes:
        tokens, requests: The limits; no limit on requests if None.
        calls, tasks: How many calls, by how many at a time.
        cost: What a call takes, by chance.
        given: The cost of each call is given.
        cancelled: Share of calls that are cancelled while they are on their way.
        others: Share of the tokens that another spender takes, steadily.
        works: Seconds that the server works on a call before it answers.
    """

    tokens: Callable[[], Bucket | Window]
    requests: Callable[[], Bucket | Window] | None = None
    calls: int = 120
    tasks: int = 120
    cost: Callable[[Random], int] = lambda chance: 1000
    given: bool = False
    cancelled: float = 0.0
    others: float = 0.0
    works: tuple[float, float] = (0.0, 0.0)


class Result(NamedTuple):
    """What became of a job."""

    calls: int
    sent: int
    refused: int
    lost: int
    seconds: float
    least: float


def wide(chance: Random) -> int:
    """Return a cost from 200 to 4,000."""
    return chance.randint(200, 4000)


def _bucket() -> Bucket:
    return Bucket(30_000, 6_000)


def _minute() -> Window:
    return Window(30_000, 60.0)


SHAPES = {
    "1,000 each": Shape(_bucket),
    "200 to 4,000": Shape(_bucket, cost=wide),
    "200 to 4,000, given": Shape(_bucket, cost=wide, given=True),
    "a minute's window": Shape(_minute),
    "a minute's window, 200 to 4,000": Shape(_minute, cost=wide),
    "a minute's window, 200 to 4,000, given": Shape(_minute, cost=wide, given=True),
    "requests, then tokens": Shape(
        _bucket,
        lambda: Bucket(20, 4),
        cost=lambda chance: chance.choice([200] * 30 + [3000] * 20),
    ),
    "10 % cancelled": Shape(_bucket, cancelled=0.1),
    "10 % cancelled, 200 to 4,000": Shape(_bucket, cost=wide, cancelled=0.1),
    "another spender of 20 %": Shape(_bucket, others=0.2),
    "another spender of 20 %, 200 to 4,000": Shape(_bucket, cost=wide, others=0.2),
    "10 tasks": Shape(_bucket, tasks=10, cost=wide),
    "slow answers, 50 tasks": Shape(_bucket, tasks=50, calls=300, works=(2.0, 10.0)),
    "slow answers, 50 tasks, 200 to 4,000": Shape(
        _bucket, tasks=50, calls=300, cost=wide, works=(2.0, 10.0)
    ),
    "slow answers, a minute's window": Shape(
        _minute, tasks=50, calls=300, cost=wide, works=(2.0, 10.0)
    ),
}


def play(shape: Shape, seed: int) -> Result:
    """Run a job; its costs and its network go by the seed."""
    chance = Random(f"tokens {seed}")
    engine = Engine()
    costs = [shape.cost(chance) for _ in range(shape.calls)]
    limits = {"tokens": shape.tokens()}
    if shape.requests is not None:
        limits = {"requests": shape.requests(), **limits}
    caller = Costly(engine, Nobody(), Policy(), chance, latency=Latency(0.02, 0.02))
    caller.metered = Metered(limits)
    caller.works = lambda: chance.uniform(*shape.works) if shape.works[1] else 0.0
    caller.costs = {at: {"requests": 1, "tokens": cost} for at, cost in enumerate(costs)}
    records: list[Record] = []
    left = iter(range(shape.calls))

    def begin() -> None:
        at = next(left, None)
        if at is None:
            return
        after = math.inf
        if shape.cancelled and chance.random() < shape.cancelled:
            after = chance.uniform(0.0, 0.05) if at else math.inf
        units = {"tokens": costs[at]} if shape.given else None
        records.append(
            caller.call(lambda: engine.at(engine.now, begin), units=units, cancel_after=after)
        )

    for _ in range(min(shape.tasks, shape.calls)):
        engine.at(0.0, begin)
    others = limits["tokens"]
    if shape.others:
        _spend(engine, others, shape, records)
    engine.run()
    report = caller.report
    cancelled = report.reasons.get("cancelled", 0)
    success = report.reasons.get("success", 0)
    spent = sum(costs[record.order] for record in records if record.attempts)
    refused = report.statuses.get(429, 0)
    lost = shape.calls - success - cancelled
    least = least_time(shape, spent)
    return Result(shape.calls, report.sent, refused, lost, report.finished_at, least)


def _spend(engine: Engine, limit: Bucket | Window, shape: Shape, records: Sequence[Record]) -> None:
    """Have another spender take its share, a tenth of a second's at a time."""
    rate = limit.rate if isinstance(limit, Bucket) else limit.limit / limit.seconds

    def spend() -> None:
        limit.roll(engine.now)
        limit.left = max(0.0, limit.left - shape.others * rate / 10)
        if len(records) < shape.calls or any(not record.reason for record in records):
            engine.at(engine.now + 0.1, spend)

    engine.at(0.0, spend)


def least_time(shape: Shape, spent: float) -> float:
    """Return the seconds that the job takes at the least."""
    limit, latency = shape.tokens(), 0.08 + sum(shape.works) / 2
    share = 1.0 - shape.others
    least = latency * math.ceil(shape.calls / shape.tasks)
    if isinstance(limit, Bucket):
        least = max(least, (spent - limit.limit) / limit.rate / share + latency)
    else:
        least = max(least, (math.ceil(spent / (share * limit.limit)) - 1) * limit.seconds + latency)
    if shape.requests is not None:
        requests = shape.requests()
        assert isinstance(requests, Bucket)
        least = max(least, (shape.calls - requests.limit) / requests.rate + latency)
    return least


class Nobody:
    """In the place of a server: ``Costly`` asks its own."""

    def receive(self, engine: Engine, respond: Respond) -> None:
        raise NotImplementedError


def main(names: Sequence[str] = (), seeds: Sequence[int] = range(20)) -> None:
    """Print the table."""
    for name, shape in SHAPES.items():
        if names and name not in names:
            continue
        results = [play(shape, seed) for seed in seeds]
        slow = sorted(result.seconds / result.least for result in results)
        sys.stdout.write(
            f"{name:40} {median(r.sent for r in results):5} sent"
            f" {100 * sum(r.refused / r.calls for r in results) / len(results):6.2f} refused"
            f" (worst {max(r.refused for r in results)})"
            f" {sum(r.lost for r in results):3} lost"
            f"   time {median(slow):.2f} {slow[int(0.9 * len(slow))]:.2f}\n"
        )


if __name__ == "__main__":
    main(names=sys.argv[1:])
