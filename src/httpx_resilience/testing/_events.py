"""``capture_events``: what all transports decide, for assertions."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar, overload

from .._core.telemetry.events import Event
from ..instrumentation import sink

_E = TypeVar("_E", bound=Event)


class CapturedEvents(list[Event]):
    """Events, the oldest first: a list, and a few questions to it.

    >>> events = CapturedEvents()
    >>> events.names
    []
    """

    @property
    def names(self) -> list[str]:
        """Their names, such as ``retry_scheduled``."""
        return [event.name for event in self]

    @overload
    def of(self, kind: str) -> list[Event]: ...
    @overload
    def of(self, kind: type[_E]) -> list[_E]: ...
    def of(self, kind: type[_E] | str) -> list[_E] | list[Event]:
        """Return those of one kind, named as in the log or by its class."""
        if isinstance(kind, str):
            return [event for event in self if event.name == kind]
        return [event for event in self if isinstance(event, kind)]

    def only(self, kind: type[_E]) -> _E:
        """Return the only event of a kind.

        Raises:
            AssertionError: There is none, or more than one; the message names what there is.
        """
        found = self.of(kind)
        if len(found) != 1:
            names = ", ".join(self.names) or "none"
            raise AssertionError(f"{len(found)} events are {kind.name}; there are: {names}")
        return found[0]


@contextmanager
def capture_events() -> Iterator[CapturedEvents]:
    """Capture the events of all transports, those of level debug, too, while a block runs.

    Transports may be made before the block or in it, anywhere in the program. Their log and their
    own listeners are served as ever.

    >>> import httpx
    >>> from httpx_resilience import ResilientTransport, RetryScheduled
    >>> from httpx_resilience.testing import ScriptedTransport, instant_waits
    >>> transport = ResilientTransport(ScriptedTransport([503, 200]))
    >>> with capture_events() as events, instant_waits():
    ...     with httpx.Client(transport=transport) as client:
    ...         response = client.get("https://vault.example/v1/secrets")
    >>> events.only(RetryScheduled).status
    503
    >>> "recovered" in events.names
    True
    """
    events = CapturedEvents()
    with sink.captured(events.append):
        yield events
