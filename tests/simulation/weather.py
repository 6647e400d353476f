"""Random fleets under random faults: while they last, nothing unsafe; once healed, all goes well.

``PYTHONPATH=tests python -m simulation.weather 17`` replays seed 17.
"""

import sys
from random import Random
from typing import NamedTuple

from httpx_resilience import ParkPolicy, Policy, ThrottlePolicy
from simulation.callers import Answer, Caller, Respond, Server, Watcher
from simulation.engine import Engine
from simulation.fleet import Played, Scene, play
from simulation.machines import CODED, UNCODED, UNREACHABLE, Fault, Machine, slow_recovery
from simulation.servers import LIMITERS, RateLimitedServer
from simulation.watchers import NothingTooEarly, WithinBudget

CALM, HEALED, END = 10.0, 70.0, 150.0
"""When faults begin, when the last one is over, and when the last call arrives."""

WELL = 50.0
"""Seconds after the last fault from which on every call succeeds."""

LATER = Answer(503, [(b"Retry-After", b"3")], CODED.body)
"""An outage that says when to come back."""


class Weather(NamedTuple):
    """A fleet, its machine, and what befalls it.

    Attributes:
        clients: How many processes.
        rate: Calls per second of all of them.
        load: The share of the machine's capacity that this is.
        timeout: Seconds after which an attempt is given up.
        faults: What befalls the machine.
        limiter: Kind of the rate limiter before it, a limit of its own for each process; or none.
        limit: Requests that it lets through in its window.
        window: In seconds.
        parks: Retries park.
    """

    clients: int
    rate: float
    load: float
    timeout: float
    faults: tuple[Fault, ...]
    limiter: str | None
    limit: int
    window: float
    parks: bool = False


def any_weather(seed: int) -> Weather:
    """Return the weather of a seed."""
    r = Random(f"weather {seed}")
    clients = r.choice([1, 1, 2, 5, 20, 60])
    rate = r.choice([10.0, 40.0, 80.0])
    window = r.choice([5.0, 10.0, 30.0])
    # Room for what arrives and is repeated, and some: the budget of requests is not in the way.
    limit = max(10, round(r.uniform(3.0, 6.0) * rate / clients * window))
    limiter = r.choice([None, *LIMITERS])
    # What cannot be reached counts nothing: behind a limiter that would take another model.
    answers = [CODED, UNCODED, LATER] if limiter else [CODED, UNCODED, LATER, UNREACHABLE]
    faults = tuple(fault for _ in range(r.randint(1, 4)) for fault in _any_fault(r, answers))
    return Weather(
        clients=clients,
        rate=rate,
        load=r.uniform(0.1, 0.4),
        timeout=r.choice([1.0, 3.0]),
        faults=faults,
        limiter=limiter,
        limit=limit,
        window=window,
        parks=seed % 2 == 0,
    )


def _any_fault(r: Random, answers: list[Answer]) -> list[Fault]:
    begin = r.uniform(CALM, HEALED - 5.0)
    end = min(HEALED, begin + r.choice([0.5, 2.0, 10.0, 40.0]) * r.uniform(0.5, 1.5))
    answer = r.choice(answers)
    kind = r.choice(["outage", "stall", "brown_out", "slow"])
    if kind == "slow":
        return slow_recovery(begin, end - begin)
    if kind == "brown_out":
        return [Fault("brown_out", begin, end, r.uniform(0.02, 0.6), answer)]
    return [Fault("outage" if kind == "outage" else "stall", begin, end, answer=answer)]


class Limited:
    """A machine behind a rate limiter, which counts what it lets through and tells what is left."""

    def __init__(self, limiter: RateLimitedServer, machine: Server) -> None:
        self._limiter = limiter
        self._machine = machine

    def receive(self, engine: Engine, respond: Respond) -> None:
        status, headers = self._limiter.handle(engine.now)
        if status != 200:
            respond(Answer(status, headers))
            return

        def told(answer: Answer) -> None:
            if answer.status == 200:  # whoever fails behind it knows nothing of limits
                answer = answer._replace(headers=headers)
            respond(answer)

        self._machine.receive(engine, told)


class Outlived(NamedTuple):
    """What became of a weather."""

    weather: Weather
    played: Played
    futile: float
    asked: int

    @property
    def refused(self) -> int:
        return sum(caller.report.statuses.get(429, 0) for caller in self.played.callers)

    def unwell(self) -> list[str]:
        """Return the calls that did not go well although everything was healed."""
        late = (r for r in self.played.records if r.arrived_at >= HEALED + WELL)
        longest = self.weather.window
        return [str(r) for r in late if not r.succeeded or r.attempts > 1 or r.waited > longest]

    def left_behind(self) -> list[str]:
        """Return what the processes hold although no call is under way."""
        held = []
        for caller in self.played.callers:
            throttle, budget = caller.throttle, caller.budget
            if throttle is not None and (any(throttle.statistics()[:2])):
                held.append(f"{caller.name}: {throttle.status(caller.engine.now)}")
            tokens = budget.balance(caller.engine.now) if budget is not None else 0.0
            if not 0.0 <= tokens <= 200.0:
                held.append(f"{caller.name}: {tokens} tokens")
        return held

    def __str__(self) -> str:
        replay = f"PYTHONPATH=tests python -m simulation.weather {self.played.seed}"
        return f"{self.weather}; replay: {replay}"


def outlive(weather: Weather, seed: int) -> Outlived:
    """Play a weather under the eyes of the watchers."""
    budgets: list[WithinBudget] = []
    hints: list[NothingTooEarly] = []

    def watch(caller: Caller) -> list[Watcher]:
        if weather.limiter is not None:
            limiter = LIMITERS[weather.limiter](weather.limit, weather.window)
            caller.server = Limited(RateLimitedServer(limiter, weather.limit), caller.server)
        hints.append(NothingTooEarly())
        watchers: list[Watcher] = [hints[-1]]
        if not weather.parks and all(fault.answer.body != UNCODED.body for fault in weather.faults):
            # What a proxy refuses may be a silent limiter's refusal, and cost nothing.
            budgets.append(WithinBudget())
            watchers.append(budgets[-1])
        return watchers

    scene = Scene(
        weather.clients,
        weather.rate,
        lambda chance: Machine(
            chance, weather.faults, capacity=weather.rate / weather.load, queue=3 * weather.rate
        ),
        END,
        Policy(throttle=ThrottlePolicy(), park=ParkPolicy() if weather.parks else None),
        weather.timeout,
    )
    played = play(scene, seed, watch)
    return Outlived(
        weather, played, sum(b.futile for b in budgets), sum(hint.asked for hint in hints)
    )


def main(seeds: list[int]) -> None:
    """Replay seeds, and tell what became of each."""
    for seed in seeds:
        outlived = outlive(any_weather(seed), seed)
        reasons: dict[str, int] = {}
        for record in outlived.played.records:
            reasons[record.reason] = reasons.get(record.reason, 0) + 1
        sys.stdout.write(
            f"{outlived}\n  {reasons}, {outlived.played.attempts} attempts, "
            f"{outlived.refused} refused, {outlived.futile} futile, "
            f"unwell {outlived.unwell()[:3]}\n"
        )


if __name__ == "__main__":
    main([int(seed) for seed in sys.argv[1:]])
