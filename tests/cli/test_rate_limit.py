"""``demo --scenario rate-limit``: what it shows, and that it notices what is wrong."""

import json
import re
from dataclasses import replace

import httpx
import pytest

from httpx_resilience import AsyncResilientTransport, Policy
from httpx_resilience.cli import _rate_limit
from httpx_resilience.cli._chart import ASCII, BLOCKS, axis, bars, counts, step_for
from httpx_resilience.cli._rate_limit import JOB, least_seconds
from httpx_resilience.cli._trials import Trial
from httpx_resilience.testing import Limit
from support.commands import Ran, Run, captured, cells

pytest_plugins = ["support.command_fixtures"]

SMALL = replace(JOB, reads=45, writes=16)
"""As what ships, but for the number of calls."""

CALLS = 61
WAYS = ["bare httpx", "retries only", "with the throttle"]


@pytest.fixture(scope="module")
def shown() -> Ran:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_rate_limit, "JOB", SMALL)
        return captured("demo", "--scenario", "rate-limit")


def test_with_the_throttle_every_call_succeeds_and_no_429_comes(shown: Ran) -> None:
    assert (shown.err, shown.status) == ("", 0)
    assert cells(shown, f"of {CALLS} calls succeeded")[2] == f"{CALLS}"
    assert cells(shown, "429s answered")[2] == "0"
    assert cells(shown, "requests sent")[2] == f"{CALLS}"
    assert cells(shown, "requests per call")[2] == "1.00"
    assert f"all {CALLS} calls succeeded, and no request was refused" in shown.out


def test_the_three_ways_stand_side_by_side(shown: Ran) -> None:
    assert re.split(r"\s{2,}", shown.out.split("\n\n")[1].splitlines()[0].strip()) == WAYS
    refused, sent = cells(shown, "429s answered"), cells(shown, "requests sent")
    assert int(refused[0]) > 0
    assert int(refused[1]) > 0
    assert sent[0] == f"{CALLS}"
    assert int(sent[1]) > CALLS
    assert cells(shown, "time / physical minimum")[0] == "not done"


def test_nobody_is_faster_than_the_physical_minimum(shown: Ran) -> None:
    assert "The physical minimum is 1.2 s" in shown.out
    assert "reads   (45 - 30) / 15 a second = 1.0 s" in shown.out
    assert "writes  (16 - 10) / 5 a second = 1.2 s" in shown.out
    assert float(cells(shown, "time / physical minimum")[2]) >= 1.0


def test_the_chart_shows_served_and_refused_apart(shown: Ran) -> None:
    chart = shown.out.partition("Requests per ")[2]
    for way in WAYS[:2]:
        assert re.search(rf"\n{way}\n  served  .*[{BLOCKS}].*\n  429     .*[{BLOCKS}]", chart)
    assert re.search(rf"\n{WAYS[2]}\n  served  .*[{BLOCKS}].*\n  429     none\n", chart)


def test_it_fits_eighty_columns_and_holds_no_escapes(shown: Ran) -> None:
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "\x1b" not in shown.out


TINY = replace(JOB, reads=6, writes=2, read_limit=Limit(4, per=1.0))


def test_json_prints_the_log_lines_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_rate_limit, "JOB", TINY)
    ran = run("demo", "--scenario", "rate-limit", "--json")
    assert (ran.err, ran.status) == ("", 0)
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert {"retry_scheduled", "throttle_held"} <= {line["event"] for line in lines}
    assert len({line["origin"] for line in lines}) == 2  # the bare client tells nothing


def test_refusals_and_failed_calls_are_told_and_end_in_status_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_rate_limit, "JOB", TINY)
    bare = Trial("with the throttle", lambda inner, _: inner)
    monkeypatch.setattr(_rate_limit, "trials", lambda: [bare])
    ran = run("demo", "--scenario", "rate-limit")
    assert ran.status == 1
    assert ran.err == (
        "httpx-resilience: with the throttle, 2 calls failed; what came back: "
        "4 x 200, 2 x 201, 2 x 429\n"
        "httpx-resilience: with the throttle, 2 requests were answered 429\n"
    )
    assert "did not go as it should" in ran.out


def test_what_is_compared_is_what_ships() -> None:
    bare, retries, whole = _rate_limit.trials()
    inner = httpx.AsyncHTTPTransport()
    assert bare.transport(inner, []) is inner
    built = [each.transport(inner, []) for each in (retries, whole)]
    policies = [each.policy for each in built if isinstance(each, AsyncResilientTransport)]
    assert policies == [Policy(throttle=None), Policy()]


def test_an_unknown_scenario_is_one_line(run: Run) -> None:
    ran = run("demo", "--scenario", "rate-limits")
    assert (ran.status, ran.out) == (2, "")
    assert ran.complaint == (
        "--scenario: got 'rate-limits', allowed is faults or rate-limit or outage or "
        "fleet (did you mean 'rate-limit'?)"
    )


def test_the_same_seed_gives_the_same_calls_in_the_same_order() -> None:
    assert JOB.in_order(3) == JOB.in_order(3)
    assert JOB.in_order(3) != JOB.in_order(4)
    assert len(JOB.in_order(3)) == JOB.calls


def test_the_physical_minimum_is_a_full_bucket_and_then_its_refill() -> None:
    assert least_seconds(10, Limit(10, per=2.0)) == 0.0
    assert least_seconds(4, Limit(10, per=2.0)) == 0.0
    assert least_seconds(15, Limit(10, per=2.0)) == 1.0
    assert JOB.least_seconds == 11.0


@pytest.mark.parametrize(
    ("seconds", "columns", "step"),
    [(0.0, 70, 0.1), (6.9, 70, 0.1), (7.0, 70, 0.2), (11.8, 70, 0.2), (14.0, 70, 0.5)],
)
def test_a_column_is_a_tenth_of_a_second_or_as_long_as_the_chart_needs(
    seconds: float, columns: int, step: float
) -> None:
    assert step_for(seconds, columns) == step
    assert len(counts([seconds], step)) <= columns


def test_an_hour_fits_too() -> None:
    assert len(counts([3600.0], step_for(3600.0, 20))) <= 20


def test_a_screen_without_blocks_gets_characters_it_knows() -> None:
    assert bars([0, 1, 64, 100], 100, ASCII) == " .#@"
    assert bars([], 1, ASCII) == ""


def test_labels_of_the_axis_stand_where_their_second_is_and_do_not_touch() -> None:
    assert axis(2.5, 0.2) == "0 s       2 s"
    assert axis(0.4, 0.1) == "0 s"
