"""An inner transport that answers from a script, and streams that know what became of them."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Self

import anyio
import anyio.lowlevel
import httpx

from httpx_resilience import AttemptStarted, CallFinished, CallStarted, Event, Level, Listener

URL = "https://vault.example/v1/secrets/app/db"

Gate = Callable[[], Awaitable[None]]


async def checkpoint() -> None:
    """Let others run, and notice a cancellation."""
    await anyio.lowlevel.checkpoint()


class Stream(httpx.AsyncByteStream):
    """A response body: chunks, seconds before each, and an error in place of its end.

    Iterating a second time is an error, as it is over a real connection.
    """

    def __init__(
        self,
        chunks: Iterable[bytes] = (b"",),
        *,
        pause: float = 0.0,
        error: Exception | None = None,
        gate: Gate = checkpoint,
    ) -> None:
        self._chunks = list(chunks)
        self._pause = pause
        self._error = error
        self._gate = gate
        self.iterations = 0
        self.closed_at: float | None = None
        self.is_read_to_its_end = False

    @property
    def is_closed(self) -> bool:
        return self.closed_at is not None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        self.iterations += 1
        assert self.iterations == 1, "a body was iterated twice"
        for chunk in self._chunks:
            await self._gate()
            if self._pause:
                await anyio.sleep(self._pause)
            assert not self.is_closed, "a closed body was read"
            yield chunk
        if self._error is not None:
            raise self._error
        self.is_read_to_its_end = True

    async def aclose(self) -> None:
        if self.closed_at is None:
            self.closed_at = anyio.current_time()
        await self._gate()


class Reply(NamedTuple):
    """A response to come: made anew for every attempt that gets it."""

    status: int
    chunks: tuple[bytes, ...] = (b"",)
    headers: tuple[tuple[str, str], ...] = ()
    takes: float = 0.0
    pause: float = 0.0
    error: Exception | None = None


def coded(status: int, code: str, headers: dict[str, str] | None = None, **more: Any) -> Reply:
    """Return an error as ScaiVault sends it."""
    error = {"code": code, "message": "words for people", "request_id": "req_abc123"}
    body = json.dumps({"error": error}).encode()
    told = {"Content-Type": "application/json", **(headers or {})}
    return Reply(status, (body,), tuple(told.items()), **more)


OK = Reply(200, (b'{"fine": true}',))
UNAVAILABLE = coded(503, "service_unavailable")

Line = Reply | Exception | Callable[[httpx.Request], Awaitable[httpx.Response]]


class Scripted(httpx.AsyncBaseTransport):
    """Answers attempt n with line n of its script; the last line again for all that follow."""

    def __init__(self, *script: Line, gate: Gate = checkpoint) -> None:
        self._script = script
        self._gate = gate
        self.requests: list[httpx.Request] = []
        self.bodies: list[bytes] = []
        self.sent_at: list[float] = []
        self.streams: list[Stream] = []
        self.closed_before_send: list[bool] = []
        self.is_closed = False
        self.entered = 0

    @property
    def attempts(self) -> int:
        return len(self.requests)

    @property
    def gaps(self) -> list[float]:
        pairs = zip(self.sent_at, self.sent_at[1:], strict=False)
        return [round(later - earlier, 6) for earlier, later in pairs]

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        line = self._script[min(len(self.requests), len(self._script) - 1)]
        self.requests.append(request)
        self.sent_at.append(anyio.current_time())
        self.closed_before_send.append(all(stream.is_closed for stream in self.streams))
        await self._gate()
        assert isinstance(request.stream, httpx.AsyncByteStream)
        if not isinstance(line, httpx.ConnectError | httpx.ConnectTimeout):
            self.bodies.append(b"".join([chunk async for chunk in request.stream]))
        if isinstance(line, Exception):
            raise line
        if not isinstance(line, Reply):
            return await line(request)
        if line.takes:
            await anyio.sleep(line.takes)
        stream = Stream(line.chunks, pause=line.pause, error=line.error, gate=self._gate)
        self.streams.append(stream)
        return httpx.Response(line.status, headers=list(line.headers), stream=stream)

    async def __aenter__(self) -> Self:
        self.entered += 1
        return self

    async def aclose(self) -> None:
        self.is_closed = True


class Ear:
    """A listener that keeps what it hears; ``at_debug`` is given every event.

    Where a call and its attempts begin, and that it ends, is kept only by one of ``all``.
    """

    def __init__(self, *, all: bool = False) -> None:  # noqa: A002 - as a person says it
        self.events: list[Event] = []
        self._ignored = () if all else (CallStarted, AttemptStarted, CallFinished)

    @property
    def at_debug(self) -> Listener:
        return Listener(self, level=Level.DEBUG)

    def __call__(self, event: Event) -> None:
        if not isinstance(event, self._ignored):
            self.events.append(event)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.events]

    def last(self) -> dict[str, Any]:
        """Return the last event's name and the fields of its log line."""
        event = self.events[-1]
        return {"event": event.name, **event.as_fields()}


def get(url: str = URL, **more: Any) -> httpx.Request:
    """Return a request."""
    return httpx.Request(more.pop("method", "GET"), url, **more)
