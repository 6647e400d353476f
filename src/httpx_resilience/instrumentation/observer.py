"""What observes whole calls, where a listener is given single events: traces and metrics.

A ``CallObserver`` is given by ``on_event=``, as listeners are. For each transport it makes a
``Watch`` for each call, which is called as the call goes on, while its context (its task, or its
thread's) is the current one: so that it can set context variables for what the attempts do.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, MutableMapping
from typing import Any, NamedTuple

from .._core.telemetry.events import AttemptFinished, Event, Level
from .sink import Listener


class ObservedCall(NamedTuple):
    """What is known of a call when it begins.

    Attributes:
        call_id: As in its log lines.
        origin: ``scheme://host:port`` of the server.
        method: As the request has it.
        path: Redacted if so configured, without the query.
        dialect: The name of the origin's dialect.
        knows: Returns whether the dialect's catalogue knows an error code; None if it has none.
        now: Returns monotonic seconds.
        is_repeated_above: Another transport of ours sends it, and repeats it.
    """

    call_id: str
    origin: str
    method: str
    path: str
    dialect: str
    knows: Callable[[str], bool] | None
    now: Callable[[], float]
    is_repeated_above: bool = False


class Ending(NamedTuple):
    """How a call ended.

    Attributes:
        reason: ``success``, one of the reasons to stop, or ``cancelled``.
        attempts: Attempts that were made; a cancelled one, too.
        status: HTTP status of what the caller gets, if that is a response.
        code: Its error code.
        exception_type: Class name of what the caller gets, if that is an exception.
        is_elsewhere: The call's coroutine was closed, perhaps in another context.
    """

    reason: str
    attempts: int
    status: int | None = None
    code: str | None = None
    exception_type: str | None = None
    is_elsewhere: bool = False


class Watch:
    """Observes one call. What a method raises is logged once, and breaks no call."""

    def started(self) -> None:
        """Note that the call begins."""

    def attempt_started(self, number: int) -> None:
        """Note that an attempt is about to be sent, in this context."""

    def add_headers(self, headers: MutableMapping[str, str]) -> None:
        """Add what an attempt's request is to carry."""

    def attempt_received(self, is_elsewhere: bool) -> None:
        """Note that the attempt came back; what it means is not known yet.

        Args:
            is_elsewhere: The call's coroutine was closed, perhaps in another context.
        """

    def attempt_finished(
        self, status: int | None, failure: AttemptFinished | None, exception_type: str | None
    ) -> None:
        """Note what the attempt came to: a failure, or an exception that ended the whole call."""

    def happened(self, event: Event) -> None:
        """Note an event of the call; those of successful attempts are left out."""

    def finished(self, ending: Ending) -> None:
        """Note that the call ended."""


class CallObserver(Listener, ABC):
    """What ``on_event=`` takes to observe whole calls."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(_ignore, level=Level.ERROR)

    @abstractmethod
    def attach(self, transport: Any) -> None:
        """Take note of a transport that it was given to; by a weak reference."""

    @abstractmethod
    def watcher(self, inner: Any) -> Callable[[ObservedCall], tuple[Watch, ...]]:
        """Return what makes the watches of each call that is sent through an inner transport."""


def _ignore(event: Event) -> None:
    """Leave single events to listeners."""
