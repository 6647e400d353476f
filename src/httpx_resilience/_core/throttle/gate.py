"""The throttle of one scope: who may send now, who waits, and until when.

A scope is in one of these states, looked at anew for each decision:

    closed     the server said when to come back; nothing goes before
    paced      it limits in silence; one request each 1 / rate
    eased      it fails most of what it gets, and calls are held back: few go at a time
    cold       nothing is known: one scout, then 1, 2, 4, … in flight, so that a thousand calls
               neither run into a limit of ten nor queue behind one another's failures
    evidence   the ledgers say what is left; all of them must agree
    passing    it answers without rate-limit headers: nothing is held, until headers appear

Whatever may let waiting calls go puts their tickets on ``ready``; the driver wakes them. There is
one timer, and no task behind it: the ticket at the head of the queue keeps the time (``keep``) and
hands it on when it leaves.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from ..catalog import RATE_LIMITED, ErrorClass
from ..classify import Failure
from ..events import Event
from ..headers import RateLimit, Reading
from ..policy import ThrottlePolicy
from ..serverclock import ServerClock
from .account import (
    EXHAUSTED,
    OVERLOAD,
    SERVER_HINT,
    SILENT_LIMIT,
    Account,
    seconds_until,
)
from .easing import Easing
from .kinds import LONGEST, OPEN, SCOUT, Gate
from .ledger import GUARD, SETTLED
from .ledgers import Ledgers
from .pacer import Pacer
from .queue import EXPIRED, GRANTED, LEFT, WAITING, Ticket, TicketQueue
from .route import ResolveBucket, Route
from .slowstart import SlowStart
from .status import RateLimitStatus, Signature, signature_of, status_rows

GHOST = 30.0
"""Seconds for which a request that was given up after its send may still be counted; fewer if an
answer tells what is left to one that was sent ``SETTLED`` seconds after it."""

_CLOSING = (RATE_LIMITED, ErrorClass.TRANSIENT)


class Throttle:
    """One scope's gate, ledgers and queue. Times are the driver's, in seconds.

    Args:
        origin, scope: For events; without any credential.
        policy: The numbers.
        clock: The server's clock, shared by the scopes of an origin.
        ready: Takes the tickets whose holders are to be woken.
        emit: Takes the events.
    """

    __slots__ = (
        "__weakref__",
        "_account",
        "_ample",
        "_clock",
        "_closed_until",
        "_easing",
        "_ghosts",
        "_in_flight",
        "_keeper",
        "_keeper_until",
        "_last_granted",
        "_ledgers",
        "_outstanding",
        "_pacer",
        "_queue",
        "_ready",
        "_slow",
        "origin",
        "policy",
        "resolve_bucket",
        "scope",
        "signature",
        "troubled_until",
    )

    def __init__(
        self,
        origin: str,
        scope: str,
        policy: ThrottlePolicy,
        clock: ServerClock,
        ready: list[Ticket],
        emit: Callable[[Event], None],
    ) -> None:
        self.origin = origin
        self.scope = scope
        self.resolve_bucket: ResolveBucket | None = None
        self.signature: Signature | None = None
        self.policy = policy
        self._clock = clock
        self._ready = ready
        self._queue = TicketQueue()
        self._in_flight = 0
        self._ghosts: deque[tuple[float, int]] = deque()
        self._outstanding = 0
        self._ample = 0
        self._last_granted = -math.inf
        self._closed_until = -math.inf
        self.troubled_until = -math.inf
        self._pacer = Pacer()
        self._easing = Easing()
        self._slow = SlowStart()
        self._keeper: Ticket | None = None
        self._keeper_until = math.inf
        self._account = Account(origin, scope, policy.low_below, emit)
        self._ledgers = Ledgers(policy, self._account)

    # Before a request.

    def reserve(
        self,
        order: int,
        now: float,
        give_up_at: float,
        max_hint: float = math.inf,
        cost: int = 1,
        max_queue: int | None = None,
    ) -> Ticket:
        """Ask for a place; the ticket comes back granted, waiting or expired.

        Args:
            order: Arrival of the call; a retry keeps it.
            now: The time.
            give_up_at: When waiting has no point any more.
            max_hint: Seconds; a scope that a server in trouble closed for longer refuses at once.
            cost: Units that the request takes.
            max_queue: Calls that may wait; None for as many as the scope's policy says.
        """
        ticket = Ticket(order, give_up_at, now, cost)
        ticket.home = self
        if self._ample >= cost:  # nobody waits, nothing is closed, and there is plenty
            self._ample -= cost
            self._launch(ticket, now)
            return ticket
        if not self._queue:
            gate = self._gate(now, cost)
            if gate.is_open:
                self._grant(ticket, gate, now)
                return ticket
        if not self._admits(ticket, now, max_hint, max_queue or self.policy.max_queue):
            ticket.state = EXPIRED
            return ticket
        self._ample = 0
        self._queue.push(ticket)
        keeper, until = self._keeper, self._keeper_until
        if keeper is None or order < keeper.order or not now < until <= give_up_at:
            self.tick(now)  # else it is behind the one who keeps the time, and changes nothing
        return ticket

    def count(self, order: int, now: float, cost: int = 1) -> Ticket:
        """Count a request that goes whatever is left."""
        ticket = Ticket(order, now, now, cost)
        ticket.home = self
        if self._ample >= cost:
            self._ample -= cost
            self._launch(ticket, now)
        else:
            self._ample = 0
            self._grant(ticket, OPEN, now)
        return ticket

    def keep(self, ticket: Ticket) -> float | None:
        """Return until when the holder of a waiting ticket keeps the time; None if another does."""
        return self._keeper_until if ticket is self._keeper else None

    def tick(self, now: float) -> None:
        """Let go who may go, and see who keeps the time."""
        queue = self._queue
        for gone in queue.expired(now):
            gone.retry_at = self._expected(now)
            self._ready.append(gone)
        head = queue.head()
        wake_at, ample, reason = math.inf, 0, ""
        while head is not None:
            if ample >= head.cost:
                ample -= head.cost
                self._launch(head, now)
            else:
                gate = self._gate(now, head.cost)
                if not gate.is_open:
                    wake_at, reason = gate.wake_at, gate.reason
                    break
                self._grant(head, gate, now)
                ample = self._free(now) if gate is OPEN else 0
            queue.remove(head, GRANTED)
            self._ready.append(head)
            head = queue.head()
        self._hand_over(head, wake_at)
        if head is None:
            self._easing.end()
            self._account.released(now)
        else:  # nothing is emitted before all is settled
            self._account.held(reason, wake_at, len(queue), now)

    def waiting_routes(self) -> list[Route]:
        """Return the routes that calls wait for here, the earliest call's first."""
        return self._queue.routes()

    def hand_over(self, route: Route, home: "Throttle", now: float) -> None:
        """Queue a route's waiting tickets with another throttle, each at its call's place."""
        moved = self._queue.take(route)
        if moved:
            home.take_in(moved, now)
            self.tick(now)

    def take_in(self, tickets: Iterable[Ticket], now: float) -> None:
        """Queue tickets that waited elsewhere."""
        self._ample = 0
        for ticket in tickets:
            ticket.home = self
            self._queue.push(ticket)
        self.tick(now)

    def rename(self, scope: str) -> None:
        """Go by another name, once it is known which bucket this is."""
        self.scope = scope
        self._account.rename(scope)

    def leave(self, ticket: Ticket, now: float, *, sent: bool) -> None:
        """Take back a ticket in any state, of a call that was cancelled or whose attempt raised.

        ``sent``: the server may have counted the request, so it stays counted as a ghost.
        """
        if ticket.state == WAITING:
            self._queue.remove(ticket, LEFT)
        elif ticket.state == GRANTED:
            self._land(ticket)
            if sent:
                self._drop_ghosts(now)  # where no call is ever held back, nobody else does
                self._ghosts.append((ticket.granted_at + GHOST, ticket.cost))
                self._outstanding += ticket.cost
        self.tick(now)

    # After a request.

    def failed(self, ticket: Ticket, now: float, *, sent: bool) -> None:
        """Learn from an attempt that ended in an exception, and give its place back."""
        self._ample = 0
        self._without_headers(ticket, now, success=False, counted=False)
        self._trouble(ticket, now)
        self.leave(ticket, now, sent=sent)

    def observe(
        self,
        ticket: Ticket,
        sent: float,
        received: float,
        reading: Reading,
        failure: Failure | None,
    ) -> None:
        """Learn from a response to a request sent at ``sent``, and give its place back.

        ``reading`` is what its headers say of rate limits, ``failure`` what it failed with.
        """
        self._land(ticket)
        limits, route = reading.limits, ticket.route
        if limits and route is not None and self.resolve_bucket is not None:
            home = self.resolve_bucket(self, route, signature_of(limits), received)
            if home is not self:
                home.observe(ticket, sent, received, reading, failure)
                self._slow.answered()
                self.tick(received)
                return
        if reading.date is not None:
            self._clock.observe(reading.date, sent, received)
        only, ample = self._ledgers.only, -1
        plain = failure is None and not self._ghosts and len(limits) == 1
        if plain and only is not None and self._ample > 0:
            ample = only.repeat(limits[0], sent, received, self._clock.version, self._outstanding)
        if failure is not None:
            self._failure(ticket, sent, received, limits, failure)
        else:
            if ample < 0:
                self._success(ticket, sent, received, limits)
            self._pacer.accepted(sent, received)
            if self._easing.share:
                self._easing.succeeded(received)
        if ample >= 0:  # nobody waits, nothing is closed, all is as it was
            self._ample = ample
        elif self._keeper is not None or self._queue or self._account.is_holding:
            self._ample = 0
            self.tick(received)
        else:
            self._ample = self._free(received)

    def _success(
        self, ticket: Ticket, sent: float, received: float, limits: tuple[RateLimit, ...]
    ) -> None:
        if limits:
            self._learn(limits, sent, received, success=True)
        else:
            self._without_headers(ticket, received, success=True, counted=True)

    def _free(self, now: float) -> int:
        """Return how many units may go from now on without another look."""
        if now < self._closed_until or self._pacer.rate is not None or not self._ledgers:
            return 0
        return 0 if self._easing.limit is not None else self._ledgers.ample(self._outstanding)

    def _failure(
        self,
        ticket: Ticket,
        sent: float,
        received: float,
        limits: tuple[RateLimit, ...],
        failure: Failure,
    ) -> None:
        """Learn from an error response: a refusal, trouble of the server's, or neither."""
        refused = failure.error_class is RATE_LIMITED
        wait = failure.wait.seconds if failure.wait is not None else 0.0
        silent = False
        if wait > 0 and failure.error_class in _CLOSING:
            self._close(received + min(wait, LONGEST) + GUARD, ticket, refused=refused)
        elif limits:
            self._learn(limits, sent, received, success=False)
            silent = refused and not self._ledgers.are_drained(self._outstanding)
        else:
            self._without_headers(ticket, received, success=False, counted=True)
            silent = refused or self._may_be_silent(failure)
        is_well = (failure.status or 500) < 500
        if silent:
            self._pacer.refused(sent, received, surely=refused)
        elif is_well and not refused:
            self._pacer.accepted(sent, received)  # a 404 is no refusal
        if is_well:
            self._easing.succeeded(received)
        else:
            self._trouble(ticket, received)

    def _trouble(self, ticket: Ticket, now: float) -> None:
        flying, is_holding = self._in_flight, bool(self._queue)
        self._easing.failed(ticket.granted_at, now, flying, is_holding=is_holding)

    def _land(self, ticket: Ticket) -> None:
        if ticket.state == GRANTED:  # not one of another bucket's throttle, where it landed
            ticket.state = LEFT
            self._in_flight -= 1
            self._outstanding -= ticket.cost

    @property
    def is_pacing(self) -> bool:
        """Whether it holds refused calls to a rate of their own."""
        return self._pacer.rate is not None

    @property
    def is_idle(self) -> bool:
        """Whether nobody waits, and nothing is in flight or might be counted still."""
        return not (self._queue or self._in_flight or self._ghosts)

    def status(self, now: float) -> list[RateLimitStatus]:
        """Return what is known, a row for each policy; one row if none is known."""
        gate = self._gate(now)
        common: dict[str, Any] = {
            "origin": self.origin,
            "scope": self.scope,
            "in_flight": self._in_flight,
            "queued": len(self._queue),
            "held_for": None if gate.is_open else seconds_until(gate.wake_at, now),
            "held_reason": gate.reason or None,
        }
        return status_rows(common, self._ledgers.values(), self._outstanding, now)

    def _may_be_silent(self, failure: Failure) -> bool:
        # Whoever announces its limits refuses beyond them in words: its proxy's 503 is an outage.
        return failure.status == 503 and not failure.coded and not self._ledgers

    def _close(self, until: float, ticket: Ticket, *, refused: bool) -> None:
        self._closed_until = max(self._closed_until, until)
        if not refused:
            self.troubled_until = max(self.troubled_until, until)
        self._slow.begin(self._closed_until)
        if refused:
            self._ledgers.distrust(at_reset=ticket.is_scout)

    def _learn(
        self, limits: tuple[RateLimit, ...], sent: float, received: float, *, success: bool
    ) -> None:
        self._ledgers.learn(limits, sent, received, self._clock, self._outstanding)
        if self._ghosts:
            self._drop_ghosts(sent + GHOST - SETTLED)  # what came so much later saw them counted
        if any(limit.remaining is not None for limit in limits):
            self._slow.told()
        elif not self._ledgers.has_evidence:
            self._slow.was_silent(success=success)

    def _without_headers(self, ticket: Ticket, now: float, *, success: bool, counted: bool) -> None:
        ledgers = self._ledgers
        if counted and ledgers:
            ledgers.miss(set(), now)
        if ticket.is_scout:
            ledgers.forget_expired(now)
        if self._slow.is_over or ledgers.has_evidence:
            return
        self._slow.was_silent(success=success)
        if self._slow.is_over:
            ledgers.vanish()

    # The gate.

    def _gate(self, now: float, cost: int = 1) -> Gate:
        if now < self._closed_until:
            return Gate(False, SERVER_HINT, self._closed_until)
        if self._pacer.rate is not None:
            paced_at = self._pacer.open_at(now)
            if now < paced_at:
                return Gate(False, SILENT_LIMIT, paced_at)
        if self._ghosts:
            self._drop_ghosts(now)
        outstanding = self._outstanding
        settles_at = self._last_granted + SETTLED if outstanding else -math.inf
        opened, known = OPEN, False
        for ledger in self._ledgers.values():
            if ledger.has_evidence:
                known = True
                verdict = ledger.verdict(now, outstanding, settles_at, cost)
                if not verdict.is_open:
                    # A ghost that is counted no more may be all that was in the way.
                    forgotten_at = self._ghosts[0][0] if self._ghosts else math.inf
                    return Gate(False, EXHAUSTED, min(verdict.wake_at, forgotten_at))
                if verdict.is_scout:
                    opened = SCOUT
        if not known:
            return self._slow.gate(self._in_flight, now)
        if self._easing.limit is not None:
            eased_at = self._easing.open_at(self._in_flight, now)
            if now < eased_at:
                return Gate(False, OVERLOAD, eased_at)
        return opened

    def _drop_ghosts(self, until: float) -> None:
        """Count no more the requests that are ghosts until then."""
        ghosts = self._ghosts
        while ghosts and ghosts[0][0] <= until:
            self._outstanding -= ghosts.popleft()[1]

    def _launch(self, ticket: Ticket, now: float) -> None:
        ticket.state = GRANTED
        ticket.granted_at = now
        self._in_flight += 1
        self._outstanding += ticket.cost
        self._last_granted = now

    def _grant(self, ticket: Ticket, gate: Gate, now: float) -> None:
        self._launch(ticket, now)
        ticket.is_scout = gate.is_scout
        if self._pacer.rate is not None:
            self._pacer.took(now)
        outstanding = self._outstanding
        for ledger in self._ledgers.values():
            ledger.took(now, outstanding, ticket.cost)

    def _admits(self, ticket: Ticket, now: float, max_hint: float, max_queue: int) -> bool:
        """Tell whether waiting has a point; where it surely has none, say when it would have."""
        certain = self._certain(now)
        if certain > ticket.give_up_at or max(now, self.troubled_until) - now > max_hint:
            ticket.retry_at = max(certain, self.troubled_until)
            return False
        if len(self._queue) >= max_queue:
            ticket.retry_at = self._expected(now)
            return False
        return True

    def _certain(self, now: float) -> float:
        """Return the time before which surely nothing goes."""
        if self._closed_until > now:
            return self._closed_until
        if self._in_flight:
            return now  # a response may change everything
        return max(self._ledgers.resets(now), default=now)

    def _expected(self, now: float) -> float | None:
        """Return when there should be room, if anything is known about it."""
        known = [self._closed_until] if self._closed_until > now else []
        return max(known + self._ledgers.ends(now), default=None)

    def _hand_over(self, head: Ticket | None, wake_at: float) -> None:
        if head is None:
            self._keeper, self._keeper_until = None, math.inf
            return
        until = min(wake_at, self._queue.next_deadline())
        if head is not self._keeper or until < self._keeper_until:
            self._ready.append(head)
        self._keeper, self._keeper_until = head, until
