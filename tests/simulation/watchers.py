"""What must hold of a process at every instant, looked at from the network beside it."""

from collections import deque

from httpx_resilience._core.dialect.classify import classify
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.outcome import Outcome
from httpx_resilience.dialects.scaivault import SCAIVAULT
from simulation.callers import REFUSED, Answer

FLOOR, RATIO, WINDOW, MAXIMUM, HEAL = 3.0, 0.1, 60.0, 200.0, 30.0
"""Of the retry budget, written down a second time: a slip in one place is seen by the other."""


def _cost_after(answer: Answer) -> float:
    """Return the cost of the retry that follows an answer."""
    if answer.status == 429:  # with headers, which say when to come back
        return 0.0
    return 0.25 if answer.transport_failure == REFUSED else 1.0


class WithinBudget:
    """What is spent on futile retries is the floor, a tenth of the successes, and what healed.

    And since the last call that succeeded at first, no more than a full budget and what healed.
    """

    def __init__(self) -> None:
        self.futile = 0.0
        self._earned = 0.0
        self._since_success = 0.0
        self._success_at = 0.0
        self._attempts: dict[int, int] = {}
        self._costs: dict[int, float] = {}

    def sent(self, order: int, attempt: int, now: float) -> None:
        self._attempts[order] = attempt

    def received(self, order: int, answer: Answer, now: float) -> None:
        is_first = self._attempts[order] == 1
        if answer.status == 200:
            if is_first:
                self._earned += RATIO
                self._since_success, self._success_at = 0.0, now
            return
        cost = self._costs.get(order, 0.0)
        self._costs[order] = _cost_after(answer)
        self.futile += cost
        self._since_success += cost
        healed = FLOOR * (now // HEAL)
        allowed = FLOOR + self._earned + healed
        assert self.futile <= allowed + 1e-6, f"{self.futile} futile retries at {now}: {allowed}"
        healed = FLOOR * ((now - self._success_at) // HEAL + 1)
        assert self._since_success <= MAXIMUM + healed, f"{self._since_success} in a row at {now}"


class NothingTooEarly:
    """Nothing is sent before the time that the server asked for has passed.

    What was sent before its answer came is not too early.
    """

    def __init__(self) -> None:
        self.asked = 0
        self._until = 0.0
        self._reader = RateLimitReader()

    def sent(self, order: int, attempt: int, now: float) -> None:
        assert now >= self._until, f"sent at {now}, asked to wait until {self._until}"

    def received(self, order: int, answer: Answer, now: float) -> None:
        reading = self._reader.read(answer.headers, wall=0.0)
        outcome = Outcome(now, now, now, 0.0, answer.status, answer.headers, answer.body)
        failure = classify(outcome, SCAIVAULT, self._reader, reading) if answer.status else None
        if failure is not None and failure.wait is not None:
            self.asked += 1
            self._until = max(self._until, now + failure.wait.seconds)


class WithinLimit:
    """A server never gets more in a window than its limit says, refusals counted.

    Told on the server's side: of each request that arrives.
    """

    def __init__(self, limit: int, window: float) -> None:
        self._limit = limit
        self._window = window
        self._arrived: deque[float] = deque()
        self.most = 0

    def arrived(self, now: float) -> None:
        arrived = self._arrived
        arrived.append(now)
        while arrived[0] <= now - self._window:
            arrived.popleft()
        self.most = max(self.most, len(arrived))
        assert len(arrived) <= self._limit, f"{len(arrived)} within {self._window} s at {now}"
