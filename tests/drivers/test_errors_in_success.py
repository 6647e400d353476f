"""Errors with a status of success: found where the dialect says so, and nobody can tell."""

import functools
import importlib
import json
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import anyio
import httpx
import pytest

from httpx_resilience import (
    ApiError,
    AsyncResilientTransport,
    Backoff,
    Dialect,
    Envelope,
    ErrorClass,
    ErrorSpec,
    Policy,
    RetryPolicy,
    error_of,
    history_of,
    raise_for_error,
)
from httpx_resilience._http.bodies import PEEK_BYTES
from httpx_resilience._http.successes import is_json
from httpx_resilience.instrumentation.history import CallHistory
from support.clients import ONCE, STEADY, UNPACED, call, resilient
from support.encodings import ENCODERS, READABLE, cut
from support.parity import LIBRARIES, door_of
from support.readers import READERS, Reader, observed
from support.scripted import URL, Ear, Reply, Scripted, Stream, get

pytestmark = pytest.mark.anyio

CHAT = Dialect(
    name="chat",
    codes={
        "ratelimited": ErrorSpec(
            code="ratelimited",
            error_class=ErrorClass.RATE_LIMITED,
            meaning="Too many calls.",
            advice="Wait.",
        ),
        "service_unavailable": ErrorSpec(
            code="service_unavailable", error_class=ErrorClass.TRANSIENT
        ),
        "stale": ErrorSpec(code="stale", error_class=ErrorClass.CONFLICT),
    },
    envelope=Envelope(code=(("error",),), errors_in_success=True),
)
JSON = ("Content-Type", "application/json; charset=utf-8")
QUICK = RetryPolicy(backoff={ErrorClass.TRANSIENT: Backoff(initial=0.001, jitter="none")})
TO_THE_END = Policy(retry=STEADY, throttle=None, park=None)


def said(document: object, *, is_long: bool = True, **more: Any) -> Reply:
    """Return a success with a document, and its length unless it comes in chunks."""
    body = json.dumps(document).encode()
    length = (("Content-Length", str(len(body))),) if is_long else ()
    headers = (JSON, *length, *more.pop("headers", ()))
    return Reply(200, cut(body, max(1, len(body) // 3)), headers, **more)


WELL = said({"ok": True})
BUSY = said({"ok": False, "error": "service_unavailable"})
LIMITED = said({"ok": False, "error": "ratelimited"}, headers=(("Retry-After", "2"),))
REFUSED = said({"ok": False, "error": "channel_not_found"})


def chatting(*script: Any, **options: Any) -> tuple[AsyncResilientTransport, Scripted]:
    return resilient(*script, **{"dialect": CHAT, "policy": TO_THE_END, **options})


def told(source: object) -> CallHistory:
    history = history_of(source)
    assert history is not None
    return history


# What is done about it.


async def test_an_error_in_a_success_is_repeated_as_its_code_says() -> None:
    transport, inner = chatting(BUSY, LIMITED, WELL)
    response = await call(transport)
    assert response.json() == {"ok": True}
    assert inner.gaps[0] == 0.5
    assert 2.0 <= inner.gaps[1] <= 2.2
    attempts = [(a.status, a.code, a.error_class) for a in told(response).attempts]
    assert attempts == [
        (200, "service_unavailable", "transient"),
        (200, "ratelimited", "rate_limited"),
        (200, None, None),
    ]
    assert told(response).reason == "success"


async def test_one_that_is_not_repeated_is_returned_as_a_failure() -> None:
    ear = Ear()
    transport, inner = chatting(REFUSED, on_event=ear)
    response = await call(transport)
    assert (response.status_code, inner.attempts) == (200, 1)
    assert response.json() == {"ok": False, "error": "channel_not_found"}
    assert told(response).reason == "permanent"
    line = ear.last()
    assert line["event"] == "gave_up"
    assert (line["status"], line["code"], line["error_class"]) == (
        200,
        "channel_not_found",
        "permanent",
    )


async def test_the_last_of_several_is_returned_whole() -> None:
    transport, inner = chatting(BUSY)
    response = await call(transport)
    assert inner.attempts == 4
    assert response.json()["error"] == "service_unavailable"
    assert told(response).reason == "attempts_exhausted"
    assert not told(response).body_truncated


async def test_the_connection_is_given_back_before_the_wait() -> None:
    transport, inner = chatting(BUSY, WELL)
    await call(transport)
    assert inner.closed_before_send == [True, True]
    assert all(stream.is_closed for stream in inner.streams)


async def test_a_post_that_failed_with_a_code_is_repeated() -> None:
    transport, inner = chatting(BUSY, WELL)
    await call(transport, method="POST", json={})
    assert inner.attempts == 2


async def test_a_refusal_closes_the_scope() -> None:
    transport = AsyncResilientTransport(
        Scripted(LIMITED, WELL), dialect=CHAT, policy=Policy(retry=STEADY)
    )
    async with anyio.create_task_group() as group:
        group.start_soon(functools.partial(call, transport))
        await anyio.sleep(0.1)
        (status,) = transport.rate_limits()
        assert (status.held_reason, round(status.held_for or 0)) == ("server_hint", 2)


async def test_the_retry_budget_counts_it_as_a_failure() -> None:
    transport, inner = chatting(BUSY)
    for _ in range(5):
        await call(transport)
    assert inner.attempts == 5 + 3  # three tokens


async def test_a_hook_is_given_what_it_says() -> None:
    seen: list[Any] = []

    async def hook(failed: Any, request: httpx.Request) -> httpx.Request:
        seen.append((failed.code, failed.status, failed.error.code))
        return request

    transport, inner = chatting(
        said({"error": "stale"}), WELL, recover={"stale": hook}, policy=UNPACED
    )
    assert (await call(transport)).json() == {"ok": True}
    assert seen == [("stale", 200, "stale")]
    assert inner.attempts == 2


async def test_a_call_without_policy_is_told_of_too() -> None:
    transport, inner = chatting(BUSY)
    response = await call(transport, extensions={"resilience": None})
    assert (told(response).reason, inner.attempts) == ("disabled", 1)


# What is said of it.


async def test_error_of_and_raise_for_error_know_it() -> None:
    transport, _ = chatting(LIMITED, policy=ONCE)
    response = await call(transport)
    info = error_of(response)
    assert info is not None
    assert (info.code, info.spec) == ("ratelimited", CHAT.codes["ratelimited"])
    with pytest.raises(ApiError, match=r"^200 ratelimited: Too many calls\. Wait\.") as raised:
        raise_for_error(response)
    assert isinstance(raised.value, httpx.HTTPStatusError)
    assert (raised.value.code, raised.value.response) == ("ratelimited", response)


async def test_the_text_of_an_unlisted_one_names_its_code_and_nothing_else() -> None:
    transport, _ = chatting(REFUSED)
    with pytest.raises(ApiError, match=r"^200 with the error channel_not_found$"):
        raise_for_error(await call(transport))
    transport, _ = chatting(said({"error": "a secret, perhaps"}))
    with pytest.raises(ApiError, match=r"^200 with the error invalid$"):
        raise_for_error(await call(transport))


async def test_a_streamed_one_is_known_before_it_is_read() -> None:
    transport, _ = chatting(REFUSED)
    async with (
        httpx.AsyncClient(transport=transport) as client,
        client.stream("GET", URL) as response,
    ):
        with pytest.raises(ApiError):
            raise_for_error(response)
        assert (await response.aread()) == json.dumps(
            {"ok": False, "error": "channel_not_found"}
        ).encode()


async def test_a_success_is_no_error() -> None:
    transport, _ = chatting(WELL)
    response = await call(transport)
    assert error_of(response) is None
    raise_for_error(response)


def test_a_response_of_any_transport_is_asked_in_a_dialect_that_is_named() -> None:
    response = httpx.Response(200, json={"error": "ratelimited"})
    assert error_of(response) is None
    info = error_of(response, dialect=CHAT)
    assert info is not None
    assert info.code == "ratelimited"
    large = httpx.Response(200, json={"error": "ratelimited", "x": "x" * PEEK_BYTES})
    assert error_of(large, dialect=CHAT) is None
    other = httpx.Response(200, text='{"error": "ratelimited"}')
    assert error_of(other, dialect=CHAT) is None


async def test_chunks_whose_length_nobody_knows_are_looked_at() -> None:
    transport, inner = chatting(said({"error": "ratelimited"}, is_long=False), WELL)
    async with httpx.AsyncClient(transport=transport) as client:
        response = await client.get(URL)
    assert (inner.attempts, response.json()) == (2, {"ok": True})


async def test_chunks_that_are_too_many_are_handed_over_whole() -> None:
    large = {"error": "ratelimited", "x": "x" * PEEK_BYTES}
    transport, inner = chatting(said(large, is_long=False))
    async with httpx.AsyncClient(transport=transport) as client:
        response = await client.get(URL)
    assert (inner.attempts, response.json()) == (1, large)
    assert told(response).reason == "success"


# What is looked at.

UNSEEN: dict[str, Reply] = {
    "more than 64 KiB": said({"error": "ratelimited", "x": "x" * PEEK_BYTES}),
    **{
        kind: Reply(
            200,
            (b'{"error": "ratelimited"}',),
            (("Content-Type", kind), ("Content-Length", "24")),
        )
        for kind in (
            *("text/event-stream", "application/x-ndjson", "application/json-seq", "text/html"),
            *("application/jsonlines", "application/octet-stream", "json", "xapplication/json", ""),
        )
    },
    "no type": Reply(200, (b'{"error": "ratelimited"}',), (("Content-Length", "24"),)),
    "a redirect": LIMITED._replace(status=304),
}


@pytest.mark.parametrize("reply", UNSEEN.values(), ids=UNSEEN)
async def test_a_stream_is_handed_over_untouched(reply: Reply) -> None:
    transport, inner = chatting(reply)
    response = await transport.handle_async_request(get())
    assert response.stream is inner.streams[0]
    assert inner.streams[0].iterations == 0
    assert told(response).reason == "success"
    await response.aclose()


SEEN = ("application/json", "application/problem+json", "APPLICATION/JSON ; charset=utf-8",
        " application/json", "text/json", "application/vnd.api+json;v=1")  # fmt: skip


@pytest.mark.parametrize("kind", SEEN)
async def test_a_document_is_looked_at(kind: str) -> None:
    body = b'{"error": "no"}'
    transport, _ = chatting(Reply(200, (body,), (("Content-Type", kind), ("Content-Length", "15"))))
    assert told(await call(transport)).reason == "permanent"


def test_the_type_is_read_in_a_bounded_time() -> None:
    assert not is_json([(b"content-type", b" " * 100_000 + b"x")])
    assert not is_json([(b"content-type", b"application/" + b"a" * 100_000)])
    assert not is_json([(b"content-type", b"application/json"), (b"content-type", b"text/html")])


async def test_nothing_is_looked_at_where_the_dialect_does_not_say_so() -> None:
    quiet = Dialect(name="quiet", envelope=Envelope(code=(("error",),)))
    transport, inner = chatting(LIMITED, dialect=quiet)
    response = await transport.handle_async_request(get())
    assert response.stream is inner.streams[0]
    await response.aclose()


@pytest.mark.parametrize("status", [200, 201, 202, 206, 299])
async def test_it_is_looked_for_in_every_status_of_success(status: int) -> None:
    transport, _ = chatting(REFUSED._replace(status=status))
    assert told(await call(transport)).reason == "permanent"


@pytest.mark.parametrize("encoding", ENCODERS)
async def test_it_is_found_in_every_encoding(encoding: str) -> None:
    header, encode = ENCODERS[encoding]
    raw = encode(b'{"error": "no"}')
    packed = (("Content-Encoding", header),) if header else ()
    headers = (JSON, ("Content-Length", str(len(raw))), *packed)
    transport, _ = chatting(Reply(200, cut(raw, 5), headers))
    assert told(await call(transport)).reason == "permanent"


async def test_a_body_in_memory_stays_where_it_is() -> None:
    for size, reason in ((10, "permanent"), (PEEK_BYTES, "success")):
        kept: list[Any] = []

        def answer(request: httpx.Request, size: int = size, kept: list[Any] = kept) -> Any:
            response = httpx.Response(200, json={"error": "no", "x": "x" * size})
            kept.append(response.stream)
            return response

        transport = AsyncResilientTransport(httpx.MockTransport(answer), dialect=CHAT)
        response = await call(transport)
        assert told(response).reason == reason
        assert response.json()["error"] == "no"


# As if nobody had looked.


async def compare(line: Reply, reader: Reader) -> None:
    bare, inner = Scripted(line), Scripted(line)
    expected = await observed(bare, reader)
    transport = AsyncResilientTransport(inner, policy=ONCE, dialect=CHAT)
    assert await observed(transport, reader) == expected, reader.__name__
    assert bare.streams[0].is_closed
    assert inner.streams[0].is_closed


@pytest.mark.parametrize("manner", ["at once", "dripping", "cut off"])
@pytest.mark.parametrize("is_error", [True, False], ids=["an error", "a success"])
@pytest.mark.parametrize("encoding", READABLE)
async def test_a_body_reads_as_if_nobody_had_looked(
    encoding: str, is_error: bool, manner: str
) -> None:
    document = {"error": "no"} if is_error else {"ok": True, "x": list(range(50))}
    header, encode = ENCODERS[encoding]
    raw = encode(json.dumps(document).encode())
    packed = (("Content-Encoding", header),) if header else ()
    headers = (JSON, ("Content-Length", str(len(raw))), *packed)
    line = Reply(200, cut(raw, max(1, len(raw) // 7)), headers)
    if manner == "dripping":
        line = line._replace(pause=0.7)
    if manner == "cut off":
        line = line._replace(
            chunks=cut(raw[: len(raw) // 2], 10), error=httpx.ReadError("the line went dead")
        )
    for reader in READERS:
        await compare(line, reader)


async def test_the_librarys_own_extensions_are_kept() -> None:
    own = {"network_stream": object(), "http_version": b"HTTP/2"}

    async def answer(request: httpx.Request) -> httpx.Response:
        body = b'{"ok": true}'
        headers = [JSON, ("Content-Length", str(len(body)))]
        return httpx.Response(200, headers=headers, stream=Stream((body,)), extensions=dict(own))

    transport, _ = chatting(answer)
    response = await transport.handle_async_request(get())
    assert {key: response.extensions[key] for key in own} == own
    assert set(response.extensions) == {*own, "resilience"}
    await response.aclose()


async def test_a_good_body_that_stands_still_is_not_torn() -> None:
    body = b'{"ok": true}'
    reply = Reply(200, (body[:5], body[5:]), (JSON, ("Content-Length", "12")), pause=30.0)
    transport, inner = chatting(reply)
    started = anyio.current_time()
    response = await transport.handle_async_request(get())
    assert 30.0 <= anyio.current_time() - started <= 30.5  # no second read is begun after 2 s
    assert not inner.streams[0].is_closed
    assert await response.aread() == body


async def test_a_body_that_comes_slowly_is_handed_over_after_two_seconds() -> None:
    body = b'{"error": "no", "x": "' + b"x" * 200 + b'"}'
    reply = Reply(200, cut(body, 10), (JSON, ("Content-Length", str(len(body)))), pause=0.5)
    transport, _ = chatting(reply)
    started = anyio.current_time()
    response = await transport.handle_async_request(get())
    assert anyio.current_time() - started <= 2.5
    assert told(response).reason == "success"
    assert await response.aread() == body
    assert error_of(response) is not None  # it is there, and too late


async def test_a_body_that_breaks_off_is_no_failure_of_the_call() -> None:
    reply = Reply(200, (b'{"err',), (JSON, ("Content-Length", "99")), error=httpx.ReadError("x"))
    transport, inner = chatting(reply)
    response = await transport.handle_async_request(get())
    assert (told(response).reason, inner.attempts) == ("success", 1)
    with pytest.raises(httpx.ReadError):
        await response.aread()


async def test_a_call_that_is_cancelled_while_its_body_is_looked_at_leaves_nothing() -> None:
    reply = BUSY._replace(pause=1.0)
    transport, inner = chatting(reply)
    with anyio.move_on_after(1.5) as scope:
        await call(transport)
    assert scope.cancelled_caught
    assert inner.streams[0].is_closed


# For synchronous clients of either library.


@pytest.fixture(params=LIBRARIES)
def http(request: pytest.FixtureRequest) -> ModuleType:
    return importlib.import_module(request.param)


@pytest.mark.parametrize("in_memory", [True, False])
def test_a_synchronous_transport_does_the_same(http: ModuleType, in_memory: bool) -> None:
    class Body(http.SyncByteStream):  # type: ignore[misc, name-defined]  # of either library
        def __init__(self, body: bytes) -> None:
            self.body = body

        def __iter__(self) -> Iterator[bytes]:
            yield from cut(self.body, 7)

    bodies = [b'{"error": "service_unavailable"}', b'{"error": "no"}']
    left = iter(bodies)

    def answer(request: Any) -> Any:
        body = next(left)
        headers = {"Content-Type": "application/json", "Content-Length": str(len(body))}
        stream = http.ByteStream(body) if in_memory else Body(body)
        return http.Response(200, headers=headers, stream=stream)

    door = door_of(http.__name__)
    transport = door.ResilientTransport(
        http.MockTransport(answer), dialect=CHAT, policy=Policy(retry=QUICK, park=None)
    )
    with http.Client(transport=transport) as client, client.stream("GET", URL) as response:
        assert (next(left, None), told(response).reason) == (None, "permanent")
        assert b"".join(response.iter_bytes()) == bodies[1]
        assert response.num_bytes_downloaded == len(bodies[1])
        with pytest.raises(door.ApiError, match="200 with the error no"):
            door.raise_for_error(response)
