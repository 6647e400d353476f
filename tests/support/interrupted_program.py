"""A program that is sent SIGINT: ``python interrupted_program.py httpx 200 3 URL LIMITED``.

It says ``armed`` when it wants one, goes on calling until it comes, looks at what that left, and at
the end says what it found: a line of JSON. It is given the library, how many signals it wants, how
many other threads call meanwhile, and the URLs of a server and of one whose limit is spent.
"""

import importlib
import itertools
import json
import logging
import signal
import sys
import threading
import time
import traceback
from collections import Counter
from typing import Any

from httpx_resilience import GENERIC, Backoff, ErrorClass, Policy, RetryPolicy

PATHS = ("ok", "slow", "flaky", "limited", "stream")
"""What is called in turn; each is a way to wait, or to do so many things in no time."""

QUICK = {ErrorClass.TRANSIENT: Backoff(initial=0.01, maximum=0.01)}
POLICY = Policy(retry=RetryPolicy(backoff=QUICK, max_attempts=20), budget=None, park=None)
PATIENCE = 3.0

SIGINT = {signal.SIGINT}


class Program:
    def __init__(self, library: str, workers: int, url: str, limited: str) -> None:
        self.library: Any = importlib.import_module(library)
        door: Any = importlib.import_module(
            "httpx_resilience" if library == "httpx" else "httpx_resilience.httpx2"
        )
        self.inner = self.library.HTTPTransport(trust_env=False)
        self.transport = door.ResilientTransport(self.inner, dialect=GENERIC, policy=POLICY)
        self._url = url
        self.client = self._new_client()
        self._limited = limited
        self.kept = Counter[str]()
        self.places = Counter[str]()
        self.problems: list[str] = []
        self._go = threading.Event()
        self._busy = threading.Semaphore(workers)
        self._workers = workers
        for n in range(workers):
            threading.Thread(target=self._work, args=(n,), daemon=True).start()

    def _new_client(self) -> Any:
        """Return one for a thread: the lock of a jar of cookies is no safer than httpcore's."""
        return self.library.Client(transport=self.transport, base_url=self._url)

    def _work(self, n: int) -> None:
        client = self._new_client()
        for path in itertools.islice(itertools.cycle(("ok", "flaky", "slow")), n, None):
            self._go.wait()
            with self._busy:
                if self._go.is_set():
                    self._call(client, path)

    def call(self, path: str) -> None:
        self._call(self.client, path)

    def _call(self, client: Any, path: str) -> None:
        if path == "stream":
            with client.stream("GET", "/ok") as response:
                response.read()
        else:
            response = client.get(self._limited if path == "limited" else f"/{path}")
        assert response.status_code == 200, response

    def interrupted(self, paths: Any) -> None:
        """Call until SIGINT comes."""
        try:
            say("armed")
            self._go.set()
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGINT)
            while True:
                self.call(next(paths))
        except KeyboardInterrupt as error:
            signal.pthread_sigmask(signal.SIG_BLOCK, SIGINT)
            frames = traceback.extract_tb(error.__traceback__)
        self.places[place_of(frames)] += 1
        self._look(frames)

    def _look(self, frames: traceback.StackSummary) -> None:
        self._go.clear()
        for _ in range(self._workers):
            if not self._busy.acquire(timeout=PATIENCE):
                self.problems.append(f"another thread hangs: {where_threads_are()}")
        left = self._leftovers()
        if left:
            where = f"{frames[-1].filename}:{frames[-1].lineno} {frames[-1].name}"
            self.problems.append(f"{left} after {where}")
        if self._taken():
            self.kept[whose(frames)] += 1
            self._drop()
        for _ in range(self._workers):
            self._busy.release()
        began = time.monotonic()
        self.call("ok")
        if time.monotonic() - began > PATIENCE / 3:
            self.problems.append("the next call took its time")

    def _leftovers(self) -> dict[str, str]:
        registry = self.transport._calls.registry
        rows = self.transport.rate_limits()
        left = {
            "calls under way": registry.under_way,
            "calls that wait": registry.waiting,
            "in the throttle": [row for row in rows if row.in_flight or row.queued],
            "parked": [each for each in registry._parkings.values() if len(each) or each._ends],
            "handler": signal.getsignal(signal.SIGINT) is not signal.default_int_handler,
        }
        return {what: str(much) for what, much in left.items() if much}

    def _taken(self) -> list[str]:
        pool = self.inner._pool
        taken = [
            repr(each) for each in pool.connections if not (each.is_idle() or each.is_closed())
        ]
        return taken + [repr(each) for each in pool._requests]

    def _drop(self) -> None:
        self.inner._pool = self.library.HTTPTransport(trust_env=False)._pool


def mend_locks(library: str) -> None:
    """Give httpcore locks whose ``with`` is written in C.

    Its own are taken by a method in Python, and stay locked for ever where Ctrl-C comes as that
    returns: then every thread hangs, over a bare client, too.
    """
    core = library.replace("httpx", "httpcore")
    importlib.import_module(core)
    for name, module in list(sys.modules.items()):
        if name.startswith(f"{core}._sync."):
            for lock in ("Lock", "ThreadLock"):
                if hasattr(module, lock):
                    setattr(module, lock, threading.Lock)


def where_threads_are() -> list[str]:
    """Return the innermost lines of all threads."""
    stacks = [traceback.extract_stack(frame)[-6:] for frame in sys._current_frames().values()]
    return [", ".join(f"{each.name}:{each.lineno}" for each in stack) for stack in stacks]


def place_of(frames: traceback.StackSummary) -> str:
    """Return where the signal came: in a wait of ours, or in whose lines."""
    names = [frame.name for frame in frames]
    for name in ("pause", "_wait", "connect_tcp", "release_interrupts"):
        if name in names:
            return name
    return whose(frames)


def whose(frames: traceback.StackSummary) -> str:
    """Return whose the innermost lines are that are no library's of Python."""
    for frame in reversed(frames):
        for name in ("httpx_resilience", "httpcore", "httpx"):  # or httpcore2, httpx2
            if f"/{name}" in frame.filename:
                return name
    return "the program"


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGINT)
    library, signals, workers, *urls = sys.argv[1:]
    mend_locks(library)
    logging.disable()  # before Python 3.13, a handler's lock is no safer
    program, paths = Program(library, int(workers), *urls), itertools.cycle(PATHS)
    program.call("ok")
    for _ in range(int(signals)):
        program.interrupted(paths)
    program.client.close()
    say(json.dumps([program.problems, program.kept, program.places]))
