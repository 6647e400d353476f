"""When the units go that are kept back near a window's end: each is a probe.

They are released one by one between the nominal and the latest end of the window. Such a probe
cannot be refused, and the first that meets the new window opens it. That also keeps a sliding
counter from being asked when it has nothing to give.
"""

import math

from .windows import BUCKET, FIXED, LOG, MAX_PROBES, TRICKLING, WindowEnd

_MAX_HELD = 3


class ProbeSchedule:
    """One policy's probes, for the window that ends at ``end``.

    Attributes:
        end: When the window ends.
        next_trickle: When one more of the units kept back may go although none is due.
    """

    __slots__ = ("_kind", "_limit", "_span", "_unit_time", "end", "next_trickle")

    def __init__(self) -> None:
        self.end = WindowEnd(math.inf, math.inf, math.inf)
        self.next_trickle = -math.inf
        self._kind = ""
        self._limit: int | None = None
        self._span = self._unit_time = 0.0

    def plan(
        self, end: WindowEnd, kind: str, limit: int | None, span: float, unit_time: float
    ) -> None:
        """Plan for a window.

        Args:
            end: When it ends.
            kind: What kind of window it is.
            limit: Its units.
            span: Its seconds.
            unit_time: Seconds in which about one unit comes back.
        """
        self.end = end
        self._kind, self._limit, self._span, self._unit_time = kind, limit, span, unit_time

    def held(self, now: float) -> int:
        """Return how many units are kept back now."""
        kept = self.kept()
        return sum(now < self._release_at(unit, kept) for unit in range(kept))

    def next_step(self, now: float) -> float:
        """Return when the next unit that is kept back is released."""
        kept = self.kept()
        steps = (self._release_at(unit, kept) for unit in range(kept))
        return next((at for at in steps if at > now), self.end.high)

    def trickle(self, now: float, left: int) -> None:
        """Note that one went out of the units kept back; ``left`` are left."""
        if self._kind in TRICKLING and left < self.held(now):
            self.next_trickle = now + (self._unit_time if left >= 1 else 2.5 * self._unit_time)

    def kept(self) -> int:
        """Return how many units are kept back as probes.

        A probe costs its unit's time, 1 / rate, in every window; k of them shorten the wait for
        a reset that is uncertain by d to d / (k + 1). So k grows with the root of d * rate.
        """
        limit = self._limit
        if limit is None or limit < 2 or self._kind == BUCKET:
            return 0
        uncertain = min(self.end.high - self.end.nominal, 2.0)
        worth = uncertain * limit / self._span if self._span > 0 else 0.0
        probes = min(MAX_PROBES, limit // 10, int(math.sqrt(worth))) if worth >= 2 else 0
        if self._kind in (FIXED, LOG):
            return probes
        return max(probes, min(_MAX_HELD, max(1, limit // 10)))

    def _release_at(self, unit: int, kept: int) -> float:
        start, end = self.end.nominal, self.end.high
        step = (end - start) / kept
        if self._kind in (FIXED, LOG):
            return start + unit * step
        # A sliding counter gives one back at a time, and only past its reset: a probe that finds
        # nothing left there would have everybody wait for the next.
        return start + step + unit * max(step, self._unit_time)
