"""``report`` as tables: plain, escaped, 80 columns wide; what is missing is said."""

from pathlib import Path
from typing import Any

import pytest

from httpx_resilience import Level
from httpx_resilience.cli.report.tables import NOT_IN_LOG
from support.commands import Ran, Run
from support.report_logs import call_line, gave_up, line, of_a_vault, retry

pytest_plugins = ["support.command_fixtures"]


def shown(run: Run, folder: Path, *lines: str) -> Ran:
    log = folder / "app.log"
    log.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
    return run("report", str(log))


def test_the_first_line_says_which_events_there_are(run: Run, tmp_path: Path) -> None:
    ran = shown(run, tmp_path, retry("a"), retry("b", 3600), "hello")
    first, second = ran.out.splitlines()[:2]
    assert first == "2 records: retry_scheduled 2; 2026-11-24 04:22:39 to 2026-11-24 05:22:39 UTC"
    assert second == "Lines not used: 1 of others."


@pytest.mark.parametrize("level", [Level.DEBUG, Level.INFO, Level.WARNING])
def test_what_the_log_cannot_say_is_said(run: Run, tmp_path: Path, level: Level) -> None:
    ran = shown(run, tmp_path, *of_a_vault(level))
    missing = ran.out.count(NOT_IN_LOG)
    assert missing == 0 if level < Level.WARNING else missing >= 4
    assert "internal_error" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80
    assert "\x1b" not in ran.out


def test_no_column_is_lost_at_80_columns(run: Run, tmp_path: Path) -> None:
    long: dict[str, Any] = {"code": "service_unavailable", "error_class": "rate_limited"}
    origin = "https://a-rather-long-name.of-a-host.example:8443"
    lines = [
        retry(f"{number:x}", path="/v1/secrets/production/database", origin=origin, **long)
        for number in range(100_000, 100_300)
    ]
    lines += [gave_up("a", origin=origin, **long), call_line("call_finished", "a", reason="x")]
    ran = shown(run, tmp_path, *lines)
    assert ran.out.count("gave up") == 3  # of failures, of origins, of paths
    assert "attempts_exhausted" in ran.out
    assert max(map(len, ran.out.splitlines())) <= 80


def test_log_text_is_neither_markup_nor_an_escape(run: Run, tmp_path: Path) -> None:
    evil = "\x1b[31m[red]x[/red]\x1b]0;title\x07\u202e"
    ran = shown(
        run,
        tmp_path,
        retry("a\x1b[2J", code=evil, path=f"/{evil}", origin=f"http://{evil}"),
        call_line("recovered", "a\x1b[2J", 1, attempt=2, status=200, path=f"/{evil}"),
        gave_up("b", code=evil, escalated=True, advice=evil, request_id=evil, reason=evil),
        line("throttle_held", scope=evil, reason=evil, queued=1, origin=evil),
        line("origin_unavailable", reason=evil, failures=1, elapsed=1, queued=0, origin=evil),
    )
    assert ran.status == 0
    assert ran.out.count("[red]") >= 8
    assert all(mark.isprintable() or mark == "\n" for mark in ran.out)


def test_a_ticket_has_its_request_ids(run: Run, tmp_path: Path) -> None:
    advice = "Open a support ticket with the request id."
    failed = {"escalated": True, "advice": advice}
    ran = shown(
        run, tmp_path, *(gave_up("a", at, request_id=f"req_{at}", **failed) for at in range(12))
    )
    assert "internal error of the server: internal_error, 12 times" in ran.out
    assert advice in ran.out
    assert "req_0, req_1" in ran.out
    assert "req_9" in ran.out
    assert "req_10" not in ran.out  # ten are enough for a ticket


def test_a_timeline_says_what_was_waited_for(run: Run, tmp_path: Path) -> None:
    ran = shown(
        run,
        tmp_path,
        retry("a", 0),
        call_line("recovered", "a", 1.5, attempt=2, status=200, elapsed=1.5),
    )
    words = " ".join(ran.out.split())
    assert "+0.000 s attempt 1: retry_scheduled service_unavailable, 0.5 s (backoff)" in words
    assert "+1.500 s attempt 2: recovered 200" in words


def test_long_tables_are_cut_and_say_so(run: Run, tmp_path: Path) -> None:
    ran = shown(run, tmp_path, *(gave_up("a", path=f"/{number}") for number in range(40)))
    assert "25 more: --json and --html have them" in " ".join(ran.out.split())
