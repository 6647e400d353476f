"""What a call that succeeds at once costs with httpx2, beyond its bare transports of both kinds.

As ``happy`` and ``sync`` measure it with httpx; ratios are to bare httpx2.
"""

import asyncio
from collections.abc import Callable, Mapping
from importlib import import_module

from ..contenders.peers import why_missing
from ..contenders.transports import BARE
from ..harness.rounds import Effort, Report, Turn, against, prefixed, take_turns
from ..harness.rows import Row, absent
from ..harness.targets import OURS

NAME = "httpx2"

Plans = Mapping[str, tuple[Callable[[bool], Turn], int]]


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    try:
        plans: Plans = import_module("benchmarks.contenders.httpx2").PLANS
    except ImportError as error:
        return absent(NAME, "all", [("all", why_missing(error))])
    return asyncio.run(_run(plans, effort, report))


async def _run(plans: Plans, effort: Effort, report: Report) -> list[Row]:
    rows: list[Row] = []
    for what, (made, calls) in plans.items():
        figures = await take_turns(
            {BARE: made(False), OURS: made(True)},
            rounds=effort.of(25, least=3),
            calls=effort.of(calls, least=20),
            report=prefixed(report, what),
        )
        rows += [_row(what, name, figures) for name in figures]
    return rows


def _row(what: str, name: str, figures: dict[str, list[float]]) -> Row:
    seen, is_bare = against(figures[name], figures[BARE]), name == BARE
    return Row(
        benchmark=NAME,
        what=what,
        contender=name,
        value=seen.value if is_bare else seen.added,
        unit="µs" if is_bare else "µs added",
        ratio=seen.ratio,
    )
