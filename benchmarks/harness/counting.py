"""Instructions counted by Valgrind's callgrind, for several contenders in one child process.

The child makes N1 and then N2 calls of each contender and marks where each lot ends; the
difference, divided by N2 - N1, is the cost of one call without anything that is done once. A mark
is a call of ``getpriority``, which nothing else here calls and before which callgrind writes down
what it counted since the last (``--dump-before``); so one child does for all contenders, and
Python's start is paid for once. ``PYTHONHASHSEED=0``, collector off.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]
TIME_LIMIT = 300.0
WARM_UP = 100
N1, N2 = 50, 200
CALLS = WARM_UP + N1 + N2
"""That a contender makes in all."""
MARKS = 3
"""Per contender: one before the first lot, and one after each."""

EACH = 25e-6
"""Seconds that a call takes: callgrind slows the real clock fifty-fold, and what is done once in
so many seconds would be counted fifty times too often."""


def count(valgrind: str, module: str, names: Sequence[str]) -> dict[str, float]:
    """Return thousands of instructions per call, by name, of ``python -m module NAME ...``."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind"
        subprocess.run(
            [
                valgrind,
                "--tool=callgrind",
                "--dump-before=getpriority",
                f"--callgrind-out-file={out}",
                sys.executable,
                *("-m", module, *names),
            ],
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": "0"},
            check=True,
            timeout=TIME_LIMIT,
            capture_output=True,
        )
        # The n-th dump holds what was counted up to the n-th mark.
        lots = [_total(Path(f"{out}.{mark + 1}")) for mark in range(MARKS * len(names))]
    counted = {}
    for index, name in enumerate(names):
        _, first, second = lots[MARKS * index : MARKS * (index + 1)]
        counted[name] = (second - first) / (N2 - N1) / 1000
    return counted


def _total(dump: Path) -> int:
    """Return the instructions that a dump accounts for, from its last lines."""
    line = next(line for line in dump.read_text().splitlines() if line.startswith("totals:"))
    return int(line.split()[1])


class SteadyLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock moves when it is set."""

    now = 1000.0

    def time(self) -> float:
        """Return what was set."""
        return self.now


def run_steadily(make_call: Callable[[], Callable[[], Awaitable[object]]]) -> None:
    """Make both lots of calls, in the child; the call is made on the loop that it runs on."""
    with asyncio.Runner(loop_factory=SteadyLoop) as runner:
        runner.run(_lots(make_call))


async def _lots(make_call: Callable[[], Callable[[], Awaitable[object]]]) -> None:
    call, loop = make_call(), asyncio.get_running_loop()
    assert isinstance(loop, SteadyLoop)
    for lot in (WARM_UP, N1, N2):
        for _ in range(lot):
            loop.now += EACH
            await call()
        mark()


def mark() -> None:
    """Let callgrind write down what it counted since the last mark."""
    os.getpriority(os.PRIO_PROCESS, 0)
