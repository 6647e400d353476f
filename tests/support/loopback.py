"""Sockets on loopback, each connection served by a thread of its own; no HTTP library."""

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator

PATIENCE = 5.0
"""Seconds after which a peer that says nothing is given up."""

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: closing sends RST, not FIN


class Loopback:
    """A listener. ``serve`` is given each connection, and closes it by returning."""

    def __init__(self, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self.port = 0

    @property
    def open(self) -> int:
        """How many connections are open on this side."""
        with self._lock:
            return len(self._open)

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Accept connections until the block is left; the value is the base URL."""
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
            thread = threading.Thread(target=self._accept, args=(listener,), daemon=True)
            thread.start()
            try:
                yield f"http://127.0.0.1:{self.port}"
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                with self._lock:
                    for connection in self._open:
                        with contextlib.suppress(OSError):
                            connection.shutdown(socket.SHUT_RDWR)
                thread.join(PATIENCE)

    def _accept(self, listener: socket.socket) -> None:
        threads: list[threading.Thread] = []
        with contextlib.suppress(OSError):  # shut down
            while True:
                connection = listener.accept()[0]
                with self._lock:
                    self._open.add(connection)
                thread = threading.Thread(target=self._connected, args=(connection,), daemon=True)
                thread.start()
                threads.append(thread)
        for thread in threads:
            thread.join(PATIENCE)

    def _connected(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            with contextlib.suppress(OSError):
                self._serve(connection)
        finally:
            with self._lock:
                self._open.discard(connection)
                connection.close()


def reset(connection: socket.socket) -> None:
    """End a connection with RST: at once, and whatever was not yet read is lost."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    connection.close()


def wait_until_gone(connection: socket.socket) -> None:
    """Read and forget until the client closes."""
    with contextlib.suppress(OSError):
        while connection.recv(65_536):
            pass
