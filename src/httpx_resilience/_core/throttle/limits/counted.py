"""The evidence for what is left of a budget that comes back continuously, by when it was counted.

As ``evidence`` has it, what is left is at least the least that the responses say which were
received at or after the latest send time among them, less what is in flight. Requests to an LLM
take seconds, so those are many, of long ago, and most of what is in flight was counted then.
Servers count a request as it comes. So of the evidence only that counts which was sent within a
second before the latest send time, and likewise of what is in flight; and what came back since then
is counted from that second on.
"""

import math
from typing import NamedTuple

from .windows import ResetInterval

JITTER = 1.0
"""Seconds by which a request may reach the server later than one that was sent after it."""


class Counted(NamedTuple):
    """What one response said: when its request was sent, when it came, and what is left."""

    sent: float
    received: float
    remaining: int
    reset: ResetInterval


class CountedEvidence:
    """The responses that may have been counted last.

    Attributes:
        newest_sent: When the latest sent of their requests was sent.
    """

    __slots__ = ("_responses", "newest_sent")

    def __init__(self) -> None:
        self.newest_sent = -math.inf
        self._responses: list[Counted] = []

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._responses)

    @property
    def remaining(self) -> int:
        """The least that any of them says is left; 0 without evidence."""
        return min((said.remaining for said in self._responses), default=0)

    @property
    def latest_reset(self) -> ResetInterval:
        """The latest of the announced resets."""
        return max((said.reset for said in self._responses), key=lambda reset: reset.high)

    def is_old(self, sent: float, received: float) -> bool:
        """Return whether a request was surely counted before another that was answered."""
        return received < self.newest_sent or sent < self.newest_sent - JITTER

    def add(self, said: Counted) -> None:
        """Take in a response; drop those that surely were counted before another."""
        responses = self._responses
        while responses and _is_covered(responses[-1], said):
            responses.pop()
        responses.append(said)
        if said.sent > self.newest_sent:
            since = self.newest_sent = said.sent
            self._responses = [each for each in responses if _may_be_last(each, since)]

    def at_zero(self, rate: float) -> float:
        """Return what would be left at time 0, if units came back at a rate all along."""
        return min(said.remaining - rate * _counted_by(said) for said in self._responses)

    def clear(self) -> None:
        """Forget it all."""
        self._responses.clear()


def _may_be_last(said: Counted, since: float) -> bool:
    return said.received >= since and said.sent >= since - JITTER


def _counted_by(said: Counted) -> float:
    return min(said.received, said.sent + JITTER)


def _is_covered(before: Counted, said: Counted) -> bool:
    """Return whether a later response says no more, and will count for longer."""
    is_less = said.remaining <= before.remaining and said.reset.high >= before.reset.high
    return is_less and before.sent <= said.sent
