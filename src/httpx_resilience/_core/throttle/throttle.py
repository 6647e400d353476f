"""The throttle of one scope: who may send now, who waits, and until when.

Before a request goes, the scope's limits are asked in turn, and the first that says no holds it:

    closing          the server said when to come back; nothing goes before
    places           as many requests to the origin are in flight as may be (off by default)
    adaptive rate    it limits in silence; one request each 1 / rate
    quotas           the evidence says what is left; all of them must agree
    slow start       nothing is known: one probe, then 1, 2, 4, … in flight
    concurrency      it fails most of what it gets, and calls are held back: few go at a time

A further limit is one more ``Limit`` in that row. Whatever may release waiting calls returns the
tickets whose holders are to be woken. There is one timer, and no task behind it: the ticket at the
head of the queue keeps the time (``timer_deadline``) and hands it on when it leaves.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ..dialect.catalog import ErrorClass
from ..dialect.classify import Failure
from ..headers import Reading
from ..headers.server_clock import ServerClock
from ..policy import ThrottlePolicy
from ..telemetry.events import Event
from .admission import ANYONE, OPEN, Admission, Ending, Limit
from .in_flight import InFlight
from .limits.adaptive_rate import AdaptiveRateLimiter
from .limits.closing import Closing
from .limits.concurrency import ConcurrencyLimiter
from .limits.fleet import Peers
from .limits.in_flight_limit import places_of
from .limits.quota_set import QuotaSet
from .limits.silent_window import RISKY
from .limits.slow_start import SlowStart
from .origin_concurrency import OriginConcurrency
from .queue import EXPIRED, GRANTED, LEFT, WAITING, Ticket, TicketQueue
from .reporter import ThrottleReporter, seconds_until
from .route import Route
from .snapshot import RateLimitStatus, Signature, Statistics, status_rows

if TYPE_CHECKING:
    from .leasing import Leasing

_CLOSING = (ErrorClass.RATE_LIMITED, ErrorClass.TRANSIENT)
"""Classes of failures whose ``Retry-After`` is meant for all calls of the scope."""


class Throttle:
    """One scope's limits and queue. Times are the driver's, in seconds.

    Args:
        origin, scope: For events; without any credential.
        policy: The numbers.
        clock: The server's clock, shared by the scopes of an origin.
        emit: Takes the events.
        peers: How many processes share the limits; None for a process on its own.
        concurrency: The requests in flight to the origin, shared by its scopes; None for one of its
            own, as the policy says.
    """

    leasing: "Leasing | None" = None  # asks the store that shares its limits, where one does

    __slots__ = (
        "__weakref__",
        "_answer",
        "_clock",
        "_closing",
        "_concurrency",
        "_credit",
        "_in_flight",
        "_learners",
        "_limits",
        "_places",
        "_queue",
        "_quotas",
        "_rate",
        "_reporter",
        "_slow_start",
        "_timer_deadline",
        "_timer_ticket",
        "origin",
        "policy",
        "scope",
        "signature",
    )

    def __init__(
        self,
        origin: str,
        scope: str,
        policy: ThrottlePolicy,
        clock: ServerClock,
        emit: Callable[[Event], None],
        peers: Peers | None = None,
        concurrency: OriginConcurrency | None = None,
    ) -> None:
        self.origin = origin
        self.scope = scope
        self.signature: Signature | None = None
        self.policy = policy
        self._clock = clock
        self._queue = TicketQueue()
        self._in_flight = in_flight = InFlight()
        self._credit = 0
        self._answer: Admission | None = None
        self._timer_ticket: Ticket | None = None
        self._timer_deadline = math.inf
        self._reporter = ThrottleReporter(origin, scope, policy.low_below, emit)
        self._closing = Closing()
        self._quotas = quotas = QuotaSet(policy, self._reporter, clock, in_flight, peers)
        self._rate = AdaptiveRateLimiter(in_flight, quotas)
        self._slow_start = SlowStart(in_flight, quotas, self._closing)
        self._concurrency = overload = ConcurrencyLimiter(in_flight, self._queue, quotas)
        self._places = places_of(policy, in_flight, concurrency)
        places: tuple[Limit, ...] = () if self._places is None else (self._places,)
        rate, slow_start, closing = self._rate, self._slow_start, self._closing
        self._limits: tuple[Limit, ...] = (closing, *places, rate, quotas, slow_start, overload)
        # What headers say is learned before anything is concluded from it.
        self._learners: tuple[Limit, ...] = (closing, quotas, slow_start, rate, overload, *places)

    # Before a request.

    def reserve(
        self,
        order: int,
        now: float,
        give_up_at: float,
        max_hint: float = math.inf,
        cost: int = 1,
        max_queue: int | None = None,
        units: Mapping[str, int] | None = None,
    ) -> Ticket:
        """Ask for a place; the ticket comes back granted, expired, or waiting to be queued.

        Args:
            order: Arrival of the call; a retry keeps it.
            now: The time.
            give_up_at: When waiting has no point any more.
            max_hint: Seconds; a scope that a server in trouble closed for longer refuses at once.
            cost: How many requests it counts as.
            max_queue: Calls that may wait; None for as many as the scope's policy says.
            units: What it takes of other units, where that is given.
        """
        ticket = Ticket(order, give_up_at, now, cost, units)
        ticket.home = self
        self._answer = None
        if not self._queue:
            admission = self.ask(now, cost, ticket)
            if admission.is_open:
                self._credit = 0
                self._admit(ticket, admission, now)
                return ticket
            self._answer = admission
        if not self._has_point(ticket, now, max_hint, max_queue or self.policy.max_queue):
            ticket.state = EXPIRED
        return ticket

    def admit_at_once(self, order: int, now: float, cost: int = 1) -> Ticket | None:
        """Admit a request where nobody waits, nothing is closed, and there is plenty; else None."""
        if self._credit < cost:
            return None
        self._credit -= cost
        ticket = Ticket(order, now, now, cost)
        ticket.home = self
        self._start(ticket, now)
        return ticket

    def enqueue(self, ticket: Ticket, now: float) -> Sequence[Ticket]:
        """Queue a waiting ticket, right after it was reserved; return the tickets to wake."""
        answer, self._answer = self._answer, None
        self._credit = 0
        self._queue.push(ticket)
        if answer is not None and ticket.give_up_at > now:  # it is alone, and was asked for already
            self._rearm_timer(ticket, answer.retry_at)
            self._reporter.held(answer.reason, answer.retry_at, 1, now)
            if self._places is not None:
                return self._places.settle(self, ticket, answer.reason, now)
            return ()
        timer, until = self._timer_ticket, self._timer_deadline
        if timer is None or ticket.order < timer.order or not now < until <= ticket.give_up_at:
            return self.tick(now)
        return ()  # it is behind the one who keeps the time, and changes nothing

    def admit_unconditionally(
        self, order: int, now: float, cost: int = 1, units: Mapping[str, int] | None = None
    ) -> Ticket:
        """Count a request that goes whatever is left."""
        ticket = Ticket(order, now, now, cost, units)
        ticket.home = self
        self._credit = 0
        self._admit(ticket, OPEN, now)
        return ticket

    def timer_deadline(self, ticket: Ticket) -> float | None:
        """Return until when a waiting ticket's holder keeps the time; None if another does."""
        return self._timer_deadline if ticket is self._timer_ticket else None

    def tick(self, now: float) -> Sequence[Ticket]:
        """Admit who may go, and see who keeps the time; return the tickets to wake."""
        queue = self._queue
        woken = queue.expired(now)
        for gone in woken:
            gone.retry_at = self._expected(now)
        head = queue.head()
        retry_at, credit, reason = math.inf, 0, ""
        while head is not None:
            if credit >= head.cost:
                credit -= head.cost
                self._start(head, now)
            else:
                admission = self.ask(now, head.cost, head)
                if not admission.is_open and self._quotas.never(head, now):
                    queue.remove(head, EXPIRED)
                    woken.append(head)
                    head = queue.head()
                    continue
                if not admission.is_open:
                    retry_at, reason = admission.retry_at, admission.reason
                    break
                if admission is RISKY:
                    head = queue.longest_waiting()
                self._admit(head, admission, now)
                credit = self._fast_path_credit(now) if admission is OPEN else 0
            queue.remove(head, GRANTED)
            woken.append(head)
            head = queue.head()
        if self._rearm_timer(head, retry_at) and head is not None:
            woken.append(head)
        if head is None:
            self._concurrency.end()
            self._reporter.released(now)
        else:  # nothing is emitted before all is settled
            self._reporter.held(reason, retry_at, len(queue), now)
        if self._places is not None:
            woken += self._places.settle(self, head, reason, now)
        return woken

    def ask(self, now: float, cost: int = 1, ticket: Ticket = ANYONE) -> Admission:
        """Return whether one more request may go: the first limit that says no decides."""
        answer = OPEN
        for limit in self._limits:
            asked = limit.admit(now, cost, ticket)
            if asked is not OPEN:
                if not asked.is_open:
                    return asked
                answer = asked
        return answer

    def would_admit(
        self, now: float, cost: int = 1, units: Mapping[str, int] | None = None, order: int = -1
    ) -> bool:
        """Return whether a request would go at once."""
        return not self._queue and self.ask(now, cost, Ticket(order, now, now, cost, units)).is_open

    def never_admits(self, ticket: Ticket, now: float) -> str:
        """Return why a request can never go, as things stand; empty if it can."""
        return self._quotas.never(ticket, now)

    def is_closed(self, now: float) -> bool:
        """Return whether the server has said when to come back, and it is not yet time."""
        return self._closing.until > now

    def _start(self, ticket: Ticket, now: float) -> None:
        ticket.state = GRANTED
        ticket.granted_at = now
        in_flight = self._in_flight
        in_flight.count += 1
        in_flight.units += ticket.cost
        in_flight.last_started_at = now

    def _admit(self, ticket: Ticket, admission: Admission, now: float) -> None:
        self._start(ticket, now)
        ticket.is_probe = admission.is_probe
        for limit in self._limits:
            limit.started(now, ticket.cost)
        if self._quotas.metered:
            self._quotas.reserve(ticket)

    def _has_point(self, ticket: Ticket, now: float, max_hint: float, max_queue: int) -> bool:
        """Return whether waiting has a point; where it has none, set when it would have."""
        if self._quotas.never(ticket, now):
            ticket.retry_at = self._expected(now)
            return False
        certain, troubled_until = self._certain(now), self._closing.troubled_until
        if certain > ticket.give_up_at or max(now, troubled_until) - now > max_hint:
            ticket.retry_at = max(certain, troubled_until)
            return False
        if len(self._queue) >= max_queue:
            ticket.retry_at = self._expected(now)
            return False
        return True

    def _certain(self, now: float) -> float:
        """Return the time before which surely nothing goes."""
        if self._closing.until > now:
            return self._closing.until
        if self._in_flight.count:
            return now  # a response may change everything
        return max(self._quotas.resets(now), default=now)

    def _expected(self, now: float) -> float | None:
        """Return when there should be room, if anything is known about it."""
        closed_until = self._closing.until
        known = [closed_until] if closed_until > now else []
        return max(known + self._quotas.ends(now), default=None)

    def _rearm_timer(self, head: Ticket | None, retry_at: float) -> bool:
        """Let the head of the queue keep the time; return whether it is to be woken for that."""
        if head is None:
            self._timer_ticket, self._timer_deadline = None, math.inf
            return False
        until = min(retry_at, self._queue.next_deadline())
        is_news = head is not self._timer_ticket or until < self._timer_deadline
        self._timer_ticket, self._timer_deadline = head, until
        return is_news

    # After a request.

    def leave(self, ticket: Ticket, now: float, *, sent: bool) -> Sequence[Ticket]:
        """Take back a ticket in any state, of a call that was cancelled or whose attempt raised.

        ``sent``: the server may have counted the request, so it stays counted for a while.
        Returns the tickets to wake.
        """
        if ticket.state == WAITING:
            self._queue.remove(ticket, LEFT)
        elif ticket.state == GRANTED:
            self._finish(ticket, sent=sent)
            if sent:
                self._in_flight.abandon(ticket, now)
        return self.tick(now)

    def failed(self, ticket: Ticket, now: float, *, sent: bool) -> Sequence[Ticket]:
        """Learn from an attempt that ended in an exception, and give its place back.

        Returns the tickets to wake.
        """
        self._credit = 0
        ending = Ending(ticket, ticket.granted_at, now, is_answered=False)
        for limit in self._learners:
            limit.ended(ending)
        return self.leave(ticket, now, sent=sent)

    def observe(
        self,
        ticket: Ticket,
        sent: float,
        received: float,
        reading: Reading,
        failure: Failure | None,
    ) -> Sequence[Ticket]:
        """Learn from a response to a request sent at ``sent``, and give its place back.

        ``reading`` is what its headers say of rate limits, ``failure`` what it failed with.
        Returns the tickets to wake.
        """
        quotas, in_flight, credit = self._quotas, self._in_flight, -1
        if ticket.state == GRANTED:  # as in ``_finish``, which would cost as much again
            ticket.state = LEFT
            in_flight.count -= 1
            in_flight.units -= ticket.cost
        announced, date, _ = reading
        if date is not None:
            self._clock.observe(date, sent, received)
        only, closes = quotas.only, failure is not None and _closes(failure)
        if only is not None and not closes and len(announced) == 1:
            version, units = self._clock.version, in_flight.units
            credit = only.repeat(announced[0], sent, received, version, units)
        if self._credit and failure is None and announced and not in_flight.abandoned:
            # Nobody waits, nothing is closed, there was plenty: this is all there is to learn.
            if credit < 0:
                quotas.learn(announced, sent, received)
                credit = quotas.fast_path_credit()
            self._rate.accepted(sent, received)
            if self._concurrency.share:
                self._concurrency.succeeded(received)
            self._credit = credit
            return ()
        ending = Ending(
            ticket, sent, received, announced, failure, closes=closes, is_learned=credit >= 0
        )
        for limit in self._learners:
            limit.ended(ending)
        is_waited_for = self._timer_ticket is not None or self._queue or self._reporter.is_holding
        if is_waited_for or self._places is not None:  # a place may be for another scope's call
            self._credit = 0
            return self.tick(received)
        self._credit = self._fast_path_credit(received)
        return ()

    def _fast_path_credit(self, now: float) -> int:
        """Return how many units may go from now on without another look."""
        credit = self._quotas.fast_path_credit()
        if credit:
            for limit in self._limits:
                if not limit.has_credit(now):
                    return 0
        return credit

    def _finish(self, ticket: Ticket, *, sent: bool = False) -> None:
        if ticket.state == GRANTED:  # not one of another bucket's throttle, where it finished
            ticket.state = LEFT
            self._in_flight.count -= 1
            self._in_flight.units -= ticket.cost
            if self._quotas.metered:
                self._quotas.give_back(ticket, sent=sent)

    # Routes that are learned.

    def waiting_routes(self) -> list[Route]:
        """Return the routes that calls wait for here, the earliest call's first."""
        return self._queue.routes()

    def answered_elsewhere(self, ticket: Ticket, now: float) -> Sequence[Ticket]:
        """Give back the place of a request whose response belongs to another bucket."""
        self._finish(ticket)
        self._slow_start.answered_elsewhere()
        return self.tick(now)

    def hand_over(self, route: Route, home: "Throttle", now: float) -> Sequence[Ticket]:
        """Queue a route's waiting tickets with another throttle, each at its call's place.

        Returns the tickets to wake.
        """
        moved = self._queue.take(route)
        if not moved:
            return ()
        woken = home.take_in(moved, now)
        return (*woken, *self.tick(now))

    def take_in(self, tickets: Sequence[Ticket], now: float) -> Sequence[Ticket]:
        """Queue tickets that waited elsewhere; return the tickets to wake."""
        self._credit = 0
        for ticket in tickets:
            ticket.home = self
            self._queue.push(ticket)
        return self.tick(now)

    def rename(self, scope: str) -> None:
        """Go by another name, once it is known which bucket this is."""
        self.scope = scope
        self._reporter.rename(scope)

    # What others ask.

    @property
    def troubled_until(self) -> float:
        """Until when a server in trouble, and not for its rate limit, wants no requests."""
        return self._closing.troubled_until

    @property
    def is_pacing(self) -> bool:
        """Whether it holds refused calls to a rate of their own."""
        return self._rate.is_holding

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits, and nothing is in flight or might be counted still."""
        return not (self._queue or self._in_flight.count or self._in_flight.abandoned)

    def statistics(self) -> Statistics:
        """Return how many requests wait, are in flight, and are counted though abandoned."""
        in_flight = self._in_flight
        return Statistics(
            len(self._queue), in_flight.count, len(in_flight.abandoned), in_flight.units
        )

    def status(self, now: float) -> list[RateLimitStatus]:
        """Return what is known, a row for each policy; one row if none is known."""
        admission = self.ask(now, 1)
        common: dict[str, Any] = {
            "origin": self.origin,
            "scope": self.scope,
            "in_flight": self._in_flight.count,
            "queued": len(self._queue),
            "concurrency": None if self._places is None else self._places.origin.limit,
            "held_for": None if admission.is_open else seconds_until(admission.retry_at, now),
            "held_reason": admission.reason or None,
        }
        return status_rows(common, self._quotas.values(), self._in_flight.units, now)


def _closes(failure: Failure) -> bool:
    """Return whether a failure says when to come back, to all calls of its scope."""
    wait = failure.wait
    return wait is not None and wait.seconds > 0 and failure.error_class in _CLOSING
