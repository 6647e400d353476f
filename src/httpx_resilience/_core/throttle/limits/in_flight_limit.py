"""One scope's part in the bound on requests in flight to its origin.

Off unless ``ThrottlePolicy.concurrency`` is set: then nothing of it is among the scope's limits.
"""

from typing import TYPE_CHECKING

from ...policy import ThrottlePolicy
from ..admission import ANYONE, OPEN, Admission, Ending
from ..in_flight import InFlight
from ..origin_concurrency import OriginConcurrency, Turn
from ..queue import Ticket
from ..reasons import CONCURRENCY

if TYPE_CHECKING:
    from ..throttle import Throttle

_FULL = Admission(is_open=False, reason=CONCURRENCY)
"""Nothing but a request that ends changes it, so there is no time to ask again at."""


class InFlightLimit:
    """Asks for a place for each request of a scope, and has those that end give it back.

    Args:
        in_flight: What the scope itself has in flight.
        origin: What all scopes of its origin have.
    """

    __slots__ = ("_counted", "_in_flight", "_turn", "origin")

    def __init__(self, in_flight: InFlight, origin: OriginConcurrency) -> None:
        self._in_flight = in_flight
        self.origin = origin
        self._counted = 0
        self._turn: Turn | None = None

    def admit(self, now: float, cost: int, ticket: Ticket = ANYONE) -> Admission:
        """Return whether there is a place for one more request, whatever it counts as."""
        return OPEN if self.origin.has_place(ticket.order) else _FULL

    def started(self, now: float, cost: int) -> None:
        """Count a request that went."""
        self._count()

    def ended(self, ending: Ending) -> None:
        """Learn from a request that came back; its place is passed on when the scope settles."""
        self.origin.ended(ending)
        self._count()

    def has_credit(self, now: float) -> bool:
        """Return False: each request takes a place."""
        return False

    def settle(
        self, throttle: "Throttle", head: Ticket | None, reason: str, now: float
    ) -> list[Ticket]:
        """Line up for the scope's next call, if it waits for a place; pass on those that are free.

        Args:
            throttle: The scope's.
            head: The call that is next; None if none waits.
            reason: What it waits for.
            now: The time.

        Returns:
            The tickets to wake.
        """
        self._count()
        if head is None or reason != CONCURRENCY:
            self._leave()
        elif self._turn is None or self._turn.order != head.order:
            self._leave()
            self._turn = self.origin.join(head.order, throttle)
        return self.origin.pass_on(now)

    def _leave(self) -> None:
        turn = self._turn
        if turn is not None:
            self._turn = None
            self.origin.leave(turn)

    def _count(self) -> None:
        count = self._in_flight.count
        self.origin.count += count - self._counted
        self._counted = count


def places_of(
    policy: ThrottlePolicy, in_flight: InFlight, origin: OriginConcurrency | None
) -> InFlightLimit | None:
    """Return a scope's part in the bound on its origin; None where the policy has none.

    Args:
        policy: Says whether there is one.
        in_flight: What the scope itself has in flight.
        origin: What its scopes share; None to begin it.
    """
    if policy.concurrency is None:
        return None
    return InFlightLimit(in_flight, origin or OriginConcurrency(policy.concurrency))
