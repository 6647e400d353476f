"""Quotas of a process among others that spend of the same limits: its fleet.

What the others spend is no stranger's spending, to which a share would have to be left, and it does
not disprove a bucket. Where a store leases units of the limits it decides what may go, and is given
what is known here. Where there is none, or while it is away, a process takes no more than its part
of what is left: all of it divided by the number of processes.
"""

import math
from typing import NamedTuple

from ...headers import RateLimit
from ...headers.server_clock import ServerClock
from ..admission import OPEN, Admission
from ..in_flight import InFlight
from ..queue import Ticket
from ..reasons import EXHAUSTED
from .metered import MeteredQuota
from .quota import Quota
from .spending import given_cost
from .window_estimate import WindowEstimate
from .windows import (
    BUCKET,
    FIXED,
    GUARD,
    INDETERMINATE,
    LOG,
    SLIDING_COUNTER,
    TRICKLING,
    ResetInterval,
)

_KINDS = {FIXED: "f", LOG: "l", BUCKET: "b", SLIDING_COUNTER: "c", INDETERMINATE: "i"}


class Peers:
    """How many processes share the limits of a scope, this one included.

    Attributes:
        count: By how many what is left is divided; 1 while a store divides it.
        may_judge: A response is no other process's business: it shows what a window gave back.
    """

    __slots__ = ("count", "may_judge")

    def __init__(self, count: int = 1) -> None:
        self.count = count
        self.may_judge = True


class FleetWindowEstimate(WindowEstimate):
    """What kind of window it is, by the first responses of windows that nobody else spent of."""

    __slots__ = ("_peers",)

    def __init__(self, peers: Peers) -> None:
        super().__init__()
        self._peers = peers

    def _judge(
        self,
        remaining: int,
        received: float,
        mine: int,
        jump: float,
        limit: int | None,
        end_low: float,
    ) -> bool:
        if not self._peers.may_judge:
            return False
        return super()._judge(remaining, received, mine, jump, limit, end_low)


class Known(NamedTuple):
    """What a process knows of one limit, as a store takes it. Times are the driver's, in seconds.

    Attributes:
        kind: Of its window: fixed, log, bucket, counter, indeterminate or unknown, by a letter.
        limit: Units a window; 0 if unknown.
        remaining: The least that is left by the evidence.
        newest_sent: When the latest sent of the requests was sent whose responses are evidence.
        measured_at: When the latest of them came.
        nominal, high: When the window ends: as announced, and at the latest.
        kept: Units to be kept back as probes near that end.
        pace: Seconds between units that come back one by one; 0 where they do not.
        refill: Units a second that surely come back all along.
        reserve: Units kept back for others.
        window: Seconds of the window.
        cost: Units that a request takes.
    """

    kind: str
    limit: int
    remaining: float
    newest_sent: float
    measured_at: float
    nominal: float
    high: float
    kept: int
    pace: float
    refill: float
    reserve: int
    window: float
    cost: float


class FleetQuota(Quota):
    """A limit on requests that other processes spend, too."""

    __slots__ = ("_peers",)

    def __init__(self, peers: Peers, bucket: str | None = None) -> None:
        super().__init__(bucket)
        self._peers = peers
        self._window = FleetWindowEstimate(peers)

    def left(self, outstanding: int) -> int:
        """Return the units that are surely left for this process."""
        whole = self.evidence.remaining - self._unseen - self.reserve
        return whole // self._peers.count - outstanding

    def fast_path_credit(self, outstanding: int) -> int:
        """Return how many units may go without a look at anything; 0 if unknown."""
        credit = super().fast_path_credit(outstanding)
        if credit and self._peers.count > 1:
            return max(0, credit // self._peers.count - outstanding)
        return credit

    def repeat(
        self, announced: RateLimit, sent: float, received: float, version: int, outstanding: int
    ) -> int:
        """Learn from a response that differs from the one before in what remains alone."""
        credit = super().repeat(announced, sent, received, version, outstanding)
        if credit > 0 and self._peers.count > 1:
            return self.fast_path_credit(outstanding)
        return credit

    def admit(self, now: float, outstanding: int, settles_at: float, cost: int = 1) -> Admission:
        """Return whether one more request may go."""
        bucket, limit = self._bucket, self.limit
        if self.kind != BUCKET or limit is None or not bucket.is_known:
            return super().admit(now, outstanding, settles_at, cost)
        peers, tau = self._peers.count, bucket.tau
        refilled = max(0.0, now - self._measured_at()) / tau
        level = min(float(limit), self.evidence.remaining - self._unseen + refilled)
        left = (level - self.reserve) / peers - outstanding
        need = min(cost, limit)
        if left >= need:
            return OPEN
        return Admission(False, EXHAUSTED, now + (need - left) * peers * tau + GUARD)

    def _look_closer(
        self,
        announced: RateLimit,
        remaining: int,
        reset: ResetInterval,
        sent: float,
        received: float,
        clock: ServerClock,
    ) -> tuple[int, ResetInterval]:
        """See whether it is a short window; what others spend looks like a server that errs."""
        short, limit = self._short, self.limit or 0
        if self._window.first_received == received:
            short.opened(limit, self.window, announced, reset, sent, received, clock)
        elif remaining == limit - 1:
            short.refuse()
        if short.seconds is not None:
            short.answered(received, remaining)
        self._is_exact = short.seconds is None
        self._is_odd = not self._is_exact
        return remaining, reset

    def suspect(self) -> None:
        """Learn nothing: the others may have taken what was left."""

    def _weigh(
        self,
        limit: int,
        remaining: int,
        reset: ResetInterval,
        sent: float,
        received: float,
        outstanding: int,
    ) -> None:
        """See whether it is a bucket; what others take of it says nothing about that."""
        bucket, window = self._bucket, self._window
        if window.kind == FIXED:
            return
        bucket.observe(limit, remaining, reset.low, reset.high, sent, received)
        if bucket.is_known:
            window.kind = BUCKET
        elif window.kind == BUCKET:
            window.kind = INDETERMINATE

    def _measured_at(self) -> float:
        return self.evidence.remaining_window[-1][0] if self.has_evidence else -math.inf

    def known(self, now: float) -> Known:
        """Return what a store is to know; there must be evidence."""
        probes, kind = self._planned(), self.kind
        refill = 1.0 / self._bucket.tau if kind == BUCKET else 0.0
        return Known(
            kind=_KINDS.get(kind, "u"),
            limit=self.limit or 0,
            remaining=max(0, self.evidence.remaining - self._unseen),
            newest_sent=self.evidence.newest_sent,
            measured_at=self._measured_at(),
            nominal=self.end.nominal,
            high=self.end.high,
            kept=probes.kept(),
            pace=self._unit_time() if kind in TRICKLING else 0.0,
            refill=refill,
            reserve=self.reserve,
            window=self.window or self._window.span,
            cost=1.0,
        )


class FleetMeteredQuota(MeteredQuota):
    """A limit on other units that other processes spend, too."""

    __slots__ = ("_peers",)

    def __init__(
        self, peers: Peers, unit: str, bucket: str | None, in_flight: InFlight, now: float
    ) -> None:
        super().__init__(unit, bucket, in_flight, now)
        self._peers = peers

    def _level(self, now: float) -> float:
        return super()._level(now) / self._peers.count

    def need(self, ticket: Ticket) -> float:
        """Return what a request takes, as far as it is known."""
        return self._need(ticket)

    @property
    def outstanding(self) -> float:
        """What own requests may have taken that was not settled."""
        return self._reserved()

    def trusted_at(self, ticket: Ticket) -> float:
        """Return when one more may go while little is known of what requests take."""
        is_given = given_cost(ticket.units, self.unit) is not None
        return -math.inf if is_given else self._trusted_at()

    def known(self, now: float) -> Known:
        """Return what a store is to know; there must be evidence."""
        return Known(
            kind="b" if self._refill.per_second else "f",
            limit=self.limit or 0,
            remaining=max(0.0, self._level(now)),
            newest_sent=self.evidence.newest_sent,
            measured_at=now,
            nominal=self.end.nominal,
            high=self.end.high,
            kept=0,
            pace=0.0,
            refill=self._refill.per_second,
            reserve=0,
            window=self.window or self._window.span,
            cost=max(1.0, self.costs.learned.high),
        )
