"""A server of limited capacity, and what befalls it: outages, stalls, brown-outs, slow recovery."""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from random import Random
from typing import Literal, NamedTuple

from httpx_resilience._core.outcome import RawHeaders
from simulation.callers import REFUSED, Answer, Respond
from simulation.engine import Engine

CODED = Answer(503, body=json.dumps({"error": {"code": "service_unavailable"}}).encode())
UNCODED = Answer(503, body=b"<html>Service Unavailable</html>")
UNREACHABLE = Answer(0, transport_failure=REFUSED)

Kind = Literal["outage", "stall", "brown_out", "slow"]


class Fault(NamedTuple):
    """What befalls a machine for a span of time.

    Attributes:
        kind: ``outage``: every request fails at once. ``stall``: nothing is worked off.
            ``brown_out``: a share of the requests fails, each for itself. ``slow``: only a share
            of the capacity is there.
        begin: In seconds.
        end: In seconds.
        share: Of the requests, or of the capacity.
        answer: What those get that fail.
    """

    kind: Kind
    begin: float
    end: float
    share: float = 1.0
    answer: Answer = CODED


def slow_recovery(begin: float, seconds: float, steps: int = 4) -> list[Fault]:
    """Return the faults of a machine whose capacity comes back step by step."""
    each = seconds / steps
    return [
        Fault("slow", begin + i * each, begin + (i + 1) * each, (i + 1) / (steps + 1))
        for i in range(steps)
    ]


class Machine:
    """Works off its requests in their order; those that their clients gave up as well.

    Args:
        chance: Decides which requests fail in a brown-out.
        faults: What befalls it, and when.
        capacity: Requests per second.
        queue: Requests that may wait; beyond them it refuses.
        headers: What each answer bears.
    """

    def __init__(
        self,
        chance: Random,
        faults: Iterable[Fault] = (),
        *,
        capacity: float = 1e6,
        queue: float = 600,
        headers: RawHeaders = (),
    ) -> None:
        self._chance = chance
        self._faults: Sequence[Fault] = tuple(faults)
        self._capacity = capacity
        self._queue = queue
        self._free_at = 0.0
        self._well = Answer(200, headers)
        self.served = 0

    def receive(self, engine: Engine, respond: Respond) -> None:
        now = engine.now
        for fault in self._faults:
            if fault.begin <= now < fault.end and self._fails(fault):
                respond(fault.answer)
                return
        if self._backlog(now) > self._queue:
            respond(CODED)
            return
        self._free_at = self._done_at(max(now, self._free_at))
        self.served += 1
        engine.at(self._free_at, partial(respond, self._well))

    def _fails(self, fault: Fault) -> bool:
        if fault.kind == "outage":
            return True
        return fault.kind == "brown_out" and self._chance.random() < fault.share

    def _backlog(self, now: float) -> float:
        """Return how many requests wait, if the machine has worked on since they came."""
        idle = sum(
            max(0.0, min(fault.end, self._free_at) - max(fault.begin, now))
            for fault in self._faults
            if fault.kind == "stall"
        )
        return max(0.0, self._free_at - now - idle) * self._capacity

    def _done_at(self, begin: float) -> float:
        """Return when one request's work is done that begins then."""
        work, at = 1.0, begin
        while True:
            speed, until = self._capacity, float("inf")
            for fault in self._faults:
                if fault.kind in ("stall", "slow"):
                    if fault.begin <= at < fault.end:
                        speed = 0.0 if fault.kind == "stall" else self._capacity * fault.share
                        until = min(until, fault.end)
                    elif fault.begin > at:
                        until = min(until, fault.begin)
            if speed and at + work / speed <= until:
                return at + work / speed
            work -= speed * (until - at)
            at = until
