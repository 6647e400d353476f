"""What must hold at every instant of a simulation, looked at apart from the code under test."""

from collections import deque
from collections.abc import Sequence
from typing import Any, Protocol

from httpx_resilience._core.dialect.classify import Failure
from httpx_resilience._core.headers import Reading
from httpx_resilience._core.throttle import Throttle, Ticket
from httpx_resilience._core.throttle.limits.quota import Quota
from httpx_resilience._core.throttle.limits.windows import BUCKET, SETTLED


class Checker(Protocol):
    """Is told of every request that may go, and of every response."""

    def granted(self, throttle: "Watched", ticket: Ticket, now: float) -> None:
        """Look at a request that may go."""
        ...

    def received(self, sent: float, at: float, reading: Reading, refused: bool) -> None:
        """Look at a response."""
        ...


class Watched(Throttle):
    """A throttle that tells its checkers what it does."""

    def __init__(self, *args: Any, checkers: tuple[Checker, ...] = ()) -> None:
        super().__init__(*args)
        self.checkers = checkers
        self.grants: list[tuple[int, float]] = []
        self.delayed: list[tuple[float, float]] = []
        self.responses = 0
        self.first_response_at: float | None = None

    def _start(self, ticket: Ticket, now: float) -> None:
        for checker in self.checkers:
            checker.granted(self, ticket, now)
        super()._start(ticket, now)
        self.grants.append((ticket.order, now))
        if now > ticket.arrived_at:
            self.delayed.append((ticket.arrived_at, now))

    def observe(
        self,
        ticket: Ticket,
        sent: float,
        received: float,
        reading: Reading,
        failure: Failure | None,
    ) -> Sequence[Ticket]:
        self.responses += 1
        if self.first_response_at is None:
            self.first_response_at = received
        for checker in self.checkers:
            checker.received(sent, received, reading, failure is not None)
        return super().observe(ticket, sent, received, reading, failure)

    def check_conservation(self) -> None:
        """What was granted has come back or is in flight; nothing is counted twice."""
        assert len(self.grants) == self.responses + self.statistics().in_flight


class OneScout:
    """While nothing is surely left, at most one request is on its way that may not be counted.

    What is left is worked out anew here, from the definition: the least remaining of the responses
    received at or after the latest send among them, less what is in flight.
    """

    def __init__(self) -> None:
        self._evidence: list[tuple[float, int]] = []
        self._newest_sent = -1.0
        self._in_flight: deque[float] = deque()
        self.scouts = 0

    def received(self, sent: float, at: float, reading: Reading, refused: bool) -> None:
        self._in_flight.remove(sent)
        if refused:  # all it knew is void
            self._evidence.clear()
            return
        remaining = reading.limits[0].remaining
        if remaining is not None:
            self._newest_sent = max(self._newest_sent, sent)
            self._evidence.append((at, remaining))
            self._evidence = [entry for entry in self._evidence if entry[0] >= self._newest_sent]

    def granted(self, throttle: Watched, ticket: Ticket, now: float) -> None:
        if self._evidence and not self._is_bucket(throttle):
            left = min(remaining for _, remaining in self._evidence) - len(self._in_flight)
            if left < 1:
                self.scouts += 1
                fresh = [at for at in self._in_flight if now - at < SETTLED - 1e-9]
                assert not fresh, f"at {now}: {len(fresh)} beside a scout, sent at {fresh}"
        self._in_flight.append(now)

    @staticmethod
    def _is_bucket(throttle: Watched) -> bool:
        quotas = throttle._quotas.values()
        return any(isinstance(quota, Quota) and quota.kind == BUCKET for quota in quotas)


class InOrder:
    """No call overtakes one that arrived before it; a retry keeps its call's place."""

    def __init__(self) -> None:
        self._latest = -1
        self._seen: set[int] = set()

    def granted(self, throttle: Watched, ticket: Ticket, now: float) -> None:
        is_retry = ticket.order in self._seen
        assert is_retry or ticket.order > self._latest, f"{ticket} at {now} after {self._latest}"
        self._latest = max(self._latest, ticket.order)
        self._seen.add(ticket.order)

    def received(self, sent: float, at: float, reading: Reading, refused: bool) -> None:
        pass
