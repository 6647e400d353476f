"""What own requests may have taken that no evidence includes yet: reserved, until it is settled.

A request's cost is reserved when it goes. It is settled by a response that counted it: its own, or
one to a request that was sent so much later that the server had counted it. A request that was
cancelled or lost is settled likewise, or given back half a minute after it went.
"""

from collections import deque
from collections.abc import Mapping

from ..in_flight import ABANDONED
from ..queue import Ticket
from .counted import JITTER


class Spending:
    """The requests of one budget that the evidence may not include, and their costs.

    Attributes:
        given: Units of those whose cost was given.
        learned: How many there are besides, of the learned cost each.
    """

    __slots__ = ("_costs", "_ghosts", "given", "learned")

    def __init__(self) -> None:
        self.given = 0
        self.learned = 0
        self._costs: dict[Ticket, int | None] = {}
        self._ghosts: deque[tuple[Ticket, bool]] = deque()

    def __len__(self) -> int:
        return len(self._costs)

    def start(self, ticket: Ticket, cost: int | None) -> None:
        """Reserve a request's cost; None for the learned one."""
        self._costs[ticket] = cost
        if cost is None:
            self.learned += 1
        else:
            self.given += cost

    def settle(self, ticket: Ticket) -> None:
        """Reserve no more for a request: what is left includes it, or it was not sent."""
        if ticket not in self._costs:
            return  # settled already
        cost = self._costs.pop(ticket)
        if cost is None:
            self.learned -= 1
        else:
            self.given -= cost

    def abandon(self, ticket: Ticket, *, lost: bool) -> None:
        """Go on reserving for a request that no evidence will name.

        ``lost``, if nobody waits for its answer, so that nobody knows whether it was counted.
        """
        if ticket in self._costs:
            self._ghosts.append((ticket, lost))

    def forget(self, newest_sent: float, now: float) -> int:
        """Settle what was counted long before a request was sent that is answered.

        Returns:
            How many of them were lost.
        """
        costs, ghosts, counted, lost = self._costs, self._ghosts, newest_sent - JITTER, 0
        while costs and (oldest := next(iter(costs))).granted_at <= counted:
            self.settle(oldest)
        while ghosts:
            ticket, is_lost = ghosts[0]
            if ticket in costs and ticket.granted_at + ABANDONED > now:
                break
            ghosts.popleft()
            self.settle(ticket)
            lost += is_lost
        return lost


def given_cost(units: Mapping[str, int] | None, unit: str) -> int | None:
    """Return what a request is said to take of a unit; None if nothing is said."""
    return None if units is None else units.get(unit)
