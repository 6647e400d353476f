"""What the transport for synchronous clients costs, and a call of it that is retried.

As ``happy`` and ``retry`` measure the asynchronous one, in one thread, logging off. A retry waits a
ten-thousandth of a second in earnest; only the processor's time is counted.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import httpx

from ..contenders.sync import SyncContender, retrying, steady, turn_of
from ..contenders.transports import BARE, logger_off
from ..harness.rounds import Effort, Report, Turn, against, prefixed, take_turns
from ..harness.rows import Row, absent
from ..servers.sync import SyncStumblingVault, SyncVault
from ..servers.vault import CREDENTIAL, URL

NAME = "sync"
TRANSPORT, CLIENT, RETRY = "transport, prebuilt request", "Client.get", "a call that is retried"


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    with logger_off():
        return asyncio.run(_run(effort, report))


async def _run(effort: Effort, report: Report) -> list[Row]:
    field, missing = steady()
    rows: list[Row] = []
    plans: list[tuple[str, Callable[[SyncContender], Turn], int]] = [
        (TRANSPORT, lambda each: _transport(each, SyncVault()), 1000),
        (CLIENT, _client, 250),
    ]
    for what, made, calls in plans:
        figures = await _figures(what, {c.name: made(c) for c in field}, calls, effort, report)
        rows += [_row(what, name, figures[name], figures[BARE]) for name in figures]
        rows += absent(NAME, what, missing)
    return [*rows, *await _retries(effort, report), *absent(NAME, RETRY, missing)]


async def _figures(
    what: str, turns: dict[str, Turn], calls: int, effort: Effort, report: Report
) -> dict[str, list[float]]:
    return await take_turns(
        turns,
        rounds=effort.of(25, least=3),
        calls=effort.of(calls, least=20),
        report=prefixed(report, what),
    )


def _row(what: str, name: str, own: list[float], base: list[float]) -> Row:
    seen, is_bare = against(own, base), name == BARE
    return Row(
        benchmark=NAME,
        what=what,
        contender=name,
        value=seen.value if is_bare else seen.added,
        unit="µs" if is_bare else "µs added",
        ratio=seen.ratio,
    )


async def _retries(effort: Effort, report: Report) -> list[Row]:
    field, _ = retrying()
    turns = {}
    for each in field:
        turns[f"{each.name} steady"] = _transport(each, SyncVault())
        turns[f"{each.name} stumbling"] = _stumbling(each)
    figures = await _figures(RETRY, turns, 100, effort, report)
    added = {
        each.name: against(figures[f"{each.name} stumbling"], figures[f"{each.name} steady"]).added
        for each in field
    }
    return [
        Row(
            benchmark=NAME,
            what=RETRY,
            contender=name,
            value=value,
            unit="µs",
            ratio=value / added[BARE],
        )
        for name, value in added.items()
    ]


def _transport(contender: SyncContender, vault: SyncVault) -> Turn:
    request = httpx.Request("GET", URL, headers=CREDENTIAL)
    return turn_of(vault, partial(contender.wrap(vault).handle_request, request))


def _stumbling(contender: SyncContender) -> Turn:
    vault = SyncStumblingVault()
    send = _transport(contender, vault)

    async def turn(calls: int) -> float:
        vault.served = 0
        seconds = await send(calls)
        if vault.served < calls:
            raise RuntimeError(f"{contender.name} did not get over a 503")
        return seconds

    return turn


def _client(contender: SyncContender) -> Turn:
    vault = SyncVault()
    client = httpx.Client(transport=contender.wrap(vault), headers=CREDENTIAL)
    return turn_of(vault, partial(client.get, URL))
