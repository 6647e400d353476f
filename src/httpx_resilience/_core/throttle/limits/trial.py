"""Whether 503s are a limiter's: requests that are admitted at once right after one was refused.

A limiter's bucket is empty then, so it refuses most of them. Whoever fails by chance does not.
"""

import math

_SECONDS, _SIZE = 0.02, 12
"""Seconds that a trial takes; requests that it admits beside those that the server may have room
for again when they come."""

_PROVEN, _DISPROVEN = 5, -4
"""Refusals beyond successes in trials that show a limiter, and that show none. A 503 that comes
with a chance of 0.3 reaches the former once in seventy times, (0.3 / 0.7)^5."""


class Trial:
    """The present trial, and what all of them have shown."""

    __slots__ = ("_from", "_left", "_room", "_score", "_until")

    def __init__(self) -> None:
        self._from = self._until = -math.inf
        self._score = self._left = self._room = 0

    @property
    def is_proven(self) -> bool:
        """Whether it is a limiter."""
        return self._score >= _PROVEN

    @property
    def is_disproven(self) -> bool:
        """Whether it is none."""
        return self._score <= _DISPROVEN

    def start_over(self) -> None:
        """Forget what was shown."""
        self._score = 0

    def begin(self, rate: float, sent: float, now: float) -> None:
        """Begin a trial: a request that was sent at ``sent`` to so many a second was refused."""
        self._from, self._until = now, now + _SECONDS
        self._room = math.ceil(rate * (now - sent + _SECONDS))
        self._left = self._room + _SIZE

    def admits(self, now: float) -> bool:
        """Return whether one more request may go for a trial."""
        return self._left > 0 and now <= self._until

    def started(self) -> None:
        """Note that one went."""
        self._left -= 1

    def is_of(self, sent: float) -> bool:
        """Return whether a request was sent in the present trial."""
        return self._from <= sent <= self._until

    def outcome(self, *, is_refused: bool, counts: bool) -> None:
        """Take in an outcome of a trial, which shows something if it ``counts``."""
        if self._room > 0:
            self._room -= 1
        elif counts and not self.is_proven:
            self._score += 1 if is_refused else -1
