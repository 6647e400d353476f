"""One rate limit that counts other units than requests: tokens, points, bytes.

A request takes as many of them as nobody knows before the server has counted it. So

1. what is left is the least that the evidence says (``evidence``), plus what surely came back since
   (``refill_rate``), less what own requests may have taken that it does not include (``spending``);
2. a request goes if its cost is left: what the dialect says, else the learned one
   (``learned_cost``), and no more than the limit. While nothing is learned they go one by one;
3. where it is not, the next goes when the bucket has refilled by that much, or past the latest end
   of the window; there, exactly one request goes and shows what came back, the probe.
"""

import math
from collections import deque
from collections.abc import Mapping
from typing import NamedTuple

from ...headers import RateLimit
from ...headers.server_clock import ServerClock
from ..admission import OPEN, PROBE, Admission
from ..in_flight import InFlight
from ..queue import Ticket
from ..reasons import COLD_START, EXHAUSTED
from .evidence import Evidence
from .learned_cost import LearnedCost
from .refill_rate import RefillRate
from .spending import Spending, given_cost
from .window_estimate import WindowEstimate
from .windows import GUARD, SETTLED, ResetInterval, WindowEnd, make_end

STEP = 1.0
"""Seconds after which another request may go while costs are not known, without an answer."""

_GAPS = 12
"""Probes that the first gap between them leaves room for in a window whose reset is not announced;
each further gap is twice as long."""

_BLUR = 1.5
"""How many times more requests may have been counted than surely were, to learn a mean cost."""

_REMEMBERED = 256
"""Receipts by which it is known how many requests were in flight beside another."""

_NEVER = WindowEnd(math.inf, math.inf, math.inf)


class _Mark(NamedTuple):
    """A response that costs are measured from.

    Attributes:
        at: About when the server counted it.
        remaining: What it said is left.
        missing, reset_in: What would be back after so many seconds, as far as it is known.
        fewest, most: Own requests that the server had counted.
    """

    at: float
    remaining: int
    missing: int
    reset_in: float
    fewest: int
    most: int


class MeteredQuota:
    """What is known of one policy that counts other units. Times are the driver's, in seconds.

    Attributes:
        unit: What it counts.
        bucket: Its name, where the server gave one.
        limit: Units a window; None if unknown.
        window: Seconds of the window, where stated.
        cost: What a request takes, learned.
        processed: Responses, whether they mentioned it or not.
        unmentioned: Responses in a row that did not mention it.
        low_until: Until when it is not to be said again that it runs low.
        end: When the present window ends, or a bucket is full; never, if that is unknown.
    """

    __slots__ = (
        "_answered",
        "_answered_at",
        "_base",
        "_in_flight",
        "_low_mark",
        "_mark",
        "_opened_at",
        "_refill",
        "_sent",
        "_since",
        "_spending",
        "_window",
        "bucket",
        "cost",
        "end",
        "evidence",
        "limit",
        "low_until",
        "processed",
        "unit",
        "unmentioned",
        "window",
    )

    def __init__(self, unit: str, bucket: str | None, in_flight: InFlight, now: float) -> None:
        self.unit = unit
        self.bucket = bucket
        self.limit: int | None = None
        self.window: float | None = None
        self.cost = LearnedCost()
        self.unmentioned = self.processed = 0
        self.low_until = -math.inf
        self.end = _NEVER
        self.evidence = Evidence()
        self._in_flight = in_flight
        self._since = now
        self._refill = RefillRate()
        self._window = WindowEstimate()
        self._spending = Spending()
        self._base = 0.0
        self._low_mark = 0.0
        self._opened_at = -math.inf
        self._mark: _Mark | None = None
        self._sent = self._answered = 0
        self._answered_at: deque[float] = deque(maxlen=_REMEMBERED)

    # What a response says.

    @property
    def remaining(self) -> int:
        """The least that the evidence says is left."""
        return self.evidence.remaining

    @property
    def has_evidence(self) -> bool:
        """Whether any response said what is left."""
        return bool(self.evidence.remaining_window)

    @property
    def is_low(self) -> bool:
        """Whether so little is left that it is worth a log line."""
        return self.evidence.remaining <= self._low_mark

    def mark_low(self, units: float) -> None:
        """Take what is left for little when it is no more than these units."""
        self._low_mark = units

    def observe(
        self,
        announced: RateLimit,
        sent: float,
        received: float,
        clock: ServerClock,
        outstanding: int,
    ) -> None:
        """Learn from a response's headers, while its request is still among those in flight."""
        evidence, remaining, limit = self.evidence, announced.remaining, announced.limit
        self.unmentioned = 0
        self.processed += 1
        if limit is not None and limit != self.limit:
            if self.limit is not None:
                self._refill.forget()
                self._mark = None
            self.limit = limit
        if remaining is None or received < evidence.newest_sent:
            return  # no evidence, or older than what there is
        reset = self._read_reset(announced, remaining, sent, received, clock)
        self._learn_refill(announced, remaining)
        evidence.newest_sent = max(sent, evidence.newest_sent)
        evidence.add(remaining, reset, received)
        self._settle(received)
        rate = self._refill.per_second
        self._base = min(left - rate * at for at, left in evidence.remaining_window)
        self._plan(evidence.latest_reset, received)

    def _read_reset(
        self,
        announced: RateLimit,
        remaining: int,
        sent: float,
        received: float,
        clock: ServerClock,
    ) -> ResetInterval:
        """Return when a response says that the window ends; else when to probe."""
        gap, need = 0.0, self._need(None)
        if remaining > self.remaining + need or not self.has_evidence:
            self._opened_at = received
        if announced.reset_in is None:
            gap = (self.window or 0.0) / _GAPS
            if remaining < need:  # as good as none
                announced = announced._replace(remaining=0)
        return self._window.read_reset(announced, sent, received, clock, gap)

    def _learn_refill(self, announced: RateLimit, remaining: int) -> None:
        if self.limit is None or announced.reset_in is None:
            return
        # An instant was rounded, and the Date that it is measured from, too.
        error = announced.granularity + (1.0 if announced.reset_at is not None else 0.0)
        self._refill.observe(self.limit, remaining, announced.reset_in, error)

    def _plan(self, reset: ResetInterval, received: float) -> None:
        """Work out when the window ends: a whole window after it was opened, at the latest."""
        high = reset.high + GUARD
        if self.window is not None and self._opened_at + self.window > received:
            high = min(high, self._opened_at + self.window + GUARD)
        self.end = make_end((min(reset.low, high), min(reset.nominal, high), high))

    def miss(self, received: float) -> None:
        """Count a response that did not mention this policy."""
        self.processed += 1

    def answered(self, ticket: Ticket, sent: float, received: float, *, is_counted: bool) -> None:
        """Settle what was reserved for a request; learn what requests take.

        Args:
            ticket: The request's.
            sent: When it was sent.
            received: When it was answered.
            is_counted: The server counted it; a request that it refused took nothing.
        """
        spending, times = self._spending, self._answered_at
        is_mentioned = self.unmentioned == 0 and self.has_evidence
        if not is_counted:
            self.gave_back(ticket, sent=False)
            return
        if ticket.granted_at < self._since:
            self._sent += 1  # it went before there was a limit to count it against
        self._answered += 1
        times.append(received)
        if not is_mentioned:
            spending.abandon(ticket, lost=False)
            return
        spending.settle(ticket)
        if self.limit is None or spending.given:
            return
        beside = 0
        for at in reversed(times):
            if at <= sent:
                break
            beside += 1
        self._measure((sent + received) / 2, self._answered - beside + 1)

    def _settle(self, now: float) -> None:
        """Settle what was counted long ago; of what was lost, it is not known whether it was."""
        lost = self._spending.forget(self.evidence.newest_sent, now)
        if lost:
            self._sent -= lost
            self._mark = None

    def _measure(self, at: float, fewest: int) -> None:
        """Learn a cost from what is left now and what was left at an earlier response."""
        mark, limit, remaining = self._mark, self.limit or 0, self.evidence.remaining
        reset_in = max(0.0, self.evidence.latest_reset.nominal - at)
        here = _Mark(at, remaining, limit - remaining, reset_in, fewest, self._sent)
        if mark is None:
            self._mark = here
            return
        least, most = fewest - mark.most, self._sent - mark.fewest
        if most <= 0 or (most > least and most > _BLUR * least):
            if at - mark.at > max(mark.reset_in, STEP):
                self._mark = here  # what came back since is not known any more
            return
        self._mark = here
        back = self._came_back(mark, at - mark.at)
        spent = mark.remaining + back - remaining
        if spent < 0 or (most > 1 and at - mark.at > mark.reset_in):
            return
        if most == 1:
            self.cost.add(spent)
        else:
            self.cost.add_mean(spent / least)

    def _came_back(self, mark: _Mark, seconds: float) -> float:
        """Return about how many units came back, as in a bucket; no more than were missing."""
        rate = self._refill.per_second
        if rate:
            return rate * seconds
        return mark.missing * min(1.0, seconds / mark.reset_in) if mark.reset_in > 0 else 0.0

    def refused(self, units: Mapping[str, int] | None) -> bool:
        """Return whether it explains a refusal that mentions it: what was needed was not left."""
        need, left = self._need(units), self.evidence.remaining
        return self.has_evidence and (left <= 0 or left < need)

    def underrated(self) -> None:
        """Learn that a request was refused although its cost was left."""
        self.cost.add(self.evidence.remaining + 1)

    def distrust(self, *, at_reset: bool) -> None:
        """Forget the evidence after a refusal that nothing explains."""
        self.evidence.clear()
        self._mark = None
        self.end = _NEVER

    # What may go.

    def admit(self, now: float, units: Mapping[str, int]) -> Admission:
        """Return whether one more request may go; ``units`` are its costs, where they are given."""
        spending, limit = self._spending, self.limit
        self._settle(now)
        given = units.get(self.unit)
        if given is None and not self.cost.is_known and self.remaining > 0:
            return self._one_by_one(now)
        need = self._need(units)
        left = self._level(now) - self._reserved()
        if left >= need:
            return OPEN
        rate = self._refill.per_second
        if rate and (limit is None or need + self._reserved() <= limit):
            return _held_until(now + (need - left) / rate + GUARD)
        if now < self.end.high:
            return _held_until(self.end.high)
        settles_at = self._in_flight.last_started_at + SETTLED if len(spending) else -math.inf
        return _held_until(settles_at) if now < settles_at else PROBE

    def _one_by_one(self, now: float) -> Admission:
        at = self._in_flight.last_started_at + STEP
        if not self._in_flight.count or now >= at:
            return OPEN
        return Admission(False, COLD_START, at)

    def _need(self, units: Mapping[str, int] | None) -> float:
        given = given_cost(units, self.unit)
        if given is not None:
            return given
        return max(1.0, min(self.cost.high, self.limit if self.limit is not None else math.inf))

    def _level(self, now: float) -> float:
        level = self._base + self._refill.per_second * now
        return min(level, self.limit) if self.limit is not None else level

    def _reserved(self) -> float:
        spending = self._spending
        return spending.given + spending.learned * self.cost.high

    def left(self, outstanding: int) -> int:
        """Return the units that are left by the evidence, beside those reserved."""
        return math.floor(self.evidence.remaining - self._reserved())

    def started(self, ticket: Ticket) -> None:
        """Reserve what a request takes that goes."""
        given = given_cost(ticket.units, self.unit)
        self._sent += 1
        if given is not None:
            self._mark = None
        self._spending.start(ticket, given)

    def gave_back(self, ticket: Ticket, *, sent: bool) -> None:
        """Reserve nothing for a request that was not sent; else until the server has counted it."""
        if sent:
            self._spending.abandon(ticket, lost=True)
            return
        self._sent -= 1
        self._mark = None
        self._spending.settle(ticket)

    def fast_path_credit(self, outstanding: int) -> int:
        """Return how many units may go without a look at anything: none."""
        return 0

    def next_unit_at(self, now: float) -> float:
        """Return the time before which surely no unit comes back."""
        return now if self._refill.per_second else self.end.low


def _held_until(retry_at: float) -> Admission:
    return Admission(False, EXHAUSTED, retry_at)
