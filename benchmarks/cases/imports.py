"""What importing the package costs, and what it leaves behind before anybody calls it.

Each import is one of a fresh interpreter, in turns, with its bytecode compiled beforehand as an
installed package's is; the yardstick is to import httpx alone. Bytes are counted by tracemalloc.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import tracemalloc
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import httpx

from httpx_resilience import AsyncResilientTransport

from ..harness.rounds import Effort, Report, collector_off, in_turns
from ..harness.rows import Row, absent
from ..harness.targets import OURS
from ..servers.vault import InProcessVault

NAME = "imports"
ROOT = Path(__file__).parents[2]
YARDSTICK = "httpx"
_OURS = "httpx_resilience"
_MODULES = {
    YARDSTICK: "httpx",
    "httpx, structlog, anyio": "httpx, structlog, anyio",
    OURS: _OURS,
    "httpx-retries": "httpx_retries",
    "httpx-limiter": "httpx_limiter.aiolimiter",
    "stamina": "stamina",
    "httpx-tenacity": "httpx_tenacity",
    "httpx-hedged": "httpx_hedged",
}
_NO_BYTECODE = ("PYTHONDONTWRITEBYTECODE",)
_CHILD = """
import json, os, sys, threading, time
def held():
    fds = "/proc/self/fd"
    return threading.active_count(), len(os.listdir(fds)) if os.path.isdir(fds) else 0
before, begun = held(), time.process_time()
try:
    import {modules}
except ImportError as error:
    sys.exit("not installed: " + str(error.name))
seconds, after = time.process_time() - begun, held()
loop = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", lambda: None)()
print(json.dumps([seconds, after[0] - before[0], after[1] - before[1], loop is not None]))
"""


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    seen: dict[str, list[float]] = defaultdict(list)
    left: dict[str, list[int]] = {}
    absentees: dict[str, str] = {}
    with tempfile.TemporaryDirectory() as folder:
        env = {key: text for key, text in os.environ.items() if key not in _NO_BYTECODE}
        env["PYTHONPYCACHEPREFIX"] = folder
        for name in _MODULES:  # compiles
            _child(name, env)
        for name in in_turns(list(_MODULES), effort.of(11, least=1), report):
            if name in absentees:
                continue
            child = _child(name, env)
            if child.returncode != 0:
                absentees[name] = " ".join(child.stderr.split())[-100:] + " (extra bench)"
                continue
            seconds, *left[name] = json.loads(child.stdout)
            seen[name].append(seconds)
    return [
        *_import_rows(seen),
        *absent(NAME, "import", absentees.items()),
        *_left_rows(left[OURS]),
        *_idle_rows(),
    ]


def _child(name: str, env: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _CHILD.format(modules=_MODULES[name])],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=False,
        env=env,
    )


def _import_rows(seen: dict[str, list[float]]) -> list[Row]:
    base = statistics.median(seen[YARDSTICK])
    return [
        Row(
            benchmark=NAME,
            what="import",
            contender=name,
            value=statistics.median(own) * 1e3,
            unit="ms",
            ratio=statistics.median(own) / base,
        )
        for name, own in seen.items()
    ]


def _left_rows(left: list[int]) -> list[Row]:
    kinds = ("threads", "files, sockets", "event loops")
    return [
        Row(
            benchmark=NAME,
            what=f"left by the import: {kind}",
            contender=OURS,
            value=float(count),
            unit="",
        )
        for kind, count in zip(kinds, left, strict=True)
    ]


def _idle_rows() -> list[Row]:
    vault = InProcessVault()
    AsyncResilientTransport(vault)  # whatever is made once is made, and imported
    httpx.AsyncHTTPTransport(verify=False)
    plain = _bytes_of(lambda: httpx.AsyncHTTPTransport(verify=False))
    own = _bytes_of(lambda: AsyncResilientTransport(vault))
    what = "an idle transport"
    return [
        Row(benchmark=NAME, what=what, contender="AsyncHTTPTransport", value=plain, unit="B"),
        Row(benchmark=NAME, what=what, contender=OURS, value=own, unit="B", ratio=own / plain),
    ]


def _bytes_of(make: Callable[[], object]) -> float:
    many = 100
    with collector_off():
        tracemalloc.start()
        try:
            made = [make() for _ in range(many)]
            total = tracemalloc.get_traced_memory()[0] - sys.getsizeof(made)
        finally:
            tracemalloc.stop()
    return total / len(made)
