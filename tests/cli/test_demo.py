"""``demo``: what it shows, what it prints for programs, and that it notices what is wrong."""

import json
from dataclasses import MISSING, fields
from typing import Any

import pytest

from httpx_resilience import ErrorClass, Event
from httpx_resilience._core.retry import decision
from httpx_resilience.cli import _scenario
from httpx_resilience.cli._scenario import SCENES, Ending, Scene, planned
from httpx_resilience.testing import Fault
from support.commands import Ran, Run, Start, ended

pytest_plugins = ["support.command_fixtures"]


@pytest.fixture(scope="module")
def shown(start: Start) -> Ran:
    program = start("demo")
    out, err = ended(program)
    return Ran(program.returncode, out, err)


def test_everything_ends_as_it_should(shown: Ran) -> None:
    assert (shown.err, shown.status) == ("", 0)
    assert "calls ended as they should" in shown.out


def test_the_tables_tell_of_every_class_and_every_reason(shown: Ran) -> None:
    out = shown.out
    for error_class in ErrorClass:
        assert f"\n{error_class.name} " in out
    waits = {decision.THROTTLE_TIMEOUT, decision.CLOSED, decision.UNAVAILABLE}
    unmet = {decision.SUCCESS, decision.VETOED} | waits  # this API vetoes nothing
    for reason in set(decision.REASONS) - unmet:
        assert f"\n{reason} " in out


def test_a_few_hundred_calls_take_few_attempts_more(shown: Ran) -> None:
    lines = shown.out.splitlines()
    head = next(i for i, line in enumerate(lines) if line.startswith("calls"))
    calls, succeeded, failed, attempts, per_call, seconds, _ = lines[head + 2].split()
    assert int(calls) == int(succeeded) + int(failed) > 300
    assert int(calls) < int(attempts) < 1.3 * int(calls)
    assert per_call == f"{int(attempts) / int(calls):.2f}"
    assert float(seconds) < 30


def test_five_log_lines_are_shown(shown: Ran) -> None:
    told = shown.out.partition("Five of its log lines")[2]
    assert told.count("event=") == 5
    for words in (
        "delay_source=retry_after",
        "event=recovered",
        "escalated=true",
        "reason=not_idempotent",
        "reason=retry_after_too_long",
    ):
        assert words in told


def test_it_fits_eighty_columns_and_holds_no_escapes(shown: Ran) -> None:
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "\x1b" not in shown.out


@pytest.mark.parametrize("more", [(), ("-v",)])
def test_json_lines_have_exactly_the_events_fields(
    run: Run, monkeypatch: pytest.MonkeyPatch, more: tuple[str, ...]
) -> None:
    few = {"remove", "missing", "asked-to-wait-an-hour", "crash-before-a-post", "crash-twice"}
    monkeypatch.setattr(_scenario, "SCENES", [s for s in SCENES if s.name in few])
    ran = run("demo", "--json", "--seed", "7", *more)
    assert (ran.err, ran.status) == ("", 0)
    kinds = {kind.name: kind for kind in every_kind(Event)}
    lines = [json.loads(line) for line in ran.out.splitlines()]
    told = {line["event"] for line in lines}
    assert {"retry_scheduled", "gave_up", "recovered"} <= told  # and what the throttle tells
    assert ("attempt_finished" in told) is bool(more)
    for line in lines:
        known = {"event", "level", "timestamp", "schema"}
        kind = fields(kinds[line["event"]])
        needed = known | {f.name for f in kind if f.default is MISSING}
        assert needed <= line.keys() <= known | {f.name for f in kind}
        assert None not in line.values()


def every_kind(kind: type[Event]) -> list[type[Event]]:
    """Return the kinds of event that are told."""
    below = [deeper for child in kind.__subclasses__() for deeper in every_kind(child)]
    return [kind, *below] if "name" in vars(kind) else below


def test_the_same_seed_gives_the_same_calls_in_the_same_order() -> None:
    assert planned(3) == planned(3)
    assert planned(3) != planned(4)
    assert sorted(c.path for c in planned(3)) == sorted(c.path for c in planned(4))


def test_the_scenes_have_names_of_their_own() -> None:
    assert len({scene.name for scene in SCENES}) == len(SCENES)


GOOD = Ending("success", "200")


@pytest.mark.parametrize(
    ("scene", "complaints"),
    [
        (
            Scene(name="s", ends=Ending("success", "418")),
            ["success (200) after 1 attempt instead of success (418) after 1 attempt"],
        ),
        (
            Scene(name="s", ends=GOOD, faults=(Fault.code("quota_exceeded"),)),
            ["permanent (429) after 1 attempt instead of success (200) after 1 attempt"],
        ),
        (
            Scene(name="s", ends=GOOD, faults=(Fault.code("internal_error"),)),
            ["success (200) after 2 attempts instead", "the server saw 2 attempts instead of 1"],
        ),
    ],
)
def test_a_call_that_ends_otherwise_is_told_and_ends_in_status_one(
    run: Run, monkeypatch: pytest.MonkeyPatch, scene: Scene, complaints: list[str]
) -> None:
    monkeypatch.setattr(_scenario, "SCENES", (scene,))
    ran = run("demo")
    assert ran.status == 1
    told: list[Any] = ran.err.splitlines()
    assert len(told) == len(complaints)
    for line, words in zip(told, complaints, strict=True):
        assert line.startswith("httpx-resilience: GET /v1/secrets/s/1: ")
        assert words in line
