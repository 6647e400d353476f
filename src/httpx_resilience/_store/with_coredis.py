"""coredis, on asyncio and on Trio: one connection of the store's own to each server.

It is made of the user's client's parameters and lives in that client's own task group, so that it
ends with it. Replies cannot be swapped: coredis hands them to requests in their order, whether or
not somebody still waits, and a request past its deadline drops the connection. A connection of the
client's pool will not do: coredis 6.9 forgets a place in the pool whenever somebody who connects is
cancelled, and after 64 of those (10 in a cluster) nobody gets a connection again.
"""

from collections.abc import Sequence
from typing import Any

from .._runtime.anyio import new_lock, scope_until
from .exchange import Address, Request, is_refusal, is_stale, lost, slot_of


class Coredis:
    """Sends the commands of a store through the parameters of a ``coredis.Redis``."""

    def __init__(self, client: Any) -> None:
        self._pool = client.connection_pool
        self._connections: dict[object, Any] = {}
        self._lock = new_lock()  # for connecting only

    async def prepare(self, deadline: float) -> None:
        """Find out what has to be known before anything is sent: nothing."""

    def forget(self) -> None:
        """Find that out once more before the next pipeline: coredis does, by what is reported."""

    def locate(self, request: Request) -> Any:
        """Return where a request goes to; None for the only server."""
        return None

    async def send(self, node: Any, requests: Sequence[Request], deadline: float) -> None:
        """Set the requests' answers; what has none by the deadline has failed."""
        connection, failure, arrived = None, None, 0
        with scope_until(deadline) as scope:
            try:
                connection = await self._connected(node)
                for waiting, request in _write(connection, requests):
                    request.answer = await waiting
                    arrived += 1
            except Exception as error:  # noqa: BLE001 - whatever it is, the store is away
                failure = error
        is_late = scope.cancel_called
        for request in requests[arrived:]:
            request.answer = lost(failure, is_late=is_late)
        for request in requests[:arrived]:
            if isinstance(request.answer, Exception) and not is_refusal(request.answer):
                request.answer = lost(request.answer, is_late=False)
                is_late = True
        if connection is not None and (is_late or any(is_stale(r.answer) for r in requests)):
            connection.invalidate()

    async def _connected(self, node: Any) -> Any:
        location = self._location(node)
        connection = self._connections.get(location)
        if connection is not None and connection.usable:
            return connection
        async with self._lock:
            connection = self._connections.get(location)
            if connection is None or not connection.usable:
                connection = await self._connect(location)
        return connection

    async def _connect(self, location: Any) -> Any:
        pool = self._pool
        connection = pool.connection_class(location, **pool.connection_kwargs)
        await pool.task_group.start(connection.run)
        self._connections[location] = connection
        return connection

    def _location(self, node: Any) -> Any:
        return self._pool.location


class CoredisCluster(Coredis):
    """Sends the commands of a store through the parameters of a ``coredis.RedisCluster``."""

    def locate(self, request: Request) -> Address:
        """Return the address of the node that has the request's key.

        Raises:
            Exception: The client does not know the cluster's nodes.
        """
        if request.node is not None:
            return request.node
        node = self._pool.cluster_layout.node_for_slot(slot_of(request.key))
        return node.host, node.port

    async def send(self, node: Any, requests: Sequence[Request], deadline: float) -> None:
        """Set the requests' answers, and report to the client what says that its map is old."""
        await super().send(node, requests, deadline)
        layout = self._pool.cluster_layout
        host, port = node
        known = layout.node_for_location(self._location_type(host, port))
        for request in requests:
            error = request.answer
            cause = error.__cause__ if isinstance(error, Exception) else None
            for each in (error, cause):
                if isinstance(each, Exception) and _is_of_coredis(each):
                    layout.report_errors(known, each)

    @property
    def _location_type(self) -> Any:
        return type(self._pool.startup_nodes[0])

    def _location(self, node: Address) -> Any:
        return self._location_type(*node)


def _write(connection: Any, requests: Sequence[Request]) -> list[tuple[Any, Request]]:
    written = []
    for request in requests:
        if request.asking:
            connection.create_request(b"ASKING", decode=False, raise_exceptions=False)
        name, *words = request.words
        waiting = connection.create_request(name, *words, decode=False, raise_exceptions=False)
        written.append((waiting, request))
    return written


def _is_of_coredis(error: Exception) -> bool:
    return type(error).__module__.startswith("coredis.")
