"""``demo --scenario rate-limit``: one job against small limits, three times over.

Bare, with retries only, and whole: each time against a fresh vault, so that each begins with full
buckets.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.text import Text

from .. import AsyncResilientTransport, Listener, Policy
from ..testing import FakeScaiVault, Limit
from ._attempt import Attempt
from ._comparison import conclude, good, numbers, show_charts
from ._progress import progress
from ._trials import Job, Trial

_DECIMALS = 1
"""The vault's windows are two seconds instead of a minute, and so its resets are not given in whole
seconds either. A tenth of a second is still three times coarser than a minute's at that scale."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitedJob(Job):
    """A job against small rate limits.

    Attributes:
        read_limit: What the vault allows.
        write_limit: Likewise.
    """

    read_limit: Limit
    write_limit: Limit

    @property
    def least_seconds(self) -> float:
        """The physical minimum: no client, however clever, is done sooner."""
        return max(
            least_seconds(self.reads, self.read_limit), least_seconds(self.writes, self.write_limit)
        )


JOB = LimitedJob(
    reads=180, writes=65, tasks=50, read_limit=Limit(30, per=2.0), write_limit=Limit(10, per=2.0)
)


def least_seconds(calls: int, limit: Limit) -> float:
    """Return the seconds that calls take at least: a full bucket at once, the rest as it refills.

    >>> least_seconds(65, Limit(10, per=2.0))
    11.0
    """
    return max(0, calls - limit.limit) * limit.per / limit.limit


def trials() -> list[Trial]:
    """Return the three ways in which the job is done, none of them begun."""
    without = Policy(throttle=None)
    return [
        Trial("bare httpx", lambda inner, _: inner),
        Trial(
            "retries only",
            lambda inner, heard: AsyncResilientTransport(inner, policy=without, on_event=heard),
        ),
        Trial(
            "with the throttle",
            lambda inner, heard: AsyncResilientTransport(inner, on_event=heard),
        ),
    ]


class RateLimited:
    """The three trials, one after the other.

    Args:
        seed: Decides the order of the calls.

    Attributes:
        differences: What did not go as it should with the throttle, a line each.
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
        """Do the job once for each trial."""
        for trial in self._trials:
            await self._do(trial, listeners)
        whole = self._trials[-1]
        self.differences += whole.losses()
        if whole.refused:
            self.differences.append(f"{whole.name}, {whole.refused} requests were answered 429")

    async def _do(self, trial: Trial, listeners: Sequence[Listener]) -> None:
        job = self._job
        limits = {"read": job.read_limit, "write": job.write_limit}
        attempt = Attempt(job, trial, FakeScaiVault(limits=limits, decimals=_DECIMALS))
        with progress(job.calls, f"{trial.name:<17}") as advance:
            await attempt.make(
                self._calls,
                listeners,
                lambda: advance(f"{len(trial.requests)} requests, {trial.refused} answered 429"),
            )

    def show(self, screen: Console) -> None:
        """Show the trials side by side."""
        job, whole = self._job, self._trials[-1]
        screen.print(_introduction(job))
        screen.print(numbers(self._trials, _rows(job, self._trials)))
        screen.print(_minimum(job))
        show_charts(self._trials, screen)
        if whole.succeeded == job.calls and not whole.refused:
            said = f"With the throttle all {job.calls} calls succeeded, and no request was refused."
            conclude(said, screen, is_good=True)
        else:
            conclude("With the throttle it did not go as it should.", screen, is_good=False)


def _introduction(job: LimitedJob) -> str:
    return (
        "One job three times, each time against a fresh vault on this machine:\n"
        f"{job.reads} reads and {job.writes} writes, {job.tasks} at a time. The vault allows "
        f"{_in_words(job.read_limit)} for reads\n"
        f"and {_in_words(job.write_limit)} for writes, and answers 429 to what is more.\n"
    )


def _in_words(limit: Limit) -> str:
    return f"{limit.limit} per {limit.per:g} s"


def _rows(job: LimitedJob, trials: Sequence[Trial]) -> Iterator[tuple[str, list[Text]]]:
    done = [trial.succeeded == job.calls for trial in trials]
    yield (
        f"of {job.calls} calls succeeded",
        [good(f"{t.succeeded}", is_good=ok) for t, ok in zip(trials, done, strict=True)],
    )
    yield "429s answered", [good(f"{t.refused}", is_good=not t.refused) for t in trials]
    yield "requests sent", [Text(f"{len(t.requests)}") for t in trials]
    yield "requests per call", [Text(f"{len(t.requests) / job.calls:.2f}") for t in trials]
    yield "time", [Text(f"{t.seconds:.1f} s") for t in trials]
    yield (
        "time / physical minimum",
        [
            Text(f"{t.seconds / job.least_seconds:.2f}") if ok else good("not done", is_good=False)
            for t, ok in zip(trials, done, strict=True)
        ],
    )


def _minimum(job: LimitedJob) -> str:
    reads = _at_least("reads", job.reads, job.read_limit)
    writes = _at_least("writes", job.writes, job.write_limit)
    return (
        f"\nThe physical minimum is {job.least_seconds:.1f} s, for a full bucket can be spent at "
        f"once and the\nrest only as it refills:\n  {reads}\n  {writes}"
    )


def _at_least(what: str, calls: int, limit: Limit) -> str:
    seconds = least_seconds(calls, limit)
    rate = limit.limit / limit.per
    return f"{what:<6}  ({calls} - {limit.limit}) / {rate:g} a second = {seconds:.1f} s"
