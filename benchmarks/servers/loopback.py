"""A server of its own process: answers every request with the same bytes, as fast as asyncio can.

``python -m benchmarks.servers.loopback`` prints its port, and ends with its standard input.
"""

import asyncio
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .vault import BODY, LIMIT, headers

ROOT = Path(__file__).parents[2]
_LEFT = LIMIT // 2
"""What is said to be left, always; all of it cannot be left after a request."""

_END = b"\r\n\r\n"


def answer() -> bytes:
    """Return a whole response, as of now; the server makes another each second."""
    fields = b"".join(b"%b: %b\r\n" % pair for pair in headers(time.time(), _LEFT))
    return b"HTTP/1.1 200 OK\r\n" + fields + b"\r\n" + BODY


class _Vault(asyncio.Protocol):
    """Requests have no body, so each ends with an empty line."""

    response = answer()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        *requests, self._rest = (self._rest + data).split(_END)
        self._transport.write(_Vault.response * len(requests))


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Vault, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = loop.run_in_executor(None, sys.stdin.read)
    while not ended.done():
        _Vault.response = answer()
        await asyncio.wait([ended], timeout=1.0)
    server.close()


@contextmanager
def served() -> Iterator[str]:
    """Run the server in a child process; yield its URL."""
    command = [sys.executable, "-m", "benchmarks.servers.loopback"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, cwd=ROOT, stdin=pipe, stdout=pipe, text=True) as child:
        assert child.stdout is not None
        port = child.stdout.readline().strip()
        if not port:
            raise OSError("the loopback server did not start")
        yield f"http://127.0.0.1:{port}"
        child.communicate()  # closes its standard input


if __name__ == "__main__":
    asyncio.run(_serve())
