"""What ten thousand queued calls cost: memory, release, order, cancellation.

Every call is a task that waits in a queue and then sends to a server in this process; the
yardstick is the same task waiting for a bare future. Time is virtual: nobody waits for a reset.
Memory is counted by tracemalloc, in runs of their own.
"""

import asyncio
import bisect
import statistics
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass

import httpx

from ..contenders.lines import FUTURES, Line, OurLine, lines
from ..contenders.transports import logger_off
from ..harness.rounds import Effort, Report, Stopwatch, collector_off, in_turns
from ..harness.rows import Row, absent
from ..harness.virtual import run_virtual
from ..servers.vault import CREDENTIAL, URL, WAIT, CountingVault, InProcessVault

NAME = "queue"
ENTER, RELEASE, CANCEL = "enter", "release", "cancel"
MEMORY, LEFT, INVERSIONS = "memory", "left after cancelling", "inversions"
_UNITS = {
    MEMORY: "B more",
    ENTER: "µs each",
    RELEASE: "µs each",
    INVERSIONS: "% of pairs",
    CANCEL: "µs each",
    LEFT: "B each",
}

MakeLine = Callable[[InProcessVault, int], Line]


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    with logger_off():
        return _run(effort, report)


def _run(effort: Effort, report: Report) -> list[Row]:
    present, missing = lines()
    size = effort.of(10_000, least=20)
    requests = [
        httpx.Request("GET", URL, headers=CREDENTIAL, extensions={"index": index})
        for index in range(size)
    ]
    seen: dict[tuple[str, str], list[float]] = defaultdict(list)
    for name in in_turns(list(present), effort.of(4, least=1), report):
        for is_cancelled in (False, True):
            figures = run_virtual(_timed(present[name], requests, is_cancelled))
            for what, figure in figures.items():
                seen[what, name].append(figure)
    notes: dict[str, str] = {}
    for name, make in present.items():
        report(f"memory of {name}")
        weighed = run_virtual(_weighed(make, requests))
        seen[MEMORY, name].append(weighed.queued)
        seen[LEFT, name].append(weighed.left)
        notes[name] = weighed.note
    return _rows(seen, list(present), notes, size) + absent(NAME, "all", missing)


def _rows(
    seen: dict[tuple[str, str], list[float]], names: list[str], notes: dict[str, str], size: int
) -> list[Row]:
    rows = []
    for what, unit in _UNITS.items():  # what a task costs anyway is not the queue's
        base = statistics.median(seen[what, FUTURES])
        for name in names:
            if what == LEFT and name == FUTURES:  # its own list of them is what is left
                continue
            value = statistics.median(seen[what, name])
            is_beyond = what == MEMORY and name != FUTURES
            rows.append(
                Row(
                    benchmark=NAME,
                    what=what,
                    contender=name,
                    value=value - base if is_beyond else value,
                    unit="B a task" if what == MEMORY and name == FUTURES else unit,
                    ratio=value / base if base > 0 and what != LEFT else None,
                    note=f"{size:,} calls; {notes[name]}".rstrip("; ") if what == LEFT else "",
                )
            )
    return rows


async def _queued(
    make: MakeLine, requests: list[httpx.Request]
) -> tuple[Line, CountingVault, list[asyncio.Task[None]]]:
    vault = CountingVault()
    vault.stock(len(requests), later=WAIT)
    line = make(vault, len(requests))
    await line.shut()
    return line, vault, []


async def _timed(
    make: MakeLine, requests: list[httpx.Request], is_cancelled: bool
) -> dict[str, float]:
    """Return microseconds a call for entering and leaving, and how far out of order they left."""
    line, vault, tasks = await _queued(make, requests)
    with collector_off():
        with Stopwatch() as entering:
            await _enter(line, requests, tasks)
        with Stopwatch() as leaving:
            if is_cancelled:
                await _cancel(tasks)
            else:
                line.open()
                for task in tasks:
                    await task
    share = 1e6 / len(requests)
    if is_cancelled:
        return {CANCEL: leaving.seconds * share}
    return {
        ENTER: entering.seconds * share,
        RELEASE: leaving.seconds * share,
        INVERSIONS: 100 * inversions(vault.order),
    }


async def _enter(
    line: Line, requests: list[httpx.Request], tasks: list[asyncio.Task[None]]
) -> None:
    loop = asyncio.get_running_loop()
    tasks += [loop.create_task(_call(line, request)) for request in requests]
    for _ in range(4):  # until all of them wait
        await asyncio.sleep(0)


async def _call(line: Line, request: httpx.Request) -> None:
    await line.call(request)


async def _cancel(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class Weighed:
    """Bytes per call while they wait, and when they are gone."""

    queued: float
    left: float
    note: str


async def _weighed(make: MakeLine, requests: list[httpx.Request]) -> Weighed:
    line, _, tasks = await _queued(make, requests)
    with collector_off():
        tracemalloc.start()
        try:
            await _enter(line, requests, tasks)
            queued = tracemalloc.get_traced_memory()[0]
            await _cancel(tasks)
            tasks.clear()
            await asyncio.sleep(0)
            with collector_off():
                left = tracemalloc.get_traced_memory()[0]
        finally:
            tracemalloc.stop()
    note = ""
    if isinstance(line, OurLine):
        still = sum(each.queued + each.in_flight for each in line.transport.rate_limits())
        note = f"{still} left in queue or flight"
    return Weighed(queued / len(requests), left / len(requests), note)


def inversions(order: list[int]) -> float:
    """Return the share of pairs that came out in the wrong order.

    >>> inversions([0, 1, 2]), inversions([2, 1, 0])
    (0.0, 1.0)
    """
    before: list[int] = []
    wrong = 0
    for index in order:
        wrong += len(before) - bisect.bisect(before, index)
        bisect.insort(before, index)
    pairs = len(order) * (len(order) - 1) / 2
    return wrong / pairs if pairs else 0.0
