"""Instructions per request, counted by Valgrind: a figure that no busy machine disturbs.

``python -m benchmarks.cases.instructions NAME ...`` is the child that callgrind watches.
"""

import gc
import shutil
import sys
from collections.abc import Awaitable, Callable

import httpx

from ..contenders.transports import (
    BARE,
    Contender,
    bare,
    ours,
    parts_off,
    peers,
    request_for,
)
from ..harness.counting import CALLS, count, run_steadily
from ..harness.rounds import Effort, Report
from ..harness.rows import Row, absent
from ..servers.vault import InProcessVault

NAME = "instructions"
WHAT = "transport"
CHILD = "benchmarks.cases.instructions"


def run(effort: Effort, report: Report) -> list[Row]:
    """Count."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return absent(NAME, WHAT, [("all", "valgrind is not installed")])
    others, missing = peers()
    field = [bare(), ours(), *others] + (parts_off() if effort.share >= 1 else [])
    names = [contender.name for contender in field]
    report(f"{len(names)} contenders under valgrind, up to a minute")
    return [*_rows(count(valgrind, CHILD, names)), *absent(NAME, WHAT, missing)]


def _rows(counted: dict[str, float]) -> list[Row]:
    base = counted[BARE]
    return [
        Row(
            benchmark=NAME,
            what=WHAT,
            contender=name,
            value=each if name == BARE else each - base,
            unit="k" if name == BARE else "k added",
            ratio=each / base,
        )
        for name, each in counted.items()
    ]


def send_by(names: list[str]) -> None:
    """Send by each contender named, in that order."""
    field = {each.name: each for each in [bare(), ours(), *parts_off(), *peers()[0]]}
    gc.disable()
    for name in names:
        with field[name].around():
            run_steadily(_call_of(field[name]))


def _call_of(contender: Contender) -> Callable[[], Callable[[], Awaitable[httpx.Response]]]:
    def make_call() -> Callable[[], Awaitable[httpx.Response]]:
        vault = InProcessVault()
        transport, request = contender.wrap(vault), request_for(contender)
        vault.stock(CALLS)
        return lambda: transport.handle_async_request(request)

    return make_call


if __name__ == "__main__":
    send_by(sys.argv[1:])
