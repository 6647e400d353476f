"""One rate limit that counts other units than requests: tokens, points, bytes.

A request takes as many of them as nobody knows before the server has counted it. So

1. what is left is the least that the evidence says (``evidence``), plus what surely came back since
   (``refill_rate``), less what own requests may have taken that it does not include (``spending``);
2. a request goes if its cost is left: what the dialect says, else the learned one
   (``cost_meter``), and no more than the limit. While nothing is learned they go one by one;
3. where it is not, the next goes when the bucket has refilled by that much, or past the latest end
   of the window; there, exactly one request goes and shows what came back, the probe.
"""

import math

from ...headers import RateLimit
from ...headers.server_clock import ServerClock
from ..admission import ANYONE, OPEN, PROBE, Admission
from ..in_flight import InFlight
from ..queue import Ticket
from ..reasons import COLD_START, EXHAUSTED
from .cost_meter import CostMeter
from .counted import Counted, CountedEvidence
from .refill_rate import RefillRate
from .spending import Spending, given_cost
from .window_estimate import WindowEstimate
from .windows import GUARD, SETTLED, ResetInterval, WindowEnd, make_end

STEP = 1.0
"""Seconds after which another request may go while costs are not known, without an answer."""

_GAPS = 12
"""Probes that the first gap between them leaves room for in a window whose reset is not announced;
each further gap is twice as long."""

_CALLS = 256
"""Refused calls that it is remembered of what they take."""

_NEVER = WindowEnd(math.inf, math.inf, math.inf)


class MeteredQuota:
    """What is known of one policy that counts other units. Times are the driver's, in seconds.

    Attributes:
        unit: What it counts.
        bucket: Its name, where the server gave one.
        limit: Units a window; None if unknown.
        window: Seconds of the window, where stated.
        costs: What requests take, learned.
        processed: Responses, whether they mentioned it or not.
        unmentioned: Responses in a row that did not mention it.
        low_until: Until when it is not to be said again that it runs low.
        end: When the present window ends, or a bucket is full; never, if that is unknown.
    """

    __slots__ = (
        "_base",
        "_in_flight",
        "_low_mark",
        "_opened_at",
        "_refill",
        "_refused",
        "_said",
        "_spending",
        "_window",
        "bucket",
        "costs",
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
        self.costs = CostMeter(in_flight.count, now)
        self.unmentioned = self.processed = 0
        self.low_until = -math.inf
        self.end = _NEVER
        self.evidence = CountedEvidence()
        self._in_flight = in_flight
        self._refill = RefillRate()
        self._window = WindowEstimate()
        self._spending = Spending()
        self._base = 0.0
        self._low_mark = 0.0
        self._opened_at = -math.inf
        self._refused: dict[int, float] = {}  # by the order of the call
        self._said: Counted | None = None

    # What a response says.

    @property
    def remaining(self) -> int:
        """The least that the evidence says is left."""
        return self.evidence.remaining

    @property
    def has_evidence(self) -> bool:
        """Whether any response said what is left."""
        return bool(self.evidence)

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
        self._said = None
        self.unmentioned = 0
        self.processed += 1
        if limit is not None and limit != self.limit:
            self.costs.interrupt()
            self.limit = limit
        if announced.cost is not None:
            self.costs.learned.add(announced.cost)
        if remaining is None or evidence.is_old(sent, received):
            return
        reset = self._read_reset(announced, remaining, sent, received, clock)
        self._learn_refill(announced, remaining)
        said = Counted(sent, received, remaining, reset)
        self._said = said if announced.cost is None else None  # nothing else is to be learned
        evidence.add(said)
        self._settle(received)
        self._base = evidence.at_zero(self._refill.per_second)
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
        gap, need = 0.0, self._need(ANYONE)
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
        spending, costs, said = self._spending, self.costs, self._said
        if not is_counted:
            self.gave_back(ticket, sent=False)
            return
        costs.answered(received)
        if self.unmentioned or not self.has_evidence:
            spending.abandon(ticket, lost=False)
            return
        spending.settle(ticket)
        self._refused.pop(ticket.order, None)
        if said is not None and not spending.given:
            costs.measure(said, self.limit, self._refill.per_second)

    def _settle(self, now: float) -> None:
        """Settle what was counted long ago; of what was lost, it is not known whether it was."""
        lost = self._spending.forget(self.evidence.newest_sent, now)
        if lost:
            self.costs.not_counted(lost)

    def explains(self, ticket: Ticket) -> bool:
        """Return whether what a refused request was to take was not left."""
        left = self.evidence.remaining
        return self.has_evidence and (left <= 0 or left < self._need(ticket))

    def refused(self, ticket: Ticket, wait: float | None, requested: int | None) -> None:
        """Learn what a request takes that it refused.

        Args:
            ticket: The request's.
            wait: Seconds that it is to wait, which in a bucket shows what it lacked.
            requested: What the server says that it takes.
        """
        if given_cost(ticket.units, self.unit) is not None:
            return
        back = self._refill.per_second * (wait or 0.0)
        takes = requested or self.evidence.remaining + max(1.0, back)
        self._refused[ticket.order] = takes
        if requested or back or takes > self.costs.learned.high:
            self.costs.learned.add(takes)
        while len(self._refused) > _CALLS:
            del self._refused[next(iter(self._refused))]

    def asks_too_much(self, ticket: Ticket) -> float:
        """Return what a request takes that is more than the limit; 0 if it is not."""
        need = given_cost(ticket.units, self.unit) or self._refused.get(ticket.order, 0)
        return need if self.limit is not None and need > self.limit else 0

    def distrust(self, *, at_reset: bool) -> None:
        """Forget the evidence after a refusal that nothing explains."""
        self.evidence.clear()
        self.costs.interrupt()
        self.end = _NEVER

    # What may go.

    def admit(self, now: float, ticket: Ticket) -> Admission:
        """Return whether one more request may go."""
        spending, limit = self._spending, self.limit
        self._settle(now)
        if given_cost(ticket.units, self.unit) is None and self.remaining > 0:
            at = self._trusted_at()
            if now < at or not self.costs.learned.is_known:
                return OPEN if now >= at else Admission(False, COLD_START, at)
        need = self._need(ticket)
        left = self._level(now) - self._reserved()
        if left >= need:
            return OPEN
        rate = self._refill.per_second
        if rate and (limit is None or need + self._reserved() <= limit):
            return _held_until(now + (need - left) / rate + GUARD)
        if now < self.end.high or (limit and need > limit):  # as a probe it could only be refused
            return _held_until(self.end.high)
        settles_at = self._in_flight.last_started_at + SETTLED if len(spending) else -math.inf
        return _held_until(settles_at) if now < settles_at else PROBE

    def _trusted_at(self) -> float:
        """Return when one more may go while little is known of costs."""
        in_flight, allowed = self._in_flight, self.costs.trusted
        return in_flight.last_started_at + STEP if in_flight.count >= allowed else -math.inf

    def _need(self, ticket: Ticket) -> float:
        """Return what a request takes, as far as it is known: of a learned cost the limit."""
        given = given_cost(ticket.units, self.unit)
        if given is not None:
            return given
        cost = self._refused.get(ticket.order) or self.costs.learned.high
        return max(1.0, min(cost, self.limit if self.limit is not None else math.inf))

    def _level(self, now: float) -> float:
        level = self._base + self._refill.per_second * now
        return min(level, self.limit) if self.limit is not None else level

    def _reserved(self) -> float:
        spending = self._spending
        return spending.given + spending.learned * self.costs.learned.high

    def left(self, outstanding: int) -> int:
        """Return the units that are left by the evidence, beside those reserved."""
        return math.floor(self.evidence.remaining - self._reserved())

    def started(self, ticket: Ticket) -> None:
        """Reserve what a request takes that goes."""
        given = given_cost(ticket.units, self.unit)
        self.costs.started(ticket.granted_at, is_given=given is not None)
        self._spending.start(ticket, given)

    def gave_back(self, ticket: Ticket, *, sent: bool) -> None:
        """Reserve nothing for a request that was not sent; else until the server has counted it."""
        if sent:
            self._spending.abandon(ticket, lost=True)
            return
        self.costs.not_counted(1)
        self._spending.settle(ticket)

    def fast_path_credit(self, outstanding: int) -> int:
        """Return how many units may go without a look at anything: none."""
        return 0

    def next_unit_at(self, now: float) -> float:
        """Return the time before which surely no unit comes back."""
        return now if self._refill.per_second else self.end.low


def _held_until(retry_at: float) -> Admission:
    return Admission(False, EXHAUSTED, retry_at)
