"""One rate limit on requests of one scope: what is left of it, and when more is certain.

1. The evidence bounds what is left (``evidence``), and stays good past its reset.
2. Only past the latest end of the window is more certain to be there (``window_estimate``), and
   then one unit: never "full at reset". Exactly one request goes, the probe.
3. A few units are kept back and released near that end, one by one (``probes``).
4. A token bucket, once it is recognised, needs none of that (``token_bucket``).
5. Where others spend of the same window, a part of it is left to them (``share``).
"""

import math
from collections import deque

from ...headers import REQUESTS, RateLimit
from ...headers.server_clock import ServerClock
from ..admission import OPEN, PROBE, Admission
from ..reasons import EXHAUSTED
from .evidence import Evidence
from .lag import Lag
from .nodes import Nodes
from .probes import ProbeSchedule
from .refill import SHORTEST, RefillMeasure
from .repeats import RepeatCache
from .share import Share
from .short_windows import ShortWindow
from .token_bucket import Bucket
from .window_estimate import WindowEstimate
from .windows import (
    BUCKET,
    FIXED,
    GUARD,
    INDETERMINATE,
    LOG,
    MAX_PROBES,
    SETTLED,
    SLIDING_COUNTER,
    TRICKLING,
    ResetInterval,
    WindowEnd,
    make_end,
)

_BOUNDARY_UNITS = 1.25
"""A sliding counter gives nothing at its reset: wait for this many units' worth more. The former
window's L requests lose one unit's weight in window / L."""

_APART = 1.5
"""Seconds between the ends of windows that certainly are two, though they are rounded."""

_NEVER = WindowEnd(math.inf, math.inf, math.inf)


def _held_until(retry_at: float) -> Admission:
    return Admission(False, EXHAUSTED, retry_at)


class Quota:
    """What is known of one policy that counts requests. Times are the driver's, in seconds.

    Attributes:
        unit: What it counts: requests.
        bucket: Its name, where the server gave one.
        limit: Units a window; None if unknown.
        window: Seconds of the window, where stated.
        reserve: Units kept back for others.
        processed: Responses, whether they mentioned it or not.
        penalty: Seconds by which the end of a window is doubted after refusals.
        unmentioned: Responses in a row that did not mention it.
        low_until: Until when it is not to be said again that it runs low.
        end: When the present window ends; never, if that is unknown.
    """

    unit = REQUESTS

    __slots__ = (
        "_bucket",
        "_is_exact",
        "_is_odd",
        "_lag",
        "_nodes",
        "_probes",
        "_refill",
        "_repeats",
        "_share",
        "_short",
        "_silent_at",
        "_unseen",
        "_window",
        "bucket",
        "end",
        "evidence",
        "limit",
        "low_until",
        "penalty",
        "processed",
        "reserve",
        "unmentioned",
        "window",
    )

    def __init__(self, bucket: str | None = None) -> None:
        self.bucket = bucket
        self.limit: int | None = None
        self.window: float | None = None
        self.reserve = 0
        self.penalty = 0.0
        self.unmentioned = 0
        self.low_until = -math.inf
        self.end = _NEVER
        self.evidence = Evidence()
        self._window = WindowEstimate()
        self._refill = RefillMeasure()
        self._probes = ProbeSchedule()
        self._repeats = RepeatCache()
        self._bucket = Bucket()
        self._short = ShortWindow()
        self._lag = Lag()
        self._nodes = Nodes()
        self._share = Share()
        self._is_exact = True  # neither a short window nor a server that may say too much
        self._is_odd = False
        self._silent_at: deque[float] = deque()
        self._unseen = 0
        self.processed = 0

    @property
    def kind(self) -> str:
        """What kind of window it is, of ``windows``."""
        return self._window.kind

    @property
    def remaining(self) -> int:
        """The least that the evidence says is left."""
        return self.evidence.remaining

    @property
    def has_evidence(self) -> bool:
        """Whether any response said what is left since the last refusal."""
        return bool(self.evidence.remaining_window)

    @property
    def is_low(self) -> bool:
        """Whether so little is left that each response is looked at as a whole."""
        return self.evidence.remaining <= self._repeats.low_mark

    # What a response says.

    def observe(
        self,
        announced: RateLimit,
        sent: float,
        received: float,
        clock: ServerClock,
        outstanding: int,
    ) -> None:
        """Learn from a response's headers; ``outstanding`` units are in flight beside it."""
        evidence, window = self.evidence, self._window
        self.unmentioned = 0
        self.processed += 1
        self._repeats.forbid()
        remaining, limit = announced.remaining, announced.limit
        if limit != self.limit:
            limit = self._take_limit(limit)
        if remaining is None or received < evidence.newest_sent:
            return  # no evidence, or older than what there is
        stated = self.window / limit if self.window and limit else 0.0
        reset = window.read_reset(announced, sent, received, clock, stated)
        kind = window.kind
        if window.learn(
            remaining,
            reset,
            received,
            limit=limit,
            outstanding=outstanding,
            end_low=self.end.low,
            is_late=sent < evidence.newest_sent,
        ):
            self.penalty = self.penalty / 2 if self.penalty > 0.01 else 0.0
        if self._is_odd or remaining + 1 >= (limit or math.inf):
            remaining, reset = self._look_closer(announced, remaining, reset, sent, received, clock)
        if window.kind != kind and window.kind in (LOG, SLIDING_COUNTER):
            self._refill.forget()
            self._probes.next_trickle = received + self._unit_time()
            if kind == FIXED and limit is not None and not self._share.rate:
                self._share.met(limit, remaining, reset, received, self.processed, window.span)
        if sent > evidence.newest_sent:
            evidence.newest_sent = sent
        if self._unseen:
            self._see(evidence.newest_sent)
        evidence.add(remaining, reset, received)
        if received - self._refill.measured_at >= SHORTEST:
            was_full = evidence.remaining + outstanding + 1 >= (limit or math.inf)
            self._refill.measure(
                self.processed, evidence.remaining, received, window.span, was_full=was_full
            )
        if limit is not None and announced.reset_in is not None:
            self._weigh(limit, remaining, reset, sent, received, outstanding)
        self._plan(evidence.resets[0][1])
        if announced.reset_at is not None and self._may_repeat:
            self._repeats.remember(announced, clock.version, received, self.end.low)

    @property
    def _may_repeat(self) -> bool:
        """Whether nothing but what remains is to be learned of responses that repeat the last."""
        kind = self._window.kind
        is_recognised = kind == FIXED or (kind != BUCKET and self._bucket.is_refuted)
        is_alone = len(self.evidence.resets) == 1 and not self._share.rate
        return is_recognised and is_alone and self._is_exact

    def _look_closer(
        self,
        announced: RateLimit,
        remaining: int,
        reset: ResetInterval,
        sent: float,
        received: float,
        clock: ServerClock,
    ) -> tuple[int, ResetInterval]:
        """See whether it is a short window, and whether too much is said to be left.

        Returns:
            What is left on the emptiest node, and when its window ends.
        """
        short, lag, window, limit = self._short, self._lag, self._window, self.limit or 0
        is_new = window.first_received == received
        if is_new:
            short.opened(limit, self.window, announced, reset, sent, received, clock)
        elif remaining == limit - 1:
            short.refuse()  # there are several counters, and their windows end one after the other
        if short.seconds is not None:
            short.answered(received, remaining)
            if window.kind == SLIDING_COUNTER:  # a log that was met in time gives but a part back
                window.distrust(LOG)
        if is_new and reset.nominal - self.end.nominal > max(_APART, window.span / 2):
            lag.begin()
        lag.observe(limit, remaining, sent, received)
        self._see(max(sent, self.evidence.newest_sent))
        nodes = self._nodes
        if nodes.is_looking:
            is_later = is_new and reset.nominal - self.end.nominal > window.span / 2
            before = self.processed - 1
            nodes.look(limit, self.evidence.remaining, before, received, is_later=is_later)
        if remaining == limit - 1 and not lag.is_suspected:
            nodes.opened(self.processed, reset, sent, received)
        self._is_exact = short.seconds is None and not lag.is_suspected and not nodes.are_known
        self._is_odd = nodes.is_looking or not self._is_exact
        if nodes.are_known and not lag.is_suspected:
            return nodes.emptiest(
                remaining, reset, received, gives_all=window.kind not in TRICKLING
            )
        return remaining, reset

    def repeat(
        self, announced: RateLimit, sent: float, received: float, version: int, outstanding: int
    ) -> int:
        """Learn from a response that differs from the one before in what remains alone.

        Returns:
            How many units may go without a look at anything; -1 if it is no such response, and
            nothing was learned.
        """
        evidence, last = self.evidence, self._repeats
        limit, remaining, *others = announced
        since = evidence.newest_sent
        if (
            not since <= received < last.until
            or limit != self.limit
            or others != last.others  # when it ends, and what it is about
            or remaining is None
            or remaining <= last.low_mark
            or version != last.clock_version
        ):
            return -1
        self.processed += 1
        if sent > since:
            evidence.newest_sent = since = sent
        if self._unseen:  # else it was mentioned by the response before, too
            self.unmentioned = 0
            self._see(since)
        window, resets = evidence.remaining_window, evidence.resets
        if window[-1][0] < since:  # sent when all others had come back, as where call follows call
            window.clear()
            window.append((received, remaining))
            resets[0] = received, resets[0][1]
            evidence.remaining = remaining
        else:
            remaining = evidence.repeat(remaining, received)
        credit = remaining - outstanding - self._unseen - self.reserve - MAX_PROBES
        return credit if credit > 0 else 0  # noqa: FURB136 - max() takes thrice as long

    def _take_limit(self, limit: int | None) -> int | None:
        """Take over a limit that is announced, if it is; return what it is now."""
        if limit is None:
            return self.limit
        if self.limit is not None:
            self._window.forget()
            self._refill.forget()
            self._bucket.reset()
        self.limit = limit
        return limit

    def _weigh(
        self,
        limit: int,
        remaining: int,
        reset: ResetInterval,
        sent: float,
        received: float,
        outstanding: int,
    ) -> None:
        """See whether it is a bucket, what is in it, and what others spend."""
        bucket, window, least = self._bucket, self._window, self.evidence.remaining
        if window.kind != FIXED:
            bucket.observe(limit, remaining, reset.low, reset.high, sent, received)
            surely = least - outstanding - self._unseen
            if bucket.is_known and bucket.refresh(limit, surely, remaining, sent, received):
                window.kind = BUCKET
            elif window.kind == BUCKET:
                window.kind = INDETERMINATE
                bucket.reset()
        self._share.observe(
            window.first_received,
            limit,
            remaining,
            least,
            reset,
            received,
            self.processed,
            outstanding,
            window.span,
        )

    def miss(self, received: float) -> None:
        """Count a response that did not mention this policy: it may have taken a unit."""
        self.processed += 1
        self._unseen += 1
        self._silent_at.append(received)

    def _see(self, newest_sent: float) -> None:
        """Count what was answered, and what the latest evidence may not include."""
        silent = self._silent_at
        while silent and silent[0] <= newest_sent:
            silent.popleft()
        self._unseen = len(silent) + self._lag.uncounted(newest_sent)

    def distrust(self, *, at_reset: bool) -> None:
        """Forget the evidence after a refusal; ``at_reset``: nothing comes back at a reset."""
        self.evidence.clear()
        self._repeats.forbid()
        self._lag.begin()
        self._see(math.inf)
        self._refill.restart()
        is_guess = self._short.refuse()
        is_counter = at_reset and not is_guess
        self._window.distrust(SLIDING_COUNTER if is_counter else INDETERMINATE)
        self._bucket.reset()
        self.penalty = min(1.0, self.penalty + 0.25)
        self.end = _NEVER

    def reopens(self, at: float) -> None:
        """Learn from a refusal without a reset when there is room again."""
        self._window.reopens(at)

    def suspect(self) -> None:
        """Learn that it refused a request though something was left by its own word."""
        self._lag.suspect()
        self._is_exact, self._is_odd = False, True

    def mark_low(self, units: float) -> None:
        """Look at each response as a whole when no more than these units are left."""
        self._repeats.low_mark = units

    def _plan(self, reset: ResetInterval) -> None:
        """Work out when the window ends, by the latest of the announced resets."""
        window = self._window
        high = reset.high + GUARD + self.penalty
        if window.kind == SLIDING_COUNTER:
            if self.evidence.remaining <= 0 and self.limit:
                high += _BOUNDARY_UNITS * window.span / self.limit
        elif self._short.seconds is not None:
            high = min(high, self._short.end())
        elif self.window is not None:
            # Whatever is fixed or a log gives a unit back a window after its first request.
            high = min(high, window.first_received + self.window + GUARD)
        low, nominal = reset.low, reset.nominal
        if high < nominal:
            low, nominal = min(low, high), high
        self.end = make_end((low, nominal, high))

    def _planned(self) -> ProbeSchedule:
        """Return the probes, by what is known now: few responses come while any is kept back."""
        window, probes = self._window, self._probes
        limit = None if self._short.seconds else self.limit
        probes.plan(self.end, window.kind, limit, window.span, self._unit_time())
        return probes

    # What may go.

    def fast_path_credit(self, outstanding: int) -> int:
        """Return how many units may go without a look at anything; 0 if unknown."""
        evidence = self.evidence
        if not evidence.remaining_window or self._window.kind == BUCKET:
            return 0
        if self._share.rate:  # how much is kept for others changes with time
            return 0
        credit = evidence.remaining - outstanding - self._unseen - self.reserve - MAX_PROBES
        return credit if credit > 0 else 0  # noqa: FURB136 - max() takes thrice as long

    def admit(self, now: float, outstanding: int, settles_at: float, cost: int = 1) -> Admission:
        """Return whether one more request may go.

        Args:
            now: The time.
            outstanding: Units of requests in flight, and of abandoned ones.
            settles_at: When all of them may be taken as counted by the server.
            cost: Units that it takes. More than the limit is treated as the limit.
        """
        if cost > 1 and self.limit:
            cost = min(cost, self.limit)
        left = self.left(outstanding)
        if self._share.rate and left >= cost:
            open_at = self._open_for_us_at(left - cost, outstanding + cost)
            if now < open_at:
                return _held_until(open_at)
        if left >= cost + MAX_PROBES:
            return OPEN
        probes = self._planned()
        if left - probes.held(now) >= cost:
            return OPEN
        kind = self.kind
        if kind == BUCKET and self.limit is not None:
            token_at = self._bucket.tokens_at(self.limit, self.reserve + cost, now)
            return OPEN if token_at <= now else _held_until(token_at + GUARD)
        if left < cost:
            return self._past_reset(now, outstanding, settles_at)
        retry_at = probes.next_step(now)
        if kind in TRICKLING:
            if now >= probes.next_trickle:
                return OPEN
            retry_at = min(retry_at, probes.next_trickle)
        return _held_until(retry_at)

    def started(self, now: float, outstanding: int, cost: int = 1) -> None:
        """Note that a request went: if it came out of the units kept back, pace the next."""
        self._share.started(cost)
        if self.limit is not None:
            self._bucket.take(self.limit, cost, now)
        if self.has_evidence:
            left = self.left(outstanding)
            if left < MAX_PROBES:  # no more are ever kept back
                self._planned().trickle(now, left)

    def _open_for_us_at(self, left: int, outstanding: int) -> float:
        """Return when no more than ``left`` units are kept for others who spend of the same."""
        if self.limit is None or self.kind == BUCKET or self._lag.is_suspected:
            return -math.inf  # what is counted late is not what others spend
        ours = self._share.ours(self.processed, outstanding)
        return self._share.open_at(ours, left, self.limit, self.end, self._window.span)

    def next_unit_at(self, now: float) -> float:
        """Return the time before which surely no unit comes back."""
        # A bucket's reset is when all is back: the next unit comes long before.
        is_bucket = self.kind == BUCKET or (self.kind != LOG and self._bucket.is_likely)
        return now if is_bucket else self.end.low

    def left(self, outstanding: int) -> int:
        """Return the units that are surely left, beside the reserve."""
        return self.evidence.remaining - outstanding - self._unseen - self.reserve

    def _unit_time(self) -> float:
        """Return the seconds in which about one unit comes back."""
        measured = self._refill.seconds_per_unit
        stated = self._window.span / self.limit / 0.97 if self.limit else 0.0
        return max(measured, stated) if self.kind == SLIDING_COUNTER else measured or stated

    def _past_reset(self, now: float, outstanding: int, settles_at: float) -> Admission:
        if now < self.end.high:
            return _held_until(self.end.high)
        # A probe that hangs may have taken what came back: allow for the next.
        if self.kind != FIXED:
            settles_at += max(0.0, 1.5 * self._unit_time() - SETTLED)
        elif self.limit is not None and outstanding >= self.limit:
            settles_at += self._window.span
        return _held_until(settles_at) if now < settles_at else PROBE
