"""``demo --scenario rate-limit``: one job against small limits, three times over.

Bare, with retries only, and whole: each time against a fresh vault, so that each begins with full
buckets. What was sent and refused is what the vault saw, not what the client says.
"""

import time
from collections.abc import Iterable, Sequence

import anyio
import httpx
from rich.console import Console

from .. import AsyncResilientTransport, Listener, Policy
from ..testing import FakeScaiVault, serve
from . import _comparison
from ._exchange import exchange
from ._progress import progress
from ._trials import JOB, SECRETS, Job, Trial, path_of

_DECIMALS = 1
"""The vault's windows are two seconds instead of a minute, and so its resets are not given in whole
seconds either. A tenth of a second is still three times coarser than a minute's at that scale."""


def trials() -> list[Trial]:
    """Return the three ways in which the job is done, none of them begun."""
    without = Policy(throttle=None)
    return [
        Trial("bare httpx", lambda inner, _: inner),
        Trial(
            "retries only",
            lambda inner, heard: AsyncResilientTransport(inner, policy=without, on_event=heard),
        ),
        Trial(
            "with the throttle",
            lambda inner, heard: AsyncResilientTransport(inner, on_event=heard),
        ),
    ]


class RateLimited:
    """The three trials.

    Args:
        seed: Decides the order of the calls.

    Attributes:
        differences: What did not go as it should with the throttle, a line each.
    """

    def __init__(self, seed: int) -> None:
        self.differences: list[str] = []
        self._job = JOB
        self._calls = self._job.in_order(seed)
        self._trials = trials()

    @property
    def finished(self) -> int:
        """Calls that have ended."""
        return sum(trial.finished for trial in self._trials)

    async def play(self, listeners: Sequence[Listener]) -> None:
        """Do the job once for each trial."""
        for trial in self._trials:
            await _Attempt(self._job, trial).make(self._calls, listeners)
        whole = self._trials[-1]
        if whole.succeeded < self._job.calls:
            failed = self._job.calls - whole.succeeded
            came = ", ".join(f"{count} x {word}" for word, count in sorted(whole.endings.items()))
            self.differences.append(f"{whole.name}, {failed} calls failed; what came back: {came}")
        if whole.refused:
            self.differences.append(f"{whole.name}, {whole.refused} requests were answered 429")

    def show(self, screen: Console) -> None:
        """Show the trials side by side."""
        _comparison.show(self._job, self._trials, screen)


class _Attempt:
    """A vault of its own, and the job's calls to it."""

    def __init__(self, job: Job, trial: Trial) -> None:
        limits = {"read": job.read_limit, "write": job.write_limit}
        self._vault = FakeScaiVault(limits=limits, decimals=_DECIMALS)
        self._job = job
        self._trial = trial

    async def make(self, calls: Iterable[tuple[str, str]], listeners: Sequence[Listener]) -> None:
        """Make the calls, as many at a time as the job says."""
        trial, job, left = self._trial, self._job, iter(calls)
        inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=job.tasks))
        async with serve(self._vault) as url:
            await self._write_secrets(url)
            headers = {"Authorization": f"Bearer {self._vault.issue_token('job')}"}
            client = httpx.AsyncClient(
                transport=trial.transport(inner, listeners),
                base_url=url,
                headers=headers,
                timeout=httpx.Timeout(10.0, pool=None),
            )

            async def work() -> None:
                for method, path in left:
                    await self._call(client, method, path)
                    advance(f"{len(trial.requests)} requests, {trial.refused} answered 429")

            async with client:
                with progress(job.calls, f"{trial.name:<17}") as advance:
                    trial.began = time.monotonic()
                    async with anyio.create_task_group() as group:
                        for _ in range(job.tasks):
                            group.start_soon(work)
                    trial.seconds = time.monotonic() - trial.began
        self._look()

    async def _call(self, client: httpx.AsyncClient, method: str, path: str) -> None:
        body = {"value": "s3cret"} if method == "PUT" else None
        result = await exchange(client, client.build_request(method, path, json=body))
        trial = self._trial
        trial.endings[result.word] += 1
        trial.succeeded += not result.is_failure
        self._look()

    def _look(self) -> None:
        """Take over what the vault has seen since; the secrets were another identity's to write."""
        seen = [request for request in self._vault.log if request.identity == "job"]
        self._trial.requests[:] = seen

    async def _write_secrets(self, url: str) -> None:
        """Write what is to be read, on the budget of another identity."""
        headers = {"Authorization": f"Bearer {self._vault.issue_token('setup')}"}
        transport = httpx.AsyncHTTPTransport()
        async with httpx.AsyncClient(transport=transport, base_url=url, headers=headers) as client:
            for number in range(SECRETS):
                (await client.put(path_of(number), json={"value": "s3cret"})).raise_for_status()
