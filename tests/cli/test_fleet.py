"""``demo --scenario fleet``: what it shows, what it does without a store, and what it leaves."""

import re
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from httpx_resilience import Listener
from httpx_resilience.cli import _fleet, _fleet_processes, _fleet_store
from httpx_resilience.cli._chart import BLOCKS
from httpx_resilience.cli._fleet import JOB, trials
from httpx_resilience.cli._fleet_process import PATH, Assignment
from httpx_resilience.cli._fleet_processes import Report
from httpx_resilience.cli._fleet_trials import FleetTrial
from httpx_resilience.testing import Limit, SeenRequest
from support.commands import Ran, Run, captured, cells

pytest_plugins = ["support.command_fixtures"]

SMALL = replace(JOB, processes=2, tasks=1, seconds=0.2, limit=Limit(12, per=60.0))
"""As what ships, but soon over."""

ENGINE = "/nowhere/valkey-server"
STORE = "redis://127.0.0.1:1"

# With members that make a few calls from this process, and no store.


class Member:
    """Sends some requests at once, whatever the limit."""

    def __init__(self, ending: str = "200") -> None:
        self._ending = ending
        self.assignments: list[Assignment] = []

    async def do(self, job: Assignment, listeners: Sequence[Listener]) -> Report | None:
        self.assignments.append(job)
        calls = {"no store": 10, "peers=2": 6, "with a store": 5}[way_of(job)]
        calls += 2 if job.name == "p1" and job.store else 0
        transport = httpx.AsyncHTTPTransport()
        async with httpx.AsyncClient(transport=transport, base_url=job.url) as client:
            for number in range(calls):
                headers = {
                    "X-Request-ID": f"{job.name}-0-{number}",
                    "Authorization": f"Bearer {job.token}",
                }
                await client.get(PATH, headers=headers)
        return Report({self._ending: calls}, asks=2 if job.store else 0)


def way_of(job: Assignment) -> str:
    return (
        "with a store" if job.store else "no store" if job.peers is None else f"peers={job.peers}"
    )


def stub(
    patch: pytest.MonkeyPatch, members: Sequence[Member] = (), engine: str | None = ENGINE
) -> list[Member]:
    found = list(members) or [Member(), Member()]

    @asynccontextmanager
    async def started(count: int) -> AsyncIterator[list[Member]]:
        assert count == SMALL.processes
        yield found

    @asynccontextmanager
    async def serve_store(path: str) -> AsyncIterator[str]:
        assert path == ENGINE
        yield STORE

    patch.setattr(_fleet, "JOB", SMALL)
    patch.setattr(_fleet, "started", started)
    patch.setattr(_fleet, "find_server", lambda: engine)
    patch.setattr(_fleet, "has_client", lambda: True)
    patch.setattr(_fleet, "serve_store", serve_store)
    return found


@pytest.fixture(scope="module")
def shown() -> Ran:
    with pytest.MonkeyPatch.context() as patch:
        stub(patch)
        return captured("demo", "--scenario", "fleet")


def test_the_three_ways_stand_side_by_side(shown: Ran) -> None:
    assert (shown.err, shown.status) == ("", 0)
    head = shown.out.split("\n\n")[1].splitlines()[0]
    assert re.split(r"\s{2,}", head.strip()) == ["no store", "peers=2", "with a store"]
    assert cells(shown, "requests sent") == ["20", "12", "12"]
    assert cells(shown, "429s answered") == ["8", "0", "0"]
    assert cells(shown, "requests served") == ["12", "12", "12"]
    assert cells(shown, "of the 12 allowed") == ["100%", "100%", "100%"]
    assert cells(shown, "calls that failed") == ["0", "0", "0"]
    assert "With a store, 0 of 12 requests were refused" in shown.out
    assert "of each other, 8 of 20" in shown.out


def test_shares_are_what_the_vault_served_to_each_process(shown: Ran) -> None:
    assert cells(shown, "slowest process / equal share")[1:] == ["1.00", "0.83"]  # 5 of 5 + 7
    # Four asks of two processes in a fifth of a second.
    assert cells(shown, "store round trips a second, each") == ["-", "-", "10.0"]


def test_the_chart_shows_served_and_refused_apart(shown: Ran) -> None:
    chart = shown.out.partition("Requests per ")[2]
    assert re.search(rf"\nno store\n  served  .*[{BLOCKS}].*\n  429     .*[{BLOCKS}]", chart)
    assert re.search(rf"\nwith a store\n  served  .*[{BLOCKS}].*\n  429     none\n", chart)


def test_it_fits_eighty_columns_and_holds_no_escapes(shown: Ran) -> None:
    assert max(map(len, shown.out.splitlines())) <= 80
    assert "\x1b" not in shown.out


def test_all_processes_have_one_credential_and_one_secret_and_names_of_their_own(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = stub(monkeypatch)
    assert run("demo", "--scenario", "fleet").status == 0
    first, second = members[0].assignments, members[1].assignments
    assert [way_of(job) for job in first] == ["no store", "peers=2", "with a store"]
    assert [replace(job, name="p2") for job in first] == second
    assert {job.name for job in first} == {"p1"}
    assert first[2].store == STORE


@pytest.mark.parametrize(
    ("engine", "has_client", "reason"),
    [
        (None, True, "neither valkey-server nor redis-server was found; the extra store-tests "),
        (ENGINE, False, "no client for it is installed: pip install "),
    ],
)
def test_where_there_is_no_store_a_line_says_so_and_the_rest_runs(
    run: Run, monkeypatch: pytest.MonkeyPatch, engine: str | None, has_client: bool, reason: str
) -> None:
    stub(monkeypatch, engine=engine)
    monkeypatch.setattr(_fleet, "has_client", lambda: has_client)
    ran = run("demo", "--scenario", "fleet")
    assert ran.status == 0
    assert ran.complaint.startswith(f"without a store: {reason}")
    assert cells(ran, "requests sent") == ["20", "12"]
    assert "With peers=2, 0 of 12 requests were refused" in ran.out


def test_a_server_that_does_not_start_is_said_in_a_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    server = tmp_path / "redis-server"
    server.write_text("#!/bin/sh\nexit 1\n")
    server.chmod(0o755)
    stub(monkeypatch, engine=str(server))
    monkeypatch.setattr(_fleet, "serve_store", _fleet_store.serve_store)
    ran = run("demo", "--scenario", "fleet")
    assert ran.status == 0
    assert ran.complaint == f"without a store: {server}: it does not start"
    assert cells(ran, "requests sent") == ["20", "12"]


def test_refusals_and_failed_calls_with_a_store_end_in_status_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub(monkeypatch, [Member(), Member("429")])
    monkeypatch.setattr(_fleet, "JOB", replace(SMALL, limit=Limit(11, per=60.0)))
    ran = run("demo", "--scenario", "fleet")
    assert ran.status == 1
    assert ran.err == (
        "httpx-resilience: with a store, 5 calls failed; what came back: 7 x 200, 5 x 429\n"
        "httpx-resilience: with a store, 1 of 12 requests were answered 429\n"
    )


def test_a_process_that_ends_early_ends_in_status_one(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(Member):
        async def do(self, job: Assignment, listeners: Sequence[Listener]) -> Report | None:
            await super().do(job, listeners)
            return None if job.store else Report({}, 0)

    stub(monkeypatch, [Member(), Ended()])
    ran = run("demo", "--scenario", "fleet")
    assert (ran.status, ran.complaint) == (1, "with a store, p2 ended early")


def test_processes_that_cannot_be_started_are_one_line(
    run: Run, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    stub(monkeypatch, engine=None)
    monkeypatch.setattr(_fleet, "started", _fleet_processes.started)
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    ran = run("demo", "--scenario", "fleet")
    assert (ran.status, ran.out) == (1, "")
    assert ran.err.splitlines()[1].startswith("httpx-resilience: no process can be started: ")


def test_what_is_compared_is_what_ships() -> None:
    alone, peers, shared = trials(4, STORE)
    assert (alone.peers, alone.store) == (None, None)
    assert (peers.peers, peers.store) == (4, None)
    assert (shared.peers, shared.store) == (None, STORE)
    assert JOB.most == 500


def test_a_share_counts_what_was_served_and_not_what_was_refused() -> None:
    trial = FleetTrial("no store")
    for name, statuses in (("p1", (200, 200, 200)), ("p2", (200, 429, 429))):
        trial.requests += [
            SeenRequest(
                method="GET",
                path=PATH,
                identity="fleet",
                request_id=f"{name}-0",
                at=0.0,
                status=each,
            )
            for each in statuses
        ]
    assert trial.slowest(processes=2) == 0.5
    assert trial.served == 4


def test_who_was_served_nothing_has_no_share() -> None:
    assert FleetTrial("no store").slowest(processes=4) == 0.0
