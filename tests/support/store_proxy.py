"""A proxy before a store, for what a server on the same machine does not do: answer slowly."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

from .stores import HOST


@contextlib.contextmanager
def slow_proxy(port: int, seconds: float) -> Iterator[int]:
    """Forward what is sent at once, and what is answered after some seconds; yield its port."""
    connections: list[socket.socket] = []
    with socket.create_server((HOST, 0)) as listener:
        threading.Thread(
            target=_accept, args=(listener, port, seconds, connections), daemon=True
        ).start()
        try:
            yield listener.getsockname()[1]
        finally:
            for each in connections:
                with contextlib.suppress(OSError):
                    each.shutdown(socket.SHUT_RDWR)
                each.close()


def _accept(
    listener: socket.socket, port: int, seconds: float, connections: list[socket.socket]
) -> None:
    with contextlib.suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.create_connection((HOST, port))
            connections += (client, server)
            for source, target, delay in ((client, server, 0.0), (server, client, seconds)):
                threading.Thread(target=_copy, args=(source, target, delay), daemon=True).start()


def _copy(source: socket.socket, target: socket.socket, delay: float) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            time.sleep(delay)
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
