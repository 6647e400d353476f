"""What others spend of the same budget, and how much of it is left to them.

Who takes each new window at once leaves nothing to those who call now and then: nine of ten of
their calls are refused. So while more is gone than our own requests explain, our part of a window
still goes at once, but the rest goes only as far as the others are not expected to spend it until
the window's end. What they do not take is released as time passes.

1. Of the units that went between two responses of a window, no more are ours than were answered in
   between or are in flight. So where nobody else spends, nothing is kept.
2. Nothing is tried on old evidence: if the others may have spent what was left, our calls wait for
   the next window. A refusal closes the scope for all of them.
3. Only windows that give everything back are shared. Where units come back one by one, everybody
   gets some of them.
4. Others that take each window at once, as our own processes do, need nothing kept.
"""

import math

from .windows import ResetInterval, WindowEnd

_FADING = 0.75
"""Of what was seen in the windows before: what counts beside the present one."""

_OURS = 0.46
"""Of the limit: what is ours whatever others spend. There is one other at the least; a little less
than half, as ours goes first, so that all that comes at random is refused to the other."""

_SPREAD = 2.25
"""Standard deviations of what comes at random that are kept beside what is expected."""

_BEYOND = 0.08
"""Of the window: for how long after its end others are thought to spend of it, so that it is not
empty before. What is kept for that time nobody gets."""

_EARLY, _WHOLE, _LATER, _MISTRUSTED = 0.15, 0.5, 0.75, 50
"""Of the window, the limit and the window: what has to be left so early in a window that gives all
back, and by how much later it has to end than the one before; for how many windows a budget is not
shared after one that did not. A log looks like windows for as long as it is used in bursts."""

_LEAST, _FORGOTTEN = 0.1, 0.5
"""Of the window: over how long spending is measured at the least. Units that are as good as none.
"""

_RUSH = 1.5
"""Times the limit a window: others that spend so fast take each window at once as we do. They need
nothing kept, and to keep anything from each other would make all of us slower."""


class Share:
    """What others spend of one policy's windows. Times are the driver's, in seconds.

    Attributes:
        rate: Units a second that others spend; 0 if nobody does, as far as is known.
    """

    __slots__ = (
        "_answered",
        "_base",
        "_before",
        "_began_at",
        "_cost",
        "_end",
        "_is_drained",
        "_mistrusted",
        "_seconds",
        "_seen_at",
        "_spent",
        "rate",
    )

    def __init__(self) -> None:
        self.rate = 0.0
        self._cost = 1
        self._before = (0.0, 0.0)
        self._began_at = -math.inf
        self._end: ResetInterval | None = None
        self._base = self._answered = self._spent = self._mistrusted = 0
        self._seconds = 0.0
        self._seen_at = -math.inf
        self._is_drained = False

    def started(self, cost: int) -> None:
        """Note the units that a request of ours takes."""
        if cost > self._cost:
            self._cost = cost

    def observe(
        self,
        began_at: float,
        limit: int,
        remaining: int,
        least: int,
        reset: ResetInterval,
        received: float,
        answered: int,
        outstanding: int,
        span: float,
    ) -> None:
        """Learn from a response what others have spent.

        Args:
            began_at: When the first response of the present window came.
            limit: Units of a window.
            remaining: What it says is left.
            least: What the evidence says is left, of which it is a part.
            reset: When it says that its window ends.
            received: When it came.
            answered: How many responses of ours came, ever.
            outstanding: Our units in flight.
            span: Seconds of a window.
        """
        end = self._end
        if end is None or began_at != self._began_at:
            if end is not None:
                self._judge(end, limit, remaining, reset, received, span)
            self._begin(began_at, reset, answered)
        elif abs(reset.key - end.key) > reset.slack:
            return  # it comes late, and is of another window
        self._seen_at = received
        ours = answered * self._cost
        if least + ours > self._base:
            self._base = least + ours
        spent = self._base - remaining - ours - outstanding
        if spent > self._spent:
            self._spent = spent
        if not self._is_drained:  # then nobody can spend
            self._seconds = received - began_at
            self._is_drained = remaining <= 0
        self.rate = 0.0 if self._mistrusted else self._rate(limit, span)

    def met(
        self,
        limit: int,
        remaining: int,
        reset: ResetInterval,
        received: float,
        answered: int,
        span: float,
    ) -> None:
        """Learn from the first response of a window that was surely whole, as ``observe`` does.

        What it lacks and we did not spend, others did. Who takes the window at once has hardly
        another chance to see one who calls now and then.
        """
        if self._end is not None:
            self._judge(self._end, limit, remaining, reset, received, span)
        self._begin(received, reset, answered)
        self._base = limit + (answered - 1) * self._cost

    def _rate(self, limit: int, span: float) -> float:
        """Return the units a second that others spend."""
        spent = self._before[0] + self._spent
        seconds = max(_LEAST * span, self._before[1] + self._seconds)
        if spent < _FORGOTTEN or seconds <= 0.0:
            return 0.0
        if spent * span > _RUSH * limit * seconds:
            return 0.0
        return spent / seconds

    def _judge(
        self,
        end: ResetInterval,
        limit: int,
        remaining: int,
        reset: ResetInterval,
        received: float,
        span: float,
    ) -> None:
        """See whether the window before, which should have ended then, gave everything back."""
        if reset.nominal - end.nominal < _LATER * span:
            self._mistrusted = _MISTRUSTED
        elif received <= end.high + _EARLY * span:  # later others may have spent it
            is_whole = remaining >= _WHOLE * limit
            self._mistrusted = max(0, self._mistrusted - 1) if is_whole else _MISTRUSTED

    def _begin(self, began_at: float, reset: ResetInterval, answered: int) -> None:
        spent, seconds = self._before
        self._before = (_FADING * (spent + self._spent), _FADING * (seconds + self._seconds))
        self._began_at, self._end = began_at, reset
        self._base, self._answered = 0, answered
        self._spent, self._seconds = 0, 0.0
        self._is_drained = False

    def ours(self, answered: int, outstanding: int) -> int:
        """Return how many units went since the window's first response that are ours at the most.

        Args:
            answered: How many responses of ours came, ever.
            outstanding: Our units in flight.
        """
        return (answered - self._answered) * self._cost + outstanding

    def open_at(self, ours: int, left: int, limit: int, end: WindowEnd, span: float) -> float:
        """Return when no more than ``left`` units are kept for others.

        Args:
            ours: Units of the window that are ours, with the one that is to go.
            left: Units beside that.
            limit: Units of a window.
            end: When the window ends.
            span: Its seconds.
        """
        if not self.rate or ours <= _OURS * limit:
            return -math.inf
        # Expected in x seconds are y^2 = rate * x, give or take y: y^2 + spread * y = left.
        half = _SPREAD / 2.0
        expected = (math.sqrt(half * half + max(0, left)) - half) ** 2
        open_at = max(end.high, end.nominal + _BEYOND * span) - expected / self.rate
        gone = self.rate * max(0.0, open_at - self._seen_at)
        is_sure = gone + _SPREAD * math.sqrt(gone) <= left
        return min(open_at, end.high) if is_sure else end.high
