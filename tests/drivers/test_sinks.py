"""The log and the listeners: what they raise reaches nobody, and each gets what it asked for."""

import io
import logging
import random
import sys
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import anyio
import httpx
import pytest
import structlog

from httpx_resilience import (
    AsyncResilientTransport,
    AttemptFinished,
    Event,
    Level,
    Listener,
    Policy,
    RateLimitObserved,
    RetryScheduled,
    ThrottleDelayed,
    ThrottleHeld,
    history_of,
)
from httpx_resilience._core.telemetry import recorder as telling
from httpx_resilience._core.throttle.reasons import COLD_START
from httpx_resilience._core.throttle.reporter import ThrottleReporter
from support.clients import STEADY, resilient
from support.scripted import OK, UNAVAILABLE, Ear, Line, Reply, Scripted, coded, get

pytestmark = pytest.mark.anyio

LOGGER = logging.getLogger("httpx_resilience")


@pytest.fixture(autouse=True)
def _logging_as_it_was() -> Iterator[None]:
    structlog.reset_defaults()
    handlers, level, propagate = LOGGER.handlers[:], LOGGER.level, LOGGER.propagate
    yield
    structlog.reset_defaults()
    LOGGER.handlers[:] = handlers
    LOGGER.setLevel(level)
    LOGGER.propagate = propagate


def rates(remaining: int, reset: int = 2) -> tuple[tuple[str, str], ...]:
    return (
        ("X-RateLimit-Limit", "10"),
        ("X-RateLimit-Remaining", str(remaining)),
        ("X-RateLimit-Reset", str(reset)),
    )


class OddError(Exception):
    """Cannot even be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no words")


class Raising:
    """Raises, mostly or always: a listener, a processor, a handler's filter."""

    def __init__(self, chance: random.Random, share: float = 1.0) -> None:
        self._chance = chance
        self._share = share
        self.raised = 0

    def __call__(self, *_: object) -> Any:
        if self._chance.random() < self._share:
            self.raised += 1
            errors: list[Exception] = [OSError(28, "disk full"), ValueError("closed"), OddError()]
            raise self._chance.choice(errors)
        return "written"


# What the log does wrong.


def _structlog(*processors: Any, **options: Any) -> None:
    structlog.configure(
        processors=processors or [structlog.processors.JSONRenderer()],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
        cache_logger_on_first_use=False,
        **options,
    )


def _closed() -> io.StringIO:
    out = io.StringIO()
    out.close()
    return out


def a_processor_that_raises(raising: Raising, _: pytest.MonkeyPatch) -> None:
    _structlog(raising, logger_factory=structlog.PrintLoggerFactory(io.StringIO()))


def a_closed_standard_output(_: Raising, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", _closed())
    _structlog(logger_factory=structlog.PrintLoggerFactory(_closed()))


def a_logger_that_cannot_be_made(raising: Raising, _: pytest.MonkeyPatch) -> None:
    _structlog(logger_factory=raising)


def a_handler_that_raises(raising: Raising, _: pytest.MonkeyPatch) -> None:
    class Full(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            raising()

    LOGGER.addHandler(Full())
    LOGGER.setLevel(logging.DEBUG)


def a_filter_that_raises(raising: Raising, _: pytest.MonkeyPatch) -> None:
    handler = logging.StreamHandler(io.StringIO())
    handler.addFilter(raising)
    LOGGER.addHandler(handler)
    LOGGER.setLevel(logging.DEBUG)


def closed_standard_streams(_: Raising, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handler fails, and so does logging's own report of it on standard error."""
    LOGGER.addHandler(logging.StreamHandler(_closed()))
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.propagate = False
    monkeypatch.setattr(sys, "stderr", _closed())
    monkeypatch.setattr(logging, "raiseExceptions", True)


def everything(raising: Raising, monkeypatch: pytest.MonkeyPatch) -> None:
    closed_standard_streams(raising, monkeypatch)
    a_processor_that_raises(raising, monkeypatch)


BROKEN_LOGS = {
    log.__name__.replace("_", " "): log
    for log in (
        a_processor_that_raises,
        a_closed_standard_output,
        a_logger_that_cannot_be_made,
        a_handler_that_raises,
        a_filter_that_raises,
        closed_standard_streams,
        everything,
    )
}
Break = Callable[[Raising, pytest.MonkeyPatch], None]


def left(transport: AsyncResilientTransport) -> int:
    """How many calls the throttles still count."""
    return sum(row.in_flight + row.queued for row in transport.rate_limits())


@pytest.mark.parametrize("log", BROKEN_LOGS.values(), ids=BROKEN_LOGS)
async def test_no_call_is_lost_and_no_scope_stays_shut_when_the_log_raises(
    log: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    raising = Raising(random.Random(1))
    log(raising, monkeypatch)
    inner = Scripted(Reply(200, headers=rates(0)), Reply(200, headers=rates(9, reset=60)))
    transport = AsyncResilientTransport(inner)
    ended: list[int] = []

    async def one() -> None:
        ended.append((await transport.handle_async_request(get())).status_code)

    with anyio.fail_after(60.0):
        async with anyio.create_task_group() as group:
            for _ in range(8):
                group.start_soon(one)
    assert ended == [200] * 8
    assert left(transport) == 0


@pytest.mark.parametrize("log", BROKEN_LOGS.values(), ids=BROKEN_LOGS)
@pytest.mark.parametrize(
    "script",
    [(OK,), (UNAVAILABLE, OK), (UNAVAILABLE,), (coded(500, "internal_error"),)],
    ids=["success", "recovers", "gives up", "internal"],
)
async def test_a_call_ends_as_it_would_when_the_log_raises(
    script: tuple[Line, ...], log: Break, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = Policy(retry=STEADY, throttle=None)
    sane, _ = resilient(*script, policy=policy)
    expected = await sane.handle_async_request(get())
    log(Raising(random.Random(2)), monkeypatch)
    transport, _ = resilient(*script, policy=policy)
    response = await transport.handle_async_request(get())
    assert response.status_code == expected.status_code
    history, wanted = history_of(response), history_of(expected)
    assert history is not None
    assert wanted is not None
    assert (history.reason, history.attempts) == (wanted.reason, wanted.attempts)


class Moody(httpx.AsyncBaseTransport):
    """Answers well, refuses, fails and tells of limits, by chance."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        chance = self._chance
        await anyio.sleep(chance.uniform(0.0, 0.3))
        drawn, headers = chance.random(), list(rates(chance.randrange(0, 9)))
        if drawn < 0.1:
            raise httpx.ConnectError("refused")
        if drawn < 0.2:
            return httpx.Response(503, headers=[*headers, ("Retry-After", "1")])
        if drawn < 0.3:
            return httpx.Response(429, headers=[("Retry-After", "1")])
        return httpx.Response(200, headers=headers if drawn < 0.8 else [])


@pytest.mark.parametrize("seed", range(20))
async def test_nothing_is_in_flight_or_queued_after_any_mixture_of_raising_sinks(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(seed)
    share = chance.choice([0.1, 0.5, 1.0])
    if chance.random() < 0.8:
        chance.choice(list(BROKEN_LOGS.values()))(Raising(chance, share), monkeypatch)
    listeners = [
        Listener(Raising(chance, share), level=chance.choice(list(Level)))
        for _ in range(chance.randrange(3))
    ]
    transport = AsyncResilientTransport(Moody(chance), on_event=listeners)
    ended: Counter[str] = Counter()

    async def one() -> None:
        try:
            with anyio.CancelScope(deadline=anyio.current_time() + chance.choice([0.5, 5.0, 1e6])):
                ended[str((await transport.handle_async_request(get())).status_code)] += 1
                return
            ended["cancelled"] += 1
        except httpx.HTTPError as error:
            ended[type(error).__name__] += 1

    with anyio.fail_after(3600.0):
        async with anyio.create_task_group() as group:
            for _ in range(30):
                group.start_soon(one)
                await anyio.sleep(chance.choice([0.0, 0.0, 0.2]))
    assert sum(ended.values()) == 30, f"seed {seed}"
    assert set(ended) <= {"200", "429", "503", "cancelled", "ConnectError", "ThrottleTimeout"}
    assert left(transport) == 0, f"seed {seed}"


async def test_a_log_that_fails_is_reported_once_and_without_what_it_said(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class SecretError(Exception):
        def __str__(self) -> str:
            return "hunter2"

    def broken(*_: object) -> Any:
        raise SecretError

    _structlog(broken)
    transport, _ = resilient(UNAVAILABLE, policy=Policy(retry=STEADY, throttle=None))
    for _ in range(2):
        await transport.handle_async_request(get())
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("event=log_failed level=error timestamp=")
    assert line.endswith("exception_type=SecretError")
    assert "hunter2" not in caplog.text


async def test_listeners_are_called_when_the_log_raises_and_each_other_too() -> None:
    ear = Ear()
    _structlog(Raising(random.Random(3)))
    raising = Raising(random.Random(4))
    transport, _ = resilient(UNAVAILABLE, OK, on_event=[raising, ear])
    await transport.handle_async_request(get())
    assert ear.names == ["retry_scheduled", "recovered"]
    assert raising.raised == 2


def test_a_scope_is_released_before_it_says_so() -> None:
    """Whatever comes out of the sink, an interrupt included, finds the state settled."""

    class InterruptError(BaseException):
        pass

    def emit(event: Event) -> None:
        if event.name == "throttle_released":
            raise InterruptError

    reporter = ThrottleReporter("https://vault.example", "read", 0.1, emit)
    reporter.held(COLD_START, 2.0, 3, now=1.0)
    assert reporter.is_holding
    with suppress(InterruptError):
        reporter.released(now=2.0)
    assert not reporter.is_holding


# Levels.

RATED: tuple[Line, ...] = (
    Reply(200, headers=rates(0)),
    coded(503, "service_unavailable", dict(rates(5))),
    Reply(200, headers=rates(4)),
)
DEBUG_EVENTS = (AttemptFinished, RateLimitObserved, ThrottleDelayed)


async def heard_at(level: Level | str | None) -> list[Event]:
    """What a listener hears of two calls, one that waits and one that is retried."""
    ear = Ear()
    listener = ear if level is None else Listener(ear, level=level)
    transport = AsyncResilientTransport(Scripted(*RATED), on_event=listener)
    for _ in range(2):
        await transport.handle_async_request(get())
    return ear.events


async def test_a_callable_is_given_events_of_level_info_and_above() -> None:
    events = await heard_at(None)
    assert {type(event) for event in events} >= {ThrottleHeld, RetryScheduled}
    assert not [event for event in events if isinstance(event, DEBUG_EVENTS)]


async def test_a_listener_is_given_events_of_its_level_and_above() -> None:
    for level in Level:
        events = await heard_at(level)
        assert all(event.level >= level for event in events)
        assert bool(events) == (level < Level.ERROR)
    assert {type(event) for event in await heard_at(Level.DEBUG)} >= set(DEBUG_EVENTS)


@pytest.mark.parametrize("name", ["warning", "WARNING", "Warning"])
async def test_a_level_may_be_given_by_its_name(name: str) -> None:
    assert Listener(print, level=name).level is Level.WARNING
    assert [e.name for e in await heard_at(name)] == [e.name for e in await heard_at(Level.WARNING)]


async def test_each_listener_has_a_level_of_its_own() -> None:
    bare, some, every = Ear(), Ear(), Ear()
    given = [bare, Listener(some, level="warning"), Listener(every, level="debug")]
    transport, _ = resilient(UNAVAILABLE, OK, on_event=given)
    await transport.handle_async_request(get())
    assert some.names == ["retry_scheduled"]
    assert bare.names == ["retry_scheduled", "recovered"]
    assert every.names == ["attempt_finished", "retry_scheduled", "attempt_finished", "recovered"]


async def test_a_listener_that_wants_no_debug_events_has_none_made(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[object] = []

    class Counting(AttemptFinished):
        def __init__(self, **fields: Any) -> None:
            super().__init__(**fields)
            made.append(self)

    monkeypatch.setattr(telling, "AttemptFinished", Counting)
    transport, _ = resilient(OK, on_event=lambda event: None)
    history = history_of(await transport.handle_async_request(get()))
    assert history is not None
    assert made == []
    assert not history.verbose
    assert [(attempt.number, attempt.status) for attempt in history.attempts] == [(1, 200)]


@pytest.mark.parametrize("level", [None, *Level])
async def test_a_history_is_the_same_whatever_its_listeners_want(level: Level | None) -> None:
    listener = None if level is None else Listener(lambda event: None, level=level)
    policy = Policy(retry=STEADY, throttle=None)
    transport, _ = resilient(UNAVAILABLE, OK, policy=policy, on_event=listener)
    history = history_of(await transport.handle_async_request(get()))
    assert history is not None
    assert [event.name for event in history.events] == [
        "attempt_finished", "retry_scheduled", "attempt_finished", "recovered",
    ]  # fmt: skip
    assert [(a.status, a.code, a.delay) for a in history.attempts] == [
        (503, "service_unavailable", 0.5), (200, None, None),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("given", "kind", "message"),
    [
        ({"level": "loud"}, ValueError, "level: got 'loud', allowed is a Level, or one of 'debug'"),
        ({"level": 10}, TypeError, "level: got 10"),
        ({"level": None}, TypeError, "level: got None"),
        ({"callback": 3}, TypeError, "callback: got 3, allowed is a plain function"),
        ({"callback": Listener(print)}, TypeError, "callback: got Listener"),
    ],
)
def test_a_listener_is_checked_when_it_is_made(
    given: dict[str, Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind) as caught:
        Listener(**{"callback": print, **given})
    assert str(caught.value).startswith(message)


# Asynchronous loggers.


class Told(logging.Handler):
    """Keeps the lines that come to the standard library."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


@pytest.fixture
def stdlib() -> Told:
    told = Told()
    LOGGER.addHandler(told)
    LOGGER.setLevel(logging.DEBUG)
    LOGGER.propagate = False
    return told


async def retried_without_a_warning() -> None:
    transport, _ = resilient(UNAVAILABLE, OK, policy=Policy(retry=STEADY, throttle=None))
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # "never awaited" among them
        await transport.handle_async_request(get())


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
        (logging.WARNING, ["retry_scheduled"]),
    ],
)
async def test_an_async_bound_logger_writes_every_line(
    level: int, names: list[str], stdlib: Told
) -> None:
    structlog.configure(
        processors=[structlog.processors.KeyValueRenderer(key_order=["event"])],
        wrapper_class=structlog.stdlib.AsyncBoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    LOGGER.setLevel(level)
    await retried_without_a_warning()
    assert len(stdlib.lines) == len(names)
    for line, name in zip(stdlib.lines, names, strict=True):
        assert name in line


async def test_a_logger_whose_methods_are_coroutine_functions_is_not_used(stdlib: Told) -> None:
    class Asynchronous(structlog.BoundLoggerBase):
        async def warning(self, event: str, **fields: object) -> None:
            raise AssertionError("never awaited, and so never run")

        info = warning

    structlog.configure(wrapper_class=Asynchronous)
    await retried_without_a_warning()
    assert [line.split()[0] for line in stdlib.lines] == [
        "event=retry_scheduled", "event=recovered",
    ]  # fmt: skip


async def test_a_logger_whose_methods_return_what_is_to_be_awaited_is_not_used(
    stdlib: Told,
) -> None:
    async def write() -> None:
        raise AssertionError("never awaited, and so never run")

    class Later:
        def __await__(self) -> Iterator[None]:
            return iter(())

    class Asynchronous(structlog.BoundLoggerBase):
        def warning(self, event: str, **fields: object) -> Any:
            return write()

        def info(self, event: str, **fields: object) -> Any:
            return Later()

    structlog.configure(wrapper_class=Asynchronous)
    await retried_without_a_warning()
    assert [line.split()[0] for line in stdlib.lines] == [
        "event=retry_scheduled", "event=recovered",
    ]  # fmt: skip


async def test_a_logger_that_has_whatever_it_is_asked_for_is_used_as_it_is() -> None:
    written: list[str] = []

    class Obliging(structlog.BoundLoggerBase):
        def __getattr__(self, name: str) -> Any:
            if name in ("is_enabled_for", "isEnabledFor"):
                raise AttributeError(name)
            return lambda event, **fields: written.append(f"{name} {event}")

    structlog.configure(wrapper_class=Obliging)
    await retried_without_a_warning()
    assert written == ["warning retry_scheduled", "info recovered"]
