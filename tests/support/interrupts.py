"""Ctrl-C at chosen moments: at every point at which Python may let a signal in, one by one.

Python runs a signal's handler between two instructions: where a function begins, where a loop goes
round, and after a call of what is written in C. ``Interrupter`` counts those points in the frames
of httpx_resilience, and raises a real SIGINT at one of them.
"""

import dis
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import httpx_resilience
from httpx_resilience._runtime import threads

_PACKAGE = str(Path(httpx_resilience.__file__).parent)

_CALLED = ("CALL", "CALL_FUNCTION_EX", "CALL_KW")
_CALLS = frozenset(dis.opmap[name] for name in _CALLED if name in dis.opmap)
_OTHERS = frozenset({dis.opmap["JUMP_BACKWARD"], dis.opmap["RESUME"]})

SPEED = 300.0
"""How many times faster than the clock a ``FastRuntime`` is, by default."""


class Interrupter:
    """Raises SIGINT at one point of a block; the block runs in the main thread.

    Args:
        at: Which point, from 0.

    Attributes:
        points: How many there were until it was raised, or the block ended.
        where: The function and the line of it, once it was.
    """

    def __init__(self, at: int) -> None:
        self._at = at
        self._last: dict[FrameType, int] = {}
        self.points = 0
        self.where: str | None = None

    @contextmanager
    def watching(self) -> Iterator[None]:
        before = sys.gettrace()
        sys.settrace(self._called)
        try:
            yield
        finally:
            sys.settrace(before)
            self._last.clear()

    def _called(self, frame: FrameType, event: str, arg: Any) -> Any:
        if frame.f_back is not None:  # what was called is no C: nothing is let in as it returns
            self._last.pop(frame.f_back, None)
        if not frame.f_code.co_filename.startswith(_PACKAGE):
            return None
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        self._last[frame] = dis.opmap["RESUME"]
        return self._step

    def _step(self, frame: FrameType, event: str, arg: Any) -> Any:
        if event != "opcode":
            if event == "return":
                self._last.pop(frame, None)
            return self._step
        last = self._last.get(frame)
        now = frame.f_code.co_code[frame.f_lasti]
        self._last[frame] = now
        if last is not None and (last in _CALLS or last in _OTHERS):
            self.points += 1
            if self.points > self._at:
                self._interrupt(frame)
        return self._step

    def _interrupt(self, frame: FrameType) -> None:
        name = Path(frame.f_code.co_filename).name
        self.where = f"{name}:{frame.f_lineno} {frame.f_code.co_qualname}"
        sys.settrace(None)
        each: FrameType | None = frame
        while each is not None:
            each.f_trace = None
            each = each.f_back
        self._last.clear()
        signal.raise_signal(signal.SIGINT)


class FastRuntime(threads.Runtime):
    """Its clock is faster, and waits are as much shorter."""

    def __init__(self, speed: float = SPEED) -> None:
        super().__init__()
        began = time.monotonic()
        self._speed = speed
        self.now: Callable[[], float] = lambda: began + (time.monotonic() - began) * speed

    def wait(self, waiter: threading.Event, until: float) -> bool:
        left = (until - self.now()) / self._speed
        return waiter.wait(max(0.0, min(left, threading.TIMEOUT_MAX)))
