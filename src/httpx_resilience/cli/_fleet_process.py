"""One process of ``demo --scenario fleet``: it does the jobs that it reads, a line of JSON each.

What it writes are lines of JSON, too: once it is ready, its events where they are wanted, and
what each job came to. It ends when there is nothing more to read, as when its parent has ended.
"""

import json
import sys
from collections import Counter
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from importlib import import_module
from importlib.util import find_spec
from typing import Any

import anyio
import httpx

from .. import AsyncResilientTransport, Event, Level, Listener, RedisStore
from ._exchange import exchange
from ._screen import quiet_log

_CLIENTS = {"redis": "redis.asyncio", "coredis": "coredis"}
"""Packages that have a client for the store, and where; the first that is installed is taken."""

PATH = "/v1/secrets/app/0"
NAMESPACE = "demo"


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """What a process is to do.

    Attributes:
        name: The process's; its calls' ids begin with it.
        url: Of the server.
        token: The credential, the same for all processes.
        tasks: How many calls are made at a time.
        seconds: For how long.
        peers: As the transport's argument.
        store: URL of the store, or None.
        secret: Of the store's keys.
        level: Of the events that are wanted, at the least; None for none.
    """

    name: str
    url: str
    token: str
    tasks: int
    seconds: float
    peers: int | None
    store: str | None
    secret: str
    level: int | None

    def as_line(self) -> bytes:
        """Return it as it is read."""
        return json.dumps(asdict(self)).encode() + b"\n"


def has_client() -> bool:
    """Return whether a client for the store is installed."""
    return any(find_spec(package) for package in _CLIENTS)


class _CountedStore(RedisStore):
    """A store that counts how often it was asked."""

    asks = 0

    def run(self, commands: Any) -> Any:
        self.asks += 1
        return super().run(commands)


async def _do(job: Assignment) -> dict[str, Any]:
    """Call the server until the time is up; return what was asked and what came back."""
    endings: Counter[str] = Counter()
    async with AsyncExitStack() as stack:
        store = await _store_of(job, stack)
        transport = AsyncResilientTransport(
            httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=job.tasks)),
            store=store,
            peers=job.peers,
            on_event=[] if job.level is None else [Listener(_tell, level=Level(job.level))],
        )
        client = httpx.AsyncClient(
            transport=transport,
            base_url=job.url,
            headers={"Authorization": f"Bearer {job.token}"},
            timeout=httpx.Timeout(10.0, pool=None),
        )
        await stack.enter_async_context(client)
        with anyio.move_on_after(job.seconds):
            async with anyio.create_task_group() as group:
                for task in range(job.tasks):
                    group.start_soon(_call_on, client, f"{job.name}-{task}", endings)
    return {"endings": endings, "asks": 0 if store is None else store.asks}


async def _store_of(job: Assignment, stack: AsyncExitStack) -> _CountedStore | None:
    if job.store is None:
        return None
    module = next(module for package, module in _CLIENTS.items() if find_spec(package))
    client = import_module(module).Redis.from_url(job.store)
    await stack.enter_async_context(client)
    return _CountedStore(client, namespace=NAMESPACE, secret=job.secret)


async def _call_on(client: httpx.AsyncClient, name: str, endings: Counter[str]) -> None:
    number = 0
    while True:
        headers = {"X-Request-ID": f"{name}-{number}"}
        result = await exchange(client, client.build_request("GET", PATH, headers=headers))
        endings[result.word] += 1
        number += 1


def _tell(event: Event) -> None:
    _write({"event": event.name, "fields": vars(event)})


def _write(message: dict[str, Any]) -> None:
    print(json.dumps(message), flush=True)


def main() -> None:
    """Do what comes on stdin, until nothing comes any more."""
    _write({"ready": True})
    with quiet_log():
        for line in sys.stdin:
            _write(anyio.run(_do, Assignment(**json.loads(line))))


if __name__ == "__main__":
    main()
