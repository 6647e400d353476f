"""Ctrl-C in a synchronous program: whenever it comes, the call leaves nothing behind."""

import contextlib
import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

from httpx_resilience import RefreshToken, ResilientTransport
from httpx_resilience._exchange import threaded
from httpx_resilience._runtime import threads
from support.interrupts import SPEED, FastRuntime, Interrupter
from support.loopback import Loopback

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
        calls: Any = self.transport._calls
        calls._bound = self.transport._runtime = self.runtime

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
            assert at > 50  # there are fewer from Python 3.12 on
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


def test_ctrl_c_in_a_wait_for_the_rate_limit_leaves_nothing_behind() -> None:
    program = Program([SPENT, 200], speed=1.0)
    program.call()
    interrupt_when(program, lambda: len(program.transport._calls.registry.waiting) == 1)


def test_ctrl_c_in_a_backoff_leaves_nothing_behind() -> None:
    program = Program([503, 200], speed=1.0)
    interrupt_when(program, lambda: len(program.transport._calls.registry.waiting) == 1)


def test_ctrl_c_while_the_request_is_sent_leaves_nothing_behind() -> None:
    sending = threading.Event()

    def send() -> None:
        sending.set()
        threading.Event().wait(5.0)

    interrupt_when(Program([send, 200], speed=1.0), sending.is_set)


def test_ctrl_c_before_a_retry_gives_back_what_it_would_have_cost() -> None:
    program = Program([429, lambda: signal.raise_signal(signal.SIGINT), 200])
    with pytest.raises(KeyboardInterrupt):
        program.call()
    assert program.leftovers() == {}
    (origin,) = program.transport.origins()
    assert origin.budget == 3.0


def interrupt_when(program: Program, is_there: Callable[[], bool]) -> None:
    """Send SIGINT once a call is there; look at what it leaves."""

    def send() -> None:
        while not is_there():
            time.sleep(0.001)
        time.sleep(0.01)  # until it waits
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        program.call()
    assert time.monotonic() - began < 0.9, "it was noticed with the wait's end only"
    assert program.leftovers() == {}
    program.transport._calls.start_afresh()
    program.inner.script = [200]
    assert program.call() == 200


@pytest.mark.parametrize("every", [SOME, pytest.param(1, marks=pytest.mark.long)])
def test_ctrl_c_at_many_points_of_a_token_renewal_keeps_nobody_waiting(every: int) -> None:
    where: str | None = ""
    at = 0
    while where is not None:
        auth = RefreshToken(lambda: ("token", 60.0), origins=["https://vault.example"])
        inner = Scripted([200])
        with httpx.Client(transport=inner, auth=auth) as client:
            interrupter = Interrupter(at)
            with contextlib.suppress(KeyboardInterrupt), interrupter.watching():
                client.get(URL)
            where, at = interrupter.where, at + every
            assert not auth._flight.is_under_way, where
            assert client.get(URL).status_code == 200, where
            assert inner.requests[-1].headers["Authorization"] == "Bearer token", where


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
    statuses: list[int | None] = []
    where: str | None = ""
    at = 0
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


class Server:
    """Answers as its paths say; each answer of the second one spends its limit."""

    def __init__(self, chance: random.Random, extra: bytes = b"") -> None:
        self._chance = chance
        self._extra = extra

    def serve(self, connection: socket.socket) -> None:
        received = b""
        while True:
            while b"\r\n\r\n" not in received:
                more = connection.recv(65_536)
                if not more:
                    return
                received += more
            head, _, received = received.partition(b"\r\n\r\n")
            path, status = head.split()[1], b"200 OK"
            if path == b"/slow":
                time.sleep(0.005)
            if path == b"/flaky" and self._chance.random() < 0.4:
                status = b"503 Service Unavailable"
            headers = self._extra + b"Content-Length: 2\r\n\r\n"
            connection.sendall(b"HTTP/1.1 " + status + b"\r\n" + headers + b"{}")


class Found(NamedTuple):
    """What a program said at its end; see ``interrupted_program.py``."""

    problems: list[str]
    kept: dict[str, int]
    places: dict[str, int]


PROGRAM = Path(__file__).parents[1] / "support" / "interrupted_program.py"
SPENDS = b"RateLimit-Limit: 1\r\nRateLimit-Remaining: 0\r\nRateLimit-Reset: 1\r\n"

LOST_AFTER = 3.0
"""Seconds after which a signal is sent again. Once in some thousand times its KeyboardInterrupt is
dropped by Python or httpcore: seen where a ``threading.Event`` is made for httpcore's queue."""

HANGS_AFTER = 25.0
"""Seconds until a program that should have ended is made to say where it stands, and killed."""


def interrupted_program(library: str, signals: int, workers: int, seed: int) -> Found:
    """Send signals to a program, each at a random moment within some milliseconds."""
    chance = random.Random(seed)
    server, limited = Server(chance), Server(chance, SPENDS)
    with Loopback(server.serve).running() as url, Loopback(limited.serve).running() as other:
        arguments = [library, str(signals), str(workers), url, other]
        command = [sys.executable, "-X", "faulthandler", str(PROGRAM), *arguments]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            watchdog = threading.Timer(HANGS_AFTER, process.send_signal, [signal.SIGABRT])
            watchdog.start()
            errors: list[str] = []
            assert process.stdout is not None
            assert process.stderr is not None
            reader = threading.Thread(target=errors.extend, args=[process.stderr])
            reader.start()
            last, again = "", threading.Timer(0.0, int)
            for line in process.stdout:
                again.cancel()
                last = line
                if line == "armed\n":
                    time.sleep(0.008 * chance.random() ** 2)
                    process.send_signal(signal.SIGINT)
                    again = threading.Timer(LOST_AFTER, process.send_signal, [signal.SIGINT])
                    again.start()
            again.cancel()
            watchdog.cancel()
            reader.join()
        said = "".join(line for line in errors if not line.startswith("event="))
        assert process.returncode == 0, f"seed {seed}: {said}"
        return Found(*json.loads(last))


@pytest.mark.parametrize(
    ("library", "signals", "workers"),
    [
        ("httpx", 40, 2),
        *(
            pytest.param(library, 200, workers, marks=pytest.mark.long)
            for library in ("httpx", "httpx2")
            for workers in (0, 3)
        ),
    ],
)
def test_a_program_that_gets_sigint_at_random_moments_goes_on(
    library: str, signals: int, workers: int
) -> None:
    """Connections that httpx and httpcore lose in their own lines are counted, and no more.

    They are not safe from Ctrl-C between two lines of theirs, wrapped or bare: some in a hundred.
    """
    found = interrupted_program(library, signals, workers, seed=workers)
    assert found.problems == []
    assert sum(found.places.values()) == signals
    assert {"_wait", "httpcore"} <= set(found.places), found.places
    assert sum(found.kept.values()) <= signals / 10, found.kept
    assert "httpx_resilience" not in found.kept
    assert "the program" not in found.kept
