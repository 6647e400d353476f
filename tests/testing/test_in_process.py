"""FakeScaiVault in process, for each library: the same answers for its two kinds of client."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from typing import Any

import pytest

import httpx_resilience.testing
import httpx_resilience.testing.httpx2
from httpx_resilience.testing import Fault, Limit, Where

SECRET = "/v1/secrets/app/db"
BASE = "http://vault"


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    return import_module(request.param)


@pytest.fixture
def vault(library: Any) -> Any:
    door = "" if library.__name__ == "httpx" else ".httpx2"
    kind = import_module(f"httpx_resilience.testing{door}").FakeScaiVault
    return kind(anonymous=True, limits={"read": Limit(1_000_000), "write": Limit(1_000_000)})


@pytest.fixture
def client(library: Any, vault: Any) -> Iterator[Any]:
    with library.Client(transport=vault.sync_transport(), base_url=BASE) as client:
        yield client


def serving_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "FakeScaiVault"]


def test_a_synchronous_client_writes_and_reads(library: Any, vault: Any, client: Any) -> None:
    written = client.put(SECRET, json={"value": "é"})
    read = client.get(SECRET)

    assert isinstance(read, library.Response)
    assert (written.status_code, read.json()["value"]) == (201, "é")
    assert read.headers["X-Request-ID"] == vault.log[1].request_id


def test_a_body_that_can_be_sent_once_is_sent(client: Any) -> None:
    assert client.put(SECRET, content=iter([b'{"value"', b": 1}"])).status_code == 201


@pytest.mark.anyio
async def test_the_transport_for_asynchronous_clients_is_of_the_vaults_library(
    library: Any, vault: Any
) -> None:
    vault.script(Fault.drop("reset"))
    transport = vault.transport()
    assert isinstance(transport, library.ASGITransport)
    async with library.AsyncClient(transport=transport, base_url=BASE) as client:
        with pytest.raises(library.ReadError):
            await client.get(SECRET)


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("before", "RemoteProtocolError"),
        ("within", "RemoteProtocolError"),
        ("after", "RemoteProtocolError"),
        ("reset", "ReadError"),
    ],
)
def test_a_dropped_connection_is_an_exception_of_the_clients_library(
    library: Any, vault: Any, client: Any, where: Where, error: str
) -> None:
    vault.script(Fault.drop(where))
    with pytest.raises(getattr(library, error)):
        client.put(SECRET, json={"value": 1})
    assert client.put(SECRET, json={"value": 1}).is_success


def test_what_comes_later_than_the_read_timeout_is_one(
    library: Any, vault: Any, client: Any
) -> None:
    vault.script(Fault.delay(3600.0))
    with pytest.raises(library.ReadTimeout):
        client.get(SECRET, timeout=0.02)
    assert client.get(SECRET).status_code == 404
    assert vault.log[0].status is None


def test_many_threads_are_served_at_once_and_lose_no_write(vault: Any, client: Any) -> None:
    vault.script(Fault.delay(0.05, times=16))

    def write(number: int) -> int:
        status: int = client.put(f"{SECRET}{number % 4}", json={"value": number}).status_code
        return status

    began = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(write, range(64)))

    assert (statuses.count(201), statuses.count(200)) == (4, 60)
    assert [client.get(f"{SECRET}{n}").json()["version"] for n in range(4)] == [16] * 4
    assert time.monotonic() - began < 0.5  # one after the other the delays take 0.8 s


def test_the_transports_of_a_vault_share_a_thread_that_ends_with_the_last_of_them(
    library: Any, vault: Any
) -> None:
    before = len(serving_threads())
    first, second = vault.sync_transport(), vault.sync_transport()
    assert len(serving_threads()) == before
    for transport in (first, second):
        transport.handle_request(library.Request("GET", BASE))
    assert len(serving_threads()) == before + 1
    first.close()
    first.close()
    assert second.handle_request(library.Request("GET", BASE)).status_code == 400
    second.close()
    assert len(serving_threads()) == before
    assert first.handle_request(library.Request("GET", BASE)).status_code == 400  # opens it again
    first.close()


def test_closing_ends_a_request_that_is_under_way(library: Any, vault: Any, client: Any) -> None:
    vault.script(Fault.delay(3600.0))
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(client.get, SECRET, timeout=None)
        while vault.pending:
            time.sleep(0.001)
        client.close()
        assert isinstance(call.exception(timeout=5.0), library.ReadError)


def test_importing_it_imports_neither_library_and_a_vault_only_its_own() -> None:
    program = (
        "import sys, {door} as door\n"
        "assert not {{'httpx', 'httpx2'}} & sys.modules.keys()\n"
        "transport = door.FakeScaiVault().sync_transport()\n"
        "request = transport.library.Request('GET', 'http://vault')\n"
        "print(transport.handle_request(request).status_code)\n"
        "print(*{{'httpx', 'httpx2'}} & sys.modules.keys())\n"
    )  # and is left open: the program ends nevertheless
    for library, door in {"httpx": "", "httpx2": ".httpx2"}.items():
        done = subprocess.run(
            [sys.executable, "-c", program.format(door=f"httpx_resilience.testing{door}")],
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
            env={**os.environ, "PYTHONWARNINGS": "error"},
        )
        assert (done.returncode, done.stdout, done.stderr) == (0, f"401\n{library}\n", "")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_the_child_of_a_fork_has_a_thread_of_its_own() -> None:
    program = (
        "import os, httpx\n"
        "from httpx_resilience.testing import FakeScaiVault\n"
        "client = httpx.Client(transport=FakeScaiVault(anonymous=True).sync_transport())\n"
        "assert client.get('http://vault/v1/secrets').is_success\n"
        "if child := os.fork():\n"
        "    assert os.waitpid(child, 0)[1] == 0\n"
        "assert client.get('http://vault/v1/secrets').is_success\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)


def test_both_doors_have_the_same_names() -> None:
    doors = httpx_resilience.testing, httpx_resilience.testing.httpx2
    assert doors[0].__all__ == doors[1].__all__
    shared = set(doors[0].__all__) - {"FakeScaiVault", "ScriptedTransport"}
    assert all(getattr(doors[0], name) is getattr(doors[1], name) for name in shared)
