"""One rate-limit policy of one scope: the evidence for what is left, and when more is certain.

1. The evidence is the responses received at or after the latest send time among received
   responses. ``true remaining >= min(remaining over the evidence) - in flight``: whichever
   response was processed last is among them, and what came after it is still in flight.
2. Evidence with units left stays good past its reset, for refills only add.
3. A reset is an interval: an integer epoch second R means (R - 1, R + 1) on the server's clock,
   and that clock is known to an interval, too. Only past its end is more certain to be there, and
   then one unit: never "full at reset".
4. A few units are kept back and released between the nominal and the latest end of the window,
   one by one: each is a probe that cannot be refused, and the first that meets the new window
   opens it. That also keeps a sliding counter from being asked when it has nothing to give.
"""

import math
from collections import deque

from ..headers import RateLimit
from ..serverclock import ServerClock
from .bucket import Bucket
from .kinds import (
    BUCKET,
    FIXED,
    LOG,
    LONGEST,
    MOVING,
    TRICKLING,
    UNKNOWN,
    WEIGHTED,
    Reset,
    Verdict,
)

GUARD = 0.002
"""Seconds past the latest possible reset, for the rounding of timers."""

SETTLED = 5.0
"""Seconds after which a request in flight is taken as counted by the server."""

_FIXED_VOTES = 2
_MAX_HELD = 3
MAX_PROBES = 10
_BOUNDARY_UNITS = 1.25
"""A sliding counter gives nothing at its reset: wait for this many units' worth more. The former
window's L requests lose one unit's weight in window / L."""

_REPEATS = 0.25
"""Seconds after which a response is looked at as a whole again, though it repeats the last one."""

_FIRST_GAP, _MAX_GAP = 1.0, 60.0
"""Seconds between scouts while a server says "none left" and not until when."""


_OPEN = Verdict(is_open=True)
_SCOUT = Verdict(is_open=True, is_scout=True)


class Ledger:
    """What is known of one policy. Times are the driver's, in seconds.

    Attributes:
        low_mark: Units; with no more than these left, each response is looked at as a whole.
    """

    __slots__ = (
        "_anchor",
        "_bucket",
        "_clock_version",
        "_drops",
        "_finest",
        "_first_received",
        "_fixed_votes",
        "_gap",
        "_newest_sent",
        "_next_trickle",
        "_processed",
        "_repeats_until",
        "_reset_key",
        "_resets",
        "_since_low",
        "_span",
        "_tau",
        "_told",
        "_unseen",
        "_unseen_at",
        "bucket",
        "kind",
        "limit",
        "low_mark",
        "low_told_until",
        "penalty",
        "remaining",
        "reserve",
        "reset_high",
        "reset_low",
        "reset_nominal",
        "unit",
        "unmentioned",
        "window",
    )

    def __init__(self, unit: str = "requests", bucket: str | None = None) -> None:
        self.unit = unit
        self.bucket = bucket
        self.limit: int | None = None
        self.remaining = 0
        self.window: float | None = None
        self.kind = UNKNOWN
        self.penalty = 0.0
        self.reserve = 0
        self.unmentioned = 0
        self.low_told_until = -math.inf
        self.reset_low = self.reset_nominal = self.reset_high = math.inf
        self._drops: deque[tuple[float, int]] = deque()
        self._resets: deque[tuple[float, Reset]] = deque()
        self._newest_sent = -math.inf
        self._reset_key = -math.inf
        self._finest = math.inf
        self._first_received = math.inf
        self._fixed_votes = 0
        self._since_low = 0
        self._span = 0.0
        self._unseen = 0
        self._unseen_at = -math.inf
        self._next_trickle = -math.inf
        self._tau = 0.0
        self._processed = 0
        self._anchor: tuple[float, int, int] | None = None
        self._bucket = Bucket()
        self._gap = 0.0
        self._told: tuple[object, ...] = ()
        self._repeats_until = -math.inf
        self._clock_version = -1
        self.low_mark: float = math.inf

    # What a response tells.

    def observe(
        self, told: RateLimit, sent: float, received: float, clock: ServerClock, outstanding: int
    ) -> None:
        """Learn from a response's headers; ``outstanding`` requests are in flight beside it."""
        self.unmentioned = 0
        self._processed += 1
        self._repeats_until = -math.inf
        if told.limit is not None and told.limit != self.limit:
            if self.limit is not None:
                self._forget_window()
            self.limit = told.limit
        if told.remaining is None or received < self._newest_sent:
            return  # no evidence, or an old story (rule 1)
        reset = self._read_reset(told, sent, received, clock)
        self._learn_window(told.remaining, reset, sent, received, outstanding)
        self._newest_sent = max(self._newest_sent, sent)
        if sent >= self._unseen_at:
            self._unseen = 0
        self._add(told.remaining, reset, received)
        self._measure_refill(received, outstanding)
        if self.limit is not None and self.is_counted and told.reset_in is not None:
            self._fill(self.limit, told.remaining, reset, sent, received, outstanding)
        self._plan()
        self._told = told[2:]
        self._clock_version = clock.version
        is_told_apart = self.kind == FIXED or (self.kind != BUCKET and self._bucket.is_refuted)
        is_alone = self.is_counted and len(self._resets) == 1 and told.reset_at is not None
        if is_told_apart and is_alone:
            self._repeats_until = min(self.reset_low, received + _REPEATS)

    def repeat(
        self, told: RateLimit, sent: float, received: float, version: int, outstanding: int
    ) -> int:
        """Learn from a response that differs from the one before in what remains alone.

        All there is to learn of it is how much that is, as long as that is plenty; the window, its
        end and its kind are as they were. A fifth of the time of ``observe``.

        Returns:
            How many units may go without a look at anything; -1 if it is no such response, and
            nothing was learned.
        """
        limit, remaining = told[0], told[1]
        since = self._newest_sent
        if (
            limit != self.limit
            or told[2:] != self._told  # when it ends, and what it is about
            or not since <= received < self._repeats_until
            or remaining is None
            or remaining <= self.low_mark
            or version != self._clock_version
        ):
            return -1
        self.unmentioned = 0
        self._processed += 1
        if sent > since:
            self._newest_sent = since = sent
        if self._unseen and sent >= self._unseen_at:
            self._unseen = 0
        drops, resets = self._drops, self._resets
        while drops:
            at, least = drops[-1]
            if received < at:
                received = at
            if least < remaining:
                break
            drops.pop()
        drops.append((received, remaining))
        while drops[0][0] < since:
            drops.popleft()
        resets[0] = received, resets[0][1]
        self.remaining = least = drops[0][1]
        ample = least - outstanding - self._unseen - self.reserve - MAX_PROBES
        return ample if ample > 0 else 0  # noqa: FURB136 - max() takes thrice as long

    def _fill(
        self,
        limit: int,
        remaining: int,
        reset: Reset,
        sent: float,
        received: float,
        outstanding: int,
    ) -> None:
        """See whether it is a bucket, and what is in it."""
        bucket = self._bucket
        if self.kind == FIXED:
            return
        bucket.observe(limit, remaining, reset.low, reset.high, sent, received)
        surely = self.remaining - outstanding - self._unseen
        if bucket.is_known and bucket.refresh(limit, surely, remaining, sent, received):
            self.kind = BUCKET
        elif self.kind == BUCKET:
            self.kind = MOVING
            bucket.reset()

    def miss(self, received: float) -> None:
        """Count a response that did not mention this policy: it may have taken a unit."""
        self._processed += 1
        self._unseen += 1
        self._unseen_at = received

    def distrust(self, *, at_reset: bool) -> None:
        """Forget the evidence after a refusal; ``at_reset``: nothing comes back at a reset."""
        self._drops.clear()
        self._resets.clear()
        self._repeats_until = -math.inf
        self._unseen = 0
        self._anchor = None
        self._fixed_votes = 0
        self.kind = WEIGHTED if at_reset else MOVING
        self._bucket.reset()
        self.remaining = 0
        self.penalty = min(1.0, self.penalty + 0.25)
        self.reset_low = self.reset_nominal = self.reset_high = math.inf

    @property
    def has_evidence(self) -> bool:
        """Whether any response told what is left since the last refusal."""
        return bool(self._drops)

    def _forget_window(self) -> None:
        self.kind = UNKNOWN
        self._bucket.reset()
        self._fixed_votes = 0
        self._span = self._tau = 0.0
        self._anchor = None

    def _read_reset(
        self, told: RateLimit, sent: float, received: float, clock: ServerClock
    ) -> Reset:
        reset, latest = self._told_reset(told, sent, received, clock), received + LONGEST
        if reset.high <= latest:
            return reset
        low, nominal = min(reset.low, latest), min(reset.nominal, latest)
        return reset._replace(low=low, nominal=nominal, high=latest)

    def _told_reset(
        self, told: RateLimit, sent: float, received: float, clock: ServerClock
    ) -> Reset:
        # A server that writes fractions writes them always: its ".0" is as fine as its ".3".
        g = self._finest = min(self._finest, told.granularity)
        if told.reset_in is None:
            rest = self.window / self.limit if self.window and self.limit else 0.0
            least = max(_FIRST_GAP, rest)
            doubled = 2 * self._gap if told.remaining == 0 else 0.0
            self._gap = max(least, min(_MAX_GAP, doubled))
            at = received + self._gap
            return Reset(at, at, at, at, self._gap)
        self._gap = 0.0
        if told.reset_at is not None:
            local = clock.to_local(told.reset_at, received)
            if local is not None:
                low, high = local
                return Reset(told.reset_at, low - g, (low + high) / 2, high + g, 0.0)
        low, high = sent + told.reset_in, received + told.reset_in
        nominal = (low + high) / 2
        return Reset(nominal, low - g, nominal, high + g, g + received - sent)

    def _learn_window(
        self, remaining: int, reset: Reset, sent: float, received: float, outstanding: int
    ) -> None:
        self._span = max(self._span, reset.nominal - received)
        if received >= self.reset_low:
            self._since_low += 1
        is_first = self._reset_key == -math.inf
        if is_first or reset.key > self._reset_key + reset.slack:
            if not is_first:
                jump = reset.key - self._reset_key
                self._judge(remaining, received, self._since_low + outstanding, jump)
        elif reset.key >= self._reset_key - reset.slack or sent < self._newest_sent:
            return  # the same window, or an old one
        self._reset_key = reset.key
        self._since_low = 0
        self._first_received = received

    def _judge(self, remaining: int, received: float, mine: int, jump: float) -> None:
        """Tell a fixed window from a moving one at the first response with a later reset.

        Args:
            remaining: What that response says is left.
            received: When it came.
            mine: How many requests of ours the new window may have counted already.
            jump: By how much the reset is later.
        """
        if self.limit is None or self.kind == BUCKET or self.reset_low == math.inf:
            return  # after a refusal, when the window before is not known any more
        if received < self.reset_low:
            self.kind = MOVING  # before it could have ended
            self._fixed_votes = 0
        elif remaining < self.limit - mine:  # it gave back a part only
            kind = WEIGHTED if jump > self._span / 2 else LOG
            if kind != self.kind:
                self.kind, self._tau, self._anchor = kind, 0.0, None
                self._next_trickle = received + self._unit_time()
            self._fixed_votes = 0
        elif mine <= max(1, self.limit // 2) and not (self.limit == 1 and self.kind == WEIGHTED):
            self._fixed_votes += 1
            if self._fixed_votes >= _FIXED_VOTES:
                self.kind = FIXED
            self.penalty = self.penalty / 2 if self.penalty > 0.01 else 0.0

    def _add(self, remaining: int, reset: Reset, received: float) -> None:
        """Add to the evidence: two queues whose heads are its least remaining, its latest reset."""
        drops, resets, since = self._drops, self._resets, self._newest_sent
        if drops:
            received = max(received, drops[-1][0])  # told late: keep it longer rather than shorter
        while drops and drops[-1][1] >= remaining:
            drops.pop()
        drops.append((received, remaining))
        while drops[0][0] < since:
            drops.popleft()
        while resets and resets[-1][1].high <= reset.high:
            resets.pop()
        resets.append((received, reset))
        while resets[0][0] < since:
            resets.popleft()
        self.remaining = drops[0][1]

    def _measure_refill(self, received: float, outstanding: int) -> None:
        if self._anchor is None:
            self._anchor = received, self._processed, self.remaining
            return
        at, processed, remaining = self._anchor
        if received - at < 0.5:
            return
        returned = (self._processed - processed) - (remaining - self.remaining)
        was_full = self.remaining + outstanding + 1 >= (self.limit or math.inf)
        if returned > 0 and not (was_full and received - at > self._span):  # some may be lost then
            measured = (received - at) / (0.97 * returned)
            self._tau = measured if not self._tau else (self._tau + measured) / 2
        self._anchor = received, self._processed, self.remaining

    def _plan(self) -> None:
        reset = self._resets[0][1]
        high = reset.high + GUARD + self.penalty
        if self.kind == WEIGHTED:
            if self.remaining <= 0 and self.limit:
                high += _BOUNDARY_UNITS * self._span / self.limit
        elif self.window is not None:
            # Whatever is fixed or a log gives a unit back a window after its first request.
            high = min(high, self._first_received + self.window + GUARD)
        self.reset_high = high
        self.reset_low = min(reset.low, high)
        self.reset_nominal = min(reset.nominal, high)

    # What may go.

    def ample(self, outstanding: int) -> int:
        """Return how many units may go without a look at anything; 0 if there is no telling."""
        if not self._drops or self.kind == BUCKET or not self.is_counted:
            return 0
        return self.left(outstanding) - MAX_PROBES

    def verdict(self, now: float, outstanding: int, settles_at: float, cost: int = 1) -> Verdict:
        """Say whether one more request may go.

        Args:
            now: The time.
            outstanding: Requests in flight, and ghosts.
            settles_at: When all of them may be taken as counted by the server.
            cost: Units that it takes. More than the limit is treated as the limit.
        """
        if cost > 1 and self.limit:
            cost = min(cost, self.limit)
        if not self.is_counted:
            if self.remaining > 0:
                return _OPEN
            return self._past_reset(now, outstanding, settles_at)
        left = self.left(outstanding)
        if left >= cost + MAX_PROBES or left - self._held(now) >= cost:
            return _OPEN
        if self.kind == BUCKET and self.limit is not None:
            token_at = self._bucket.tokens_at(self.limit, self.reserve + cost, now)
            return _OPEN if token_at <= now else Verdict(is_open=False, wake_at=token_at + GUARD)
        if left < cost:
            return self._past_reset(now, outstanding, settles_at)
        wake_at = self._next_step(now)
        if self.kind in TRICKLING:
            if now >= self._next_trickle:
                return _OPEN
            wake_at = min(wake_at, self._next_trickle)
        return Verdict(is_open=False, wake_at=wake_at)

    def took(self, now: float, outstanding: int, cost: int = 1) -> None:
        """Note that a request went: if it came out of the units kept back, pace the next."""
        if self.limit is not None:
            self._bucket.take(self.limit, cost, now)
        if not self._drops or self.kind not in TRICKLING or not self.is_counted:
            return
        left = self.left(outstanding)
        if left >= MAX_PROBES or left >= self._held(now):
            return
        tau = self._unit_time()
        self._next_trickle = now + (tau if left >= 1 else 2.5 * tau)

    def _unit_time(self) -> float:
        """Return the seconds in which about one unit comes back."""
        stated = self._span / self.limit / 0.97 if self.limit else 0.0
        return max(self._tau, stated) if self.kind == WEIGHTED else self._tau or stated

    def next_unit_at(self, now: float) -> float:
        """Return the time before which surely no unit comes back."""
        # A bucket's reset is when all is back: the next unit comes long before.
        is_bucket = self.kind == BUCKET or (self.kind != LOG and self._bucket.is_likely)
        return now if is_bucket else self.reset_low

    def left(self, outstanding: int) -> int:
        """Return the units that are surely left, beside the reserve."""
        return self.remaining - outstanding - self._unseen - self.reserve

    @property
    def is_counted(self) -> bool:
        """Whether requests take units of it; other units only block while none is left."""
        return self.unit == "requests"

    def _past_reset(self, now: float, outstanding: int, settles_at: float) -> Verdict:
        if now < self.reset_high:
            return Verdict(is_open=False, wake_at=self.reset_high)
        # A scout that hangs may have taken what came back: allow for the next.
        if self.kind != FIXED:
            settles_at += max(0.0, 1.5 * self._unit_time() - SETTLED)
        elif self.limit is not None and outstanding >= self.limit:
            settles_at += self._span
        if now < settles_at:
            return Verdict(is_open=False, wake_at=settles_at)
        return _SCOUT

    def _kept(self) -> int:
        """Return how many units are kept back as probes.

        A probe costs its unit's time, 1 / rate, in every window; k of them shorten the wait for
        a reset that is uncertain by d to d / (k + 1). So k grows with the root of d * rate.
        """
        limit = self.limit
        if limit is None or limit < 2 or self.kind == BUCKET:
            return 0
        uncertain = min(self.reset_high - self.reset_nominal, 2.0)
        worth = uncertain * limit / self._span if self._span > 0 else 0.0
        probes = min(MAX_PROBES, limit // 10, int(math.sqrt(worth))) if worth >= 2 else 0
        if self.kind in (FIXED, LOG):
            return probes
        return max(probes, min(_MAX_HELD, max(1, limit // 10)))

    def _held(self, now: float) -> int:
        """Return how many units are kept back now."""
        kept = self._kept()
        return sum(now < self._release_at(unit, kept) for unit in range(kept))

    def _next_step(self, now: float) -> float:
        """Return when the next unit that is kept back is released."""
        kept = self._kept()
        steps = (self._release_at(unit, kept) for unit in range(kept))
        return next((at for at in steps if at > now), self.reset_high)

    def _release_at(self, unit: int, kept: int) -> float:
        start, end = self.reset_nominal, self.reset_high
        step = (end - start) / kept
        if self.kind in (FIXED, LOG):
            return start + unit * step
        # A sliding counter gives one back at a time, and only past its reset: a probe that finds
        # nothing left there would have everybody wait for the next.
        return start + step + unit * max(step, self._unit_time())
