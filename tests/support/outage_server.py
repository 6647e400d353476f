"""A server in a process of its own, to be killed: ``python outage_server.py http2 8000``.

It listens once it is given a line, so that what it takes to start a Python is no part of an outage,
and ends with its stdin.
"""

import asyncio
import contextlib
import socket
import sys

import h2.config
import h2.connection
import h2.events
import h2.exceptions

LATENCY = 0.01
"""Seconds from a request to its response."""

_BODY = b"{}"
_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(_BODY), _BODY)


class Http1(asyncio.Protocol):
    """Answers one request after the other."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        while b"\r\n\r\n" in self._received:
            _, self._received = self._received.split(b"\r\n\r\n", 1)
            asyncio.get_running_loop().call_later(LATENCY, self.transport.write, _RESPONSE)


class Http2(asyncio.Protocol):
    """Answers every stream by itself."""

    transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._h2 = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._h2.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except h2.exceptions.ProtocolError:
            self.transport.close()
            return
        for event in events:
            if isinstance(event, h2.events.StreamEnded):
                loop = asyncio.get_running_loop()
                loop.call_later(LATENCY, self._respond, event.stream_id)
        self._flush()

    def _respond(self, stream: int) -> None:
        with contextlib.suppress(h2.exceptions.ProtocolError):  # the client no longer wants it
            self._h2.send_headers(stream, [(":status", "200")])
            self._h2.send_data(stream, _BODY, end_stream=True)
        self._flush()

    def _flush(self) -> None:
        self.transport.write(self._h2.data_to_send())


async def listen(protocol: type[asyncio.Protocol], port: int) -> None:
    server = await asyncio.get_running_loop().create_server(
        protocol, "127.0.0.1", port, reuse_address=True
    )
    for listener in server.sockets:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    say("listening")
    await asyncio.to_thread(sys.stdin.readline)


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    say("ready")
    sys.stdin.readline()
    asyncio.run(listen({"http1": Http1, "http2": Http2}[sys.argv[1]], int(sys.argv[2])))
