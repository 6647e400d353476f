"""Async functions where plain ones belong: refused by name, and nothing is left unawaited.

Warnings are errors here: a coroutine that nobody awaits fails the test.
"""

import asyncio
import functools
import gc
import logging
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any
from unittest.mock import AsyncMock, MagicMock

import anyio
import pytest

from httpx_resilience import GENERIC, SCAIVAULT, AsyncResilientTransport, Listener, Policy
from support.scripted import OK, UNAVAILABLE, Ear, Scripted, get

pytestmark = pytest.mark.anyio


async def is_async(argument: Any) -> str:
    return "x"


async def generates(argument: Any) -> AsyncIterator[str]:
    yield "x"


class Caller:
    async def __call__(self, argument: Any) -> str:
        return "x"

    async def method(self, argument: Any) -> str:
        return "x"


class Later:
    """Can be awaited, and needs no closing."""

    def __await__(self) -> Generator[None, None, str]:
        yield
        return "x"


ASYNC: dict[str, Callable[[Any], Any]] = {
    "function": is_async,
    "generator": generates,
    "object": Caller(),
    "method": Caller().method,
    "partial": functools.partial(is_async),
    "partial of an object": functools.partial(functools.partial(Caller())),
    "mock": AsyncMock(),
}


@pytest.mark.parametrize("argument", ["on_event", "redact", "identity"])
@pytest.mark.parametrize("kind", ASYNC)
def test_an_async_function_is_refused_when_its_owner_is_made(argument: str, kind: str) -> None:
    options: dict[str, Any] = {argument: ASYNC[kind]}
    with pytest.raises(TypeError, match=f"^{argument}: got .*: not an async function$"):
        AsyncResilientTransport(**options)


def test_an_async_listener_among_several_is_refused() -> None:
    with pytest.raises(TypeError, match=r"^on_event: got .*: not an async function$"):
        AsyncResilientTransport(on_event=[print, is_async])


def test_a_listener_with_a_level_is_refused_too_and_keeps_the_function_that_it_was_given() -> None:
    with pytest.raises(TypeError, match=r"^callback: got .*: not an async function$"):
        Listener(is_async, level="debug")
    ear = Ear()
    assert Listener(ear).callback is ear
    assert repr(Listener(print)) == "Listener(<built-in function print>, level=Level.INFO)"


DISGUISED: dict[str, Callable[[Any], Any]] = {
    "lambda": lambda argument: is_async(argument),
    "partial of a lambda": functools.partial(lambda argument: is_async(argument)),
    "lambda of an object": lambda argument: Later(),
}


@pytest.mark.parametrize("kind", DISGUISED)
async def test_an_identity_that_returns_an_awaitable_is_refused_at_the_call(kind: str) -> None:
    inner = Scripted(OK)
    transport = AsyncResilientTransport(inner, identity=DISGUISED[kind])
    words = r"^identity: it returned an awaitable \(\w+\), allowed is a plain function$"
    for _ in range(2):
        with pytest.raises(TypeError, match=words):
            await transport.handle_async_request(get())
    gc.collect()
    assert inner.attempts == 0


@pytest.mark.parametrize("dialect", [SCAIVAULT, GENERIC], ids=lambda dialect: dialect.name)
@pytest.mark.parametrize("policy", [Policy(), Policy(throttle=None)], ids=["paced", "not paced"])
@pytest.mark.parametrize("kind", DISGUISED)
async def test_a_redact_that_returns_an_awaitable_is_refused_at_the_call(
    kind: str, dialect: Any, policy: Policy
) -> None:
    inner = Scripted(OK)
    transport = AsyncResilientTransport(
        inner, redact=DISGUISED[kind], dialect=dialect, policy=policy
    )
    words = r"^redact: it returned an awaitable \(\w+\), allowed is a plain function$"
    for _ in range(2):
        with pytest.raises(TypeError, match=words):
            await transport.handle_async_request(get())
    gc.collect()
    assert inner.attempts == 0


async def test_a_redact_that_turns_out_to_be_async_in_midst_of_a_call_hides_the_path() -> None:
    def sly(path: str) -> Any:
        return is_async(path)

    ear = Ear()
    transport = AsyncResilientTransport(
        Scripted(UNAVAILABLE, OK), redact=sly, on_event=ear, policy=Policy(throttle=None)
    )
    assert (await transport.handle_async_request(get())).status_code == 200
    gc.collect()
    assert {event.as_fields()["path"] for event in ear.events} == {"invalid"}


async def test_a_redact_that_raises_is_left_to_hide_the_path() -> None:
    transport = AsyncResilientTransport(Scripted(OK), redact=lambda path: path[99])
    assert (await transport.handle_async_request(get())).status_code == 200


@pytest.mark.parametrize("kind", DISGUISED)
async def test_a_listener_that_returns_an_awaitable_is_logged_once_and_breaks_no_call(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    ear = Ear()
    transport = AsyncResilientTransport(
        Scripted(UNAVAILABLE, OK), on_event=[DISGUISED[kind], ear], policy=Policy(throttle=None)
    )
    with caplog.at_level(logging.ERROR, "httpx_resilience"):
        assert (await transport.handle_async_request(get())).status_code == 200
    gc.collect()
    (line,) = [text for text in caplog.messages if "listener_failed" in text]
    assert "exception_type=TypeError" in line
    assert len(ear.events) > 1


async def test_a_listener_may_return_anything_else(
    anyio_backend_name: str, caplog: pytest.LogCaptureFixture
) -> None:
    noted: list[Any] = []
    on_asyncio = anyio_backend_name == "asyncio"
    mock = MagicMock()

    def start_a_task(event: Any) -> Any:  # it runs by itself: nobody need wait for it
        async def note() -> None:
            noted.append(event)

        return asyncio.ensure_future(note()) if on_asyncio else noted.append(event)

    transport = AsyncResilientTransport(
        Scripted(UNAVAILABLE, OK), on_event=[mock, start_a_task, lambda event: 7]
    )
    await transport.handle_async_request(get())
    await anyio.sleep(0.1)
    assert mock.call_count == len(noted) > 1
    assert "listener_failed" not in caplog.text


@pytest.mark.parametrize("returned", [b"hunter2", 7, ["hunter2"], True])
async def test_what_identity_returns_is_checked_and_not_shown(returned: Any) -> None:
    inner = Scripted(OK)
    transport = AsyncResilientTransport(inner, identity=lambda _: returned)
    words = r"^identity: it returned an? \w+, allowed is str or None$"
    with pytest.raises(TypeError, match=words) as caught:
        await transport.handle_async_request(get())
    assert "hunter2" not in str(caught.value)
    assert inner.attempts == 0


@pytest.mark.parametrize("returned", ["alice", "", None])
async def test_a_name_or_none_is_an_identity(returned: str | None) -> None:
    transport = AsyncResilientTransport(Scripted(OK), identity=lambda _: returned)
    assert (await transport.handle_async_request(get())).status_code == 200
