"""The processes and the server of ``demo --scenario fleet``: what they do, and that they end."""

import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
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
from httpx_resilience.cli._fleet import JOB
from httpx_resilience.cli._fleet_process import PATH, Assignment
from httpx_resilience.cli._fleet_processes import Report
from httpx_resilience.testing import FakeScaiVault, Limit, serve_in_thread
from support.commands import Ran, Run, Start, cells, ended
from support.stores import any_engine

pytest_plugins = ["support.command_fixtures"]


def real_server() -> str:
    """Return the path of a server; skip the test where it, or a client for it, is missing."""
    server = any_engine().path
    if server is None or not _fleet_process.has_client():
        pytest.skip("neither coredis nor redis is installed (extra `redis`)")
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


@pytest.mark.long
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
    server = real_server()

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


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="finds processes in /proc")
def test_an_interrupted_run_leaves_no_process_behind(start: Start) -> None:
    real_server()
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
    real_server()
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
    real_server()
    monkeypatch.setattr(
        _fleet, "JOB", replace(JOB, processes=1, tasks=20, seconds=0.3, limit=Limit(12, per=60.0))
    )
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
