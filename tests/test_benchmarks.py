"""The benchmarks run, each at a glance: not what they measure, but that they measure.

The peers need not be there; who is missing is told in the table.
"""

import json
import shutil
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
NAMES = (
    "happy",
    "instructions",
    "retry",
    "queue",
    "loopback",
    "throttle",
    "growth",
    "imports",
)
COUNTED = "instructions"
"""Takes ten seconds at the least, for it starts Python under valgrind."""
LENGTHY = {COUNTED, "happy", "loopback", "throttle", "growth", "imports"}
"""Left to ``pytest -m soak``: they take seconds each, however little they are to do."""
TINY = 0.01


@pytest.fixture(autouse=True)
def _benchmarks_can_be_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    """They stand beside the tests and are not installed; so no import at the top of this file."""
    monkeypatch.syspath_prepend(ROOT)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    from benchmarks import _app

    monkeypatch.setattr(_app, "QUICK", TINY)
    monkeypatch.setenv("COLUMNS", "80")
    return _app


@cache
def rows_of(name: str) -> list[Any]:
    from benchmarks._registry import BENCHMARKS
    from benchmarks._rounds import Effort

    return list(BENCHMARKS[name].run(Effort(TINY), quiet))


def quiet(text: str) -> None:
    """Nobody watches the progress."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] * (name in LENGTHY)) for name in NAMES]
)
def test_a_benchmark_gives_rows_with_figures_of_ours(name: str) -> None:
    from benchmarks._targets import OURS

    if name == COUNTED and shutil.which("valgrind") is None:
        pytest.skip("needs valgrind")

    rows = rows_of(name)

    assert {row.benchmark for row in rows} == {name}
    own = [row for row in rows if row.contender.startswith(OURS)]
    assert own
    assert all(row.value is not None and row.value >= 0 for row in own if "added" not in row.unit)
    assert all(row.note for row in rows if row.value is None)


def test_without_valgrind_the_instructions_are_told_to_be_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from benchmarks import instructions
    from benchmarks._rounds import Effort

    monkeypatch.setenv("PATH", "")

    (row,) = instructions.run(Effort(TINY), quiet)

    assert (row.value, row.note) == (None, "valgrind is not installed")


def test_the_child_marks_the_beginning_and_the_end_of_each_lot(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from benchmarks import _counted

    marks: list[int] = []
    monkeypatch.setattr(_counted, "mark", lambda: marks.append(len(marks)))
    monkeypatch.setattr("gc.disable", lambda: None)

    _counted.main(["bare", "ours"])

    assert len(marks) == 2 * _counted.MARKS


@pytest.mark.soak
def test_every_target_is_of_a_figure_that_is_measured() -> None:
    from benchmarks._targets import TARGETS

    names = {name for name, _ in TARGETS} - {COUNTED, "throttle"}
    rows = [row for name in sorted(names) for row in rows_of(name)]

    measured = {(row.benchmark, row.what) for row in rows if row.verdict}
    assert measured == {key for key in TARGETS if key[0] in names}


@pytest.mark.soak
def test_a_peer_that_is_not_installed_is_told_in_the_table(
    app: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def gone(name: str) -> ModuleType:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("benchmarks._peers.import_module", gone)

    assert app.main(["retry", "--quick"]) == 0

    assert "stamina: stamina not installed (extra bench)" in capsys.readouterr().out


def test_json_holds_the_machine_the_rows_and_what_they_come_to(
    app: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(["retry", "--quick", "--json"]) == 0

    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert {"cpu", "cores", "python", "httpx"} <= document["machine"].keys()
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


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.name)
def test_a_benchmark_file_is_short(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 300
