"""A time in which a server that limits in silence accepts nothing, and when to look for its end."""

import math

_FIRST = 0.05
"""Seconds from a spell's beginning to its first probe, about a round trip."""

_TURNS, _GROWTHS = 8.0, (0.35, 2.0)
"""Of a spell, times the calls that were refused at once: the share that a probe is later than the
one before; and its bounds. Each probe that is refused costs a call one of its few attempts: so a
spell of a minute takes each of five or of twenty calls about two."""

_STALE = 5.0
"""Seconds without any request, beside the longest time between two probes, after which a spell is
over: what happened meanwhile is not known."""

_COMMON = (1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0)
"""Lengths of windows that are common: a probe right after one of them finds most windows' ends."""

_SETTLED = 1.0
"""Seconds after which the answer to a probe is not waited for."""


class DrySpell:
    """From a refusal, or from when all went that may go, until something is accepted.

    Attributes:
        begun_at: When the first was sent that was refused, or when nothing was left.
        heard_at: When that was known: whoever was sent before was sent in good faith.
        refused_at: When the last was sent that was refused; before all time if none was.
        probe_at: When the next probe may go.
    """

    __slots__ = ("_herd", "_probed_at", "_since", "begun_at", "heard_at", "probe_at", "refused_at")

    def __init__(self, begun_at: float, heard_at: float, since: float, *, is_refused: bool) -> None:
        self.begun_at = begun_at
        self.heard_at = heard_at
        self.refused_at = begun_at if is_refused else -math.inf
        self.probe_at = -math.inf
        self._probed_at = -math.inf
        self._herd = 1
        self._since = since

    @property
    def proven(self) -> float:
        """Seconds from its first to its last refusal."""
        return max(0.0, self.refused_at - self.begun_at)

    @property
    def retry_at(self) -> float:
        """When to ask again: no two probes at a time."""
        return max(self.probe_at, self._probed_at + _SETTLED)

    def is_stale(self, now: float) -> bool:
        """Return whether nobody asked for so long that a refusal now begins another spell."""
        return now - self.refused_at > _STALE + 2.0 * _GROWTHS[1] * self.proven

    def probed(self, now: float) -> None:
        """Note that a probe went."""
        self._probed_at = now

    def refused(self, sent: float) -> None:
        """Note one more refusal."""
        self._herd += sent <= self.heard_at
        self.refused_at = max(self.refused_at, sent)
        if sent >= self._probed_at:
            self._probed_at = -math.inf

    def later(self) -> float:
        """Return when to probe next where nothing is known of its end."""
        least, most = _GROWTHS
        growth = 1.0 + min(most, max(least, _TURNS / self._herd))
        at = self.begun_at + max(_FIRST, growth * self.proven)
        for length in _COMMON:
            if self.refused_at < self._since + length < at:
                return self._since + length
        return at
