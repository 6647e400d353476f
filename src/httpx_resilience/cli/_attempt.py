"""A job done once, against a vault of its own.

What was sent and refused is what the vault saw, not what the client says.
"""

import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from typing import Any

import anyio
import httpx

from .. import Listener
from ..testing import FakeScaiVault, serve
from ._exchange import exchange
from ._trials import SECRETS, Call, Job, Trial, path_of


async def _nothing() -> None:
    pass


class Attempt:
    """A vault, and the job's calls to it.

    Args:
        job: What is to be done.
        trial: How; what it comes to is written there.
        vault: Nobody else's.
        beside: What goes on while the calls are made.
    """

    def __init__(
        self,
        job: Job,
        trial: Trial,
        vault: FakeScaiVault,
        beside: Callable[[], Coroutine[Any, Any, None]] = _nothing,
    ) -> None:
        self._job = job
        self._trial = trial
        self._vault = vault
        self._beside = beside

    async def make(
        self, calls: Sequence[Call], listeners: Sequence[Listener], advance: Callable[[], None]
    ) -> None:
        """Make the calls, as many at a time as the job says; ``advance`` is called after each."""
        trial = self._trial
        inner = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=self._job.tasks))
        async with serve(self._vault) as url:
            await self._write_secrets(url)
            client = httpx.AsyncClient(
                transport=trial.transport(inner, listeners),
                base_url=url,
                headers={"Authorization": f"Bearer {self._vault.issue_token('job')}"},
                timeout=httpx.Timeout(10.0, pool=None),
            )
            async with client:
                trial.began = time.monotonic()
                await self._work_off(client, iter(calls), advance)
                trial.seconds = time.monotonic() - trial.began
        self._look()

    async def _work_off(
        self, client: httpx.AsyncClient, left: Iterator[Call], advance: Callable[[], None]
    ) -> None:
        async def work() -> None:
            for call in left:
                await anyio.sleep(call.pause)
                await self._call(client, call)
                advance()

        async with anyio.create_task_group() as around:
            around.start_soon(self._beside)
            async with anyio.create_task_group() as group:
                for _ in range(self._job.tasks):
                    group.start_soon(work)
            around.cancel_scope.cancel()

    async def _call(self, client: httpx.AsyncClient, call: Call) -> None:
        body = {"value": "s3cret"} if call.method == "PUT" else None
        headers = {"X-Request-ID": call.request_id}
        request = client.build_request(call.method, call.path, json=body, headers=headers)
        result = await exchange(client, request)
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
