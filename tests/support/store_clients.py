"""Clients of each kind that a store takes, and a store over each of them."""

import asyncio
import gc
import importlib
import importlib.util
import warnings
from collections.abc import Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import anyio
import anyio.to_thread
import pytest

from httpx_resilience import RedisStore
from httpx_resilience._store.commands import Command, Replies

from .stores import HOST

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

    from _pytest.mark.structures import ParameterSet

NAMESPACE, SECRET = "team", "a secret of 16 bytes or more"

Run = Callable[[Sequence[Command]], Awaitable[Replies]]


class ClientKind(NamedTuple):
    """A kind of client, and the event loop that it is used on."""

    library: str
    is_async: bool
    backend: str

    @property
    def name(self) -> str:
        return f"{self.library}-{self.backend if self.is_async else 'threads'}"

    @property
    def is_installed(self) -> bool:
        return importlib.util.find_spec(self.library) is not None

    def client(self, port: int, *, is_cluster: bool = False, **options: Any) -> Any:
        """Return a client that is not connected."""
        package = f"{self.library}.asyncio" if self.is_async else self.library
        module = importlib.import_module("coredis" if self.library == "coredis" else package)
        kind = getattr(module, f"{'Valkey' if self.library == 'valkey' else 'Redis'}"
                       f"{'Cluster' if is_cluster else ''}")  # fmt: skip
        if self.library == "coredis" and is_cluster:
            location = importlib.import_module("coredis.connection").TCPLocation
            return kind(startup_nodes=[location(HOST, port)], **options)
        if not self.is_async:
            options = {**self.limits(), **options}
        return kind(host=HOST, port=port, **options)

    def limits(self) -> dict[str, Any]:
        """Return the options that a client for threads has to have."""
        retry = importlib.import_module(f"{self.library}.retry").Retry
        backoff = importlib.import_module(f"{self.library}.backoff").NoBackoff
        once = retry(backoff(), 0)
        return {"socket_timeout": 0.25, "socket_connect_timeout": 0.25, "retry": once}

    @asynccontextmanager
    async def opened(self, client: Any) -> "AsyncIterator[Any]":
        """Enter and leave a client as its users do."""
        if self.is_async:
            async with client:
                yield client
        else:
            with client:
                yield client

    def run(self, program: Callable[..., Awaitable[Any]], client: Any, **options: Any) -> Any:
        """Run ``program(run)`` on the kind's event loop, with a store over a client.

        Args:
            program: An async function that is given the store's ``run``, to be awaited.
            client: Of this kind.
            options: Of the store, instead of the namespace and secret that it has here.
        """

        async def main() -> Any:
            async with self.opened(client):
                return await program(self.runner(self.store(client, **options)))

        with self.quiet(client):
            if self.backend == "trio":
                return anyio.run(main, backend="trio")
            return asyncio.run(main())

    @contextmanager
    def quiet(self, client: Any = None) -> "Iterator[None]":
        """Let coredis leave its streams open: a cluster's, and of connections it could not make."""
        if self.library != "coredis":
            yield
            return
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            yield
            layout = getattr(getattr(client, "connection_pool", None), "cluster_layout", None)
            for stream in () if layout is None else layout._error_stream:
                stream.close()
            gc.collect()

    def store(self, client: Any, **options: Any) -> RedisStore:
        """Return a store over a client of this kind."""
        return RedisStore(client, **{"namespace": NAMESPACE, "secret": SECRET, **options})

    def runner(self, store: RedisStore) -> Run:
        """Return the store's ``run``; that of a store for threads runs in one."""
        if self.is_async:
            run: Run = store.run
            return run

        async def run_in_thread(commands: Sequence[Command]) -> Replies:
            found: Replies = await anyio.to_thread.run_sync(store.run, commands)
            return found

        return run_in_thread


KINDS = (
    ClientKind("coredis", is_async=True, backend="asyncio"),
    ClientKind("coredis", is_async=True, backend="trio"),
    ClientKind("redis", is_async=True, backend="asyncio"),
    ClientKind("redis", is_async=False, backend="asyncio"),
    ClientKind("valkey", is_async=True, backend="asyncio"),
    ClientKind("valkey", is_async=False, backend="asyncio"),
)


def kind_parameters(kinds: Sequence[ClientKind] = KINDS) -> "list[ParameterSet]":
    """Return parameters for a fixture: each kind, skipped with a reason where it is missing.

    Those of which another one is much the same are for ``pytest -m long``.
    """
    found = []
    for each in kinds:
        reason = f"{each.library} is not installed (extra `store-tests`)"
        marks = [pytest.mark.skipif(not each.is_installed, reason=reason)]
        if each.library == "valkey" or each.name == "coredis-asyncio":
            marks.append(pytest.mark.long)
        found.append(pytest.param(each, id=each.name, marks=marks))
    return found
