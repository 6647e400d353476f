"""``report``: what is read from a log, whatever else it holds, and however it ends."""

import gzip
import io
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpx_resilience.cli.report import lines as reading
from httpx_resilience.cli.report.counts import Counts
from httpx_resilience.cli.report.lines import BrokenLogError, Found, records_of
from httpx_resilience.cli.report.page import page_of
from httpx_resilience.cli.report.result import result_of
from httpx_resilience.cli.report.selection import Selection
from support.commands import PROGRAM, Run, Start, ended
from support.report_logs import call_line, gave_up, line, retry

pytest_plugins = ["support.command_fixtures"]

GOOD = [retry("a"), call_line("recovered", "a", 1, attempt=2, status=200)]


def text_of(*lines: str) -> bytes:
    return "".join(f"{each}\n" for each in lines).encode()


def read(data: bytes, **options: Any) -> tuple[list[dict[str, Any]], Found]:
    found = Found()
    return list(records_of(io.BytesIO(data), found, **options)), found


def test_other_lines_are_skipped_and_counted() -> None:
    others = ["hello", '{"event": "started"}', "{broken", "[1]", '{"event": "gave_up"}', "", "   "]
    later = line("an_event_of_a_later_version")
    records, found = read(text_of(*others, GOOD[0], later))
    assert [each["event"] for each in records] == ["retry_scheduled"]
    assert (found.records, found.others, found.malformed) == (1, 6, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"delay": "soon"},
        {"delay": float("nan")},
        {"delay": float("inf")},
        {"attempt": True},
        {"attempt": 1e300},
        {"code": ["x"]},
        {"idempotent": "yes"},
        {"path": None},
        {"origin": 7},
    ],
)
def test_a_value_that_is_never_written_makes_a_line_malformed(wrong: dict[str, Any]) -> None:
    records, found = read(text_of(retry("a", **wrong)))
    assert records == []
    assert found.malformed == 1


def test_another_version_of_the_schema_is_not_understood() -> None:
    assert read(text_of(retry("a", schema=2)))[1].others == 1


def test_a_last_line_without_its_end_is_no_error() -> None:
    whole = text_of(*GOOD)
    records, found = read(whole[:-20])
    assert (len(records), found.unfinished, found.others) == (1, 1, 0)
    assert len(read(whole[:-1])[0]) == 2  # all of it but the line break


def test_gzip_is_read_and_one_that_is_cut_off_up_to_there() -> None:
    many = text_of(*(retry(f"{number:x}") for number in range(5000)))
    packed = gzip.compress(many)
    assert len(read(packed)[0]) == 5000
    cut, found = read(packed[: -len(packed) // 4])
    assert 0 < len(cut) < 5000
    assert found.malformed == 0


def test_gzip_that_is_damaged_or_a_bomb_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    noise = text_of(*(retry(f"{random.Random(each).getrandbits(128):x}") for each in range(2000)))
    packed = bytearray(gzip.compress(noise))
    packed[len(packed) // 2 : len(packed) // 2 + 40] = bytes(40)
    with pytest.raises(BrokenLogError, match="damaged"):
        read(bytes(packed))
    monkeypatch.setattr(reading, "FREE", 1 << 20)
    with pytest.raises(BrokenLogError, match="expands"):
        read(gzip.compress(bytes(8 << 20)))


def test_a_line_that_is_too_long_is_skipped_and_what_follows_is_read() -> None:
    long = b"x" * (3 * reading.PIECE)
    records, found = read(long + b"\n" + text_of(*GOOD))
    assert (len(records), found.too_long) == (2, 1)
    split = (reading.PIECE - 10) * b"x" + b'{"event": "not the begin of a line"}\n'
    assert read(b"y" * reading.PIECE + split + text_of(*GOOD))[1].others == 0
    assert read(b"x" * (reading.LONGEST_LINE + 1) + b"\n" + text_of(*GOOD))[1].too_long == 1


PAIRS = (
    "event=gave_up level=warning timestamp=2026-11-24T04:22:39+00:00 schema=1 origin=http://a "
    'call_id=1 method=GET path="/a b" attempt=2 max_attempts=4 elapsed=0.1 idempotent=true '
    "maybe_applied=false reason=permanent"
)
"""A line of the stdlib fallback."""


@pytest.mark.parametrize("before", ["", "WARNING:httpx_resilience:", "2026-11-24 host app[1]: "])
def test_pairs_are_read_as_the_stdlib_fallback_writes_them(before: str) -> None:
    plain, _ = read(text_of(before + PAIRS))
    wrapped, _ = read(text_of(json.dumps({"message": before + PAIRS, "level": "WARNING"})))
    for (record,) in (plain, wrapped):
        assert (record["path"], record["attempt"], record["maybe_applied"]) == ("/a b", 2, False)
        assert record["at"] == 1795494159.0


@pytest.mark.parametrize(
    ("key", "value", "at"),
    [
        ("timestamp", "2026-11-24T05:22:39+01:00", 1795494159.0),
        ("timestamp", "2026-11-24T04:22:39", 1795494159.0),
        ("ts", 1795494159, 1795494159.0),
        ("time", 1795494159377, 1795494159.377),
        ("time", "noon", None),
    ],
)
def test_the_time_of_a_line_may_have_other_names_and_shapes(
    key: str, value: object, at: float | None
) -> None:
    fields = {**json.loads(retry("a")), key: value}
    (record,), found = read(text_of(json.dumps(fields)), time_key=key)
    assert record["at"] == at
    assert found.untimed == (at is None)


def test_files_are_read_in_the_order_of_their_times(run: Run, tmp_path: Path) -> None:
    newest, oldest = tmp_path / "app.log", tmp_path / "app.log.1.gz"
    newest.write_bytes(text_of(GOOD[1]))
    oldest.write_bytes(gzip.compress(text_of(GOOD[0])))
    ran = run("report", str(newest), str(oldest), "--json")
    (slowest,) = json.loads(ran.out)["slowest_recoveries"]
    assert [step["event"] for step in slowest["steps"]] == ["retry_scheduled", "recovered"]


def test_a_pipe_is_read(start: Start) -> None:
    program = start("report", "-", "--json", stdin=subprocess.PIPE)
    assert program.stdin is not None
    program.stdin.write(text_of(*GOOD).decode())
    program.stdin.close()
    program.stdin = None
    out, err = ended(program)
    assert (program.returncode, err) == (0, "")
    assert json.loads(out)["events"] == {"retry_scheduled": 1, "recovered": 1}


def test_a_file_that_is_not_there_is_one_line_and_the_others_are_shown(
    run: Run, tmp_path: Path
) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(text_of(*GOOD))
    ran = run("report", str(tmp_path / "no.log"), str(log))
    assert ran.status == 1
    assert "no.log: No such file or directory" in ran.complaint
    assert "service_unavailable" in ran.out


@pytest.mark.parametrize("content", [b"", b"hello\n", bytes(1000), b"\x1f\x8b"])
def test_a_log_of_somebody_else_is_said_to_be_one(run: Run, tmp_path: Path, content: bytes) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(content)
    ran = run("report", str(log))
    assert (ran.status, ran.out) == (1, "")
    assert "no line of httpx-resilience" in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "--since: got 'yesterday', allowed is a time as in"),
        (("--until", "5 fortnights"), "--until: got '5 fortnights'"),
        (("--html", "/nowhere/page.html"), "--html: /nowhere/page.html: No such file"),
        ((), "Missing argument"),
    ],
)
def test_what_cannot_be_used_is_one_line(
    run: Run, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    log = tmp_path / "app.log"
    log.write_bytes(text_of(*GOOD))
    ran = run("report", *arguments, *((str(log),) if arguments else ()))
    assert ran.status in (1, 2)
    assert said in ran.complaint


_values = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.lists(st.integers())
)
_fields = st.dictionaries(
    st.sampled_from(["delay", "attempt", "path", "code", "reason", "status", "at", "timestamp"]),
    _values,
    max_size=4,
)


@given(st.lists(st.tuples(st.sampled_from([retry, gave_up]), _fields), max_size=6), st.binary())
def test_whatever_a_log_holds_a_report_can_be_made(
    made: list[tuple[Any, dict[str, Any]]], noise: bytes
) -> None:
    found, counts = Found(), Counts(Selection())
    data = (
        noise
        + b"\n"
        + text_of(*(json.dumps({**json.loads(of("a")), **fields}) for of, fields in made))
    )
    for record in records_of(io.BytesIO(data), found):
        counts.take(record)
    report = result_of(counts, found)
    assert found.records + found.malformed + found.others >= len(made)
    assert json.loads(json.dumps(report, allow_nan=False)) == json.loads(json.dumps(report))
    assert page_of(report).startswith("<!doctype html>")


@pytest.mark.long
def test_a_log_takes_the_memory_of_its_open_calls_alone(tmp_path: Path) -> None:
    peaks = []
    for size in (50_000, 400_000):
        log = tmp_path / f"{size}.log"
        with log.open("w", encoding="utf-8") as file:
            for number in range(size // 2):
                file.write(retry(f"{number:032x}", number / 100) + "\n")
                file.write(call_line("recovered", f"{number:032x}", number / 100, attempt=2) + "\n")
        peak = "import atexit, resource; atexit.register(lambda: print(resource.getrusage("
        peak += "resource.RUSAGE_SELF).ru_maxrss, file=sys.stderr))"
        ran = subprocess.run(
            [sys.executable, "-c", f"import sys; {peak}\n{PROGRAM}", "report", str(log)],
            capture_output=True,
            text=True,
            check=True,
        )
        assert f"{size} records" in ran.stdout
        peaks.append(int(ran.stderr))
    assert peaks[1] < peaks[0] + 8000  # kB
