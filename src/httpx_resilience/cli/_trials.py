"""A job against small rate limits, the least time it can take, and what it came to each time."""

import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import httpx

from .. import Listener
from ..testing import Limit, SeenRequest

_READS, _WRITES = Limit(30, per=2.0), Limit(10, per=2.0)

SECRETS = 5
"""How many secrets are read."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is to be done.

    Attributes:
        reads: Calls that read.
        writes: Calls that write.
        tasks: How many calls are made at a time.
        read_limit: What the vault allows.
        write_limit: Likewise.
    """

    reads: int = 180
    writes: int = 65
    tasks: int = 50
    read_limit: Limit = _READS
    write_limit: Limit = _WRITES

    @property
    def calls(self) -> int:
        """All calls."""
        return self.reads + self.writes

    @property
    def least_seconds(self) -> float:
        """The physical minimum: no client, however clever, is done sooner."""
        return max(
            least_seconds(self.reads, self.read_limit), least_seconds(self.writes, self.write_limit)
        )

    def in_order(self, seed: int) -> list[tuple[str, str]]:
        """Return the method and path of each call, in an order that the seed decides."""
        calls = [("GET", path_of(number % SECRETS)) for number in range(self.reads)]
        calls += [("PUT", f"/v1/secrets/job/{number}") for number in range(self.writes)]
        random.Random(seed).shuffle(calls)  # noqa: S311 - replayable
        return calls


JOB = Job()


def least_seconds(calls: int, limit: Limit) -> float:
    """Return the seconds that calls take at least: a full bucket at once, the rest as it refills.

    >>> least_seconds(65, Limit(10, per=2.0))
    11.0
    """
    return max(0, calls - limit.limit) * limit.per / limit.limit


@dataclass(slots=True)
class Trial:
    """One time that the job was done, or attempted.

    Attributes:
        name: How.
        transport: Makes what the client is built on, from what is beneath.
        requests: What the vault saw of it.
        began: When, on the vault's clock.
        seconds: How long it took.
        endings: How many calls ended how: a status, or an exception's name.
        succeeded: Calls that ended well.
    """

    name: str
    transport: Callable[[httpx.AsyncBaseTransport, Sequence[Listener]], httpx.AsyncBaseTransport]
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
    def refused(self) -> int:
        """Requests that were answered with 429."""
        return sum(is_refusal(request) for request in self.requests)


def is_refusal(request: SeenRequest) -> bool:
    """Return whether the vault's limiter refused a request."""
    return request.status == 429


def path_of(number: int) -> str:
    """Return the path of one of the secrets that are read."""
    return f"/v1/secrets/app/{number}"
