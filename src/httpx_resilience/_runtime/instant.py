"""Waits that take no time, for tests: while a block says so, the clocks of transports jump.

A clock is the real one and an offset. Whoever waits for a time joins a queue; once everybody else
has had a chance to run, the clock jumps to the earliest time in it. So what waits ends in the order
of its times, and what is awaited in between, such as an answer from a server in the same process,
takes what it takes.
"""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

ROUNDS = 6
"""How often others may run before the clock jumps: as often as an in-process answer needs."""

_SLICE = 0.0005
"""Seconds between looks of a thread that waits."""


class Jumps:
    """A clock that jumps, and what waits for it.

    Attributes:
        offset: Seconds that it is ahead of the real one.
        records: Called with the seconds of each wait as it begins.
    """

    def __init__(self) -> None:
        self.offset = 0.0
        self.records: list[Callable[[float], None]] = []
        self._queue: list[tuple[float, int]] = []
        self._numbers = itertools.count()
        self._lock = threading.Lock()

    def join(self, until: float, now: float) -> tuple[float, int]:
        """Wait for a time; return a ticket."""
        ticket = (until, next(self._numbers))
        with self._lock:
            heapq.heappush(self._queue, ticket)
        for record in self.records:
            record(max(0.0, until - now))
        return ticket

    def leave(self, ticket: tuple[float, int]) -> None:
        """Wait no longer."""
        with self._lock:
            self._queue.remove(ticket)
            heapq.heapify(self._queue)

    def is_first(self, ticket: tuple[float, int]) -> bool:
        """Return whether nobody waits for an earlier time."""
        return self._queue[0] == ticket

    def jump(self, seconds: float) -> None:
        """Be so much later, if that is later."""
        with self._lock:
            self.offset += max(0.0, seconds)


current: Jumps | None = None
"""The clock that jumps, while a block says so."""

_last = Jumps()
"""What it was last: a clock that has jumped never goes back, or held calls would be held longer."""

_runtimes: "WeakSet[Any]" = WeakSet()
_blocks = 0
_guard = threading.Lock()


def know(runtime: Any) -> None:
    """Remember a runtime of either kind; if a block is active, its clock jumps from now on."""
    _runtimes.add(runtime)
    if current is not None:
        _follow(runtime, current)


def _follow(runtime: Any, jumps: Jumps) -> None:
    if runtime.jumps is jumps:
        return
    runtime.jumps, real = jumps, runtime.now
    runtime.now = lambda: real() + jumps.offset
    scope = getattr(runtime, "scope", None)
    if scope is not None:
        runtime.scope = lambda *, deadline: scope(deadline=deadline - jumps.offset)


@contextmanager
def instant(record: Callable[[float], None]) -> Iterator[None]:
    """Let waits of transports take no time."""
    global current, _blocks  # noqa: PLW0603 - a test's clock is everybody's, its threads' too
    with _guard:
        _blocks += 1
        current = _last
        _last.records.append(record)
        for runtime in tuple(_runtimes):
            _follow(runtime, _last)
    try:
        yield
    finally:
        with _guard:
            _last.records.remove(record)
            _blocks -= 1
            if not _blocks:
                current = None


def monotonic() -> float:
    """Return ``time.monotonic``, and what was jumped."""
    return time.monotonic() + _last.offset


def wall() -> float:
    """Return ``time.time``, and what was jumped."""
    return time.time() + _last.offset


async def rest(
    jumps: Jumps,
    until: float,
    now: Callable[[], float],
    is_woken: Callable[[], bool],
    pause: Callable[[], Any],
) -> bool:
    """Wait until a time, or until somebody wakes the call; return whether somebody did."""
    ticket, quiet = jumps.join(until, now()), 0
    try:
        while not is_woken():
            if (left := until - now()) <= 0:
                return False
            await pause()
            quiet = quiet + 1 if jumps.is_first(ticket) else 0
            if quiet >= ROUNDS:
                jumps.jump(left)
        return True
    finally:
        jumps.leave(ticket)


def wait(jumps: Jumps, until: float, now: Callable[[], float], waiter: threading.Event) -> bool:
    """Do what ``rest`` does, in a thread."""
    ticket, quiet = jumps.join(until, now()), 0
    try:
        while not waiter.is_set():
            if (left := until - now()) <= 0:
                return False
            waiter.wait(_SLICE)
            quiet = quiet + 1 if jumps.is_first(ticket) else 0
            if quiet >= ROUNDS:
                jumps.jump(left)
        return True
    finally:
        jumps.leave(ticket)
