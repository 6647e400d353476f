"""What a process reports to a store about the limits that it shares, and how it names them.

1. What is reported is absolute: units in flight, and units ever answered. So a reply that was lost
   leases nothing that would not come back, and nothing is counted twice.
2. Evidence says how much had been settled by others when its request was sent: as much as the last
   reply said that had come by then. What is answered of our own, it includes.
"""

import math
from collections import deque
from collections.abc import Hashable, Iterator
from typing import Protocol

from ..admission import ANYONE
from ..in_flight import InFlight
from ..queue import Ticket
from .fleet import FleetMeteredQuota, FleetQuota
from .lease_reply import Reply
from .quota_set import QuotaSet
from .windows import LONGEST

_REPLIES = 64
"""Replies of the store that are remembered at the most, of those since the evidence was sent."""

_NAMES = 256
"""Names of limits that are remembered."""

ROW = 20
"""Words that ``lease.lua`` is given of each limit."""

Word = str | int | float


class Tokens(Protocol):
    """Names limits so that all processes name them alike."""

    def token(self, *parts: str) -> str:
        """Return a keyed hash: letters and digits."""
        ...


class LeaseBooks:
    """One scope's limits, as they are reported to the store. Times are the driver's, in seconds.

    Attributes:
        answered: Requests ever answered, in units; those that were refused took none.
        epoch: Of the store's state that was heard of last.
    """

    __slots__ = (
        "_in_flight",
        "_metered",
        "_names",
        "_others",
        "_quotas",
        "_tokens",
        "answered",
        "epoch",
    )

    def __init__(self, quotas: QuotaSet, in_flight: InFlight, tokens: Tokens) -> None:
        self._quotas = quotas
        self._in_flight = in_flight
        self._tokens = tokens
        self._names: dict[Hashable, str] = {}
        self.answered = 0
        self._metered: dict[str, float] = {}
        self._others: dict[str, deque[tuple[float, float]]] = {}
        self.epoch = "0"

    # The limits, by the names that they have in the store.

    def requests(self) -> Iterator[tuple[str, FleetQuota]]:
        """Return the limits on requests."""
        for key, quota in self._quotas.items():
            if isinstance(quota, FleetQuota):
                yield self.name(key), quota

    def metered(self) -> Iterator[tuple[str, FleetMeteredQuota]]:
        """Return the limits on other units."""
        if not self._quotas.metered:
            return
        for key, quota in self._quotas.items():
            if isinstance(quota, FleetMeteredQuota):
                yield self.name(key), quota

    def name(self, key: Hashable) -> str:
        """Return a limit's name in the store."""
        name = self._names.get(key)
        if name is None:
            if len(self._names) >= _NAMES:
                self._names.clear()
            name = self._names[key] = self._tokens.token("limit", repr(key))
        return name

    # What is reported.

    def count_metered(self, ticket: Ticket) -> None:
        """Count an answered request, in other units than requests."""
        for name, quota in self.metered():
            self._metered[name] = self._metered.get(name, 0.0) + math.ceil(quota.need(ticket))

    def words(self, now: float, wanted: int, head: Ticket | None) -> list[Word]:
        """Return what is known of all limits, and what is wanted of them.

        Args:
            now: The time.
            wanted: Requests that are expected while a lease lasts.
            head: The ticket that is next; None if none waits, and nothing is wanted.
        """
        words: list[Word] = []
        for name, quota in self.requests():
            need = 0 if head is None else head.cost
            words += name, self._in_flight.units, self.answered, wanted, need
            words += self._known(name, quota, now, self.answered)
        for name, metered in self.metered():
            need = 0 if head is None else math.ceil(metered.need(head))
            want = max(need, wanted * math.ceil(metered.need(ANYONE)))
            answered = self._metered.get(name, 0.0)
            words += name, math.ceil(metered.outstanding), answered, want, need
            words += self._known(name, metered, now, answered)
        return words

    def _known(
        self, name: str, quota: FleetQuota | FleetMeteredQuota, now: float, answered: float
    ) -> tuple[Word, ...]:
        if not quota.has_evidence:
            return (0, "u", *(0,) * (ROW - 7))
        known = quota.known(now)
        return (
            1,
            known.kind,
            known.limit,
            math.floor(known.remaining),
            self._base(name, known.newest_sent, answered),
            milliseconds(now - known.newest_sent),
            milliseconds(now - known.measured_at),
            milliseconds(known.nominal - now),
            milliseconds(known.high - now),
            known.kept,
            milliseconds(known.pace),
            round(known.refill, 6),
            known.reserve,
            milliseconds(known.window),
            math.ceil(known.cost),
        )

    def _base(self, name: str, newest_sent: float, answered: float) -> float:
        """Return what was settled when evidence was sent; -1 if that is not known."""
        heard = [value for at, value in self._others.get(name, ()) if at <= newest_sent]
        return heard[-1] + answered if heard else -1

    def shows_more(self, reply: Reply) -> bool:
        """Return whether responses say that more is left than the store knows of."""
        known = ((reply.rows.get(name), quota) for name, quota in self.requests())
        return any(row is not None and quota.remaining > row.left + 1 for row, quota in known)

    # What is learned.

    def heard(self, reply: Reply, now: float) -> None:
        """Note what others had settled by now, for the evidence to come."""
        if reply.epoch != self.epoch:
            self.epoch = reply.epoch
            self._others.clear()
        for name, row in reply.rows.items():
            self._others.setdefault(name, deque(maxlen=_REPLIES)).append((now, row.others))
        for name, quota in self.requests():
            self._drop_before(name, quota.evidence.newest_sent)
        for name, metered in self.metered():
            self._drop_before(name, metered.evidence.newest_sent)

    def _drop_before(self, name: str, newest_sent: float) -> None:
        """Forget the replies that came before the last one that the evidence counts from."""
        replies = self._others.get(name)
        while replies and len(replies) > 1 and replies[1][0] <= newest_sent:
            replies.popleft()


def milliseconds(seconds: float) -> int:
    """Return milliseconds, of a day at the most."""
    return round(1000 * max(-LONGEST, min(LONGEST, seconds)))
