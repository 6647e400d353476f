"""Over loopback with HTTP/2: what is known to be unprocessed is repeated, a POST too; nothing else.

httpcore keeps three things to itself: it sends again, once more and unseen, what a GOAWAY above
stream 0 excluded; it never resets a stream that it gives up, so that this one's slot and its share
of the connection's window are lost (16 MiB of bodies given up, and the connection stands still);
and after a GOAWAY it reads no further, so that an answer under way is lost.
"""

import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
import pytest

from httpx_resilience import (
    AsyncResilientTransport,
    Backoff,
    CallHistory,
    ErrorClass,
    Policy,
    RetryPolicy,
    RetryScheduled,
    history_of,
)
from support.faults import Fault, FaultyServer, closing, envelope
from support.http2 import MAX_STREAMS, REFUSED, Asked, Http2Server, Link, frame
from support.vitals import busy_connections, eventually

SOON = Backoff(initial=0.02, maximum=0.02)
POLICY = Policy(
    retry=RetryPolicy(backoff={ErrorClass.CONNECTION: SOON, ErrorClass.TRANSIENT: SOON}),
    throttle=None,
    park=None,  # what a retry costs is paid before its wait
)
FREE = POLICY.replace(budget=None)
BOUND = 10.0
LARGE = b"x" * 200_000
"""More than the 64 KiB that are looked at of an error."""

TLS = ssl.create_default_context()  # takes longer than most tests
LATER = 2**31 - 1
NONSENSE = frame(8, 0, 0, bytes(4))
"""A WINDOW_UPDATE of nothing, which breaks the protocol (RFC 9113, section 6.9)."""

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@asynccontextmanager
async def connected(
    server: Http2Server, policy: Policy = POLICY
) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the server; afterwards every connection is idle, and then closed."""
    inner = httpx.AsyncHTTPTransport(http1=False, http2=True, verify=TLS)
    transport = AsyncResilientTransport(inner, policy=policy)
    with server.running() as url, anyio.fail_after(BOUND):
        async with httpx.AsyncClient(transport=transport, base_url=url, timeout=2.0) as client:
            yield client
            assert busy_connections(inner) == []
            assert (await client.get("/good")).status_code == 200
        assert await eventually(lambda: server.open == 0)


async def told(
    client: httpx.AsyncClient, method: str, content: Any = b"body", url: str = "/"
) -> CallHistory:
    """Send one request; return its history, whatever it came to."""
    source: httpx.Response | Exception
    try:
        source = await client.request(method, url, content=content)
    except httpx.TransportError as error:
        source = error
    history = history_of(source)
    assert history is not None
    return history


def ended(history: CallHistory) -> tuple[str | None, int, bool]:
    """Return why a call ended, after how many attempts, and whether it may have been applied."""
    return history.reason, len(history.attempts), history.maybe_applied


def costs(history: CallHistory) -> list[float]:
    """Return what was left of the retry budget's three tokens after each retry was paid."""
    return [event.budget or 0.0 for event in history.events if isinstance(event, RetryScheduled)]


def good(link: Link, asked: Asked) -> None:
    link.respond(asked.stream, 200, b"{}")


class Generated:
    """A body that can be read once; read again it is empty, as a file is at its end."""

    def __init__(self) -> None:
        self._parts = iter([b"one", b"two"])

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for part in self._parts:
            yield part


# Streams that are reset.


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_refused_stream_is_repeated_for_a_quarter_of_the_cost(method: str) -> None:
    def answer(link: Link, asked: Asked) -> None:
        if asked.stream == 1:
            link.reset(1, REFUSED)
        else:
            good(link, asked)

    server = Http2Server(answer)
    async with connected(server) as client:
        history = await told(client, method)
    assert ended(history) == ("success", 2, False)
    assert costs(history) == [2.75]
    assert [asked.body for asked in server.asked[:2]] == [b"body", b"body"]
    assert server.connections == 1


async def test_a_refused_stream_is_not_repeated_with_a_body_that_was_begun() -> None:
    def answer(link: Link, asked: Asked) -> None:
        if asked.method == "POST":
            link.reset(asked.stream, REFUSED)
        else:
            good(link, asked)

    server = Http2Server(answer)
    async with connected(server) as client:
        history = await told(client, "POST", Generated())
    assert ended(history) == ("body_not_replayable", 1, False)


@pytest.mark.parametrize("code", [0, 1, 2, 5, 8, 11], ids=lambda code: f"code {code}")
async def test_a_stream_that_is_reset_for_another_reason_may_have_been_processed(code: int) -> None:
    def answer(link: Link, asked: Asked) -> None:
        if asked.stream <= 3:
            link.reset(asked.stream, code)
        else:
            good(link, asked)

    server = Http2Server(answer)
    async with connected(server) as client:
        posted, got = await told(client, "POST"), await told(client, "GET")
    assert ended(posted) == ("not_idempotent", 1, True)
    assert ended(got) == ("success", 2, False)
    assert costs(got) == [2.0]


# GOAWAY.


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_goaway_that_excludes_every_stream_is_followed_by_a_repetition(method: str) -> None:
    """httpcore raises it as an error, as it does if the stream may have been processed."""

    def answer(link: Link, asked: Asked) -> None:
        if link.number == 1:
            link.goaway(0)
        else:
            good(link, asked)

    server = Http2Server(answer)
    async with connected(server) as client:
        history = await told(client, method)
    assert ended(history) == ("success", 2, False)
    assert costs(history) == [2.75]
    assert [asked.connection for asked in server.asked[:2]] == [1, 2]


async def test_a_goaway_below_the_stream_is_repeated_by_httpcore_itself() -> None:
    """It is an attempt to the server, but none to us, and no retry budget is charged."""

    def answer(link: Link, asked: Asked) -> None:
        if link.number == 1 and asked.stream > 1:
            link.goaway(1)
        else:
            good(link, asked)

    server = Http2Server(answer)
    async with connected(server) as client:
        await client.get("/first")
        history = await told(client, "POST")
    assert ended(history) == ("success", 1, False)
    sent = [(asked.connection, asked.body) for asked in server.asked if asked.method == "POST"]
    assert sent == [(1, b"body"), (2, b"body")]


async def test_a_body_that_was_begun_is_not_sent_empty_by_httpcore_itself() -> None:
    def answer(link: Link, asked: Asked) -> None:
        if link.number == 1 and asked.stream > 1:
            link.goaway(1)
        else:
            good(link, asked)

    server = Http2Server(answer)
    async with connected(server) as client:
        await client.get("/first")
        history = await told(client, "POST", Generated())
    assert ended(history) == ("not_idempotent", 1, True)
    assert history.attempts[0].exception_type == "WriteError"
    assert [asked.body for asked in server.asked if asked.method == "POST"] == [b"onetwo"]


@pytest.mark.parametrize("last", [1, LATER])
@pytest.mark.parametrize("code", [0, 2, REFUSED])
async def test_a_stream_within_a_goaway_may_have_been_processed(last: int, code: int) -> None:
    def answer(link: Link, asked: Asked) -> None:
        if link.number <= 2:
            link.goaway(last, code)
        else:
            good(link, asked)

    server = Http2Server(answer)
    async with connected(server) as client:
        posted, got = await told(client, "POST"), await told(client, "GET")
    assert ended(posted) == ("not_idempotent", 1, True)
    assert ended(got) == ("success", 2, False)


@pytest.mark.parametrize("broken", ["an answer after a GOAWAY", "a frame that breaks the protocol"])
async def test_what_h2_refuses_to_read_is_the_connections_fault(broken: str) -> None:
    """httpcore calls it a LocalProtocolError, as if the request had been invalid."""

    def answer(link: Link, asked: Asked) -> None:
        if link.number > 2:
            good(link, asked)
        elif broken.startswith("a frame"):
            link.raw(NONSENSE)
        else:
            with link.at_once():
                link.goaway(asked.stream)
                good(link, asked)

    server = Http2Server(answer)
    async with connected(server) as client:
        posted, got = await told(client, "POST"), await told(client, "GET")
    assert posted.attempts[0].exception_type == "LocalProtocolError"
    assert ended(posted) == ("not_idempotent", 1, True)
    assert ended(got) == ("success", 2, False)


async def test_a_request_that_may_not_be_sent_over_http2_is_not_repeated() -> None:
    server = Http2Server(good)
    async with connected(server) as client:
        with pytest.raises(httpx.LocalProtocolError) as caught:
            await client.get("/", headers={"Connection": "keep-alive", "TE": "gzip"})
    history = history_of(caught.value)
    assert history is not None
    assert ended(history) == ("permanent", 1, False)


async def test_requests_that_wait_for_a_stream_at_a_goaway_are_repeated_and_applied_once() -> None:
    """They wait within httpcore, on a connection that takes no more: they were never sent."""

    def answer(link: Link, asked: Asked) -> None:
        if link.number > 1 or asked.stream == 1:
            applied.append(asked.path)
            good(link, asked)
        if link.number == 1 and asked.stream == 5:
            link.goaway(1)

    applied: list[str] = []
    statuses: list[int] = []
    server = Http2Server(answer, settings={MAX_STREAMS: 2})
    async with connected(server) as client, anyio.create_task_group() as group:

        async def post(number: int) -> None:
            response = await client.post(f"/{number}", content=b"body")
            statuses.append(response.status_code)

        for number in range(6):
            group.start_soon(post, number)
    assert statuses == [200] * 6
    assert sorted(applied) == ["/0", "/1", "/2", "/3", "/4", "/5", "/good"]


async def test_requests_that_wait_for_a_stream_of_a_broken_connection_are_repeated() -> None:
    def answer(link: Link, asked: Asked) -> bool:
        with link.at_once():
            good(link, asked)
            if link.number == 1:
                link.raw(NONSENSE)
        return link.number > 1

    ends: list[tuple[str | None, int, bool]] = []
    server = Http2Server(answer, settings={MAX_STREAMS: 1})
    async with connected(server, FREE) as client, anyio.create_task_group() as group:

        async def post() -> None:
            ends.append(ended(await told(client, "POST")))

        for _ in range(4):
            group.start_soon(post)
    assert sorted(ends) == [("not_idempotent", 1, True)] + [("success", 2, False)] * 3


# Many streams on one connection.


async def test_a_hundred_streams_share_one_connection() -> None:
    def answer(link: Link, asked: Asked) -> None:
        waiting.append(asked)
        if asked.path == "/good" or len(waiting) == 100:
            for each in waiting:
                good(link, each)
            waiting.clear()

    waiting: list[Asked] = []
    statuses: list[int] = []
    server = Http2Server(answer)
    async with connected(server) as client, anyio.create_task_group() as group:

        async def get(number: int) -> None:
            statuses.append((await client.get(f"/{number}")).status_code)

        for number in range(100):
            group.start_soon(get, number)
    assert statuses == [200] * 100
    assert server.connections == 1


@pytest.mark.parametrize("doomed", [0, 7])  # the first one reads for all
async def test_a_cancelled_stream_leaves_the_others_and_the_connection_well(doomed: int) -> None:
    def answer(link: Link, asked: Asked) -> None:
        if asked.path.startswith("/held"):
            held.append(asked)
            return
        for each in held:
            good(link, each)
        held.clear()
        good(link, asked)

    held: list[Asked] = []
    statuses: list[int] = []
    server = Http2Server(answer)
    scopes = [anyio.CancelScope() for _ in range(20)]
    async with connected(server) as client, anyio.create_task_group() as group:

        async def get(scope: anyio.CancelScope, number: int) -> None:
            with scope:
                statuses.append((await client.get(f"/held/{number}")).status_code)

        for number, scope in enumerate(scopes):
            group.start_soon(get, scope, number)
        assert await eventually(lambda: len(held) == 20)
        scopes[doomed].cancel()
        assert (await client.get("/release")).status_code == 200
    assert statuses == [200] * 19
    assert server.connections == 1


async def test_a_request_for_which_httpcore_has_no_stream_left_is_sent_later() -> None:
    """A cancelled stream keeps its slot, of which httpcore knows nothing: one too many is sent."""

    def answer(link: Link, asked: Asked) -> None:
        if asked.path != "/held":
            good(link, asked)

    ends: list[tuple[str | None, int, bool]] = []
    server = Http2Server(answer, settings={MAX_STREAMS: 2})
    async with connected(server) as client:
        await client.get("/first")
        with anyio.move_on_after(0.05):
            await client.get("/held")
        async with anyio.create_task_group() as group:

            async def post() -> None:
                ends.append(ended(await told(client, "POST")))

            group.start_soon(post)
            group.start_soon(post)
    assert sorted(ends) == [("success", 1, False), ("success", 2, False)]
    assert server.connections == 1


async def test_a_timeout_of_one_stream_takes_others_with_it_and_they_are_repeated() -> None:
    """httpcore gives up a connection at the first read that times out, whosever it is."""

    def answer(link: Link, asked: Asked) -> None:
        if link.number > 1 or asked.path == "/first":
            good(link, asked)

    histories: dict[str, CallHistory | None] = {}
    server = Http2Server(answer)
    async with connected(server) as client, anyio.create_task_group() as group:
        await client.get("/first")

        async def get(path: str, read: float) -> None:
            timeout = httpx.Timeout(2.0, read=read)
            histories[path] = history_of(await client.get(path, timeout=timeout))

        group.start_soon(get, "/impatient", 0.1)
        await eventually(lambda: len(server.asked) == 2)
        group.start_soon(get, "/patient", 5.0)
    for history in histories.values():
        assert history is not None
        assert ended(history) == ("success", 2, False)
        assert history.attempts[0].exception_type == "ReadTimeout"


async def test_a_lost_connection_is_replaced_for_all_that_may_be_repeated() -> None:
    def answer(link: Link, asked: Asked) -> bool | None:
        if link.number == 1 and asked.path != "/first":
            return len([each for each in server.asked if each.connection == 1]) < 11
        good(link, asked)
        return None

    ends: dict[str, list[tuple[str | None, int, bool]]] = {"GET": [], "POST": []}
    server = Http2Server(answer)
    async with connected(server, FREE) as client:
        await client.get("/first")
        async with anyio.create_task_group() as group:

            async def send(method: str) -> None:
                ends[method].append(ended(await told(client, method)))

            for _ in range(5):
                group.start_soon(send, "GET")
                group.start_soon(send, "POST")
    assert ends["GET"] == [("success", 2, False)] * 5
    assert ends["POST"] == [("not_idempotent", 1, True)] * 5


# Errors with bodies.


async def test_a_503_with_a_code_is_repeated_on_the_same_connection() -> None:
    def answer(link: Link, asked: Asked) -> None:
        if asked.stream == 1:
            link.respond(1, 503, envelope("service_unavailable"))
        else:
            good(link, asked)

    server = Http2Server(answer)
    async with connected(server) as client:
        history = await told(client, "POST")
    assert ended(history) == ("success", 2, True)
    assert history.attempts[0].code == "service_unavailable"
    assert [(asked.connection, asked.stream) for asked in server.asked[:2]] == [(1, 1), (1, 3)]


# Trio says of httpcore's generators that they are left half-read, which only they could change.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_large_error_bodies_stall_no_other_stream() -> None:
    """Given up half-read each takes its bytes of the connection's window with it: 2 of 16 MiB."""

    def answer(link: Link, asked: Asked) -> None:
        is_first = [each.path for each in server.asked].count(asked.path) == 1
        failing = is_first and asked.path.startswith("/failing")
        link.respond(asked.stream, 503 if failing else 200, LARGE)

    sizes: list[tuple[int, int]] = []
    server = Http2Server(answer)
    async with connected(server, FREE) as client, anyio.create_task_group() as group:

        async def get(path: str) -> None:
            response = await client.get(path)
            sizes.append((response.status_code, len(response.content)))

        for number in range(20):
            group.start_soon(get, f"/failing/{number}" if number % 2 else "/fine")
    assert sizes == [(200, len(LARGE))] * 20
    assert len(server.asked) == 31
    assert server.connections == 1


# What somebody handles while he calls.


async def test_a_post_sent_while_a_refused_one_is_handled_is_not_taken_for_refused() -> None:
    """Python chains what is being handled to every exception raised meanwhile."""

    def answer(link: Link, asked: Asked) -> None:
        if asked.method == "POST":
            link.reset(asked.stream, REFUSED)
        else:
            good(link, asked)

    server, dropping, history = Http2Server(answer), FaultyServer(Fault(closing)), None
    dropping.broken = True
    other = AsyncResilientTransport(httpx.AsyncHTTPTransport(verify=TLS), policy=POLICY)
    with dropping.running() as url:
        async with httpx.AsyncClient(transport=other) as there, connected(server) as client:
            try:
                await client.post("/", content=b"body")
            except httpx.RemoteProtocolError:
                history = await told(there, "POST", url=url)
    assert history is not None
    assert ended(history) == ("not_idempotent", 1, True)
    assert dropping.requests == 1
