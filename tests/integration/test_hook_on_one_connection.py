"""A recovery hook may call the same client: the failed call has given its connection back."""

import httpx
import pytest

from httpx_resilience import AsyncResilientTransport, history_of, read_change_write
from httpx_resilience.testing import FakeScaiVault, Fault, serve_in_thread

pytestmark = pytest.mark.anyio


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_hook_that_calls_the_same_client_does_not_deadlock_on_a_pool_of_one() -> None:
    vault = FakeScaiVault(anonymous=True)
    path = "/v1/secrets/app/hits"
    conflict = Fault.code("version_conflict", message="x" * 40_000, times=2)
    with serve_in_thread(vault) as base_url:
        transport = AsyncResilientTransport(
            httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=1))
        )
        timeout = httpx.Timeout(5.0, pool=1.0)
        async with httpx.AsyncClient(
            transport=transport, base_url=base_url, timeout=timeout
        ) as client:
            await client.put(path, json={"value": 1})
            vault.script(path=path, method="PUT", faults=[conflict])
            response = await read_change_write(
                client, path, lambda now: {"value": now["value"] + 1, "cas": now["version"]}
            )
            history = history_of(response)
            assert history is not None
            assert (response.status_code, len(history.attempts)) == (200, 3)
            assert (await client.get(path)).json()["value"] == 2
