"""Error bodies are looked at, and nobody can tell; request bodies are sent again only whole."""

import functools
import gzip
import io
import json
import random
import tracemalloc
from collections.abc import AsyncIterator, Mapping
from typing import Any

import anyio
import httpx
import pytest
import zstandard

from httpx_resilience import (
    ApiError,
    AsyncResilientTransport,
    Policy,
    RetryPolicy,
    error_of,
    history_of,
    raise_for_error,
)
from httpx_resilience._http.bodies import MAX_ENCODINGS, decode
from httpx_resilience._http.with_httpx import AsyncOneShotStream
from support.clients import ONCE, STEADY, call, resilient
from support.encodings import ENCODERS, READABLE, cut
from support.readers import READERS, Reader, each, first_chunk_only, observed
from support.scripted import OK, UNAVAILABLE, URL, Ear, Line, Reply, Scripted, Stream, coded, get
from support.virtual import backend

pytestmark = pytest.mark.anyio

NOISE = random.Random(7).randbytes(70_000).hex()
"""Text that no encoding makes smaller than the 64 KiB that are looked at."""


def document(size: str) -> bytes:
    error = {"code": "secret_not_found", "message": "x", "request_id": "req_1"}
    padding = {"small": "", "large": NOISE}[size]
    return json.dumps({"error": error, "padding": padding}).encode()


@functools.cache
def encoded(encoding: str, size: str) -> bytes:
    return ENCODERS[encoding][1](document(size))


def reply(encoding: str, size: str, manner: str) -> Reply:
    header, raw = ENCODERS[encoding][0], encoded(encoding, size)
    headers = (("Content-Encoding", header),) if header else ()
    if manner == "dripping":
        return Reply(404, cut(raw, max(1, len(raw) // 7)), headers, pause=0.5)
    if manner == "cut off":
        error = httpx.ReadError("the line went dead")
        half = cut(raw[: len(raw) // 2], 10_000)
        return Reply(404, half, headers, error=error)
    return Reply(404, cut(raw, 10_000), headers)


async def compare(line: Reply, reader: Reader) -> None:
    bare, inner = Scripted(line), Scripted(line)
    expected = await observed(bare, reader)
    seen = await observed(AsyncResilientTransport(inner, policy=ONCE), reader)
    assert seen == expected, reader.__name__
    assert bare.streams[0].is_closed
    assert inner.streams[0].is_closed


@pytest.mark.parametrize("manner", ["at once", "dripping", "cut off"])
@pytest.mark.parametrize("size", ["small", "large"])
@pytest.mark.parametrize("encoding", READABLE)
async def test_an_error_body_reads_as_if_nobody_had_looked(
    encoding: str, size: str, manner: str
) -> None:
    for reader in READERS:
        await compare(reply(encoding, size, manner), reader)


class TestLeft:
    """A body that is left in the middle; on Trio httpx's own generators would be complained of."""

    @pytest.fixture
    def anyio_backend(self) -> tuple[str, Mapping[str, Any]]:
        return backend("asyncio")

    @pytest.mark.parametrize("size", ["small", "large"])
    @pytest.mark.parametrize("encoding", ENCODERS)
    async def test_an_error_body_can_be_left_after_its_first_chunk(
        self, encoding: str, size: str
    ) -> None:
        await compare(reply(encoding, size, "at once"), first_chunk_only)


@pytest.mark.parametrize("encoding", ENCODERS)
async def test_the_code_is_found_in_every_encoding(encoding: str) -> None:
    ear = Ear()
    transport, _ = resilient(reply(encoding, "small", "at once"), on_event=ear)
    response = await call(transport)
    assert ear.last()["code"] == "secret_not_found"
    info = error_of(response)
    assert info is not None
    assert (info.code, info.request_id) == ("secret_not_found", "req_1")


@pytest.mark.parametrize("header", ["gzip", "deflate", "br", "zstd", "compress", "gzip, gzip"])
async def test_a_body_that_is_not_what_its_encoding_says_leaves_the_status_to_decide(
    header: str,
) -> None:
    odd = Reply(503, (b"no such thing",), (("Content-Encoding", header),))
    transport, inner = resilient(odd, OK)
    assert (await call(transport)).status_code == 200
    assert inner.attempts == 2


async def test_a_body_that_breaks_off_while_it_is_looked_at_leaves_the_status_to_decide() -> None:
    error = httpx.ReadError("the line went dead")
    transport, inner = resilient(Reply(503, (b'{"error"',), error=error), OK)
    assert (await call(transport)).status_code == 200
    assert inner.attempts == 2


async def test_a_body_that_breaks_off_raises_its_own_error_when_it_is_read() -> None:
    error = httpx.ReadError("the line went dead")
    transport, _ = resilient(Reply(404, (b"half",), error=error))
    response = await transport.handle_async_request(get())
    with pytest.raises(httpx.ReadError) as caught:
        await response.aread()
    assert caught.value is error
    assert not response.extensions["resilience"].body_truncated


@pytest.mark.parametrize("status", [200, 201, 204, 206, 301, 302, 304, 307])
async def test_the_stream_of_a_success_or_redirect_is_handed_over_untouched(status: int) -> None:
    given = Stream([b"x"])

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, stream=given)

    transport, _ = resilient(answer)
    response = await transport.handle_async_request(get())
    assert response.stream is given
    assert (given.iterations, given.is_closed) == (0, False)


async def test_an_endless_error_body_is_looked_at_for_64_kib_only() -> None:
    given = Stream([b"x" * 4096] * 1000)

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404, stream=given)

    transport, _ = resilient(answer)
    response = await transport.handle_async_request(get())
    assert len(response.extensions["resilience.peeked"].head) == 65_536
    await response.aclose()
    assert given.is_closed


async def test_a_dripping_error_body_is_looked_at_for_two_seconds() -> None:
    line = Reply(404, (b"x",) * 600, pause=0.5)
    transport, _ = resilient(line)
    started = anyio.current_time()
    response = await transport.handle_async_request(get())
    assert 1.5 <= anyio.current_time() - started <= 2.0
    assert len(await response.aread()) == 600


class Halting(Stream):
    """Comes at once up to its last chunk, and then stands still."""

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for chunk in self._chunks:
            yield chunk
        await anyio.sleep(1000.0)


def halts(status: int, *chunks: bytes) -> tuple[Line, Halting]:
    """Return an answer whose body stands still after these chunks, and that body."""
    given = Halting(chunks)

    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(status, stream=given)

    return answer, given


class TestStandsStill:
    """An error body that stops in the middle costs two seconds, whatever httpx's own timeouts."""

    @pytest.mark.parametrize("chunks", [(), (b'{"error": {"code": "secret_not',)])
    async def test_the_status_decides_after_two_seconds(self, chunks: tuple[bytes, ...]) -> None:
        answer, given = halts(503, *chunks)
        transport, inner = resilient(answer, OK, policy=Policy(retry=STEADY, throttle=None))
        response = await call(transport, timeout=30.0)
        assert response.status_code == 200
        assert inner.gaps == [2.5]
        assert given.is_closed

    async def test_a_code_that_came_before_it_stood_still_decides(self) -> None:
        answer, _ = halts(503, json.dumps({"error": {"code": "feature_disabled"}}).encode())
        transport, inner = resilient(answer, OK)
        response = await transport.handle_async_request(get())
        assert response.extensions["resilience"].reason == "permanent"
        assert inner.attempts == 1

    async def test_reading_on_gives_what_came_and_then_a_timeout(self) -> None:
        answer, given = halts(404, b"one", b"two")
        transport, _ = resilient(answer)
        started = anyio.current_time()
        response = await transport.handle_async_request(get())
        assert anyio.current_time() - started == pytest.approx(2.0)
        seen: list[Any] = []
        with pytest.raises(httpx.ReadTimeout, match="stood still"):
            await each(response, response.aiter_raw(), seen)
        assert [part for part, _ in seen] == [b"one", b"two"]
        await response.aclose()
        assert given.is_closed
        assert not response.extensions["resilience"].body_truncated

    async def test_a_client_that_reads_it_gets_the_timeout_after_two_seconds(self) -> None:
        transport, inner = resilient(Reply(404, (b"a", b"b"), pause=100.0))
        started = anyio.current_time()
        with pytest.raises(httpx.ReadTimeout):
            await call(transport, timeout=60.0)
        assert anyio.current_time() - started == pytest.approx(2.0)
        assert inner.streams[0].is_closed

    @pytest.mark.parametrize("pause", [0.3, 0.5, 0.7, 0.9])
    async def test_a_body_that_comes_slowly_but_steadily_is_whole(self, pause: float) -> None:
        transport, inner = resilient(Reply(404, (b"x",) * 20, pause=pause))
        started = anyio.current_time()
        response = await transport.handle_async_request(get())
        assert anyio.current_time() - started <= 2.0
        assert await response.aread() == b"x" * 20
        assert inner.streams[0].is_read_to_its_end


class TestEventStreams:
    """``text/event-stream`` comes when it comes: it is never looked into."""

    @staticmethod
    def endless(status: int, kind: str) -> tuple[Line, Stream]:
        given = Stream([b"data: x\n\n"] * 100, pause=50.0)

        async def answer(request: httpx.Request) -> httpx.Response:
            return httpx.Response(status, headers={"Content-Type": kind}, stream=given)

        return answer, given

    @pytest.mark.parametrize(
        "kind", ["text/event-stream", "text/event-stream; charset=utf-8", "Text/Event-Stream"]
    )
    async def test_an_error_that_is_one_is_handed_over_untouched_and_at_once(
        self, kind: str
    ) -> None:
        answer, given = self.endless(404, kind)
        transport, _ = resilient(answer)
        started = anyio.current_time()
        response = await transport.handle_async_request(get())
        assert anyio.current_time() == started
        assert response.stream is given
        assert (given.iterations, given.is_closed) == (0, False)
        assert response.extensions["resilience"].reason == "permanent"
        assert error_of(response) is None
        response.request = get()
        with pytest.raises(ApiError, match="404 Not Found"):
            raise_for_error(response)

    async def test_the_status_of_one_decides(self) -> None:
        answer, given = self.endless(503, "text/event-stream")
        transport, inner = resilient(answer, OK, policy=Policy(retry=STEADY, throttle=None))
        assert (await call(transport)).status_code == 200
        assert inner.gaps == [0.5]
        assert given.is_closed

    async def test_one_that_was_given_up_and_is_returned_after_all_says_so(self) -> None:
        answer, _ = self.endless(503, "text/event-stream")
        transport, _ = resilient(answer, Reply(200, takes=500.0))
        response = await transport.handle_async_request(get())
        history = history_of(response)
        assert history is not None
        assert (response.status_code, history.reason) == (503, "out_of_time")
        assert history.body_truncated
        with pytest.raises(httpx.ReadError):
            await response.aread()

    async def test_one_of_a_success_is_untouched_too(self) -> None:
        answer, given = self.endless(200, "text/event-stream")
        transport, _ = resilient(answer)
        response = await transport.handle_async_request(get())
        assert response.stream is given
        assert given.iterations == 0

    async def test_an_unread_stream_of_another_kind_is_still_refused(self) -> None:
        with pytest.raises(httpx.ResponseNotRead):
            error_of(httpx.Response(404, stream=Stream([b"x"])))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
async def test_a_compression_bomb_yields_no_code_and_takes_little_memory(encoding: str) -> None:
    header, encode = ENCODERS[encoding]
    bomb = encode(b'{"error": {"code": "rate_limited"}, "x": "' + b"0" * 30_000_000 + b'"}')
    line = Reply(404, cut(bomb, 8192), (("Content-Encoding", header),))
    ear = Ear()
    transport, _ = resilient(line, on_event=ear)
    tracemalloc.start()
    try:
        response = await transport.handle_async_request(get())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "code" not in ear.last()
    assert peak < 12_000_000  # zstd's own window is 8 MiB at most
    await response.aclose()


def test_a_zstd_body_that_wants_a_window_above_8_mib_yields_no_code() -> None:
    """RFC 9659: a decoder for Content-Encoding need not go beyond 8 MB."""
    for window_log, expected in ((23, document("small")), (27, b"")):
        options = zstandard.ZstdCompressionParameters(window_log=window_log)
        packer = zstandard.ZstdCompressor(compression_params=options).compressobj()
        packed = packer.compress(document("small")) + packer.flush()
        assert decode(packed, "zstd") == expected


@pytest.mark.parametrize("name", ["gzip", "deflate", "br", "zstd"])
def test_five_encodings_upon_each_other_are_decoded_and_no_more(name: str) -> None:
    header, encode = ENCODERS[name]
    body = document("small")
    for _ in range(MAX_ENCODINGS):
        body = encode(body)
    assert decode(body, ", ".join([header] * MAX_ENCODINGS)) == document("small")
    assert decode(encode(body), ", ".join([header] * (MAX_ENCODINGS + 1))) == b""


def test_a_one_shot_body_is_not_begun_twice() -> None:
    """Read again, a file at its end would be sent as an empty body."""
    stream = AsyncOneShotStream(httpx.AsyncByteStream())
    aiter(stream)
    assert not stream.is_replayable()
    with pytest.raises(httpx.WriteError):
        aiter(stream)


async def test_a_stream_that_no_header_announces_is_read_once_and_empty_from_then_on() -> None:
    stream = AsyncOneShotStream(Stream((b"",)), is_framed=False)
    for _ in range(3):
        assert stream.is_replayable()
        assert b"".join([chunk async for chunk in stream]) == b""


async def test_a_bomb_within_a_bomb_takes_little_memory() -> None:
    bomb = gzip.compress(gzip.compress(b"0" * 50_000_000))
    line = Reply(404, (bomb,), (("Content-Encoding", "gzip, gzip"),))
    transport, _ = resilient(line)
    tracemalloc.start()
    try:
        response = await transport.handle_async_request(get())
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4_000_000
    await response.aclose()


class TestAgain:
    """Responses given back before a wait."""

    async def test_every_response_is_closed_before_the_next_attempt(self) -> None:
        large = coded(503, "service_unavailable")._replace(chunks=(b"x" * 9000,) * 20)
        transport, inner = resilient(large, UNAVAILABLE, large, OK)
        assert (await call(transport)).status_code == 200
        assert inner.closed_before_send == [True] * 4
        assert [s.closed_at for s in inner.streams][:3] == inner.sent_at[:3]  # and not after a wait

    async def test_a_response_that_was_given_up_carries_what_was_read_and_says_so(self) -> None:
        large = Reply(503, (b"x" * 8192,) * 20)
        transport, _ = resilient(large, Reply(200, takes=500.0))
        response = await transport.handle_async_request(get())
        history = history_of(response)
        assert history is not None
        assert (response.status_code, history.reason) == (503, "out_of_time")
        assert history.body_truncated
        seen: list[Any] = []
        with pytest.raises(httpx.ReadError):
            await each(response, response.aiter_raw(), seen)
        assert seen[-1][1] == 65_536

    async def test_a_response_that_was_read_whole_before_it_was_given_back_is_whole(self) -> None:
        transport, _ = resilient(UNAVAILABLE, Reply(200, takes=500.0))
        response = await transport.handle_async_request(get())
        assert not response.extensions["resilience"].body_truncated
        await response.aread()
        assert response.json()["error"]["code"] == "service_unavailable"

    async def test_a_body_that_will_not_close_holds_a_retry_up_for_two_seconds_only(self) -> None:
        class Stuck(Stream):
            async def aclose(self) -> None:
                await anyio.sleep(1000)

        async def stuck(request: httpx.Request) -> httpx.Response:
            return httpx.Response(503, stream=Stuck([b"x"]))

        transport, inner = resilient(stuck, OK)
        assert (await call(transport)).status_code == 200
        assert inner.gaps[0] <= 2.0 + 0.5 + 0.01

    async def test_a_body_whose_closing_fails_does_not_fail_the_call(self) -> None:
        class Broken(Stream):
            async def aclose(self) -> None:
                raise OSError("x")

        async def broken(request: httpx.Request) -> httpx.Response:
            return httpx.Response(503, stream=Broken([b"x"]))

        transport, _ = resilient(broken, OK)
        assert (await call(transport)).status_code == 200

    async def test_a_body_whose_generator_fails_to_finish_is_closed_all_the_same(self) -> None:
        class Broken(Stream):
            async def __aiter__(self) -> AsyncIterator[bytes]:
                try:
                    for _ in range(20):
                        yield b"x" * 9000
                finally:
                    raise OSError("x")

        given = Broken()

        async def broken(request: httpx.Request) -> httpx.Response:
            return httpx.Response(503, stream=given)

        transport, _ = resilient(broken, OK)
        assert (await call(transport)).status_code == 200
        assert given.is_closed


class TestRequests:
    """Request bodies."""

    @pytest.mark.parametrize(
        "body",
        [
            {"content": b"bytes"},
            {"content": "text"},
            {"json": {"a": 1}},
            {"data": {"a": "1"}},
            {"files": {"f": b"bytes"}},
            {"files": {"f": "text"}},
        ],
        ids=["bytes", "text", "json", "form", "multipart of bytes", "multipart of text"],
    )
    async def test_what_is_held_in_memory_is_sent_again_whole(self, body: dict[str, Any]) -> None:
        transport, inner = resilient(UNAVAILABLE, UNAVAILABLE, OK)
        assert (await call(transport, method="POST", **body)).status_code == 200
        first, second, third = inner.bodies
        assert first
        assert first == second == third

    async def test_a_file_that_seeks_is_sent_again_whole(self) -> None:
        transport, inner = resilient(UNAVAILABLE, UNAVAILABLE, OK)
        await call(transport, method="POST", files={"f": io.BytesIO(b"contents")})
        assert len(inner.bodies) == 3
        assert all(b"contents" in body for body in inner.bodies)

    async def test_a_file_that_does_not_seek_is_never_sent_empty(self) -> None:
        class Pipe(io.RawIOBase):
            left = b"contents"

            def readable(self) -> bool:
                return True

            def seekable(self) -> bool:
                return False

            def seek(self, *args: object) -> int:
                raise io.UnsupportedOperation

            def readinto(self, buffer: Any) -> int:
                size = len(self.left)
                buffer[:size], self.left = self.left, b""
                return size

        transport, inner = resilient(UNAVAILABLE, OK)
        response = await call(transport, method="POST", files={"f": Pipe()})
        assert response.status_code == 503
        assert response.extensions["resilience"].reason == "body_not_replayable"
        assert len(inner.bodies) == 1

    async def test_a_stream_is_not_sent_again_once_it_was_begun(self) -> None:
        async def contents() -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

        transport, inner = resilient(UNAVAILABLE, OK)
        response = await call(transport, method="POST", content=contents())
        assert response.status_code == 503
        assert response.extensions["resilience"].reason == "body_not_replayable"
        assert inner.bodies == [b"ab"]

    async def test_a_stream_is_sent_again_while_nobody_has_begun_it(self) -> None:
        async def contents() -> AsyncIterator[bytes]:
            yield b"a"
            yield b"b"

        refused = httpx.ConnectError("x")
        transport, inner = resilient(refused, refused, OK)
        response = await call(transport, method="POST", content=contents())
        assert response.status_code == 200
        assert inner.bodies == [b"ab"]

    async def test_a_stream_that_failed_within_comes_out_with_its_own_error(self) -> None:
        error = KeyError("x")

        async def contents() -> AsyncIterator[bytes]:
            yield b"a"
            raise error

        transport, inner = resilient(OK)
        with pytest.raises(KeyError) as caught:
            await call(transport, method="POST", content=contents())
        assert caught.value is error
        assert inner.attempts == 1

    async def test_a_body_that_no_asynchronous_client_can_send_raises_a_clear_error(self) -> None:
        transport, inner = resilient(OK)
        request = httpx.Request("POST", URL, content=iter([b"a"]))
        with pytest.raises(TypeError, match="AsyncByteStream"):
            await transport.handle_async_request(request)
        assert inner.attempts == 0

    async def test_a_read_body_of_a_one_shot_stream_can_be_sent_again(self) -> None:
        async def contents() -> AsyncIterator[bytes]:
            yield b"a"

        request = httpx.Request("POST", URL, content=contents())
        await request.aread()
        transport, inner = resilient(UNAVAILABLE, OK)
        assert (await transport.handle_async_request(request)).status_code == 200
        assert inner.bodies == [b"a", b"a"]


async def test_policy_of_one_attempt_still_looks_for_the_code() -> None:
    ear = Ear()
    transport, _ = resilient(
        UNAVAILABLE, on_event=ear, policy=Policy(retry=RetryPolicy(max_attempts=1))
    )
    await call(transport)
    assert (ear.last()["code"], ear.last()["reason"]) == (
        "service_unavailable",
        "attempts_exhausted",
    )
