"""A job of many calls against one rate-limited server, in virtual time, through the real core."""

import heapq
import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from httpx_resilience import SCAIVAULT, Policy
from httpx_resilience._core.budget import RetryBudget
from httpx_resilience._core.events import Event
from httpx_resilience._core.flow import Admit, Done, Pause, Rules, Send, call_flow
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.outcome import Call, Outcome, Trouble, Woken
from httpx_resilience._core.serverclock import ServerClock
from httpx_resilience._core.throttle import Throttle, Ticket

from .servers import RateLimitedServer

Respond = Callable[[float], tuple[int, list[tuple[bytes, bytes]]]]


CONNECTION_REFUSED = 0
"""What ``respond`` answers as status for a connection that never came about."""

REFUSED = Trouble("ConnectError", connection=True, sent=False)


class Heap:
    """Events in virtual time."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = itertools.count()

    def at(self, when: float, action: Callable[[], None]) -> None:
        heapq.heappush(self._events, (max(when, self.now), next(self._count), action))

    def run(self, until: float = float("inf"), steps: int = 5_000_000) -> None:
        for _ in range(steps):
            if not self._events or self._events[0][0] > until:
                return
            self.now, _, action = heapq.heappop(self._events)
            action()
        raise AssertionError("the simulation does not come to an end")


@dataclass
class Latency:
    """One-way delays: fixed part, exponential part, and a share of answers that hang."""

    fixed: float = 0.02
    spread: float = 0.01
    hung_share: float = 0.0
    hung_for: tuple[float, float] = (2.0, 8.0)

    def draw(self, rng: random.Random) -> float:
        return self.fixed + (rng.expovariate(1 / self.spread) if self.spread else 0.0)

    def hang(self, rng: random.Random) -> float:
        return rng.uniform(*self.hung_for) if rng.random() < self.hung_share else 0.0


@dataclass
class Report:
    """What a job came to."""

    finished_at: float = 0.0
    sent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    refused_at: list[float] = field(default_factory=list)
    arrivals: list[float] = field(default_factory=list)
    reasons: dict[str, int] = field(default_factory=dict)
    events: list[Event] = field(default_factory=list)
    waits: list[float] = field(default_factory=list)
    admitted: list[int] = field(default_factory=list)


class _Teller:
    verbose = False

    def __init__(self, report: Report) -> None:
        self._report = report

    def tell(self, event: Event) -> None:
        self._report.events.append(event)


class Job:
    """``calls`` calls by ``tasks`` tasks, each task one call after the other."""

    def __init__(
        self,
        respond: Respond,
        *,
        calls: int,
        tasks: int,
        seed: int,
        latency: Latency | None = None,
        policy: Policy | None = None,
        heap: Heap | None = None,
        throttle: Throttle | None = None,
        wall_skew: float = 0.0,
        cost: int = 1,
    ) -> None:
        self.heap = heap or Heap()
        self.rng = random.Random(seed)
        self.report = Report()
        self.policy = policy or Policy(budget=None)
        self.ready: list[Ticket] = []
        limits = self.policy.throttle
        if throttle is None and limits is not None:
            throttle = Throttle(
                "https://sim", "all", limits, ServerClock(), self.ready, self.report.events.append
            )
        self.throttle = throttle
        self.budget = None if self.policy.budget is None else RetryBudget(self.policy.budget)
        self._respond = respond
        self._latency = latency or Latency()
        self._left = calls
        self._orders = itertools.count()
        self._reader = RateLimitReader()
        self._teller = _Teller(self.report)
        self._wall_skew = wall_skew
        self._cost = cost
        for _ in range(min(tasks, calls)):
            self.heap.at(0.0, self._next_call)

    def run(self, until: float = float("inf")) -> Report:
        self.heap.run(until)
        return self.report

    def _next_call(self) -> None:
        if not self._left:
            return
        self._left -= 1
        order = next(self._orders)
        call = Call(str(order), "GET", "https://sim", "/v1/secrets/a", order=order, cost=self._cost)
        rules = Rules(self.policy, SCAIVAULT, self._reader, self.rng.random)
        now = self.heap.now
        flow = call_flow(call, rules, self.budget, self._teller, lambda: True, now, self.throttle)
        _Run(self, flow, order, now).step(None)


class _Run:
    """One call: carries out its flow's steps as the driver would."""

    def __init__(self, job: Job, flow: Any, order: int, began_at: float) -> None:
        self.job, self.flow, self.order, self.began_at = job, flow, order, began_at
        self.waiting = 0

    def step(self, reply: object) -> None:
        job = self.job
        step = self.flow.send(reply)
        for ticket in job.ready:
            if ticket.wake is not None:
                ticket.wake()
        job.ready.clear()
        if isinstance(step, Done):
            report = job.report
            report.reasons[step.reason] = report.reasons.get(step.reason, 0) + 1
            report.finished_at = job.heap.now
            job.heap.at(job.heap.now, job._next_call)
        elif isinstance(step, Send):
            self.send()
        elif isinstance(step, Pause):
            job.heap.at(step.until, lambda: self.step(Woken(job.heap.now)))
        else:
            self.admit(step)

    def admit(self, step: Admit) -> None:
        heap = self.job.heap
        self.waiting += 1
        turn = self.waiting

        def wake() -> None:
            if self.waiting == turn:
                self.waiting += 1
                heap.at(heap.now, lambda: self.step(Woken(heap.now)))

        step.ticket.wake = wake
        if step.until is not None:
            heap.at(step.until, wake)

    def send(self) -> None:
        job, heap = self.job, self.job.heap
        sent_at = heap.now
        job.report.sent += 1
        job.report.admitted.append(self.order)
        if sent_at > self.began_at:
            job.report.waits.append(sent_at - self.began_at)

        def arrive() -> None:
            status, headers = job._respond(heap.now)
            report = job.report
            report.arrivals.append(heap.now)
            report.statuses[status] = report.statuses.get(status, 0) + 1
            if status in (429, 503):
                report.refused_at.append(heap.now)
            back = job._latency.draw(job.rng) + job._latency.hang(job.rng)
            heap.at(heap.now + back, lambda: receive(status, headers))

        def receive(status: int, headers: list[tuple[bytes, bytes]]) -> None:
            at = heap.now
            wall = RateLimitedServer.EPOCH + at + job._wall_skew
            trouble = REFUSED if status == CONNECTION_REFUSED else None
            self.step(Outcome(sent_at, at, at, wall, status, headers, trouble=trouble))

        heap.at(sent_at + job._latency.draw(job.rng), arrive)


def clairvoyant(
    limiter: Any, *, calls: int, tasks: int, latency: Latency, until: float = float("inf")
) -> tuple[int, float]:
    """Return how many calls a client that knows the server's state does, and when it is done."""
    one_way = latency.fixed + latency.spread
    free = [0.0] * min(tasks, calls)
    last = 0.0
    for done in range(calls):
        begin = heapq.heappop(free)
        at = limiter.earliest(max(last, begin + one_way))
        if at > until:
            return done, last + one_way
        last = at
        while not limiter.take(last).accepted:  # a rounding error early
            last = limiter.earliest(last + 1e-6)
        heapq.heappush(free, last + one_way)
    return calls, last + one_way
