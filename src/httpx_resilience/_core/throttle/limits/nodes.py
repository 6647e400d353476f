"""Several nodes behind one name, each of which counts on its own: the emptiest one decides.

They are known by their own word. A window opens with a response that says that all but one is left.
If another one says so before anything can have come back, a second node does. And where units seem
to come back so fast that a window were over within a second, most of them went to other nodes.

Which node a request goes to is chance. So from then on a response counts like the least that the
latest ones said, until that one's window may be over. Where not all comes back then, two units are
taken to be there at first, and two more for each response.
"""

import math
from collections import deque

from .windows import ResetInterval

_MEMORY = 8
"""Responses in which every node is taken to be met: one of two is not with a chance of 1/256."""

_SHORTEST = 1.0
"""Seconds of a window at the least; for so long after it opens it is seen what comes back."""

_CHANCE = 2
"""Units that may seem to have come back though a window was just opened."""


class Nodes:
    """One policy's nodes; times are the driver's, in seconds.

    Attributes:
        are_known: There are several.
        is_looking: A window was opened just now, and it is not known whether there are.
    """

    __slots__ = (
        "_answered",
        "_latest",
        "_looked_at",
        "_opened_at",
        "_sent_at",
        "_until",
        "are_known",
        "is_looking",
    )

    def __init__(self) -> None:
        self.are_known = self.is_looking = False
        self._opened_at = self._sent_at = self._until = -math.inf
        self._answered = self._looked_at = 0
        self._latest: deque[tuple[int, ResetInterval]] = deque(maxlen=_MEMORY)

    def opened(self, answered: int, reset: ResetInterval, sent: float, received: float) -> None:
        """Learn from a response that says that all but one is left.

        Args:
            answered: How many responses came, ever, with this one.
            reset: When it says that the window ends.
            sent: When its request was sent.
            received: When it came.
        """
        if self._opened_at <= sent and received < self._until:
            self.are_known = True
        elif received >= max(self._until, self._sent_at + _SHORTEST):
            self._opened_at, self._sent_at, self._until = received, sent, reset.low
            self._answered = self._looked_at = answered
            self.is_looking = True

    def look(self, limit: int, least: int, answered: int, now: float, *, is_later: bool) -> None:
        """See whether more has come back since a window was opened than can have.

        Where responses are learned the short way, the window is known well enough.

        Args:
            limit: Units of a window.
            least: What the evidence says is left.
            answered: How many responses came, ever, that may be part of it.
            now: The time.
            is_later: A window has begun since.
        """
        seconds = now - self._sent_at
        returned = answered - self._answered - (limit - 1 - least)
        if is_later or seconds > _SHORTEST or answered > self._looked_at + 1:
            self.is_looking = False
        elif returned > _CHANCE + limit * seconds / _SHORTEST:
            self.are_known, self.is_looking = True, False
        self._looked_at = answered

    def emptiest(
        self, remaining: int, reset: ResetInterval, received: float, *, gives_all: bool
    ) -> tuple[int, ResetInterval]:
        """Return what is left on the emptiest node after a response, and when its window ends."""
        least, end = remaining, reset
        since = 2 * len(self._latest)
        for said, until in self._latest:
            if until.low > received:
                if said < least:
                    least, end = said, until
            elif not gives_all and max(said, since) < least:
                least, end = max(said, since), reset
            since -= 2
        self._latest.append((remaining, reset))
        return least, end
