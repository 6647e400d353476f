"""FakeScaiVault over loopback: framing, keep-alive, and connections that really break."""

import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

import anyio
import anyio.to_thread
import httpx
import pytest

from httpx_resilience.testing import FakeScaiVault, Fault, Limit, Where, serve, serve_in_thread

pytestmark = pytest.mark.anyio

SECRET = "/v1/secrets/app/db"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@dataclass(frozen=True)
class Served:
    """A vault and where it is."""

    vault: FakeScaiVault
    base_url: str

    def client(self, connections: int = 10) -> httpx.AsyncClient:
        limits = httpx.Limits(max_connections=connections)
        return httpx.AsyncClient(base_url=self.base_url, trust_env=False, limits=limits)


@pytest.fixture(scope="module")
def running() -> Iterator[Served]:
    vault = FakeScaiVault(anonymous=True, limits={"read": Limit(1_000_000)})
    with serve_in_thread(vault) as base_url:
        yield Served(vault, base_url)


@pytest.fixture
def served(running: Served) -> Served:
    running.vault.heal()
    running.vault.log.clear()
    return running


@pytest.mark.parametrize(
    ("where", "error", "told"),
    [
        ("before", httpx.RemoteProtocolError, "without sending a response"),
        ("within", httpx.RemoteProtocolError, "without sending a response"),
        ("after", httpx.RemoteProtocolError, "without sending complete message body"),
        ("reset", httpx.ReadError, None),
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
async def test_a_dropped_connection_is_what_a_bare_client_sees(
    served: Served, where: Where, error: type[Exception], told: str | None, method: str
) -> None:
    async with served.client() as client:
        await client.put(SECRET, json={"value": 1})
        served.vault.script(Fault.drop(where))
        with pytest.raises(error, match=told):
            await client.request(method, SECRET, json={"value": 2})
        assert (await client.get(SECRET)).status_code == 200


async def test_a_drop_after_the_headers_lets_status_and_half_the_body_through(
    served: Served,
) -> None:
    served.vault.script(Fault.drop("after", code="service_unavailable"))
    received = b""
    async with served.client() as client, client.stream("GET", SECRET) as response:
        with pytest.raises(httpx.RemoteProtocolError):  # noqa: PT012  (bytes come before the end)
            async for chunk in response.aiter_raw():
                received += chunk
    assert response.status_code == 503
    assert received.startswith(b'{"error":{"code":"service_unavailable"')
    assert len(received) == int(response.headers["Content-Length"]) // 2


async def test_a_drop_before_the_headers_may_hide_a_processed_write(served: Served) -> None:
    path = "/v1/secrets/hidden"
    served.vault.script(Fault.drop("before", processed=True), method="PUT")
    async with served.client() as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.put(path, json={"value": "kept"})
        assert (await client.get(path)).json()["value"] == "kept"


async def test_ordinary_requests_share_one_connection(served: Served) -> None:
    streams = []
    async with served.client(connections=1) as client:
        served.vault.script([Fault.code("internal_error"), Fault.html(503), Fault.status(502)])
        for _ in range(20):
            response = await client.get(SECRET)
            streams.append(response.extensions["network_stream"].get_extra_info("client_addr"))
    assert len(set(streams)) == 1
    assert [seen.code for seen in served.vault.log][:2] == ["internal_error", None]
    assert len(served.vault.log) == 20


async def test_large_bodies_pass_both_ways(served: Served) -> None:
    value = "x" * 1_000_000
    async with served.client() as client:
        await client.put("/v1/secrets/large", json={"value": value})
        assert (await client.get("/v1/secrets/large")).json()["value"] == value


async def test_the_date_is_sent_once_over_the_wire(served: Served) -> None:
    served.vault.script([Fault.html(503), Fault.code("internal_error")])
    async with served.client() as client:
        for _ in range(3):
            assert len((await client.get(SECRET)).headers.get_list("Date")) == 1


async def test_a_raw_answer_goes_over_the_wire(served: Served) -> None:
    served.vault.script(Fault.raw(429, {"X-Odd": "1"}, b"\xff"))
    async with served.client() as client:
        response = await client.get(SECRET)
    assert (response.status_code, response.content, response.headers["X-Odd"]) == (
        429,
        b"\xff",
        "1",
    )


async def test_concurrent_chaos_of_every_kind_leaves_a_server_that_works(served: Served) -> None:
    drops = [Fault.drop("before"), Fault.drop("within"), Fault.drop("after"), Fault.drop("reset")]
    served.vault.chaos(rate=0.4, faults=[*drops, Fault.html(503)], seed=3, path="/v1/secrets/c/*")
    outcomes: list[str] = []

    async def ask(number: int) -> None:
        try:
            response = await client.get(f"/v1/secrets/c/{number}")
        except httpx.TransportError as error:
            outcomes.append(type(error).__name__)
        else:
            outcomes.append(str(response.status_code))

    async with served.client() as client:
        async with anyio.create_task_group() as group:
            for number in range(60):
                group.start_soon(ask, number)
        assert set(outcomes) == {"404", "503", "RemoteProtocolError", "ReadError"}
        assert len(outcomes) == len(served.vault.log) == 60
        served.vault.heal()
        assert (await client.get("/v1/auth/whoami")).status_code == 200


async def test_leaving_the_block_ends_running_requests_at_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    arrived = threading.Event()

    def clock() -> float:
        arrived.set()
        return time.monotonic()

    vault = FakeScaiVault(anonymous=True, clock=clock)
    vault.script(Fault.delay(3600.0))
    caplog.set_level(logging.DEBUG)
    threads = threading.active_count()
    errors: list[Exception] = []

    async def hang(client: httpx.AsyncClient, base_url: str) -> None:
        try:
            await client.get(f"{base_url}{SECRET}", timeout=None)
        except httpx.TransportError as error:
            errors.append(error)

    async with httpx.AsyncClient(trust_env=False) as client:
        async with anyio.create_task_group() as group:
            async with serve(vault) as base_url:
                group.start_soon(hang, client, base_url)
                await anyio.to_thread.run_sync(arrived.wait)
                leaving = time.monotonic()
            assert time.monotonic() - leaving < 2.0
        assert len(errors) == 1
        async with serve(vault) as closed_url:
            pass
        with pytest.raises(httpx.ConnectError):
            await client.get(closed_url)
    assert (vault.log[0].status, vault.log[0].fault) == (None, Fault.delay(3600.0))
    assert threading.active_count() <= threads + 1  # anyio keeps one worker thread for later
    assert not [r for r in caplog.records if r.name.startswith("uvicorn") and r.levelno >= 30]


async def test_it_listens_on_loopback_only(served: Served) -> None:
    assert served.base_url.startswith("http://127.0.0.1:")
