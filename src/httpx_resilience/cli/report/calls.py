"""Calls that met trouble and have not ended yet, as far as the log shows."""

import heapq
from collections import OrderedDict
from dataclasses import dataclass, field
from itertools import count

from .records import Record

MOST_OPEN = 100_000
"""Calls that are kept; beyond, the one that was heard of least recently is forgotten."""

MOST_STEPS = 24
"""Steps of a call that are kept."""

SLOWEST = 10
"""Recoveries that are shown."""

Failure = tuple[str, str]
"""The class of an error, and its code, status or exception."""


@dataclass(slots=True)
class Step:
    """One line of a call's timeline.

    Attributes:
        at: When, in seconds since 1970.
        event: What.
        attempt: Of which attempt.
        what: Code, status or exception, where there is one.
        delay: Seconds.
        source: What the delay follows, or why.
    """

    at: float | None
    event: str
    attempt: int | None = None
    what: str | None = None
    delay: float | None = None
    source: str | None = None


@dataclass(slots=True)
class Recovery:
    """A call that succeeded after all.

    Attributes:
        call_id, origin, method, path: The call.
        elapsed: Seconds from its first send to its success.
        attempts: How many it took.
        steps: What happened, in order.
        cut: Steps that are not shown.
    """

    call_id: str
    origin: str
    method: str
    path: str
    elapsed: float
    attempts: int
    steps: list[Step]
    cut: int


@dataclass(slots=True)
class OpenCall:
    """What is known of a call so far.

    Attributes:
        met: The failures that it met.
        parked: Seconds that it was parked.
        is_selected: It met the code that was asked for.
        steps: What happened.
        cut: Steps beyond those that are kept.
    """

    met: list[Failure] = field(default_factory=list)
    parked: float = 0.0
    is_selected: bool = False
    steps: list[Step] = field(default_factory=list)
    cut: int = 0

    def add(self, record: Record) -> None:
        """Add a step."""
        if len(self.steps) >= MOST_STEPS:
            self.cut += 1
            return
        source = record.get("delay_source") or record.get("reason") or record.get("outcome")
        step = Step(
            record["at"],
            record["event"],
            record.get("attempt"),
            what_failed(record),
            record.get("delay"),
            source,
        )
        self.steps.append(step)


class OpenCalls:
    """Calls that have not ended.

    Attributes:
        evicted: Calls that were forgotten, for there were too many.
    """

    def __init__(self, most: int = MOST_OPEN) -> None:
        self._most = most
        self._calls: OrderedDict[str, OpenCall] = OrderedDict()
        self.evicted = 0

    def find(self, call_id: str) -> OpenCall | None:
        """Return a call that is open."""
        return self._calls.get(call_id)

    def open(self, call_id: str) -> OpenCall:
        """Return a call; from now on it is open."""
        call = self._calls.get(call_id)
        if call is not None:
            self._calls.move_to_end(call_id)
            return call
        if len(self._calls) >= self._most:
            self._calls.popitem(last=False)
            self.evicted += 1
        call = self._calls[call_id] = OpenCall()
        return call

    def close(self, call_id: str) -> OpenCall | None:
        """Return a call that was open; it no longer is."""
        return self._calls.pop(call_id, None)


class SlowestRecoveries:
    """The recoveries that took longest."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Recovery]] = []
        self._number = count()

    def add(self, record: Record, call: OpenCall) -> None:
        """Count the end of a call that recovered."""
        elapsed = record.get("elapsed", 0.0)
        if len(self._heap) >= SLOWEST and elapsed <= self._heap[0][0]:
            return
        call.add(record)
        recovery = Recovery(
            record["call_id"],
            record["origin"],
            record.get("method", "-"),
            record.get("path", "-"),
            elapsed,
            record.get("attempt", 0),
            call.steps,
            call.cut,
        )
        push = heapq.heappush if len(self._heap) < SLOWEST else heapq.heapreplace
        push(self._heap, (elapsed, -next(self._number), recovery))

    def found(self) -> list[Recovery]:
        """Return them, the slowest first."""
        return [recovery for _, _, recovery in sorted(self._heap, reverse=True)]


def what_failed(record: Record) -> str | None:
    """Return what an event's attempt failed with: its code, else its exception, else its status."""
    status = record.get("status")
    return (
        record.get("code")
        or record.get("exception_type")
        or (None if status is None else f"{status}")
    )
