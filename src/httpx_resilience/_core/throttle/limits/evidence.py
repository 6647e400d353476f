"""The evidence for what is left: the responses received at or after the latest send time.

``true remaining >= min(remaining over the evidence) - in flight``: whichever response was processed
last is among them, and what came after it is still in flight. So neither responses out of order nor
concurrent requests can fool it. Evidence with units left stays good past its reset, for refills
only add.
"""

import math
from collections import deque

from .windows import ResetInterval


class Evidence:
    """Two queues whose heads are the least remaining and the latest reset of the evidence.

    Attributes:
        remaining: The least that any response of the evidence says is left; 0 without evidence.
        newest_sent: When the latest sent of the requests was sent whose responses are here.
        remaining_window: Responses that may yet be the least, as times and what remains.
        resets: Likewise the latest resets.
    """

    __slots__ = ("newest_sent", "remaining", "remaining_window", "resets")

    def __init__(self) -> None:
        self.remaining = 0
        self.newest_sent = -math.inf
        self.remaining_window: deque[tuple[float, int]] = deque()
        self.resets: deque[tuple[float, ResetInterval]] = deque()

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self.remaining_window)

    @property
    def latest_reset(self) -> ResetInterval:
        """The latest of the announced resets."""
        return self.resets[0][1]

    def add(self, remaining: int, reset: ResetInterval, received: float) -> None:
        """Take in a response; those received before ``newest_sent`` are evidence no more."""
        window, resets, since = self.remaining_window, self.resets, self.newest_sent
        if window:
            last = window[-1][0]
            if last < since:  # sent when all others had come back, as where call follows call
                window.clear()
                resets.clear()
                window.append((received, remaining))
                resets.append((received, reset))
                self.remaining = remaining
                return
            received = max(received, last)  # learned late: kept rather longer
        while window and window[-1][1] >= remaining:
            window.pop()
        window.append((received, remaining))
        while window[0][0] < since:
            window.popleft()
        while resets and resets[-1][1].high <= reset.high:
            resets.pop()
        resets.append((received, reset))
        while resets[0][0] < since:
            resets.popleft()
        self.remaining = window[0][1]

    def repeat(self, remaining: int, received: float) -> int:
        """Take in a response whose reset is the only one there is; return the least remaining."""
        window, resets, since = self.remaining_window, self.resets, self.newest_sent
        while window:
            at, least = window[-1]
            if received < at:
                received = at
            if least < remaining:
                break
            window.pop()
        window.append((received, remaining))
        while window[0][0] < since:
            window.popleft()
        resets[0] = received, resets[0][1]
        self.remaining = least = window[0][1]
        return least

    def clear(self) -> None:
        """Forget it all."""
        self.remaining_window.clear()
        self.resets.clear()
        self.remaining = 0
