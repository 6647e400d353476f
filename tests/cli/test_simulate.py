"""``simulate``: one's own policy on servers in trouble."""

import json
from dataclasses import fields
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from httpx_resilience import (
    Backoff,
    BudgetPolicy,
    ErrorClass,
    ParkPolicy,
    Policy,
    RetryPolicy,
    ThrottlePolicy,
)
from httpx_resilience.cli.simulate.policies import from_toml
from httpx_resilience.cli.simulate.run import NONE, PLAIN, play
from httpx_resilience.cli.simulate.scenarios import SCENARIOS
from support.commands import Run
from support.tables import DOCS

pytest_plugins = ["support.command_fixtures"]

OWN_BACKOFF = Backoff(
    initial=0.2, maximum=3.0, multiplier=1.5, jitter="full", max_attempts=2, cost=0.5
)
FAULTS = ("outage", "blip", "brown-out", "stall")


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_default_policy_loses_less_than_plain_retries(scenario: str) -> None:
    seen = {
        name: play(SCENARIOS[scenario], name, policy, 1)
        for name, policy in (("ours", Policy()), (NONE, None), (PLAIN, None))
    }
    assert seen["ours"].calls == seen[NONE].calls == seen[PLAIN].calls
    assert seen[NONE].attempts == 1.0
    assert seen[NONE].success < 1.0
    assert seen["ours"].success >= max(0.99, seen[PLAIN].success - 0.01)
    assert seen["ours"].attempts <= seen[PLAIN].attempts + 0.05
    assert (seen["ours"].recovered_after is None) == (scenario not in FAULTS)


def test_a_seed_decides_everything() -> None:
    scenario = SCENARIOS["brown-out"]
    first, again, other = (play(scenario, PLAIN, None, seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


def test_what_happens_follows_from_the_policy() -> None:
    scenario = SCENARIOS["outage"]
    hasty = Policy(retry=RetryPolicy(max_attempts=1), park=None)
    assert play(scenario, "hasty", hasty, 1).attempts == 1.0
    patient = play(scenario, "patient", Policy(), 1)
    assert patient.success == 1.0
    assert patient.p99 is not None
    assert patient.p99 > 5.0


def test_the_table_and_json_say_the_same(run: Run) -> None:
    ran = run("simulate", "--scenario", "blip", "--json")
    made = [json.loads(line) for line in ran.out.splitlines()]
    assert [each["client"] for each in made] == ["default policy", NONE, PLAIN]
    table = run("simulate", "--scenario", "blip").out
    assert max(map(len, table.splitlines())) <= 80
    for each in made:
        row = next(line for line in table.splitlines() if line.startswith(each["client"]))
        assert f"{100 * each['success']:.1f} %" in row
        assert f"{each['p99']:.2f} s" in row


def test_a_plot_is_drawn(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "policy.svg"
    arguments = ("--scenario", "blip", "--scenario", "rate-limit")
    assert run("simulate", *arguments, "--plot", str(path)).status == 0
    svg = ET.parse(path)
    said = [each.text or "" for each in svg.iter("{http://www.w3.org/2000/svg}title")]
    assert len(said) == 2 * 3 * 2
    assert "rate-limit, default policy: 100.0 %" in said
    ran = run("simulate", *arguments, "--plot", str(tmp_path / "no" / "policy.svg"))
    assert ran.status == 2
    assert "No such file or directory" in ran.err


@pytest.mark.long
def test_the_plot_in_the_documentation_is_what_the_command_draws(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "simulate.svg"
    assert run("simulate", "--plot", str(path)).status == 0
    assert (DOCS / "simulate.svg").read_text(encoding="utf-8") == path.read_text(encoding="utf-8")


def test_a_toml_file_may_set_everything(run: Run, tmp_path: Path) -> None:
    policy = Policy(
        retry=RetryPolicy(
            max_attempts=6,
            retry_for=30.0,
            deadline=9.0,
            max_retry_after=5.0,
            retry_non_idempotent=True,
            backoff={ErrorClass.TRANSIENT: OWN_BACKOFF},
        ),
        budget=BudgetPolicy(ratio=0.2, window=30.0, floor=5.0, maximum=50.0, heal_after=9.0),
        throttle=ThrottlePolicy(
            reserve=2, low_below=0.2, max_wait=9.0, max_queue=7, window=3.0, concurrency=8
        ),
        park=ParkPolicy(patience=3.0, ride_out=4.0, drain=5.0, max_parked=6, fail_fast_after=7.0),
        stop_layers_above=True,
    )
    assert from_toml(as_toml(policy)) == policy
    assert from_toml("") == Policy()
    off = from_toml("budget = false\nthrottle = false\npark = false")
    assert off == Policy(budget=None, throttle=None, park=None)
    learned = from_toml('throttle.concurrency = "auto"').throttle
    assert learned == ThrottlePolicy(concurrency="auto")
    path = tmp_path / "policy.toml"
    path.write_text("[retry]\nmax_attempts = 1\n[park]\npatience = 0.1", encoding="utf-8")
    ran = run("simulate", "--scenario", "blip", "--policy", str(path), "--json")
    assert json.loads(ran.out.splitlines()[0])["client"] == "your policy"


def as_toml(policy: Policy) -> str:
    lines = [f"stop_layers_above = {json.dumps(policy.stop_layers_above)}"]
    for part in ("retry", "budget", "throttle", "park"):
        value = getattr(policy, part)
        own = {each.name: getattr(value, each.name) for each in fields(value)}
        backoff = own.pop("backoff", {})
        lines += [f"[{part}]", *(f"{name} = {json.dumps(each)}" for name, each in own.items())]
        for error_class, each in backoff.items():
            lines.append(f"[retry.backoff.{error_class.value}]")
            settings = {one.name: getattr(each, one.name) for one in fields(each)}
            lines += [f"{k} = {json.dumps(v)}" for k, v in settings.items() if v is not None]
    return "\n".join(lines)


def test_a_policy_may_come_from_a_module(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "simulated_policies.py").write_text(
        "from httpx_resilience import Policy\nPOLICY = Policy(budget=None)\nOTHER = 7\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", __import__("sys").path.copy())
    ran = run("simulate", "--scenario", "blip", "--policy", "simulated_policies:POLICY", "--json")
    assert ran.status == 0
    ran = run("simulate", "--policy", "simulated_policies:OTHER")
    assert (ran.status, "it is of type int, allowed is a Policy" in ran.complaint) == (2, True)
    ran = run("simulate", "--policy", "simulated_policies:NONE")
    assert "cannot be imported: AttributeError" in ran.complaint


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("[retry]\nmax_atempts = 2", "retry.max_atempts: no such key, allowed are max_attempts"),
        ("[rety]", "rety: no such key, allowed are retry, budget"),
        ("[retry]\nmax_attempts = 0", "RetryPolicy.max_attempts: got 0"),
        ("[retry]\nmax_attempts = 'x'", "RetryPolicy.max_attempts: got 'x'"),
        ("retry = false", "retry: got False, allowed is a table"),
        ("budget = 3", "budget: got 3, allowed is a table or false"),
        ("[retry.backoff.transcient]", "retry.backoff.transcient: no such key"),
        ("[retry.backoff]\ntransient = 1", "retry.backoff.transient: got 1, allowed is a table"),
        ("[retry.backoff.transient]\nfirst = 1", "retry.backoff.transient.first: no such key"),
        ("retry", "Expected"),
    ],
)
def test_what_is_wrong_in_a_file_is_named(run: Run, tmp_path: Path, toml: str, said: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(toml, encoding="utf-8")
    ran = run("simulate", "--policy", str(path))
    assert ran.status == 2
    assert said in ran.complaint


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--policy", "policies.py"), "allowed are FILE.toml and module:attribute"),
        (("--policy", "/etc/passwd:x"), "allowed are FILE.toml and module:attribute"),
        (("--policy", "no.toml"), "cannot read it: No such file or directory"),
        (("--policy", "no_such_module:P"), "cannot be imported: ModuleNotFoundError"),
        (("--scenario", "outtage"), "did you mean 'outage'"),
    ],
)
def test_what_cannot_be_used_is_one_line(run: Run, arguments: tuple[Any, ...], said: str) -> None:
    ran = run("simulate", *arguments)
    assert (ran.status, ran.out) == (2, "")
    assert said in ran.complaint
