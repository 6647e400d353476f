"""What the processes of a fleet do, and one time that they did it."""

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from secrets import token_hex

import anyio
import httpx

from .. import Listener
from ..testing import FakeScaiVault, Limit, serve
from ._fleet_process import PATH, Assignment
from ._fleet_processes import Member
from ._progress import progress
from ._trials import Observed

_DECIMALS = 1
"""As in the scenario ``rate-limit``, for the window is as short."""

_TICK = 0.1
"""Seconds between two looks at what the vault has seen."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetJob:
    """What the processes do.

    Attributes:
        processes: How many there are.
        tasks: How many calls each makes at a time.
        seconds: For how long.
        limit: What the vault allows to all of them.
    """

    processes: int
    tasks: int
    seconds: float
    limit: Limit

    @property
    def most(self) -> float:
        """Requests that the vault allows meanwhile: a full bucket, and what refills it."""
        return self.limit.limit * (1 + self.seconds / self.limit.per)


@dataclass(slots=True, kw_only=True)
class FleetTrial(Observed):
    """One time that the processes did it.

    Attributes:
        peers: With how many each believes to share the limit; None if it does not.
        store: URL of the store that they share it by, or None.
        asks: How often the store was asked.
        ended_early: Processes that did not live to the end.
    """

    peers: int | None = None
    store: str | None = None
    asks: int = 0
    ended_early: list[str] = field(default_factory=list[str])

    @property
    def served(self) -> int:
        """Requests that the vault did not refuse."""
        return len(self.requests) - self.refused

    def slowest(self, processes: int) -> float:
        """Return what the slowest process got, of what each would have got of equal shares."""
        got = Counter(
            request.request_id.partition("-")[0]
            for request in self.requests
            if not self.is_refusal(request)
        )
        least = min(got[name_of(number)] for number in range(processes))
        return least * processes / max(1, got.total())

    async def do(
        self, job: FleetJob, members: Sequence[Member], listeners: Sequence[Listener]
    ) -> None:
        """Have the processes at work, against a vault of their own with a full bucket."""
        vault = FakeScaiVault(limits={"read": job.limit}, decimals=_DECIMALS)
        async with serve(vault) as url:
            await _write_secret(url, vault.issue_token("setup"))
            token, secret = vault.issue_token("fleet"), token_hex()
            level = min((listener.level for listener in listeners), default=None)
            self.began, self.seconds = time.monotonic(), job.seconds
            async with anyio.create_task_group() as around:
                around.start_soon(self._watch, vault, job)
                async with anyio.create_task_group() as group:
                    for number, member in enumerate(members):
                        assignment = Assignment(
                            name=name_of(number),
                            url=url,
                            token=token,
                            tasks=job.tasks,
                            seconds=job.seconds,
                            peers=self.peers,
                            store=self.store,
                            secret=secret,
                            level=level,
                        )
                        group.start_soon(self._have_done, member, assignment, listeners)
                around.cancel_scope.cancel()
        self._look(vault)

    async def _have_done(
        self, member: Member, assignment: Assignment, listeners: Sequence[Listener]
    ) -> None:
        report = await member.do(assignment, listeners)
        if report is None:
            self.ended_early.append(assignment.name)
            return
        self.endings.update(report.endings)
        self.succeeded += report.endings.get("200", 0)
        self.asks += report.asks

    async def _watch(self, vault: FakeScaiVault, job: FleetJob) -> None:
        with progress(round(job.seconds / _TICK), f"{self.name:<12}") as advance:
            while True:
                await anyio.sleep(_TICK)
                self._look(vault)
                advance(f"{len(self.requests)} requests, {self.refused} answered 429")

    def _look(self, vault: FakeScaiVault) -> None:
        self.requests[:] = [request for request in vault.log if request.identity == "fleet"]


def name_of(number: int) -> str:
    """Return the name of a process, which its calls' ids begin with."""
    return f"p{number + 1}"


async def _write_secret(url: str, token: str) -> None:
    """Write what is to be read, on the budget of another identity."""
    headers = {"Authorization": f"Bearer {token}"}
    transport = httpx.AsyncHTTPTransport()
    async with httpx.AsyncClient(transport=transport, base_url=url, headers=headers) as client:
        (await client.put(PATH, json={"value": "s3cret"})).raise_for_status()
