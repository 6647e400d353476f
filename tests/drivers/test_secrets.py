"""A secret planted anywhere appears in nothing that this library emits."""

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
    Policy,
    RetryPolicy,
    error_of,
    history_of,
    raise_for_error,
)
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
            wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG),
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
        emitted.extend((repr(event), str(event.as_fields())))
        binary.append(pickle.dumps(event))

    def fails(event: Event) -> None:
        raise RuntimeError(SECRET)

    policy = Policy(retry=RetryPolicy(deadline=100.0))
    transport = AsyncResilientTransport(
        Scripted(*STORIES[story]), dialect=dialect, policy=policy, on_event=[keep, fails]
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
    binary += [pickle.dumps(history), pickle.dumps(history.attempts)]
    if isinstance(source, httpx.Response) and source.status_code >= 400:
        emitted += [repr(error_of(source)), str(error_of(source))]
        with pytest.raises(ApiError) as caught:
            raise_for_error(source)
        emitted += [str(caught.value), repr(caught.value)]
        emitted.append("".join(traceback.format_exception_only(caught.value)))
        emitted.append(repr(source.stream))
    emitted += [repr(transport), log()]
    assert log()
    for text in emitted:
        assert SECRET not in text
    for data in binary:
        assert SECRET.encode() not in data


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
        on_event=lambda event: emitted.append(repr(event)),
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
