"""What a process may spend of limits that a store shares out: its lease.

The store grants units for a while (``lease.lua`` says how many, and to whom first). They go without
asking anybody; when they are gone, or the while is over, the next call that needs one asks.

1. What is asked for is what was used lately, and what waits.
2. What is reported is absolute: units in flight, and units ever answered. So a reply that was lost
   leases nothing that would not come back, and nothing is counted twice.
3. Evidence says how much had been settled by others when its request was sent: as much as the last
   reply said that had come by then. What is answered of our own, it includes.
4. Where the store is away, or says that the server announces nothing, the process's own limits
   decide: the quotas, each divided by the number of processes, and slow start.
"""

import math
from collections import deque
from collections.abc import Hashable, Iterator
from typing import NamedTuple, Protocol

from ..admission import ANYONE, OPEN, PROBE, Admission, Ending
from ..in_flight import InFlight
from ..queue import Ticket, TicketQueue
from ..reasons import EXHAUSTED, LEASE
from .adaptive_rate import AdaptiveRateLimiter
from .closing import Closing
from .fleet import FleetMeteredQuota, FleetQuota, Peers
from .quota_set import QuotaSet
from .slow_start import SlowStart
from .windows import LONGEST

_REPLIES = 4
"""Replies of the store that are remembered: requests are rarely answered later than the last of
them, and then the evidence does not count."""

_GAP, _BURST = 0.1, 3.0
"""Seconds between two asks on average, and how many may come at once."""

_HEADROOM, _LONGEST = 1.25, 1.0
"""Times what is expected to be used that is asked for; seconds that a lease lasts at the most."""

_MOST = 1_000_000
"""Units that are asked for at the most."""

_PROBED = 1.0
"""Seconds after which it is looked whether a probe was answered, if nothing woke those who wait."""

_NAMES = 256
"""Names of limits that are remembered."""


class Tokens(Protocol):
    """Names limits so that all processes name them alike."""

    def token(self, *parts: str) -> str:
        """Return a keyed hash: letters and digits."""
        ...


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


class Row(NamedTuple):
    """What the store says of one limit: how much others had settled, and what is left for all."""

    others: float
    left: float
    cost: float


class Reply(NamedTuple):
    """What the store answers for one scope. Durations are in seconds.

    Attributes:
        is_granted: There is a lease.
        epoch: Of the store's state; another one after it was lost.
        lasts: The lease.
        processes: That have a part in the scope.
        closed_for: The server wants no requests of anybody.
        retry_in: Until it has a point to ask again.
        is_free: The server announces nothing: there is nothing to lease.
        is_probe: The lease is one request, to learn what is left.
        rate, version, ceiling: Of a server that limits in silence; a rate of 0 for none.
        granted: Units, by the name of their limit.
        rows: The limits, by name.
    """

    is_granted: bool
    epoch: str
    lasts: float
    processes: int
    closed_for: float
    retry_in: float
    is_free: bool
    is_probe: bool
    rate: float
    version: str
    ceiling: float
    granted: dict[str, float]
    rows: dict[str, Row]


_FIELDS, _ROW = 12, 5


def read_reply(words: list[str]) -> Reply:
    """Read what ``lease.lua`` returns.

    Raises:
        ValueError: It is something else.
    """
    if len(words) < _FIELDS or len(words) != _FIELDS + _ROW * int(words[11]):
        raise ValueError("the store's reply is not one to a lease")
    numbers = [_number(word) for word in words[:_FIELDS]]
    granted: dict[str, float] = {}
    rows: dict[str, Row] = {}
    for start in range(_FIELDS, len(words), _ROW):
        name, units, others, left, cost = words[start : start + _ROW]
        granted[name] = max(0.0, _number(units))
        rows[name] = Row(_number(others), _number(left), max(1.0, _number(cost)))
    return Reply(
        is_granted=numbers[0] > 0,
        epoch=words[1],
        lasts=min(_LONGEST, max(0.0, numbers[2] / 1000)),
        processes=max(1, int(numbers[3])),
        closed_for=min(LONGEST, max(0.0, numbers[4] / 1000)),
        retry_in=min(LONGEST, max(0.001, numbers[5] / 1000)),
        is_free=numbers[6] > 0,
        is_probe=numbers[7] > 0,
        rate=max(0.0, numbers[8]),
        version=words[9],
        ceiling=max(0.0, numbers[10]),
        granted=granted,
        rows=rows,
    )


def _number(word: str) -> float:
    value = float(word)
    if not math.isfinite(value):
        raise ValueError("the store's reply holds a number that is not finite")
    return value


class Lease:
    """One scope's lease. Times are the driver's, in seconds.

    Attributes:
        is_lost: The store is away.
        is_due: The store has to be asked before the next call may go.
        ends_at: When the lease ends.
        units: Requests that may yet go by it.
        answered: Requests ever answered, in units.
        peers: How many processes share what is left while the store is away.
        reply: The store's last, or None.
    """

    __slots__ = (
        "_asks",
        "_asks_at",
        "_began_at",
        "_closing",
        "_demand",
        "_doubt",
        "_epoch",
        "_in_flight",
        "_is_reported",
        "_metered",
        "_metered_answered",
        "_names",
        "_others",
        "_quotas",
        "_rate",
        "_retry_at",
        "_silent",
        "_slow_start",
        "_store",
        "_used",
        "_version",
        "answered",
        "ends_at",
        "is_due",
        "is_lost",
        "peers",
        "reply",
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
        self._names: dict[Hashable, str] = {}
        self.peers = peers
        self.is_lost = False
        self.is_due = True
        self.reply: Reply | None = None
        self.ends_at = self._began_at = -math.inf
        self.units = 0.0
        self.answered = 0
        self._metered: dict[str, float] = {}
        self._metered_answered: dict[str, float] = {}
        self._used = 0
        self._demand = 0.0
        self._retry_at = -math.inf
        self._asks, self._asks_at = _BURST, -math.inf
        self._epoch = "0"
        self._version = "0"
        self._others: dict[str, deque[tuple[float, float]]] = {}
        self._doubt = False
        self._silent = False
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
                return Admission(False, EXHAUSTED, now + _PROBED)  # its response shows what is left
            return self._ask(now)
        for name, quota in self._metered_quotas():
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
        limits = [quota.limit for _, quota in self._requests() if quota.limit]
        return min([cost, *limits])

    def started(self, now: float, cost: int) -> None:
        """Have the process's own limits note that a request went."""
        self._quotas.started(now, cost)
        self._slow_start.started(now, cost)

    def take(self, ticket: Ticket) -> None:
        """Spend units of the lease."""
        self.units -= ticket.cost
        self._used += ticket.cost
        if self._metered:
            for name, quota in self._metered_quotas():
                self._metered[name] = self._metered.get(name, 0.0) - quota.need(ticket)

    def credit(self, credit: int, now: float) -> int:
        """Return how many of so many requests the lease covers without another look."""
        reply = self.reply
        if reply is None or reply.is_free or reply.is_probe or self._metered or self._store.is_lost:
            return 0
        if now >= self.ends_at:
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
            self._silent = not self._quotas.has_evidence and ending.is_success
        elif ending.at < self._retry_at and self._shows_more():
            self._is_reported = False

    def _shows_more(self) -> bool:
        """Return whether responses say that more is left than the store knows of."""
        rows = {} if self.reply is None else self.reply.rows
        known = ((rows.get(name), quota) for name, quota in self._requests())
        return any(row is not None and quota.remaining > row.left + 1 for row, quota in known)

    def count_metered(self, ticket: Ticket) -> None:
        """Count an answered request of units other than requests."""
        for name, quota in self._metered_quotas():
            before = self._metered_answered.get(name, 0.0)
            self._metered_answered[name] = before + math.ceil(quota.need(ticket))

    # What the store is asked, and answers.

    def question(self, now: float, queue: TicketQueue) -> tuple[str | int | float, ...]:
        """Return the arguments of ``lease.lua``, from the third on."""
        head = queue.head()
        need = 0 if head is None else head.cost
        wanted = self._wanted(now, len(queue)) if need else 0
        rate = self._rate.rate or 0.0
        rows = [word for row in self._rows(now, wanted, head) for word in row]
        self._asks = min(_BURST, self._asks + max(0.0, now - self._asks_at) / _GAP) - 1.0
        self._asks_at = now
        self.is_due = False
        self.units, self.ends_at = 0.0, -math.inf  # what is left of the lease goes back
        peers = max(1, 1 if self.reply is None else self.reply.processes)
        return (
            self._epoch,
            _ms(max(0.0, self._closing.until - now)),
            int(self._doubt),
            int(self._silent),
            max(wanted, need),
            need,
            round(rate * peers, 6),
            self._version,
            int(self._rate.is_news),
            round(min(self._rate.ceiling, 1e6) * peers, 6) if rate else 0,
            self._in_flight.units,
            len(rows) // 20,
            *rows,
        )

    def _wanted(self, now: float, queued: int) -> int:
        """Return how many requests are expected until a lease ends."""
        reply = self.reply
        lasts = _LONGEST if reply is None else reply.lasts
        since = max(0.05, now - self._began_at)
        used = self._used * min(lasts / since, 10.0)
        # Who was held back could show less of what it needs than who was not.
        before = self._demand if reply is None or not reply.is_granted else self._demand / 2
        self._demand = max(used, queued, before)
        return min(_MOST, math.ceil(_HEADROOM * self._demand) + 1)

    def _rows(
        self, now: float, wanted: int, head: Ticket | None
    ) -> Iterator[tuple[str | int | float, ...]]:
        for name, quota in self._requests():
            flying, need = self._in_flight.units, 0 if head is None else head.cost
            yield self._row(name, quota, now, flying, self.answered, wanted, need)
        for name, metered in self._metered_quotas():
            need = 0 if head is None else math.ceil(metered.need(head))
            cost = math.ceil(metered.need(ANYONE))
            answered = self._metered_answered.get(name, 0.0)
            want = max(need, wanted * cost)
            yield self._row(name, metered, now, metered.outstanding, answered, want, need)

    def _row(
        self,
        name: str,
        quota: FleetQuota | FleetMeteredQuota,
        now: float,
        flying: float,
        answered: float,
        want: int,
        need: int,
    ) -> tuple[str | int | float, ...]:
        start = name, math.ceil(flying), answered, want, need
        if not quota.has_evidence:
            return (*start, 0, "u", *(0,) * 13)
        known = quota.known(now)
        base = self._base(name, known.newest_sent, answered)
        return (
            *start,
            1,
            known.kind,
            known.limit,
            math.floor(known.remaining),
            base,
            _ms(now - known.newest_sent),
            _ms(now - known.measured_at),
            _ms(known.nominal - now),
            _ms(known.high - now),
            known.kept,
            _ms(known.pace),
            round(known.refill, 6),
            known.reserve,
            _ms(known.window),
            math.ceil(known.cost),
        )

    def _base(self, name: str, newest_sent: float, answered: float) -> float:
        """Return what was settled when evidence was sent; -1 if that is not known."""
        others = self._others.get(name, ())
        heard = [value for at, value in others if at <= newest_sent]
        return heard[-1] + answered if heard else -1

    def answer(self, reply: Reply, asked_at: float, now: float) -> None:
        """Take what the store answered to a question of ``asked_at``."""
        self.is_lost, self.is_due = False, False
        self.peers.count = 1
        self._is_reported, self._doubt, self._silent = True, False, False
        if reply.epoch != self._epoch:
            self._epoch = reply.epoch
            self._others.clear()
        for name, row in reply.rows.items():
            replies = self._others.get(name)
            if replies is None:
                replies = self._others[name] = deque(maxlen=_REPLIES)
            replies.append((now, row.others))
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
        metered = dict(self._metered_quotas())
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
        self.units, self._metered = 0.0, {}

    def _requests(self) -> Iterator[tuple[str, FleetQuota]]:
        for key, quota in self._quotas.items():
            if isinstance(quota, FleetQuota):
                yield self._name(key), quota

    def _metered_quotas(self) -> Iterator[tuple[str, FleetMeteredQuota]]:
        if not self._quotas.metered:
            return
        for key, quota in self._quotas.items():
            if isinstance(quota, FleetMeteredQuota):
                yield self._name(key), quota

    def _name(self, key: Hashable) -> str:
        """Return a limit's name in the store."""
        name = self._names.get(key)
        if name is None:
            if len(self._names) >= _NAMES:
                self._names.clear()
            name = self._names[key] = self._store.names.token("limit", repr(key))
        return name

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
        left = [rows.get(self._name(key)) for key in self._quotas]
        return [None if row is None else max(0, int(row.left)) for row in left] or [None]


def _ms(seconds: float) -> int:
    return round(1000 * max(-LONGEST, min(LONGEST, seconds)))
