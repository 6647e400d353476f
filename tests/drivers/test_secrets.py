"""A secret planted anywhere appears in nothing that this library emits."""

import copy
import dataclasses
import io
import json
import logging
import pickle
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    ApiError,
    AsyncResilientTransport,
    Dialect,
    Event,
    FailedAttempt,
    Level,
    Listener,
    Policy,
    RetryBudget,
    RetryPolicy,
    ThrottlePolicy,
    ThrottleTimeout,
    error_of,
    history_of,
    raise_for_error,
)
from support.logs import filtering
from support.scripted import OK, Line, Reply, Scripted

pytestmark = pytest.mark.anyio

SECRET = "hunter2"
URL = f"https://user{SECRET}:{SECRET}@vault.example/v1/secrets/app/db?token={SECRET}&a={SECRET}"
HEADERS = {
    "Authorization": f"Bearer {SECRET}",
    "X-Api-Key": SECRET,
    "Cookie": f"session={SECRET}",
    "X-Request-ID": "req-mine-1",
    "Idempotency-Key": f"key-{SECRET}",
}
ANSWER_HEADERS = (
    ("Set-Cookie", f"session={SECRET}"),
    ("Location", f"https://{SECRET}.example/"),
    ("WWW-Authenticate", f"Bearer {SECRET}"),
    ("X-RateLimit-Limit", SECRET),
    ("RateLimit", f'"{SECRET}";r=0;t=1'),
    ("Retry-After", SECRET),
)


def planted(status: int, code: object, request_id: object = "req_1") -> Reply:
    error = {
        "code": code,
        "message": f"password {SECRET} is wrong",
        "details": {"path": SECRET, SECRET: 1, "fields": [{"field": SECRET, "error": SECRET}]},
        "request_id": request_id,
        "hint": SECRET,
    }
    return Reply(status, (json.dumps({"error": error}).encode(),), ANSWER_HEADERS)


STORIES: dict[str, tuple[Line, ...]] = {
    "permanent": (planted(404, "secret_not_found"),),
    "internal": (planted(500, "internal_error"),),
    "outage": (planted(503, "service_unavailable"), OK),
    "unknown code": (planted(400, f"no such {SECRET} code"),),
    "secret as a code's list": (planted(400, [SECRET]),),
    "secret as a request id": (planted(500, "internal_error", f"id {SECRET}"),),
    "html": (Reply(503, (f"<html>{SECRET}</html>".encode(),), ANSWER_HEADERS),),
    "lost": (httpx.ReadError(f"reading {SECRET} failed"),),
    "refused": (httpx.ConnectError(f"connecting with {SECRET} failed"), OK),
    "odd": (ValueError(SECRET),),
    "cut": (planted(503, "service_unavailable"), Reply(200, takes=500.0)),
    "too long": (planted(429, "rate_limited")._replace(headers=(("Retry-After", "3600"),)),),
}


def limits_of(transport: AsyncResilientTransport) -> str:
    """Return the snapshot without the names that servers give their buckets, which are public."""
    return repr([dataclasses.replace(row, bucket=None) for row in transport.rate_limits()])


@pytest.fixture(params=["structlog as JSON", "structlog in colours", "standard library"])
def log(request: pytest.FixtureRequest) -> Iterator[Callable[[], str]]:
    out = io.StringIO()
    structlog.reset_defaults()
    handler = logging.StreamHandler(out)
    logger = logging.getLogger("httpx_resilience")
    level = logger.level
    if request.param == "standard library":
        logger.addHandler(handler)
        logger.setLevel(logging.DEBUG)
    else:
        as_json = request.param == "structlog as JSON"
        renderer: Any = (
            structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
        )
        structlog.configure(
            processors=[structlog.processors.add_log_level, renderer],
            wrapper_class=filtering(logging.DEBUG),
            logger_factory=structlog.PrintLoggerFactory(out),
        )
    yield out.getvalue
    logger.removeHandler(handler)
    logger.setLevel(level)
    structlog.reset_defaults()


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("dialect", [SCAIVAULT, GENERIC], ids=["scaivault", "generic"])
@pytest.mark.parametrize("story", STORIES)
async def test_a_secret_appears_in_nothing_that_is_emitted(
    story: str, dialect: Dialect, method: str, log: Callable[[], str]
) -> None:
    emitted: list[str] = []
    binary: list[bytes] = []

    def keep(event: Event) -> None:
        emitted.extend((repr(event), str(event.as_fields()), str(dataclasses.asdict(event))))
        emitted.append(repr(copy.deepcopy(event)))
        binary.append(pickle.dumps(event))

    def fails(event: Event) -> None:
        raise RuntimeError(SECRET)

    policy = Policy(retry=RetryPolicy(deadline=100.0))
    budget = RetryBudget()
    transport = AsyncResilientTransport(
        Scripted(*STORIES[story]),
        dialect=dialect,
        policy=policy,
        budget=budget,
        on_event=[Listener(each, level=Level.DEBUG) for each in (keep, fails)],
    )
    source: httpx.Response | Exception
    try:
        async with httpx.AsyncClient(transport=transport) as client:
            source = await client.request(
                method, URL, headers=HEADERS, content=f"body {SECRET}".encode()
            )
    except Exception as error:  # noqa: BLE001 - whatever comes out is what is looked at
        source = error
        emitted += error.__notes__
        if not isinstance(STORIES[story][-1], Exception):
            emitted.append(str(error))

    history = history_of(source)
    assert history is not None
    emitted += [repr(history), repr(history.attempts), repr(history.events), str(history)]
    emitted += [repr(copy.deepcopy(history)), repr(copy.copy(history).events)]
    binary += [pickle.dumps(history), pickle.dumps(history.attempts)]
    if isinstance(source, httpx.Response) and source.status_code >= 400:
        emitted += [repr(error_of(source)), str(error_of(source))]
        with pytest.raises(ApiError) as caught:
            raise_for_error(source)
        emitted += [str(caught.value), repr(caught.value)]
        emitted.append("".join(traceback.format_exception_only(caught.value)))
        emitted.append(repr(source.stream))
    emitted += [repr(transport), repr(transport.policy), transport.policy.describe()]
    emitted += [limits_of(transport), repr(budget), log()]
    assert transport.rate_limits()
    assert log()
    for text in emitted:
        assert SECRET not in text
    for data in binary:
        assert SECRET.encode() not in data


async def test_what_a_hook_raises_is_told_by_its_class_alone(log: Callable[[], str]) -> None:
    async def hook(failed: FailedAttempt, request: httpx.Request) -> None:
        told.append(repr(failed))
        raise ValueError(f"{SECRET} was wrong")

    told: list[str] = []
    transport = AsyncResilientTransport(
        Scripted(planted(409, "version_conflict")),
        recover={"version_conflict": hook},
        on_event=Listener(lambda event: told.append(repr(event)), level=Level.DEBUG),
    )
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(ValueError, match=SECRET) as caught:
            await client.get(URL, headers=HEADERS)
    cause = caught.value.__cause__
    assert isinstance(cause, ApiError)
    history = history_of(caught.value)
    assert history is not None
    assert history.attempts[0].code == "version_conflict"
    told += [str(cause), repr(cause), *caught.value.__notes__, repr(history), repr(history.events)]
    assert all(SECRET not in text for text in [*told, log()])
    assert "raised" in log()


async def test_a_redirects_target_is_told_without_its_query_and_userinfo(
    log: Callable[[], str],
) -> None:
    to = f"https://user:{SECRET}@other.example/v1/secrets/next?token={SECRET}#{SECRET}"
    told: list[str] = []
    transport = AsyncResilientTransport(
        Scripted(Reply(302, headers=(("Location", to),)), planted(404, "secret_not_found")),
        on_event=Listener(lambda event: told.append(repr(event)), level=Level.DEBUG),
    )
    async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
        response = await client.get(URL, headers=HEADERS)
    assert response.url.host == "other.example"
    told += [repr(history_of(each)) for each in (*response.history, response)]
    assert "/v1/secrets/next" in log()
    assert all(SECRET not in text for text in [*told, log(), limits_of(transport)])


async def test_a_call_that_the_throttle_refuses_tells_no_secret(log: Callable[[], str]) -> None:
    spent = (("X-RateLimit-Limit", "9"), ("X-RateLimit-Remaining", "0"))
    told: list[str] = []
    transport = AsyncResilientTransport(
        Scripted(Reply(200, headers=(*spent, ("X-RateLimit-Reset", "3000")))),
        policy=Policy(throttle=ThrottlePolicy(max_wait=5.0)),
        on_event=Listener(lambda event: told.append(repr(event)), level=Level.DEBUG),
    )
    async with httpx.AsyncClient(transport=transport) as client:
        await client.get(URL, headers=HEADERS)
        with pytest.raises(ThrottleTimeout) as caught:
            await client.get(URL, headers=HEADERS)
    error = caught.value
    told += [str(error), repr(error), error.scope, *error.__notes__, repr(history_of(error))]
    told += [repr(transport.rate_limits()), log()]
    assert "throttle_timeout" in log()
    assert all(SECRET not in text for text in told)


async def test_the_secret_is_where_it_was_asked_for() -> None:
    transport = AsyncResilientTransport(Scripted(planted(404, "secret_not_found")))
    async with httpx.AsyncClient(transport=transport) as client:
        info = error_of(await client.get(URL))
    assert info is not None
    assert info.message == f"password {SECRET} is wrong"
    assert info.details["path"] == SECRET
    assert info.fields[0]["field"] == SECRET


async def test_an_api_error_of_an_odd_code_tells_no_word_of_the_server() -> None:
    for code in (f"{SECRET} {SECRET}", "\x1b[31mred", "a\nb"):
        transport = AsyncResilientTransport(Scripted(planted(400, code)))
        async with httpx.AsyncClient(transport=transport) as client:
            response = await client.get(URL)
        with pytest.raises(ApiError) as caught:
            raise_for_error(response)
        for text in (str(caught.value), repr(caught.value), repr(history_of(response))):
            assert code not in text
            assert "\x1b" not in text
            assert SECRET not in text


async def test_a_path_that_holds_a_secret_is_hidden_by_redact_everywhere(
    log: Callable[[], str],
) -> None:
    emitted: list[str] = []
    transport = AsyncResilientTransport(
        Scripted(httpx.ReadError("x")),
        on_event=Listener(lambda event: emitted.append(repr(event)), level=Level.DEBUG),
        redact=lambda path: path.replace(SECRET, "***"),
    )
    async with httpx.AsyncClient(transport=transport) as client:
        with pytest.raises(httpx.ReadError) as caught:
            await client.get(f"https://vault.example/v1/{SECRET}/x")
    history = history_of(caught.value)
    assert history is not None
    emitted += [repr(history), repr(history.events), *caught.value.__notes__, log()]
    assert all(SECRET not in text for text in emitted)
    assert SECRET.encode() not in pickle.dumps(history)
