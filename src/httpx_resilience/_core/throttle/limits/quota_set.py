"""The rate-limit policies of one scope: which there are, and what a response says of each."""

import math

from ...headers import REQUESTS, RateLimit
from ...headers.server_clock import ServerClock
from ...policy import ThrottlePolicy
from ..admission import ANYONE, OPEN, Admission, Ending
from ..in_flight import ABANDONED, InFlight
from ..queue import Ticket
from ..reporter import ThrottleReporter
from .fleet import FleetMeteredQuota, FleetQuota, Peers
from .metered import MeteredQuota
from .quota import Quota
from .windows import MAX_PROBES, SETTLED

MAX_QUOTAS = 64
"""Policies that one scope keeps; a response names 32 at the most."""

_FORBIDDEN = 60.0
"""Seconds for which a limit of 0 is believed, if its reset is not sooner."""

_Key = tuple[str | None, str, float | None, int]
"""Distinguishes a scope's policies: bucket, unit, window, and a number where those are equal."""


class QuotaSet(dict[_Key, Quota | MeteredQuota]):
    """A scope's quotas; all of them must agree. What changes with a limit is reported.

    Attributes:
        only: The quota of the one policy there is, if it counts requests; None otherwise.
        metered: Those that count other units than requests.

    Args:
        policy: The numbers.
        reporter: Logs what changes.
        clock: The server's clock.
        in_flight: What was sent and not answered.
        peers: How many processes share the limits; None for a process on its own.
    """

    def __init__(
        self,
        policy: ThrottlePolicy,
        reporter: ThrottleReporter,
        clock: ServerClock,
        in_flight: InFlight,
        peers: Peers | None = None,
    ) -> None:
        super().__init__()
        self._peers = peers
        self._policy = policy
        self._reporter = reporter
        self._clock = clock
        self._in_flight = in_flight
        self.only: Quota | None = None
        self.metered: tuple[MeteredQuota, ...] = ()
        self._explained: Ending | None = None
        self._silent = self._silence = 0

    def __delitem__(self, key: _Key) -> None:
        super().__delitem__(key)
        self._count()

    def _count(self) -> None:
        quotas = tuple(self.values())
        self.metered = tuple(quota for quota in quotas if isinstance(quota, MeteredQuota))
        first = quotas[0] if len(quotas) == 1 else None
        self.only = first if isinstance(first, Quota) else None

    @property
    def has_evidence(self) -> bool:
        """Whether any response said what is left since the last refusal."""
        only = self.only
        if only is not None:
            return bool(only.evidence.remaining_window)
        return any(quota.has_evidence for quota in self.values())

    @property
    def patience(self) -> float:
        """How many times more silent answers than from others show that it announces no more.

        That is the number of answers to one that announces something, if not all of them do.
        """
        before = self._silent - self._silence
        if not before:
            return 1.0
        answered = max((quota.processed for quota in self.values()), default=0)
        return 1.0 + before / max(1, answered - self._silent)

    def are_drained(self, outstanding: int) -> bool:
        """Return whether any of them has nothing left."""
        return any(quota.has_evidence and quota.left(outstanding) <= 0 for quota in self.values())

    # What may go.

    def admit(self, now: float, cost: int, ticket: Ticket = ANYONE) -> Admission:
        """Return whether one more request may go: all of those with evidence must agree."""
        in_flight = self._in_flight
        if in_flight.abandoned:
            in_flight.forget(now)
        outstanding, answer = in_flight.units, OPEN
        settles_at = in_flight.last_started_at + SETTLED if outstanding else -math.inf
        for quota in self.values():
            if not quota.has_evidence:
                continue
            if isinstance(quota, Quota):
                asked = quota.admit(now, outstanding, settles_at, cost)
            else:
                asked = quota.admit(now, ticket)
            if not asked.is_open:
                # An abandoned request that is counted no more may be all that was in the way.
                return asked._replace(retry_at=min(asked.retry_at, in_flight.forgotten_at))
            if asked.is_probe:
                answer = asked
        return answer

    def started(self, now: float, cost: int) -> None:
        """Note that a request went."""
        outstanding = self._in_flight.units
        for quota in self.values():
            if isinstance(quota, Quota):
                quota.started(now, outstanding, cost)

    def reserve(self, ticket: Ticket) -> None:
        """Reserve what a request takes that goes, of units other than requests."""
        for quota in self.metered:
            quota.started(ticket)

    def give_back(self, ticket: Ticket, *, sent: bool) -> None:
        """Reserve it no more, as it has not been sent; or only until the server has counted it."""
        for quota in self.metered:
            quota.gave_back(ticket, sent=sent)

    def never(self, ticket: Ticket, now: float) -> str:
        """Return why a request can never go, as things stand; empty if it can."""
        for quota in self.values():
            if quota.limit is None or not quota.has_evidence:
                continue
            if quota.limit == 0:
                if now < min(quota.end.high, quota.evidence.newest_sent + _FORBIDDEN):
                    return f"the server's limit of {quota.unit} is 0"
                continue  # it may be another one now: a probe shows it
            need = quota.asks_too_much(ticket) if isinstance(quota, MeteredQuota) else 0
            if need:
                return f"it takes {need:.0f} {quota.unit}, and the limit is {quota.limit}"
        return ""

    def fast_path_credit(self) -> int:
        """Return how many units may go without a look at anything."""
        outstanding, only = self._in_flight.units, self.only
        if only is not None:
            return only.fast_path_credit(outstanding)
        return min((quota.fast_path_credit(outstanding) for quota in self.values()), default=0)

    def has_credit(self, now: float) -> bool:
        """Return whether there are any; how much they allow is for ``fast_path_credit`` to say."""
        return bool(self)

    # What responses say.

    def ended(self, ending: Ending) -> None:
        """Learn from what a response says, or does not say any more."""
        in_flight, at, is_probe = self._in_flight, ending.at, ending.ticket.is_probe
        if self.metered or (not self and _counts_others(ending.announced)):
            self._settle(ending)
        self._explained = None
        if ending.is_refused and self._is_explained(ending):
            self._explained = ending
        if ending.closes:
            if ending.is_refused and not self.explains(ending):
                self._learn_from_wait(ending)
                # Where no reset is announced, a probe that is refused was a guess, and no more.
                is_guess = any(limit.reset_in is None for limit in ending.announced)
                self.distrust(at_reset=is_probe and not is_guess)
                only = self.only
                if only is not None and ending.ticket.cost == 1 and _has_left(ending.announced):
                    only.suspect()
        elif ending.announced:
            if not ending.is_learned and not self.metered:
                self.learn(ending.announced, ending.sent, at)
            if in_flight.abandoned:  # what came so much later saw them counted
                in_flight.forget(ending.sent + ABANDONED - SETTLED)
        else:
            if ending.is_answered and self:
                self._silent += 1
                self._silence += 1
                self.miss(set(), at)
            if is_probe and (self.patience == 1.0 or self._silence >= 3 * self.patience):
                self.forget_expired(at)

    def explains(self, ending: Ending) -> bool:
        """Return whether a limit on other units explains the refusal that was learned last."""
        return self._explained is ending

    def _settle(self, ending: Ending) -> None:
        """Settle what was reserved of other units, and learn what a request takes of them."""
        if ending.closes or (ending.announced and not ending.is_learned):
            self.learn(ending.announced, ending.sent, ending.at)
        if not ending.is_answered:
            return  # it is given back, or abandoned
        was_refused = ending.is_refused
        for quota in self.metered:
            quota.answered(ending.ticket, ending.sent, ending.at, is_counted=not was_refused)

    def _is_explained(self, ending: Ending) -> bool:
        """Return whether a limit on other units explains a refusal; learn from it."""
        mentioned = [
            quota for quota in self.metered if quota.has_evidence and not quota.unmentioned
        ]
        if not ending.announced or not mentioned:
            return False
        ticket, failure = ending.ticket, ending.failure
        causes = [quota for quota in mentioned if quota.explains(ticket)]
        if not causes:
            if any(limit.unit == REQUESTS and limit.remaining == 0 for limit in ending.announced):
                return False
            causes = [min(mentioned, key=lambda quota: quota.remaining / (quota.limit or 1))]
        for quota in causes:
            if failure is not None:
                wait = None if failure.wait is None else failure.wait.seconds
                quota.refused(ticket, wait, failure.requested)
        return True

    def _learn_from_wait(self, ending: Ending) -> None:
        """Learn when the limit resets from how long a refusal asks to wait."""
        wait = None if ending.failure is None else ending.failure.wait
        if wait is None or wait.source != "retry_after" or len(ending.announced) != 1:
            return
        (announced,) = ending.announced
        if announced.reset_at is not None:
            self._clock.hint(announced.reset_at, wait.seconds, ending.sent, ending.at)
        elif announced.reset_in is None and self.only is not None:
            self.only.reopens(ending.at + wait.seconds)

    def learn(self, announced: tuple[RateLimit, ...], sent: float, received: float) -> None:
        """Learn from a response's headers."""
        if self._silence and any(limit.remaining is not None for limit in announced):
            self._silence = 0
        if len(announced) == 1:
            limit = announced[0]
            only = self.get((limit.bucket, limit.unit, limit.window, 0))
            if only is not None and only is self.only:  # as most servers have it
                self._observe(only, limit, sent, received)
                return
        mentioned: list[_Key] = []
        for limit in announced:
            key = (limit.bucket, limit.unit, limit.window, 0)
            while key in mentioned:
                key = (*key[:3], key[3] + 1)
            mentioned.append(key)
            quota = self.get(key)
            if quota is None:
                quota = self._add(key, limit, received)
            self._observe(quota, limit, sent, received)
        if len(self) > len(mentioned):
            self.miss(set(mentioned), received)
        while len(self) > MAX_QUOTAS:  # a server that names a new bucket each time
            del self[max(self, key=lambda key: self[key].unmentioned)]

    def _observe(
        self, quota: Quota | MeteredQuota, announced: RateLimit, sent: float, received: float
    ) -> None:
        """Have a quota learn what a response says of it, and log what changed."""
        before = quota.limit
        quota.observe(announced, sent, received, self._clock, self._in_flight.units)
        limit = quota.limit
        if limit is None:
            return
        if limit != before:
            quota.mark_low(max(MAX_PROBES, self._policy.low_below * limit))
        elif not quota.is_low:
            return  # there is nothing to log
        self._reporter.limit(quota, before, received)

    def _add(self, key: _Key, announced: RateLimit, now: float) -> Quota | MeteredQuota:
        policy, quota = self._policy, self._new(announced, now)
        self[key] = quota
        quota.window = policy.window or announced.window
        quota.mark_low(MAX_PROBES)
        self._count()
        return quota

    def _new(self, announced: RateLimit, now: float) -> Quota | MeteredQuota:
        peers, unit, bucket = self._peers, announced.unit, announced.bucket
        if unit != REQUESTS:
            if peers is not None:
                return FleetMeteredQuota(peers, unit, bucket, self._in_flight, now)
            return MeteredQuota(unit, bucket, self._in_flight, now)
        quota = Quota(bucket) if peers is None else FleetQuota(peers, bucket)
        quota.reserve = self._policy.reserve
        return quota

    def miss(self, mentioned: set[_Key], now: float) -> None:
        """Count a response for the quotas that it did not mention; drop those long unmentioned."""
        for key, quota in list(self.items()):
            if key in mentioned:
                continue
            quota.unmentioned += 1
            quota.miss(now)
            if mentioned and quota.unmentioned >= 3 and now >= quota.end.high:
                del self[key]

    def forget_expired(self, now: float) -> None:
        """Start over after a probe without headers: what the quotas said is over."""
        for key, quota in list(self.items()):
            if now >= quota.end.high:
                del self[key]

    def distrust(self, *, at_reset: bool) -> None:
        """Forget the evidence after a refusal; ``at_reset``, if that was a probe's."""
        for quota in self.values():
            quota.distrust(at_reset=at_reset and quota.has_evidence)

    def vanish(self, now: float) -> None:
        """Drop all, for the server announces limits no more."""
        for quota in self.values():
            self._reporter.vanished(quota, now)
        self.clear()
        self._silent = self._silence = 0
        self._count()

    def resets(self, now: float) -> list[float]:
        """Return the times before which surely nothing comes back, of those with nothing left."""
        return [
            quota.next_unit_at(now)
            for quota in self.values()
            if quota.has_evidence and quota.left(0) <= 0 and quota.end.low < math.inf
        ]

    def ends(self, now: float) -> list[float]:
        """Return the times by which something should have come back, of the same."""
        return [
            quota.end.high
            for quota in self.values()
            if quota.has_evidence and now < quota.end.high < math.inf and quota.left(0) <= 0
        ]


def _has_left(announced: tuple[RateLimit, ...]) -> bool:
    """Return whether a response says that of a limit on requests something is left."""
    return len(announced) == 1 and announced[0].unit == "requests" and bool(announced[0].remaining)


def _counts_others(announced: tuple[RateLimit, ...]) -> bool:
    """Return whether a response speaks of other units than requests."""
    return any(limit.unit != REQUESTS for limit in announced)
