"""``demo --scenario outage``: what it shows, and that it notices what is wrong."""

import json
import re
import signal
from dataclasses import replace

import httpx
import pytest

from httpx_resilience import AsyncResilientTransport, ErrorClass, Policy
from httpx_resilience.cli import _outage
from httpx_resilience.cli._chart import BLOCKS
from httpx_resilience.cli._outage import JOB, PLAIN
from httpx_resilience.cli._trials import Trial
from support.commands import Ran, Run, Start, captured, cells, ended

pytest_plugins = ["support.command_fixtures"]

SMALL = replace(JOB, reads=75, writes=25, tasks=8, pause=0.1, down_at=0.4, down_for=0.4)
"""As what ships, but sooner over."""

WAYS = ["bare httpx", "three retries", "httpx-resilience"]


@pytest.fixture(scope="module")
def shown() -> Ran:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_outage, "JOB", SMALL)
        return captured("demo", "--scenario", "outage")


def test_as_it_comes_no_call_is_lost(shown: Ran) -> None:
    assert (shown.err, shown.status) == ("", 0)
    assert cells(shown, "succeeded")[2] == f"{SMALL.calls}"
    assert cells(shown, "lost")[2] == "0"
    assert f"all {SMALL.calls} calls succeeded: none was lost" in shown.out


def test_the_three_ways_stand_side_by_side(shown: Ran) -> None:
    assert re.split(r"\s{2,}", shown.out.split("\n\n")[1].splitlines()[0].strip()) == WAYS
    assert cells(shown, "calls  ") == [f"{SMALL.calls}"] * 3
    assert int(cells(shown, "lost")[0]) > 0
    assert cells(shown, "attempts  ")[0] == f"{SMALL.calls}"


def test_calls_that_were_hit_wait_for_the_server_instead_of_asking_again(shown: Ran) -> None:
    hit = [int(cell) for cell in cells(shown, "calls that were hit")]
    per_hit = [float(cell) for cell in cells(shown, "attempts per call that was hit")]
    assert 0 < hit[2] < hit[0]
    assert per_hit[0] == 1.0
    assert 2.0 <= per_hit[2] < 2.5


def test_the_chart_shows_served_and_refused_apart(shown: Ran) -> None:
    chart = shown.out.partition("Requests per ")[2]
    for way in WAYS:
        assert re.search(rf"\n{way}\n  served  .*[{BLOCKS}].*\n  503     .*[{BLOCKS}]", chart)


def test_it_fits_eighty_columns_and_holds_no_escapes(shown: Ran) -> None:
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "\x1b" not in shown.out


TINY = replace(JOB, reads=18, writes=6, tasks=4, pause=0.1, down_at=0.2, down_for=0.3)


def test_json_prints_the_log_lines_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_outage, "JOB", TINY)
    ran = run("demo", "--scenario", "outage", "--json", "-v")
    assert (ran.err, ran.status) == ("", 0)
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert {"retry_parked", "recovered"} <= {line["event"] for line in lines}
    assert len({line["origin"] for line in lines}) == 2  # the bare client tells nothing


def test_lost_calls_are_told_and_end_in_status_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_outage, "JOB", TINY)
    bare = Trial("httpx-resilience", lambda inner, _: inner, refusal=503)
    monkeypatch.setattr(_outage, "trials", lambda: [bare])
    ran = run("demo", "--scenario", "outage")
    assert ran.status == 1
    lost = cells(ran, "lost")[0]
    assert re.fullmatch(
        rf"httpx-resilience, {lost} calls failed; what came back: .*\b{lost} x 503", ran.complaint
    )
    assert "calls were lost" in ran.out


def test_an_interrupted_run_says_how_far_it_was(start: Start) -> None:
    program = start("demo", "--scenario", "outage", "--json", "-v")
    assert program.stdout is not None
    program.stdout.readline()  # it is under way
    program.send_signal(signal.SIGINT)
    _, err = ended(program)
    assert program.returncode == 130
    assert re.fullmatch(r"httpx-resilience: interrupted; calls that had ended: \d+\n", err)


def test_what_is_compared_is_what_ships() -> None:
    bare, retries, whole = _outage.trials()
    inner = httpx.AsyncHTTPTransport()
    assert bare.transport(inner, []) is inner
    built = [each.transport(inner, []) for each in (retries, whole)]
    policies = [each.policy for each in built if isinstance(each, AsyncResilientTransport)]
    assert policies == [PLAIN, Policy()]


def test_plain_retries_are_three_and_each_call_makes_its_own() -> None:
    backoff = PLAIN.retry.backoff[ErrorClass.TRANSIENT]
    assert [backoff.delay(attempt, rand=1.0) for attempt in (1, 2, 3)] == [0.5, 1.0, 2.0]
    assert PLAIN.retry.max_attempts == 4
    assert (PLAIN.budget, PLAIN.throttle, PLAIN.park) == (None, None, None)


def test_the_same_seed_gives_the_same_calls_and_pauses() -> None:
    assert JOB.in_order(3) == JOB.in_order(3)
    assert JOB.in_order(3) != JOB.in_order(4)
    pauses = [call.pause for call in JOB.in_order(3)]
    assert all(0.0 <= pause < 2.0 * JOB.pause for pause in pauses)
    assert len(pauses) == JOB.calls
