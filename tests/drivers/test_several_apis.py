"""One transport, several APIs: dialects by origin, each with its budgets, scopes and costs."""

import json
from collections.abc import Mapping
from typing import Any

import anyio
import httpx
import pytest

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    AsyncResilientTransport,
    Dialect,
    ErrorClass,
    Policy,
    RateLimitStatus,
    RetryPolicy,
    error_of,
    history_of,
)
from httpx_resilience._core.lru import MAX_ENTRIES
from support.clients import UNPACED
from support.scripted import OK, Ear, Line, Reply, Scripted, coded, get

pytestmark = pytest.mark.anyio

DRIVE = Dialect.from_toml("""
name = "scaidrive"
unknown_code = "permanent"

[codes]
RATE_LIMITED = { class = "rate_limited", status = 429 }
SERVICE_UNAVAILABLE = { class = "transient", status = 503 }
INTERNAL_ERROR = { class = "internal", status = 500 }
FILE_LOCKED = { class = "permanent", status = 423 }

[envelope]
wait = "error.retry_after"
ignore_case = true

[[requests.categories]]
name = "token"
path = "/v1/search*"
cost = 20

[[requests.categories]]
name = "token"
path = "/v1/files/*"
methods = ["PUT", "POST"]
cost = 5

[[requests.categories]]
name = "token"
""")

GRID = Dialect.from_toml("""
name = "scaigrid"
unknown_code = "permanent"
codes = { RATE_LIMITED = "rate_limited", OVERLOADED = "transient" }

[[rate_limits]]
limit = "X-Scaigrid-Ratelimit-Limit"
remaining = "X-Scaigrid-Ratelimit-Remaining"
reset = "X-Scaigrid-Ratelimit-Reset"
bucket = "strictest"
""")

SEND = Dialect.from_toml("""
name = "scaisend"
[statuses]
429 = "rate_limited"
503 = "transient"
409 = "permanent"
""")

APIS = {
    "https://vault.example": SCAIVAULT,
    "https://drive.example": DRIVE,
    "https://grid.example": GRID,
    "https://send.example": SEND,
}


def spoken(status: int, body: object, headers: Mapping[str, str] | None = None) -> Reply:
    return Reply(status, (json.dumps(body).encode(),), tuple((headers or {}).items()))


def drive(code: str, status: int, **more: Any) -> Reply:
    error = {"code": code, "message": "x", "details": {"dimension": "token"}, **more}
    return spoken(status, {"status": "error", "error": error})


def left(remaining: int, limit: int = 100, prefix: str = "X-RateLimit") -> dict[str, str]:
    names = ("Limit", "Remaining", "Reset")
    return {
        f"{prefix}-{name}": str(value)
        for name, value in zip(names, (limit, remaining, 60), strict=True)
    }


def apis(
    *script: Line, policy: Policy = UNPACED, **options: Any
) -> tuple[AsyncResilientTransport, Scripted, Ear]:
    inner, ear = Scripted(*script), Ear()
    options.setdefault("dialect", APIS)
    transport = AsyncResilientTransport(inner, policy=policy, on_event=ear, **options)
    return transport, inner, ear


async def send(
    transport: AsyncResilientTransport, url: str, method: str = "GET", **more: Any
) -> httpx.Response:
    response = await transport.handle_async_request(get(url, method=method, **more))
    await response.aread()
    return response


def ended(response: httpx.Response) -> tuple[str | None, str | None]:
    history = history_of(response)
    assert history is not None
    return history.attempts[-1].error_class, history.reason


def status_of(transport: AsyncResilientTransport, origin: str) -> RateLimitStatus:
    (status,) = (s for s in transport.rate_limits() if s.origin == origin)
    return status


# By origin.


async def test_each_origin_is_spoken_to_in_its_own_dialect() -> None:
    for origin, attempts, error_class in (
        ("https://vault.example", 1, "permanent"),  # nobody there knows this code
        ("https://drive.example", 4, "transient"),
        ("https://grid.example", 1, "permanent"),
        ("https://send.example", 4, "transient"),  # the status decides
        ("https://other.example", 4, "transient"),
    ):
        transport, inner, _ = apis(coded(503, "service_Unavailable"))
        response = await send(transport, f"{origin}/v1/x")
        assert (inner.attempts, ended(response)[0]) == (attempts, error_class), origin


async def test_what_no_origin_is_named_for_is_generic_unless_there_is_a_default() -> None:
    quota = coded(429, "quota_exceeded", {"Retry-After": "1"})
    for default, attempts in (({}, 4), ({"*": SCAIVAULT}, 1), ({"*": GENERIC}, 4)):
        transport, inner, _ = apis(quota, dialect={"https://drive.example": DRIVE, **default})
        response = await send(transport, "https://other.example/v1/x")
        assert inner.attempts == attempts
        info = error_of(response)
        assert info is not None
        assert (info.spec is None) == (attempts == 4)


async def test_an_origin_is_the_same_with_its_schemes_port_and_another_with_another() -> None:
    dialect = {"https://Drive.example:443/": DRIVE, "http://drive.example:8080": GRID}
    for url, spec in (
        ("https://drive.example/v1", DRIVE.spec("rate_limited")),
        ("https://drive.example:444/v1", None),
        ("http://drive.example/v1", None),
        ("http://drive.example:8080/v1", GRID.spec("RATE_LIMITED")),
    ):
        transport, _, _ = apis(drive("RATE_LIMITED", 404), dialect=dialect)
        info = error_of(await send(transport, url, extensions={"resilience": None}))
        assert info is not None
        assert info.spec is spec


@pytest.mark.parametrize(
    "key", ["vault.example", "https://vault.example/v1", "https://u:p@vault.example", "**", ""]
)
def test_a_key_that_is_no_origin_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=r"dialect\['.*'\]: allowed is an origin"):
        AsyncResilientTransport(dialect={key: SCAIVAULT})


@pytest.mark.parametrize("value", [None, "scaivault", 7, {"https://vault.example": "scaivault"}])
def test_what_is_no_dialect_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match=r"dialect.*allowed is a Dialect"):
        AsyncResilientTransport(dialect=value)


async def test_each_origin_has_a_retry_budget_of_its_own() -> None:
    transport, inner, _ = apis(coded(503, "service_unavailable"))
    for _ in range(3):
        await send(transport, "https://vault.example/v1/x")
    assert inner.attempts == 4 + 1 + 1  # three tokens
    for origin in ("https://drive.example", "https://send.example"):
        before = inner.attempts
        await send(transport, f"{origin}/v1/x")
        assert inner.attempts == before + 4


async def test_each_origin_has_scopes_of_its_own() -> None:
    transport, inner, _ = apis(OK._replace(headers=tuple(left(0).items())), policy=Policy())
    for origin in APIS:
        with anyio.fail_after(1.0):
            await send(transport, f"{origin}/v1/secrets/a")
    assert inner.attempts == 4
    assert [status.origin for status in transport.rate_limits()] == list(APIS)
    assert {status.remaining for status in transport.rate_limits()} == {0}


async def test_a_redirect_to_another_api_is_a_call_in_that_apis_dialect() -> None:
    async def moved(_: httpx.Request) -> httpx.Response:
        return httpx.Response(307, headers={"Location": "https://drive.example/v1/files/a"})

    transport, inner, _ = apis(moved, drive("SERVICE_UNAVAILABLE", 503), OK)
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
        response = await client.get("https://vault.example/v1/secrets/a")
    assert (response.status_code, inner.attempts) == (200, 3)
    assert "X-Request-ID" in inner.requests[0].headers  # the vault's dialect sends one


async def test_hooks_may_be_for_codes_of_any_of_the_apis() -> None:
    async def hook(_: object, request: httpx.Request) -> httpx.Request:
        return httpx.Request("GET", request.url)

    both = {"https://vault.example": SCAIVAULT, "*": DRIVE}
    hooks = {"version_conflict": hook, "FILE_LOCKED": hook}
    transport, inner, _ = apis(drive("file_locked", 423), OK, dialect=both, recover=hooks)
    assert (await send(transport, "https://drive.example/v1/a")).status_code == 200
    assert inner.attempts == 2
    with pytest.raises(ValueError, match="did you mean 'version_conflict'"):
        AsyncResilientTransport(dialect=both, recover={"version_conflit": hook})


def test_the_transport_names_its_dialects() -> None:
    transport, _, _ = apis(OK)
    assert "generic+scaidrive+scaigrid+scaisend+scaivault" in repr(transport)


# ScaiDrive: costs by class of endpoint, and the wait in the body.


async def test_scaidrive_says_in_the_body_how_long_to_wait() -> None:
    transport, inner, ear = apis(drive("RATE_LIMITED", 429, retry_after=22), OK)
    assert (await send(transport, "https://drive.example/v1/files/a", "POST")).status_code == 200
    assert 22.0 <= inner.gaps[0] <= 23.0
    (told,) = (e.as_fields() for e in ear.events if e.name == "retry_scheduled")
    assert (told["delay_source"], told["code"], told["error_class"]) == (
        "error_body",
        "RATE_LIMITED",
        "rate_limited",
    )


async def test_a_retry_after_in_the_headers_comes_before_the_one_in_the_body() -> None:
    both = drive("RATE_LIMITED", 429, retry_after=22)._replace(headers=(("Retry-After", "3"),))
    transport, inner, _ = apis(both, OK)
    await send(transport, "https://drive.example/v1/files/a")
    assert 3.0 <= inner.gaps[0] <= 3.5


async def test_a_wait_in_the_body_that_is_too_long_ends_the_call() -> None:
    transport, inner, _ = apis(drive("RATE_LIMITED", 429, retry_after=3600))
    response = await send(transport, "https://drive.example/v1/files/a")
    assert (inner.attempts, ended(response)[1]) == (1, "retry_after_too_long")
    history = history_of(response)
    assert history is not None
    assert history.retry_at is not None


@pytest.mark.parametrize(
    ("code", "status", "attempts", "error_class"),
    [
        ("SERVICE_UNAVAILABLE", 503, 4, "transient"),
        ("service_unavailable", 503, 4, "transient"),
        ("INTERNAL_ERROR", 500, 2, "internal"),
        ("FILE_LOCKED", 423, 1, "permanent"),
        ("NEVER_HEARD_OF", 503, 1, "permanent"),
    ],
)
async def test_scaidrive_is_understood(
    code: str, status: int, attempts: int, error_class: str
) -> None:
    transport, inner, _ = apis(drive(code, status))
    response = await send(transport, "https://drive.example/v1/files/a", "POST")
    assert (inner.attempts, ended(response)[0]) == (attempts, error_class)


async def test_scaidrive_counts_what_a_request_costs() -> None:
    seen: dict[str, int | None] = {}

    async def look(request: httpx.Request) -> httpx.Response:
        if inner.attempts > 1:
            kind = f"{request.method} {request.url.path}"
            seen[kind] = status_of(transport, "https://drive.example").remaining
        return httpx.Response(200, headers=left(50))

    transport, inner, _ = apis(look, policy=Policy())
    for method, path in (
        ("GET", "/v1/files/a"),
        ("GET", "/v1/files/a"),
        ("PUT", "/v1/files/a"),
        ("GET", "/v1/search"),
    ):
        await send(transport, f"https://drive.example{path}", method)
    assert seen == {"GET /v1/files/a": 49, "PUT /v1/files/a": 45, "GET /v1/search": 30}
    status = status_of(transport, "https://drive.example")
    assert (status.scope, status.limit, status.remaining) == ("token", 100, 50)


async def test_a_dear_request_waits_until_there_is_room_for_it() -> None:
    transport, inner, _ = apis(
        OK._replace(headers=tuple(left(7).items())),
        OK._replace(headers=tuple(left(6).items())),
        OK._replace(headers=tuple(left(100).items())),
        policy=Policy(),
    )
    await send(transport, "https://drive.example/v1/files/a")
    await send(transport, "https://drive.example/v1/files/a")
    with anyio.fail_after(600):
        await send(transport, "https://drive.example/v1/search")
    assert inner.gaps[0] == 0.0
    assert inner.gaps[1] > 50.0  # twenty units, of which six were left


# ScaiGrid: headers of its own names.


async def test_scaigrid_announces_its_limit_in_headers_of_its_own() -> None:
    own = tuple(left(3, 40, "X-Scaigrid-Ratelimit").items())
    transport, inner, ear = apis(OK._replace(headers=own), policy=Policy())
    await send(transport, "https://grid.example/v1/chat")
    status = status_of(transport, "https://grid.example")
    assert (status.bucket, status.limit, status.remaining) == ("strictest", 40, 3)
    assert status.reset_in == pytest.approx(60.0)
    assert "rate_limit_low" in ear.names
    assert inner.attempts == 1


async def test_scaigrid_waits_for_the_reset_that_its_headers_name() -> None:
    own = tuple(left(0, 40, "X-Scaigrid-Ratelimit").items())
    refused = drive("RATE_LIMITED", 429)._replace(headers=own)
    transport, inner, ear = apis(refused, OK, policy=UNPACED)
    assert (await send(transport, "https://grid.example/v1/chat", "POST")).status_code == 200
    assert inner.gaps[0] >= 59.0
    (told,) = (e.as_fields() for e in ear.events if e.name == "retry_scheduled")
    assert (told["delay_source"], told["code"]) == ("rate_limit_reset", "RATE_LIMITED")


# ScaiSend: no codes, so that the status decides.


@pytest.mark.parametrize(
    ("status", "method", "attempts", "ending"),
    [
        (429, "POST", 4, ("rate_limited", "attempts_exhausted")),
        (503, "GET", 4, ("transient", "attempts_exhausted")),
        (503, "POST", 1, ("transient", "not_idempotent")),
        (409, "POST", 1, ("permanent", "permanent")),
        (500, "GET", 1, ("permanent", "permanent")),  # its own list says nothing of a 500
    ],
)
async def test_scaisend_is_understood_by_its_statuses(
    status: int, method: str, attempts: int, ending: tuple[str, str]
) -> None:
    transport, inner, _ = apis(spoken(status, {"detail": "Rate limit exceeded"}))
    response = await send(transport, "https://send.example/v1/mail", method)
    assert (inner.attempts, ended(response)) == (attempts, ending)
    assert error_of(response) is None


async def test_scaisend_has_a_scope_for_each_credential_and_endpoint() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        limit = {"mail": 10, "status": 100}[request.url.path.split("/")[1]]
        return httpx.Response(200, headers=left(limit - 1, limit))

    transport, _, _ = apis(answer, policy=Policy())
    for key in ("a", "b"):
        for path in ("mail", "status"):
            await send(
                transport,
                f"https://send.example/{path}",
                headers={"Authorization": f"Bearer {key}"},
            )
    limits = sorted((s.limit or 0, s.remaining or 0) for s in transport.rate_limits())
    assert limits == [(10, 9), (10, 9), (100, 99), (100, 99)]
    assert len({s.scope for s in transport.rate_limits()}) == 4


# Buckets that nobody described.


def by_route(limits: Mapping[str, Mapping[str, str]]) -> Line:
    async def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, headers=limits[request.url.path.split("/")[1]])

    return answer


OTHER = "https://other.example"


async def test_routes_that_announce_different_limits_have_scopes_of_their_own() -> None:
    answer = by_route({"cheap": left(100, 1000), "dear": left(0, 5), "other": left(99, 1000)})
    transport, inner, _ = apis(answer, policy=Policy())
    for path in ("cheap/1", "dear/1", "other/1", "cheap/2", "other/2"):
        with anyio.fail_after(1.0):  # nobody waits for the bucket that is empty
            await send(transport, f"{OTHER}/{path}")
    assert sorted((s.limit or 0, s.remaining or 0) for s in transport.rate_limits()) == [
        (5, 0),
        (1000, 99),
    ]
    with anyio.move_on_after(30.0) as scope:
        await send(transport, f"{OTHER}/dear/2")
    assert scope.cancelled_caught
    assert inner.attempts == 5


async def test_methods_are_routes_of_their_own() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        limit = 5 if request.method == "POST" else 1000
        return httpx.Response(200, headers=left(0 if limit == 5 else 500, limit))

    transport, inner, _ = apis(answer, policy=Policy())
    for method in ("GET", "POST", "GET", "GET"):
        with anyio.fail_after(1.0):
            await send(transport, f"{OTHER}/items", method)
    assert inner.attempts == 4
    assert len(transport.rate_limits()) == 2


async def test_buckets_that_servers_name_have_scopes_of_their_own_whatever_the_limit() -> None:
    search = {**left(0, 1000), "X-RateLimit-Resource": "search"}
    core = {**left(900, 1000), "X-RateLimit-Resource": "core"}
    transport, _, _ = apis(
        by_route({"repos": core, "search": search, "users": core}), policy=Policy()
    )
    for path in ("repos", "search", "users", "repos", "users"):
        with anyio.fail_after(1.0):
            await send(transport, f"{OTHER}/{path}")
    assert {s.bucket: s.remaining for s in transport.rate_limits()} == {"core": 900, "search": 0}
    assert {s.scope for s in transport.rate_limits()} == {"all", "search"}


async def test_a_bucket_that_a_route_learned_is_kept_for_it() -> None:
    answer = by_route({"a": left(50, 100), "b": left(7, 10)})
    transport, _, _ = apis(answer, policy=Policy())
    for n in range(10):
        await send(transport, f"{OTHER}/{'ab'[n % 2]}/{n}")
    assert len(transport.rate_limits()) == 2
    assert not any(s.in_flight or s.queued for s in transport.rate_limits())


async def test_buckets_are_bounded_however_many_a_server_announces() -> None:
    count = 0

    async def answer(_: httpx.Request) -> httpx.Response:
        nonlocal count
        count += 1
        return httpx.Response(200, headers={**left(5, 10), "X-RateLimit-Bucket": f"b{count}"})

    transport, _, _ = apis(answer, policy=Policy())
    for n in range(MAX_ENTRIES + 100):
        await send(transport, f"{OTHER}/{n}")
    shared = transport._calls.registry
    assert len(shared._throttles) <= MAX_ENTRIES
    assert len(shared._routes) <= MAX_ENTRIES
    assert len(transport.rate_limits()) <= MAX_ENTRIES


async def test_a_rule_of_the_users_own_holds_for_its_api_alone() -> None:
    mine = {**APIS, "https://drive.example": DRIVE.extend(codes={"BUSY": ErrorClass.TRANSIENT})}
    busy = drive("busy", 503)
    quick = UNPACED.replace(retry=RetryPolicy(max_attempts=2))
    for origin, attempts in (("https://drive.example", 2), ("https://grid.example", 1)):
        transport, inner, _ = apis(busy, dialect=mine, policy=quick)
        await send(transport, f"{origin}/v1/x", "POST")
        assert inner.attempts == attempts
