"""A job, the ways in which it is done, and what it came to each time."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import NamedTuple

import httpx

from .. import Listener
from ..testing import SeenRequest

SECRETS = 5
"""How many secrets are read."""


class Call(NamedTuple):
    """One call of a job.

    Attributes:
        number: Which, from 0; the vault sees it in the request id.
        method: The HTTP method.
        path: What is read or written.
        pause: Seconds that its task waits before it.
    """

    number: int
    method: str
    path: str
    pause: float

    @property
    def request_id(self) -> str:
        """The same for all of its attempts."""
        return f"call-{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done.

    Attributes:
        reads: Calls that read.
        writes: Calls that write.
        tasks: How many calls are made at a time.
        pause: Seconds that a task waits between two calls, on average.
    """

    reads: int
    writes: int
    tasks: int
    pause: float = 0.0

    @property
    def calls(self) -> int:
        """All calls."""
        return self.reads + self.writes

    def in_order(self, seed: int) -> list[Call]:
        """Return the calls, in an order and with pauses that the seed decides."""
        rand = random.Random(seed)  # noqa: S311 - replayable
        calls = [("GET", path_of(number % SECRETS)) for number in range(self.reads)]
        calls += [("PUT", f"/v1/secrets/job/{number}") for number in range(self.writes)]
        rand.shuffle(calls)
        return [
            Call(number, method, path, 2.0 * self.pause * rand.random())
            for number, (method, path) in enumerate(calls)
        ]


@dataclass(slots=True)
class Observed:
    """What came of one way to do a job.

    Attributes:
        name: How it was done.
        refusal: The status with which the vault refuses requests.
        requests: What the vault saw of it.
        began: When, on the vault's clock.
        seconds: How long it took.
        endings: How many calls ended how: a status, or an exception's name.
        succeeded: Calls that ended well.
    """

    name: str
    _: KW_ONLY
    refusal: int = 429
    requests: list[SeenRequest] = field(default_factory=list[SeenRequest])
    began: float = 0.0
    seconds: float = 0.0
    endings: Counter[str] = field(default_factory=Counter[str])
    succeeded: int = 0

    @property
    def finished(self) -> int:
        """Calls that have ended."""
        return self.endings.total()

    @property
    def lost(self) -> int:
        """Calls that ended otherwise than well."""
        return self.finished - self.succeeded

    @property
    def refused(self) -> int:
        """Requests that the vault refused."""
        return sum(self.is_refusal(request) for request in self.requests)

    def is_refusal(self, request: SeenRequest) -> bool:
        """Return whether the vault refused a request."""
        return request.status == self.refusal

    def losses(self) -> list[str]:
        """Return what became of it if calls were lost, in a line; else nothing."""
        if not self.lost:
            return []
        came = ", ".join(f"{count} x {word}" for word, count in sorted(self.endings.items()))
        return [f"{self.name}, {self.lost} calls failed; what came back: {came}"]


@dataclass(slots=True)
class Trial(Observed):
    """One time that the job was done, or attempted, by a client in this process.

    Attributes:
        transport: Makes what the client is built on, from what is beneath.
    """

    transport: Callable[[httpx.AsyncBaseTransport, Sequence[Listener]], httpx.AsyncBaseTransport]


def path_of(number: int) -> str:
    """Return the path of one of the secrets that are read."""
    return f"/v1/secrets/app/{number}"
