"""Servers that take longer, the more requests they have at a time: each in a way of its own."""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from random import Random

from simulation.callers import Answer, Respond
from simulation.engine import Engine

Draw = Callable[[Random], float]
OK, OVERLOADED = Answer(200), Answer(503)


def falling(seconds: float, contention: float, coherency: float) -> Callable[[int], float]:
    """Return the speed of each of ``n`` requests, as a share of one that is alone, per second.

    The throughput of ``n`` at a time is that of the Universal Scalability Law (Gunther, "Guerrilla
    Capacity Planning", 2007): ``n / (1 + contention (n - 1) + coherency n (n - 1)) / seconds``.
    It is highest at ``sqrt((1 - contention) / coherency)``, and falls from there on.
    """
    return lambda n: 1 / (seconds * (1 + contention * (n - 1) + coherency * n * (n - 1)))


class Shared:
    """Works on all requests at the same time, the slower, the more there are."""

    def __init__(self, chance: Random, speed: Callable[[int], float], work: Draw) -> None:
        self._chance, self._speed, self._work = chance, speed, work
        self._done, self._at, self._turn = 0.0, 0.0, 0
        self._jobs: list[tuple[float, int, Respond]] = []
        self._numbers = itertools.count()

    def receive(self, engine: Engine, respond: Respond) -> None:
        self._advance(engine.now)
        job = self._done + self._work(self._chance), next(self._numbers), respond
        heapq.heappush(self._jobs, job)
        self._plan(engine)

    def _advance(self, now: float) -> None:
        if self._jobs:
            self._done += (now - self._at) * self._speed(len(self._jobs))
        self._at = now

    def _plan(self, engine: Engine) -> None:
        self._turn = turn = self._turn + 1
        if self._jobs:
            left = max(0.0, self._jobs[0][0] - self._done) / self._speed(len(self._jobs))
            engine.at(engine.now + left, lambda: self._finish(engine, turn))

    def _finish(self, engine: Engine, turn: int) -> None:
        if turn == self._turn:
            self._advance(engine.now)
            _, _, respond = heapq.heappop(self._jobs)
            respond(OK)
            self._plan(engine)


class Queued:
    """Some workers, and a queue; a request that finds too many before it is refused.

    Args:
        chance: For ``takes``.
        workers: How many requests are worked on at a time.
        takes: Seconds for one, from chance and the number of requests that are there.
        most: How many may be there.
    """

    def __init__(
        self,
        chance: Random,
        workers: int,
        takes: Callable[[Random, int], float],
        most: float = math.inf,
    ) -> None:
        self._chance, self._idle, self._takes, self._most = chance, workers, takes, most
        self._queue: deque[Respond] = deque()
        self._there = 0

    def receive(self, engine: Engine, respond: Respond) -> None:
        if self._there >= self._most:
            engine.at(engine.now + 0.02, lambda: respond(OVERLOADED))
            return
        self._there += 1
        self._queue.append(respond)
        self._work(engine)

    def _work(self, engine: Engine) -> None:
        while self._queue and self._idle:
            self._idle -= 1
            respond = self._queue.popleft()
            ends_at = engine.now + self._takes(self._chance, self._there)
            engine.at(ends_at, lambda respond=respond: self._finish(engine, respond))  # type: ignore[misc]  # mypy does not infer a lambda's default

    def _finish(self, engine: Engine, respond: Respond) -> None:
        self._idle += 1
        self._there -= 1
        respond(OK)
        self._work(engine)


class Distant:
    """Answers each request after some seconds, however many there are; a share of them fails."""

    def __init__(
        self, chance: Random, takes: Callable[[Random, float], float], failing: float = 0.0
    ) -> None:
        self._chance, self._takes, self._failing = chance, takes, failing

    def receive(self, engine: Engine, respond: Respond) -> None:
        answer = OVERLOADED if self._chance.random() < self._failing else OK
        engine.at(engine.now + self._takes(self._chance, engine.now), lambda: respond(answer))
