"""What ``fetch`` is to send, with which client, and what its calls came to."""

import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from .. import (
    Dialect,
    Event,
    Level,
    Listener,
    Policy,
    RateLimitStatus,
    RedisStore,
    RetryScheduled,
)
from ._exchange import Result
from ._lines import JsonLines
from ._options import named
from ._screen import Misuse, complain
from ._store import StoreChoice
from ._tally import Tally, word_of

_DOORS = {"httpx": "httpx_resilience", "httpx2": "httpx_resilience.httpx2"}

Take = Callable[[Event], object]


@dataclass(frozen=True, slots=True)
class Library:
    """An HTTP library, and our transports for it.

    Attributes:
        http: The module ``httpx`` or ``httpx2``.
        ours: The module with our transports for its clients.
    """

    http: Any
    ours: Any


def library_of(name: str) -> Library:
    """Return what ``--client`` names; what is not asked for need not be installed."""
    door = named("--client", name, _DOORS)
    try:
        return Library(import_module(name), import_module(door))
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise Misuse(
            f'--client: {name} is not installed: pip install "httpx-resilience[{name}]"'
        ) from None


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What to send, how often, and how."""

    library: Library
    method: str
    url: Any
    headers: list[tuple[str, str]]
    body: bytes | None
    number: int
    concurrency: int
    timeout: float
    dialect: Dialect
    policy: Policy
    json_from: Level | None
    store: StoreChoice | None = None

    @property
    def shows_body(self) -> bool:
        """Whether the response's body is the output."""
        return self.number == 1 and self.json_from is None

    @property
    def limits(self) -> Any:
        """The limits of the inner transport's connections."""
        return self.library.http.Limits(max_connections=self.concurrency)

    def request(self, client: Any) -> Any:
        """Return what is sent each time."""
        timeout = self.library.http.Timeout(self.timeout, pool=None)
        return client.build_request(
            self.method, self.url, headers=self.headers, content=self.body, timeout=timeout
        )

    def options(self, tally: Take, lines: Take, store: RedisStore | None) -> dict[str, Any]:
        """Return the arguments of our transport, whoever of those wants to be given events."""
        listeners = [Listener(tally, level=Level.DEBUG)]
        if self.json_from is not None:
            listeners.append(Listener(lines, level=self.json_from))
        elif self.number == 1 and sys.stderr.isatty():
            listeners.append(Listener(_announce_wait))
        return {
            "dialect": self.dialect,
            "policy": self.policy,
            "on_event": listeners,
            "store": store,
        }

    def lines(self, stop: Callable[[], object]) -> JsonLines:
        """Return what writes the events; ``stop`` is called once it no longer can."""
        return JsonLines(self.json_from or Level.ERROR, stop)


@dataclass(slots=True)
class FetchRun:
    """What the calls came to so far."""

    tally: Tally = field(default_factory=Tally)
    results: Counter[str] = field(default_factory=Counter[str])
    failures: int = 0
    body_is_shown: bool = False
    last_error: Exception | None = None
    limits: tuple[RateLimitStatus, ...] = ()
    began: float = field(default_factory=time.monotonic)

    def take(self, result: Result) -> None:
        """Count a call that ended."""
        if result.has_lost_body and result.status is not None:
            self.tally.lose_body(result.status)
        self.results[result.word] += 1
        self.failures += result.is_failure
        self.last_error = result.error or self.last_error


class Body:
    """Writes a response's body on stdout as it comes; not what would upset a terminal."""

    def __init__(self) -> None:
        self._is_withheld = False

    def __call__(self, chunk: bytes) -> None:
        """Take the next piece."""
        if sys.stdout.isatty() and b"\0" in chunk and not self._is_withheld:
            self._is_withheld = True
            complain("the body is binary and is not shown; send standard output to a file")
        if not self._is_withheld:
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()


def _announce_wait(event: Event) -> None:
    if isinstance(event, RetryScheduled):
        complain(
            f"attempt {event.attempt} of {event.max_attempts}: {word_of(event)}; "
            f"the next in {event.delay:g} s ({event.delay_source})"
        )
