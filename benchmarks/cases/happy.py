"""What a call that succeeds at once costs beyond the bare transport.

Three ways to send it: to the transport with a request built once, to the transport with one built
for each call, and by ``AsyncClient.get``. Everything is on by default, rate-limit headers go down
from response to response, the requests bear a token, logging is as Python has it (WARNING).
"""

import asyncio
from collections.abc import Callable

import httpx

from ..contenders.transports import BARE, Contender, bare, ours, parts_off, peers, request_for
from ..harness.rounds import Effort, Report, Stopwatch, Turn, against, prefixed, take_turns
from ..harness.rows import Row, absent
from ..servers.vault import CREDENTIAL, URL, InProcessVault

NAME = "happy"
PREBUILT, BUILT, CLIENT = (
    "transport, prebuilt request",
    "transport, built per call",
    "AsyncClient.get",
)


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    return asyncio.run(_run(effort, report))


async def _run(effort: Effort, report: Report) -> list[Row]:
    others, missing = peers()
    field = [bare(), ours(), *others]
    plans: list[tuple[str, Callable[[Contender], Turn], list[Contender], int]] = [
        (PREBUILT, _prebuilt, [*field, *parts_off()], 1000),
        (BUILT, _built, field, 600),
        (CLIENT, _client, field, 250),
    ]
    rows: list[Row] = []
    for what, turn_of, contenders, calls in plans:
        turns = {contender.name: turn_of(contender) for contender in contenders}
        figures = await take_turns(
            turns,
            rounds=effort.of(25, least=3),
            calls=effort.of(calls, least=20),
            report=prefixed(report, what),
        )
        rows += _rows(what, figures)
        rows += absent(NAME, what, missing)
    return rows


def _rows(what: str, figures: dict[str, list[float]]) -> list[Row]:
    rows = []
    for name, own in figures.items():
        seen = against(own, figures[BARE])
        is_bare = name == BARE
        rows.append(
            Row(
                benchmark=NAME,
                what=what,
                contender=name,
                value=seen.value if is_bare else seen.added,
                unit="µs" if is_bare else "µs added",
                ratio=seen.ratio,
            )
        )
    return rows


def _prebuilt(contender: Contender) -> Turn:
    vault = InProcessVault()
    transport = contender.wrap(vault)
    request = request_for(contender)

    async def turn(calls: int) -> float:
        vault.stock(calls)
        with contender.around(), Stopwatch() as watch:
            for _ in range(calls):
                await transport.handle_async_request(request)
        return watch.seconds

    return turn


def _built(contender: Contender) -> Turn:
    vault = InProcessVault()
    transport = contender.wrap(vault)

    async def turn(calls: int) -> float:
        vault.stock(calls)
        with contender.around(), Stopwatch() as watch:
            for _ in range(calls):
                await transport.handle_async_request(request_for(contender))
        return watch.seconds

    return turn


def _client(contender: Contender) -> Turn:
    vault = InProcessVault()
    client = httpx.AsyncClient(transport=contender.wrap(vault), headers=CREDENTIAL)

    async def turn(calls: int) -> float:
        vault.stock(calls)
        with contender.around(), Stopwatch() as watch:
            for _ in range(calls):
                await client.get(URL)
        return watch.seconds

    return turn
