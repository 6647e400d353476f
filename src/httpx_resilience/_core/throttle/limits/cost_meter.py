"""What requests take of other units than requests, measured by what responses say is left.

Between two of them so much was spent as less is left, and what came back meanwhile. By how many
requests, is known where nothing else was in flight, and otherwise within bounds: those that were
answered before another was sent were counted before it, and those sent a second later after it.
"""

import math
from bisect import bisect_right
from typing import NamedTuple

from .counted import JITTER, Counted
from .learned_cost import LearnedCost

_TRUSTED = 16
"""Answers until which no more requests are in flight than there were answers."""

_BLUR, _FIRST_BLUR = 1.5, 3.0
"""How many times more requests may have been counted than surely were, to learn a mean cost; while
nothing is known."""

_SMALL = 8
"""In how many parts of the limit what is missing is one at the most, to stand for a cost."""

_STEP = 1.0
"""Seconds after which it is not known any more what came back, in what may be a bucket."""

_REMEMBERED = 256
"""Sends and receipts by which it is known how many requests were in flight beside another."""


class _Mark(NamedTuple):
    """A response that costs are measured from.

    Attributes:
        at: About when the server counted it.
        remaining: What it said is left.
        missing, reset_in: What would be back after so many seconds, as far as it is known.
        ends_at: When that would be, by its announcement.
        error: Seconds by which that may be wrong.
        fewest, most: Own requests that the server had counted.
    """

    at: float
    remaining: int
    missing: int
    reset_in: float
    ends_at: float
    error: float
    fewest: int
    most: int


class CostMeter:
    """Counts the own requests of one budget, and learns from that what they take.

    Args:
        in_flight: Requests that went before there was a budget to count against, without the one
            whose answer announced it.
        now: When that came.

    Attributes:
        learned: What a request takes.
    """

    __slots__ = ("_answered", "_answered_at", "_mark", "_sent", "_sent_at", "_since", "learned")

    def __init__(self, in_flight: int, now: float) -> None:
        self.learned = LearnedCost()
        self._sent, self._answered = 1 + in_flight, 0
        self._since = now + JITTER if in_flight else -math.inf
        self._sent_at: list[float] = []
        self._answered_at: list[float] = []
        self._mark: _Mark | None = None

    @property
    def trusted(self) -> float:
        """How many requests may be in flight by what is known: as many as were answered."""
        if not self.learned.is_known:
            return 1
        return self._answered if self._answered < _TRUSTED else math.inf

    def interrupt(self) -> None:
        """Measure nothing across this moment."""
        self._mark = None

    def started(self, at: float, *, is_given: bool) -> None:
        """Count a request that goes; of one whose cost is given there is nothing to learn."""
        self._sent += 1
        _note(self._sent_at, at)
        if is_given:
            self._mark = None

    def not_counted(self, requests: int) -> None:
        """Count fewer: they were refused, or nobody knows what became of them."""
        self._sent -= requests
        self._mark = None

    def answered(self, at: float) -> None:
        """Count an answer."""
        self._answered += 1
        _note(self._answered_at, at)

    def measure(self, said: Counted, limit: int | None, rate: float) -> None:
        """Learn a cost from what a response says is left, and what an earlier one said.

        Args:
            said: The response.
            limit: Units of the full bucket or window, if known.
            rate: Units that come back in a second; 0 where it is no bucket, or not known to be one.
        """
        if said.sent < self._since:
            return
        mark, here = self._mark, self._here(said, limit)
        if mark is None:
            self._mark = here
            return
        least, most, seconds = here.fewest - mark.most, here.most - mark.fewest, here.at - mark.at
        if seconds < 0 or most <= 0:
            return
        blur = _BLUR if self._answered >= _TRUSTED else _FIRST_BLUR
        if most > max(1, blur * least):
            if not rate and seconds > max(mark.reset_in, _STEP):
                self._mark = here  # what came back since is not known any more
            self._bound(here.missing, limit)
            return
        self._mark = here
        spent = mark.remaining - here.remaining + _came_back(mark, here, rate)
        if spent < 0:
            return
        if most == 1:
            self.learned.add(spent)
        elif seconds * (rate or 1.0) <= (mark.missing if rate else mark.reset_in):
            self.learned.add_mean(spent / most, spent / least)
        else:  # something may have come back for which there was no room
            self._bound(here.missing, limit)

    def _bound(self, missing: int, limit: int | None) -> None:
        """Learn that what a request took is among what is missing, where that says anything."""
        learned = self.learned
        if limit is not None and missing < (learned.high if learned.is_known else limit / _SMALL):
            learned.add_bound(missing)

    def _here(self, said: Counted, limit: int | None) -> _Mark:
        sent, received, remaining, reset = said
        at = (sent + min(received, sent + JITTER)) / 2
        beside = len(self._answered_at) - bisect_right(self._answered_at, sent)
        most = self._sent - len(self._sent_at) + bisect_right(self._sent_at, sent + JITTER)
        before = self._sent - len(self._sent_at) + bisect_right(self._sent_at, sent - JITTER)
        return _Mark(
            at,
            remaining,
            max(0, limit - remaining) if limit is not None else 0,
            max(0.0, reset.nominal - at),
            reset.nominal,
            (reset.high - reset.low) / 2,
            min(most, max(self._answered - beside, before) + 1),
            most,
        )


def _came_back(mark: _Mark, here: _Mark, rate: float) -> float:
    """Return about how many units came back since; no more than were missing.

    While it is not known to be a bucket: as in one, unless the reset has not moved.
    """
    seconds = here.at - mark.at
    if rate:
        return min(mark.missing, rate * seconds)
    if mark.reset_in <= 0 or mark.missing <= 0:
        return 0.0
    spent = mark.remaining - here.remaining
    moved, would_move = here.ends_at - mark.ends_at, spent * mark.reset_in / mark.missing
    if would_move > 4 * (mark.error + here.error) and moved < would_move / 2:
        return 0.0
    return mark.missing * min(1.0, seconds / mark.reset_in)


def _note(times: list[float], at: float) -> None:
    """Remember a time; forget those of long ago."""
    times.append(at)
    if len(times) >= 2 * _REMEMBERED:
        del times[:_REMEMBERED]
