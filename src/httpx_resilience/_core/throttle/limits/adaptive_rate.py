"""A rate for servers that limit in silence: no headers, only refusals (nginx, HAProxy).

A refused request found the server's bucket empty. So what it accepts from one refusal to a later
one is what was refilled in between, give or take one: its rate, measured.

1. Only requests that were sent at the present pace say anything about it: one decrease a round
   trip, whatever was in flight.
2. Until something is accepted the pace is halved at each refusal: the burst before said little.
   From then on a refusal sets it a little below the rate measured since.
3. Below nine tenths of that rate it recovers quickly, around it it probes slowly, far above it
   (the limit was raised) quickly again. A pace that is not used up does not grow.
4. A 429 says itself that it limits. A 503 may be an outage or a flaky proxy: only several of them
   amid successes are taken for a limiter. An outage accepts nothing. And where nothing limits,
   requests fare no worse for coming at once: until it is settled, some that wait are admitted at
   each refusal (``trial``).
5. Where nothing is accepted for long and then much at once there is no rate, but a window
   (``silent_window``): then that alone is asked.
"""

import math

from ..admission import ANYONE, OPEN, Admission, Ending
from ..in_flight import InFlight
from ..queue import Ticket
from ..reasons import SILENT_LIMIT
from .quota_set import QuotaSet
from .silent_window import SilentWindow
from .trial import Trial

SLOWEST, _UNPROVEN = 0.5, 1.0
"""Requests per second that are always let through, if it surely is a limiter and if not."""

_START = 0.7
"""Of what was accepted in the last second: the first pace."""

_LEAST, _STEADY = 0.8, 3.0
"""Of the measured rate: the pace after a refusal, if it follows soon on another. After many
successes it is closer: refusals that are rare come of chance, not of the pace."""

_TAU = 1.0
"""Seconds over which what was accepted and refused is averaged."""

_FINE = 0.02
"""Seconds within which what was accepted does not fade, which spares an exponential."""

_KNEE, _FAR = 0.9, 1.5
"""Shares of the measured rate between which the pace probes."""

_RECOVERY, _PROBING, _BEYOND = math.log(2.0), 0.05, 0.2
"""Growth per second below, between and above these."""

_EACH = (0.002, 0.01)
"""Bounds of the growth between them per request, so that few of a slow pace are refused."""

_SET_POINT = 25.0
"""Successes to a refusal: what is grown over so many is taken back at a refusal, twice that if it
comes twice as soon, and ever more where more than one in twelve is refused. Where a bucket bears no
burst, a pace that is hardly ever refused leaves much of it."""

_HOLD = 4
"""Successes at the present pace before it recovers."""

_SAMPLE = 32
"""Accepted requests over which the rate is measured."""

_IDLE, _MANY, _FORGOTTEN = 30.0, 100, 120.0
"""Seconds and successes without a refusal after which a pace is forgotten that grew far; seconds
after which any is. A large bucket bears a pace that is too fast for long."""

_SLACK = 3.0
"""Times the measured rate that is far; times what is really used that holds nobody back."""

_RECENT, _SUSPECT = 8.0, 0.3
"""Outcomes over which the share of 503s is averaged; the share that looks like a limiter, which
three in a row make up."""

_CLUSTER, _EARNED = 2.3, 0.07
"""503s within about a second that there must be at least, and for each success: fewer than the
retry budget pays for (a floor of 3, a tenth of the successes)."""

_CHANCE = 20
"""Successes after which one 503 may be chance."""

_PATIENCE, _DOUBT = 3.0, 60.0
"""Seconds without a success that show an outage; for which 503s are not looked at after it."""

_REST = 5.0
"""Seconds without a success after which a burst begins."""

_DRY, _AT_ONCE = 0.6, 4.0
"""Share of 503s in the last outcomes that may be a window's, about seven in a row; how many within
about a second there must be: a client that calls now and then meets several by chance."""


class AdaptiveRateLimiter:
    """The rate of one scope; times are the driver's, in seconds.

    Attributes:
        rate: Requests per second; None while nothing limits in silence.
        ceiling: The rate that was measured between refusals.
        window: What is known of windows, which have no rate.
        is_news: The rate was set, lowered or given up since other processes were last informed.
    """

    __slots__ = (
        "_accepted",
        "_at",
        "_began_at",
        "_burst",
        "_burst_from",
        "_clean",
        "_decreased_at",
        "_doubted_until",
        "_in_flight",
        "_is_certain",
        "_measured",
        "_measured_from",
        "_next_at",
        "_paced_at",
        "_quotas",
        "_rate_at",
        "_refused",
        "_refused_at",
        "_share",
        "_succeeded_at",
        "_trial",
        "ceiling",
        "is_news",
        "rate",
        "window",
    )

    def __init__(self, in_flight: InFlight, quotas: QuotaSet) -> None:
        self._in_flight = in_flight
        self._quotas = quotas
        self.rate: float | None = None
        self.ceiling = math.inf
        self._accepted = self._refused = 0.0
        self._at = self._began_at = -math.inf
        self._succeeded_at = self._refused_at = -math.inf
        self._share = 0.0
        self._burst = 0
        self._burst_from = -math.inf
        self.window = SilentWindow()
        self._doubted_until = -math.inf
        self._paced_at = self._decreased_at = self._rate_at = self._next_at = -math.inf
        self._measured, self._measured_from = 0.0, 0.0
        self._clean = 0
        self._trial = Trial()
        self._is_certain = False
        self.is_news = False

    def admit(self, now: float, cost: int, ticket: Ticket = ANYONE) -> Admission:
        """Return whether the next request may go."""
        window, answer = self.window, OPEN
        if window.is_on:
            answer = window.admit(now)
            if window.is_learned:
                return answer
        open_at = self.open_at(now)
        if not answer.is_open:
            return answer._replace(retry_at=max(open_at, answer.retry_at))
        return answer if now >= open_at else Admission(False, SILENT_LIMIT, open_at)

    def ended(self, ending: Ending) -> None:
        """Learn from a response."""
        failure, sent, at = ending.failure, ending.sent, ending.at
        if ending.is_success:
            self.accepted(sent, at)
        elif self._is_silent(ending):
            self.refused(sent, at, surely=ending.is_refused)
        elif failure is not None and not (ending.is_refused or ending.is_trouble):
            self.accepted(sent, at)  # a 404 is no refusal
        elif self.window.is_on:
            self.window.accepted(sent, at, self._burst, self._burst_from)

    def _is_silent(self, ending: Ending) -> bool:
        """Return whether it is a refusal that nothing which the server announces explains."""
        failure, quotas = ending.failure, self._quotas
        if ending.closes or failure is None:
            return False
        if ending.announced:
            is_known = quotas.are_drained(self._in_flight.units) or quotas.explains(ending)
            return ending.is_refused and not is_known
        # Whoever announces its limits refuses beyond them in words: its proxy's 503 is an outage.
        return ending.is_refused or (failure.status == 503 and not failure.coded and not quotas)

    def has_credit(self, now: float) -> bool:
        """Return whether there is no rate to keep to."""
        return self.rate is None and not self.window.is_on

    @property
    def is_holding(self) -> bool:
        """Whether refused calls are held to what is accepted."""
        window = self.window
        return self.rate is not None or (window.is_on and not window.is_paused)

    # What a response says.

    def accepted(self, sent: float, now: float) -> None:
        """Count a request that the server took."""
        if now - self._at >= _FINE:
            self._fade(now)
            if now - self._succeeded_at > _REST and not self.window.is_on:
                self._burst, self._burst_from = 0, now
        self._accepted += 1.0
        if self._share:
            self._share -= self._share / _RECENT
        self._succeeded_at = now
        if self.rate is None and not self.window.is_on:  # nothing limits in silence
            self._burst += 1
            return
        self.window.accepted(sent, now, self._burst, self._burst_from)
        if self.window.is_learned:
            self._forget()
        self._burst += 1
        if self.rate is None:
            return
        if sent >= self._paced_at:
            self._measured += 1.0
        if self._trial.is_of(sent):
            self._try(now, is_refused=False)
        elif sent >= self._decreased_at:
            self._clean += 1

    def refused(self, sent: float, now: float, *, surely: bool) -> None:
        """Count a refusal; ``surely`` if it says itself that it limits the rate."""
        self._fade(now)
        self._refused += 1.0
        self._share += (1.0 - self._share) / _RECENT
        self._refused_at = now
        self._is_certain = self._is_certain or surely
        window = self.window
        if self.rate is None and not window.is_on:
            if surely or self._looks_like_a_limit(now):
                self._begin(now)
                self._tell_window(sent, now)
            return
        self._tell_window(sent, now)
        if self.rate is None:
            self._weigh_window(now, surely=surely)
        elif self._is_outage(now) and (not window.is_on or window.is_outage(now)):
            self._doubt(now)
        elif self._trial.is_of(sent):
            self._try(now, is_refused=True)
        elif sent >= self._decreased_at:
            self._weigh(self.rate, sent, now)

    def _weigh_window(self, now: float, *, surely: bool) -> None:
        """Go on without windows, if a refusal showed that there are none."""
        window = self.window
        if not window.is_on:
            self._begin(now)
        elif not surely and window.is_outage(now):
            window.pause()
            if not window.is_on:
                self._doubt(now)

    def _tell_window(self, sent: float, now: float) -> None:
        holds = self._is_certain or (self._share >= _DRY and self._refused >= _AT_ONCE)
        self.window.refused(sent, now, holds=holds, burst_from=self._burst_from)

    def _fade(self, now: float) -> None:
        if self._at == -math.inf:
            self._began_at = now
        else:
            faded = math.exp(-max(0.0, now - self._at) / _TAU)
            self._accepted *= faded
            self._refused *= faded
        self._at = now

    def _looks_like_a_limit(self, now: float) -> bool:
        if now < self._doubted_until or now - self._succeeded_at > _PATIENCE:
            return False
        enough = _CLUSTER + _EARNED * self._accepted
        return self._share >= _SUSPECT and self._refused >= enough

    def _begin(self, now: float) -> None:
        lately = self._accepted / max(0.1, min(_TAU, now - self._began_at))
        self.ceiling = max(SLOWEST, lately)
        self._paced_at = self._measured_from = now
        self._measured = 0.0
        self._trial.start_over()
        self._pace(_START * self.ceiling, now)

    def _weigh(self, rate: float, sent: float, now: float) -> None:
        """Take in a refusal of a request that went at the present pace."""
        seconds = max(1e-3, now - self._measured_from)
        if self._is_sure or self._clean < _CHANCE:
            self._decrease(rate, seconds, now)
        self._clean = 0
        if not self._is_sure:
            self._trial.begin(self.ceiling, sent, now)

    @property
    def _is_sure(self) -> bool:
        return self._is_certain or self._trial.is_proven

    def _try(self, now: float, *, is_refused: bool) -> None:
        """Take in an outcome of a trial."""
        counts = self._measured >= 1.0  # an outage refuses all, too
        self._trial.outcome(is_refused=is_refused, counts=counts)
        if self._trial.is_disproven:
            self._doubt(now)

    def _doubt(self, now: float) -> None:
        self._forget()
        self.window.forget()
        self._doubted_until = now + _DOUBT

    def _decrease(self, rate: float, seconds: float, now: float) -> None:
        if self._measured < 1.0:
            self._pace(rate / 2, now)
            return
        self.ceiling = min(rate, max(self._measured / seconds, rate / 2))
        steady = _STEADY / (self._clean + 1)
        below = max(_LEAST, 1.0 - steady) * self.ceiling
        grown = _SET_POINT * self._growth(rate) / rate
        sooner = _SET_POINT / (self._clean + 1)
        self._pace(max(below, rate * math.exp(-grown * sooner * max(1.0, sooner / 2))), now)
        if self._measured > _SAMPLE:
            self._measured, self._measured_from = self._measured / 2, now - seconds / 2

    def _is_outage(self, now: float) -> bool:
        """Return whether 503s come without any successes."""
        gap = (self._succeeded_at - self._measured_from) / max(self._measured, 1.0)
        since = max(self._succeeded_at, self._paced_at)
        return not self._is_certain and now - since > max(_PATIENCE, 4.0 * gap)

    def _pace(self, rate: float, now: float) -> None:
        self.is_news = True
        self.rate = max(SLOWEST if self._is_sure else _UNPROVEN, rate)
        self._rate_at = self._decreased_at = now
        self._clean = 0
        self._next_at = now + 1.0 / self.rate

    def _forget(self) -> None:
        self.is_news = self.rate is not None
        self.rate = None
        self.ceiling = math.inf
        self._is_certain = False
        self._share = 0.0

    def adopt(self, rate: float | None, ceiling: float, now: float) -> None:
        """Go by a rate that other processes have found; None to go by none.

        Args:
            rate: The part of it that is this process's.
            ceiling: Likewise of what was measured between refusals.
            now: The time.
        """
        before = self.rate
        if rate is None:
            if before is not None:
                self._forget()
            return
        self.rate, self.ceiling, self._rate_at = rate, max(ceiling, SLOWEST), now
        if before is None or rate < before:  # what was sent at the pace before says nothing of it
            self._is_certain = True
            self._refused_at = self._paced_at = self._measured_from = self._decreased_at = now
            self._measured, self._clean = 0.0, 0
            self._next_at = max(self._next_at, now)

    # What may go.

    def open_at(self, now: float) -> float:
        """Return when the next request may go; the past if it may go now."""
        if self.rate is None:
            return -math.inf
        if self._is_over(self.rate, now):
            self._forget()
            return -math.inf
        return -math.inf if self._trial.admits(now) else self._next_at

    def _is_over(self, rate: float, now: float) -> bool:
        calm = now - self._refused_at
        is_far = rate > _SLACK * self.ceiling and self._clean >= _MANY
        if calm > _FORGOTTEN or (calm > _IDLE and is_far):
            return True
        # What is not certain to be a limiter is not kept in mind for nothing.
        is_slack = rate > _SLACK * max(self._accepted, SLOWEST)
        return is_slack and not self._is_certain and now - self._paced_at > _PATIENCE

    def started(self, now: float, cost: int = 1) -> None:
        """Note that a request went."""
        if self.window.is_on:
            self.window.started(now)
        if self.rate is None:
            return
        if self._trial.admits(now):
            self._trial.started()
            return
        self._grow(self.rate, now)
        # A timer that was a little late does not slow the pace; an idle while saves nothing up.
        self._next_at = max(now - 0.02, self._next_at) + 1.0 / self.rate

    def _grow(self, rate: float, now: float) -> None:
        used = min(now - self._rate_at, 2.0 / rate)
        self._rate_at = now
        knee = _KNEE * self.ceiling
        if rate < knee:
            if self._clean >= _HOLD:
                self.rate = min(knee, rate * math.exp(_RECOVERY * used))
        else:
            growth = self._growth(rate) if rate < _FAR * self.ceiling else _BEYOND
            self.rate = rate * math.exp(min(_RECOVERY, growth) * used)

    def _growth(self, rate: float) -> float:
        """Return the growth per second of a rate that probes."""
        least, most = (each * rate for each in _EACH)
        return max(least, min(_PROBING, most))
