"""The options that name a store, and the client they come to: redis-py, of the extra ``redis``."""

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Annotated, Any

import typer

from .. import RedisStore
from ._screen import Misuse

SECRET = "HTTPX_RESILIENCE_STORE_SECRET"  # noqa: S105 - the name of a variable
_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
}
_ONCE = {"socket_timeout": 0.25, "socket_connect_timeout": 0.25}

StoreUrl = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="HTTPX_RESILIENCE_STORE",
        show_envvar=False,
        help="A Redis or Valkey by which processes share the limit: redis://, rediss:// or "
        "unix://; also in HTTPX_RESILIENCE_STORE, where others do not see its password.",
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The namespace of those processes in the store."),
]
SecretName = Annotated[
    str,
    typer.Option(
        "--secret-env", metavar="NAME", help="The environment variable that has their secret."
    ),
]
Cluster = Annotated[bool, typer.Option("--cluster", help="The store is a cluster.")]


@dataclass(frozen=True, slots=True)
class StoreChoice:
    """A store that was asked for.

    Attributes:
        url: As redis-py reads it.
        namespace: As ``RedisStore`` checks it.
        secret: As ``RedisStore`` checks it.
        is_cluster: Whether it is a cluster.
    """

    url: str = field(repr=False)
    namespace: str
    secret: bytes = field(repr=False)
    is_cluster: bool = False

    @asynccontextmanager
    async def opened(self) -> AsyncIterator[RedisStore]:
        """Open a store for asyncio."""
        async with self._client(import_module("redis.asyncio")) as client:
            yield self._store(client)

    @contextmanager
    def opened_sync(self) -> Iterator[RedisStore]:
        """Open a store for threads.

        Raises:
            redis.RedisError: It is a cluster, which cannot be reached.
        """
        once = import_module("redis.retry").Retry(import_module("redis.backoff").NoBackoff(), 0)
        with self._client(import_module("redis"), retry=once, **_ONCE) as client:
            yield self._store(client)

    def check(self) -> None:
        """Raise unless a store can be made of it.

        Raises:
            Misuse: It cannot.
        """
        self._store(self._client(import_module("redis.asyncio")))

    def _client(self, library: Any, **options: Any) -> Any:
        kind = library.RedisCluster if self.is_cluster else library.Redis
        try:
            return kind.from_url(self.url, **options)
        except ValueError:  # it may repeat a password
            raise Misuse("--store: it cannot be read as a URL") from None

    def _store(self, client: Any) -> RedisStore:
        try:
            return RedisStore(client, namespace=self.namespace, secret=self.secret)
        except ValueError as error:
            option = str(error).replace("secret:", "secret-env:", 1)
            raise Misuse(f"--{option}") from None


def store_of(
    url: str | None, namespace: str | None, secret_name: str, *, is_cluster: bool
) -> StoreChoice | None:
    """Return the store that options name; None if they name none."""
    if url is None:
        if namespace is not None or is_cluster:
            raise Misuse("--store: missing, for there is a --namespace or --cluster")
        return None
    secret = os.environ.get(secret_name)
    if secret is None:
        raise Misuse(f"--secret-env: there is no environment variable {secret_name!r}")
    choice = choice_of(url, namespace, os.fsencode(secret), is_cluster=is_cluster)
    choice.check()
    return choice


def choice_of(url: str, namespace: str | None, secret: bytes, *, is_cluster: bool) -> StoreChoice:
    """Return what options name, once it can be used.

    Raises:
        Misuse: The URL or the namespace cannot be used, or redis-py is not installed.
    """
    if namespace is None:
        raise Misuse("--namespace: missing, it goes with --store")
    scheme, separator, rest = url.strip().partition("://")
    if not separator or scheme not in _SCHEMES:
        raise Misuse("--store: allowed is redis://, rediss:// or unix://")
    try:
        import_module("redis")
    except ModuleNotFoundError as error:
        if error.name != "redis":
            raise
        raise Misuse(
            '--store: redis is not installed: pip install "httpx-resilience[redis]"'
        ) from None
    return StoreChoice(f"{_SCHEMES[scheme]}://{rest}", namespace, secret, is_cluster)
