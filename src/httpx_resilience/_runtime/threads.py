"""Threads, as the drivers use them: their clock, what ends a wait, and what nothing interrupts.

What calls share is changed by one thread at a time, under the ``Runtime``'s lock. A thread that
waits is woken by another; besides, it looks for itself once a second, for a lock's wait does not
notice Ctrl-C on Windows.
"""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

from . import instant

SLICE = 1.0
"""Seconds that a thread waits at most before it looks."""

_HELD = 0.05
"""Seconds that Ctrl-C is put off at most while a thread waits for a ``Flight``."""


class _Process:
    """One process: in the child of a fork there is another.

    Attributes:
        lock: Held while a transport starts afresh.
    """

    def __init__(self) -> None:
        self.lock = threading.Lock()


_process = _Process()


def process() -> _Process:
    """Return the process that runs: its lock is held while a transport starts afresh."""
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

    __slots__ = ("__weakref__", "jumps", "lock", "loop", "now")

    def __init__(self) -> None:
        self.loop = _process
        self.now: Callable[[], float] = time.monotonic
        self.lock = threading.RLock()
        self.jumps: instant.Jumps | None = None
        instant.know(self)

    @property
    def is_running(self) -> bool:
        """Whether this is the process that it was made in."""
        return self.loop is _process

    def waiter(self) -> threading.Event:
        """Return something to wait for until somebody notifies it."""
        return threading.Event()

    def wait(self, waiter: threading.Event, until: float) -> bool:
        """Wait until somebody notifies a waiter, or until a time; return whether somebody did."""
        if instant.current is not None and self.jumps is not None:
            return instant.wait(self.jumps, until, self.now, waiter)
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

_main: int | None = threading.main_thread().ident
_get_ident = threading.get_ident
_SIGINT = int(signal.SIGINT)
_bare: Any = sys.modules.get("_signal", signal)  # without enums, which take ten times as long
_set, _get = _bare.signal, _bare.getsignal
if signal.getsignal(_SIGINT) is None:  # whoever embeds Python handles it: it cannot be put back
    _main = None
_interrupts: list[FrameType | None] = []
_held: list[Any] = [_get(_SIGINT)]  # what Ctrl-C does but while it is put off


def _put_off(_: int, frame: FrameType | None) -> None:
    _interrupts.append(frame)


def hold_interrupts() -> Any:
    """Put off what Ctrl-C does in this thread; return what that was, or None: nothing is."""
    if _get_ident() != _main:
        return None
    try:
        handler = _set(_SIGINT, _put_off)
        if handler is not _put_off:
            _held[0] = handler
    except ValueError:  # another interpreter's main thread, which no signal reaches
        return None
    except BaseException:  # another signal's handler raised, before this was done or after
        _restore()
        raise
    return handler


def release_interrupts(handler: Any) -> None:
    """Let Ctrl-C do again what it did, and do it now if it was put off."""
    try:
        _set(_SIGINT, handler)
    except BaseException:  # as above
        _set(_SIGINT, handler)
        raise
    if _interrupts and handler is not _put_off:  # else we are within another such section
        frame = _interrupts[-1]
        _interrupts.clear()
        if callable(handler):
            handler(_SIGINT, frame)
        elif handler == signal.SIG_DFL:
            signal.raise_signal(_SIGINT)


def _restore() -> None:
    """Let Ctrl-C do again what it did, where nobody will."""
    if _get(_SIGINT) is _put_off:
        _set(_SIGINT, _held[0])


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
    global _process, _main  # noqa: PLW0603 - a child is another process, with one thread
    _process = _Process()
    _interrupts.clear()
    if _main is not None:
        _main = threading.main_thread().ident
        _restore()  # another thread forked while the main thread put it off


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_in_child)
