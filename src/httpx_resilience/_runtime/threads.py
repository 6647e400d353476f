"""Threads, as the drivers use them: their clock, what ends a wait, and what nothing interrupts.

What calls share is changed by one thread at a time, under the ``Runtime``'s lock. A thread that
waits is woken by another; besides, it looks for itself once a second, for a lock's wait does not
notice Ctrl-C on Windows.
"""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any, cast

SLICE = 1.0
"""Seconds that a thread waits at most before it looks."""

_HELD = 0.05
"""Seconds that Ctrl-C is put off at most while a thread waits for a ``Flight``."""

Handler = Callable[[int, FrameType | None], Any]


class _Process:
    """One process: in the child of a fork there is another.

    Attributes:
        lock: For what begins anew there.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()


_process = _Process()


def process() -> _Process:
    """Return the process that runs: its lock is for what begins anew in the child of a fork."""
    return _process


def running_loop() -> object:
    """Return a token of the process, unlike that of a child of a fork."""
    return _process


class Runtime:
    """The threads of one process, as the drivers use them.

    Attributes:
        loop: A token of the process.
        now: Returns monotonic seconds.
        lock: Held while the core decides.
    """

    __slots__ = ("lock", "loop", "now")

    def __init__(self) -> None:
        self.loop = _process
        self.now: Callable[[], float] = time.monotonic
        self.lock = threading.RLock()

    @property
    def is_running(self) -> bool:
        """Whether this is the process that it was made in."""
        return self.loop is _process

    def waiter(self) -> threading.Event:
        """Return something to wait for until somebody notifies it."""
        return threading.Event()

    def wait(self, waiter: threading.Event, until: float) -> bool:
        """Wait until somebody notifies a waiter, or until a time; return whether somebody did."""
        while not waiter.is_set():
            left = until - self.now()
            if left <= 0:
                return False
            waiter.wait(min(left, SLICE))
        return True


def notify(waiter: threading.Event) -> None:
    """End the wait for a waiter; one that was notified already, or gave up, is left alone."""
    waiter.set()


# Python raises KeyboardInterrupt anywhere in the main thread, also in the middle of what the core
# decides, which would leave a place in a queue taken for ever. So while it decides, what Ctrl-C
# does is put off, for some microseconds.

_main = threading.main_thread().ident
_set: Any = getattr(signal.signal, "__wrapped__", signal.signal)  # without its enums: 0.2 µs
_get: Any = getattr(signal.getsignal, "__wrapped__", signal.getsignal)
_interrupts: list[FrameType | None] = []
_held: list[Any] = [None]  # what Ctrl-C does, while or after it is put off


def _put_off(_: int, frame: FrameType | None) -> None:
    _interrupts.append(frame)


def hold_interrupts() -> Handler | None:
    """Put off what Ctrl-C does in this thread; return what it did, or None if it does nothing."""
    if threading.get_ident() != _main:
        return None
    handler: Any = _get(signal.SIGINT)
    if not callable(handler) or handler is _put_off:
        return None
    _held[0] = taken = cast("Handler", handler)
    try:
        _set(signal.SIGINT, _put_off)
    except ValueError:  # another interpreter's main thread, which no signal reaches
        return None
    except BaseException:  # another signal's handler raised: an alarm's, say
        _set(signal.SIGINT, handler)
        raise
    return taken


def release_interrupts(handler: Handler) -> None:
    """Let Ctrl-C do again what it did, and do it now if it was put off."""
    try:
        _set(signal.SIGINT, handler)
    except BaseException:  # as above: it raised before this was done
        _set(signal.SIGINT, handler)
        raise
    if _interrupts:
        frame = _interrupts[-1]
        _interrupts.clear()
        handler(signal.SIGINT, frame)


class uninterrupted:  # noqa: N801 - a context manager, as contextlib's
    """A block that Ctrl-C does not interrupt: what it does comes after the block."""

    __slots__ = ("_handler",)

    def __enter__(self) -> None:
        self._handler = hold_interrupts()

    def __exit__(self, *_: object) -> None:
        if self._handler is not None:
            release_interrupts(self._handler)


class Flight:
    """What one thread does for all that want it done.

    >>> flight = Flight()
    >>> flight.take(1.0), flight.is_under_way
    (True, True)
    >>> flight.land()

    Attributes:
        land: Ends it. Written in C: in a ``finally``, Ctrl-C cannot come before it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.land = self._lock.release

    @property
    def is_under_way(self) -> bool:
        """Whether some thread is at it."""
        return self._lock.locked()

    def take(self, seconds: float) -> bool:
        """Wait until no other thread is at it; return whether that came in time."""
        until = time.monotonic() + seconds
        while not self._taken(max(0.0, min(_HELD, until - time.monotonic()))):
            if time.monotonic() >= until:
                return False
        return True

    def _taken(self, seconds: float) -> bool:
        handler, is_mine = hold_interrupts(), False
        try:
            is_mine = self._lock.acquire(timeout=seconds)
        finally:
            if handler is not None:
                try:
                    release_interrupts(handler)
                except BaseException:
                    if is_mine:
                        self.land()
                    raise
        return is_mine


def _in_child() -> None:
    global _process, _main
    _process, _main = _Process(), threading.main_thread().ident
    _interrupts.clear()
    if _get(signal.SIGINT) is _put_off:  # another thread forked while the main thread put it off
        _set(signal.SIGINT, _held[0])


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_in_child)
