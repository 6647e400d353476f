"""Uses of what is made for httpx2 that mypy --strict and pyright check. Never run."""

from typing import assert_type

import httpx2

from httpx_resilience import (
    CallHistory,
    ErrorInfo,
    FailedAttempt,
    Policy,
    ResilienceError,
    history_of,
)
from httpx_resilience.httpx2 import (
    ApiError,
    AsyncResilientTransport,
    DeadlineExceeded,
    RefreshToken,
    ResilientTransport,
    ThrottleTimeout,
    TokenRefused,
    TransportClosed,
    error_of,
    raise_for_error,
    read_change_write,
)


def again(failed: FailedAttempt, request: httpx2.Request) -> httpx2.Request | None:
    return request if failed.attempt == 1 else None


async def again_later(_: FailedAttempt, request: httpx2.Request) -> httpx2.Request:
    return request


def who(request: httpx2.Request) -> str | None:
    return request.url.host


plain = ResilientTransport()
as_base: httpx2.BaseTransport = plain
with ResilientTransport(httpx2.HTTPTransport(http2=True), identity=who, policy=Policy()) as entered:
    assert_type(entered, ResilientTransport)
client = httpx2.Client(transport=plain)
ResilientTransport(recover={"version_conflict": again})
ResilientTransport(
    recover={"x": again_later},  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
)
ResilientTransport(httpx2.AsyncHTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
AsyncResilientTransport(httpx2.HTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
httpx2.AsyncClient(transport=plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(plain.handle_request(httpx2.Request("GET", "https://vault.example")), httpx2.Response)


def fetch() -> tuple[str, float | None]:
    return "token", None


auth = RefreshToken(fetch, origins=["https://vault.example"])
as_auth: httpx2.Auth = auth
RefreshToken.client_credentials("https://login.example", "id", "s", client=client, origins=["x"])


def change(current: dict[str, int]) -> dict[str, int]:
    return {"value": current["value"] + 1}


def use() -> None:
    response = raise_for_error(client.get("https://vault.example", auth=auth))
    assert_type(response, httpx2.Response)
    assert_type(error_of(response), ErrorInfo | None)
    assert_type(history_of(response), CallHistory | None)
    assert_type(read_change_write(client, "/v1/secrets/a", change), httpx2.Response)
    plain.close()


def failed(error: ApiError) -> Exception:
    as_status: httpx2.HTTPStatusError = error
    assert_type(error.response, httpx2.Response)
    assert_type(error.info, ErrorInfo | None)
    return as_status


async def fetch_later() -> str:
    return "token"


async def change_later(current: dict[str, int]) -> dict[str, int]:
    return {"value": current["value"] + 1}


async def use_async() -> None:
    transport = AsyncResilientTransport(httpx2.AsyncHTTPTransport(), identity=who)
    base: httpx2.AsyncBaseTransport = transport
    tokens = RefreshToken(fetch_later, origins=["https://vault.example"])
    AsyncResilientTransport(base, recover={"version_conflict": again_later})
    async with httpx2.AsyncClient(transport=transport, auth=tokens) as http:
        assert_type(raise_for_error(await http.get("https://vault.example")), httpx2.Response)
        assert_type(await read_change_write(http, "/v1/a", change_later), httpx2.Response)
    assert_type(history_of(tokens), CallHistory | None)


def caught(
    deadline: DeadlineExceeded, throttle: ThrottleTimeout, closed: TransportClosed, no: TokenRefused
) -> list[object]:
    late: list[httpx2.TimeoutException] = [deadline, throttle]
    broken: httpx2.TransportError = closed
    roots: list[ResilienceError] = [deadline, throttle, closed, no]
    assert_type(no.request, httpx2.Request)
    assert_type(throttle.retry_at, float | None)
    return [late, broken, roots]
