"""The script of faults, in process: what strikes, when, and what the client then gets."""

import httpx
import pytest
import trio
import trio.testing

from httpx_resilience.dialects.scaivault import SCAIVAULT
from httpx_resilience.testing import FakeScaiVault, Fault, Where

pytestmark = pytest.mark.anyio

SECRET = "/v1/secrets/app/db"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def vault() -> FakeScaiVault:
    return FakeScaiVault(anonymous=True)


def client_of(vault: FakeScaiVault) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(vault), base_url="http://vault")


async def statuses(client: httpx.AsyncClient, count: int, path: str = SECRET) -> list[int]:
    return [(await client.get(path)).status_code for _ in range(count)]


@pytest.mark.parametrize("method", ["GET", "PUT", "POST"])
async def test_every_code_comes_with_its_status_and_envelope(
    vault: FakeScaiVault, method: str
) -> None:
    async with client_of(vault) as client:
        for code, spec in SCAIVAULT.codes.items():
            vault.script(Fault.code(code))
            response = await client.request(method, SECRET, headers={"X-Request-ID": f"r-{code}"})
            assert response.status_code == spec.status
            assert response.json()["error"] == {
                "code": code,
                "message": spec.meaning,
                "details": {},
                "request_id": f"r-{code}",
            }
            assert int(response.headers["X-RateLimit-Remaining"]) >= 0
            assert "Retry-After" not in response.headers
    assert [seen.code for seen in vault.log] == list(SCAIVAULT.codes)
    assert len(vault.log) == 51


async def test_a_coded_fault_says_what_it_is_told_to(vault: FakeScaiVault) -> None:
    vault.script(
        [
            Fault.code("service_unavailable", retry_after=2),
            Fault.code("service_unavailable", retry_after="soon", status=500),
            Fault.code("validation_error", message="No.", details={"fields": [{"field": "a"}]}),
        ]
    )
    async with client_of(vault) as client:
        seconds, odd, detailed = [await client.get(SECRET) for _ in range(3)]
    assert (seconds.status_code, seconds.headers["Retry-After"]) == (503, "2")
    assert (odd.status_code, odd.headers["Retry-After"]) == (500, "soon")
    assert detailed.json()["error"]["message"] == "No."
    assert detailed.json()["error"]["details"] == {"fields": [{"field": "a"}]}


async def test_a_proxys_page_carries_no_envelope_and_no_limits(vault: FakeScaiVault) -> None:
    vault.script(Fault.html(503, retry_after=3))
    async with client_of(vault) as client:
        response = await client.get(SECRET)
    assert response.status_code == 503
    assert response.headers["Content-Type"] == "text/html"
    assert "<h1>503 Service Unavailable</h1>" in response.text
    assert response.headers["Retry-After"] == "3"
    assert not [name for name in response.headers if name.startswith("x-")]
    assert "Date" in response.headers


async def test_a_bare_status_has_an_empty_body(vault: FakeScaiVault) -> None:
    vault.script([Fault.status(502), Fault.status(599)])
    async with client_of(vault) as client:
        response = await client.get(SECRET)
        unnamed = await client.get(SECRET)
    assert (response.status_code, response.content) == (502, b"")
    assert unnamed.status_code == 599


async def test_a_raw_answer_is_exactly_what_was_given(vault: FakeScaiVault) -> None:
    headers = [("X-RateLimit-Limit", "ten"), ("X-RateLimit-Limit", "20")]
    vault.script(Fault.raw(429, headers, "no"))
    async with client_of(vault) as client:
        response = await client.get(SECRET)
    assert response.headers.multi_items() == [
        ("x-ratelimit-limit", "ten"),
        ("x-ratelimit-limit", "20"),
        ("content-length", "2"),
    ]
    assert response.content == b"no"


async def test_faults_strike_in_order_as_often_as_they_say(vault: FakeScaiVault) -> None:
    vault.script([Fault.status(503, times=2), Fault.code("internal_error"), Fault.status(502)])
    async with client_of(vault) as client:
        assert vault.pending == 4
        assert await statuses(client, 6) == [503, 503, 500, 502, 404, 404]
    assert vault.pending == 0
    assert [seen.fault is not None for seen in vault.log] == [True] * 4 + [False] * 2


async def test_faults_strike_only_what_matches(vault: FakeScaiVault) -> None:
    vault.script(Fault.status(503), path="/v1/secrets/a/*", method="put")
    async with client_of(vault) as client:
        assert await statuses(client, 1, "/v1/secrets/a/b") == [404]
        other = await client.put("/v1/secrets/b", json={"value": 1})
        struck = await client.put("/v1/secrets/a/b", json={"value": 1})
    assert [other.status_code, struck.status_code] == [201, 503]


async def test_an_earlier_script_comes_first_and_healing_ends_all(vault: FakeScaiVault) -> None:
    vault.chaos(rate=1.0, faults=Fault.status(504), seed=1)
    vault.script(Fault.status(502))
    vault.script(Fault.status(503, times=9))
    async with client_of(vault) as client:
        assert await statuses(client, 2) == [502, 503]
        vault.heal()
        assert await statuses(client, 2) == [404, 404]
    assert vault.pending == 0


async def chaotic(seed: int, rate: float = 0.3) -> list[int]:
    vault = FakeScaiVault(anonymous=True)
    vault.chaos(rate=rate, faults=[Fault.status(502), Fault.status(503, times=3)], seed=seed)
    async with client_of(vault) as client:
        return await statuses(client, 100)


async def test_chaos_repeats_itself_by_its_seed() -> None:
    first = await chaotic(seed=1)
    assert first == await chaotic(seed=1)
    assert first != await chaotic(seed=2)
    assert 15 <= 100 - first.count(404) <= 45
    assert first.count(503) > first.count(502) > 0
    assert await chaotic(seed=1, rate=0.0) == [404] * 100


async def test_chaos_does_not_depend_on_the_order_of_arrival() -> None:
    struck: list[set[tuple[str, int]]] = []
    for order in (1, -1):
        vault = FakeScaiVault(anonymous=True)
        vault.chaos(rate=0.5, faults=Fault.status(503), seed=7)
        async with client_of(vault) as client:
            paths = [f"/v1/secrets/{number}" for number in range(20)][::order]
            struck.append({(path, (await statuses(client, 1, path))[0]) for path in paths})
    assert struck[0] == struck[1]


async def test_a_fault_may_hide_that_the_request_was_processed(vault: FakeScaiVault) -> None:
    vault.script([Fault.html(503, processed=True), Fault.html(503)])
    async with client_of(vault) as client:
        for value in ("kept", "lost"):
            assert (await client.put(SECRET, json={"value": value})).status_code == 503
        assert (await client.get(SECRET)).json()["value"] == "kept"


@pytest.mark.parametrize(
    ("where", "error"),
    [
        ("before", httpx.RemoteProtocolError),
        ("within", httpx.RemoteProtocolError),
        ("after", httpx.RemoteProtocolError),
        ("reset", httpx.ReadError),
    ],
)
async def test_a_drop_in_process_raises_what_httpx_would(
    vault: FakeScaiVault, where: Where, error: type[httpx.TransportError]
) -> None:
    vault.script(Fault.drop(where))
    async with client_of(vault) as client:
        with pytest.raises(error) as caught:
            await client.put(SECRET, json={"value": 1})
        stored = (await client.get(SECRET)).status_code
    assert caught.value.request.method == "PUT"
    assert vault.log[0].status == (201 if where == "after" else None)
    assert stored == (200 if where in ("within", "after") else 404)


async def test_a_cut_off_error_is_not_carried_out(vault: FakeScaiVault) -> None:
    vault.script(Fault.drop("after", code="service_unavailable"))
    async with client_of(vault) as client:
        with pytest.raises(httpx.RemoteProtocolError):
            await client.put(SECRET, json={"value": 1})
        assert (await client.get(SECRET)).status_code == 404
    assert (vault.log[0].status, vault.log[0].code) == (503, "service_unavailable")


def test_a_delay_passes_before_the_ordinary_answer_or_another_fault() -> None:
    vault = FakeScaiVault(anonymous=True, clock=trio.current_time)
    vault.script([Fault.delay(60.0), Fault.status(503, after=30.0), Fault.delay(9.0)])

    async def main() -> list[tuple[int, float]]:
        took = []
        async with client_of(vault) as client:
            for _ in range(2):
                started = trio.current_time()
                [status] = await statuses(client, 1)
                took.append((status, trio.current_time() - started))
            with trio.move_on_after(1.0):
                await statuses(client, 1)
        return took

    clock = trio.testing.MockClock(autojump_threshold=0)
    assert trio.run(main, clock=clock) == [(404, 60.0), (503, 30.0)]
    cancelled = vault.log[-1]
    assert (cancelled.status, cancelled.fault) == (None, Fault.delay(9.0))


def test_faults_are_values() -> None:
    assert Fault.code("internal_error", times=2) == Fault.code("internal_error", times=2)
    assert Fault.html(503) != Fault.html(502)


def test_bad_faults_are_named() -> None:
    with pytest.raises(ValueError, match=r"Fault.code: got 'rate_limit'.*mean 'rate_limited'"):
        Fault.code("rate_limit")
    with pytest.raises(ValueError, match=r"Fault.drop.code: got 'x'"):
        Fault.drop("after", code="x")
    with pytest.raises(ValueError, match=r"Fault.drop: got 'inside', allowed is one of 'before'"):
        Fault.drop("inside")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"Fault.delay: got -0.5"):
        Fault.delay(-0.5)
    with pytest.raises(ValueError, match=r"Fault.after: got -1"):
        Fault.status(503, after=-1)
    with pytest.raises(ValueError, match=r"Fault.times: got 0"):
        Fault.status(503, times=0)
    with pytest.raises(ValueError, match=r"Fault.status: got 99"):
        Fault.status(99)
    with pytest.raises(ValueError, match=r"retry_after: got -1"):
        Fault.code("rate_limited", retry_after=-1)


@pytest.mark.parametrize("rate", [-0.1, 1.1, float("nan")])
def test_a_bad_rate_is_named(vault: FakeScaiVault, rate: float) -> None:
    with pytest.raises(ValueError, match=r"chaos.rate: got .* at least 0 and at most 1"):
        vault.chaos(rate=rate, faults=Fault.status(503), seed=1)
    with pytest.raises(ValueError, match=r"chaos.faults: got none"):
        vault.chaos(rate=0.5, faults=[], seed=1)
