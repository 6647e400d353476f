"""A job of many calls against one server: tasks of which each sends one call after the other."""

import heapq
from collections.abc import Callable
from random import Random
from typing import Any

from httpx_resilience import Policy
from httpx_resilience._core.outcome import RawHeaders
from httpx_resilience._core.throttle import Throttle
from simulation.callers import REFUSED, Answer, Caller, Latency, Record, Report, Respond
from simulation.engine import Engine

CONNECTION_REFUSED = 0
"""What a ``Says`` answers as status for a connection that never came about."""

Says = Callable[[float], tuple[int, RawHeaders]]
"""From the time a request arrives to what is answered at once."""


class AtOnce:
    """A server that answers at once."""

    def __init__(self, says: Says) -> None:
        self._says = says

    def receive(self, engine: Engine, respond: Respond) -> None:
        status, headers = self._says(engine.now)
        respond(
            Answer(
                status, headers, transport_failure=REFUSED if status == CONNECTION_REFUSED else None
            )
        )


class Job:
    """``calls`` calls by ``tasks`` tasks; each rests for ``rest`` seconds after a lost one."""

    def __init__(
        self,
        says: Says,
        *,
        calls: int,
        tasks: int,
        seed: int,
        latency: Latency | None = None,
        policy: Policy | None = None,
        engine: Engine | None = None,
        throttle: Throttle | None = None,
        wall_skew: float = 0.0,
        cost: int = 1,
        rest: float = 0.0,
    ) -> None:
        self.engine = engine or Engine()
        self.caller = Caller(
            self.engine,
            AtOnce(says),
            policy or Policy(budget=None),
            Random(seed),
            latency=latency,
            throttle=throttle,
            wall_skew=wall_skew,
        )
        self.records: list[Record] = []
        self._left = calls
        self._cost = cost
        self._rest = rest
        for _ in range(min(tasks, calls)):
            self.engine.at(0.0, self._next_call)

    @property
    def report(self) -> Report:
        return self.caller.report

    @property
    def throttle(self) -> Throttle | None:
        return self.caller.throttle

    @property
    def lost(self) -> list[Record]:
        """The calls that ended, and did not succeed."""
        return [record for record in self.records if record.reason not in ("", "success")]

    def run(self, until: float = float("inf")) -> Report:
        self.engine.run(until)
        return self.report

    def stop(self) -> None:
        """Begin no further call."""
        self._left = 0

    def _next_call(self) -> None:
        if self._left:
            self._left -= 1
            self.records.append(self.caller.call(self._ended, cost=self._cost))

    def _ended(self) -> None:
        rest = 0.0 if self.caller.ended.succeeded else self._rest
        self.engine.at(self.engine.now + rest, self._next_call)


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
