"""The throttle of a scope whose limits are shared with other processes, by a store.

It is the throttle with another row of limits: instead of the quotas and slow start, which learn as
ever, the lease is asked (``limits/lease``).
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ..dialect.catalog import ErrorClass
from ..dialect.classify import Failure
from ..headers import Reading
from ..headers.server_clock import ServerClock
from ..policy import ThrottlePolicy
from ..telemetry.events import Event
from .admission import Limit
from .limits.fleet import Peers
from .limits.lease import Lease
from .limits.lease_reply import Reply
from .origin_concurrency import OriginConcurrency
from .queue import GRANTED, Ticket
from .snapshot import RateLimitStatus, readable
from .throttle import Throttle

if TYPE_CHECKING:
    from .leasing import Leasing


class LeasedThrottle(Throttle):
    """One scope's limits and queue, with a lease of them.

    Args:
        origin, scope, policy, clock, emit: As for every throttle.
        leasing: Asks the store for the process.
        identity: Who is calling, as all processes name them.
        name: Of the category.
        concurrency: As for every throttle.

    Attributes:
        lease: What this process may spend.
        leasing: Asks the store for the process.
    """

    __slots__ = ("_identity", "_name", "lease", "leasing")

    def __init__(
        self,
        origin: str,
        scope: str,
        policy: ThrottlePolicy,
        clock: ServerClock,
        emit: Callable[[Event], None],
        leasing: "Leasing",
        identity: str,
        name: str,
        concurrency: OriginConcurrency | None = None,
    ) -> None:
        peers = Peers()
        super().__init__(origin, scope, policy, clock, emit, peers, concurrency)
        self.leasing: Leasing | None = leasing
        self._identity = identity
        self._name = name
        quotas, slow_start, closing, rate = (
            self._quotas,
            self._slow_start,
            self._closing,
            self._rate,
        )
        self.lease = Lease(self._in_flight, quotas, slow_start, closing, rate, peers, leasing)
        places: tuple[Limit, ...] = () if self._places is None else (self._places,)
        self._limits = (closing, *places, rate, self.lease, self._concurrency)
        self._learners = (*self._learners, self.lease)

    @property
    def parts(self) -> tuple[str, str, str]:
        """What distinguishes the scope from others, for all processes alike."""
        signature = self.signature
        return self.origin, self._identity, self._name if signature is None else readable(signature)

    def head(self) -> Ticket | None:
        """Return the ticket that is next, or None."""
        return self._queue.head()

    def question(self, now: float) -> tuple[str | int | float, ...]:
        """Return what the store is to know, and to grant."""
        self._credit = 0
        return self.lease.question(now, self._queue)

    def leased(self, reply: Reply, asked_at: float, now: float) -> Sequence[Ticket]:
        """Go on by what the store answered; return the tickets to wake."""
        self.lease.answer(reply, asked_at, now)
        self._credit = 0
        return self.tick(now)

    # What is done for each request.

    def admit_at_once(self, order: int, now: float, cost: int = 1) -> Ticket | None:
        """Admit a request where nobody waits, nothing is closed, and the lease covers it."""
        if self._credit < cost or now >= self.lease.ends_at:
            return None
        return super().admit_at_once(order, now, cost)

    def _start(self, ticket: Ticket, now: float) -> None:
        super()._start(ticket, now)
        self.lease.take(ticket)

    def observe(
        self,
        ticket: Ticket,
        sent: float,
        received: float,
        reading: Reading,
        failure: Failure | None,
    ) -> Sequence[Ticket]:
        """Learn from a response to a request sent at ``sent``, and give its place back."""
        lease = self.lease
        if ticket.state == GRANTED and (failure is None or not _is_refused(failure)):
            books = lease.books
            books.answered += ticket.cost
            if self._quotas.metered:
                books.count_metered(ticket)
        lease.peers.may_judge = ticket is lease.sole
        woken = super().observe(ticket, sent, received, reading, failure)
        credit = self._credit
        if credit > lease.units or not lease.is_plain:
            self._credit = lease.credit(credit, received)
        return woken

    def _fast_path_credit(self, now: float) -> int:
        return self.lease.credit(super()._fast_path_credit(now), now)

    # What others ask.

    def status(self, now: float) -> list[RateLimitStatus]:
        """Return what is known, with what the store said last."""
        lease, reply = self.lease, self.lease.reply
        is_lost = self.leasing is not None and self.leasing.is_lost
        shared: dict[str, Any] = {"store": "lost" if is_lost else "connected"}
        if reply is not None:
            shared["processes"] = reply.processes
        rows = []
        for row, left in zip(super().status(now), lease.shared_left(), strict=False):
            own = {**row.__dict__, **shared, "shared_remaining": left, "leased": lease.held(now)}
            rows.append(RateLimitStatus(**own))
        return rows


def _is_refused(failure: Failure) -> bool:
    """Return whether the server says that it did not count a request."""
    return failure.error_class is ErrorClass.RATE_LIMITED
