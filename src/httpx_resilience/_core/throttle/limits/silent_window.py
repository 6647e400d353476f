"""Windows of servers that limit in silence: so many accepted, then none for a while, then so many.

A rate is no match for them: it wastes most of a window, or is refused for most of it. So what
follows a refusal is looked at more closely.

1. A *dry spell* (``dry_spell``) goes from a refusal until anything is accepted. One request at a
   time goes, each later by a share of the spell than the one before. The calls that wait take
   turns at it: it is refused for the most part, and a call has but few attempts.
2. A spell in which refusals went on for long may be the rest of a window. Then 1, 2, 4, … go; as
   many as are accepted until the next refusal are its limit. Too few are a slow bucket: back to
   the rate.
3. From then on the limit goes at once, and nothing more until the window's end
   (``window_length``). Now and then one more goes: if that is accepted, the limit was raised.
   What is refused before the limit lowers it.
4. An outage refuses, too. A 429 says itself what it is. A 503 is held for as a limiter's where
   windows came back with the same count, or where refusals end a burst: it would be chance if a
   server died just then.
"""

import math

from ..admission import OPEN, Admission
from ..reasons import SILENT_LIMIT
from .dry_spell import DrySpell
from .window_length import WindowLength

RISKY = Admission(is_open=True, reason=SILENT_LIMIT)
"""One may go, and is likely to be refused: the one that has waited longest."""

_LEAST_DRY = 0.25
"""Seconds from a spell's first to its last refusal that may be a window: a bucket of four a second
or more is dry for less."""

_AGAIN = 3.0
"""How many times as long as a spell that was no window's one must be from then on."""

_FEWEST, _SLOW = 4, 4.0
"""Requests that a window takes at the least; seconds of a spell from which on one is enough. The
adaptive rate does well with what is faster than that, and not with what is slower."""

_EARLY = (0.1, 0.2)
"""Shares of the first dry spell at which the next one is looked at. What is accepted then shows
that the former was an outage, and that there are no windows."""

_SETTLED = 1.0
"""Seconds after which the answer to a request is not waited for."""

_RARELY = 8
"""Windows from one look whether the limit was raised, or the window became shorter, to the next,
where they stay the same. A look costs a refusal."""

_SAME = 20
"""A limit of so many that comes back as one more or less is the same."""

_BURST, _LONGEST = 5.0, 75.0
"""Seconds of a burst at whose end 503s are a limiter's rather than an outage's; for which that is
believed: windows of a minute are the longest that are common."""

_OVERDUE = 3.0
"""Seconds past a window's end, or half of the window, after which 503s are an outage's."""

_FORGOTTEN, _WINDOWS = 120.0, 20
"""Seconds and windows without a refusal after which a window is forgotten."""


class SilentWindow:
    """What is known of one scope's windows; times are the driver's, in seconds.

    Attributes:
        is_on: It may hold requests back.
        is_learned: They are windows, as far as is known, and no rate.
        is_paused: They are, but the server is out.
        limit: Requests that a window takes; None if unknown.
    """

    __slots__ = (
        "_checks_in",
        "_dry",
        "_expected",
        "_is_certain",
        "_is_drained",
        "_is_of_burst",
        "_least_dry",
        "_length",
        "_period",
        "_reach",
        "_refused_at",
        "_sent",
        "_sent_at",
        "_settled",
        "_since",
        "_spell",
        "_step",
        "_taken",
        "is_learned",
        "is_on",
        "is_paused",
        "limit",
    )

    def __init__(self) -> None:
        self._least_dry = _LEAST_DRY
        self.forget()

    def forget(self) -> None:
        """Know of no windows any more."""
        self.is_on = self.is_learned = self.is_paused = False
        self.limit: int | None = None
        self._expected: int | None = None
        self._length = WindowLength()
        self._spell: DrySpell | None = None
        self._is_certain = self._is_of_burst = self._is_drained = False
        self._refused_at = -math.inf
        self._dry = 0.0
        self._period = self._checks_in = 1
        self._begin(-math.inf)

    def _begin(self, now: float) -> None:
        """Count from here: a window begins."""
        self._since = now
        self._sent = self._settled = self._taken = 0
        self._sent_at = -math.inf
        self._reach = self.limit or 1
        self._step = 1
        self._is_drained = False

    # What responses say.

    def refused(self, sent: float, now: float, *, holds: bool, burst_from: float) -> None:
        """Take in a refusal.

        Args:
            sent: When its request was sent.
            now: The time.
            holds: It is certain enough that calls are to be held back for it.
            burst_from: Since when requests go without a rest.
        """
        spell, self._refused_at = self._spell, now
        if self.is_paused or (spell is None and self.is_learned and sent < self._since):
            return
        if spell is None or (not self.is_learned and spell.is_stale(sent)):
            spell = self._spell = DrySpell(sent, now, burst_from, is_refused=True)
            self._is_drained = True
            self._is_of_burst = self._is_of_burst or sent - burst_from <= _BURST
            if self._is_slow():
                self._refute()
                return
        else:
            self._is_drained = self._is_drained or sent <= spell.heard_at
            spell.refused(sent)
        self._settled += 1
        self.is_on = self.is_on or holds
        self._plan(spell, now)

    def _is_slow(self) -> bool:
        """Return whether what was taken for a window is a bucket that is refilled slowly."""
        if not self.is_learned or self.limit is not None or self._taken >= _FEWEST:
            return False
        return self._dry < _SLOW

    def _refute(self) -> None:
        """Go back to the rate: what was taken for a window was none."""
        self._least_dry = max(self._least_dry, _AGAIN * self._dry)
        self.forget()

    def accepted(self, sent: float, now: float, burst: int, burst_from: float) -> None:
        """Take in a request that was not refused.

        Args:
            sent: When it was sent.
            now: The time.
            burst: How many were accepted before, since requests go without a rest.
            burst_from: Since when that is.
        """
        spell = self._spell
        if self.is_paused:
            self._resume(sent, now)
        elif spell is None or (self.is_learned and sent <= spell.heard_at):
            self._settled += sent >= self._since
            self._taken += sent >= self._since
        elif sent > spell.refused_at:
            self._ended(spell, sent, now, burst, burst_from)

    def _resume(self, sent: float, now: float) -> None:
        """Go on with what is known after an outage."""
        self.is_paused = False
        self._begin(sent)
        self._sent = self._settled = self._taken = 1
        self._length.began(now)

    def _ended(
        self, spell: DrySpell, sent: float, now: float, burst: int, burst_from: float
    ) -> None:
        """Begin a window, if what ended was the rest of one."""
        self._spell = None
        length, low = self._length, spell.refused_at
        if self.is_learned:
            if sent - spell.begun_at < self._dry / 4 and not self._is_certain:
                self._refute()
                return
            self._learn_limit()
            length.ended(low, sent, now)
        elif self.is_on and spell.proven >= self._least_dry:
            self.is_learned, self._dry = True, spell.proven
            if spell.begun_at - burst_from <= _BURST:
                self._expected = burst
                length.began(burst_from)
            length.ended(low, sent, now)
        else:
            self.is_on = False
            return
        self._begin(sent)
        self._sent = self._settled = self._taken = 1
        self._checks_in -= 1

    def _learn_limit(self) -> None:
        """Take what was accepted until the first refusal for the limit."""
        before = self.limit or self._expected
        if not self._is_drained:
            if self.limit is not None:
                self.limit = max(self.limit, self._taken)
            return
        self.limit = max(1, self._taken)
        if before is not None and abs(self.limit - before) <= max(1, before // _SAME):
            self._is_certain = True
            self._period = min(_RARELY, 2 * self._period)
        else:
            self._period = 1
        self._checks_in = self._period

    def is_outage(self, now: float) -> bool:
        """Return whether 503s are no limiter's."""
        spell = self._spell
        if spell is None:
            return False
        if self._is_certain:
            overdue = max(_OVERDUE, self._length.seconds.high / 2)
            return now > max(self._length.end, spell.begun_at) + overdue
        return not self._is_of_burst or now - spell.begun_at > _LONGEST

    def pause(self) -> None:
        """Hold nobody back until the server is there again; forget what is not certain."""
        if not self._is_certain:
            self.forget()
            return
        self.is_paused, self._spell = True, None

    # What may go.

    def admit(self, now: float) -> Admission:
        """Return whether the next request may go."""
        spell = self._spell
        if not self.is_on or self.is_paused:
            return OPEN
        if spell is None:
            return self._ask_window(now) if self.is_learned else OPEN
        retry_at = spell.retry_at
        return RISKY if now >= retry_at else Admission(False, SILENT_LIMIT, retry_at)

    def _ask_window(self, now: float) -> Admission:
        if now >= self._length.end:
            self._roll(now)
        if self._sent < self._reach or not self.is_learned:
            return OPEN
        if self._settled < self._sent and now < self._sent_at + _SETTLED:
            return Admission(False, SILENT_LIMIT, self._sent_at + _SETTLED)
        if self._goes_on():
            return RISKY
        spell = self._spell = DrySpell(now, now, self._since, is_refused=False)
        self._plan(spell, now)
        return Admission(False, SILENT_LIMIT, spell.retry_at)

    def _goes_on(self) -> bool:
        """Return whether to look for more than is known to be left; then twice as far."""
        if self.limit is None:
            reach, expected = self._reach + self._step, self._expected
            if expected is not None and self._reach < expected <= reach:
                reach, self._step = expected, 1
            else:
                self._step *= 2
            self._reach = reach
            return True
        if self._checks_in > 0:
            return False
        self._reach += self._step
        self._step *= 2
        return True

    def _roll(self, now: float) -> None:
        """Begin a window after one of which something was left."""
        calm = max(_FORGOTTEN, _WINDOWS * self._length.seconds.high)
        if now - self._refused_at > calm:
            self.forget()
            return
        self._length.began(now)
        if self.limit is not None:
            self.limit = max(self.limit, self._taken)
        self._begin(now)

    def _plan(self, spell: DrySpell, now: float) -> None:
        """Work out when to look for the spell's end."""
        later = spell.later()
        if not self.is_learned or not self._length.is_known:
            spell.probe_at = later
            return
        spell.probe_at = self._length.next_look(spell.refused_at)
        if self.limit is not None and self._taken < self.limit // 2 and self._is_drained:
            spell.probe_at = min(spell.probe_at, later)
        else:
            spell.probe_at = min(spell.probe_at, self._early(spell))

    def _early(self, spell: DrySpell) -> float:
        """Return when to look whether it is no window, or a shorter one than it was."""
        looks = [spell.begun_at + share * self._dry for share in _EARLY]
        if self._is_certain:
            halfway = spell.begun_at + self._length.seconds.high / 2
            looks = [halfway] if self._checks_in <= 0 else []
        return min((at for at in looks if at > spell.refused_at), default=math.inf)

    def started(self, now: float) -> None:
        """Note that a request went."""
        if self._spell is not None:
            self._spell.probed(now)
        else:
            self._sent += 1
            self._sent_at = now
