"""An event heap: time jumps from one thing that happens to the next."""

import hashlib
import heapq
import itertools
from collections.abc import Callable

EPOCH = 1_700_000_000.0
"""What wall clocks show when a simulation begins."""


class Engine:
    """Virtual time in seconds, and what is to happen in it; ties in the order they were made.

    What happens is noted in a trace, of which only a digest is kept.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._order = itertools.count()
        self._digest = hashlib.blake2b(digest_size=16)

    def at(self, when: float, action: Callable[[], None]) -> None:
        """Do something at a time, or now if that is past."""
        heapq.heappush(self._heap, (max(when, self.now), next(self._order), action))

    def note(self, who: object, what: object) -> None:
        """Write into the trace."""
        self._digest.update(f"{self.now!r} {who} {what}\n".encode())

    @property
    def trace(self) -> str:
        """A digest of all that was noted."""
        return self._digest.hexdigest()

    def run(self, until: float = float("inf"), steps: int = 5_000_000) -> None:
        """Let everything happen that is to happen by then."""
        heap = self._heap
        for _ in range(steps):
            if not heap or heap[0][0] > until:
                return
            self.now, _, action = heapq.heappop(heap)
            action()
        raise AssertionError("the simulation does not come to an end")
