"""End to end over loopback: requests a second, and the client's processor time for each.

The server is a process of its own that answers fixed bytes with rate-limit headers. The client
is ``AsyncClient`` over ``AsyncHTTPTransport`` with as many connections as calls at a time.
"""

import asyncio
import statistics
import time
from collections import defaultdict

import httpx

from ..contenders.peers import LIMITER, RETRIES, STAMINA
from ..contenders.transports import BARE, Contender, bare, ours, peers
from ..harness.rounds import Effort, Report, collector_off, in_turns
from ..harness.rows import Row, absent
from ..servers.loopback import served
from ..servers.vault import CREDENTIAL

NAME = "loopback"
PATH = "/v1/secrets/app/db"
_PLAN = {1: (150, 10), 10: (200, 10), 100: (120, 3)}
"""Calls a turn and rounds, by how many are made at a time. With a hundred connections httpcore's
pool takes ten milliseconds a call to scan them."""

Seen = dict[str, list[tuple[float, float]]]
"""By contender: seconds on the wall and of the processor, per call, of each round."""


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    others, missing = peers(RETRIES, LIMITER, STAMINA)
    field = {each.name: each for each in [bare(), ours(), *others]}
    rows: list[Row] = []
    with served() as url:
        for at_a_time, plan in _PLAN.items():
            report(f"{at_a_time} at a time")
            calls, rounds = effort.of(plan[0], least=at_a_time), effort.of(plan[1])
            seen = asyncio.run(_seen(field, url, at_a_time, calls, rounds))
            rows += _rows(at_a_time, seen)
    return rows + absent(NAME, "all", missing)


async def _seen(
    field: dict[str, Contender], url: str, at_a_time: int, calls: int, rounds: int
) -> Seen:
    pools = {name: _pool(at_a_time) for name in field}
    clients = {name: _client(each, pools[name], url) for name, each in field.items()}
    seen: Seen = defaultdict(list)
    for client in clients.values():
        await _send(client, at_a_time, at_a_time)  # opens the connections
    for name in in_turns(list(field), rounds, lambda text: None):
        with collector_off():
            seen[name].append(await _send(clients[name], calls, at_a_time))
    for name, client in clients.items():
        await client.aclose()
        await pools[name].aclose()  # httpx-limiter does not close what it wraps
    return seen


def _pool(at_a_time: int) -> httpx.AsyncHTTPTransport:
    limits = httpx.Limits(
        max_connections=at_a_time,
        max_keepalive_connections=at_a_time,
        keepalive_expiry=None,  # others have their turns meanwhile
    )
    return httpx.AsyncHTTPTransport(limits=limits)


def _client(contender: Contender, pool: httpx.AsyncHTTPTransport, url: str) -> httpx.AsyncClient:
    transport = contender.wrap(pool)
    return httpx.AsyncClient(transport=transport, base_url=url, headers=CREDENTIAL, timeout=30.0)


async def _send(client: httpx.AsyncClient, calls: int, at_a_time: int) -> tuple[float, float]:
    left = iter(range(calls))

    async def worker() -> None:
        for _ in left:
            await client.get(PATH)

    wall, processor = time.perf_counter(), time.thread_time()
    await asyncio.gather(*(worker() for _ in range(at_a_time)))
    return (time.perf_counter() - wall) / calls, (time.thread_time() - processor) / calls


def _rows(at_a_time: int, seen: Seen) -> list[Row]:
    rows = []
    parts = ((0, "requests a second", "/s"), (1, "processor time", "µs a request"))
    for part, what, unit in parts:
        for name, figures in seen.items():
            own = [each[part] for each in figures]
            base = [each[part] for each in seen[BARE]]
            pairs = zip(own, base, strict=True)
            middle = statistics.median(own)
            ratio = statistics.median(mine / other for mine, other in pairs)
            rows.append(
                Row(
                    benchmark=NAME,
                    what=f"{at_a_time} at a time: {what}",
                    contender=name,
                    value=1 / middle if part == 0 else middle * 1e6,
                    unit=unit,
                    ratio=1 / ratio if part == 0 else ratio,
                )
            )
    return rows
