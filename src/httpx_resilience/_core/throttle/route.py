"""Which throttle a kind of request goes by, where buckets are learned from servers' headers."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from .snapshot import Signature

if TYPE_CHECKING:
    from .throttle import Throttle

ResolveBucket = Callable[["Throttle", "Route", Signature, float], "Throttle"]
"""From a throttle, a route, a signature and the time to the throttle of that bucket."""

MAX_MOVES = 8
"""Times that a route's waiting calls follow it. A route that goes on moving stands for requests of
several buckets: its waiting calls stay where they are then, as nothing shows where each belongs.
"""


class Route:
    """One kind of request, and the throttle that it goes by now.

    Attributes:
        key: Origin, identity, and what kind of request it is.
        name: The last of these as it may be logged.
        throttle: The throttle that it goes by.
    """

    __slots__ = ("__weakref__", "_moves", "key", "name", "throttle")

    def __init__(self, key: tuple[str, str, str], name: str, throttle: "Throttle") -> None:
        self.key = key
        self.name = name
        self.throttle = throttle
        self._moves = 0

    def move(self, home: "Throttle", now: float) -> None:
        """Go by another throttle from ``now`` on; the calls that wait move, in their order."""
        before, self.throttle = self.throttle, home
        self._moves += 1
        if self._moves <= MAX_MOVES:
            before.hand_over(self, home, now)
