"""Slow start: how many may go while nothing shows what is left.

One probe, then 1, 2, 4, … in flight, so that a thousand calls neither run into a limit of ten nor
queue behind one another's failures. A server that answers without announcing anything is let alone,
up to what its refusals announce.
"""

import math

from ..admission import ANYONE, OPEN, PROBE, Admission, Ending
from ..in_flight import InFlight
from ..queue import Ticket
from ..reasons import COLD_START
from .closing import Closing
from .quota_set import QuotaSet
from .unannounced import UnannouncedLimit
from .windows import SETTLED

STEP = 1.0
"""Seconds after which slow start takes its next step without an answer."""

SILENT = 3
"""Successes without a word of what is left which show that a server never says it."""


class SlowStart:
    """How far a scope's slow start has come.

    Attributes:
        is_over: The server does not say what is left, so nobody is held back for it.
    """

    __slots__ = (
        "_allowed",
        "_at",
        "_closing",
        "_in_flight",
        "_quotas",
        "_silent",
        "_unannounced",
        "_was_announced",
        "is_over",
    )

    def __init__(self, in_flight: InFlight, quotas: QuotaSet, closing: Closing) -> None:
        self.is_over = False
        self._in_flight = in_flight
        self._quotas = quotas
        self._closing = closing
        self._allowed = 1
        self._at = -math.inf
        self._silent = 0
        self._was_announced = False
        self._unannounced = UnannouncedLimit(in_flight)

    def admit(self, now: float, cost: int, ticket: Ticket = ANYONE) -> Admission:
        """Return whether one more may go; always, where quotas say what is left."""
        if self._quotas.has_evidence:
            return OPEN
        counted = self._unannounced.admit(now, cost)
        if self.is_over or not counted.is_open:
            return counted
        in_flight = self._in_flight.count
        if in_flight == 0:
            self._at = now
        step = SETTLED if self._was_announced else STEP
        if in_flight >= self._allowed and now >= self._at + step:
            self._allowed *= 2
            self._at = now
        if in_flight < self._allowed:
            return PROBE
        return Admission(False, COLD_START, self._at + step)

    def started(self, now: float, cost: int) -> None:
        """Note that a request went."""
        if self._unannounced.room is not None:
            self._unannounced.started(now, cost)

    def ended(self, ending: Ending) -> None:
        """Admit one more, or start over."""
        if ending.closes:
            is_partial = not self._was_announced or self._quotas.patience > 1.0
            if ending.is_refused and ending.announced and is_partial:
                self._unannounced.refused(ending, self._closing.until)
            self.is_over = False
            self._allowed, self._at = 1, self._closing.until
        elif any(limit.remaining is not None for limit in ending.announced):
            self.is_over = False  # should the headers vanish, it starts over
            self._allowed, self._silent, self._was_announced = 1, 0, True
            if self._unannounced.room is not None:
                self._unannounced.interrupt()
        elif not self._quotas.has_evidence:
            if ending.is_success:
                self._unannounced.accepted(ending)
            if ending.announced:
                self._was_silent(ending)
            elif not self.is_over:
                self._was_silent(ending)
                if self.is_over:
                    self._quotas.vanish(ending.at)

    def _was_silent(self, ending: Ending) -> None:
        """Admit one more; all of them, if silence is the server's way."""
        self._allowed += 1
        self._silent += ending.is_success
        self.is_over = self.is_over or self._silent >= SILENT * self._quotas.patience

    def has_credit(self, now: float) -> bool:
        """Return whether quotas say what is left, or the server never does."""
        return self.is_over or self._quotas.has_evidence

    def answered_elsewhere(self) -> None:
        """Admit one more, where nothing shows what is left: a response was another bucket's."""
        if not self._quotas.has_evidence:
            self._allowed += 1
