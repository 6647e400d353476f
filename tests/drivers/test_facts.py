"""What a history keeps until it is asked: facts, of which events are made only for who listens."""

import dataclasses
import gc
import io
import json
import logging
import pickle
from collections.abc import Iterator
from types import FunctionType, ModuleType
from typing import Any

import anyio
import httpx
import pytest
import structlog

from httpx_resilience import (
    AsyncResilientTransport,
    Backoff,
    CallEvent,
    CallHistory,
    ErrorClass,
    Event,
    FailedAttempt,
    Policy,
    RetryPolicy,
    ThrottleDelayed,
    ThrottlePolicy,
    history_of,
)
from httpx_resilience._core.telemetry.recorder import PendingEvent
from httpx_resilience._http.bodies import body_headers
from httpx_resilience._runtime.anyio import scope_until
from support.clients import STEADY, resilient
from support.logs import filtering
from support.scripted import OK, UNAVAILABLE, URL, Ear, Line, Reply, Scripted, coded, get

pytestmark = pytest.mark.anyio

SECRET = "hunter2"
AT_ONCE = Backoff(initial=0.5, maximum=0.5, jitter="none", max_attempts=3)
EXACT = RetryPolicy(backoff={**STEADY.backoff, ErrorClass.CONFLICT: AT_ONCE})
"""No wait is random, so that two calls are alike."""

RATES = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "4", "X-RateLimit-Reset": "2"}
TWO_POLICIES = {"RateLimit-Policy": '"a";q=10;w=60, "b";q=90;w=60', "RateLimit": '"a";r=4, "b";r=3'}
PLANTED = (("Set-Cookie", SECRET), ("X-Request-ID", "req-1"), *RATES.items())

STORIES: dict[str, tuple[Line, ...]] = {
    "recovers": (UNAVAILABLE, Reply(200, headers=(("X-Request-ID", "req-2"),))),
    "recovers late": (UNAVAILABLE, httpx.ReadError("x"), coded(429, "rate_limited", RATES), OK),
    "gives up": (UNAVAILABLE,),
    "internal": (coded(500, "internal_error"),),
    "lost": (httpx.ReadError("x"),),
    "odd and permanent": (coded(400, "secret_not_found", TWO_POLICIES),),
    "too long": (coded(429, "rate_limited", {"Retry-After": "3600"}),),
    "mended": (coded(409, "version_conflict"), OK),
    "mended in vain": (coded(409, "version_conflict"), UNAVAILABLE),
}


async def mend(failed: FailedAttempt, request: httpx.Request) -> httpx.Request:
    await anyio.sleep(0.25)
    return httpx.Request("PUT", "https://vault.example/v1/mended", content=b"again")


async def told(story: str, **options: Any) -> CallHistory:
    """Play a story; return its history."""
    transport, _ = resilient(
        *STORIES[story],
        policy=Policy(retry=EXACT, throttle=None),
        recover={"version_conflict": mend},
        **options,
    )
    source: httpx.Response | Exception
    try:
        source = await transport.handle_async_request(get())
    except httpx.HTTPError as error:
        source = error
    history = history_of(source)
    assert history is not None
    return history


def compared(history: CallHistory) -> list[Any]:
    """Return all that a history tells, but for what no two calls share."""
    events = [dataclasses.asdict(event) | {"call_id": "", "at": 0.0} for event in history.events]
    return [
        [type(event) for event in history.events],
        events,
        history.attempts,
        history.elapsed,
        history.maybe_applied,
        history.retries,
        history.reason,
    ]


@pytest.fixture
def quiet() -> Iterator[None]:
    """Nobody reads the log."""
    logger = logging.getLogger("httpx_resilience")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    yield
    logger.setLevel(level)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return a list that takes the name of every event that is made of a fact."""
    names: list[str] = []

    build = PendingEvent.event

    def counting(pending: PendingEvent) -> Event:
        names.append(pending.kind.name)
        return build(pending)

    monkeypatch.setattr(PendingEvent, "event", counting)
    return names


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("story", STORIES)
async def test_a_history_that_nobody_listened_to_tells_what_one_with_a_listener_does(
    story: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)  # when a parked call probes is random
    ear = Ear()
    silent, heard = await told(story), await told(story, on_event=ear.at_debug)
    assert len(silent.events) > 1
    assert compared(silent) == compared(heard)
    assert list(heard.events) == [each for each in ear.events if isinstance(each, CallEvent)]


@pytest.mark.usefixtures("quiet")
async def test_a_pickled_history_tells_the_same_whether_or_not_it_was_read_before() -> None:
    for story in STORIES:
        unread, read = await told(story), await told(story)
        assert read.events
        for history in (unread, read):
            copied = pickle.loads(pickle.dumps(history))
            assert copied.events == history.events
            assert compared(copied) == compared(history)


@pytest.mark.usefixtures("quiet")
@pytest.mark.parametrize("story", STORIES)
async def test_no_event_is_made_that_nobody_wants_and_then_each_once(
    story: str, built: list[str]
) -> None:
    history = await told(story)
    is_raised = isinstance(STORIES[story][-1], Exception)
    assert is_raised or built == []  # the note on an exception counts its attempts
    del built[:]
    events = history.events
    assert is_raised or built == [event.name for event in events]
    del built[:]
    assert all(a is b for a, b in zip(events, history.events, strict=True))
    assert history.attempts
    assert built == []


@pytest.mark.parametrize(
    ("level", "names"),
    [
        (
            logging.DEBUG,
            [
                *("call_started", "attempt_started", "attempt_finished", "retry_scheduled"),
                *("attempt_started", "attempt_finished", "recovered", "call_finished"),
            ],
        ),
        (logging.INFO, ["retry_scheduled", "recovered"]),
        (logging.WARNING, ["retry_scheduled"]),
        (logging.ERROR, []),
    ],
)
@pytest.mark.parametrize("library", ["structlog", "logging"])
async def test_an_event_is_made_for_each_line_and_for_no_other(
    library: str, level: int, names: list[str], built: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    out = io.StringIO()
    if library == "structlog":
        structlog.configure(
            processors=[structlog.processors.JSONRenderer()],
            wrapper_class=filtering(level),
            logger_factory=structlog.PrintLoggerFactory(out),
        )
    try:
        with caplog.at_level(level, "httpx_resilience"):
            history = await told("recovers")
    finally:
        structlog.reset_defaults()
    assert built == names
    assert len(history.events) == 4
    if library == "structlog":
        lines = [json.loads(text) for text in out.getvalue().splitlines()]
        kept = {event.name for event in history.events}
        lines = [line for line in lines if line["event"] in kept]
        wanted = [event for event in history.events if event.name in names]
        assert lines == [{"event": event.name, **event.as_fields()} for event in wanted]


@pytest.mark.usefixtures("quiet")
async def test_two_listeners_are_given_the_same_event_which_is_made_once(built: list[str]) -> None:
    first, second = Ear(), Ear()
    history = await told("recovers", on_event=[first.at_debug, second.at_debug])
    assert len(built) == 8
    for one, same, kept in zip(first.events, second.events, history.events, strict=True):
        assert one is same is kept


@pytest.mark.usefixtures("quiet")
async def test_a_history_keeps_nothing_of_headers_query_body_or_redacted_path() -> None:
    error = {"code": "service_unavailable", "message": SECRET, "details": {"at": SECRET}}
    body = json.dumps({"error": error | {"request_id": f"id {SECRET}"}}).encode()
    transport = AsyncResilientTransport(
        Scripted(Reply(503, (body,), PLANTED), Reply(200, (SECRET.encode(),), PLANTED)),
        policy=Policy(retry=STEADY),
        redact=lambda path: path.replace(SECRET, "***"),
    )
    request = get(
        f"https://user:{SECRET}@vault.example/v1/{SECRET}?token={SECRET}",
        headers={"Authorization": f"Bearer {SECRET}"},
    )
    response = await transport.handle_async_request(request)
    history = history_of(response)
    assert history is not None
    kept = list(reachable(history))
    assert "req-1" in kept  # it is looked through
    assert not [each for each in kept if isinstance(each, str) and SECRET in each]
    assert not [each for each in kept if isinstance(each, bytes)]
    assert not [each for each in kept if isinstance(each, httpx.Response | httpx.Request)]
    assert history.retries == 1


def reachable(root: object) -> Iterator[object]:
    """Yield all that an object holds on to, but for code."""
    seen: set[int] = set()
    queue = [root]
    while queue:
        each = queue.pop()
        if id(each) in seen or isinstance(each, type | FunctionType | ModuleType):
            continue
        seen.add(id(each))
        yield each
        queue += gc.get_referents(each)


@pytest.mark.usefixtures("quiet")
async def test_a_redacted_path_is_redacted_once_for_a_call() -> None:
    asked: list[str] = []

    def redact(path: str) -> str:
        asked.append(path)
        return "/hidden"

    history = await told("recovers", redact=redact)
    assert asked == ["/v1/secrets/app/db"]
    assert {event.as_fields()["path"] for event in history.events} == {"/hidden"}


@pytest.mark.usefixtures("quiet")
async def test_a_call_that_was_held_back_tells_so_if_it_is_asked() -> None:
    spent = (("X-RateLimit-Limit", "9"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "3"))
    transport = AsyncResilientTransport(
        Scripted(Reply(200, headers=spent), OK), policy=Policy(throttle=ThrottlePolicy())
    )
    await transport.handle_async_request(get())
    history = history_of(await transport.handle_async_request(get()))
    assert history is not None
    (delayed,) = history.events
    assert isinstance(delayed, ThrottleDelayed)
    assert delayed.delay > 2.0
    assert (delayed.attempt, delayed.path) == (1, "/v1/secrets/app/db")


class Resembling(httpx.ByteStream):
    """In memory as far as its class tells, and yet it has to be closed."""

    is_closed = False

    async def aclose(self) -> None:
        self.is_closed = True


async def test_a_stream_that_only_resembles_one_in_memory_is_closed_before_the_retry() -> None:
    stream = Resembling(b"{}")
    seen: list[bool] = []

    async def fails(request: httpx.Request) -> httpx.Response:
        return httpx.Response(503, stream=stream)

    async def succeeds(request: httpx.Request) -> httpx.Response:
        seen.append(stream.is_closed)
        return httpx.Response(200)

    transport, _ = resilient(fails, succeeds)
    assert (await transport.handle_async_request(get())).status_code == 200
    assert seen == [True]


@pytest.mark.parametrize("size", [0, 10, 70_000])
async def test_an_error_body_in_memory_is_whole_after_the_retries(size: int) -> None:
    content = json.dumps({"error": {"code": "service_unavailable"}, "more": "x" * size}).encode()
    inner = httpx.MockTransport(
        lambda request: httpx.Response(503, stream=httpx.ByteStream(content))
    )
    transport = AsyncResilientTransport(inner, policy=Policy(retry=STEADY, throttle=None))
    async with httpx.AsyncClient(transport=transport) as client:
        async with client.stream("GET", URL) as response:
            assert [chunk async for chunk in response.aiter_raw()] == [content]
        assert response.num_bytes_downloaded == len(content)
    history = history_of(response)
    assert history is not None
    assert [attempt.code for attempt in history.attempts] == ["service_unavailable"] * 4
    assert not history.body_truncated


@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ([], (None, "")),
        ([(b"CONTENT-Length", b"12"), (b"content-ENCODING", b"gzip")], (12, "gzip")),
        ([(b"Content-Length", b"12"), (b"Content-Length", b"12")], (None, "")),
        ([(b"Content-Encoding", b"br"), (b"Content-Encoding", b"gzip")], (None, "br, gzip")),
        ([(b"Content-Length", b"-1"), (b"Content-Length-", b"9")], (None, "")),
        ([(b"Content-Length", b"9" * 20)], (None, "")),
        ([(b"Content-Length", b"\xb2")], (None, "")),
        ([(b"Content-Lengths", b"7"), (b"Content-Encoding", b"\xff")], (None, "\xff")),
    ],
)
def test_a_bodys_length_and_encoding_are_read_in_any_case_and_doubted_if_odd(
    headers: list[tuple[bytes, bytes]], told: tuple[int | None, str]
) -> None:
    assert body_headers(headers) == told


async def test_a_cancel_scope_is_anyios_own_for_the_loop_that_runs() -> None:
    assert type(scope_until(1.0)) is type(anyio.CancelScope())
    with scope_until(anyio.current_time() + 5.0) as scope:
        await anyio.sleep(50.0)
    assert scope.cancelled_caught
