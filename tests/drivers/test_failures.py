"""Every failure, end to end in virtual time: how often it is sent, what comes out, what is told."""

import ssl
from typing import Any

import httpx
import pytest

from httpx_resilience import (
    SCAIVAULT,
    ApiError,
    AsyncResilientTransport,
    history_of,
    raise_for_error,
)
from support import contract
from support.clients import Counted, call, resilient
from support.contract import CODES, EXCEPTIONS, METHODS, UNCODED, with_parking
from support.scripted import OK, Ear, Reply, coded, get

pytestmark = pytest.mark.anyio

PERHAPS_PROCESSED = {
    "ReadError", "ReadTimeout", "WriteError", "WriteTimeout", "CloseError", "RemoteProtocolError",
}  # fmt: skip


@pytest.fixture(autouse=True)
def _even_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.random", lambda: 0.5)


def made(name: str) -> Exception:
    kind = getattr(httpx, name)
    request = httpx.Request("GET", "https://vault.example")
    if name == "HTTPStatusError":
        return httpx.HTTPStatusError("x", request=request, response=httpx.Response(500))
    if name in ("RequestNotRead", "ResponseNotRead", "StreamClosed", "StreamConsumed"):
        return kind()  # type: ignore[no-any-return]
    return kind("x")  # type: ignore[no-any-return]


def test_the_table_holds_every_exception_of_httpx() -> None:
    public = {
        name
        for name in httpx.__all__
        if isinstance(getattr(httpx, name), type) and issubclass(getattr(httpx, name), Exception)
    }
    # httpx2 has one of its own, for whoever reads events: no transport raises it.
    assert set(EXCEPTIONS) == public - {"SSEError"}


def check_line(line: dict[str, Any], expected: dict[str, object]) -> None:
    assert line.pop("event") == "gave_up"
    assert line.pop("origin") == "https://vault.example"
    assert line.pop("path") == "/v1/secrets/app"
    assert len(line.pop("call_id")) == 32
    line.pop("advice", None)
    line.pop("request_id", None)
    assert line == expected


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", EXCEPTIONS)
async def test_every_exception_of_httpx_is_repeated_as_the_table_says(
    name: str, method: str
) -> None:
    expected, error, ear = with_parking(EXCEPTIONS[name][method]), made(name), Ear()
    transport, inner = resilient(error, on_event=ear, budget=Counted())
    with pytest.raises(type(error)) as caught:
        await call(transport, method=method, content=b"body")
    assert caught.value is error
    assert inner.gaps == list(expected.delays)
    assert inner.attempts == expected.attempts
    line = contract.last_line(
        expected, method, exception_type=name, perhaps_processed=name in PERHAPS_PROCESSED
    )
    check_line(ear.last(), line)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("code", CODES)
async def test_every_code_is_repeated_as_the_table_says(code: str, method: str) -> None:
    (status, unparked), ear = CODES[code], Ear()
    expected = with_parking(unparked)
    transport, inner = resilient(coded(status, code), on_event=ear, budget=Counted())
    response = await call(transport, method=method, content=b"body")
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert inner.gaps == list(expected.delays)
    assert inner.attempts == expected.attempts
    processed = status in contract.SERVER_ERRORS
    line = contract.last_line(
        expected, method, status=status, code=code, perhaps_processed=processed
    )
    check_line(ear.last(), line)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("status", UNCODED)
async def test_every_response_without_a_code_is_repeated_as_the_table_says(
    status: int, method: str
) -> None:
    expected, ear = with_parking(UNCODED[status][method]), Ear()
    page = Reply(status, (b"<html>nobody home</html>",))
    transport, inner = resilient(page, on_event=ear, budget=Counted())
    response = await call(transport, method=method, content=b"body")
    assert response.text == "<html>nobody home</html>"
    assert inner.gaps == list(expected.delays)
    processed = status in contract.SERVER_ERRORS or status == 408
    line = contract.last_line(expected, method, status=status, perhaps_processed=processed)
    check_line(ear.last(), line)


async def test_a_certificate_that_does_not_verify_is_not_tried_again() -> None:
    error = httpx.ConnectError("x")
    error.__cause__ = ssl.SSLCertVerificationError("self-signed")
    transport, inner = resilient(error)
    with pytest.raises(httpx.ConnectError) as caught:
        await call(transport)
    assert inner.attempts == 1
    history = history_of(caught.value)
    assert history is not None
    assert history.reason == "permanent"


async def test_a_certificate_failure_is_found_below_other_causes() -> None:
    error, middle = httpx.ConnectError("x"), OSError("y")
    error.__cause__ = middle
    middle.__context__ = ssl.SSLCertVerificationError("expired")
    transport, inner = resilient(error)
    with pytest.raises(httpx.ConnectError):
        await call(transport)
    assert inner.attempts == 1


class _StreamReset:
    """What h2 hands to httpcore when the peer ends a stream."""

    def __init__(self, error_code: int) -> None:
        self.error_code = error_code


def reset(error_code: int) -> httpx.RemoteProtocolError:
    error = httpx.RemoteProtocolError("x")
    error.__cause__ = RuntimeError(_StreamReset(error_code))
    return error


@pytest.mark.parametrize(("error_code", "attempts"), [(7, 2), (8, 1), (0, 1)])
async def test_a_stream_that_http2_refused_is_repeated_for_post_and_no_other_reset_is(
    error_code: int, attempts: int
) -> None:
    transport, inner = resilient(reset(error_code), OK)
    if attempts == 2:
        assert (await call(transport, method="POST", content=b"x")).status_code == 200
    else:
        with pytest.raises(httpx.RemoteProtocolError):
            await call(transport, method="POST", content=b"x")
    assert inner.attempts == attempts


async def test_a_bug_in_an_inner_transport_comes_out_as_itself_at_once() -> None:
    error = ZeroDivisionError("x")
    transport, inner = resilient(error)
    with pytest.raises(ZeroDivisionError) as caught:
        await call(transport)
    assert caught.value is error
    assert inner.attempts == 1


async def test_a_response_that_breaks_the_rules_of_http_is_still_returned() -> None:
    async def odd(request: httpx.Request) -> httpx.Response:
        return httpx.Response(799, content=b"what is this")

    transport = AsyncResilientTransport(httpx.MockTransport(odd))
    response = await call(transport)
    assert (response.status_code, response.content) == (799, b"what is this")


async def test_the_wall_clock_of_the_client_does_not_matter_for_a_date_in_retry_after() -> None:
    headers = {
        "Date": "Tue, 14 Nov 2023 22:13:20 GMT",
        "Retry-After": "Tue, 14 Nov 2023 22:13:27 GMT",
    }
    transport, inner = resilient(coded(429, "rate_limited", headers), OK)
    await call(transport)
    assert 7.0 <= inner.gaps[0] <= 7.7


async def test_a_wait_that_is_too_long_ends_the_call_with_the_time_to_come_back() -> None:
    transport, inner = resilient(coded(429, "rate_limited", {"Retry-After": "3600"}))
    response = await call(transport)
    history = history_of(response)
    assert history is not None
    assert (inner.attempts, history.reason) == (1, "retry_after_too_long")
    assert history.retry_at is not None


async def test_two_seconds_asked_are_two_seconds_waited() -> None:
    transport, inner = resilient(coded(429, "rate_limited", {"Retry-After": "2"}), OK)
    assert (await call(transport)).status_code == 200
    assert 2.0 <= inner.gaps[0] <= 2.2


@pytest.mark.parametrize("named", [False, True])
async def test_a_code_of_another_api_is_explained_to_whoever_named_no_dialect(named: bool) -> None:
    ear = Ear()
    answer = Reply(401, (b'{"error": {"code": "invalid_api_key"}}',))
    options: dict[str, Any] = {"dialect": SCAIVAULT} if named else {}
    transport, _ = resilient(answer, on_event=ear, **options)
    response = await transport.handle_async_request(get())
    response.request = get()
    with pytest.raises(ApiError) as caught:
        raise_for_error(response)
    said = ear.last().get("advice") or ""
    for text in (said, str(caught.value)):
        assert ("dialect=GENERIC" in text) is not named
