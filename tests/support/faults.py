"""Servers that fail on loopback, byte by byte: how they answer, break off, stall and lie."""

import contextlib
import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from support.loopback import Loopback, reset, wait_until_gone

CHUNK = b"10000\r\n%s\r\n" % (b"x" * 65_536)


class Peer:
    """The server's side of one connection, with one request read."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self._reader = connection.makefile("rb")

    def head(self) -> dict[bytes, bytes] | None:
        """Read a request's line and headers; None once the client has closed."""
        fields: dict[bytes, bytes] = {}
        while (line := self._reader.readline()) != b"\r\n":
            if not line:
                return None
            name, _, value = line.rstrip().partition(b": ")
            fields[name.lower()] = value
        return fields

    def body(self, headers: dict[bytes, bytes]) -> None:
        """Read the request's body."""
        self._reader.read(int(headers.get(b"content-length", b"0")))

    def close(self) -> None:
        """Let go of what reads."""
        with contextlib.suppress(OSError):
            self._reader.close()


Act = Callable[[Peer], bool]
"""Answers one request; tells whether the connection goes on."""


class Fault(NamedTuple):
    """What a server does to a request.

    Attributes:
        act: Does it.
        when: Once the request is read: ``"whole"``; its ``"head"``; or not at all, ``"accepted"``.
    """

    act: Act
    when: str = "whole"


class FaultyServer:
    """Answers request n with line n of its script while it is broken, else well.

    Args:
        script: The faults; the last one again for all requests that follow.
    """

    def __init__(self, *script: Fault) -> None:
        self._script = script
        self._loopback = Loopback(self._serve)
        self.broken = False
        self.requests = 0

    @property
    def open(self) -> int:
        """How many connections are open on this side."""
        return self._loopback.open

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve until the block is left; the value is the base URL."""
        with self._loopback.running() as url:
            yield url

    def _next(self) -> Fault:
        if not self.broken:
            return GOOD
        return self._script[min(self.requests, len(self._script) - 1)]

    def _serve(self, connection: socket.socket) -> None:
        peer = Peer(connection)
        try:
            goes_on = self._next().when != "accepted" or self._act(self._next(), peer)
            while goes_on and (headers := peer.head()) is not None:
                fault = self._next()
                if fault.when == "whole":
                    peer.body(headers)
                goes_on = self._act(fault, peer)
        finally:
            peer.close()

    def _act(self, fault: Fault, peer: Peer) -> bool:
        self.requests += self.broken
        return fault.act(peer)


def response(
    status: int, body: bytes, *headers: str, length: int | None = None, reason: str = "x"
) -> bytes:
    """Return a response as bytes; ``length`` states another than the body's."""
    size = len(body) if length is None else length
    lines = [f"HTTP/1.1 {status} {reason}", f"Content-Length: {size}", *headers]
    return "".join(f"{line}\r\n" for line in [*lines, ""]).encode("latin-1") + body


def envelope(code: object, **more: object) -> bytes:
    """Return an error body as ScaiVault sends it."""
    return json.dumps({"error": {"code": code, "message": "words", **more}}).encode()


def says(data: bytes, *, then: Act = lambda peer: True, when: str = "whole") -> Fault:
    """Return a fault that sends bytes, and then goes on, closes or does something else."""

    def act(peer: Peer) -> bool:
        peer.connection.sendall(data)
        return then(peer)

    return Fault(act, when)


def closing(peer: Peer) -> bool:
    """End the connection in good order."""
    return False


def resetting(peer: Peer) -> bool:
    """End the connection with RST."""
    time.sleep(0.02)  # lets what was sent be read: RST destroys what was not
    peer.close()
    reset(peer.connection)
    return False


def half_closing(peer: Peer) -> bool:
    """Say that nothing more will be sent, and go on reading."""
    peer.connection.shutdown(socket.SHUT_WR)
    wait_until_gone(peer.connection)
    return False


def stalling(peer: Peer) -> bool:
    """Say nothing until the client gives up."""
    wait_until_gone(peer.connection)
    return False


def dripping(drop: bytes, pause: float) -> Act:
    """Return an act that sends a drop at a time, until the client gives up."""

    def act(peer: Peer) -> bool:
        peer.connection.settimeout(pause)
        while True:
            peer.connection.sendall(drop)
            with contextlib.suppress(TimeoutError):
                if not peer.connection.recv(1):
                    return False

    return act


def pouring(peer: Peer) -> bool:
    """Send chunks for as long as the client takes them."""
    while True:
        peer.connection.sendall(CHUNK)


GOOD = says(response(200, b'{"fine": true}'))
CHUNKED = b"HTTP/1.1 503 x\r\nTransfer-Encoding: chunked\r\n\r\n"
