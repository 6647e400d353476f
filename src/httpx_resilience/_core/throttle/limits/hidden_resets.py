"""When a window ends whose server says what is left of it, but not until when.

A refusal says how long to wait. So the time from a window's first response to the end of that wait
is its length, and the next windows are taken to last as long. The first window of a server that
aligns them to the clock was begun in its midst: the second one, which is longer, corrects it.
"""

import math


class HiddenReset:
    """One policy's windows; times are the driver's, in seconds."""

    __slots__ = ("_is_drained", "_length", "_opened_at")

    def __init__(self) -> None:
        self._opened_at = self._length = math.inf
        self._is_drained = True

    def observe(self, remaining: int, received: float) -> float | None:
        """Learn from a response; return when the window should end, if that is still to come."""
        if remaining and self._is_drained:
            self._opened_at = received
        self._is_drained = remaining == 0
        end = self._opened_at + self._length
        return end if received < end < math.inf else None

    def refused(self, reopens_at: float) -> None:
        """Learn from a refusal that says when there is room again."""
        if self._opened_at < reopens_at:
            self._length = reopens_at - self._opened_at
        self._is_drained = True
