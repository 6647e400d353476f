"""Ctrl-C in a synchronous program: whenever it comes, the call leaves nothing behind."""

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from httpx_resilience import ResilientTransport
from httpx_resilience._exchange import threaded
from httpx_resilience._runtime import threads
from support.interrupts import SPEED, FastRuntime, Interrupter

URL = "https://vault.example/v1/secrets/app/db"

LIMIT = {"RateLimit-Limit": "10", "RateLimit-Reset": "1"}
SPENT = httpx.Headers({**LIMIT, "RateLimit-Remaining": "0"})
UNAVAILABLE = b'{"error": {"code": "service_unavailable", "message": "words"}}'

SCRIPTS: dict[str, list[Any]] = {
    "success": [200],
    "retry": [503, 200],
    "lost connection": [httpx.ReadError("lost"), 200],
    "throttle": [SPENT, 200],
    "parking": [503, 503, 503, 200],
}
"""What each attempt comes to: a status, an exception, or a 200 with these headers."""

SOME = 61
"""Every so many-th point is tried by default: together some second."""


class Body(httpx.SyncByteStream):
    def __init__(self, text: bytes) -> None:
        self._text = text
        self.is_closed = False

    def __iter__(self) -> Iterator[bytes]:
        yield self._text

    def close(self) -> None:
        self.is_closed = True


class Scripted(httpx.BaseTransport):
    """Answers attempt n with line n of its script; the last line again for all that follow."""

    def __init__(self, script: list[Any]) -> None:
        self.script = script
        self.bodies: list[Body] = []
        self.requests: list[httpx.Request] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        line = self.script[min(len(self.requests), len(self.script) - 1)]
        self.requests.append(request)
        if isinstance(line, Exception):
            raise line
        if callable(line):
            line()
        status = line if isinstance(line, int) else 200
        headers = line if isinstance(line, httpx.Headers) else None
        self.bodies.append(body := Body(UNAVAILABLE if status >= 400 else b"{}"))
        return httpx.Response(status, headers=headers, stream=body)


class Program:
    """A transport in a process whose clock is fast."""

    def __init__(self, script: list[Any], speed: float = SPEED) -> None:
        self.inner = Scripted(script)
        self.transport = ResilientTransport(self.inner)
        self.runtime = FastRuntime(speed)
        self.transport._calls._bound = self.transport._runtime = self.runtime

    def call(self) -> int:
        response = self.transport.handle_request(httpx.Request("GET", URL))
        response.close()
        return response.status_code

    def leftovers(self) -> dict[str, object]:
        """Return what is left of calls that have ended, by what it is; empty if nothing is."""
        registry = self.transport._calls.registry
        parkings = list(registry._parkings.values())
        rows = self.transport.rate_limits()
        handler, put_off = signal.getsignal(signal.SIGINT), list(threads._interrupts)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        threads._interrupts.clear()
        left = {
            "calls under way": registry.under_way,
            "calls that wait": registry.waiting,
            "in the throttle": [row for row in rows if row.in_flight or row.queued],
            "parked": [each for each in parkings if len(each) or each._ends],
            "probes": [each for each in parkings if each._probe or each._timer_call],
            "open bodies": [body for body in self.inner.bodies if not body.is_closed],
            "another handler": handler is not signal.default_int_handler,
            "put off": put_off,
        }
        return {what: much for what, much in left.items() if much}


@pytest.fixture(autouse=True)
def ctrl_c() -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt, as in a program."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt_everywhere(begin: Callable[[], Program], every: int) -> None:
    """Interrupt a call at one point after the other; look at what each leaves."""
    at = 0
    while True:
        program, interrupter = begin(), Interrupter(at)
        try:
            with interrupter.watching():
                program.call()
        except KeyboardInterrupt:
            assert interrupter.where is not None, "an interrupt that nobody sent"
        else:
            assert interrupter.where is None, f"{interrupter.where}: it was lost"
        assert program.leftovers() == {}, interrupter.where
        program.inner.script = [200]
        assert program.call() == 200, interrupter.where
        if interrupter.where is None:
            assert at > 100
            return
        at += every


def begin(name: str) -> Program:
    program = Program(SCRIPTS[name])
    if name == "throttle":
        program.call()  # which learns that nothing is left
    return program


@pytest.mark.parametrize("name", SCRIPTS)
def test_ctrl_c_at_many_points_of_a_call_leaves_nothing_behind(name: str) -> None:
    interrupt_everywhere(lambda: begin(name), SOME)


@pytest.mark.long
@pytest.mark.parametrize("name", SCRIPTS)
def test_ctrl_c_at_any_point_of_a_call_leaves_nothing_behind(name: str) -> None:
    interrupt_everywhere(lambda: begin(name), 3 if name == "parking" else 1)


class CallBehind:
    """A call of another thread, which begins once the first one waits in the queue."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._is_over = threading.Event()
        self.status: int | None = None
        self._thread = threading.Thread(target=self._call, daemon=True)
        self._thread.start()

    def _call(self) -> None:
        while not any(row.queued for row in self._program.transport.rate_limits()):
            if self._is_over.wait(0.0005):
                return
        self.status = 0
        self.status = self._program.call()

    def ended(self) -> bool:
        self._is_over.set()
        self._thread.join(2.0)
        return not self._thread.is_alive()


@pytest.mark.parametrize("every", [SOME, pytest.param(3, marks=pytest.mark.long)])
def test_a_call_behind_one_that_was_interrupted_is_woken(
    every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first keeps the time for both; the second never looks for itself."""
    monkeypatch.setattr(threaded, "SLICE", 1e9)
    statuses, at, where = [], 0, ""
    while where is not None:
        program, interrupter = Program(SCRIPTS["throttle"], speed=50.0), Interrupter(at)
        program.call()  # which learns that nothing is left
        behind = CallBehind(program)
        with contextlib.suppress(KeyboardInterrupt), interrupter.watching():
            program.call()
        where, at = interrupter.where, at + every
        assert behind.ended(), f"{where}: the call behind was forgotten"
        statuses.append(behind.status)
        assert program.leftovers() == {}, where
    assert statuses.count(200) > len(statuses) / 4
    assert set(statuses) <= {200, None}
