"""How well a server's rate limit is used: time over the physical minimum, and 429s met.

Fifty tasks send five and a quarter windows of requests at a limit of 100/s, to five kinds of
limiter: 525 in windows of 1 s whose resets are sent with fractions, 5,250 in windows of 10 s whose
resets are sent in whole seconds. Everything is this package's real transport but the server, which
is in process, and time, which is virtual: a request takes 1 to 5 ms to arrive, its answer as long.
The minimum is what a client would need that knows the limiter from inside; starting points within
a window differ from seed to seed. Nothing is configured for ours; httpx-limiter is given the rate.
"""

import asyncio
import random
import statistics
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import httpx

from ..contenders.peers import LIMITER, RETRIES, Wrap, limited, patient, wrapping_peers
from ..contenders.transports import BARE, Contender, bare, logger_off, ours
from ..harness.rounds import Effort, Report
from ..harness.rows import Row, absent
from ..harness.virtual import run_virtual
from ..servers.limiters import KINDS, LimitingVault, least_time
from ..servers.vault import CREDENTIAL, URL

NAME = "throttle"
TASKS, WINDOWS = 50, 5.25


@dataclass(frozen=True, slots=True)
class Limit:
    """A limit, how its reset is sent, and from how many starting points it is tried."""

    limit: int
    window: float
    has_fractions: bool
    seeds: int

    @property
    def requests(self) -> int:
        """How many are sent."""
        return round(self.limit * WINDOWS)


LIMITS = (
    Limit(100, 1.0, has_fractions=True, seeds=9),
    Limit(1000, 10.0, has_fractions=False, seeds=2),
)


@dataclass(frozen=True, slots=True)
class Job:
    """How a lot of requests went: all of it relative, to be compared across limits."""

    time: float
    refused: float
    failed: int


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    present, missing = wrapping_peers(RETRIES, LIMITER)
    names = [peer.name for peer in present]
    seen: dict[tuple[str, str], list[Job]] = defaultdict(list)
    for limit in LIMITS if effort.share > 0.1 else LIMITS[:1]:
        field = [bare(), ours(), *(Contender(name, _configured(name, limit)) for name in names)]
        for kind in KINDS:
            what = f"{kind} {limit.window:g} s"
            report(what)
            for seed in range(effort.of(limit.seeds)):
                for contender in field:
                    with logger_off():
                        job = run_virtual(_job(contender, kind, limit, seed))
                    seen[what, contender.name].append(job)
    return _rows(seen) + absent(NAME, "all", missing)


def _configured(name: str, limit: Limit) -> Wrap:
    """Return a peer that is patient; httpx-limiter admits one request each time a unit is due."""
    if name == RETRIES:
        return patient
    return lambda inner: patient(limited(inner, 1, limit.window / limit.limit))


async def _job(contender: Contender, kind: str, limit: Limit, seed: int) -> Job:
    rand = random.Random(seed)
    await asyncio.sleep(rand.uniform(0.0, limit.window))
    clock = asyncio.get_running_loop().time
    start = clock()
    least = least_time(KINDS[kind](limit.limit, limit.window), start, limit.requests)
    limiter = KINDS[kind](limit.limit, limit.window)
    vault = LimitingVault(limiter, limit.limit, rand, has_fractions=limit.has_fractions)
    transport = contender.wrap(vault)
    left, failed = iter(range(limit.requests)), 0

    async def task() -> None:
        nonlocal failed
        for _ in left:
            request = httpx.Request("GET", URL, headers=CREDENTIAL)
            try:
                response = await transport.handle_async_request(request)
            except httpx.HTTPError:
                failed += 1
            else:
                failed += response.status_code != 200

    await asyncio.gather(*(task() for _ in range(TASKS)))
    return Job((clock() - start) / least, 100 * vault.refused / limit.requests, failed)


def _rows(seen: Mapping[tuple[str, str], list[Job]]) -> list[Row]:
    rows: list[Row] = []
    for (what, name), jobs in seen.items():
        rows += _pair(what, name, jobs)
    for name in dict.fromkeys(name for _, name in seen):
        jobs = [job for (_, other), own in seen.items() for job in own if other == name]
        rows += _summary(name, jobs)
    place = {what: index for index, what in enumerate(dict.fromkeys(row.what for row in rows))}
    return sorted(rows, key=lambda row: place[row.what])


def _pair(what: str, name: str, jobs: list[Job]) -> list[Row]:
    failed = sum(job.failed for job in jobs) / len(jobs)
    time = None if failed else statistics.median(job.time for job in jobs)
    note = f"{failed:.0f} calls failed" if failed and name != BARE else ""
    refused = statistics.median(job.refused for job in jobs)
    return [
        _row(f"{what}: time", name, time, "x minimum", "gives up at each 429" * (name == BARE)),
        _row(f"{what}: 429s", name, refused, "per 100", note),
    ]


def _summary(name: str, jobs: list[Job]) -> list[Row]:
    if any(job.failed for job in jobs):
        return []
    times = [job.time for job in jobs]
    return [
        _row("all kinds: time, median", name, statistics.median(times), "x minimum"),
        _row("all kinds: time, worst", name, max(times), "x minimum"),
        _row("all kinds: 429s, worst", name, max(job.refused for job in jobs), "per 100"),
    ]


def _row(what: str, name: str, value: float | None, unit: str, note: str = "") -> Row:
    return Row(benchmark=NAME, what=what, contender=name, value=value, unit=unit, note=note)
