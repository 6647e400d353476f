"""An event loop in a thread of its own, for those who have none: a vault's synchronous clients."""

import asyncio
import threading

from .._runtime.fork import reset_in_children

_STOPS_WITHIN = 2.0


class SharedLoop:
    """An event loop that runs for as long as somebody uses it, in a daemon thread.

    One for all synchronous transports of a vault, so that what the vault does between two awaits is
    whole, whichever thread asked for it. The child of a fork has another.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._reset()
        reset_in_children(self._reset)

    def _reset(self) -> None:
        """Start afresh: nobody uses it."""
        self._lock = threading.Lock()
        self._users = 0
        self._running: _Running | None = None

    def enter(self) -> asyncio.AbstractEventLoop:
        """Return the loop, which runs until everybody who entered has left."""
        with self._lock:
            if self._running is None:
                self._running = _Running(self._name)
            self._users += 1
            return self._running.loop

    def leave(self) -> None:
        """Stop the loop, and whatever still runs in it, if nobody else uses it."""
        with self._lock:
            self._users -= 1
            if self._users or self._running is None:
                return
            ended, self._running = self._running, None
        ended.stop()


class _Running:
    """A loop that runs.

    Attributes:
        loop: It.
    """

    def __init__(self, name: str) -> None:
        self.loop = asyncio.new_event_loop()
        self._stopped = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self.loop) as runner:
            runner.run(self._stopped.wait())

    def stop(self) -> None:
        """End it from another thread; what runs in it is cancelled."""
        self.loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join(_STOPS_WITHIN)
