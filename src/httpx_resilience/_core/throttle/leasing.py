"""How one process asks the store that others share limits by: who asks when, and if it is away.

There is no task behind it. The next call that needs a lease asks, for all scopes that need one, and
the others wait for its answer. One round trip is under way at a time. Where the store does not
answer, everybody goes on by the process's own part of what is left, and after a while that is
longer each time the next call tries again: nothing waits for the store twice.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from ..outcome import Command, Leased
from ..telemetry.events import Event
from ..telemetry.store_events import StoreBack, StoreLost
from .leased import LeasedThrottle
from .limits.lease_reply import read_reply
from .queue import Ticket
from .throttle import Throttle

LEASE, FLOOR = "lease", "floor"
"""Names of the scripts, and kinds of keys."""

PATIENCE = 0.3
"""Seconds that a call waits longer than its ``max_wait`` where a store may be slow: the quarter of
a second that its commands have, and a little."""

_FIRST_BACKOFF, _LONGEST_BACKOFF = 1.0, 30.0
"""Seconds until a store that was away is asked again: twice as many each time."""


class Names(Protocol):
    """What names things in the store, so that all processes name them alike and nobody else can."""

    def key(self, kind: str, *parts: str) -> str:
        """Return the key of what has these parts."""
        ...

    def token(self, *parts: str) -> str:
        """Return a keyed hash: letters and digits."""
        ...

    def hashed(self, name: bytes) -> str:
        """Return a keyed hash of what names an identity."""
        ...


class Leasing:
    """What one process has to do with a store.

    Args:
        names: Names the scopes.
        process: A name for this process that no other has: letters and digits, 32 at the most.
        emit: Takes the events.
        processes: How many there are, as long as the store has not said so.

    Attributes:
        names: As given.
        processes: How many shared a scope when the store was heard of last.
    """

    def __init__(
        self, names: Names, process: str, emit: Callable[[Event], None], processes: int = 1
    ) -> None:
        self.names = names
        self.processes = processes
        self._process = process
        self._emit = emit
        self._sequence = 0
        self._asked: tuple[LeasedThrottle, ...] = ()
        self._asked_at = -math.inf
        self._due: dict[LeasedThrottle, None] = {}
        self._lost_at: float | None = None
        self._retry_at = -math.inf
        self._backoff = _FIRST_BACKOFF

    @property
    def is_lost(self) -> bool:
        """Whether the store did not answer when it was asked last."""
        return self._lost_at is not None

    def may_retry(self, now: float) -> bool:
        """Return whether the next call may see whether the store is back."""
        return not self._asked and now >= self._retry_at

    def commands(self, throttle: Throttle, now: float) -> Sequence[Command]:
        """Return what a waiting call is to have the store run: nothing, if another call does."""
        if not isinstance(throttle, LeasedThrottle) or not throttle.lease.is_due:
            return ()
        self._due[throttle] = None
        if self._asked or now < self._retry_at:
            return ()
        self._asked, self._asked_at = tuple(self._due), now
        self._due.clear()
        return tuple(self._command(each, now) for each in self._asked)

    def _command(self, throttle: LeasedThrottle, now: float) -> Command:
        self._sequence += 1
        args = throttle.question(now)
        key = self.names.key(LEASE, *throttle.parts)
        return Command(LEASE, key, (self._process, self._sequence, *args))

    def answered(self, leased: Leased) -> Sequence[Ticket]:
        """Take what the store answered; return the tickets to wake."""
        asked, self._asked = self._asked, ()
        woken: list[Ticket] = []
        replies = leased.replies
        is_lost = True
        for throttle, words in zip(asked, replies or [None] * len(asked), strict=False):
            try:
                reply = None if words is None else read_reply(list(words))
            except ValueError:
                reply = None
            if reply is not None:
                is_lost = False
                self.processes = reply.processes
                woken += throttle.leased(reply, self._asked_at, leased.at)
        if is_lost:
            self._lose(asked, leased)
        else:
            self._find(asked, leased.at)
        for throttle in asked:  # where its own command failed, by the process's own part
            woken += throttle.tick(leased.at)
        return (*woken, *self._next(leased.at))

    def left(self, now: float) -> Sequence[Ticket]:
        """Note that the call was cancelled that asked; return the tickets to wake: others ask."""
        asked, self._asked = self._asked, ()
        woken: list[Ticket] = []
        for throttle in asked:
            throttle.lease.is_due = True
            woken += throttle.tick(now)
            self._due[throttle] = None
        return (*woken, *self._next(now))

    def _next(self, now: float) -> Sequence[Ticket]:
        """Return a ticket whose holder is to ask for those that became due meanwhile."""
        if self.is_lost:
            due, self._due = tuple(self._due), {}
            return [ticket for throttle in due for ticket in throttle.tick(now)]
        for throttle in tuple(self._due):
            head = throttle.head()
            if head is not None:
                return (head,)
            del self._due[throttle]
        return ()

    def _lose(self, asked: Sequence[LeasedThrottle], leased: Leased) -> None:
        now = leased.at
        self._retry_at = now + self._backoff
        self._backoff = min(2 * self._backoff, _LONGEST_BACKOFF)
        if self._lost_at is None:
            self._lost_at = now
            first = asked[0] if asked else None
            self._emit(
                StoreLost(
                    at=now,
                    origin="" if first is None else first.origin,
                    reason=leased.error or "reply",
                    processes=self.processes,
                )
            )

    def _find(self, asked: Sequence[LeasedThrottle], now: float) -> None:
        self._backoff, self._retry_at = _FIRST_BACKOFF, -math.inf
        lost_at, self._lost_at = self._lost_at, None
        if lost_at is not None:
            elapsed = round(now - lost_at, 3)
            self._emit(StoreBack(at=now, origin=asked[0].origin, elapsed=elapsed))
