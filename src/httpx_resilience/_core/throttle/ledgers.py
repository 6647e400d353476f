"""The rate-limit policies of one scope: which there are, and what a response says of each."""

import math

from ..headers import RateLimit
from ..policy import ThrottlePolicy
from ..serverclock import ServerClock
from .account import Account
from .ledger import MAX_PROBES, Ledger

MAX_LEDGERS = 64
"""Policies that one scope keeps; a response tells 32 at the most."""

_Key = tuple[str | None, str, float | None, int]
"""Tells a scope's policies apart: bucket, unit, window, and a number for those that look alike."""


class Ledgers(dict[_Key, Ledger]):
    """A scope's ledgers; what changes with a limit is told to its account.

    Attributes:
        only: The ledger of the one policy there is; None if there are more, or none.
    """

    def __init__(self, policy: ThrottlePolicy, account: Account) -> None:
        super().__init__()
        self._policy = policy
        self._account = account
        self.only: Ledger | None = None

    def __delitem__(self, key: _Key) -> None:
        super().__delitem__(key)
        self._count()

    def _count(self) -> None:
        self.only = next(iter(self.values())) if len(self) == 1 else None

    @property
    def has_evidence(self) -> bool:
        """Whether any response told what is left since the last refusal."""
        return any(ledger.has_evidence for ledger in self.values())

    def are_drained(self, outstanding: int) -> bool:
        """Tell whether any of them has nothing left."""
        return any(
            ledger.has_evidence and ledger.left(outstanding) <= 0 for ledger in self.values()
        )

    def ample(self, outstanding: int) -> int:
        """Return how many units may go without a look at anything."""
        return min(ledger.ample(outstanding) for ledger in self.values())

    def learn(
        self,
        limits: tuple[RateLimit, ...],
        sent: float,
        received: float,
        clock: ServerClock,
        outstanding: int,
    ) -> None:
        """Learn from a response's headers."""
        only = self.only
        if only is not None and len(limits) == 1:
            ample = only.repeat(limits[0], sent, received, clock.version, outstanding)
            if ample >= 0:
                return
        mentioned: list[_Key] = []
        policy = self._policy
        for limit in limits:
            key = (limit.bucket, limit.unit, limit.window, 0)
            while key in mentioned:
                key = (*key[:3], key[3] + 1)
            mentioned.append(key)
            ledger = self.get(key)
            if ledger is None:
                ledger = self[key] = Ledger(limit.unit, limit.bucket)
                self._count()
            before = ledger.limit
            ledger.window = policy.window or limit.window
            ledger.reserve = policy.reserve
            ledger.observe(limit, sent, received, clock, outstanding)
            ledger.low_mark = max(MAX_PROBES, policy.low_below * (ledger.limit or 0))
            self._account.limit(ledger, before, received)
        if len(self) > len(mentioned):
            self.miss(set(mentioned), received)
        while len(self) > MAX_LEDGERS:  # a server that names a new bucket each time
            del self[max(self, key=lambda key: self[key].unmentioned)]

    def miss(self, mentioned: set[_Key], now: float) -> None:
        """Count a response for the ledgers that it did not mention; drop those long unmentioned."""
        for key, ledger in list(self.items()):
            if key in mentioned:
                continue
            ledger.unmentioned += 1
            ledger.miss(now)
            if mentioned and ledger.unmentioned >= 3 and now >= ledger.reset_high:
                del self[key]

    def forget_expired(self, now: float) -> None:
        """Start anew after a scout without headers: what the ledgers said is over."""
        for key, ledger in list(self.items()):
            if now >= ledger.reset_high:
                del self[key]

    def distrust(self, *, at_reset: bool) -> None:
        """Forget the evidence after a refusal; ``at_reset``, if that was a scout's."""
        for ledger in self.values():
            ledger.distrust(at_reset=at_reset and ledger.has_evidence)

    def vanish(self) -> None:
        """Drop all, for the server announces limits no more."""
        for ledger in self.values():
            self._account.vanished(ledger)
        self.clear()
        self._count()

    def resets(self, now: float) -> list[float]:
        """Return the times before which surely nothing comes back, of those with nothing left."""
        return [
            ledger.next_unit_at(now)
            for ledger in self.values()
            if ledger.has_evidence and ledger.left(0) <= 0 and ledger.reset_low < math.inf
        ]

    def ends(self, now: float) -> list[float]:
        """Return the times by which something should have come back, of the same."""
        return [
            ledger.reset_high
            for ledger in self.values()
            if ledger.has_evidence and now < ledger.reset_high < math.inf and ledger.left(0) <= 0
        ]
