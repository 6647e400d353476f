"""What a request takes of a budget that counts other units than requests, learned.

A sample is the drop of what remains, and what came back meanwhile, by the own requests that the
server counted between two responses; only where their number is known:

* nothing else was in flight at either of them: the requests in between. One alone is a cost as it
  is, several are their mean;
* with others always in flight, over so many requests that it does not matter which of those few
  were counted. The fewest that they can have been make it an upper bound of the mean.

Single costs show how far costs are spread, means how high they are now.
"""

import math
from collections import deque

ENOUGH = 3
"""Samples until which requests go one at a time."""

_KEPT = 32
"""Single costs that are remembered."""

_SHARE = 0.95
"""Of the single costs, those that are not above the learned cost."""

_FARTHEST = 16.0
"""How many times higher or lower than the single costs a mean can make the learned cost."""


class LearnedCost:
    """The cost of one kind of request in one unit.

    Attributes:
        is_known: There are enough samples.
        high: A high quantile of what a request takes, at the present level; 0 while unknown.
        least: The least that any took.
    """

    __slots__ = ("_mean", "_singles", "high", "is_known", "least")

    def __init__(self) -> None:
        self._singles: deque[float] = deque(maxlen=_KEPT)
        self._mean: float | None = None
        self.high = 0.0
        self.least = math.inf
        self.is_known = False

    def add(self, cost: float) -> None:
        """Learn what one request took; it shows the present level, too."""
        self._singles.append(max(0.0, cost))
        self._mean = None
        self._weigh()

    def add_bound(self, cost: float) -> None:
        """Learn what one request took at the most."""
        self._singles.append(cost)
        self._weigh()

    def add_mean(self, cost: float) -> None:
        """Learn what requests took on average, or less than that."""
        self._mean = max(0.0, cost)
        self._weigh()

    def _weigh(self) -> None:
        singles, mean = sorted(self._singles), self._mean
        self.is_known = self.is_known or len(singles) >= ENOUGH or mean is not None
        if not singles:
            self.high = self.least = mean or 0.0
            return
        self.least = singles[0]
        self.high = singles[math.ceil(_SHARE * len(singles)) - 1]
        average = sum(singles) / len(singles)
        if mean is not None and average > 0:
            self.high *= min(_FARTHEST, max(1 / _FARTHEST, mean / average))
