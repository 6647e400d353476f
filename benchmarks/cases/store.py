"""What a lease of a shared limit costs a call that succeeds at once.

To the transport with a request built once; the store itself takes no time. In real life it is asked
once a second or so: that round trip is for one call, and none of the others waits for it.
"""

import asyncio
from collections.abc import Sequence
from typing import Any

from httpx_resilience import RedisStore
from httpx_resilience._core.outcome import Command

from ..contenders.transports import BARE, Contender, bare, ours, request_for
from ..harness.rounds import Effort, Report, Stopwatch, Turn, against, take_turns
from ..harness.rows import Row
from ..harness.targets import OURS
from ..servers.vault import InProcessVault

NAME = "store"
WHAT = "transport, prebuilt request"

_FIRST_ROW = 14
"""Of the arguments of ``lease.lua``: where its limits begin."""


class GrantingStore(RedisStore):
    """A store that needs no server, answers at once and grants whatever is asked for."""

    __slots__ = ()

    def __init__(self) -> None:
        """Connect to nothing."""

    @property
    def is_async(self) -> bool:
        """As the transport is."""
        return True

    def key(self, kind: str, *parts: str) -> str:
        """Return the same key for all."""
        return kind

    def token(self, *parts: str) -> str:
        """Return the same name for all limits."""
        return "limit"

    def hashed(self, name: bytes) -> str:
        """Return the same name for all who call."""
        return "someone"

    def run(self, commands: Sequence[Command]) -> Any:
        """Grant whatever is asked for."""
        return self._granted(commands)

    async def _granted(self, commands: Sequence[Command]) -> list[list[str]]:
        return [_reply(command.args) for command in commands]


def _reply(args: tuple[str | int | float, ...]) -> list[str]:
    is_known = args[_FIRST_ROW - 1] != 0
    probes = "0" if is_known else "1"
    start = ["1", "7", "1000", "4", "0", "0", "0", probes, "0", "0", "0", str(int(is_known))]
    return [*start, str(args[_FIRST_ROW]), "100000", "0", "900000", "1"] if is_known else start


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    return asyncio.run(_run(effort, report))


async def _run(effort: Effort, report: Report) -> list[Row]:
    field = [bare(), ours(), ours(f"{OURS}, leased", store=GrantingStore())]
    figures = await take_turns(
        {contender.name: _turn(contender) for contender in field},
        rounds=effort.of(25, least=3),
        calls=effort.of(1000, least=20),
        report=report,
    )
    rows = []
    for name, own in figures.items():
        seen, is_bare = against(own, figures[BARE]), name == BARE
        value, unit = (seen.value, "µs") if is_bare else (seen.added, "µs added")
        rows.append(
            Row(benchmark=NAME, what=WHAT, contender=name, value=value, unit=unit, ratio=seen.ratio)
        )
    return rows


def _turn(contender: Contender) -> Turn:
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
