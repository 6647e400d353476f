"""What must stay well while something fails: memory, the event loop, tasks, connections."""

import contextlib
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

import anyio
import httpx

BEAT = 0.001


@dataclass
class Vitals:
    """The worst that was seen.

    Attributes:
        memory: Peak of the bytes that Python allocated.
        blocked: Seconds of this thread's CPU between two beats of a task that only sleeps. CPU
            time, for a beat that is late by the clock may be a busy machine's doing.
        tasks: How many more tasks there are than before.
    """

    memory: int = 0
    blocked: float = 0.0
    tasks: int = 0


@contextlib.asynccontextmanager
async def watched(*, memory: bool) -> AsyncIterator[Vitals]:
    """Watch a block; what was seen is there once it is left.

    Memory or the event loop, for whoever counts each allocation is several times slower.
    """
    seen, tasks = Vitals(), len(anyio.get_running_tasks())

    async def beat() -> None:
        while True:
            before = time.thread_time()
            await anyio.sleep(BEAT)
            seen.blocked = max(seen.blocked, time.thread_time() - before)

    async with anyio.create_task_group() as group:
        if memory:
            tracemalloc.start()
        else:
            group.start_soon(beat)
            await anyio.sleep(2 * BEAT)
        try:
            yield seen
        finally:
            if memory:
                seen.memory = tracemalloc.get_traced_memory()[1]
                tracemalloc.stop()
            group.cancel_scope.cancel()
    # Asynchronous generators that are left half-read are closed by tasks of their own.
    await eventually(lambda: len(anyio.get_running_tasks()) <= tasks, 1.0)
    seen.tasks = len(anyio.get_running_tasks()) - tasks


def busy_connections(transport: httpx.AsyncHTTPTransport) -> list[str]:
    """Return the connections of httpx's pool that are neither idle nor closed."""
    pool = transport._pool
    return [repr(each) for each in pool.connections if not (each.is_idle() or each.is_closed())]


async def eventually(is_so: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Wait for what another thread does; tell whether it came to pass."""
    with anyio.move_on_after(seconds):
        while not is_so():  # noqa: ASYNC110 - a thread cannot set an event of ours
            await anyio.sleep(0.002)
    return is_so()
