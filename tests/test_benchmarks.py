"""The benchmarks run, each at a glance: not what they measure, but that they measure.

The peers need not be there; the table names who is missing.
"""

import gc
import json
import shutil
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import pytest

ROOT = Path(__file__).parents[1]
NAMES = (
    "happy",
    "sync",
    "httpx2",
    "shapes",
    "costs",
    "store",
    "instructions",
    "retry",
    "queue",
    "threads",
    "loopback",
    "inflight",
    "throttle",
    "growth",
    "imports",
    "report",
)
COUNTED = "instructions"
"""Takes ten seconds at the least, for it starts Python under valgrind."""
LENGTHY = {COUNTED, "happy", "shapes", "loopback", "inflight", "throttle", "growth", "imports"}
LENGTHY |= {"report"}
"""Left to ``pytest -m soak``: they take seconds each, however little they are to do."""
TINY = 0.01


@pytest.fixture(autouse=True)
def _what_other_tests_left_is_not_collected_each_round() -> Iterator[None]:
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand beside the tests and are not installed; so no import at the top of this file."""
    monkeypatch.syspath_prepend(ROOT)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    from benchmarks import app

    monkeypatch.setattr(app, "QUICK", TINY)
    monkeypatch.setenv("COLUMNS", "80")
    return app


@cache
def rows_of(name: str) -> list[Any]:
    from benchmarks.cases.registry import BENCHMARKS
    from benchmarks.harness.rounds import Effort

    return list(BENCHMARKS[name].run(Effort(TINY), quiet))


def quiet(text: str) -> None:
    """Nobody watches the progress."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] * (name in LENGTHY)) for name in NAMES]
)
def test_a_benchmark_gives_rows_with_figures_of_ours(name: str) -> None:
    from benchmarks.harness.targets import OURS

    if name == COUNTED and shutil.which("valgrind") is None:
        pytest.skip("needs valgrind")

    rows = rows_of(name)

    assert {row.benchmark for row in rows} == {name}
    own = [row for row in rows if row.contender.startswith(OURS)]
    assert own
    assert all(row.value is not None and row.value >= 0 for row in own if "added" not in row.unit)
    assert all(row.note for row in rows if row.value is None)


def test_without_valgrind_the_table_says_that_the_instructions_are_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from benchmarks.cases import instructions
    from benchmarks.harness.rounds import Effort

    monkeypatch.setenv("PATH", "")

    (row,) = instructions.run(Effort(TINY), quiet)

    assert (row.value, row.note) == (None, "valgrind is not installed")


def test_without_httpx2_the_table_says_that_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    from benchmarks.cases import httpx2
    from benchmarks.harness.rounds import Effort

    monkeypatch.setitem(sys.modules, "httpx2", None)
    monkeypatch.delitem(sys.modules, "benchmarks.contenders.httpx2", raising=False)

    (row,) = httpx2.run(Effort(TINY), quiet)

    assert (row.value, row.note) == (None, "httpx2 not installed (extra bench)")


def test_the_child_marks_the_beginning_and_the_end_of_each_lot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from benchmarks.cases import instructions
    from benchmarks.harness import counting

    marks: list[int] = []
    monkeypatch.setattr(counting, "mark", lambda: marks.append(len(marks)))
    monkeypatch.setattr("gc.disable", lambda: None)

    instructions.send_by(["bare", "ours"])

    assert len(marks) == 2 * counting.MARKS


SHAPES = ("none", "epoch", "token bucket", "delta", "github", "structured", "llm")


@pytest.mark.parametrize("shape", SHAPES)
def test_a_shape_has_fifteen_fields_and_a_date_that_moves_once_a_second(shape: str) -> None:
    responses = shaped_responses(shape, calls=300)

    assert {len(each.headers.raw) for each in responses} == {15}
    assert len({each.headers["Date"] for each in responses}) in (3, 4, 5)


@pytest.mark.parametrize("shape", SHAPES[1:])
def test_what_remains_of_a_shape_goes_down_and_up_again_and_is_never_used_up(shape: str) -> None:
    responses = shaped_responses(shape, calls=1000)

    left = [remaining_of(each.headers) for each in responses]
    steps = [after - before for before, after in pairwise(left)]
    assert min(steps) < 0 < max(steps)
    assert min(left) > 0


def shaped_responses(shape: str, calls: int) -> list[httpx.Response]:
    from benchmarks.harness.virtual import run_virtual
    from benchmarks.servers.shapes import SHAPES, ShapedServer, intervals

    async def main() -> list[httpx.Response]:
        assert shape in SHAPES
        server, request = ShapedServer(shape), httpx.Request("GET", "https://api.example")
        server.stock(intervals(calls))
        return [await server.handle_async_request(request) for _ in range(calls)]

    return run_virtual(main())


def remaining_of(headers: httpx.Headers) -> int:
    if "RateLimit" in headers:
        return int(headers["RateLimit"].partition("r=")[2].partition(";")[0])
    return int(next(headers[name] for name in headers if "remaining" in name))


def test_every_shape_of_headers_is_measured_at_the_transport_and_in_the_client(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from benchmarks.cases.shapes import CLIENT, TRANSPORT
    from benchmarks.harness.targets import OURS

    monkeypatch.setattr("gc.collect", lambda: 0)  # takes long beside a suite's objects

    own = {(row.what, row.contender) for row in rows_of("shapes")}

    wanted = {(what, f"{OURS}, {shape}") for what in (TRANSPORT, CLIENT) for shape in SHAPES}
    assert wanted <= own


def test_the_processor_is_not_named() -> None:
    from benchmarks.harness.machine import machine

    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = {line.partition(":")[2].strip() for line in lines if line.startswith("model name")}

    facts = machine()

    assert "cpu" not in facts
    assert not names & set(facts.values())


@pytest.mark.soak
def test_every_target_is_of_a_figure_that_is_measured() -> None:
    from benchmarks.harness.targets import TARGETS, target_key

    names = {name for name, _ in TARGETS} - {COUNTED, "throttle"}
    rows = [row for name in sorted(names) for row in rows_of(name)]

    measured = {target_key(row.benchmark, row.what, row.contender) for row in rows if row.verdict}
    assert measured == {key for key in TARGETS if key[0] in names}


@pytest.mark.soak
def test_the_table_names_a_peer_that_is_not_installed(
    app: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("benchmarks.contenders.peers.import_module", gone)

    assert app.main(["retry", "--quick"]) == 0

    assert "stamina: stamina not installed (extra bench)" in capsys.readouterr().out


def test_json_holds_the_machine_the_rows_and_what_they_come_to(
    app: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["retry", "--quick", "--json"]) == 0

    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {"cores", "python", "httpx"} <= document["machine"].keys()
    row = next(row for row in document["rows"] if row["contender"] == "ours")
    assert row["target"]["reach"] == 35.0
    assert row["verdict"] in ("beaten", "reached", "missed")


@pytest.mark.soak
def test_bars_are_drawn_beside_the_table(
    app: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["retry", "--quick", "--plot"]) == 0

    out, err = capsys.readouterr()
    assert "█" in out
    assert "1/1 retry" in err


def test_the_list_has_every_benchmark(app: ModuleType, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--list"]) == 0

    assert tuple(line.split()[0] for line in capsys.readouterr().out.splitlines()) == NAMES


@pytest.mark.parametrize("arguments", [["hapy"], ["--nope"], ["happy", "nothing like it"]])
def test_what_cannot_be_run_is_one_line_on_stderr_and_exit_status_two(
    app: ModuleType, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert app.main(arguments) == 2

    out, err = capsys.readouterr()
    assert out == ""
    assert len(err.splitlines()) == 1
    assert err.startswith("benchmarks: ")


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").rglob("*.py")), ids=lambda p: p.name)
def test_a_benchmark_file_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
