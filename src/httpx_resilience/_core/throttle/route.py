"""Which throttle a kind of request goes by, where buckets are learned from servers' headers.

One throttle serves all routes of an origin and identity, until the server is seen to announce
buckets. From then on each route has to learn which bucket is its own, by a cold start, before what
is known of another may admit it; and a response that shows another bucket moves its route there,
with the calls that wait.
"""

from collections.abc import Callable, Hashable, Sequence
from typing import TYPE_CHECKING

from ..headers import RateLimit
from ..lru import LRUMap
from .queue import Ticket
from .snapshot import Signature, readable, signature_of

if TYPE_CHECKING:
    from .throttle import Throttle

MAX_MOVES = 8
"""Times that a route's waiting calls follow it. A route that goes on moving stands for requests of
several buckets: its waiting calls stay where they are then, as nothing shows where each belongs.
"""


class Buckets:
    """The buckets of one origin and identity.

    Args:
        key: Of the origin and identity, in ``known``.
        known: Throttles by bucket; bounded, and shared with others.
        make: Makes a throttle for a bucket or route of that name.
        scope_of: From such a name to its scope's.
    """

    __slots__ = ("_key", "_known", "_make", "_scope_of")

    def __init__(
        self,
        key: tuple[Hashable, ...],
        known: "LRUMap[Throttle]",
        make: "Callable[[str], Throttle]",
        scope_of: Callable[[str], str],
    ) -> None:
        self._key = key
        self._known = known
        self._make = make
        self._scope_of = scope_of

    def route(self, name: str) -> "Route":
        """Return a new route, by the throttle of those whose bucket is not known."""
        common = self._known.get((*self._key, None), lambda: self._make(""))
        return Route(name, common if common.signature is None else self._make(name), self)

    def find(
        self, route: "Route", current: "Throttle", signature: Signature, now: float
    ) -> "tuple[Throttle, Sequence[Ticket]]":
        """Return the throttle of a bucket, by which its route goes from now on.

        Args:
            route: Whose response announced the bucket.
            current: The throttle that admitted its request.
            signature: What distinguishes the bucket from others.
            now: The time.

        Returns:
            The throttle, and the tickets to wake.
        """
        if current.signature == signature and route.throttle is current:
            return current, ()
        woken: Sequence[Ticket] = ()
        key = (*self._key, signature)
        home = self._known.find(key)
        if home is None:
            home, woken = self._adopt(route, current, signature, now)
            self._known.put(key, home)
        if route.throttle is not home:
            woken = (*woken, *route.move(home, now))
        return home, woken

    def _adopt(
        self, route: "Route", current: "Throttle", signature: Signature, now: float
    ) -> "tuple[Throttle, Sequence[Ticket]]":
        """Return the throttle of a bucket that was not known before."""
        if current.signature is not None or route.throttle is not current:
            home = self._make(readable(signature))
            home.signature = signature
            return home, ()
        current.signature = signature
        if current is not self._known.find((*self._key, None)):
            current.rename(self._scope_of(readable(signature)))
        woken: list[Ticket] = []
        for other in current.waiting_routes():
            if other is not route:
                woken += other.move(self._make(other.name), now)
        return current, woken


class Route:
    """One kind of request, and the throttle that it goes by now.

    Attributes:
        name: As it may be logged.
        throttle: The throttle that it goes by.
    """

    __slots__ = ("__weakref__", "_buckets", "_moves", "name", "throttle")

    def __init__(self, name: str, throttle: "Throttle", buckets: Buckets) -> None:
        self.name = name
        self.throttle = throttle
        self._buckets = buckets
        self._moves = 0

    def resolve(
        self, ticket: Ticket, announced: tuple[RateLimit, ...], now: float
    ) -> "tuple[Throttle, Sequence[Ticket]]":
        """Return the throttle of the bucket that a response announces, and the tickets to wake."""
        current = ticket.home
        home, woken = self._buckets.find(self, current, signature_of(announced), now)
        if home is not current:
            woken = (*woken, *current.answered_elsewhere(ticket, now))
        return home, woken

    def move(self, home: "Throttle", now: float) -> Sequence[Ticket]:
        """Go by another throttle from now on; the calls that wait move, in their order.

        Returns the tickets to wake.
        """
        before, self.throttle = self.throttle, home
        self._moves += 1
        return before.hand_over(self, home, now) if self._moves <= MAX_MOVES else ()
