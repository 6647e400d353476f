"""Where events go: the log, and the user's callables. Neither can break a call or a throttle."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any
from weakref import WeakSet

from .._core import checks
from .._core.telemetry.events import SCHEMA, Event, Level
from .._core.telemetry.recorder import PendingEvent
from . import log

EventCallable = Callable[[Event], object]
_Plain = checks.Plain[Event, object]

_DEBUG = Level.DEBUG

_NOBODY = 100
"""Above every level."""


class Listener:
    """A callable for ``on_event=``, and the level from which on it is given events.

    A callable that is given as it is gets events of level info and above. Those of level debug
    (each attempt, each rate-limit header, each wait for the throttle) have to be made for every
    call, which takes some 15 µs: ask for them by ``Listener(callable, level=Level.DEBUG)``.

    Args:
        callback: A plain function, called with each event; it should be quick, and what it raises
            is logged once.
        level: A ``Level`` or its name: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.

    Raises:
        TypeError: ``callback`` cannot be called or is async, or ``level`` is neither a ``Level``
            nor a name.
        ValueError: No level has that name.

    >>> Listener(print, level="warning")
    Listener(<built-in function print>, level=Level.WARNING)
    """

    __slots__ = ("_callback", "_level")

    def __init__(self, callback: EventCallable, *, level: Level | str = Level.INFO) -> None:
        checks.plain("callback", callback, allowed="a plain function")
        self._callback = callback
        self._level = _level_of(level)

    @property
    def callback(self) -> EventCallable:
        """What is called with each event."""
        return self._callback

    @property
    def level(self) -> Level:
        """The level from which on it is given events."""
        return self._level

    def __repr__(self) -> str:
        return f"Listener({self._callback!r}, level=Level.{self._level.name})"


class EventSink:
    """Hands each event to the log and to every listener that wants its level.

    Nothing of type ``Exception`` that either raises comes out; each is reported once.
    """

    __slots__ = ("__weakref__", "_least", "_listeners", "_reported")

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        self._listeners = tuple(
            (listener.level, checks.plain("on_event", listener.callback)) for listener in listeners
        )
        self._look()
        self._reported: set[int | str] = set()
        for callback in _captures:
            self.listen(callback)
        _sinks.add(self)

    def _look(self) -> None:
        self._least = min((level for level, _ in self._listeners), default=_NOBODY)

    def listen(self, callback: _Plain) -> None:
        """Give every event to one callable more."""
        self._listeners = (*self._listeners, (_DEBUG, callback))
        self._look()

    def listen_no_more(self, callback: _Plain) -> None:
        """Give events to a callable no longer."""
        self._listeners = tuple(each for each in self._listeners if each[1] is not callback)
        self._look()

    @property
    def verbose(self) -> bool:
        """Whether anybody wants events of level debug; never raises."""
        if self._least <= _DEBUG:
            return True
        try:
            return log.is_enabled(_DEBUG)
        except Exception:  # noqa: BLE001 - the application's logger must not break a call
            return False

    def emit(self, event: Event) -> None:
        """Hand an event to everybody who wants it; never raises."""
        self._hand_out(event, self._logger_for(event.level))

    def emit_lazy(self, pending: PendingEvent) -> Event | None:
        """Hand a pending event to everybody who wants it; never raises.

        Returns:
            The event, or None if nobody wanted it, so that it was not made.
        """
        logger = self._logger_for(pending.level)
        if logger is None and pending.level < self._least:
            return None
        event = pending.event()
        self._hand_out(event, logger)
        return event

    def _logger_for(self, level: Level) -> Any:
        try:
            return log.logger_for(level)
        except Exception as error:  # noqa: BLE001 - the application's logger must not break a call
            self._report_log(error)
            return None

    def _hand_out(self, event: Event, logger: Any) -> None:
        level = event.level
        if logger is not None:
            try:
                log.write_to(logger, level, event.name, event.as_fields())
            except Exception as error:  # noqa: BLE001 - a full disk must not break a call
                self._report_log(error)
        if level < self._least:
            return
        for index, (least, callback) in enumerate(self._listeners):
            if level < least:
                continue
            try:
                callback(event)
            except Exception as error:  # noqa: BLE001 - a user's callable must not break a call
                self.report(index, error)

    def report(self, index: int, error: Exception) -> None:
        """Log that a listener raised, once for each; never raises."""
        if index in self._reported:
            return
        self._reported.add(index)
        logger = self._logger_for(Level.ERROR)
        if logger is None:
            return
        fields = {"schema": SCHEMA, "listener": index, "exception_type": type(error).__name__}
        try:
            log.write_to(logger, Level.ERROR, "listener_failed", fields)
        except Exception as failed:  # noqa: BLE001 - as above
            self._report_log(failed)

    def _report_log(self, error: Exception) -> None:
        """Report through stdlib that the log failed, once; if that fails, too, nothing is left."""
        if "log" in self._reported:
            return
        self._reported.add("log")
        fields = {"schema": SCHEMA, "exception_type": type(error).__name__}
        with suppress(Exception):
            log.write_to_stdlib(Level.ERROR, "log_failed", fields)


class DeferredSink(EventSink):
    """Keeps events back while a lock is held, and hands them out afterwards.

    A listener may take its time, and may itself send requests: not while others wait for the lock.

    Attributes:
        kept_back: The events so far, under the lock.
    """

    __slots__ = ("kept_back",)

    def __init__(self, listeners: Iterable[Listener] = ()) -> None:
        super().__init__(listeners)
        self.kept_back: list[Event] = []

    def _hand_out(self, event: Event, logger: Any) -> None:
        self.kept_back.append(event)

    def take(self) -> Sequence[Event]:
        """Return the events that were kept back, under the lock; keep them no longer."""
        events, self.kept_back = self.kept_back, []
        return events

    def hand_out(self, events: Sequence[Event]) -> None:
        """Hand out events that were kept back; never raises."""
        for event in events:
            super()._hand_out(event, self._logger_for(event.level))


_sinks: "WeakSet[EventSink]" = WeakSet()
_captures: list[_Plain] = []


@contextmanager
def captured(callback: EventCallable) -> Iterator[None]:
    """Give a callable all events of all transports, while a block runs."""
    plain = checks.plain("capture_events", callback)
    _captures.append(plain)
    for sink in tuple(_sinks):
        sink.listen(plain)
    try:
        yield
    finally:
        _captures.remove(plain)
        for sink in tuple(_sinks):
            sink.listen_no_more(plain)


def listeners_of(
    given: EventCallable | Listener | Iterable[EventCallable | Listener] | None,
) -> tuple[Listener, ...]:
    """Return ``on_event`` as listeners: of None, of one callable or ``Listener``, or of several."""
    if given is None:
        return ()
    several = given if isinstance(given, Iterable) and not callable(given) else (given,)
    allowed = "a callable, a Listener, several of them, or None"
    listeners = []
    for each in several:
        if not isinstance(each, Listener):
            checks.plain("on_event", each, allowed=allowed)
        listeners.append(each if isinstance(each, Listener) else Listener(each))
    return tuple(listeners)


def _level_of(given: object) -> Level:
    names = ", ".join(repr(level.name.lower()) for level in Level)
    if isinstance(given, Level):
        return given
    if not isinstance(given, str):
        raise TypeError(f"level: got {given!r}, allowed is a Level, or one of {names}")
    for level in Level:
        if level.name == given.upper():
            return level
    raise ValueError(f"level: got {given!r}, allowed is a Level, or one of {names}")
