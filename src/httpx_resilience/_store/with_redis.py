"""redis-py for threads: a connection of the client's pool for each pipeline and node.

A thread cannot be cut, so that the client's own timeouts have to do: they are checked when the
store is made. The client's own retries are not used, for they would send again what may have run.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from time import monotonic
from typing import Any

from .clients import Kind
from .errors import DEADLINE
from .exchange import Address, Request, is_refusal, is_stale, lost


class RedisThreads:
    """Sends the commands of a store through the pool of a ``redis.Redis``."""

    def __init__(self, client: Any, kind: Kind) -> None:
        self._client = client
        # redis-py before 5.3, and valkey-py, want the name of a command.
        self._hint = ("EVALSHA",) if kind.library == "valkey" else ()
        self._check()

    def prepare(self) -> None:
        """Find out what has to be known before anything is sent."""

    def forget(self) -> None:
        """Find that out once more before the next pipeline."""

    def locate(self, request: Request) -> Any:
        """Return where a request goes to; None for the only server."""
        return None

    def send(self, groups: Mapping[Any, Sequence[Request]], deadline: float) -> None:
        """Set the requests' answers; what has none by the deadline has failed."""
        open_pipelines = []
        for node, requests in groups.items():
            pipeline = _Pipeline(self._pool(node), self._hint, requests)
            pipeline.write(deadline)
            open_pipelines.append(pipeline)
        for pipeline in open_pipelines:
            pipeline.read(deadline)

    def _pool(self, node: Any) -> Any:
        return self._client.connection_pool

    def _check(self) -> None:
        check_pool(self._client.connection_pool)


class RedisThreadsCluster(RedisThreads):
    """Sends the commands of a store through the nodes of a ``redis.RedisCluster``."""

    def __init__(self, client: Any, kind: Kind) -> None:
        self._connection_of = getattr(client, f"get_{kind.library}_connection")
        self._is_stale = False
        super().__init__(client, kind)

    def prepare(self) -> None:
        """Find out which node has which keys, if that has changed."""
        if self._is_stale:
            self._client.nodes_manager.initialize()
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

    def _pool(self, node: Any) -> Any:
        return self._connection_of(self._client.get_node(*node)).connection_pool

    def _check(self) -> None:
        node = self._client.get_default_node()
        check_pool(self._pool((node.host, node.port)))


class _Pipeline:
    """The requests that go to one server."""

    def __init__(self, pool: Any, hint: tuple[str, ...], requests: Sequence[Request]) -> None:
        self._pool = pool
        self._hint = hint
        self._requests = requests
        self._missing = list(requests)
        self._connection: Any = None

    def write(self, deadline: float) -> None:
        """Send the requests."""
        with self._ending():
            self._connection = self._pool.get_connection(*self._hint)
            if monotonic() >= deadline:
                self._fail(None, is_late=True)
                self._close()
                return
            words: list[tuple[Any, ...]] = []
            for request in self._requests:
                words += ((b"ASKING",),) if request.asking else ()
                words.append(request.words)
            packed = self._connection.pack_commands(words)
            self._connection.send_packed_command(packed, check_health=False)

    def read(self, deadline: float) -> None:
        """Set the requests' answers."""
        if self._connection is None:
            return
        with self._ending():
            if self._connection.can_read(max(deadline - monotonic(), 0.001)):
                self._read()
            else:
                self._drop()
                self._fail(None, is_late=True)
            self._close()

    def _read(self) -> None:
        has_moved = False
        while self._missing:
            request = self._missing[0]
            if request.asking:
                self._connection.read_response(disable_decoding=True)
            try:
                request.answer = self._connection.read_response(disable_decoding=True)
            except Exception as error:
                if not is_refusal(error):
                    raise
                request.answer = error
                has_moved = has_moved or is_stale(error)
            del self._missing[0]
        if has_moved:
            self._drop()

    @contextmanager
    def _ending(self) -> Iterator[None]:
        """End with nothing left to be read, whatever happens."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - whatever it is, the store is away
            self._drop()
            self._fail(error, is_late=False)
            self._close()
        except BaseException:
            self._drop()
            self._close()
            raise

    def _fail(self, error: BaseException | None, *, is_late: bool) -> None:
        for request in self._missing:
            request.answer = lost(error, is_late=is_late)
        self._missing.clear()

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.disconnect()

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.release(connection)


def check_pool(pool: Any) -> None:
    """Raise unless nothing that a pool does for a command can take longer than the deadline.

    Raises:
        ValueError: A timeout is missing or too long, or something is tried more than once.
    """
    probe = pool.connection_class(**pool.connection_kwargs)  # connects when it is first used
    for field in ("socket_timeout", "socket_connect_timeout"):
        value = getattr(probe, field, DEADLINE)
        if value is None or not 0 < value <= DEADLINE:
            allowed = f"seconds above 0 and at most {DEADLINE:g}: a thread cannot be cut"
            raise ValueError(f"{field}: got {value!r}, allowed is {allowed}")
    retry = probe.retry
    retries = retry.get_retries() if hasattr(retry, "get_retries") else retry._retries  # noqa: SLF001 - valkey-py has no other way
    if retries != 0:
        module = type(retry).__module__.partition(".")[0]
        allowed = f"0 retries: {module}.retry.Retry({module}.backoff.NoBackoff(), 0)"
        raise ValueError(f"retry: got {retries} retries, allowed is {allowed}")
    waits = getattr(pool, "timeout", 0) if hasattr(pool, "pool") else 0  # a blocking pool
    if waits is None or waits > DEADLINE:
        allowed = f"at most {DEADLINE:g} seconds"
        raise ValueError(f"timeout of the connection pool: got {waits!r}, allowed is {allowed}")
