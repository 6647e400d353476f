"""How long a window of a few seconds really is, where its reset is announced a second too coarsely.

A reset in whole seconds leaves up to two seconds of doubt, and in a window of five that is time for
a third of the requests. But limiters in web frameworks begin a window with its first request, and
where people give them a few seconds, these are mostly five. So:

1. If the response that opens a window shows that our request began it (all but one is left), and
   the announced reset is compatible with such a length, that is assumed to be the length.
2. Not if a longer window, aligned to the clock, might end later: where the reset may stand on the
   clock's grid of ten seconds.
3. Where nothing was left, a response on time that shows more than its own unit to be back confirms
   the length, and it holds from then on. A bucket that announces its next token returns but one; so
   may a log, which is known if its reset is no whole second and moved a little only, once.
4. A window may be a log in truth. So a unit is back when fewer requests than the limit were
   answered within the last such length: that holds for logs and for windows that a request begins.
5. A refusal refutes it for good: the scope pays for the guess with one request at the most.
"""

import math
from collections import deque

from ...headers import RateLimit
from ...headers.server_clock import ServerClock
from .windows import GUARD, ResetInterval

LENGTH = 5.0
"""Seconds that are assumed. The doubt is a smaller loss in longer windows, and in shorter ones it
covers several lengths that people choose."""

LONGEST_STATED = 10.0
"""Seconds; in a longer window the units that are kept back are a small loss."""

GRID = 10.0
"""Seconds; what is aligned to the clock and longer than five seconds mostly ends on these."""

_FEWEST, _MOST = 10, 1000
"""Units of a window; where there are fewer, a second's wait costs little more than a refusal, and
of more there is too much to remember."""

_ROUND = 5
"""A limit that is a multiple of this was written by a person, who wrote the window likewise."""

_AS_IT_IS = 1e-4
"""Seconds; a finer reset is a floating-point number as it is. slowapi adds a second to it, as
flask-limiter does, but does not cut off the fraction."""

_OLD = 1.0
"""Seconds that a Date of uvicorn, where slowapi is at home, may be old beside its rounding: it is
renewed once a second. So resets seem to be later than they are."""

_ON_TIME = 0.5
"""Seconds after the assumed end by which the next window must have been seen to confirm it."""


class ShortWindow:
    """One policy's short windows.

    Attributes:
        seconds: Which a window lasts from its first request, confirmed or assumed; None if unknown.
            When it ends is known then, so that none of its units has to be kept back to find out.
    """

    __slots__ = (
        "_answered",
        "_began_at",
        "_is_confirmed",
        "_is_drained",
        "_is_float",
        "_is_log",
        "_is_refuted",
        "seconds",
    )

    def __init__(self) -> None:
        self.seconds: float | None = None
        self._answered: deque[float] = deque(maxlen=0)
        self._began_at = math.inf
        self._is_confirmed = self._is_drained = self._is_refuted = False
        self._is_float = self._is_log = False

    def opened(
        self,
        limit: int,
        stated: float | None,
        announced: RateLimit,
        reset: ResetInterval,
        sent: float,
        received: float,
        clock: ServerClock,
    ) -> None:
        """Learn from the response that showed a new window.

        Args:
            limit: Units of the window.
            stated: Its seconds, where the server or the user states them.
            announced: What the response says.
            reset: When it says that the window ends.
            sent: When its request was sent.
            received: When it came.
            clock: The server's.
        """
        if self._is_refuted or received == self._began_at:
            return
        # A floating-point number may end in zeros by chance, a decimal one does not go on.
        self._is_float = self._is_float or announced.granularity < _AS_IT_IS
        if self._is_drained and self._is_on_time(received):
            if not announced.remaining:
                is_log = self._is_float and reset.low - received < LENGTH / 2
                self._is_log = self._is_log or is_log
                # What came after the last of a log's burst came after a gap, and so does its reset.
                if not (self._is_confirmed or self._is_log):
                    self.refuse()
                return
            self._is_confirmed = True
        if not self._is_confirmed:
            length = LENGTH if stated is None else stated
            is_likely = (
                announced.remaining == limit - 1
                and limit <= _MOST
                and length <= LONGEST_STATED
                and _fits(length, announced, reset, sent)
                and (stated is not None or _may_be_assumed(limit, announced, received, clock))
            )
            self.seconds = length if is_likely else None
        kept = min(limit, _MOST)
        if self._answered.maxlen != kept:
            self._answered = deque(maxlen=kept)
        self._began_at = received
        self._is_drained = False

    def _is_on_time(self, received: float) -> bool:
        return self.seconds is not None and received <= self._began_at + self.seconds + _ON_TIME

    def answered(self, received: float, remaining: int) -> None:
        """Count a request that took a unit, and left so many."""
        self._answered.append(received)
        self._is_drained = self._is_drained or remaining == 0

    def end(self) -> float:
        """Return when a unit is back."""
        answered = self._answered
        since = answered[0] if len(answered) == answered.maxlen else self._began_at
        return since + (self.seconds or math.inf) + GUARD

    def refuse(self) -> bool:
        """Learn from a refusal; return whether it is the price of what was assumed."""
        was_assumed = self.seconds is not None
        self._is_refuted = self._is_refuted or was_assumed
        self.seconds = None
        return was_assumed


def _may_be_assumed(limit: int, announced: RateLimit, received: float, clock: ServerClock) -> bool:
    """Return whether it is worth it, and no longer window is as likely."""
    is_worth_it = limit >= _FEWEST and limit % _ROUND == 0
    return is_worth_it and not _ends_later(announced, received, clock)


def _fits(length: float, announced: RateLimit, reset: ResetInterval, sent: float) -> bool:
    """Return whether a window that began with a request then may be so long."""
    late, earliest = 0.0, reset.low
    if announced.granularity < _AS_IT_IS:
        late, earliest = 1.0, reset.low - _OLD
    elif announced.granularity < 1.0:
        return False  # precise anyway
    end = sent + length + late
    return earliest < end < reset.high


def _ends_later(announced: RateLimit, received: float, clock: ServerClock) -> bool:
    """Return whether a longer window, aligned to the clock, may end later than the assumed one.

    An epoch second stands for its own end, or is one too many. Seconds from now are rounded up.
    """
    if announced.reset_at is None:
        return False
    offset = clock.offset(received)
    if offset is None:
        return True
    aligned = math.floor(announced.reset_at / GRID) * GRID
    may_be = aligned in (announced.reset_at - 1.0, announced.reset_at)
    return may_be and aligned > received + offset[0] + LENGTH + GUARD
