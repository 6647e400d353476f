"""A transport of ours within another one: the outer one retries, the inner one does not."""

import functools
import importlib
import types
from collections.abc import Callable
from types import ModuleType
from typing import Any

import anyio
import httpx
import pytest

from httpx_resilience import (
    GENERIC,
    AsyncResilientTransport,
    Backoff,
    Dialect,
    ErrorClass,
    Event,
    Level,
    NestedTransport,
    Policy,
    RetryPolicy,
    history_of,
)
from httpx_resilience._nesting import MOST_OBJECTS, holds
from httpx_resilience.instrumentation.history import CallHistory
from support.clients import STEADY, call
from support.parity import LIBRARIES, door_of
from support.scripted import OK, UNAVAILABLE, URL, Ear, Reply, Scripted, coded, get

pytestmark = pytest.mark.anyio

QUICK = RetryPolicy(backoff={ErrorClass.TRANSIENT: Backoff(initial=0.001, jitter="none")})
POLICY = Policy(retry=STEADY, throttle=None, park=None)


def told(source: object) -> CallHistory:
    history = history_of(source)
    assert history is not None
    return history


class Wrapper(httpx.AsyncBaseTransport):
    """Somebody else's: it keeps what it wraps where it can be seen."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._inner.handle_async_request(request)


class Slotted(Wrapper):
    __slots__ = ("kept",)

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self.kept = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self.kept.handle_async_request(request)


class Rewriting(Wrapper):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        made = httpx.Request(
            request.method,
            "https://other.example/moved",
            headers=request.headers,
            stream=request.stream,
            extensions=request.extensions,
        )
        return await self._inner.handle_async_request(made)


class InATask(Wrapper):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        got: list[httpx.Response] = []

        async def send() -> None:
            got.append(await self._inner.handle_async_request(request))

        async with anyio.create_task_group() as group:
            group.start_soon(send)
        return got[0]


def in_a_closure(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    return httpx.MockTransport(lambda request: inner.handle_async_request(request))


def in_a_client(inner: httpx.AsyncBaseTransport) -> httpx.AsyncBaseTransport:
    async def forward(client: httpx.AsyncClient, request: httpx.Request) -> httpx.Response:
        return await client._transport.handle_async_request(request)

    client = httpx.AsyncClient(transport=inner)
    return httpx.MockTransport(functools.partial(forward, client))


WAYS: dict[str, Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport]] = {
    "directly": lambda inner: inner,
    "in a wrapper": Wrapper,
    "in wrappers": lambda inner: Wrapper(Wrapper(inner)),
    "in a wrapper with slots": Slotted,
    "in one that rewrites the URL": Rewriting,
    "in one that sends in a task": InATask,
    "in a closure": in_a_closure,
    "in a client": in_a_client,
}


@pytest.mark.parametrize("dialect", [GENERIC, Dialect(name="x")], ids=["generic", "another"])
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_the_inner_one_does_not_retry(
    way: Callable[[httpx.AsyncBaseTransport], httpx.AsyncBaseTransport], dialect: Dialect
) -> None:
    server, ear, above = Scripted(UNAVAILABLE), Ear(), Ear()
    inner = AsyncResilientTransport(server, policy=POLICY, on_event=ear, dialect=dialect)
    outer = AsyncResilientTransport(way(inner), policy=POLICY, on_event=above, dialect=dialect)
    response = await call(outer)
    assert server.attempts == 4
    assert (told(response).reason, told(response).retries) == ("attempts_exhausted", 3)
    assert ear.names == ["nested_transport", *(["gave_up"] * 4)]
    assert {event.reason for event in ear.events[1:]} == {"disabled"}  # type: ignore[attr-defined]  # each of them has one
    assert above.names == [*(["retry_scheduled"] * 3), "gave_up"]


async def test_a_warning_says_so_once_for_each_transport() -> None:
    ear = Ear()
    inner = AsyncResilientTransport(Scripted(OK), policy=POLICY, on_event=ear)
    outer = AsyncResilientTransport(Wrapper(inner), policy=POLICY)
    for _ in range(3):
        await call(outer)
    (event,) = ear.events
    assert isinstance(event, NestedTransport)
    assert event.level is Level.WARNING
    assert event.as_fields() == {
        "schema": 1,
        "origin": "https://vault.example",
        "advice": event.advice,
    }


async def test_the_inner_one_retries_what_it_is_sent_by_others() -> None:
    server = Scripted(UNAVAILABLE)
    inner = AsyncResilientTransport(server, policy=POLICY)
    outer = AsyncResilientTransport(inner, policy=POLICY)
    await call(outer)
    assert server.attempts == 4
    assert told(await call(inner)).reason in ("attempts_exhausted", "budget_exhausted")
    assert server.attempts > 5


async def test_a_wrappers_own_requests_through_one_of_ours_are_retried() -> None:
    class WithToken(Wrapper):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            async with httpx.AsyncClient(transport=self._inner) as client:
                token = (await client.get("https://tokens.example/token")).text
            request.headers["Authorization"] = f"Bearer {token}"
            return await target.handle_async_request(request)

    target = Scripted(OK)
    tokens, ear = Scripted(Reply(503), Reply(503), Reply(200, (b"t",))), Ear()
    inner = AsyncResilientTransport(tokens, policy=POLICY, on_event=ear, dialect=GENERIC)
    outer = AsyncResilientTransport(WithToken(inner), policy=POLICY)
    assert (await call(outer)).status_code == 200
    assert (tokens.attempts, target.attempts) == (3, 1)
    assert "nested_transport" not in ear.names


async def test_one_that_is_too_well_hidden_is_found_by_its_first_failure() -> None:
    server, ear = Scripted(UNAVAILABLE), Ear()

    async def answer(request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await HIDDEN["inner"].handle_async_request(request)
        return response

    outer = AsyncResilientTransport(httpx.MockTransport(answer), policy=POLICY.replace(budget=None))
    HIDDEN["inner"] = AsyncResilientTransport(
        server, policy=POLICY.replace(budget=None), on_event=ear
    )
    await call(outer)
    assert server.attempts == 4 + 3  # the first attempt of the outer one was retried by the inner
    assert ear.names.count("nested_transport") == 1
    await call(outer)
    assert server.attempts == 4 + 3 + 4


async def test_one_that_is_hidden_is_found_by_an_exception_too() -> None:
    server = Scripted(httpx.ConnectError("x"))

    async def answer(request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await HIDDEN["inner"].handle_async_request(request)
        return response

    policy = POLICY.replace(budget=None)
    outer = AsyncResilientTransport(httpx.MockTransport(answer), policy=policy)
    HIDDEN["inner"] = AsyncResilientTransport(server, policy=policy)
    for attempts in (7, 11):
        with pytest.raises(httpx.ConnectError) as raised:
            await call(outer)
        assert server.attempts == attempts
        assert len(getattr(raised.value, "__notes__", [])) == 1


HIDDEN: dict[str, Any] = {}
"""Where no transport is looked for."""


async def test_the_users_request_is_not_changed() -> None:
    outer = AsyncResilientTransport(
        AsyncResilientTransport(Scripted(OK), dialect=GENERIC), dialect=GENERIC
    )
    request = get(extensions={"trace": "mine"})
    await outer.handle_async_request(request)
    assert request.extensions == {"trace": "mine"}


async def test_nor_is_it_where_the_inner_one_is_hidden() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        response: httpx.Response = await HIDDEN["inner"].handle_async_request(request)
        return response

    HIDDEN["inner"] = AsyncResilientTransport(Scripted(Reply(404)), dialect=GENERIC)
    outer = AsyncResilientTransport(httpx.MockTransport(answer), dialect=GENERIC)
    request = get(extensions={"trace": "mine"})
    for _ in range(2):
        await outer.handle_async_request(request)
    assert request.extensions == {"trace": "mine"}


async def test_a_request_is_its_users_own_where_nothing_is_nested() -> None:
    server = Scripted(OK)
    request = get()
    await AsyncResilientTransport(server, dialect=GENERIC).handle_async_request(request)
    assert server.requests == [request]


async def test_the_request_of_a_hook_is_sent_once_too() -> None:
    async def hook(failed: object, request: httpx.Request) -> httpx.Request:
        return httpx.Request("PUT", request.url)

    server = Scripted(coded(409, "version_conflict"), UNAVAILABLE, OK)
    inner = AsyncResilientTransport(server, policy=POLICY)
    outer = AsyncResilientTransport(inner, policy=POLICY, recover={"version_conflict": hook})
    response = await call(outer)
    assert (response.status_code, server.attempts) == (200, 3)
    assert told(response).retries == 2


async def test_a_veto_of_ours_does_not_stop_ourselves() -> None:
    server, loud = Scripted(UNAVAILABLE, OK), POLICY.replace(stop_layers_above=True)
    outer = AsyncResilientTransport(AsyncResilientTransport(server, policy=loud), policy=loud)
    assert (await call(outer)).status_code == 200
    assert server.attempts == 2


async def test_of_three_the_outermost_retries() -> None:
    server = Scripted(UNAVAILABLE)
    transport: httpx.AsyncBaseTransport = server
    for _ in range(3):
        transport = AsyncResilientTransport(transport, policy=POLICY)
    await call(transport)
    assert server.attempts == 4


@pytest.mark.parametrize("library", LIBRARIES)
def test_synchronous_transports_do_the_same(library: str) -> None:
    http: ModuleType = importlib.import_module(library)
    kind = door_of(library).ResilientTransport

    class Sync(http.BaseTransport):  # type: ignore[misc, name-defined]  # of either library
        def __init__(self, inner: Any) -> None:
            self.inner = inner

        def handle_request(self, request: Any) -> Any:
            return self.inner.handle_request(request)

    for way in (Sync, lambda inner: inner):
        sent: list[Any] = []
        events: list[Event] = []

        def answer(request: Any, sent: list[Any] = sent) -> Any:
            sent.append(request)
            return http.Response(503 if len(sent) < 3 else 200)

        inner = kind(http.MockTransport(answer), on_event=events.append, dialect=GENERIC)
        outer = kind(way(inner), dialect=GENERIC, policy=Policy(retry=QUICK, park=None))
        with http.Client(transport=outer) as client:
            response = client.get(URL)
        assert (response.status_code, len(sent), told(response).retries) == (200, 3, 2)
        assert [event.name for event in events] == ["nested_transport", "gave_up", "gave_up"]
        assert sent[0].extensions["timeout"]["read"] is not None


# What is looked through.


class Kept:
    """What is looked for."""


class Lying:
    @property
    def __class__(self) -> Any:
        raise AssertionError("it was asked")

    @__class__.setter
    def __class__(self, kind: Any) -> None: ...

    @property
    def __dict__(self) -> Any:  # type: ignore[override]  # it misbehaves
        raise RuntimeError("it was asked")


def kept_in(thing: Any) -> dict[str, Any]:
    def closes_over() -> Any:
        return thing

    def later() -> Any:
        return not_yet

    lately = list(map(bool, ()))
    for not_yet in lately:
        assert not_yet
    method = types.MethodType(lambda _: None, thing)
    return {
        "itself": thing,
        "a list": [1, "x", (None, {thing})],
        "a dictionary": {"a": {"b": thing}},
        "a closure": [later, closes_over],
        "a method": method,
        "a partial": functools.partial(print, thing, end=thing),
        "an attribute": types.SimpleNamespace(a=types.SimpleNamespace(b=thing)),
        "beside what lies": [Lying(), thing],
    }


@pytest.mark.parametrize("name", kept_in("x"))
def test_it_is_found_wherever_it_is_kept(name: str) -> None:
    assert holds(kept_in(Kept())[name], Kept)
    assert not holds(kept_in("another")[name], Kept)


def test_what_is_large_is_not_looked_through() -> None:
    wide = [[Kept()] for _ in range(60)]
    assert holds(wide, Kept)
    assert not holds([*([0] * 60), Kept()], Kept)
    deep: Any = Kept()
    for _ in range(MOST_OBJECTS + 1):
        deep = [deep]
    assert not holds(deep, Kept)


def test_what_holds_itself_is_looked_through_once() -> None:
    circle: list[Any] = []
    circle.append(circle)
    assert not holds(circle, Kept)
