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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SLICE = 1.0
"""Seconds that a thread waits at most before it looks."""


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


class Flight:
    """What one thread does for all that want it done.

    >>> flight = Flight()
    >>> with flight.joined(1.0) as is_mine:
    ...     is_mine, flight.is_under_way
    (True, True)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()

    @property
    def is_under_way(self) -> bool:
        """Whether some thread is at it."""
        return self._lock.locked()

    @contextmanager
    def joined(self, seconds: float) -> Iterator[bool]:
        """Wait until no other thread is at it; the value is whether that came in time."""
        until = time.monotonic() + seconds
        while not self._lock.acquire(timeout=max(0.0, min(SLICE, until - time.monotonic()))):
            if time.monotonic() >= until:
                yield False
                return
        try:
            yield True
        finally:
            self._lock.release()


# Python raises KeyboardInterrupt anywhere in the main thread, also in the middle of what the core
# decides, which would leave a place in a queue taken for ever. So while it decides, what Ctrl-C
# does is put off, for some microseconds.

_main: int | None = threading.main_thread().ident
_get_ident = threading.get_ident
_SIGINT = int(signal.SIGINT)
_bare: Any = sys.modules.get("_signal", signal)  # without enums, which take ten times as long
_set = _bare.signal
if signal.getsignal(_SIGINT) is None:  # whoever embeds Python handles it: it cannot be put back
    _main = None
_interrupts: list[FrameType | None] = []


def _put_off(_: int, frame: FrameType | None) -> None:
    _interrupts.append(frame)


def hold_interrupts() -> Any:
    """Put off what Ctrl-C does in this thread; return what that was, or None: nothing is."""
    if _get_ident() != _main:
        return None
    try:
        return _set(_SIGINT, _put_off)
    except ValueError:  # another interpreter's main thread, which no signal reaches
        return None


def release_interrupts(handler: Any) -> None:
    """Let Ctrl-C do again what it did, and do it now if it was put off."""
    _set(_SIGINT, handler)
    if _interrupts and handler is not _put_off:  # else we are within another such section
        frame = _interrupts[-1]
        _interrupts.clear()
        if callable(handler):
            handler(_SIGINT, frame)
        elif handler == signal.SIG_DFL:
            signal.raise_signal(_SIGINT)


def _in_child() -> None:
    global _process, _main  # noqa: PLW0603 - a child is another process, with one thread
    _process = _Process()
    if _main is not None:
        _main = threading.main_thread().ident


if hasattr(os, "register_at_fork"):  # not on Windows, which has no fork
    os.register_at_fork(after_in_child=_in_child)
