"""The store that users make: Redis or Valkey over a client of theirs."""

import time
from collections.abc import Generator, Sequence
from typing import Any

from .._core.telemetry.events import SCHEMA, Level
from .._runtime.anyio import current_time, raise_if_cancelled, running_loop, together
from ..instrumentation import log
from . import status
from .clients import Kind, kind_of
from .commands import Command, Replies
from .encryption import is_exposed
from .errors import DEADLINE
from .exchange import Exchange, Request, lost
from .index import Index
from .keys import Keys
from .status import StoreHolder, StoreLimit, StoreScope
from .with_coredis import Coredis, CoredisCluster
from .with_redis import RedisThreads, RedisThreadsCluster
from .with_redis_asyncio import RedisAsyncio, RedisAsyncioCluster

__all__ = ["RedisStore", "StoreHolder", "StoreLimit", "StoreScope"]

UNENCRYPTED = "store_unencrypted"
"""The log line of a client that connects to another machine without TLS."""

RIGHTS = (
    "~hr1:* +eval +evalsha +time +type +del +pexpire +hgetall +hmget +hset +hdel "
    "+zadd +zremrangebyscore +zremrangebyrank +zrevrange"
)
"""What the store's user needs, as ``ACL SETUSER`` takes it; in a cluster also ``+cluster +asking``.

And ``+select`` for a client with a ``db``, ``+client|setname`` for one with a name.
"""


Steps = Generator[Sequence[Command], Replies, tuple[StoreScope, ...]]


class RedisStore:
    """A Redis (7 or later) or Valkey (8 or later) by which processes share one rate-limit budget.

    Made once for a program, and handed to as many transports as it has; the processes that are to
    share their budgets give the same ``namespace`` and ``secret``. Keys are keyed hashes: neither
    credentials nor paths nor names of scopes are in the store. The client is the caller's to open
    and to close.

    Args:
        client: ``coredis.Redis`` or ``coredis.RedisCluster`` (asyncio and Trio; entered with
            ``async with``), ``redis.asyncio.Redis`` or ``redis.asyncio.RedisCluster`` (asyncio), or
            ``redis.Redis`` or ``redis.RedisCluster`` (threads), the last two with
            ``socket_timeout`` and ``socket_connect_timeout`` of at most 0.25 seconds and no retries
            of their own, for a thread that waits for them cannot be cut. An asynchronous command
            has 0.25 seconds whatever the client's timeouts are.
        namespace: What the keys begin with: 1 to 64 letters, digits, ``_``, ``.`` and ``-``.
        secret: What the keys are hashed with: at least 16 bytes, the same in all processes.

    Raises:
        TypeError: The client is of another kind, or an argument of another type.
        ValueError: The namespace or the secret is not as described, or a synchronous client may
            take longer than 0.25 seconds; the message names what is allowed.

    A connection to another machine without TLS is logged once, as a warning
    (``store_unencrypted``). For a synchronous transport::

        from redis import Redis
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        once = Retry(NoBackoff(), 0)
        client = Redis(socket_timeout=0.25, socket_connect_timeout=0.25, retry=once)
        store = RedisStore(client, namespace="team", secret="16 bytes at least")

    >>> RedisStore("redis://localhost", namespace="team", secret="16 bytes at least")
    Traceback (most recent call last):
    TypeError: client: got a str, allowed is a coredis.Redis or coredis.RedisCluster (asyncio and \
Trio), a redis.asyncio.Redis or redis.asyncio.RedisCluster (asyncio), or a redis.Redis or \
redis.RedisCluster (threads)
    """

    __slots__ = ("__weakref__", "_driver", "_index", "_keys", "_kind")

    def __init__(self, client: Any, *, namespace: str, secret: str | bytes) -> None:
        self._kind = kind_of(client)
        self._keys = Keys(namespace, secret)
        self._index = Index(self._keys.index)
        self._driver: Any = _driver(client, self._kind)
        if is_exposed(client, self._kind):
            _warn(self._keys.namespace)

    def __repr__(self) -> str:
        kind = self._kind
        client = f"{kind.library}{', asynchronous' if kind.is_async else ''}"
        return f"RedisStore(<{client}>, namespace={self._keys.namespace!r}, secret=...)"

    @property
    def is_async(self) -> bool:
        """Whether the client's methods are to be awaited, as asynchronous transports do."""
        return self._kind.is_async

    def key(self, kind: str, *parts: str) -> str:
        """Return the key of what some parts name: a keyed hash, in which none of them can be read.

        Args:
            kind: What is kept there: letters that all of its keys end with.
            parts: What it belongs to; the same parts have one hash tag, whatever the kind.
        """
        return self._keys.key(kind, *parts)

    def token(self, *parts: str) -> str:
        """Return a keyed hash of some parts: letters and digits."""
        return self._keys.token(*parts)

    def hashed(self, name: bytes) -> str:
        """Return a keyed hash of whatever names an identity, the same in all processes."""
        return self._keys.hashed(name)

    def run(self, commands: Sequence[Command]) -> Any:
        """Run some scripts in one pipeline, and return their replies in the same order.

        Args:
            commands: The scripts, each with its key and arguments.

        Returns:
            The replies, each a list of strings, or a ``StoreError`` in place of a command that
            failed; something to await that returns them, if ``is_async``.

        Raises:
            StoreError: The store is away: there is no reply at all within 0.25 seconds.
            TypeError: A client for asyncio is used on Trio.
        """
        return self._run_async(commands) if self._kind.is_async else self._run_sync(commands)

    def status(self) -> Any:
        """Return the namespace's scopes that were used within the last hour, the latest first.

        Reads a list that the processes keep, and no other key of the store; nothing is written but
        that list, from which scopes go that were not used for an hour.

        Returns:
            A tuple of ``StoreScope``; something to await that returns it, if ``is_async``.

        Raises:
            StoreError: The store did not answer, or did not let the list be read.
        """
        steps = status.read(self._keys)
        return self._status_async(steps) if self._kind.is_async else self._status_sync(steps)

    async def _status_async(self, steps: Steps) -> tuple[StoreScope, ...]:
        commands = next(steps)
        while True:
            replies = await self._run_async(commands)
            try:
                commands = steps.send(replies)
            except StopIteration as end:
                scopes: tuple[StoreScope, ...] = end.value
                return scopes

    def _status_sync(self, steps: Steps) -> tuple[StoreScope, ...]:
        commands = next(steps)
        while True:
            try:
                commands = steps.send(self._run_sync(commands))
            except StopIteration as end:
                scopes: tuple[StoreScope, ...] = end.value
                return scopes

    async def _run_async(self, commands: Sequence[Command]) -> Replies:
        self._check_loop()
        driver = self._driver
        exchange = self._exchange(commands)
        deadline = current_time() + DEADLINE
        while True:
            groups: dict[Any, list[Request]] = {}
            try:
                await driver.prepare(deadline)
                groups = _by_node(exchange.requests, driver)
            except Exception as error:  # noqa: BLE001 - a cluster whose nodes are not known
                _give_up(exchange.requests, error)
            if len(groups) == 1:
                await driver.send(*groups.popitem(), deadline)
            else:
                await together(driver.send, [(*group, deadline) for group in groups.items()])
            if _is_done(exchange, driver):
                if exchange.has_failed:  # cancelled, coredis may raise an error of its own
                    await raise_if_cancelled()
                return exchange.replies()

    def _run_sync(self, commands: Sequence[Command]) -> Replies:
        driver = self._driver
        exchange = self._exchange(commands)
        deadline = time.monotonic() + DEADLINE
        while True:
            groups: dict[Any, list[Request]] = {}
            try:
                driver.prepare()
                groups = _by_node(exchange.requests, driver)
            except Exception as error:  # noqa: BLE001 - a cluster whose nodes are not known
                _give_up(exchange.requests, error)
            driver.send(groups, deadline)
            if _is_done(exchange, driver):
                return exchange.replies()

    def _exchange(self, commands: Sequence[Command]) -> Exchange:
        return Exchange(commands, self._index.due(commands, time.monotonic()))

    def _check_loop(self) -> None:
        if self._kind.library != "coredis" and not hasattr(running_loop(), "create_future"):
            got = f"a client of {self._kind.library}.asyncio on Trio"
            raise TypeError(f"client: got {got}, allowed is a coredis.Redis there")


def _driver(client: Any, kind: Kind) -> Any:
    if kind.library == "coredis":
        return CoredisCluster(client) if kind.is_cluster else Coredis(client)
    if kind.is_async:
        return (RedisAsyncioCluster if kind.is_cluster else RedisAsyncio)(client, kind)
    return (RedisThreadsCluster if kind.is_cluster else RedisThreads)(client, kind)


def _by_node(requests: Sequence[Request], driver: Any) -> dict[Any, list[Request]]:
    groups: dict[Any, list[Request]] = {}
    for request in requests:
        groups.setdefault(driver.locate(request), []).append(request)
    return groups


def _give_up(requests: Sequence[Request], failure: Exception) -> None:
    for request in requests:
        request.answer = lost(failure, is_late=False)


def _is_done(exchange: Exchange, driver: Any) -> bool:
    """Return whether each command has its answer; what a cluster's nodes said is looked at."""
    if any(request.has_moved for request in exchange.requests):
        driver.forget()
    return exchange.is_done()


def _warn(namespace: str) -> None:
    logger = log.logger_for(Level.WARNING)
    if logger is not None:
        advice = "the store's connection is not encrypted: use TLS (rediss://) beyond one machine"
        fields = {"schema": SCHEMA, "namespace": namespace, "advice": advice}
        log.write_to(logger, Level.WARNING, UNENCRYPTED, fields)
