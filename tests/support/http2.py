"""An HTTP/2 server on loopback that says exactly what a test wants it to, frame by frame."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from typing import NamedTuple

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

from support.loopback import Loopback

NO_ERROR = h2.errors.ErrorCodes.NO_ERROR
REFUSED = h2.errors.ErrorCodes.REFUSED_STREAM
MAX_STREAMS = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS


Settings = dict[h2.settings.SettingCodes, int]


class Asked(NamedTuple):
    """A request as it came in."""

    connection: int
    stream: int
    method: str
    path: str
    body: bytes = b""


class Link:
    """One connection's server side."""

    def __init__(self, connection: socket.socket, number: int) -> None:
        config = h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        self.number = number
        self.h2 = h2.connection.H2Connection(config)
        self._connection = connection
        self._pending: dict[int, bytes] = {}
        self._held: bytearray | None = None

    def start(self, settings: Settings) -> None:
        """Send the preface."""
        self.h2.local_settings = h2.settings.Settings(client=False, initial_values=settings)
        self.h2.initiate_connection()
        self.flush()

    def receive(self) -> list[h2.events.Event] | None:
        """Return what came in; None once the client has closed."""
        data = self._connection.recv(65_536)
        if not data:
            return None
        events = self.h2.receive_data(data)
        for event in events:
            if isinstance(event, h2.events.DataReceived):
                self.h2.acknowledge_received_data(
                    event.flow_controlled_length or 0, event.stream_id
                )
        self.flush()
        return events

    def respond(
        self, stream: int, status: int = 200, body: bytes = b"", *, more: bool = False
    ) -> None:
        """Send a response; as much of its body as flow control allows, the rest when it does."""
        headers = [(":status", str(status)), ("content-type", "application/json")]
        self.h2.send_headers(stream, headers, end_stream=not body and not more)
        if body:
            self._pending[stream] = body
        self.send_pending()

    def send_pending(self) -> None:
        """Go on with the bodies for which there is room."""
        for stream in list(self._pending):
            with contextlib.suppress(h2.exceptions.StreamClosedError):
                self._send_some(stream)
        self.flush()

    def _send_some(self, stream: int) -> None:
        while body := self._pending[stream]:
            room = min(self.h2.local_flow_control_window(stream), self.h2.max_outbound_frame_size)
            if room <= 0:
                return
            self.h2.send_data(stream, body[:room], end_stream=len(body) <= room)
            self._pending[stream] = body[room:]
        del self._pending[stream]

    def reset(self, stream: int, code: int) -> None:
        """End one stream."""
        self.h2.reset_stream(stream, code)
        self.flush()

    def goaway(self, last_stream: int, code: int = NO_ERROR) -> None:
        """Say that streams above ``last_stream`` were not and will not be processed.

        By hand: h2 takes no further step on a connection once it has said so itself.
        """
        self.raw(frame(7, 0, 0, last_stream.to_bytes(4, "big") + int(code).to_bytes(4, "big")))

    def raw(self, data: bytes) -> None:
        """Send bytes that h2 would not."""
        self.flush()
        self._send(data)

    def flush(self) -> None:
        """Send what h2 has ready."""
        self._send(self.h2.data_to_send())

    @contextlib.contextmanager
    def at_once(self) -> Iterator[None]:
        """Send all that a block sends in one piece, to be read in one piece."""
        self._held = held = bytearray()
        yield
        self._held = None
        self._send(bytes(held))

    def _send(self, data: bytes) -> None:
        if self._held is None:
            self._connection.sendall(data)
        else:
            self._held += data


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Return a frame as bytes (RFC 9113, section 4.1)."""
    head = len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big")
    return head + payload


Answer = Callable[[Link, Asked], bool | None]
"""Called once a request is complete, or at its headers; False closes the connection."""


class Http2Server:
    """Serves plain HTTP/2 with prior knowledge.

    Args:
        answer: Says what becomes of a request.
        at_headers: Ask it as soon as the headers are there, and ignore the request's body.
        settings: HTTP/2 settings to announce.
    """

    def __init__(
        self, answer: Answer, *, at_headers: bool = False, settings: Settings | None = None
    ) -> None:
        self._answer = answer
        self._at_headers = at_headers
        self._settings = settings or {MAX_STREAMS: 100}
        self._loopback = Loopback(self._serve)
        self._lock = threading.Lock()
        self._links = 0
        self.asked: list[Asked] = []

    @property
    def open(self) -> int:
        """How many connections are open on this side."""
        return self._loopback.open

    @property
    def connections(self) -> int:
        """How many connections there have been."""
        return self._links

    @contextlib.contextmanager
    def running(self) -> Iterator[str]:
        """Serve until the block is left; the value is the base URL."""
        with self._loopback.running() as url:
            yield url

    def _serve(self, connection: socket.socket) -> None:
        with self._lock:
            self._links += 1
            link = Link(connection, self._links)
        link.start(self._settings)
        with contextlib.suppress(h2.exceptions.ProtocolError):  # the client broke the rules
            self._converse(link)
        link.flush()

    def _converse(self, link: Link) -> None:
        requests: dict[int, Asked] = {}
        while (events := link.receive()) is not None:
            for event in events:
                if self._handle(link, event, requests) is False:
                    return
            link.send_pending()

    def _handle(
        self, link: Link, event: h2.events.Event, requests: dict[int, Asked]
    ) -> bool | None:
        if isinstance(event, h2.events.RequestReceived):
            told = {str(name): str(value) for name, value in event.headers}
            stream = event.stream_id
            requests[stream] = Asked(link.number, stream, told[":method"], told[":path"])
            if self._at_headers:
                return self._ask(link, requests[stream])
        elif isinstance(event, h2.events.DataReceived):
            asked = requests[event.stream_id]
            requests[event.stream_id] = asked._replace(body=asked.body + event.data)
        elif isinstance(event, h2.events.StreamEnded) and not self._at_headers:
            return self._ask(link, requests[event.stream_id])
        return None

    def _ask(self, link: Link, asked: Asked) -> bool | None:
        with self._lock:
            self.asked.append(asked)
        return self._answer(link, asked)
