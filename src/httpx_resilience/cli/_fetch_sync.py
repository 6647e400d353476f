"""``fetch`` with a synchronous client: a thread for each call at a time."""

import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any, TypeVar

from ._exchange import Result, exchange_sync
from ._job import Body, FetchRun, Job
from ._progress import progress, repeating
from ._screen import Misuse

_Thing = TypeVar("_Thing")
_LOOKS_EACH = 1.0
"""Seconds: on Windows a lock's wait does not notice Ctrl-C."""

_ENDS_WITHIN = 0.5


def make_all(job: Job, run: FetchRun) -> None:
    """Make the calls."""
    workers = _Workers()
    lines = job.lines(workers.done.set)
    http = job.library.http
    listeners = workers.by_turns(run.tally), workers.by_turns(lines)
    with nullcontext() if job.store is None else job.store.opened_sync() as store:
        transport = job.library.ours.ResilientTransport(
            http.HTTPTransport(limits=job.limits), **job.options(*listeners, store)
        )
        _make_with(transport, job, run, workers)
    lines.close()


def _make_with(transport: Any, job: Job, run: FetchRun, workers: "_Workers") -> None:
    try:
        with job.library.http.Client(transport=transport) as client:
            try:
                _make_calls(client, job, run, workers)
            finally:
                workers.stop()
                run.limits = transport.rate_limits()
    finally:
        workers.join()


def _make_calls(client: Any, job: Job, run: FetchRun, workers: "_Workers") -> None:
    left = iter(range(job.number))
    run.body_is_shown = job.shows_body
    write = workers.by_turns(Body() if job.shows_body else len)

    def count(result: Result) -> None:
        run.take(result)
        advance(repeating(run.tally))

    take = workers.by_turns(count)

    def work() -> None:
        for _ in left:
            take(exchange_sync(client, job.request(client), write))
            if workers.are_stopped:
                return

    with progress(job.number) if job.number > 1 else nullcontext(len) as advance:
        workers.run(work, job.concurrency)


class _Workers:
    """Threads that nobody waits for once they are stopped: a thread that sends cannot be cut.

    Attributes:
        are_stopped: Whether they are.
        done: Set when all ended, one failed, or there is no point in going on.
    """

    def __init__(self) -> None:
        self.are_stopped = False
        self.done = threading.Event()
        self._threads: list[threading.Thread] = []
        self._lock = threading.Lock()
        self._running = 0
        self._error: BaseException | None = None

    def by_turns(self, take: Callable[[_Thing], object]) -> Callable[[_Thing], object]:
        """Return a function for one thread at a time, that does nothing once they are stopped."""

        def take_by_turns(thing: _Thing) -> object:
            with self._lock:
                return None if self.are_stopped else take(thing)

        return take_by_turns

    def run(self, work: Callable[[], None], number: int) -> None:
        """Do the work in so many threads; raise what it raised in one of them."""
        self._running = number
        for count in range(number):
            try:
                thread = threading.Thread(target=self._work, args=(work,), daemon=True)
                thread.start()
            except RuntimeError:
                raise Misuse(f"--concurrency: no more than {count} threads can start") from None
            self._threads.append(thread)
        while not self.done.wait(_LOOKS_EACH):
            pass
        if self._error is not None:
            raise self._error

    def _work(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - the main thread raises it
            self._error = error
            self.done.set()
        finally:
            with self._lock:
                self._running -= 1
                if not self._running:
                    self.done.set()

    def stop(self) -> None:
        """Have them count and write nothing more."""
        with self._lock:
            self.are_stopped = True

    def join(self) -> None:
        """Wait a moment for their end, once the client is closed; a thread that sends goes on."""
        until = time.monotonic() + _ENDS_WITHIN
        for thread in self._threads:
            thread.join(max(0.0, until - time.monotonic()))
