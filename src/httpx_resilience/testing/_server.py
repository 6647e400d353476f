"""A vault over loopback, with connections that break where a fault says so.

ASGI knows no connection, so an application cannot break one. Here uvicorn's HTTP/1.1 protocol
offers each request a way to do it (the scope extension ``CUT``) and is left alone otherwise:
framing and keep-alive stay uvicorn's.
"""

import asyncio
import contextlib
import socket
import struct
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import anyio.to_thread

from ._drops import CUT
from ._extras import H11Protocol, Receive, Scope, Send, uvicorn
from ._vault import Vault

_STARTS_WITHIN = 10.0
_STOPS_WITHIN = 2.0
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends RST, not FIN


class _Protocol(H11Protocol):
    """HTTP/1.1 with a way to end the connection in the middle."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        # asyncio sets it only on sockets made with IPPROTO_TCP, which create_server's are not;
        # without it each answer's body waits 40 ms for the acknowledgement of its headers.
        connection = transport.get_extra_info("socket")
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        app = self.app

        async def with_cut(scope: Scope, receive: Receive, send: Send) -> None:
            async def cut(beginning: bytes, *, reset: bool) -> None:
                self._end(beginning, reset=reset)
                while (await receive())["type"] != "http.disconnect":
                    pass

            scope["extensions"] = {**scope.get("extensions", {}), CUT: cut}
            # Cancelled only when the server stops, and then the connection is gone already.
            with contextlib.suppress(asyncio.CancelledError):
                await app(scope, receive, send)

        self.app = with_cut

    def _end(self, beginning: bytes, *, reset: bool) -> None:
        self.transport.write(beginning)
        if reset:
            linger = self.transport.get_extra_info("socket")
            linger.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
            self.transport.abort()
        else:
            self.transport.close()


class _Server(uvicorn.Server):
    """A uvicorn that says when it is ready, and stops without waiting for anybody."""

    def __init__(self, vault: Vault[Any, Any]) -> None:
        super().__init__(
            uvicorn.Config(
                vault,
                http=_Protocol,
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",
                access_log=False,
                date_header=False,
                timeout_keep_alive=60,
            )
        )
        self.ready = threading.Event()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._loop = asyncio.get_running_loop()
        self.ready.set()

    async def main_loop(self) -> None:
        await self._stop.wait()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for connection in list(self.server_state.connections):
            connection.transport.abort()
        await asyncio.sleep(0)  # lets the connections learn that they are gone
        for task in list(self.server_state.tasks):
            task.cancel()
        await asyncio.gather(*self.server_state.tasks, return_exceptions=True)

    def stop(self) -> None:
        """End the server from another thread."""
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)


@contextlib.contextmanager
def serve_in_thread(vault: Vault[Any, Any]) -> Iterator[str]:
    """Serve the vault over loopback from a thread of its own; the value is its base URL.

    For clients of either library and kind. On 127.0.0.1 and a free port, with HTTP/1.1 and
    keep-alive. Leaving the block ends every connection and running request at once. The vault's
    methods may be called meanwhile.

    >>> import httpx
    >>> from httpx_resilience.testing import FakeScaiVault
    >>> with serve_in_thread(FakeScaiVault(anonymous=True)) as base_url:
    ...     httpx.get(f"{base_url}/v1/secrets", trust_env=False).json()
    {'secrets': []}
    """
    server = _Server(vault)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(
            target=lambda: asyncio.run(server.serve(sockets=[listener])),
            name=f"FakeScaiVault:{port}",
            daemon=True,
        )
        thread.start()
        try:
            if not server.ready.wait(_STARTS_WITHIN):
                raise RuntimeError(f"FakeScaiVault did not start within {_STARTS_WITHIN:g} s")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.stop()
            thread.join(_STOPS_WITHIN)


@contextlib.asynccontextmanager
async def serve(vault: Vault[Any, Any]) -> AsyncIterator[str]:
    """Serve the vault over loopback, from asyncio or Trio; the value is its base URL.

    As ``serve_in_thread``, in a thread of its own, but neither its start nor its end blocks the
    event loop.

    >>> import anyio, httpx
    >>> from httpx_resilience.testing import FakeScaiVault
    >>> async def count() -> int:
    ...     async with serve(FakeScaiVault(anonymous=True)) as base_url:
    ...         async with httpx.AsyncClient(base_url=base_url, trust_env=False) as client:
    ...             return len((await client.get("/v1/secrets")).json()["secrets"])
    >>> anyio.run(count)
    0
    """
    server = serve_in_thread(vault)
    base_url = ""
    with anyio.CancelScope(shield=True):  # or a server that nobody waits for would be left behind
        base_url = await anyio.to_thread.run_sync(server.__enter__)
    try:
        yield base_url
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(server.__exit__, None, None, None)
