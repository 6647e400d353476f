"""What a call that succeeds at once costs more, for seven shapes of the responses' headers.

What users run: the default policy, nothing configured, once at the transport and once in
``AsyncClient.get``. Added is what ours takes beyond the bare transport in the same round, and the
ratio is to that. Time is virtual, a hundred calls a second: so ``Date`` moves once a second, and
what remains of the limits goes down and up again.
"""

import asyncio
import statistics
from collections.abc import Awaitable, Callable

import httpx

from ..contenders.transports import BARE, Contender, bare, ours, request_for
from ..harness.rounds import Against, Effort, Report, Stopwatch, Turn, against, prefixed, take_turns
from ..harness.rows import Row
from ..harness.targets import OURS
from ..harness.virtual import VirtualLoop, run_virtual
from ..servers.shapes import SHAPES, ShapedServer, intervals
from ..servers.vault import CREDENTIAL, URL

NAME = "shapes"
TRANSPORT, CLIENT = "transport", "AsyncClient.get"

Send = Callable[[], Awaitable[object]]


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    rows: list[Row] = []
    for what, send_of, calls in ((TRANSPORT, _transport, 500), (CLIENT, _client, 250)):
        base, seen = list[float](), dict[str, Against]()
        for shape in SHAPES:
            figures = run_virtual(_figures(shape, send_of, calls, effort, prefixed(report, what)))
            base += figures[BARE]
            seen[shape] = against(figures[OURS], figures[BARE])
        rows.append(_row(what, BARE, statistics.median(base), "µs", 1.0))
        rows += [_row(what, f"{OURS}, {name}", own.added, "µs added", own.ratio)
                 for name, own in seen.items()]  # fmt: skip
        middle = [statistics.median(part) for part in zip(*map(_pair, seen.values()), strict=True)]
        rows.append(_row(what, f"{OURS}, median of the shapes", middle[0], "µs added", middle[1]))
    return rows


def _pair(own: Against) -> tuple[float, float]:
    return own.added, own.ratio


def _row(what: str, contender: str, value: float, unit: str, ratio: float) -> Row:
    return Row(benchmark=NAME, what=what, contender=contender, value=value, unit=unit, ratio=ratio)


async def _figures(
    shape: str,
    send_of: Callable[[Contender, ShapedServer], Send],
    calls: int,
    effort: Effort,
    report: Report,
) -> dict[str, list[float]]:
    turns = {each.name: _turn(each, shape, send_of) for each in (bare(), ours())}
    return await take_turns(
        turns,
        rounds=effort.of(25, least=3),
        calls=effort.of(calls, least=20),
        report=prefixed(report, shape),
    )


def _turn(
    contender: Contender, shape: str, send_of: Callable[[Contender, ShapedServer], Send]
) -> Turn:
    server = ShapedServer(shape)
    send = send_of(contender, server)
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)

    async def turn(calls: int) -> float:
        gaps = intervals(calls)
        server.stock(gaps)
        end = loop.now + sum(gaps)
        with Stopwatch() as watch:
            for gap in gaps:
                loop.now += gap
                await send()
        if loop.now > end + 1e-6:
            raise RuntimeError(f"{contender.name}, {shape}: a call was held back")
        return watch.seconds

    return turn


def _transport(contender: Contender, server: ShapedServer) -> Send:
    transport, request = contender.wrap(server), request_for(contender)
    return lambda: transport.handle_async_request(request)


def _client(contender: Contender, server: ShapedServer) -> Send:
    client = httpx.AsyncClient(transport=contender.wrap(server), headers=CREDENTIAL)
    return lambda: client.get(URL)
