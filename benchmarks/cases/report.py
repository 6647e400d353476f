"""What ``httpx-resilience report`` takes for a million JSON lines of some 600 bytes.

The log is made beforehand: calls at level debug, a tenth of them retried, one in a hundred open at
any time. The command is a program of its own, so that its memory is what the system gave it.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..harness.rounds import Effort, Report
from ..harness.rows import Row, absent
from ..harness.targets import OURS

NAME = "report"
_LINES = 1_000_000
_OPEN = 0.01
_BEGIN = 1795494159.0
_CHILD = """
import resource, sys
from httpx_resilience.cli import main
status = main(["report", sys.argv[1], "--json"])
own = resource.getrusage(resource.RUSAGE_SELF)
print(own.ru_utime + own.ru_stime, own.ru_maxrss / 1024, file=sys.stderr)
sys.exit(status)
"""
_PADDING = "x" * 180
"""What an application adds to its lines."""


def run(effort: Effort, report: Report) -> list[Row]:
    """Measure."""
    try:
        import resource  # noqa: F401 - the child needs it, and Windows has none
    except ImportError:
        return list(absent(NAME, "a million lines", [(OURS, "needs a Unix")]))
    count = effort.of(_LINES, least=_LINES // 50)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "app.log"
        with log.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(line) + "\n" for line in _lines(count))
        size = os.path.getsize(log) / count
        ran = subprocess.run(
            [sys.executable, "-c", _CHILD, str(log)], capture_output=True, text=True, check=True
        )
    seconds, peak = map(float, ran.stderr.split())
    counted = sum(json.loads(ran.stdout)["events"].values())
    note = f"{counted:,} lines of {size:.0f} bytes"
    return [
        _row("time", seconds * _LINES / count, "s", note),
        _row("memory", peak, "MB", note),
    ]


def _row(what: str, value: float, unit: str, note: str) -> Row:
    what = f"a million lines: {what}"
    return Row(benchmark=NAME, what=what, contender=OURS, value=value, unit=unit, note=note)


def _lines(count: int) -> Iterator[dict[str, Any]]:
    """Yield the lines of calls that overlap, ``count`` of them."""
    numbers, is_open = random.Random(1), deque[str]()
    for at in range(count // 2):
        now, call = _BEGIN + at / 100, f"{numbers.getrandbits(128):032x}"
        if len(is_open) > _OPEN * count:
            yield _line("recovered", is_open.popleft(), now, attempt=2, status=200, budget=3.0)
        elif numbers.random() < 0.1:
            is_open.append(call)
            failed = {"status": 503, "code": "service_unavailable", "error_class": "transient"}
            delay = {"delay": 0.2, "delay_source": "backoff", "time_left": 100.0, "budget": 3.0}
            yield _line("retry_scheduled", call, now, attempt=1, **failed, **delay)
            continue
        left = {"rate_limit": 600, "rate_remaining": numbers.randrange(600), "rate_reset_in": 3.0}
        yield _line("attempt_finished", call, now, attempt=1, status=200, duration=0.1, **left)
        yield _line("call_finished", call, now, attempt=1, status=200, reason="success")


def _line(event: str, call: str, at: float, **fields: Any) -> dict[str, Any]:
    about = {
        "timestamp": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"),
        "schema": 1,
        "level": "info",
        "origin": "https://vault.example:8443",
        "call_id": call,
        "method": "GET",
        "path": f"/v1/secrets/app/{int(call, 16) % 300}",
        "max_attempts": 4,
        "elapsed": 0.2,
        "idempotent": True,
        "maybe_applied": False,
        "application": _PADDING,
    }
    return {"event": event, **about, **fields}
