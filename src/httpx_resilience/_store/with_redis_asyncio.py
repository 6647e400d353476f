"""redis-py on asyncio: a connection of the client's pool for each pipeline.

Whatever ends a pipeline before all of its replies were read drops the connection, so that no reply
is left for the next command: the deadline, the caller's cancellation, an error. The client's own
retries are not used, for they would send again what may have run.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from .._runtime.anyio import Cancellations, scope_until, within
from .clients import Kind
from .exchange import Address, Request, is_refusal, is_stale, lost

GiveBack = Callable[[Any], Awaitable[None]]


class RedisAsyncio:
    """Sends the commands of a store through the pool of a ``redis.asyncio.Redis``."""

    def __init__(self, client: Any, kind: Kind) -> None:
        self._client = client
        # redis-py before 5.3, and valkey-py, want the name of a command.
        self._hint = ("EVALSHA",) if kind.library == "valkey" else ()

    def locate(self, request: Request) -> Any:
        """Return where a request goes to; None for the only server."""
        return None

    async def send(self, node: Any, requests: Sequence[Request], deadline: float) -> None:
        """Set the requests' answers; what has none by the deadline has failed."""
        failure, missing = None, list(requests)
        with scope_until(deadline) as scope:
            try:
                asked_to_end = Cancellations()
                connection, give_back = await self._take(node)
                try:
                    await _write(connection, requests)
                    await asked_to_end.check()  # redis-py writes by `wait_for`
                    await _read(connection, missing)
                except BaseException:
                    await _drop(connection)
                    raise
                finally:
                    with within(None, shield=True):
                        await give_back(connection)
            except Exception as error:  # noqa: BLE001 - whatever it is, the store is away
                failure = error
        for request in missing:
            request.answer = lost(failure, is_late=scope.cancel_called)

    async def prepare(self, deadline: float) -> None:
        """Find out what has to be known before anything is sent."""

    def forget(self) -> None:
        """Find that out once more before the next pipeline."""

    async def _take(self, node: Any) -> tuple[Any, GiveBack]:
        pool = self._client.connection_pool
        return await pool.get_connection(*self._hint), pool.release


class RedisAsyncioCluster(RedisAsyncio):
    """Sends the commands of a store through the nodes of a ``redis.asyncio.RedisCluster``."""

    def __init__(self, client: Any, kind: Kind) -> None:
        super().__init__(client, kind)
        self._is_stale = False

    async def prepare(self, deadline: float) -> None:
        """Find out which node has which keys, if that is not known or has changed."""
        with scope_until(deadline):
            await self._client.initialize()
            if self._is_stale:
                await self._client.nodes_manager.initialize()
                self._is_stale = False

    def forget(self) -> None:
        """Ask for the cluster's nodes before the next pipeline."""
        self._is_stale = True

    def locate(self, request: Request) -> Address:
        """Return the address of the node that has the request's key."""
        if request.node is not None and self._client.get_node(*request.node) is not None:
            return request.node
        node = self._client.get_node_from_key(request.key)
        return node.host, node.port

    async def _take(self, node: Any) -> tuple[Any, GiveBack]:
        found = self._client.get_node(*node)

        async def give_back(connection: Any) -> None:
            if hasattr(found, "release"):
                found.release(connection)
            else:  # valkey-py
                found._free.append(connection)  # noqa: SLF001 - it has no other way

        connection = found.acquire_connection()
        try:
            await connection.connect()
        except BaseException:
            await _drop(connection)
            await give_back(connection)
            raise
        return connection, give_back


async def _write(connection: Any, requests: Sequence[Request]) -> None:
    words: list[tuple[Any, ...]] = []
    for request in requests:
        if request.asking:
            words.append((b"ASKING",))
        words.append(request.words)
    await connection.send_packed_command(connection.pack_commands(words), check_health=False)


async def _read(connection: Any, missing: list[Request]) -> None:
    """Set the answers of requests; those that have one are removed."""
    has_moved = False
    while missing:
        request = missing[0]
        if request.asking:
            await connection.read_response(disable_decoding=True)
        try:
            request.answer = await connection.read_response(disable_decoding=True)
        except Exception as error:
            if not is_refusal(error):
                raise
            request.answer = error
            has_moved = has_moved or is_stale(error)
        del missing[0]
    if has_moved:
        await _drop(connection)


async def _drop(connection: Any) -> None:
    """Close a connection without waiting for anybody; the pool opens it again when it is needed."""
    await connection.disconnect(nowait=True)
