"""What is remembered of the last response, to recognise one that differs in what remains alone.

All there is to learn of such a response is how much remains, as long as that is plenty: the window,
its end and its kind are as they were. That takes a fifth of the time of learning from it as a
whole; a response at least each quarter of a second is looked at as a whole.
"""

import math

from ...headers import RateLimit

_LONGEST = 0.25
"""Seconds after which a response is looked at as a whole again, though it repeats the last one."""


class RepeatCache:
    """The last response of one policy.

    Attributes:
        others: What it announced but for limit and remaining.
        until: Seconds of the driver until which repeats of it may be learned the short way.
        clock_version: Of the server's clock as it was then.
        low_mark: Units; with no more than these left, each response is looked at as a whole.
    """

    __slots__ = ("clock_version", "low_mark", "others", "until")

    def __init__(self) -> None:
        self.others: list[object] = []
        self.until = -math.inf
        self.clock_version = -1
        self.low_mark: float = math.inf

    def remember(
        self, announced: RateLimit, clock_version: int, received: float, end_low: float
    ) -> None:
        """Recognise repeats of a response for a while, and not beyond the end of the window."""
        self.others = list(announced[2:])
        self.clock_version = clock_version
        self.until = min(end_low, received + _LONGEST)

    def forbid(self) -> None:
        """Recognise none."""
        self.until = -math.inf
