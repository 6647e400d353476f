"""``fetch`` with an asynchronous client: a task for each call at a time."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import anyio

from ._exchange import exchange
from ._job import Body, FetchRun, Job
from ._progress import progress, repeating


def make_all(job: Job, run: FetchRun) -> None:
    """Make the calls."""
    anyio.run(_make_all, job, run)


async def _make_all(job: Job, run: FetchRun) -> None:
    scope = anyio.CancelScope()
    lines = job.lines(scope.cancel)
    async with AsyncExitStack() as stack:
        stack.enter_context(scope)
        store = None if job.store is None else await stack.enter_async_context(job.store.opened())
        http = job.library.http
        transport = job.library.ours.AsyncResilientTransport(
            http.AsyncHTTPTransport(limits=job.limits), **job.options(run.tally, lines, store)
        )
        async with http.AsyncClient(transport=transport) as client:
            try:
                await _make_calls(client, job, run)
            finally:
                run.limits = transport.rate_limits()
    lines.close()


async def _make_calls(client: Any, job: Job, run: FetchRun) -> None:
    if job.number > 1:
        await _make_many(client, job, run)
        return
    run.body_is_shown = job.shows_body
    on_chunk: Callable[[bytes], object] = Body() if job.shows_body else len
    run.take(await exchange(client, job.request(client), on_chunk))


async def _make_many(client: Any, job: Job, run: FetchRun) -> None:
    left = iter(range(job.number))

    async def work() -> None:
        for _ in left:
            run.take(await exchange(client, job.request(client), len))
            advance(repeating(run.tally))

    with progress(job.number) as advance:
        async with anyio.create_task_group() as group:
            for _ in range(job.concurrency):
                group.start_soon(work)
