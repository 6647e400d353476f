"""A proxy in a process of its own, which resets every connection for a while, again and again.

``python resetting_proxy.py 8001 8000 2 2 5``: in front of port 8000, from the line on that it is
given five times 2 s in which it forwards and 2 s in which it resets; from then on it forwards.
It ends with its stdin.
"""

import asyncio
import contextlib
import socket
import struct
import sys

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends RST, not FIN


class ResettingProxy:
    """Forwards bytes to a port of this machine."""

    def __init__(self, upstream: int) -> None:
        self._upstream = upstream
        self._is_resetting = False
        self._open: set[asyncio.StreamWriter] = set()

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_resetting:
            _reset(writer)
            return
        self._open.add(writer)
        with contextlib.suppress(OSError):
            onward = await asyncio.open_connection("127.0.0.1", self._upstream)
            with contextlib.closing(onward[1]):
                await asyncio.gather(_forward(reader, onward[1]), _forward(onward[0], writer))
        self._open.discard(writer)
        writer.close()

    async def alternate(self, forwards: float, resets: float, times: int) -> None:
        for _ in range(times):
            await asyncio.sleep(forwards)
            self._is_resetting = True
            for writer in self._open:
                _reset(writer)
            await asyncio.sleep(resets)
            self._is_resetting = False


async def _forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):  # closed already
        linger = socket.SO_LINGER
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, linger, _RESET_ON_CLOSE)
    writer.transport.abort()


async def run(port: int, upstream: int, forwards: float, resets: float, times: int) -> None:
    proxy = ResettingProxy(upstream)
    await asyncio.start_server(proxy.connected, "127.0.0.1", port, reuse_address=True)
    say("listening")
    await asyncio.to_thread(sys.stdin.readline)
    alternating = asyncio.create_task(proxy.alternate(forwards, resets, times))
    await asyncio.to_thread(sys.stdin.readline)
    alternating.cancel()


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    say("ready")
    sys.stdin.readline()
    port, upstream, forwards, resets, times = sys.argv[1:]
    asyncio.run(run(int(port), int(upstream), float(forwards), float(resets), int(times)))
