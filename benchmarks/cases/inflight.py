"""How fast many tasks are over the default pool, with and without a bound on those in flight.

End to end over loopback: ``AsyncClient`` with httpx's default limits and no timeout for the pool,
and a server in a process of its own. httpcore's pool scans all of its connections for every
request; httpx2's does not.
"""

import asyncio
import statistics
import time
from collections import defaultdict
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Literal, NamedTuple

from httpx_resilience import Policy, ThrottlePolicy

from ..contenders.peers import why_missing
from ..contenders.transports import BARE
from ..harness.rounds import Effort, Report, collector_off, in_turns, prefixed
from ..harness.rows import Row, absent
from ..harness.targets import OURS
from ..servers.loopback import served
from ..servers.vault import CREDENTIAL

NAME = "inflight"
PATH = "/v1/secrets/app/db"

FAMILIES = {"httpx": "httpx_resilience", "httpx2": "httpx_resilience.httpx2"}
"""Our front door for each library."""

CONTENDERS: Mapping[str, int | Literal["auto"] | None] = {
    BARE: None,
    f"{OURS}, off": None,
    f"{OURS}, 10": 10,
    f"{OURS}, auto": "auto",
}

_PLAN = {500: (5_000, 2), 10: (1_000, 9)}
"""Calls a turn and rounds, by the number of tasks."""


class Seen(NamedTuple):
    """One turn: calls a second, and how many of them failed."""

    rate: float
    failed: int


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    rows: list[Row] = []
    for library, door in FAMILIES.items():
        try:
            modules = import_module(library), import_module(door)
        except ImportError as error:
            rows += absent(NAME, library, [("all", why_missing(error))])
            continue
        with served() as url:
            for tasks, plan in _PLAN.items():
                calls, rounds = effort.of(plan[0], least=tasks), effort.of(plan[1])
                said = prefixed(report, f"{library}, {tasks} tasks")
                seen = asyncio.run(_seen(*modules, url, tasks, calls, rounds, said))
                rows += _rows(f"{library}, {tasks} tasks", seen)
    return rows


async def _seen(
    library: Any, door: Any, url: str, tasks: int, calls: int, rounds: int, report: Report
) -> dict[str, list[Seen]]:
    seen: dict[str, list[Seen]] = defaultdict(list)
    for name in in_turns(list(CONTENDERS), rounds, report):
        async with _client(library, door, name, url) as client:
            await _send(client, tasks, tasks)  # opens connections, and learns
            with collector_off():
                seen[name].append(await _send(client, calls, tasks))
    return seen


def _client(library: Any, door: Any, name: str, url: str) -> Any:
    transport = library.AsyncHTTPTransport()
    if name != BARE:
        policy = Policy(throttle=ThrottlePolicy(concurrency=CONTENDERS[name]))
        transport = door.AsyncResilientTransport(transport, policy=policy)
    timeout = library.Timeout(60.0, pool=None)
    return library.AsyncClient(
        transport=transport, base_url=url, headers=CREDENTIAL, timeout=timeout
    )


async def _send(client: Any, calls: int, tasks: int) -> Seen:
    left, failed = iter(range(calls)), 0

    async def worker() -> None:
        nonlocal failed
        for _ in left:
            try:
                response = await client.get(PATH)
                failed += response.status_code != 200
            except Exception:  # noqa: BLE001 - whatever it raises, it is counted
                failed += 1

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(tasks)))
    return Seen(calls / (time.perf_counter() - began), failed)


def _rows(what: str, seen: Mapping[str, list[Seen]]) -> list[Row]:
    rows = []
    for name, turns in seen.items():
        pairs = zip(turns, seen[BARE], strict=True)
        failed = sum(turn.failed for turn in turns)
        rows.append(
            Row(
                benchmark=NAME,
                what=what,
                contender=name,
                value=statistics.median(turn.rate for turn in turns),
                unit="calls/s",
                ratio=statistics.median(mine.rate / bare.rate for mine, bare in pairs),
                note=f"{failed} failed" if failed else "none failed",
            )
        )
    return rows
