"""What happened to many calls, counted from their events."""

from collections import Counter
from dataclasses import dataclass, field

from .._core.telemetry.events import AttemptFinished, CallEvent, Event, GaveUp, RetryScheduled

SUCCESS = "success"
BODY_LOST = "body_lost"
"""Our word for a success whose body broke off: the transport ends its call with the headers."""
INTERRUPTED = "interrupted"


@dataclass(slots=True)
class Met:
    """One kind of failure, and what became of the calls that met it.

    Attributes:
        calls: Calls that met it at least once.
        retries: Attempts that were repeated because of it.
        endings: How those calls ended: ``success``, or the reason to stop.
    """

    calls: int = 0
    retries: int = 0
    endings: Counter[str] = field(default_factory=Counter[str])


class Tally:
    """Counts calls, attempts and retries; an ``on_event`` callable.

    Attributes:
        attempts: Attempts that came back.
        endings: How many calls ended how.
        met: What went wrong, by error class and kind of failure.
    """

    def __init__(self) -> None:
        self.attempts = 0
        self.endings: Counter[str] = Counter()
        self.met: dict[tuple[str, str], Met] = {}
        self._running: dict[str, set[tuple[str, str]]] = {}

    def __call__(self, event: Event) -> None:
        """Take an event."""
        match event:
            case AttemptFinished(error_class=None):
                self.attempts += 1
                self._end(event.call_id, SUCCESS)
            case AttemptFinished():
                self.attempts += 1
                self._running.setdefault(event.call_id, set()).add(_kind_of(event))
            case RetryScheduled():
                self.met.setdefault(_kind_of(event), Met()).retries += 1
            case GaveUp():
                self._end(event.call_id, event.reason)
            case _:
                pass

    @property
    def calls(self) -> int:
        """Calls that ended."""
        return sum(self.endings.values())

    @property
    def succeeded(self) -> int:
        """Calls that ended well, body and all."""
        return self.endings[SUCCESS]

    @property
    def waiting(self) -> int:
        """Calls that failed and have not ended yet."""
        return len(self._running)

    def lose_body(self, status: int) -> None:
        """Count a call whose success broke off within its body."""
        self.endings[SUCCESS] -= 1
        self.endings[BODY_LOST] += 1
        met = self.met.setdefault(("", f"{status}, body broke off"), Met())
        met.calls += 1
        met.endings[BODY_LOST] += 1

    def interrupt(self) -> None:
        """End the calls that were still to be repeated."""
        for call_id in list(self._running):
            self._end(call_id, INTERRUPTED)

    def _end(self, call_id: str, ending: str) -> None:
        self.endings[ending] += 1
        for kind in self._running.pop(call_id, ()):
            met = self.met.setdefault(kind, Met())
            met.calls += 1
            met.endings[ending] += 1


def word_of(event: CallEvent) -> str:
    """Return what an attempt came to, in a word: its code, else its status or exception."""
    if event.code is not None:
        return event.code
    if event.status is not None:
        return f"{event.status}, no code"
    return event.exception_type or "cut at a time limit"


def _kind_of(event: CallEvent) -> tuple[str, str]:
    return (event.error_class or "", word_of(event))
