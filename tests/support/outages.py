"""Servers in processes of their own, clients that go on calling, and what these leave behind."""

import contextlib
import gc
import os
import signal
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx

from httpx_resilience import AsyncResilientTransport, CallHistory, history_of
from httpx_resilience._core.call_run import CallRun
from httpx_resilience._core.retry.parked_call import ParkedCall
from support.vitals import busy_connections

WORKERS = 20

PAUSE = 0.1
"""Seconds between two calls of a worker: some 200 calls per second, which keep no core busy."""

TIMEOUT = httpx.Timeout(1.0, pool=None)
"""With one connection, calls wait for it; how long says nothing of the server."""


@contextlib.contextmanager
def reserved_port() -> Iterator[int]:
    """Keep a port for servers that come and go: nobody else is given it, nor a connection's end."""
    with socket.socket() as keeper:
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]


class Process:
    """A script of this folder that does something at each line it is given."""

    def __init__(self, script: str, *arguments: object) -> None:
        command = [sys.executable, str(Path(__file__).with_name(script)), *map(str, arguments)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._expect("ready")

    def listen(self) -> None:
        self.go_on()
        self._expect("listening")

    def go_on(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def kill(self) -> None:
        """End it at once, frozen or not."""
        with self._process as process:
            process.kill()

    def _expect(self, line: str) -> None:
        assert self._process.stdout is not None
        said = self._process.stdout.readline()
        assert said == f"{line}\n", f"instead of {line!r}: {said!r}"


@contextlib.contextmanager
def running(script: str, *arguments: object) -> Iterator[Process]:
    """Run a script until the block is left; it is ready to listen."""
    process = Process(script, *arguments)
    try:
        yield process
    finally:
        process.kill()


@dataclass
class Tally:
    """What the calls of a client came to.

    Attributes:
        calls: How many there were.
        hit: Of how many the first attempt failed.
        attempts: How many those made.
        lost: How the calls ended that got no response.
        torn: Of how many the connection broke while the caller read the response's body, which
            nothing behind a transport can ask for again. Over HTTP/2 httpx sends something for
            each piece of a body, and raises what becomes of that, though all of it is there.
        longest: Seconds that a call took at most.
    """

    calls: int = 0
    hit: int = 0
    attempts: int = 0
    lost: Counter[str] = field(default_factory=Counter)
    torn: int = 0
    longest: float = 0.0

    def count(self, history: CallHistory) -> None:
        """Count a call that ended."""
        attempts = history.attempts
        self.calls += 1
        if attempts[0].status != 200:
            self.hit += 1
            self.attempts += len(attempts)
        if attempts[-1].status != 200:
            self.lost[f"{attempts[-1].exception_type}, {history.reason}"] += 1


class Client:
    """Workers, each of which sends one call after the other through one transport.

    Args:
        url: Where to.
        connections: How many its pool has.
        http2: Over HTTP/2, with prior knowledge.
    """

    def __init__(self, url: str, connections: int, *, http2: bool) -> None:
        limits = httpx.Limits(max_connections=connections)
        self.connections = connections
        self.inner = httpx.AsyncHTTPTransport(http1=not http2, http2=http2, limits=limits)
        self.transport = AsyncResilientTransport(self.inner)
        self.client = httpx.AsyncClient(transport=self.transport, timeout=TIMEOUT)
        self.tally = Tally()
        self._url = url

    async def work(self, stop: anyio.Event) -> None:
        """Call until told to stop, and wait for what is under way."""
        async with anyio.create_task_group() as group:
            for index in range(WORKERS):
                group.start_soon(self._work, stop, PAUSE * index / WORKERS)

    async def _work(self, stop: anyio.Event, delay: float) -> None:
        await anyio.sleep(delay)
        while not stop.is_set():
            began = anyio.current_time()
            history = history_of(await self._call())
            assert history is not None
            self.tally.count(history)
            self.tally.longest = max(self.tally.longest, anyio.current_time() - began)
            await anyio.sleep(PAUSE)

    async def _call(self) -> httpx.Response | httpx.TransportError:
        request = self.client.build_request("GET", self._url)
        try:
            response = await self.client.send(request, stream=True)
        except httpx.TransportError as error:
            return error
        try:
            await response.aread()
        except httpx.TransportError:
            self.tally.torn += 1
        return response

    def leftovers(self) -> dict[str, object]:
        """Return what is left of calls that have all ended, by what it is; empty if nothing is."""
        registry = self.transport._calls.registry
        parkings = list(registry._parkings.values())
        rows = self.transport.rate_limits()
        left = {
            "busy connections": busy_connections(self.inner),
            "too many connections": len(self.inner._pool.connections) > self.connections,
            "calls under way": registry.under_way,
            "calls that wait": len(registry.waiting),
            "parked": sum(map(len, parkings)),
            "ends of patience": sum(len(each._ends) for each in parkings),
            "probes": sum(each._probe is not None for each in parkings),
            "keepers of the time": sum(each._timer_call is not None for each in parkings),
            "in the throttle": [row for row in rows if row.in_flight or row.queued],
        }
        return {what: much for what, much in left.items() if much}


def open_files() -> int:
    """Return how many files and sockets this process has open."""
    return len(os.listdir("/dev/fd"))


def allocated() -> int:
    """Return how many blocks of memory are in use, once the garbage is collected."""
    gc.collect()
    return sys.getallocatedblocks()


def live_calls() -> Counter[str]:
    """Return what is in memory of calls, once the garbage is collected."""
    gc.collect()
    kinds = (CallRun, ParkedCall, httpx.Request, httpx.Response)
    return Counter(type(each).__name__ for each in gc.get_objects() if isinstance(each, kinds))
