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
from bisect import bisect_right
from typing import NamedTuple

from ...headers import RateLimit
from ...headers.server_clock import ServerClock
from ..admission import ANYONE, OPEN, PROBE, Admission
from ..in_flight import InFlight
from ..queue import Ticket
from ..reasons import COLD_START, EXHAUSTED
from .counted import JITTER, Counted, CountedEvidence
from .learned_cost import LearnedCost
from .refill_rate import RefillRate
from .spending import Spending, given_cost
from .window_estimate import WindowEstimate
from .windows import GUARD, SETTLED, ResetInterval, WindowEnd, make_end

TRUSTED = 16
"""Answers until which no more requests are in flight than there were answers."""

STEP = 1.0
"""Seconds after which another request may go while costs are not known, without an answer."""

_GAPS = 12
"""Probes that the first gap between them leaves room for in a window whose reset is not announced;
each further gap is twice as long."""

_BLUR, _FIRST_BLUR = 1.5, 3.0
"""How many times more requests may have been counted than surely were, to learn a mean cost; while
nothing is known."""

_SMALL = 8
"""In how many parts of the limit what is missing is one at the most, to stand for a cost."""

_CALLS = 256
"""Refused calls that it is remembered of what they take."""

_REMEMBERED = 256
"""Sends and receipts by which it is known how many requests were in flight beside another."""

_NEVER = WindowEnd(math.inf, math.inf, math.inf)


class _Mark(NamedTuple):
    """A response that costs are measured from.

    Attributes:
        at: About when the server counted it.
        remaining: What it said is left.
        missing, reset_in: What would be back after so many seconds, as far as it is known.
        ends_at: When that would be, by its announcement.
        error: Seconds by which that may be wrong.
        fewest, most: Own requests that the server had counted.
    """

    at: float
    remaining: int
    missing: int
    reset_in: float
    ends_at: float
    error: float
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
        "_refused",
        "_said",
        "_sent",
        "_sent_at",
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
        self.evidence = CountedEvidence()
        self._in_flight = in_flight
        self._refill = RefillRate()
        self._window = WindowEstimate()
        self._spending = Spending()
        self._base = 0.0
        self._low_mark = 0.0
        self._opened_at = -math.inf
        self._refused: dict[int, float] = {}  # by the order of the call
        self._mark: _Mark | None = None
        self._sent = 1 + in_flight.count  # those went before there was a limit to count against
        self._answered = 0
        self._since = now + JITTER if in_flight.count else -math.inf
        self._answered_at: list[float] = []
        self._sent_at: list[float] = []
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
            if self.limit is not None:
                self._refill.forget()
                self._mark = None
            self.limit = limit
        if remaining is None or evidence.is_old(sent, received):
            return
        reset = self._read_reset(announced, remaining, sent, received, clock)
        self._learn_refill(announced, remaining)
        self._said = said = Counted(sent, received, remaining, reset)
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
        spending = self._spending
        is_mentioned = self.unmentioned == 0 and self.has_evidence
        if not is_counted:
            self.gave_back(ticket, sent=False)
            return
        self._answered += 1
        _note(self._answered_at, received)
        if not is_mentioned:
            spending.abandon(ticket, lost=False)
            return
        spending.settle(ticket)
        self._refused.pop(ticket.order, None)
        if self.limit is None or spending.given:
            return
        said = self._said
        if said is not None and sent >= self._since:
            self._measure(said)

    def _settle(self, now: float) -> None:
        """Settle what was counted long ago; of what was lost, it is not known whether it was."""
        lost = self._spending.forget(self.evidence.newest_sent, now)
        if lost:
            self._sent -= lost
            self._mark = None

    def _measure(self, said: Counted) -> None:
        """Learn a cost from what a response says is left, and what an earlier one said."""
        mark, here = self._mark, self._here(said)
        if mark is None:
            self._mark = here
            return
        least, most, seconds = here.fewest - mark.most, here.most - mark.fewest, here.at - mark.at
        if seconds < 0 or most <= 0:
            return
        rate = self._refill.per_second
        blur = _BLUR if self._answered >= TRUSTED else _FIRST_BLUR
        if most > max(1, blur * least):
            if not rate and seconds > max(mark.reset_in, STEP):
                self._mark = here  # what came back since is not known any more
            self._bound(here.missing)
            return
        self._mark = here
        spent = mark.remaining - here.remaining + self._came_back(mark, here)
        if spent < 0:
            return
        if most == 1:
            self.cost.add(spent)
        elif seconds * (rate or 1.0) <= (mark.missing if rate else mark.reset_in):
            self.cost.add_mean(spent / most, spent / least)
        else:  # something may have come back for which there was no room
            self._bound(here.missing)

    def _bound(self, missing: int) -> None:
        """Learn that what a request took is among what is missing, where that says anything."""
        known, limit = self.cost, self.limit or 0
        if missing < known.high if known.is_known else missing * _SMALL <= limit:
            known.add_bound(missing)

    def _here(self, said: Counted) -> _Mark:
        sent, received, remaining, reset = said
        at = (sent + min(received, sent + JITTER)) / 2
        beside = len(self._answered_at) - bisect_right(self._answered_at, sent)
        most = self._sent - len(self._sent_at) + bisect_right(self._sent_at, sent + JITTER)
        before = self._sent - len(self._sent_at) + bisect_right(self._sent_at, sent - JITTER)
        return _Mark(
            at,
            remaining,
            (self.limit or 0) - remaining,
            max(0.0, reset.nominal - at),
            reset.nominal,
            (reset.high - reset.low) / 2,
            min(most, max(self._answered - beside, before) + 1),
            most,
        )

    def _came_back(self, mark: _Mark, here: _Mark) -> float:
        """Return about how many units came back since; no more than were missing.

        While it is not known to be a bucket: as in one, unless the reset has not moved.
        """
        rate, seconds = self._refill.per_second, here.at - mark.at
        if rate:
            return min(mark.missing, rate * seconds)
        if mark.reset_in <= 0 or mark.missing <= 0:
            return 0.0
        spent = mark.remaining - here.remaining
        moved, would_move = here.ends_at - mark.ends_at, spent * mark.reset_in / mark.missing
        if would_move > 4 * (mark.error + here.error) and moved < would_move / 2:
            return 0.0
        return mark.missing * min(1.0, seconds / mark.reset_in)

    def explains(self, ticket: Ticket) -> bool:
        """Return whether what a refused request was to take was not left."""
        left = self.evidence.remaining
        return self.has_evidence and (left <= 0 or left < self._need(ticket))

    def refused(self, ticket: Ticket, wait: float | None) -> None:
        """Learn what a request takes that it refused, in a bucket by how long it is to wait."""
        if given_cost(ticket.units, self.unit) is not None:
            return
        back = self._refill.per_second * (wait or 0.0)
        takes = self._refused[ticket.order] = self.evidence.remaining + max(1.0, back)
        if takes > self.cost.high or back:
            self.cost.add(takes)
        while len(self._refused) > _CALLS:
            del self._refused[next(iter(self._refused))]

    def distrust(self, *, at_reset: bool) -> None:
        """Forget the evidence after a refusal that nothing explains."""
        self.evidence.clear()
        self._mark = None
        self.end = _NEVER

    # What may go.

    def admit(self, now: float, ticket: Ticket) -> Admission:
        """Return whether one more request may go."""
        spending, limit = self._spending, self.limit
        self._settle(now)
        if given_cost(ticket.units, self.unit) is None and self.remaining > 0:
            at = self._trusted_at()
            if now < at or not self.cost.is_known:
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
        allowed = 1
        if self.cost.is_known:
            allowed = self._answered if self._answered < TRUSTED else self._in_flight.count + 1
        if self._in_flight.count < allowed:
            return -math.inf
        return self._in_flight.last_started_at + STEP

    def _need(self, ticket: Ticket) -> float:
        """Return what a request takes, as far as it is known: of a learned cost the limit."""
        given = given_cost(ticket.units, self.unit)
        if given is not None:
            return given
        cost = self._refused.get(ticket.order, 0.0)
        if not cost:
            cost = self.cost.high
        return max(1.0, min(cost, self.limit if self.limit is not None else math.inf))

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
        _note(self._sent_at, ticket.granted_at)
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


def _note(times: list[float], at: float) -> None:
    """Remember a time; forget those of long ago."""
    times.append(at)
    if len(times) >= 2 * _REMEMBERED:
        del times[:_REMEMBERED]


def _held_until(retry_at: float) -> Admission:
    return Admission(False, EXHAUSTED, retry_at)
