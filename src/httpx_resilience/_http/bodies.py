"""Bodies, both ways: which requests can be sent again, and a look at what error responses say.

The look: the raw, still encoded stream of an error response is iterated once, up to
64 KiB and 2 s, under the attempt's own timeouts. Only ``response.stream`` is replaced: by what was
read, followed by the rest of the same iterator, so that everything httpx offers on a response
behaves as if nobody had looked.
"""

import zlib
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from io import BytesIO
from typing import cast

import httpx

from .._core.dialect.envelope import MAX_BODY
from .._core.outcome import RawHeaders
from .._runtime.anyio import Runtime, within

PEEK_BYTES = 65_536
PEEK_SECONDS = 2.0
"""A body that stands still so long is torn: httpcore cannot go on with a read that was cancelled.
One that comes slowly is not: see ``PeekedStream.look``."""

MAX_ENCODINGS = 5
"""Content encodings upon each other that are decoded, as many as in curl."""

CLOSE_SECONDS = 2.0
"""How long giving a connection back may take, shielded from cancellation."""


class OneShotStream(httpx.AsyncByteStream):
    """A request body that can be sent again only while nobody has begun to read it."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream
        self.is_begun = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        if self.is_begun:  # httpcore itself repeats what HTTP/2 refused; with an empty body here
            raise httpx.WriteError("the request body was begun already and cannot be sent again")
        self.is_begun = True
        return aiter(self._stream)

    async def aclose(self) -> None:
        await self._stream.aclose()

    def is_replayable(self) -> bool:
        """Return whether nobody has begun to read it."""
        return not self.is_begun


def always() -> bool:
    """Replayable: bytes, or files that seek."""
    return True


def replayable(
    stream: httpx.SyncByteStream | httpx.AsyncByteStream,
) -> tuple[httpx.AsyncByteStream, Callable[[], bool]]:
    """Return the stream to send, and a callable that says whether it can be sent (again) now.

    Bytes, JSON and forms are ``httpx.ByteStream``; multipart can be replayed if its files seek
    (httpx rewinds them itself). Everything else is one-shot.

    Raises:
        TypeError: The body is a synchronous stream, which an asynchronous client cannot send.
    """
    if isinstance(stream, httpx.ByteStream) or _is_seekable_multipart(stream):
        assert isinstance(stream, httpx.AsyncByteStream)  # noqa: S101 - both classes are
        return stream, always
    if not isinstance(stream, httpx.AsyncByteStream):
        raise TypeError(
            f"request.stream: got a {type(stream).__name__}, allowed is an httpx.AsyncByteStream"
        )
    one_shot = OneShotStream(stream)
    return one_shot, one_shot.is_replayable


def _is_seekable_multipart(stream: object) -> bool:
    fields = getattr(stream, "fields", None)
    if type(stream).__name__ != "MultipartStream" or not isinstance(fields, list):
        return False
    return all(_seeks(getattr(field, "file", b"")) for field in fields)


def _seeks(file: object) -> bool:
    if isinstance(file, str | bytes):
        return True
    seekable = getattr(file, "seekable", None)
    if seekable is None:
        return hasattr(file, "seek")
    try:
        return bool(seekable())
    except ValueError:  # a closed file
        return False


class PeekedStream(httpx.AsyncByteStream):
    """An error response's body: what was looked at, then the rest of the same iterator."""

    def __init__(self, stream: httpx.AsyncByteStream, length: int | None = None) -> None:
        self._stream = stream
        self._length = length
        self._error: Exception | None = None
        self._is_broken = False
        self._is_closed = False
        # In memory there is nothing to wait for: it is looked at here, without a cancel scope.
        self.is_exhausted = is_in_memory(stream)
        self._head = list(cast("httpx.ByteStream", stream)) if self.is_exhausted else []
        self._rest = None if self.is_exhausted else aiter(stream)

    def __repr__(self) -> str:
        return f"<PeekedStream {len(self.head)} bytes looked at>"

    @property
    def head(self) -> bytes:
        """The raw bytes that were looked at."""
        return b"".join(self._head)

    @property
    def holds_nothing(self) -> bool:
        """Whether there is nothing to close: the body was in memory from the first."""
        return self._rest is None

    @property
    def is_truncated(self) -> bool:
        """Whether the body was closed before its end."""
        return self._is_closed and not self.is_exhausted and not self._is_broken

    async def look(self, runtime: Runtime, cut_at: float | None = None) -> None:
        """Read up to 64 KiB and 2 s of the body; what goes wrong is kept for the reader.

        A chunk that would come after the 2 s, at the pace of those before it, is not waited for:
        the reader gets it. A body that stands still is torn when they are over.

        Args:
            runtime: The running event loop.
            cut_at: When the attempt ends, its body included; None for no such limit.
        """
        rest = self._rest
        if rest is None:
            return
        clock = runtime.now
        now = came_at = clock()
        until = now + PEEK_SECONDS
        size, slowest = 0, 0.0
        with runtime.scope(deadline=until if cut_at is None else min(until, cut_at)) as scope:
            try:
                # At its stated length the body is over: the next step only says so.
                while size == self._length or (size < PEEK_BYTES and now + slowest < until):
                    chunk = await anext(rest)
                    now = clock()
                    if self._head:
                        slowest = max(slowest, now - came_at)
                    came_at = now
                    self._head.append(chunk)
                    size += len(chunk)
            except StopAsyncIteration:
                self.is_exhausted = True
            except Exception as error:  # noqa: BLE001 - the reader gets it; the status decides
                self._error = without_this_frame(error)
        if scope.cancelled_caught:
            self._error = httpx.ReadTimeout("the error body stood still")
        self._is_broken = self._error is not None

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._head:
            yield chunk
        if self._is_broken:
            raise self._taken_error()
        if self.is_exhausted or self._rest is None:
            return
        if self._is_closed:
            raise httpx.ReadError("the rest of the error body was given up before a retry")
        async for chunk in self._rest:
            yield chunk
        self.is_exhausted = True

    def _taken_error(self) -> Exception:
        """Return what broke the body off, and keep it no longer: raised, it holds who holds us."""
        error, self._error = self._error, None
        return error or httpx.ReadError("the error body broke off")

    async def aclose(self) -> None:
        if self._is_closed:
            return
        self._is_closed = True
        finish = getattr(self._rest, "aclose", None)
        try:
            if finish is not None:  # an async generator left in the middle holds its connection
                await finish()
        finally:
            await self._stream.aclose()


def without_this_frame(error: Exception) -> Exception:
    """Return a caught exception that whoever caught it may keep: raised again, it is whole again.

    Its traceback begins with the frame that caught it, and what that frame holds, holds it: a
    cycle, with request and body in it, that would wait for the garbage collector.
    """
    frames = error.__traceback__
    return error if frames is None else error.with_traceback(frames.tb_next)


def is_in_memory(stream: object) -> bool:
    """Return whether a body is all there: it neither makes anybody wait nor holds a connection."""
    return type(stream) is httpx.ByteStream


def is_event_stream(headers: RawHeaders) -> bool:
    """Return whether a body is a stream of server-sent events, which comes when it comes."""
    return any(
        name.lower() == b"content-type" and value.lstrip()[:17].lower() == b"text/event-stream"
        for name, value in headers
    )


_LENGTH, _ENCODING = b"content-length", b"content-encoding"
_SIZES = frozenset({len(_LENGTH), len(_ENCODING)})


def body_headers(headers: RawHeaders) -> tuple[int | None, str]:
    """Return a body's stated length in raw bytes, if that can be read, and its content encoding.

    In one pass, which takes a third of the time of two ``headers.get`` of httpx.
    """
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if len(name) in _SIZES:
            key = name.lower()
            found[key] = found[key] + b", " + value if key in found else value
    length = found.get(_LENGTH, b"")
    is_readable = length.isdigit() and len(length) < 20
    return int(length) if is_readable else None, found.get(_ENCODING, b"").decode("latin-1")


async def close_quietly(stream: httpx.AsyncByteStream | httpx.SyncByteStream) -> None:
    """Give a response's connection back: shielded from cancellation, for a bounded time."""
    if isinstance(stream, PeekedStream) and stream.holds_nothing:
        return
    if isinstance(stream, httpx.AsyncByteStream) and not is_in_memory(stream):
        with within(CLOSE_SECONDS, shield=True), suppress(Exception):
            await stream.aclose()


def decode(raw: bytes, encoding: str) -> bytes:
    """Return the beginning of a body, decoded with a bound; empty if it cannot be.

    A cut-off body gives what can be decoded of it, a compression bomb nothing: neither is JSON.
    """
    if not encoding:
        return raw
    if encoding.count(",") >= MAX_ENCODINGS:
        return b""
    for name in reversed([e.strip() for e in encoding.lower().split(",")]):
        if name in ("", "identity"):
            continue
        try:
            raw = _DECODERS[name](raw)
        except Exception:  # noqa: BLE001 - unknown, broken or hostile: no error code
            return b""
        if len(raw) > MAX_BODY:
            return b""
    return raw


def _gunzip(raw: bytes) -> bytes:
    return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(raw, MAX_BODY + 1)


def _inflate(raw: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(raw, MAX_BODY + 1)
    except zlib.error:  # the deflate without a header that some servers send
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(raw, MAX_BODY + 1)


def _unbrotli(raw: bytes) -> bytes:
    import brotli  # type: ignore[import-untyped, unused-ignore]  # optional, as in httpx

    done: bytes = brotli.Decompressor().process(raw, output_buffer_limit=MAX_BODY + 1)
    return done


def _unzstd(raw: bytes) -> bytes:
    import zstandard  # optional, as in httpx

    limits = zstandard.ZstdDecompressor(max_window_size=2**23)
    with limits.stream_reader(BytesIO(raw)) as reader:
        return reader.read(MAX_BODY + 1)


_DECODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": _gunzip,
    "x-gzip": _gunzip,
    "deflate": _inflate,
    "br": _unbrotli,
    "zstd": _unzstd,
}
