"""How much was left of rate limits, and how long they held calls."""

from collections import Counter
from dataclasses import dataclass, field

from .records import Record

MOST = 1000
"""Scopes that are distinguished."""

WHOLE = "(origin)"
"""Instead of a scope: a summary says only what was left of all of them."""


@dataclass(slots=True)
class Limit:
    """What was said of one scope's limit.

    Attributes:
        limit: Units per window; of several limits, of the one that came nearest to its end.
        least: The fewest units that were left.
        share: The least share that was left, 0 to 1.
        at: When it was so, in seconds since 1970.
        holds: How often it began to hold calls, by reason.
        held: Seconds that it held calls, all together.
    """

    limit: int | None = None
    least: int | None = None
    share: float | None = None
    at: float | None = None
    holds: Counter[str] = field(default_factory=Counter)
    held: float = 0.0

    def saw_left(self, remaining: int, at: float | None) -> None:
        """Count what was left, where nothing says of how much."""
        if self.least is None or remaining < self.least:
            self.least, self.at = remaining, at


class Limits:
    """The limits of all scopes.

    Attributes:
        found: By origin and scope.
    """

    def __init__(self) -> None:
        self.found: dict[tuple[str, str], Limit] = {}

    def _of(self, record: Record, scope: str) -> Limit:
        key = (record["origin"], scope)
        found = self.found.get(key)
        if found is None:
            if len(self.found) >= MOST:
                key = ("(others)", "")
            found = self.found.setdefault(key, Limit())
        return found

    def observed(self, record: Record) -> float | None:
        """Count what a response announced; return the share that is left, if it said so."""
        found, at = self._of(record, record["scope"]), record["at"]
        limit, remaining = record.get("rate_limit"), record.get("rate_remaining")
        if remaining is None or not limit:
            if limit is not None and found.share is None:
                found.limit = limit
            if remaining is not None and found.share is None:
                found.saw_left(remaining, at)
            return None
        share: float = min(1.0, max(0.0, remaining / limit))
        # Of several limits, say of tokens and of requests, the one nearer to its end counts.
        if found.share is None or share < found.share:
            found.share, found.limit, found.least, found.at = share, limit, remaining, at
        return share

    def summarised(self, record: Record) -> None:
        """Count what a summary says."""
        remaining = record.get("rate_remaining")
        if remaining is not None:
            self._of(record, WHOLE).saw_left(remaining, record["at"])

    def held(self, record: Record) -> None:
        """Count that a scope began to hold calls."""
        self._of(record, record["scope"]).holds[record["reason"]] += 1

    def released(self, record: Record) -> None:
        """Count that a scope no longer does."""
        self._of(record, record["scope"]).held += record["elapsed"]
