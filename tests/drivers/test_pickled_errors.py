"""Errors that came out of a call, and then out of a pickle: what they still say."""

import pickle
from collections.abc import Callable
from typing import Any, cast

import httpx
import pytest

from httpx_resilience import (
    ApiError,
    AsyncResilientTransport,
    DeadlineExceeded,
    Policy,
    RefreshToken,
    ResilienceError,
    RetryPolicy,
    ThrottlePolicy,
    ThrottleTimeout,
    TokenRefused,
    history_of,
    raise_for_error,
)
from support.scripted import OK, URL, Reply, Scripted, coded

pytestmark = pytest.mark.anyio

SPENT = (("X-RateLimit-Limit", "1"), ("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "60"))


async def token() -> str:
    return "hunter2"


def client_over(*script: Any, policy: Policy | None = None) -> httpx.AsyncClient:
    transport = AsyncResilientTransport(Scripted(*script), policy=policy)
    return httpx.AsyncClient(transport=transport, headers={"X-Api-Key": "hunter2"})


async def refuse() -> None:
    async with client_over(coded(401, "token_revoked")) as client:
        await client.get(URL, auth=RefreshToken(token, origins=["https://vault.example"]))


async def be_throttled() -> None:
    policy = Policy(throttle=ThrottlePolicy(max_wait=5.0))
    async with client_over(Reply(200, headers=SPENT), policy=policy) as client:
        await client.get(URL)
        await client.get(URL)


async def be_late() -> None:
    policy = Policy(retry=RetryPolicy(deadline=2.0))
    async with client_over(OK._replace(takes=9.0), policy=policy) as client:
        await client.get(URL)


async def fail() -> None:
    async with client_over(coded(404, "secret_not_found")) as client:
        raise_for_error(await client.get(URL))


ENDS: dict[type[ResilienceError], Callable[[], Any]] = {
    TokenRefused: refuse,
    ThrottleTimeout: be_throttled,
    DeadlineExceeded: be_late,
    ApiError: fail,
}


@pytest.mark.parametrize("kind", ENDS, ids=lambda kind: kind.__name__)
async def test_an_unpickled_error_says_what_it_said_and_that_it_has_no_request(
    kind: type[ResilienceError],
) -> None:
    with pytest.raises(kind) as caught:
        await ENDS[kind]()
    error = cast("Any", caught.value)
    assert error.request.url == URL
    copied = pickle.loads(pickle.dumps(error))
    assert [type(copied)] == [kind]
    assert (str(copied), repr(copied)) == (str(error), repr(error))
    assert getattr(copied, "__notes__", None) == getattr(error, "__notes__", None)
    for name in ("code", "retry_at", "scope"):
        assert getattr(copied, name, None) == getattr(error, name, None)
    if kind is not ApiError:  # its history is its response's
        assert repr(history_of(copied)) == repr(history_of(error))
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"^The \.request property has not been set\.$"):
            _ = copied.request
        copied = pickle.loads(pickle.dumps(copied))
    assert b"hunter2" not in pickle.dumps(copied)
