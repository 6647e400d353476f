"""What a process may spend of limits that a store shares out: its lease.

The store grants units for a while (``lease.lua`` says how many, and to whom first). They go without
asking anybody; when they are gone, or the while is over, the next call that needs one asks.

1. What is asked for is what was used lately, and what waits; what is known goes with it
   (``lease_books``).
2. The store is asked ten times a second at the most, whatever the calls.
3. Where the store is away, or says that the server announces nothing, the process's own limits
   decide: the quotas, each divided by the number of processes, and slow start.
"""

import math
from typing import Protocol

from ..admission import ANYONE, OPEN, PROBE, Admission, Ending
from ..in_flight import InFlight
from ..queue import Ticket, TicketQueue
from ..reasons import COLD_START, EXHAUSTED, LEASE
from .adaptive_rate import AdaptiveRateLimiter
from .closing import Closing
from .fleet import Peers
from .lease_books import ROW, LeaseBooks, Tokens, milliseconds
from .lease_reply import LONGEST_LEASE, Reply
from .quota_set import QuotaSet
from .slow_start import SlowStart

_GAP, _BURST = 0.1, 3.0
"""Seconds between two asks on average, and how many may come at once."""

_HEADROOM = 1.25
"""Times what is expected to be used that is asked for."""

_MOST = 1_000_000
"""Units that are asked for at the most."""

SILENT, FAILED = 1, 2
"""What a probe came to that shows no limit: it was answered well, or not."""

_PROBED = 1.0
"""Seconds after which it is looked whether a probe was answered, if nothing woke those who wait."""


class Store(Protocol):
    """What a lease has to know of the store."""

    @property
    def names(self) -> Tokens:
        """Names what is in it."""
        ...

    @property
    def processes(self) -> int:
        """How many processes shared a scope when it was heard of last."""
        ...

    @property
    def is_lost(self) -> bool:
        """Whether it did not answer when it was asked last."""
        ...

    def may_retry(self, now: float) -> bool:
        """Return whether the next call may see whether it is back."""
        ...


class Lease:
    """One scope's lease. Times are the driver's, in seconds.

    Attributes:
        is_lost: The store is away.
        is_due: The store has to be asked before the next call may go.
        is_plain: There is a lease of requests alone, and nothing is to be learned by them.
        ends_at: When the lease ends.
        units: Requests that may yet go by it.
        books: What is reported to the store, and what it has said.
        peers: How many processes share what is left while the store is away.
        reply: The store's last, or None.
        sole: The ticket of the last request that nobody else of the fleet spent beside.
    """

    __slots__ = (
        "_asks",
        "_asks_at",
        "_began_at",
        "_closing",
        "_demand",
        "_doubt",
        "_in_flight",
        "_is_reported",
        "_metered",
        "_quotas",
        "_rate",
        "_retry_at",
        "_silent",
        "_slow_start",
        "_store",
        "_used",
        "_version",
        "books",
        "ends_at",
        "is_due",
        "is_lost",
        "is_plain",
        "peers",
        "reply",
        "sole",
        "units",
    )

    def __init__(
        self,
        in_flight: InFlight,
        quotas: QuotaSet,
        slow_start: SlowStart,
        closing: Closing,
        rate: AdaptiveRateLimiter,
        peers: Peers,
        store: Store,
    ) -> None:
        self._in_flight = in_flight
        self._quotas = quotas
        self._slow_start = slow_start
        self._closing = closing
        self._rate = rate
        self._store = store
        self.books = LeaseBooks(quotas, in_flight, store.names)
        self.peers = peers
        self.is_lost = self.is_plain = False
        self.is_due = True
        self.reply: Reply | None = None
        self.sole: Ticket | None = None
        self.ends_at = self._began_at = -math.inf
        self.units = 0.0
        self._metered: dict[str, float] = {}
        self._used = 0
        self._demand = 0.0
        self._retry_at = -math.inf
        self._asks, self._asks_at = _BURST, -math.inf
        self._version = "0"
        self._doubt = False
        self._silent = 0
        self._is_reported = True

    # What may go.

    def admit(self, now: float, cost: int, ticket: Ticket = ANYONE) -> Admission:
        """Return whether the lease, or what stands in for it, covers one more request."""
        reply, store = self.reply, self._store
        if store.is_lost:
            if store.may_retry(now):
                self.is_due = True
                return Admission(False, LEASE)
            if not self.is_lost:
                self._lose(store.processes)
            return self._own_limits(now, cost, ticket)
        self.is_lost = False
        if reply is None or now >= self.ends_at:
            return self._ask(now)
        if reply.is_free:
            return self._own_limits(now, cost, ticket)
        if self.units < cost and self.units < self._capped(cost):
            if reply.is_probe and self._in_flight.count:
                return Admission(
                    False, COLD_START, now + _PROBED
                )  # its response shows what is left
            return self._ask(now)
        for name, quota in self.books.metered():
            at = quota.trusted_at(ticket)
            if now < at:
                return Admission(False, LEASE, at)
            if self._metered.get(name, 0.0) < quota.need(ticket):
                return self._ask(now)
        return PROBE if reply.is_probe else OPEN

    def _own_limits(self, now: float, cost: int, ticket: Ticket) -> Admission:
        asked = self._quotas.admit(now, cost, ticket)
        return asked if asked is not OPEN else self._slow_start.admit(now, cost, ticket)

    def _ask(self, now: float) -> Admission:
        """Hold a call until the store has answered."""
        at = self.next_ask_at(now)
        self.is_due = now >= at
        reply = self.reply
        is_waiting = reply is not None and not reply.is_granted and self._retry_at > now
        return Admission(False, EXHAUSTED if is_waiting else LEASE, math.inf if self.is_due else at)

    def next_ask_at(self, now: float) -> float:
        """Return when the store may be asked again; the past if it may be asked now."""
        asks = min(_BURST, self._asks + max(0.0, now - self._asks_at) / _GAP)
        paced_at = now if asks >= 1.0 else now + (1.0 - asks) * _GAP
        if not self._is_reported:  # somebody waits for what we know
            return paced_at
        return max(self._retry_at, paced_at)

    def _capped(self, cost: int) -> float:
        """Return what a request takes of the smallest limit: no more than all of it."""
        limits = [quota.limit for _, quota in self.books.requests() if quota.limit]
        return min([cost, *limits])

    def started(self, now: float, cost: int) -> None:
        """Have the process's own limits note that a request went."""
        self._quotas.started(now, cost)
        self._slow_start.started(now, cost)

    def take(self, ticket: Ticket) -> None:
        """Spend units of the lease."""
        self.units -= ticket.cost
        self._used += ticket.cost
        if self.is_plain:
            return
        if self.reply is not None and self.reply.is_sole:
            self.sole = ticket
        if self._metered:
            for name, quota in self.books.metered():
                self._metered[name] = self._metered.get(name, 0.0) - quota.need(ticket)

    def credit(self, credit: int, now: float) -> int:
        """Return how many of so many requests the lease covers without another look."""
        if not self.is_plain or now >= self.ends_at:
            return 0
        return credit if credit <= self.units else max(0, int(self.units))

    def has_credit(self, now: float) -> bool:
        """Return whether a lease is held; how much it allows is for ``credit`` to say."""
        return now < self.ends_at

    # What responses say.

    def ended(self, ending: Ending) -> None:
        """Note what the others should know of a response."""
        if ending.closes:
            self._is_reported = False
            self._doubt = self._doubt or ending.is_refused
        elif ending.ticket.is_probe:
            self._is_reported = False
            if not self._quotas.has_evidence:
                self._silent = SILENT if ending.is_success else FAILED
        elif ending.at < self._retry_at and self.reply and self.books.shows_more(self.reply):
            self._is_reported = False

    # What the store is asked, and answers.

    def question(self, now: float, queue: TicketQueue) -> tuple[str | int | float, ...]:
        """Return the arguments of ``lease.lua``, from the third on."""
        head = queue.head()
        need = 0 if head is None else head.cost
        wanted = self._wanted(now, len(queue)) if need else 0
        words = self.books.words(now, wanted, head)
        doubt, silent = int(self._doubt), self._silent
        self._is_reported, self._doubt, self._silent = True, False, 0
        self._asks = min(_BURST, self._asks + max(0.0, now - self._asks_at) / _GAP) - 1.0
        self._asks_at = now
        self.is_due = False
        self.units, self.ends_at = 0.0, -math.inf  # what is left of the lease goes back
        closed = milliseconds(max(0.0, self._closing.until - now))
        demand = max(wanted, need), need
        flying, rows = self._in_flight.units, len(words) // ROW
        return (
            self.books.epoch,
            closed,
            doubt,
            silent,
            *demand,
            *self._pace(),
            flying,
            rows,
            *words,
        )

    def _pace(self) -> tuple[float, str, int, float]:
        """Return the rate of all processes that a silent server bears, as it is known here."""
        rate, processes = self._rate, 1 if self.reply is None else self.reply.processes
        total = round((rate.rate or 0.0) * processes, 6)
        ceiling = round(min(rate.ceiling, 1e6) * processes, 6) if total else 0.0
        return total, self._version, int(rate.is_news), ceiling

    def _wanted(self, now: float, queued: int) -> int:
        """Return how many requests are expected until a lease ends."""
        reply = self.reply
        lasts = LONGEST_LEASE if reply is None else reply.lasts
        since = max(0.05, now - self._began_at)
        used = self._used * min(lasts / since, 10.0)
        # Who was held back could show less of what it needs than who was not.
        before = self._demand if reply is None or not reply.is_granted else self._demand / 2
        self._demand = max(used, queued, before)
        return min(_MOST, math.ceil(_HEADROOM * self._demand) + 1)

    def answer(self, reply: Reply, asked_at: float, now: float) -> None:
        """Take what the store answered to a question of ``asked_at``."""
        self.is_lost, self.is_due = False, False
        self.peers.count = 1
        self.books.heard(reply, now)
        self.reply = reply
        if reply.closed_for:
            self._closing.until = max(self._closing.until, asked_at + reply.closed_for)
        self._used, self._began_at = 0, now
        self._adopt(reply, now)
        if reply.is_granted:
            self.ends_at, self._retry_at = asked_at + reply.lasts, -math.inf
        else:
            self.ends_at, self._retry_at = -math.inf, now + reply.retry_in
        self._take_over(reply)

    def _take_over(self, reply: Reply) -> None:
        """Hold what is granted; a limit that is not known here is taken for one of requests."""
        metered = dict(self.books.metered())
        self.is_plain = reply.is_granted and not (reply.is_free or reply.is_sole or metered)
        self._metered = {name: reply.granted.get(name, math.inf) for name in metered}
        if reply.is_granted and not reply.granted:  # a probe, where nothing is known of any limit
            self.units = 1.0 if reply.is_probe else math.inf
            return
        requests = [
            units / reply.rows[name].cost
            for name, units in reply.granted.items()
            if name not in metered
        ]
        self.units = min(requests, default=math.inf) if reply.is_granted else 0.0

    def _adopt(self, reply: Reply, now: float) -> None:
        """Go by the rate that all processes have found together."""
        share = reply.rate / reply.processes
        if share != (self._rate.rate or 0.0) and reply.rate >= 0:
            self._rate.adopt(share or None, reply.ceiling / reply.processes, now)
        self._rate.is_news = False
        self._version = reply.version

    def _lose(self, peers: int) -> None:
        """Go on with the process's own part of what is left."""
        self.is_lost, self.is_due = True, False
        self.peers.count = max(1, peers)
        self.units, self._metered, self.is_plain = 0.0, {}, False

    # What others ask.

    def held(self, now: float) -> int | None:
        """Return how many requests may yet go by the lease; None if there is none."""
        reply = self.reply
        if reply is None or reply.is_free or self.is_lost or self.units == math.inf:
            return None
        return max(0, int(self.units)) if now < self.ends_at else 0

    def shared_left(self) -> list[int | None]:
        """Return what the store said to be left for all, for each of the quotas."""
        rows = {} if self.reply is None else self.reply.rows
        left = [rows.get(self.books.name(key)) for key in self._quotas]
        return [None if row is None else max(0, int(row.left)) for row in left] or [None]
