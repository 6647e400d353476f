"""When origins, and the stores that processes share limits by, were away."""

from collections.abc import Iterator
from dataclasses import dataclass

from .records import Record

MOST = 200
"""Outages that are kept; the first ones."""

_STORE = ("store_lost", "store_back")


@dataclass(slots=True)
class Outage:
    """A time in which an origin, or a store, was away.

    Attributes:
        what: ``origin`` or ``store``.
        origin: Where.
        reason: How it failed.
        at: When that was logged, in seconds since 1970.
        elapsed: Seconds that it lasted; None if the log does not show its end.
    """

    what: str
    origin: str
    reason: str
    at: float | None
    elapsed: float | None = None


class Outages:
    """All of them, in the order in which they began.

    Attributes:
        found: The first ones.
        count: How many there were.
    """

    def __init__(self) -> None:
        self.found: list[Outage] = []
        self.count = 0
        self._open: dict[tuple[str, str], tuple[Record, Outage]] = {}

    def began(self, record: Record) -> None:
        """Count the begin of one."""
        what, origin = _key(record)
        self.count += 1
        outage = Outage(what, origin, record["reason"], record["at"])
        if len(self.found) < MOST:
            self.found.append(outage)
        if len(self._open) < MOST:
            self._open[what, origin] = record, outage

    def ended(self, record: Record) -> None:
        """Count the end of one."""
        _, outage = self._open.pop(_key(record), (None, None))
        if outage is not None:
            outage.elapsed = record["elapsed"]

    def still(self) -> Iterator[Record]:
        """Yield what began those that have not ended."""
        for record, _ in self._open.values():
            yield record


def _key(record: Record) -> tuple[str, str]:
    return "store" if record["event"] in _STORE else "origin", record["origin"]
