"""Uses of what is made for ``httpx.Client`` that mypy --strict and pyright check. Never run."""

from typing import assert_type

import httpx

from httpx_resilience import (
    ApiError,
    AsyncResilientTransport,
    CallHistory,
    ErrorInfo,
    FailedAttempt,
    Policy,
    RefreshToken,
    ResilientTransport,
    error_of,
    history_of,
    raise_for_error,
    read_change_write,
)


def again(failed: FailedAttempt, request: httpx.Request) -> httpx.Request | None:
    return request if failed.attempt == 1 else None


async def again_later(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
    return request


def who(request: httpx.Request) -> str | None:
    return request.url.host


plain = ResilientTransport()
as_base: httpx.BaseTransport = plain
with ResilientTransport(httpx.HTTPTransport(http2=True), identity=who, policy=Policy()) as entered:
    assert_type(entered, ResilientTransport)
client = httpx.Client(transport=plain)
ResilientTransport(recover={"version_conflict": again})
ResilientTransport(
    recover={"x": again_later},  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
)
ResilientTransport(httpx.AsyncHTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
AsyncResilientTransport(httpx.HTTPTransport())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
httpx.AsyncClient(transport=plain)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
assert_type(plain.handle_request(httpx.Request("GET", "https://vault.example")), httpx.Response)


def fetch() -> tuple[str, float | None]:
    return "token", None


auth = RefreshToken(fetch, origins=["https://vault.example"])
as_auth: httpx.Auth = auth
RefreshToken.client_credentials("https://login.example", "id", "s", client=client, origins=["x"])


def change(current: dict[str, int]) -> dict[str, int]:
    return {"value": current["value"] + 1}


def use() -> None:
    response = raise_for_error(client.get("https://vault.example", auth=auth))
    assert_type(response, httpx.Response)
    assert_type(error_of(response), ErrorInfo | None)
    assert_type(history_of(response), CallHistory | None)
    assert_type(read_change_write(client, "/v1/secrets/a", change), httpx.Response)
    plain.close()


def failed(error: ApiError) -> Exception:
    as_status: httpx.HTTPStatusError = error
    assert_type(error.response, httpx.Response)
    assert_type(error.info, ErrorInfo | None)
    return as_status
