"""Where events go: the log, and the user's callables."""

from collections.abc import Callable, Iterable

from .._core import checks
from .._core.events import Event, Level
from .._core.telling import Fact
from . import log

Listener = Callable[[Event], object]

_DEBUG = Level.DEBUG


class EventSink:
    """Hands each event to the log and to every listener; what a listener raises is logged once."""

    __slots__ = ("_broken", "_listeners")

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        self._listeners = tuple(listeners)
        self._broken: set[int] = set()

    @property
    def verbose(self) -> bool:
        """Whether anybody wants events of level debug."""
        return True if self._listeners else log.is_enabled(_DEBUG)

    def emit(self, event: Event) -> None:
        """Tell everybody; never raises."""
        log.write(event)
        self._tell_listeners(event)

    def offer(self, fact: Fact) -> Event | None:
        """Tell everybody; return the event, or None if nobody wanted it, so that it was not made.

        Never raises.
        """
        logger = log.logger_for(fact.level)
        if logger is None and not self._listeners:
            return None
        event = fact.event()
        if logger is not None:
            log.write_to(logger, event.level, event.name, event.as_fields())
        self._tell_listeners(event)
        return event

    def _tell_listeners(self, event: Event) -> None:
        for index, listener in enumerate(self._listeners):
            try:
                listener(event)
            except Exception as error:  # noqa: BLE001 - a user's callable must not break a call
                self._report(index, error)

    def _report(self, index: int, error: Exception) -> None:
        if index in self._broken:
            return
        self._broken.add(index)
        told = {"listener": index, "exception_type": type(error).__name__}
        log.write_line(Level.ERROR, "listener_failed", lambda: told)


def listeners_of(given: Listener | Iterable[Listener] | None) -> tuple[Listener, ...]:
    """Return ``on_event`` as a tuple: None, one callable or several."""
    if given is None:
        return ()
    several = given if isinstance(given, Iterable) and not callable(given) else (given,)
    listeners: list[Listener] = []
    for listener in several:
        allowed = "a callable, several of them, or None"
        listeners.append(checks.plain("on_event", listener, allowed=allowed))
    return tuple(listeners)
