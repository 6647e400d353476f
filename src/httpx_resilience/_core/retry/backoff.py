"""How long to wait before a retry, and what it costs the retry budget."""

import math
from dataclasses import dataclass
from typing import Literal

from .. import checks

Jitter = Literal["equal", "full", "none"]

_FLOOR = 0.01
"""Seconds; a full jitter may draw zero, and a retry at once is a retry wasted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """How the retries of one error class are spaced, bounded and charged.

    Attributes:
        initial: Seconds before the first retry, before jitter; above 0.
        maximum: Seconds that no wait exceeds, unless the server asks for more; at least
            ``initial``.
        multiplier: Growth from one wait to the next; at least 1.
        jitter: ``"equal"`` draws from the upper half of the exponential, ``"full"`` from all of
            it, ``"none"`` takes it as it is.
        max_attempts: Attempts in all that may fail with this class, the original included; None
            leaves it to the call's own ``max_attempts``.
        cost: Tokens of the retry budget that one retry costs.

    Raises:
        TypeError: A field is of the wrong type.
        ValueError: A field is out of range; the message names it, its value and what is allowed.
    """

    initial: float = 0.5
    maximum: float = 20.0
    multiplier: float = 2.0
    jitter: Jitter = "equal"
    max_attempts: int | None = None
    cost: float = 1.0

    def __post_init__(self) -> None:
        checks.number("Backoff.initial", self.initial, low=0, above=True)
        checks.number("Backoff.maximum", self.maximum, low=self.initial)
        checks.number("Backoff.multiplier", self.multiplier, low=1)
        checks.one_of("Backoff.jitter", self.jitter, ("equal", "full", "none"))
        if self.max_attempts is not None:
            checks.integer("Backoff.max_attempts", self.max_attempts, low=1)
        checks.number("Backoff.cost", self.cost, low=0)

    def delay(self, attempt: int, rand: float) -> float:
        """Return the seconds to wait after failed attempt ``attempt`` (1 is the original).

        Equal jitter: half of the capped exponential is fixed, half random, so that no retry
        comes back at once (AWS, "Exponential Backoff and Jitter", 2015).

        Args:
            attempt: Number of the attempt that failed, from 1.
            rand: A uniform random number in [0, 1).

        Returns:
            Seconds: in the upper half of the capped exponential for equal jitter, at least 0.01
            for full jitter.

        >>> Backoff(initial=0.5, multiplier=3.0, maximum=20.0).delay(attempt=2, rand=0.5)
        1.125
        """
        capped = self._capped(attempt)
        if self.jitter == "equal":
            return capped / 2 + rand * capped / 2
        if self.jitter == "full":
            return max(_FLOOR, rand * capped)
        return capped

    def _capped(self, attempt: int) -> float:
        if self.multiplier == 1.0:
            return self.initial
        # Past this exponent the cap holds; so no power overflows, however many attempts there are.
        enough = math.log(self.maximum / self.initial) / math.log(self.multiplier)
        if attempt - 1 > enough:
            return self.maximum
        return min(self.maximum, self.initial * self.multiplier ** (attempt - 1))


def hinted_delay(hint: float, rand: float) -> float:
    """Return the seconds to wait where the server gave a time: never less, up to a tenth more.

    >>> hinted_delay(2.0, rand=0.5)
    2.1
    """
    return hint + rand * min(1.0, 0.1 * hint)
