"""Servers that fail: what they answer at a time, and how long they take for it."""

import json
from random import Random
from typing import NamedTuple, Protocol

UNAVAILABLE = json.dumps({"error": {"code": "service_unavailable", "message": "x"}}).encode()


class Answer(NamedTuple):
    """A status, a body, and the seconds it takes."""

    status: int
    body: bytes
    takes: float


class Server(Protocol):
    """Something that answers."""

    def answer(self, now: float) -> Answer:
        """Answer a request that arrives now."""
        ...


class Outage:
    """Well, but for one span in which every request fails."""

    def __init__(self, begin: float, seconds: float, chance: Random) -> None:
        self.begin, self.end = begin, begin + seconds
        self._chance = chance

    def answer(self, now: float) -> Answer:
        takes = 0.01 + 0.02 * self._chance.random()
        if self.begin <= now < self.end:
            return Answer(503, UNAVAILABLE, takes)
        return Answer(200, b"", takes)


class Unreliable:
    """Fails now and then, each request for itself."""

    def __init__(self, share: float, chance: Random) -> None:
        self._share = share
        self._chance = chance

    def answer(self, now: float) -> Answer:
        takes = 0.01 + 0.02 * self._chance.random()
        if self._chance.random() < self._share:
            return Answer(503, UNAVAILABLE, takes)
        return Answer(200, b"", takes)
