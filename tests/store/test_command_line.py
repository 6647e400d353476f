"""``status`` and ``fetch --store``: a real server, and every way to name it wrongly."""

import json
import subprocess
import sys
from collections.abc import Iterator

import pytest

from httpx_resilience.testing import FakeScaiVault, Limit, serve_in_thread
from support.commands import PROGRAM, Run, captured
from support.stores import Server, any_engine, free_port, serving

pytest.importorskip("redis", reason="redis-py is not installed (extra `store-tests`)")
pytest_plugins = ["support.command_fixtures"]
pytestmark = [pytest.mark.long, pytest.mark.usefixtures("only_shipped_scripts")]

PASSWORD = "pa55word-of-the-store"
SECRET = "secret-of-the-processes"
NAMED = ("--namespace", "team")


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPX_RESILIENCE_STORE_SECRET", SECRET)
    monkeypatch.delenv("HTTPX_RESILIENCE_STORE", raising=False)


@pytest.fixture(scope="module")
def shared() -> Iterator[Server]:
    with serving(any_engine()) as server:
        yield server


@pytest.fixture(scope="module")
def vault() -> Iterator[str]:
    limits = {"read": Limit(1000)}
    with serve_in_thread(FakeScaiVault(anonymous=True, limits=limits)) as url:
        yield f"{url}/v1/secrets/app/db"


@pytest.mark.parametrize(("client", "sync"), [("httpx", ()), ("httpx2", ("--sync",))])
def test_fetch_shares_the_limit_by_the_store(
    run: Run, shared: Server, vault: str, sync: tuple[str, ...], client: str
) -> None:
    shared.command("FLUSHALL")
    ran = run("fetch", "--client", client, *sync, "--store", shared.url, *NAMED, vault)
    assert "status 404 (1 of 1)" in ran.err
    keys = shared.command("KEYS", "*")
    assert isinstance(keys, list)
    assert {key.rpartition(":")[2] for key in keys} == {"index", "lease"}
    assert all(key.startswith("hr1:{team") for key in keys)


@pytest.mark.parametrize("sync", [(), ("--sync",)])
def test_fetch_does_without_a_store_that_is_away(
    run: Run, vault: str, sync: tuple[str, ...]
) -> None:
    away = f"redis://127.0.0.1:{free_port()}"
    ran = run("fetch", *sync, "--store", away, *NAMED, vault)
    assert "status 404 (1 of 1)" in ran.err


@pytest.fixture(scope="module")
def used(vault: str) -> Iterator[Server]:
    """A store by which somebody has made three calls."""
    with serving(any_engine()) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPX_RESILIENCE_STORE_SECRET", SECRET)
        store = ("--store", server.url, *NAMED)
        assert captured("fetch", "-n", "3", "--dialect", "scaivault", *store, vault).out
        yield server


def test_status_shows_scopes_limits_and_processes(run: Run, used: Server) -> None:
    ran = run("status", "--store", used.url, *NAMED)
    assert (ran.status, ran.err) == (0, "")
    lines = ran.out.splitlines()
    assert lines[0].startswith("scope ")
    assert "\x1b" not in ran.out
    heads = [line for line in lines if line.startswith(("limit ", "process "))]
    assert [head.split()[0] for head in heads] == ["limit", "process"]
    assert all(len(line) <= 80 for line in lines)


def test_status_prints_one_json_object_for_each_scope(run: Run, used: Server) -> None:
    ran = run("status", "--store", used.url, *NAMED, "--json")
    (line,) = ran.out.splitlines()
    scope = json.loads(line)
    assert scope["limits"][0]["limit"] == 1000
    assert len(scope["holders"]) == 1
    assert scope["id"] in str(used.command("KEYS", "*"))


def test_status_of_a_namespace_that_nobody_uses_says_so(run: Run, shared: Server) -> None:
    ran = run("status", "--store", shared.url, "--namespace", "other")
    assert (ran.status, ran.out) == (0, "no scope of other was used within the last hour\n")
    assert run("status", "--store", shared.url, "--namespace", "other", "--json").out == ""


def test_the_store_may_be_named_by_the_environment(
    run: Run, shared: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPX_RESILIENCE_STORE", shared.url.replace("redis://", "valkey://"))
    assert run("status", "--namespace", "other").status == 0


def test_a_password_is_used_and_never_shown(run: Run) -> None:
    with serving(any_engine(), "--requirepass", PASSWORD) as server:
        url = server.url.replace("//", f"//:{PASSWORD}@")
        assert run("status", "--store", url, *NAMED).status == 0
        for wrong in (server.url, url.replace(PASSWORD, PASSWORD + "!")):
            ran = run("status", "--store", wrong, *NAMED)
            assert ran.status == 1
            assert PASSWORD not in ran.complaint


@pytest.mark.parametrize("cluster", [(), ("--cluster",)])
def test_a_store_that_is_away_is_one_line_and_status_1(run: Run, cluster: tuple[str, ...]) -> None:
    port = free_port()
    ran = run("status", "--store", f"redis://:{PASSWORD}@127.0.0.1:{port}", *NAMED, *cluster)
    assert ran.status == 1
    assert ran.complaint.startswith("the connection to the store failed")
    assert PASSWORD not in ran.err
    assert str(port) not in ran.err


@pytest.mark.parametrize("command", [("status",), ("fetch", "http://127.0.0.1:1")])
@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--namespace", "team"), "--store: missing"),
        (("--store", f"redis://:{PASSWORD}@h"), "--namespace: missing, it goes with --store"),
        (("--store", f"http://{PASSWORD}@h", *NAMED), "--store: allowed is redis://, rediss://"),
        (("--store", PASSWORD, *NAMED), "--store: allowed is redis://, rediss://"),
        (("--store", f"redis://:{PASSWORD}@h:x", *NAMED), "--store: it cannot be read as a URL"),
        (("--store", "redis://h", "--namespace", "a b"), "--namespace: got 'a b', allowed is 1 to"),
    ],
)
def test_what_cannot_be_used_is_one_line_and_status_2(
    run: Run, command: tuple[str, ...], options: tuple[str, ...], complaint: str
) -> None:
    ran = run(*command, *options)
    assert ran.status == 2
    assert ran.complaint.startswith(complaint)
    assert PASSWORD not in ran.err
    assert ran.out == ""


def test_fetch_needs_the_secret(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    options = ("fetch", "http://127.0.0.1:1", "--store", "redis://127.0.0.1:1", *NAMED)
    ran = run(*options, "--secret-env", "NO_SUCH_VARIABLE")
    assert (ran.status, ran.complaint) == (
        2,
        "--secret-env: there is no environment variable 'NO_SUCH_VARIABLE'",
    )
    monkeypatch.setenv("SHORT", "short")
    ran = run(*options, "--secret-env", "SHORT")
    assert ran.status == 2
    assert ran.complaint.startswith("--secret-env: got 5 bytes, allowed is ")


def test_a_missing_client_library_is_named_in_one_line() -> None:
    without = f"import sys; sys.modules['redis'] = None; {PROGRAM}"
    arguments = ["status", "--store", "redis://127.0.0.1:1", *NAMED]
    ran = subprocess.run(
        [sys.executable, "-c", without, *arguments], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 2
    (line,) = ran.stderr.splitlines()
    assert 'pip install "httpx-resilience[redis]"' in line
