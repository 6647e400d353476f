"""``demo --scenario outage``: one job, in the middle of which its server goes away.

Bare, with three plain retries, and as the transport comes: at the same time, each against a vault
of its own that answers 503 to everything for some seconds.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import anyio
from rich.console import Console
from rich.text import Text

from .. import AsyncResilientTransport, Backoff, ErrorClass, Listener, Policy, RetryPolicy
from ..testing import FakeScaiVault, Fault, Limit
from ._attempt import Attempt
from ._comparison import conclude, good, numbers, show_charts
from ._progress import progress
from ._trials import Job, Trial

_STATUS = 503
_DOWN = Fault.code("service_unavailable")
_PLENTY = {name: Limit(1_000_000) for name in ("read", "write")}

_BACKOFF = Backoff(initial=0.5, multiplier=2.0, jitter="full")
PLAIN = Policy(
    retry=RetryPolicy(
        max_attempts=4,
        backoff={ErrorClass.TRANSIENT: _BACKOFF, ErrorClass.CONNECTION: _BACKOFF},
    ),
    budget=None,
    throttle=None,
    park=None,
)
"""What a plain retry transport does, as httpx-retries with ``total=3`` and ``backoff_factor=0.5``:
each call on its own, after 0.5, 1 and 2 s at most, with full jitter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class InterruptedJob(Job):
    """A job whose server goes away and comes back.

    Attributes:
        down_at: Seconds after the job's beginning.
        down_for: Seconds.
    """

    down_at: float
    down_for: float


JOB = InterruptedJob(reads=210, writes=70, tasks=20, pause=0.5, down_at=3.0, down_for=3.0)


def trials() -> list[Trial]:
    """Return the three ways in which the job is done, none of them begun."""
    return [
        Trial("bare httpx", lambda inner, _: inner, refusal=_STATUS),
        Trial(
            "three retries",
            lambda inner, heard: AsyncResilientTransport(inner, policy=PLAIN, on_event=heard),
            refusal=_STATUS,
        ),
        Trial(
            "httpx-resilience",
            lambda inner, heard: AsyncResilientTransport(inner, on_event=heard),
            refusal=_STATUS,
        ),
    ]


class Outage:
    """The three trials, at the same time.

    Args:
        seed: Decides the order of the calls, and the pauses between them.

    Attributes:
        differences: Calls that were lost with the transport as it comes, in a line.
    """

    def __init__(self, seed: int) -> None:
        self.differences: list[str] = []
        self._job = JOB
        self._calls = self._job.in_order(seed)
        self._trials = trials()

    @property
    def finished(self) -> int:
        """Calls that have ended."""
        return sum(trial.finished for trial in self._trials)

    async def play(self, listeners: Sequence[Listener]) -> None:
        """Do the job in every way."""
        everything = self._job.calls * len(self._trials)
        with progress(everything, "calls") as advance:
            async with anyio.create_task_group() as group:
                for trial in self._trials:
                    vault = FakeScaiVault(limits=_PLENTY)
                    attempt = Attempt(self._job, trial, vault, partial(self._go_away, vault))
                    group.start_soon(
                        attempt.make, self._calls, listeners, lambda: advance(self._so_far())
                    )
        self.differences += self._trials[-1].losses()

    async def _go_away(self, vault: FakeScaiVault) -> None:
        await anyio.sleep(self._job.down_at)
        vault.chaos(rate=1.0, faults=_DOWN, seed=0)
        await anyio.sleep(self._job.down_for)
        vault.heal()

    def _so_far(self) -> str:
        sent = sum(len(trial.requests) for trial in self._trials)
        refused = sum(trial.refused for trial in self._trials)
        return f"{sent} requests, {refused} answered {_STATUS}"

    def show(self, screen: Console) -> None:
        """Show the trials side by side."""
        job, whole = self._job, self._trials[-1]
        screen.print(_introduction(job))
        screen.print(numbers(self._trials, _rows(self._trials)))
        show_charts(self._trials, screen)
        if whole.succeeded == job.calls:
            said = f"With httpx-resilience all {job.calls} calls succeeded: none was lost."
            conclude(said, screen, is_good=True)
        else:
            conclude("With httpx-resilience calls were lost.", screen, is_good=False)


def _introduction(job: InterruptedJob) -> str:
    until = job.down_at + job.down_for
    return (
        "One job three times, at the same time, each against a vault of its own on this\n"
        f"machine: {job.reads} reads and {job.writes} writes by {job.tasks} workers, with pauses "
        f"in between.\nFrom {job.down_at:g} s to {until:g} s the vaults answer {_STATUS} to "
        "everything. The three retries come\nafter 0.5, 1 and 2 s at most; httpx-resilience is as "
        "it comes.\n"
    )


def _rows(trials: Sequence[Trial]) -> Iterator[tuple[str, list[Text]]]:
    hit = [_attempts_of_hit(trial) for trial in trials]
    yield "calls", [Text(f"{t.finished}") for t in trials]
    yield "succeeded", [Text(f"{t.succeeded}") for t in trials]
    yield "lost", [good(f"{t.lost}", is_good=not t.lost) for t in trials]
    yield "attempts", [Text(f"{len(t.requests)}") for t in trials]
    yield "calls that were hit", [Text(f"{len(attempts)}") for attempts in hit]
    yield (
        "attempts per call that was hit",
        [Text(f"{sum(attempts) / len(attempts):.2f}" if attempts else "-") for attempts in hit],
    )
    yield "time", [Text(f"{t.seconds:.1f} s") for t in trials]


def _attempts_of_hit(trial: Trial) -> list[int]:
    """Return the number of attempts of each call that was refused at least once."""
    attempts = Counter(request.request_id for request in trial.requests)
    hit = {request.request_id for request in trial.requests if trial.is_refusal(request)}
    return [attempts[request_id] for request_id in hit]
