"""Uses of hooks, tokens and dialects that mypy --strict and pyright check. Never run."""

from collections.abc import Awaitable
from typing import Any, assert_type

import httpx

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    AsyncResilientTransport,
    CategoryRule,
    CostEstimate,
    Dialect,
    ErrorClass,
    ErrorInfo,
    ErrorSpec,
    FailedAttempt,
    HeaderFamily,
    RateLimitStatus,
    RecoveryHook,
    RefreshToken,
    RequestRules,
    ResilienceError,
    TokenRefused,
    read_change_write,
)

# Hooks.


async def again(failed: FailedAttempt, request: httpx.Request) -> httpx.Request | None:
    assert_type(failed.code, str)
    assert_type(failed.status, int)
    assert_type(failed.attempt, int)
    assert_type(failed.error, ErrorInfo | None)
    return request if failed.attempt == 1 else None


async def always(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
    return request


async def never(_: FailedAttempt, __: httpx.Request) -> None: ...


class Counting:
    async def __call__(self, failed: FailedAttempt, request: httpx.Request, /) -> httpx.Request:
        return request


def not_async(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
    return request


AsyncResilientTransport(recover={"version_conflict": again, "secret_exists": always})
AsyncResilientTransport(recover={"version_conflict": never})
AsyncResilientTransport(recover={"version_conflict": Counting()})
AsyncResilientTransport(
    recover={"x": not_async},  # type: ignore[dict-item]  # pyright: ignore[reportArgumentType]
)


def told(event: RecoveryHook) -> str:
    assert_type(event.exception_type, str | None)
    return event.outcome


# Read, change, write.


def count_up(current: Any) -> dict[str, Any]:
    return {"value": current["value"] + 1}


async def count_up_later(current: dict[str, int]) -> dict[str, int]:
    return {"value": current["value"] + 1}


async def write(client: httpx.AsyncClient) -> None:
    assert_type(await read_change_write(client, "/v1/secrets/a", count_up), httpx.Response)
    await read_change_write(client, "/a", count_up_later, code="stale", headers={"X-Tenant": "t"})


# Tokens.


async def plain() -> str:
    return "token"


async def timed() -> tuple[str, float]:
    return "token", 60.0


async def perhaps_timed() -> tuple[str, float | None]:
    return "token", None


auth = RefreshToken(plain, origins=["https://vault.example"])
as_auth: httpx.Auth = auth
RefreshToken(timed, origins="https://vault.example", identity="me", ahead=5, clock=lambda: 0.0)
RefreshToken(perhaps_timed, origins=("https://vault.example",), fetch_timeout=5)
RefreshToken(lambda: "x", origins=["https://vault.example"])  # a plain function, for httpx.Client
client = httpx.AsyncClient(auth=auth)
by_secret = RefreshToken.client_credentials(
    "https://login.example/token", "id", "secret", scope="a b", client=client, origins=["https://x"]
)
assert_type(by_secret, RefreshToken)
assert_type(
    RefreshToken.refresh_token("https://login.example/token", "refresh", origins=["https://x"]),
    RefreshToken,
)


class Mine(RefreshToken):
    """A subclass keeps its type."""


assert_type(Mine.client_credentials("https://x", "id", "secret", origins=["https://x"]), Mine)


def raise_later(error: ResilienceError) -> None: ...


def refused(error: TokenRefused) -> str | None:
    as_root: ResilienceError = error
    raise_later(as_root)
    assert_type(error.request, httpx.Request)
    return error.code


# Dialects.

drive = Dialect.from_toml('name = "drive"')
assert_type(drive, Dialect)
transport = AsyncResilientTransport(
    dialect={
        "https://vault.example": SCAIVAULT.extend(statuses={520: ErrorClass.TRANSIENT}),
        "*": GENERIC,
    }
)
own = Dialect(
    name="own",
    codes={"busy": ErrorSpec(code="busy", error_class=ErrorClass.TRANSIENT)},
    requests=RequestRules(
        categories=(CategoryRule(name="upload", path="/v1/files/*", methods=("PUT",), cost=5),)
    ),
    rate_limits=(HeaderFamily(limit="X-My-Limit", reset="X-My-Reset", reset_unit="ms"),),
)
assert_type(own.requests.cost_of("PUT", "/v1/files/a"), int)


def tokens_of(request: httpx.Request) -> dict[str, int]:
    return {"tokens": len(request.content)}


assert_type(own.extend(costs=tokens_of), Dialect)
assert_type(own.extend(costs=[CostEstimate(fields=(("max_tokens",),))]), Dialect)
CategoryRule(name="chat", path="/v1/chat/*", field=("model",))
assert_type(transport.rate_limits(), tuple[RateLimitStatus, ...])

# A function that returns a coroutine is as good as an async one.


def returns_awaitable(_: FailedAttempt, request: httpx.Request) -> Awaitable[httpx.Request]:
    return always(_, request)


AsyncResilientTransport(recover={"version_conflict": returns_awaitable})
