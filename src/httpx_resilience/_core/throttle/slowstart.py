"""Slow start: how many may go while nothing tells what is left.

One scout, then 1, 2, 4, … in flight, so that a thousand calls neither run into a limit of ten nor
queue behind one another's failures. A server that answers without telling anything is let alone.
"""

import math

from .account import COLD_START
from .kinds import OPEN, SCOUT, Gate
from .ledger import SETTLED

STEP = 1.0
"""Seconds after which slow start takes its next step without an answer."""

SILENT = 3
"""Successes that tell nothing of what is left which show that a server never does."""


class SlowStart:
    """How far a scope's slow start has come.

    Attributes:
        is_over: The server tells nothing of what is left, so nobody is held back for it.
    """

    __slots__ = ("_at", "_in_flight", "_silent", "_was_told", "is_over")

    def __init__(self) -> None:
        self.is_over = False
        self._in_flight = 1
        self._at = -math.inf
        self._silent = 0
        self._was_told = False

    def begin(self, at: float) -> None:
        """Begin anew, at that time: the scope was closed until then."""
        self.is_over = False
        self._in_flight, self._at = 1, at

    def told(self) -> None:
        """Begin anew, should the headers vanish: a response told what is left."""
        self.is_over = False
        self._in_flight, self._silent, self._was_told = 1, 0, True

    def answered(self) -> None:
        """Let one more go: a response told what is left of another bucket."""
        self._in_flight += 1

    def was_silent(self, *, success: bool) -> None:
        """Let one more go: a response told nothing; nearly all of them, if that is its way."""
        self._in_flight += 1
        self._silent += success
        self.is_over = self.is_over or self._silent >= SILENT

    def gate(self, in_flight: int, now: float) -> Gate:
        """Say whether one more request may go."""
        if self.is_over:
            return OPEN
        if in_flight == 0:
            self._at = now
        step = SETTLED if self._was_told else STEP
        if in_flight >= self._in_flight and now >= self._at + step:
            self._in_flight *= 2
            self._at = now
        if in_flight < self._in_flight:
            return SCOUT
        return Gate(False, COLD_START, self._at + step)
