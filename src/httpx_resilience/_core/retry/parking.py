"""Retries that wait for their origin together, instead of being sent into an outage one by one.

1. While an origin is unavailable, retries park. New calls go on sending their first attempt: these
   find out whether it is back.
2. Where nobody sends, one parked call at a time does, as a probe; the longer the outage, the more
   rarely. A probe is paid for with tokens of the retry budget, so that a fleet of small clients
   does not add to an outage.
3. Every success releases a quarter of a parked call, without a token. A released call that succeeds
   counts as well, so these are at most a third of the other successes, however many clients there
   are; and none where nothing succeeds. Refilled by time, they would keep an overloaded server
   down.
4. A slow success counts for less (``availability``).
5. Patience ends in an outage, not while the calls it left are released: who waited it out is kept.
6. Workers that are all parked must not wait for each other: a success after which nobody sends
   releases one call, but for those that an outage left; and where nobody has sent anything for a
   while, a probe goes that the budget cannot pay.

The one who waits longest keeps the time for all (``timer_deadline``); no task stands behind it.
Whatever may release a call returns the calls to wake.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Sequence

from ..dialect.classify import Failure
from ..telemetry.events import Event, OriginRecovered, OriginUnavailable
from .availability import IN_A_ROW, Availability
from .parked_call import BUDGET, EXPIRED, LEFT, PAID, PARKED, PROBE, RELEASE, RELEASED, ParkedCall

_SHARE, _FASTEST, _FASTER = 0.25, 0.4, 0.01
"""Calls that a success releases; at most, after many good ones in a row; more by each. With an
eighth a blip of 5 s takes half a minute to work off; with a half the second after an outage has
more than twice the usual traffic."""

_GOOD = 0.9
"""Quality of a success after which more are released."""

_HELPFUL, _FUTILE, _LEAST = 0.5, 0.25, 0.05
"""Share of the retries that succeed from which on releases are full; below which retries that the
budget refuses are given up; and the least share of a release."""

_RETRIES = 8.0
"""Retries over which that share is averaged."""

_DRAIN, _LONGEST_DRAIN = 5.0, 40.0
"""Times an outage that parked calls are kept after it; in three they are usually released. At most
so many seconds."""

_KEPT = 2.5
"""Seconds that they are kept on after each success, so that none is given up while they are still
released."""

_FIRST_PROBE, _LAST_PROBE = 0.5, 15.0
"""Seconds between probes at an outage's beginning, and the most that they grow to with its age."""

_IDLE, _IDLE_SHARE, _SHORTEST_IDLE = 1.0, 3.0, 0.03
"""Seconds between probes where calls are parked although the origin is available: at most; times
those between the client's usual successes, or between the calls that an outage left, so that these
are worked off in three times its length if nobody else calls; at least."""

_UNPAID = 1.5
"""Times the seconds between probes after which one goes although the budget is spent, if nobody has
sent anything: else workers that are all parked would wait for each other."""

_SAVED = 6.0
"""Seconds for which the last probe that can be paid is saved in an outage, and the last attempts of
calls; about as long as calls are patient."""

_QUIET, _APART = 0.8, 0.2
"""Of those seconds: how long no new call has come before one of the last probes is used; how far
they are apart."""

_LAST_CHANCE = 0.25
"""Seconds before the oldest gives up that a probe may go early."""

_PROBE_COST = 0.75
"""Of a retry's cost; a floor of three tokens pays for four."""

_CANDIDATES = 32
"""Of the calls that wait longest, those among which one is chosen."""

_BATCH = 0.01
"""Seconds for which one success stands for all, while all is well."""

_SHORTEST = 0.1
"""Seconds; who could not wait longer does not park."""

_REPORTED = 1.0
"""Seconds that an outage lasts before it is logged, so that chance failures are not."""


class Parking:
    """The parked calls of one origin. Times are the driver's, in seconds.

    Args:
        origin: For events.
        rand: Uniform random numbers in [0, 1).
        emit: Takes the events.

    Attributes:
        availability: Whether the origin is available.
        new_sent_at: When a call was sent last for the first time; whoever sends it sets it.
        retry_sent_at: When a retry was sent last.
    """

    __slots__ = (
        "__weakref__",
        "_backlog_rate",
        "_calm_until",
        "_credit",
        "_drain_until",
        "_emit",
        "_ends",
        "_keep_until",
        "_numbers",
        "_origin",
        "_pace",
        "_parked",
        "_probe",
        "_probe_at",
        "_probe_set_at",
        "_rand",
        "_released",
        "_reported_since",
        "_share",
        "_timer_call",
        "_timer_deadline",
        "availability",
        "new_sent_at",
        "retry_sent_at",
    )

    def __init__(
        self, origin: str, rand: Callable[[], float], emit: Callable[[Event], None]
    ) -> None:
        self._origin = origin
        self._rand = rand
        self._emit = emit
        self.availability = Availability()
        self.new_sent_at = self.retry_sent_at = -math.inf
        self._credit = rand()  # so that the clients of a fleet do not release in step
        self._pace = _SHARE
        self._share = 1.0
        self._drain_until = self._keep_until = -math.inf
        self._backlog_rate = 0.0
        self._calm_until = -math.inf
        self._numbers = itertools.count()
        self._parked: dict[int, ParkedCall] = {}
        self._ends: list[tuple[float, int]] = []
        self._probe: ParkedCall | None = None
        self._probe_at = self._probe_set_at = math.inf
        self._timer_call: ParkedCall | None = None
        self._timer_deadline = math.inf
        self._released = 0
        self._reported_since: float | None = None

    def __len__(self) -> int:
        return len(self._parked)

    @property
    def calls(self) -> Sequence[ParkedCall]:
        """The parked calls, the longest parked first."""
        return tuple(self._parked.values())

    # A retry whose backoff is over.

    def admit(self, call: ParkedCall, now: float) -> Sequence[ParkedCall]:
        """Send a retry, park it or give it up: its state says which. Return the calls to wake."""
        is_available = self.availability.unavailable_since is None
        if is_available and not (self._parked and now < self._drain_until):
            if self._pay(call, call.cost, now):
                self._send(call, PAID)
                return ()
            call.reason = BUDGET
            if self._share < _FUTILE:
                return ()
        if len(self._parked) >= call.policy.max_parked:
            call.reason = BUDGET
            return ()
        until = self.ends_at(call)
        if until - now < _SHORTEST:
            return ()
        call.state, call.parked_at, call.number = PARKED, now, next(self._numbers)
        self._parked[call.number] = call
        self._calm_until = -math.inf
        heapq.heappush(self._ends, (until, call.number))
        if self._probe_at == math.inf:
            self._set_probe(now)
        return self._rearm_timer()

    def ends_at(self, call: ParkedCall) -> float:
        """Return when a parked call gives up, as things stand."""
        policy, known = call.policy, self.availability
        until, since = call.failed_at + policy.patience, known.unavailable_since
        if since is not None:
            if known.has_succeeded and call.failed_at >= since:
                until = max(until, since + policy.ride_out)
            if policy.fail_fast_after is not None:
                until = min(until, max(call.failed_at, since + policy.fail_fast_after))
        return min(max(until, self._keep_until), call.failed_at + policy.drain, call.give_up_at)

    def timer_deadline(self, call: ParkedCall) -> float | None:
        """Return until when a parked call keeps the time; None if another does."""
        return self._timer_deadline if call is self._timer_call else None

    def tick(self, now: float) -> Sequence[ParkedCall]:
        """Give up whose patience is over, send a probe if it is time; return the calls to wake."""
        woken = [*self._release(now), *self._expire(now)]
        self._report(now)
        if self._probe_at <= now:
            probe = self._choose_probe(now) if self._sent_at <= self._probe_set_at else None
            self._set_probe(now)
            if probe is not None:
                woken.append(probe)
            elif self._probe_at <= now:
                self._probe_at = max(self._sent_at + self._silence(), now + _FIRST_PROBE)
        return (*woken, *self._rearm_timer())

    # What attempts come to.

    def failed(self, call: ParkedCall | None, failure: Failure, now: float) -> Sequence[ParkedCall]:
        """Learn from an attempt that failed; ``call`` is None for a first one."""
        known = self.availability
        if call is not None and call.source != PROBE and known.unavailable_since is None:
            self._share -= self._share / _RETRIES
        self._pace = max(_SHARE, self._pace / 2.0)
        self._calm_until = -math.inf
        known.failed(now)
        if known.failures == IN_A_ROW:
            self._credit = 0.0
        self._report(now, failure)
        return self.ended(call, now)

    def succeeded(
        self, call: ParkedCall | None, sent: float, received: float, now: float
    ) -> Sequence[ParkedCall]:
        """Learn from an attempt that succeeded; return the calls to wake, some of them released."""
        known = self.availability
        woken = self._learn(call, sent, received - sent, now)
        is_calm = known.is_calm and not self._parked
        self._calm_until = received + _BATCH if is_calm else -math.inf
        return woken

    def is_calm(self, sent: float, received: float) -> bool:
        """Return whether such a first success would show nothing that the last did not."""
        return received < self._calm_until and received - sent <= self.availability.slow

    def _learn(
        self, call: ParkedCall | None, sent: float, latency: float, now: float
    ) -> Sequence[ParkedCall]:
        known, since = self.availability, self.availability.unavailable_since
        if call is not None and call.source != PROBE:
            self._share += (1.0 - self._share) / _RETRIES
        quality = known.succeeded(latency, now)
        if since is not None and known.good_at == now:
            kept = min(_LONGEST_DRAIN, _DRAIN * (now - since))
            self._drain_until = max(self._drain_until, now + kept)
            self._keep_until = max(self._keep_until, self._drain_until)
        elif known.good_at == now < self._keep_until and self._parked:
            self._keep_until = max(self._keep_until, now + _KEPT)  # it goes on
        woken: list[ParkedCall] = []
        if since is not None and known.unavailable_since is None:
            self._recovered(since, now)
        self._credit += self._quicken(quality) * quality * self._usefulness()
        if self._parked:
            if quality >= _GOOD and sent >= self._sent_at and now >= self._drain_until:
                self._credit = max(1.0, self._credit)  # nobody else is under way: one goes on
            woken += self._release(now)
        self._credit = min(1.0, self._credit)
        if call is not None and call is self._probe:
            self._probe = None
            self._set_probe(now)
        return (*woken, *self._rearm_timer()) if self._parked or woken else ()

    def _release(self, now: float) -> list[ParkedCall]:
        """Release whom the credit pays for, and who is paced anyway; return them."""
        released = []
        for call in self._oldest():
            if call.is_paced():
                released.append(self._take(call, RELEASE))
            elif self._credit >= 1.0 and call.may_go(now):
                self._credit -= 1.0
                released.append(self._take(call, RELEASE))
        self._released += len(released)
        return released

    def _quicken(self, quality: float) -> float:
        """Return how many calls a success releases: more, the longer all goes well."""
        if not self._parked:
            self._pace = _SHARE
        elif quality >= _GOOD:
            self._pace = min(_FASTEST, self._pace + _FASTER)
        else:
            self._pace = max(_SHARE, self._pace / 2.0)
        return self._pace

    def _usefulness(self) -> float:
        return min(1.0, max(_LEAST, self._share / _HELPFUL))

    def ended(self, call: ParkedCall | None, now: float) -> Sequence[ParkedCall]:
        """Let the next probe go, if this was one that came back; return the calls to wake."""
        if call is not None and call is self._probe:
            self._probe = None
            self._set_probe(now)
            return self._rearm_timer()
        return ()

    def leave(self, call: ParkedCall, now: float, *, sent: bool) -> Sequence[ParkedCall]:
        """Take back a call that was cancelled or closed; return the calls to wake."""
        if call.state == PARKED:
            self._take(call, call.source, LEFT)
            return self._rearm_timer()
        is_available = self.availability.unavailable_since is None
        if is_available and call.state == RELEASED and call.source == RELEASE and not sent:
            self._credit = min(1.0, self._credit + 1.0)
        call.state = LEFT
        return self.ended(call, now)

    # Probes.

    def _set_probe(self, now: float) -> None:
        """Set when the next probe goes, unless anybody else sends before."""
        self._probe_set_at, oldest = now, self._oldest()
        if not oldest or self._probe is not None:
            self._probe_at = math.inf
            return
        step, last_sent = self._step(self._sent_at), self._sent_at
        at = last_sent + (0.5 + 0.5 * self._rand()) * step
        last = self.ends_at(oldest[0]) - _LAST_CHANCE
        longest = self._saved_for(oldest, now)
        if at > last or longest:
            at = max(last, self.new_sent_at + _QUIET * step, last_sent + _APART * step)
            at = min(at, last_sent + longest) if longest else at
        self._probe_at = max(at, now)

    def _step(self, now: float) -> float:
        known = self.availability
        if known.unavailable_since is None:
            return self._idle()
        age = now - max(known.unavailable_since, known.good_at)
        return min(_LAST_PROBE, max(_FIRST_PROBE, age))

    def _saved_for(self, oldest: Sequence[ParkedCall], now: float) -> float:
        """Return the seconds for which the next probe is saved up; 0 if there is no need.

        Saved is the last that can be paid, and in an outage the last attempt of a call.
        """
        first, silence = oldest[0], self._silence()
        affordable = first.budget.tokens / (_PROBE_COST * first.cost) if first.cost else math.inf
        is_precious = affordable < 2.0 or all(call.last for call in oldest)
        if is_precious and affordable >= 1.0 and self.availability.unavailable_since is not None:
            return max(_SAVED, silence)
        return 0.0 if affordable >= 2.0 else silence

    def _idle(self) -> float:
        """Return the seconds between probes of an origin that is available."""
        first = next(iter(self._parked.values()), None)
        rate = 0.0 if first is None else max(first.budget.rate, self._backlog_rate)
        return min(_IDLE, max(_SHORTEST_IDLE, _IDLE_SHARE / rate)) if rate else _IDLE

    def _silence(self) -> float:
        """Return the seconds without a request after which a probe goes that nobody pays for."""
        return max(self._idle(), _UNPAID * self._step(self._sent_at))

    @property
    def _sent_at(self) -> float:
        return max(self.new_sent_at, self.retry_sent_at)

    def _choose_probe(self, now: float) -> ParkedCall | None:
        """Return the call that probes: of the oldest, the one with the fewest attempts."""
        able = [call for call in self._oldest() if call.may_probe(now)]
        if not able:
            return None
        call = min(able, key=lambda each: each.attempts)
        is_silent = now - self._sent_at >= self._silence()
        if not self._pay(call, _PROBE_COST * call.cost, now) and not is_silent:
            return None
        self._probe = call
        return self._take(call, PROBE)

    # The parked calls.

    def _oldest(self) -> list[ParkedCall]:
        return list(itertools.islice(self._parked.values(), _CANDIDATES))

    def _pay(self, call: ParkedCall, cost: float, now: float) -> bool:
        if not call.budget.withdraw(cost, now):
            return False
        call.paid = cost
        return True

    def _send(self, call: ParkedCall, source: str) -> None:
        call.state, call.source = RELEASED, source

    def _take(self, call: ParkedCall, source: str, state: int = RELEASED) -> ParkedCall:
        """Take a call out, into another state."""
        del self._parked[call.number]
        call.state, call.source = state, source
        return call

    def _expire(self, now: float) -> list[ParkedCall]:
        """Take out and return those whose patience is over; it may have been extended since."""
        gone, ends = [], self._ends
        while ends and ends[0][0] <= now:
            _, number = heapq.heappop(ends)
            call = self._parked.get(number)
            if call is None:
                continue
            until = self.ends_at(call)
            if until > now:
                heapq.heappush(ends, (until, number))
            else:
                gone.append(self._take(call, call.source, EXPIRED))
        return gone

    def _rearm_timer(self) -> Sequence[ParkedCall]:
        """Let the one who waits longest keep the time; return it if it is to be woken for that."""
        head = next(iter(self._parked.values()), None)
        if head is None:
            self._timer_call, self._timer_deadline, self._probe_at = None, math.inf, math.inf
            self._backlog_rate = 0.0
            self._ends.clear()
            return ()
        until = min(self._probe_at, self._ends[0][0])
        is_news = head is not self._timer_call or until < self._timer_deadline
        self._timer_call, self._timer_deadline = head, until
        return (head,) if is_news else ()

    # Events.

    def _report(self, now: float, failure: Failure | None = None) -> None:
        """Log an outage, once it lasts."""
        known = self.availability
        since = known.unavailable_since
        if since is None or self._reported_since is not None or now - since < _REPORTED:
            return
        self._reported_since = since
        self._released = 0
        self._emit(
            OriginUnavailable(
                at=now,
                origin=self._origin,
                reason="failing" if known.failures else "slow",
                failures=known.failures,
                elapsed=round(max(0.0, now - since), 3),
                status=None if failure is None else failure.status,
                code=None if failure is None else failure.code,
                exception_type=None if failure is None else failure.exception_type,
                queued=len(self._parked),
            )
        )

    def _recovered(self, since: float, now: float) -> None:
        """Go on with an origin that is back."""
        oldest = next(iter(self._parked.values()), None)
        if oldest is not None:
            self._backlog_rate = len(self._parked) / max(_FIRST_PROBE, now - oldest.failed_at)
        self._set_probe(now)
        if self._reported_since is None:
            return
        self._reported_since = None
        self._emit(
            OriginRecovered(
                at=now,
                origin=self._origin,
                elapsed=round(max(0.0, now - since), 3),
                queued=len(self._parked),
                released=self._released,
            )
        )
