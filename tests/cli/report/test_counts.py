"""``report``: what is counted, from which events, and what a log cannot say."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from httpx_resilience import Level
from httpx_resilience.cli.report import calls
from httpx_resilience.cli.report.bins import MOST, Bins
from httpx_resilience.cli.report.calls import OpenCalls
from support.commands import Run
from support.report_logs import BEGIN, ORIGIN, call_line, gave_up, line, of_a_vault, retry

pytest_plugins = ["support.command_fixtures"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "app.log"


def report(run: Run, log: Path, lines: Sequence[str], *arguments: str) -> dict[str, Any]:
    log.write_text("".join(f"{each}\n" for each in lines), encoding="utf-8")
    ran = run("report", str(log), "--json", *arguments)
    assert (ran.status, ran.err) == (0, "")
    made: dict[str, Any] = json.loads(ran.out)
    return made


@pytest.mark.parametrize(
    ("level", "source"), [(Level.DEBUG, "call_finished"), (Level.INFO, "traffic_summary")]
)
def test_the_calls_of_a_vault(run: Run, log: Path, level: Level, source: str) -> None:
    made = report(run, log, of_a_vault(level))
    calls = made["calls"]
    assert calls["source"] == source
    seen = calls["calls"]
    # Debug has every call; the last summary comes a minute after the one before.
    assert seen == 100 if level is Level.DEBUG else 50 < seen < 100
    if level is Level.DEBUG:
        assert (calls["succeeded"], calls["attempts"]) == (97, 111)
        assert [place["calls"] for place in made["paths"]] == [100]
    assert sum(part["calls"] for part in made["over_time"]["parts"]) == seen
    failures = {each["what"]: each for each in made["failures"]}
    assert failures["service_unavailable"]["met"] == 10
    assert failures["service_unavailable"]["recovered"] == 10
    assert failures["access_denied"]["gave_up"] == {"permanent": 2}
    assert failures["internal_error"]["retried"] == 1
    assert failures["internal_error"]["gave_up"] == {"attempts_exhausted": 1}
    assert [each["what"] for each in made["needs_a_person"]] == ["internal_error", "access_denied"]
    assert made["needs_a_person"][0]["request_ids"]
    assert len(made["slowest_recoveries"]) == 10
    assert made["time_lost"]["backoff"]["backoff"] > 1.0


def test_warnings_alone_say_nothing_of_calls_and_recoveries(run: Run, log: Path) -> None:
    made = report(run, log, of_a_vault(Level.WARNING))
    assert made["calls"] is None
    assert made["slowest_recoveries"] is None
    assert made["time_lost"]["throttle"] is None
    assert {each["recovered"] for each in made["failures"]} == {None}
    assert sum(each["met"] for each in made["failures"]) == 14


def test_debug_for_a_while_counts_less_than_the_summaries(run: Run, log: Path) -> None:
    lines = [
        line(
            "traffic_summary",
            60,
            elapsed=60,
            calls=9,
            succeeded=8,
            attempts=12,
            retries=3,
            held=2.5,
        ),
        call_line("call_finished", "a", 61, reason="success"),
    ]
    made = report(run, log, lines)
    assert made["calls"]["source"] == "traffic_summary"
    assert (made["calls"]["calls"], made["calls"]["attempts"]) == (9, 12)
    assert made["time_lost"]["throttle"] == 2.5
    assert made["over_time"]["width"] == 60


def test_a_call_that_met_two_failures_recovered_from_both(run: Run, log: Path) -> None:
    lines = [
        retry("a", 0),
        retry("a", 1, attempt=2, code="rate_limited", error_class="rate_limited", status=429),
        call_line("recovered", "a", 2, attempt=3, status=200, elapsed=2.0),
    ]
    made = report(run, log, lines)
    assert {each["what"]: each["recovered"] for each in made["failures"]} == {
        "service_unavailable": 1,
        "rate_limited": 1,
    }
    (slowest,) = made["slowest_recoveries"]
    assert (slowest["elapsed"], slowest["attempts"]) == (2.0, 3)
    assert [step["event"] for step in slowest["steps"]] == ["retry_scheduled"] * 2 + ["recovered"]


def test_time_that_a_call_was_parked_is_no_backoff(run: Run, log: Path) -> None:
    parked = {"delay_source": "probe", "delay": 3.0, "parked": 2.5}
    lines = [
        retry("a", 0, **parked),
        # All that the call was ever parked, of which 2.5 s are counted.
        gave_up("a", 9, parked=6.0, reason="unavailable"),
    ]
    lost = report(run, log, lines)["time_lost"]
    assert lost["parking"] == 6.0
    assert lost["backoff"] == {"backoff": 0.5}


def test_a_request_that_a_hook_sends_is_a_retry(run: Run, log: Path) -> None:
    failed: dict[str, Any] = {"status": 409, "code": "version_conflict", "error_class": "conflict"}
    lines = [
        call_line("recovery_hook", "a", outcome="request", **failed),
        call_line("recovered", "a", 1, attempt=2, status=200),
        call_line("recovery_hook", "b", outcome="stopped", **failed),
        gave_up("b", 2, reason="permanent", **failed),
    ]
    (conflict,) = report(run, log, lines)["failures"]
    assert (conflict["met"], conflict["retried"], conflict["recovered"]) == (2, 1, 1)
    assert conflict["gave_up"] == {"permanent": 1}


def test_how_near_to_zero_a_rate_limit_came(run: Run, log: Path) -> None:
    observed = {"scope": "read", "rate_limit": 100}
    lines = [
        line("rate_limit_observed", 0, **observed, rate_remaining=40),
        line("rate_limit_observed", 1, **observed, rate_remaining=3),
        # Of a scope's two limits the one counts that is nearer to its end.
        line("rate_limit_observed", 2, scope="read", rate_limit=10, rate_remaining=1),
        line("rate_limit_observed", 90, **observed, rate_remaining=99),
        line("throttle_held", 3, scope="read", reason="exhausted", queued=4),
        line("throttle_released", 5, scope="read", reason="exhausted", elapsed=2.0),
    ]
    made = report(run, log, lines)
    (limit,) = made["rate_limits"]
    assert (limit["limit"], limit["least_remaining"], limit["least_share"]) == (100, 3, 0.03)
    assert limit["at"] == BEGIN + 1
    assert (limit["holds"], limit["held"]) == ({"exhausted": 1}, 2.0)
    left = [part["rate_limit_left"] for part in made["over_time"]["parts"]]
    assert [each for each in left if each is not None] == [0.4, 0.03, 0.1, 0.99]


def test_what_is_left_where_only_summaries_say_so(run: Run, log: Path) -> None:
    summary = {"elapsed": 60, "calls": 9, "succeeded": 9, "attempts": 9, "retries": 0, "held": 0}
    lines = [line("traffic_summary", at, **summary, rate_remaining=at) for at in (70, 60, 90)]
    (limit,) = report(run, log, lines)["rate_limits"]
    assert (limit["scope"], limit["least_remaining"], limit["limit"]) == ("(origin)", 60, None)


def test_outages_that_ended_and_one_that_did_not(run: Run, log: Path) -> None:
    away = {"reason": "failing", "failures": 5, "elapsed": 1.0, "queued": 3}
    lines = [
        line("origin_unavailable", 0, **away),
        line("origin_recovered", 8, elapsed=9.0, queued=2, released=1),
        line("origin_unavailable", 50, **away),
        line("store_lost", 51, reason="timeout", processes=4, advice="Look at the store."),
    ]
    made = report(run, log, lines)
    assert [(each["what"], each["elapsed"]) for each in made["outages"]] == [
        ("origin", 9.0),
        ("origin", None),
        ("store", None),
    ]
    assert [each["kind"] for each in made["needs_a_person"]] == [
        "origin still unavailable",
        "store still away",
    ]


@pytest.mark.parametrize(
    ("fields", "kind"),
    [
        ({"escalated": True}, "internal error of the server"),
        ({"maybe_applied": True}, "write that may have been done"),
        ({"status": 401, "error_class": "permanent", "code": "x"}, "token refused"),
        ({"code": "token_revoked", "error_class": "permanent", "status": 403}, "token refused"),
        ({"code": "insufficient_quota", "error_class": "permanent"}, "quota used up"),
        ({"code": "gone", "error_class": "permanent", "advice": "Do x."}, "permanent error"),
        ({"code": "gone", "error_class": "permanent"}, None),
        ({"code": "service_unavailable", "error_class": "transient"}, None),
    ],
)
def test_what_needs_a_person(run: Run, log: Path, fields: dict[str, Any], kind: str | None) -> None:
    lines = [gave_up("a", **fields, request_id="req_1"), gave_up("b", 1, **fields)]
    found = report(run, log, lines)["needs_a_person"]
    assert [each["kind"] for each in found] == ([kind] if kind else [])
    if found:
        assert (found[0]["count"], found[0]["request_ids"]) == (2, ["req_1"])
        assert (found[0]["first"], found[0]["last"]) == (BEGIN, BEGIN + 1)


@pytest.mark.parametrize(
    ("arguments", "met"),
    [
        (("--since", "2026-11-24T04:22:40Z"), 2),
        (("--until", "2026-11-24T04:22:40Z"), 1),
        (("--since", f"{BEGIN + 1}", "--until", f"{BEGIN + 2}"), 1),
        (("--code", "internal_error"), 1),
        (("--code", "503"), 2),
        (("--call", "b"), 1),
        (("--origin", ORIGIN), 3),
        (("--origin", "vault.example"), 3),
        (("--origin", "other.example"), 0),
    ],
)
def test_only_what_was_asked_for(run: Run, log: Path, arguments: tuple[str, ...], met: int) -> None:
    lines = [retry("a", 0), retry("b", 1), gave_up("c", 2)]
    made = report(run, log, lines, *arguments)
    assert sum(each["met"] for each in made["failures"]) == met


def test_a_call_that_met_the_code_is_followed_to_its_end(run: Run, log: Path) -> None:
    lines = [
        retry("a", 0),
        retry("b", 0, code="rate_limited", status=429),
        call_line("recovered", "a", 1, attempt=2, status=200, elapsed=1.0),
        call_line("recovered", "b", 1, attempt=2, status=200, elapsed=9.0),
    ]
    made = report(run, log, lines, "--code", "service_unavailable")
    assert [each["call_id"] for each in made["slowest_recoveries"]] == ["a"]
    assert made["events"] == {"retry_scheduled": 1, "recovered": 1}


def test_open_calls_beyond_the_most_are_forgotten_and_counted(
    run: Run, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(OpenCalls.__init__, "__defaults__", (2,))
    lines = [
        *(retry(call, at) for at, call in enumerate("abac")),
        *(call_line("recovered", call, 9, attempt=2, status=200, elapsed=1.0) for call in "abc"),
    ]
    made = report(run, log, lines)
    assert made["forgotten_calls"] == 1
    (failure,) = made["failures"]
    assert (failure["met"], failure["recovered"]) == (4, 2)
    steps = {each["call_id"]: len(each["steps"]) for each in made["slowest_recoveries"]}
    assert steps == {"a": 3, "b": 1, "c": 2}  # a was heard of after b


def test_the_slowest_recoveries_are_kept(run: Run, log: Path) -> None:
    lines = [
        call_line("recovered", f"{number}", attempt=2, status=200, elapsed=float(number % 17))
        for number in range(17)
    ]
    slowest = report(run, log, lines)["slowest_recoveries"]
    assert [each["elapsed"] for each in slowest] == [float(number) for number in range(16, 6, -1)]


def test_timelines_are_as_long_as_they_may_be(run: Run, log: Path) -> None:
    lines = [retry("a", at, attempt=at + 1) for at in range(calls.MOST_STEPS + 5)]
    lines.append(call_line("recovered", "a", 99, attempt=40, status=200))
    (slowest,) = report(run, log, lines)["slowest_recoveries"]
    assert (len(slowest["steps"]), slowest["cut"]) == (calls.MOST_STEPS, 6)


def test_parts_of_time_never_become_many() -> None:
    bins = Bins()
    for at in range(0, 90 * 86_400, 1000):
        bins.at(BEGIN + at).calls += 1
    bins.at(BEGIN - 86_400).calls += 1
    parts = list(bins.parts())
    assert len(parts) <= MOST
    assert sum(part.calls for _, part in parts) == 7777
    assert bins.width == 86_400
    assert all(start % bins.width == 0 for start, _ in parts)
