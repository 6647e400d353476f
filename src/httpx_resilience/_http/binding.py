"""One HTTP library for one kind of client, as the rest of the package sees it.

Outside this folder nothing names httpx or httpx2 but the front doors: drivers, hooks and
authentication take what they need from the ``Binding`` that they are given. There are four: httpx
and httpx2, asynchronous and synchronous.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from .bodies import OneShot, Peeked
from .errors import ErrorClasses

if TYPE_CHECKING:
    from . import typed as http


class Streams(NamedTuple):
    """Our own bodies for one kind of client of one library.

    Attributes:
        one_shot: A request body that can be sent once.
        peeked: The body of an error response that was looked at.
    """

    one_shot: type[OneShot]
    peeked: type[Peeked]


class Binding:
    """The classes of one HTTP library, for one kind of client, and ours that are made of them.

    Args:
        library: The module ``httpx`` or ``httpx2``.
        streams: Our own bodies for this kind.
        errors: Our own errors for this library.
        is_async: For ``AsyncClient``; else for ``Client``.

    Attributes:
        name: The library's name.
        library: Its module.
        errors: Our errors that are its errors, too.
        streams: Our bodies that are its bodies, too.
        is_async: Whether it is for ``AsyncClient``.
        request: Its class of requests.
        byte_stream: Its class of bodies in memory.
        stream: Its base class of bodies.
        transport: Its base class of transports.
        default_transport: Its own transport.
        client: Its client.
    """

    __slots__ = (
        "byte_stream",
        "client",
        "default_transport",
        "errors",
        "is_async",
        "library",
        "name",
        "request",
        "stream",
        "streams",
        "transport",
    )

    def __init__(
        self, library: Any, streams: Streams, errors: ErrorClasses, *, is_async: bool
    ) -> None:
        prefix, stream = ("Async", "AsyncByteStream") if is_async else ("", "SyncByteStream")
        self.name: str = library.__name__
        self.library = library
        self.errors = errors
        self.streams = streams
        self.is_async = is_async
        self.request: type[http.Request] = library.Request
        self.byte_stream: type[http.ByteStream] = library.ByteStream
        self.stream: Any = getattr(library, stream)
        self.transport: Any = getattr(library, f"{prefix}BaseTransport")
        self.default_transport: Any = getattr(library, f"{prefix}HTTPTransport")
        self.client: Any = getattr(library, f"{prefix}Client")

    def __repr__(self) -> str:
        return f"<Binding {self.name} {'async' if self.is_async else 'sync'}>"

    @property
    def door(self) -> str:
        """From where the user imports what is for this library."""
        return door_of(self.name)


def door_of(name: str) -> str:
    """Return from where the user imports what is for a library, by the library's name."""
    return "httpx_resilience" if name == "httpx" else f"httpx_resilience.{name}"


def library_of(thing: object) -> str | None:
    """Return the name of the library that an object's class comes from; None for any other."""
    for kind in type(thing).__mro__:
        top = kind.__module__.partition(".")[0]
        if top in ("httpx", "httpx2"):
            return top
    return None


def checked_response(response: Any, binding: Binding) -> Any:
    """Return a response of a library.

    Raises:
        TypeError: It is one of the other; the message names the right import.
    """
    if isinstance(response, binding.library.Response):
        return response
    text, other = f"allowed is an {binding.name}.Response", library_of(response)
    if other is None:
        raise TypeError(f"response: got a {type(response).__name__}, {text}")
    right = f"from {door_of(other)} import raise_for_error, error_of"
    raise TypeError(f"response: got one of {other}, {text}; for {other}: {right}")


def checked_client(client: object, binding: Binding) -> Binding:
    """Return the binding of a client.

    Raises:
        TypeError: It is one of another library; the message names the right import.
    """
    if isinstance(client, binding.client):
        return binding
    text, other = f"allowed is a client of {binding.name}", library_of(client)
    if other is None:
        raise TypeError(f"client: got a {type(client).__name__}, {text}")
    right = f"from {door_of(other)} import read_change_write"
    raise TypeError(f"client: got one of {other}, {text}; for {other}: {right}")
