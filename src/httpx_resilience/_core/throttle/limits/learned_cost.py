"""What a request takes of a budget that counts other units than requests, learned.

A sample is the drop of what remains, and what came back meanwhile, by the own requests that the
server counted between two responses; only where their number is known:

* nothing else was in flight at either of them: the requests in between. One alone is a cost as it
  is, several are their mean;
* with others always in flight, over so many requests that it does not matter much which of those
  few were counted. The fewest and the most that they can have been give bounds of the mean.

Single costs show how far costs are spread, means whether they are higher or lower now.
"""

import math
from collections import deque

ENOUGH = 3
"""Samples until which requests go one at a time."""

_KEPT = 32
"""Single costs that are remembered."""

_MEANS = 4
"""Means that are remembered; the highest counts."""

_SHARE = 0.95
"""Of the single costs, those that are not above the learned cost."""

_FARTHEST = 16.0
"""How many times higher or lower than the single costs a mean can make the learned cost."""


class LearnedCost:
    """The cost of one kind of request in one unit.

    Attributes:
        is_known: There are enough samples.
        high: A high quantile of what a request takes, at the present level; 0 while unknown.
    """

    __slots__ = ("_means", "_singles", "high", "is_known")

    def __init__(self) -> None:
        self._singles: deque[float] = deque(maxlen=_KEPT)
        self._means: deque[tuple[float, float]] = deque(maxlen=_MEANS)
        self.high = 0.0
        self.is_known = False

    def add(self, cost: float) -> None:
        """Learn what one request took; it shows the present level, too."""
        self._singles.append(max(0.0, cost))
        self._means.clear()
        self._weigh()

    def add_bound(self, cost: float) -> None:
        """Learn what one request took at the most."""
        self._singles.append(cost)
        self._weigh()

    def add_mean(self, low: float, high: float) -> None:
        """Learn between what bounds requests took on average."""
        self._means.append((max(0.0, low), max(0.0, high)))
        self._weigh()

    def _weigh(self) -> None:
        singles, means = sorted(self._singles), self._means
        self.is_known = self.is_known or len(singles) >= ENOUGH or bool(means)
        highest = max((high for _, high in means), default=0.0)
        if not singles:
            self.high = highest
            return
        self.high = singles[math.ceil(_SHARE * len(singles)) - 1]
        average = sum(singles) / len(singles)
        if means and average > 0:
            surely = max(low for low, _ in means)
            level = surely if surely > average else min(highest, average)
            self.high *= min(_FARTHEST, max(1 / _FARTHEST, level / average))
