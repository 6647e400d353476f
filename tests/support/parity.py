"""One script of outcomes, played with any library and kind of client, in virtual time."""

import importlib
import random
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType, SimpleNamespace
from typing import Any, NamedTuple

import anyio
import pytest

from httpx_resilience import SCAIVAULT, Dialect, Level, Listener, Policy, history_of
from httpx_resilience._runtime import threads
from support import virtual
from support.scripted import URL, Reply

LIBRARIES = ("httpx", "httpx2")
KINDS = ("asyncio", "trio", "threads")
UNLIKE = ("call_id", "timestamp")
"""Fields of an event that differ from run to run."""

Script = Sequence[Reply | str]
"""Responses, and names of the library's exceptions."""


class Play(NamedTuple):
    """What is played.

    Attributes:
        script: What the server does, attempt by attempt; the last line again for all that follow.
        calls: Method and path of each call, one after the other.
        policy: Of the transport.
        hooks: From error code to what a hook does with the request: it returns the path to send
            it to, or None.
        extensions: Of each request.
        dialect: Of the API.
    """

    script: Script
    calls: Sequence[tuple[str, str]] = (("GET", "/v1/secrets/app/db"),)
    policy: Policy = Policy()
    hooks: Mapping[str, str | None] = {}
    extensions: Mapping[str, Any] = {}
    dialect: Dialect = SCAIVAULT


class Told(NamedTuple):
    """What came of it: the events of all calls, and how each ended."""

    events: list[tuple[str, dict[str, Any]]]
    ends: list[str]
    gaps: list[float]


def door_of(library: str) -> ModuleType:
    """Return the package's door for a library."""
    return importlib.import_module(
        "httpx_resilience" if library == "httpx" else f"httpx_resilience.{library}"
    )


class _Stage:
    """What an inner transport of any kind has to know."""

    def __init__(self, library: ModuleType, play: Play, clock: Callable[[], float]) -> None:
        self.library = library
        self.play = play
        self.clock = clock
        self.sent_at: list[float] = []

    def line(self) -> Reply:
        script = self.play.script
        line = script[min(len(self.sent_at), len(script) - 1)]
        self.sent_at.append(self.clock())
        if isinstance(line, str):
            raise getattr(self.library, line)("x")
        return line


def _inner(library: ModuleType, play: Play, clock: Any) -> tuple[Any, _Stage]:
    stage = _Stage(library, play, clock)

    def answer(request: Any) -> Any:
        line = stage.line()
        if line.takes:
            clock.sleep(line.takes)
        return library.Response(line.status, headers=list(line.headers), content=line.chunks[0])

    async def answer_later(request: Any) -> Any:
        line = stage.line()
        if line.takes:
            await anyio.sleep(line.takes)
        return library.Response(line.status, headers=list(line.headers), content=line.chunks[0])

    handler = answer if hasattr(clock, "sleep") else answer_later
    return library.MockTransport(handler), stage


class _Clock:
    """Seconds that pass only where somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


def play(
    library: str, kind: str, what: Play, monkeypatch: pytest.MonkeyPatch, *also: Listener
) -> Told:
    """Play a script, with more listeners than its own; return what came of it."""
    random.seed(5)
    run = _in_threads if kind == "threads" else _in_a_loop
    return run(importlib.import_module(library), kind, what, monkeypatch, also)


def _in_a_loop(
    library: ModuleType, kind: str, what: Play, _: pytest.MonkeyPatch, also: Sequence[Listener]
) -> Told:
    events: list[Any] = []
    ends: list[str] = []
    inner, stage = _inner(library, what, anyio.current_time)

    async def main() -> None:
        hooks = {code: _later(_hook(library, path)) for code, path in what.hooks.items()}
        transport = door_of(library.__name__).AsyncResilientTransport(
            inner,
            dialect=what.dialect,
            policy=what.policy,
            recover=hooks,
            on_event=[Listener(events.append, level="debug"), *also],
        )
        async with library.AsyncClient(transport=transport, base_url="https://vault.example") as c:
            for method, path in what.calls:
                request = c.build_request(method, path, extensions=dict(what.extensions))
                try:
                    ends.append(_end(await c.send(request)))
                except Exception as error:  # noqa: BLE001 - how it ended
                    ends.append(_end(error))

    virtual.run(kind, main)
    return _told(events, ends, stage)


def _in_threads(
    library: ModuleType,
    _: str,
    what: Play,
    monkeypatch: pytest.MonkeyPatch,
    also: Sequence[Listener],
) -> Told:
    events: list[Any] = []
    ends: list[str] = []
    clock = _Clock()

    def wait(self: threads.Runtime, waiter: Any, until: float) -> bool:
        if not waiter.is_set():
            clock.now = max(until, clock.now)
        return bool(waiter.is_set())

    monkeypatch.setattr(threads, "time", SimpleNamespace(monotonic=clock))
    monkeypatch.setattr(threads.Runtime, "wait", wait)
    inner, stage = _inner(library, what, clock)
    hooks = {code: _hook(library, path) for code, path in what.hooks.items()}
    transport = door_of(library.__name__).ResilientTransport(
        inner,
        dialect=what.dialect,
        policy=what.policy,
        recover=hooks,
        on_event=[Listener(events.append, level=Level.DEBUG), *also],
    )
    with library.Client(transport=transport, base_url="https://vault.example") as client:
        for method, path in what.calls:
            request = client.build_request(method, path, extensions=dict(what.extensions))
            try:
                ends.append(_end(client.send(request)))
            except Exception as error:  # noqa: BLE001 - how it ended
                ends.append(_end(error))
    return _told(events, ends, stage)


def _hook(library: ModuleType, path: str | None) -> Callable[[Any, Any], Any]:
    def hook(failed: Any, request: Any) -> Any:
        return path and library.Request(request.method, request.url.join(path))

    return hook


def _later(hook: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    async def later(failed: Any, request: Any) -> Any:
        return hook(failed, request)

    return later


def _end(source: Any) -> str:
    history = history_of(source)
    said = getattr(source, "status_code", type(source).__name__)
    attempts = [] if history is None else [(a.status, a.code, a.delay) for a in history.attempts]
    return f"{said} {history and history.reason} {attempts}"


def _told(events: list[Any], ends: list[str], stage: _Stage) -> Told:
    fields = [(e.name, {k: v for k, v in e.as_fields().items() if k not in UNLIKE}) for e in events]
    pairs = zip(stage.sent_at, stage.sent_at[1:], strict=False)
    return Told(fields, ends, [round(later - earlier, 5) for earlier, later in pairs])


__all__ = ["KINDS", "LIBRARIES", "URL", "Play", "Told", "door_of", "play"]
