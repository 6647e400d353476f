"""Processes that call a server at random times, each with a retry budget and a throttle."""

import math
from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from httpx_resilience import Policy
from simulation.callers import Caller, Latency, Record, Server, Watcher
from simulation.engine import Engine

NEAR = Latency(0.005, 0.005)


class Arrivals:
    """Calls of one process at a mean rate, the gaps exponentially distributed, until a time."""

    def __init__(
        self, caller: Caller, *, rate: float, until: float, chance: Random | None = None
    ) -> None:
        self.caller = caller
        self._chance = chance or caller.chance
        self.records: list[Record] = []
        self._rate = rate
        self._until = until
        self._arrange()

    def _arrange(self) -> None:
        caller = self.caller
        when = caller.engine.now + self._chance.expovariate(self._rate)
        if when <= self._until:
            caller.engine.at(when, self._arrive)

    def _arrive(self) -> None:
        self.records.append(self.caller.call(_ended))
        self._arrange()


def _ended() -> None:
    """Nobody waits for it."""


class Scene(NamedTuple):
    """A fleet, and the server that it calls.

    Attributes:
        clients: How many processes.
        rate: Calls per second of all of them together.
        server: Made from a source of chance.
        until: When the last call arrives.
        policy: Of each process.
        timeout: Seconds after which an attempt is given up.
        fixed_arrivals: Calls come at the same times whatever the policy.
    """

    clients: int
    rate: float
    server: Callable[[Random], Server]
    until: float
    policy: Policy = Policy()
    timeout: float = math.inf
    fixed_arrivals: bool = False


class Played(NamedTuple):
    """What became of a scene."""

    seed: int
    scene: Scene
    callers: list[Caller]
    records: list[Record]
    trace: str

    @property
    def attempts(self) -> int:
        return sum(record.attempts for record in self.records)


def play(
    scene: Scene, seed: int, watch: Callable[[Caller], Sequence[Watcher]] | None = None
) -> Played:
    """Play a scene to its end, until every call has ended."""
    engine, chance = Engine(), Random(seed)
    server = scene.server(chance)
    fleet = []
    for name in range(scene.clients):
        caller = Caller(
            engine,
            server,
            scene.policy,
            Random(chance.random()),
            latency=NEAR,
            timeout=scene.timeout,
            name=name,
        )
        caller.watchers = watch(caller) if watch is not None else ()
        arrivals = Random(f"{seed} {name}") if scene.fixed_arrivals else None
        rate = scene.rate / scene.clients
        fleet.append(Arrivals(caller, rate=rate, until=scene.until, chance=arrivals))
    engine.run()
    records = [record for arrivals in fleet for record in arrivals.records]
    records.sort(key=lambda record: record.arrived_at)
    return Played(seed, scene, [arrivals.caller for arrivals in fleet], records, engine.trace)
