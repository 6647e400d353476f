"""Instructions per request, counted by Valgrind: a figure that no busy machine disturbs.

One child process under callgrind sends N1 and then N2 requests by each contender and marks where
each lot ends; the difference, divided by N2 - N1, is the cost of one request without anything
that is done once. A mark is a call of ``getpriority``, which nothing else here calls and before
which callgrind writes down what it counted since the last (``--dump-before``); so one child does
for all contenders, and Python's start is paid for once. ``PYTHONHASHSEED=0``, collector off.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from ._contenders import BARE, bare, ours, parts_off, peers
from ._counted import MARKS, N1, N2
from ._rounds import Announce, Effort
from ._rows import Row, absent

NAME = "instructions"
WHAT = "transport"
ROOT = Path(__file__).parents[1]
TIME_LIMIT = 300.0


def run(effort: Effort, announce: Announce) -> list[Row]:
    """Count."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        return absent(NAME, WHAT, [("all", "valgrind is not installed")])
    others, missing = peers()
    field = [bare(), ours(), *others] + (parts_off() if effort.share >= 1 else [])
    names = [contender.name for contender in field]
    announce(f"{len(names)} contenders under valgrind, up to a minute")
    counted = _count(valgrind, names)
    return [*_rows(counted), *absent(NAME, WHAT, missing)]


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


def _count(valgrind: str, names: list[str]) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "callgrind"
        subprocess.run(
            [
                valgrind,
                "--tool=callgrind",
                "--dump-before=getpriority",
                f"--callgrind-out-file={out}",
                sys.executable,
                *("-m", "benchmarks._counted", *names),
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
