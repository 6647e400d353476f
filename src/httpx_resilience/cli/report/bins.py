"""What happened when: sums over equal parts of time, which widen as the log grows longer."""

from collections.abc import Iterator

WIDTHS = (1, 5, 15, 60, 300, 900, 3600, 21600, 86400, 604800)
"""Seconds of a part; each divides the next, so that parts can be merged."""

MOST = 300
"""Parts that a log may span before they are merged into wider ones."""


class Part:
    """What happened in one part of time.

    Attributes:
        calls, succeeded, attempts: Of calls that ended, where each was logged.
        covered, covered_succeeded, covered_attempts: The same by the summaries.
        failures: Attempts that failed.
        retries: Those that were retried.
        gave_up: Calls that failed for good.
        throttle, backoff, parking: Seconds that calls waited.
        share: The least share of a rate limit that was left, 0 to 1; None if nothing said so.
    """

    __slots__ = (
        "attempts",
        "backoff",
        "calls",
        "covered",
        "covered_attempts",
        "covered_succeeded",
        "failures",
        "gave_up",
        "parking",
        "retries",
        "share",
        "succeeded",
        "throttle",
    )

    def __init__(self) -> None:
        self.calls = self.succeeded = self.attempts = 0
        self.covered = self.covered_succeeded = self.covered_attempts = 0
        self.failures = self.retries = self.gave_up = 0
        self.throttle = self.backoff = self.parking = 0.0
        self.share: float | None = None

    def saw_share(self, share: float) -> None:
        """Count a share of a rate limit that was left."""
        if self.share is None or share < self.share:
            self.share = share

    def add(self, other: "Part") -> None:
        """Add what happened in another part."""
        for name in self.__slots__:
            if name != "share":
                setattr(self, name, getattr(self, name) + getattr(other, name))
        if other.share is not None:
            self.saw_share(other.share)


class Bins:
    """Parts of time, in which things are counted.

    >>> bins = Bins()
    >>> bins.at(10.2).calls += 1
    >>> bins.at(10.9).calls += 1
    >>> bins.at(5000.0).calls += 1
    >>> bins.width, [(start, part.calls) for start, part in bins.parts()]
    (60, [(0.0, 2), (4980.0, 1)])
    """

    def __init__(self) -> None:
        self.width = WIDTHS[0]
        self._parts: dict[int, Part] = {}
        self._first = self._last = 0

    def at(self, moment: float) -> Part:
        """Return the part that a moment is in, in seconds since 1970."""
        index = int(moment // self.width)
        part = self._parts.get(index)
        return self._new(moment, index) if part is None else part

    def _new(self, moment: float, index: int) -> Part:
        if not self._parts:
            self._first = self._last = index
        self._first, self._last = min(self._first, index), max(self._last, index)
        while self._last - self._first >= MOST:
            self.widen()
        return self._parts.setdefault(int(moment // self.width), Part())

    def widen(self) -> None:
        """Merge the parts into wider ones."""
        wider = next((each for each in WIDTHS if each > self.width), self.width * 2)
        times = wider // self.width
        merged: dict[int, Part] = {}
        for index, part in self._parts.items():
            into = merged.setdefault(index // times, part)
            if into is not part:
                into.add(part)
        self.width, self._parts = wider, merged
        self._first, self._last = self._first // times, self._last // times

    def parts(self) -> Iterator[tuple[float, Part]]:
        """Yield the parts in which anything happened, and when each begins, in order."""
        for index in sorted(self._parts):
            yield float(index * self.width), self._parts[index]
