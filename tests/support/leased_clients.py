"""Clients whose transports share a limit by a store, and the API that has it."""

import importlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from email.utils import formatdate
from typing import Any

import anyio

from httpx_resilience import Event, Policy, RetryPolicy, ThrottlePolicy
from simulation.servers import LIMITERS
from support.store_clients import ClientKind
from support.stores import Server

URL = "https://vault.example/v1/secrets/app/db"
SECRET_HEADER = {"Authorization": "Bearer s3cr3t-of-the-fleet"}

IMPATIENT = Policy(
    retry=RetryPolicy(max_attempts=1), throttle=ThrottlePolicy(max_wait=0.3), park=None
)
"""Waits little for the limit, and never repeats."""


class Api:
    """A limit of requests, counted in a window that does not end."""

    def __init__(self, limit: int, window: float = 3600.0, *, kind: str = "anchored") -> None:
        self.limit = limit
        self._limiter = LIMITERS[kind](limit, window)
        self._lock = threading.Lock()
        self.statuses: list[int] = []
        self.down = False

    def answer(self) -> tuple[int, dict[str, str]]:
        """Count a request; return the status and headers of its response."""
        with self._lock:
            now = time.time()
            if self.down:
                self.statuses.append(500)
                return 500, {}
            took = self._limiter.take(now)
            status = 200 if took.accepted else 429
            self.statuses.append(status)
        headers = {
            "Date": formatdate(int(now), usegmt=True),
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(took.remaining),
            "X-RateLimit-Reset": f"{took.reset:.3f}",
        }
        if status == 429:
            headers["Retry-After"] = str(max(1, round(took.reset - now)))
        return status, headers


def transport_of(
    library: str, api: Api, kind: ClientKind, client: Any, events: list[Event], **options: Any
) -> Any:
    """Return a transport of a library with a store over a client."""
    http = importlib.import_module(library)
    door = importlib.import_module(
        "httpx_resilience" if library == "httpx" else "httpx_resilience.httpx2"
    )

    def answer(request: Any) -> Any:
        status, headers = api.answer()
        return http.Response(status, headers=headers)

    async def answer_slowly(request: Any) -> Any:
        await anyio.sleep(0.002)
        return answer(request)

    inner = http.MockTransport(answer_slowly if kind.is_async else answer)
    made = door.AsyncResilientTransport if kind.is_async else door.ResilientTransport
    options = {"policy": IMPATIENT, **options}
    return made(inner, store=kind.store(client), on_event=events.append, **options)


def play(
    library: str,
    kind: ClientKind,
    server: Server,
    api: Api,
    *,
    processes: int = 2,
    tasks: int = 4,
    calls: int = 5,
    seconds: float = 0.0,
    between: Callable[[float], None] = lambda elapsed: None,
    is_cluster: bool = False,
    **options: Any,
) -> tuple[list[str], list[Event], list[Any]]:
    """Have transports with a client each make calls at once.

    Args:
        library: The transports' and clients'.
        kind: Of the store's client.
        server: The store.
        api: What answers.
        processes: How many transports, each with a client for the store of its own.
        tasks: Of each of them.
        calls: Of each task.
        seconds: For how long they call, instead.
        between: Called after each call, with the seconds since the first.
        is_cluster: The store is a node of a cluster.
        options: Of the transports.

    Returns:
        What each call came to: a status, or the name of what it raised; the events; transports.
    """
    came_to: list[str] = []
    events: list[Event] = []
    http = importlib.import_module(library)
    transports: list[Any] = []
    began = time.monotonic()

    def note(outcome: object) -> None:
        came_to.append(outcome if isinstance(outcome, str) else type(outcome).__name__)
        between(time.monotonic() - began)

    def numbers() -> Iterator[int]:
        if not seconds:
            yield from range(calls)
        while time.monotonic() - began < seconds:
            yield 0

    def in_threads() -> None:
        threads = []
        for _ in range(processes):
            transport = transport_of(
                library,
                api,
                kind,
                kind.client(server.port, is_cluster=is_cluster),
                events,
                **options,
            )
            transports.append(transport)

            def work(transport: Any = transport) -> None:
                with http.Client(transport=transport, headers=SECRET_HEADER) as client:
                    for _ in numbers():
                        try:
                            note(str(client.get(URL).status_code))
                        except Exception as error:  # noqa: BLE001 - it is counted by its name
                            note(error)

            threads += [threading.Thread(target=work) for _ in range(tasks)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    async def in_tasks() -> None:
        async with anyio.create_task_group() as group:
            for _ in range(processes):
                group.start_soon(process)

    async def process() -> None:
        async with kind.opened(kind.client(server.port, is_cluster=is_cluster)) as connected:
            transport = transport_of(library, api, kind, connected, events, **options)
            transports.append(transport)

            async def work() -> None:
                for _ in numbers():
                    try:
                        note(str((await client.get(URL)).status_code))
                    except Exception as error:  # noqa: BLE001 - it is counted by its name
                        note(error)

            client = http.AsyncClient(transport=transport, headers=SECRET_HEADER)
            async with client, anyio.create_task_group() as group:
                for _ in range(tasks):
                    group.start_soon(work)

    if kind.is_async:
        with kind.quiet():
            anyio.run(in_tasks, backend=kind.backend)
    else:
        in_threads()
    return came_to, events, transports


def names(events: Sequence[Event]) -> list[str]:
    """Return the names of events."""
    return [event.name for event in events]
