"""What kind of window a server keeps, and when it ends: learned from the resets it announces.

A reset is an interval: an integer epoch second R means (R - 1, R + 1) on the server's clock, and
that clock is known to an interval, too. The kind is judged at the first response with a later
reset: a window that gave everything back is fixed, one that gave a part back is not.
"""

import math

from ...headers import RateLimit
from ...headers.server_clock import ServerClock
from .hidden_resets import HiddenReset
from .windows import (
    BUCKET,
    FIXED,
    INDETERMINATE,
    LOG,
    LONGEST,
    SLIDING_COUNTER,
    ResetInterval,
    make_interval,
)
from .windows import UNKNOWN as UNKNOWN_KIND

_FIXED_VOTES = 2

_UNDATED = 3.0
"""Seconds after which a reset by a clock that is not known is not waited for any longer: ours may
be a minute off, and a refusal says what the server's shows."""

_FIRST_GAP, _MAX_GAP = 1.0, 60.0
"""Seconds between probes while a server says "none left" and not until when."""


class WindowEstimate:
    """One policy's window.

    Attributes:
        kind: Of ``windows``.
        span: The longest time to a reset that was announced, in seconds.
        first_received: When the first response of the present window came.
    """

    __slots__ = (
        "_finest",
        "_gap",
        "_hidden",
        "_reset_key",
        "_since_low",
        "_votes",
        "first_received",
        "kind",
        "span",
    )

    def __init__(self) -> None:
        self.kind = UNKNOWN_KIND
        self.span = 0.0
        self.first_received = math.inf
        self._finest = math.inf
        self._gap = 0.0
        self._hidden = HiddenReset()
        self._reset_key = -math.inf
        self._since_low = 0
        self._votes = 0

    def forget(self) -> None:
        """Start over: the limit has changed."""
        self.kind = UNKNOWN_KIND
        self.span = 0.0
        self._votes = 0

    def distrust(self, kind: str) -> None:
        """Take the window for another kind after a refusal."""
        self.kind = kind
        self._votes = 0

    def reopens(self, at: float) -> None:
        """Learn from a refusal without a reset when there is room again."""
        self._hidden.refused(at)

    def read_reset(
        self,
        announced: RateLimit,
        sent: float,
        received: float,
        clock: ServerClock,
        unit_time: float,
    ) -> ResetInterval:
        """Return when a response says that the window ends, in the driver's time.

        Args:
            announced: What its headers say.
            sent: When the request was sent.
            received: When the response came.
            clock: The server's.
            unit_time: Seconds a unit takes to come back, where that is stated; else 0.
        """
        # A server that writes fractions writes them always: its ".0" is as fine as its ".3".
        g = announced.granularity
        if g < self._finest:
            self._finest = g
        else:
            g = self._finest
        reset_in = announced.reset_in
        if reset_in is None:
            reset = self._without_reset(announced.remaining or 0, received, unit_time)
        else:
            self._gap = 0.0
            if announced.reset_at is None:
                low, high = sent + reset_in, received + reset_in
                nominal = (low + high) / 2
                reset = make_interval((nominal, low - g, nominal, high + g, g + received - sent))
            else:
                reset = _at_instant(announced.reset_at, reset_in, received, clock, g)
        latest = received + LONGEST
        if reset.high <= latest:
            return reset
        low, nominal = min(reset.low, latest), min(reset.nominal, latest)
        return reset._replace(low=low, nominal=nominal, high=latest)

    def _without_reset(self, remaining: int, received: float, unit_time: float) -> ResetInterval:
        end = self._hidden.observe(remaining, received)
        if end is not None:
            return ResetInterval(end, end, end, end, _FIRST_GAP)
        doubled = 2 * self._gap if remaining == 0 else 0.0
        self._gap = max(_FIRST_GAP, unit_time, min(_MAX_GAP, doubled))
        at = received + self._gap
        return ResetInterval(at, at, at, at, self._gap)

    def learn(
        self,
        remaining: int,
        reset: ResetInterval,
        received: float,
        *,
        limit: int | None,
        outstanding: int,
        end_low: float,
        is_late: bool,
    ) -> bool:
        """Learn from a response; return whether a window was seen to end as fixed ones do.

        Args:
            remaining: What it says is left.
            reset: When it says that the window ends.
            received: When it came.
            limit: Of the policy.
            outstanding: Units of requests in flight beside it.
            end_low: When the window before may have ended at the earliest.
            is_late: A request sent after this one was answered before.
        """
        key, before, slack = reset.key, self._reset_key, reset.slack
        span = reset.nominal - received
        if span > self.span:
            self.span = span
        if received >= end_low:
            self._since_low += 1
        is_fixed = False
        if key > before + slack:
            if before > -math.inf:
                mine = self._since_low + outstanding
                is_fixed = self._judge(remaining, received, mine, key - before, limit, end_low)
        elif key >= before - slack or is_late:
            return False  # the same window, or an old one
        self._reset_key = key
        self._since_low = 0
        self.first_received = received
        return is_fixed

    def _judge(
        self,
        remaining: int,
        received: float,
        mine: int,
        jump: float,
        limit: int | None,
        end_low: float,
    ) -> bool:
        """Judge what kind it is; return whether the window before ended as fixed ones do.

        Args:
            remaining: What the first response of the new window says is left.
            received: When it came.
            mine: How many requests of ours the new window may have counted already.
            jump: By how much the reset is later.
            limit: Of the policy.
            end_low: When the window before may have ended at the earliest.
        """
        if limit is None or self.kind == BUCKET or end_low == math.inf:
            return False  # after a refusal, when the window before is not known any more
        if received < end_low:
            self.kind = INDETERMINATE  # before it could have ended
            self._votes = 0
        elif remaining < limit - mine:  # it gave back a part only
            self.kind = SLIDING_COUNTER if jump > self.span / 2 else LOG
            self._votes = 0
        elif mine <= max(1, limit // 2) and not (limit == 1 and self.kind == SLIDING_COUNTER):
            self._votes += 1
            if self._votes >= _FIXED_VOTES:
                self.kind = FIXED
            return True
        return False


def _at_instant(
    reset_at: float, reset_in: float, received: float, clock: ServerClock, g: float
) -> ResetInterval:
    """Return the interval of a reset on the server's clock, which is precise to ``g`` seconds."""
    local = clock.to_local(reset_at, received)
    if local is None:  # all that is known is by our own clock, which may be wrong
        at = received + min(reset_in, _UNDATED)
        return ResetInterval(reset_at, received, at, at + g, 0.0)
    low, high = local
    return make_interval((reset_at, low - g, (low + high) / 2, high + g, 0.0))
