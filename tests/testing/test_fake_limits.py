"""The token buckets of FakeScaiVault: arithmetic and headers, in virtual time."""

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpx_resilience.testing import DEFAULT_LIMITS, FakeScaiVault, Fault, Limit
from httpx_resilience.testing._limits import Bucket

pytestmark = pytest.mark.anyio

SECRET = "/v1/secrets/app/db"


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Clock:
    """Seconds that pass only when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A vault in virtual time whose wall clock starts at 1,000,000."""

    def __init__(self, **options: object) -> None:
        self.clock = Clock()
        limits = {"read": Limit(4, per=2.0), "write": Limit(1, per=10.0)}
        self.vault = FakeScaiVault(
            limits=limits,
            clock=self.clock,
            wall=lambda: 1_000_000 + self.clock.now,
            **options,  # type: ignore[arg-type]
        )

    def client(self, identity: str = "alice") -> httpx.AsyncClient:
        headers = {"Authorization": f"Bearer {self.vault.issue_token(identity)}"}
        transport = httpx.ASGITransport(self.vault)
        return httpx.AsyncClient(transport=transport, base_url="http://vault", headers=headers)


def told(response: httpx.Response) -> tuple[str, str, str]:
    names = ("Limit", "Remaining", "Reset")
    limit, remaining, reset = (response.headers[f"X-RateLimit-{name}"] for name in names)
    return limit, remaining, reset


async def test_a_bucket_empties_and_then_answers_429_with_a_whole_second() -> None:
    bench = Bench()
    async with bench.client() as client:
        responses = [await client.get(SECRET) for _ in range(5)]
    assert [told(response)[1] for response in responses] == ["3", "2", "1", "0", "0"]
    refused = responses[-1]
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limited")
    assert refused.headers["Retry-After"] == "1"
    assert told(refused) == ("4", "0", "1000002")


async def test_a_bucket_refills_continuously() -> None:
    bench = Bench()
    async with bench.client() as client:
        for _ in range(4):
            await client.get(SECRET)
        bench.clock.now = 0.4
        too_early = await client.get(SECRET)
        bench.clock.now = 0.5
        in_time = await client.get(SECRET)
        bench.clock.now = 1.5
        later = await client.get(SECRET)
        bench.clock.now = 100.0
        full = await client.get(SECRET)
    assert [r.status_code for r in (too_early, in_time, later, full)] == [429, 404, 404, 404]
    assert [told(r)[1] for r in (in_time, later, full)] == ["0", "1", "3"]


async def test_retry_after_is_rounded_up() -> None:
    bench = Bench()
    async with bench.client() as client:
        await client.put(SECRET, json={"value": 1})
        bench.clock.now = 1.5
        refused = await client.put(SECRET, json={"value": 2})
    assert refused.headers["Retry-After"] == "9"


@pytest.mark.parametrize(
    ("options", "reset"),
    [
        ({}, "1000001"),
        ({"decimals": 2}, "1000001.00"),
        ({"reset": "next", "decimals": 2}, "1000000.50"),
    ],
)
async def test_the_reset_names_the_full_bucket_or_the_next_unit(
    options: dict[str, object], reset: str
) -> None:
    bench = Bench(**options)
    async with bench.client() as client:
        await client.get(SECRET)
        bench.clock.now = 0.15
        assert told(await client.get(SECRET)) == ("4", "2", reset)


async def test_categories_and_identities_have_buckets_of_their_own() -> None:
    bench = Bench()
    async with bench.client("alice") as alice, bench.client("bob") as bob:
        written = [await alice.put(SECRET, json={"value": 1}) for _ in range(2)]
        read = await alice.get(SECRET)
        other = await bob.put(SECRET, json={"value": 1})
        same_identity = bench.client("alice")
        async with same_identity:
            shared = await same_identity.get(SECRET)
    assert [response.status_code for response in written] == [201, 429]
    assert (read.status_code, told(read)[:2]) == (200, ("4", "3"))
    assert other.status_code == 200
    assert told(shared)[:2] == ("4", "2")


async def test_every_default_limit_is_the_references() -> None:
    vault = FakeScaiVault(anonymous=True)
    transport = httpx.ASGITransport(vault)
    requests = {
        ("GET", SECRET): "1000",
        ("PUT", SECRET): "100",
        ("DELETE", SECRET): "100",
        ("GET", "/v1/secrets"): "100",
        ("GET", "/v1/auth/whoami"): "300",
        ("GET", "/v1/policies/7"): "50",
        ("GET", "/v1/audit"): "50",
        ("PUT", "/v1/webhooks/7"): "20",
        ("GET", "/v1/other"): "100",
    }
    async with httpx.AsyncClient(transport=transport, base_url="http://vault") as client:
        limits = {key: told(await client.request(*key))[0] for key in requests}
    assert limits == requests
    assert {limit.per for limit in DEFAULT_LIMITS.values()} == {60.0}


async def test_refused_tokens_and_scripted_codes_are_counted_too() -> None:
    bench = Bench()
    bench.vault.script(Fault.code("internal_error"))
    async with bench.client() as client:
        scripted = await client.get(SECRET)
        bad_token = await client.get(SECRET, headers={"Authorization": "Bearer forged"})
        plain = await client.get(SECRET)
    assert (scripted.status_code, told(scripted)[1]) == (500, "3")
    assert (bad_token.status_code, told(bad_token)[1]) == (401, "3")
    assert told(plain)[1] == "2"


@settings(deadline=None)
@given(
    limit=st.integers(1, 50),
    per=st.floats(0.1, 100.0),
    pauses=st.lists(st.floats(0.0, 20.0), max_size=60),
)
def test_no_bucket_gives_more_than_its_burst_and_its_rate(
    limit: int, per: float, pauses: list[float]
) -> None:
    bucket = Bucket(Limit(limit, per=per), now=0.0)
    now, taken = 0.0, 0
    for pause in pauses:
        now += pause
        reading = bucket.take(now)
        taken += reading.allowed
        assert taken <= limit + now * limit / per + 1e-6
        assert 0 <= reading.remaining < limit
        assert 0 <= reading.next_in <= reading.full_in + 1e-9 <= per + 1e-6


@settings(deadline=None)
@given(limit=st.integers(1, 50), per=st.floats(0.1, 100.0))
def test_the_next_unit_is_there_exactly_when_it_was_announced(limit: int, per: float) -> None:
    bucket = Bucket(Limit(limit, per=per), now=0.0)
    readings = [bucket.take(0.0) for _ in range(limit + 1)]
    assert [reading.allowed for reading in readings] == [True] * limit + [False]
    assert bucket.take(readings[-1].next_in).allowed


def test_bad_limits_are_named() -> None:
    with pytest.raises(ValueError, match=r"Limit.limit: got 0"):
        Limit(0)
    with pytest.raises(ValueError, match=r"Limit.per: got 0"):
        Limit(1, per=0)
    with pytest.raises(TypeError, match=r"limits\['read'\]: got 5, allowed is a Limit"):
        FakeScaiVault(limits={"read": 5})  # type: ignore[dict-item]
