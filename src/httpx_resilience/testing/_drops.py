"""How a connection ends too early: on the wire, or as an exception where there is no wire."""

from importlib import import_module
from typing import Any

from ._extras import Response
from ._faults import Drop, phrase_of

CUT = "httpx_resilience.cut"
"""ASGI extension of ``serve``: a callable that writes raw bytes, then ends the connection."""


def beginning(drop: Drop, response: Response) -> bytes:
    """Return the bytes that get through before the connection ends."""
    if drop.where in ("before", "reset"):
        return b""
    status = f"HTTP/1.1 {response.status_code} {phrase_of(response.status_code)}\r\n".encode()
    head = status + b"".join(b"%s: %s\r\n" % pair for pair in response.raw_headers)
    if drop.where == "within":
        return head[: len(head) // 2]
    body = bytes(response.body)
    return head + b"\r\n" + body[: len(body) // 2]


def exception_of(drop: Drop, response: Response, library: str) -> Exception:
    """Return what a library would raise, for a vault that runs in process: it has no connection."""
    kinds: Any = import_module(library)
    if drop.where == "reset":
        return _made(kinds.ReadError, "Connection reset by peer")
    if drop.where == "after":
        size = len(response.body)
        return _made(
            kinds.RemoteProtocolError,
            "peer closed connection without sending complete message body "
            f"(received {size // 2} bytes, expected {size})",
        )
    return _made(kinds.RemoteProtocolError, "Server disconnected without sending a response.")


def _made(kind: type[Exception], text: str) -> Exception:
    return kind(text)
