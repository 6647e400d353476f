"""The thin driver: whose request it sends, whose errors it raises, and whom it tells."""

import asyncio
import copy
import functools
import logging
import pickle
import weakref
from dataclasses import replace
from typing import Any

import anyio
import httpx
import pytest

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    ApiError,
    AsyncResilientTransport,
    AttemptFinished,
    BudgetPolicy,
    Event,
    GaveUp,
    Policy,
    RequestRules,
    RetryPolicy,
    error_of,
    history_of,
    raise_for_error,
    redact_path,
)
from support.clients import ONCE, STEADY, UNPACED, Counted, call, resilient
from support.scripted import OK, UNAVAILABLE, URL, Ear, Reply, Scripted, coded, get
from support.virtual import VirtualLoop

pytestmark = pytest.mark.anyio

REQUEST_ID = "X-Request-ID"


class TestRequest:
    """The user's request."""

    async def test_the_users_request_is_the_same_before_and_after(self) -> None:
        request = get(method="POST", json={"a": 1}, extensions={"timeout": {"read": 5.0}})
        before, parts = copy.copy(request.__dict__), copy.deepcopy(request.headers.raw)
        extensions = dict(request.extensions)
        transport, inner = resilient(UNAVAILABLE, OK)
        await transport.handle_async_request(request)
        assert request.__dict__ == before
        assert all(request.__dict__[name] is value for name, value in before.items())
        assert request.headers.raw == parts
        assert request.extensions == extensions
        assert REQUEST_ID in inner.requests[0].headers

    async def test_what_is_sent_is_the_users_request_but_for_the_added_header(self) -> None:
        request = get(URL + "?q=1", method="PUT", content=b"body", headers={"X-A": "b"})
        transport, inner = resilient(OK)
        await transport.handle_async_request(request)
        (sent,) = inner.requests
        assert (sent.method, sent.url, sent.extensions) == ("PUT", request.url, request.extensions)
        added = [header for header in sent.headers.raw if header not in request.headers.raw]
        assert [name for name, _ in added] == [REQUEST_ID.encode()]
        assert sent.headers.raw[: len(request.headers.raw)] == request.headers.raw
        assert inner.bodies == [b"body"]
        assert sent.content == b"body"

    async def test_every_attempt_of_a_call_carries_the_same_id(self) -> None:
        transport, inner = resilient(UNAVAILABLE, UNAVAILABLE, OK)
        response = await transport.handle_async_request(get())
        ids = {sent.headers[REQUEST_ID] for sent in inner.requests}
        assert ids == {response.extensions["resilience"].call_id}
        assert len(inner.requests) == 3

    async def test_a_request_sent_twice_makes_two_calls_with_two_ids(self) -> None:
        request, (transport, inner) = get(), resilient(OK)
        await transport.handle_async_request(request)
        await transport.handle_async_request(request)
        first, second = (sent.headers[REQUEST_ID] for sent in inner.requests)
        assert first != second
        assert REQUEST_ID not in request.headers

    async def test_a_request_id_of_the_users_own_is_respected(self) -> None:
        transport, inner = resilient(UNAVAILABLE, OK)
        request = get(headers={"x-request-id": "mine"})
        response = await transport.handle_async_request(request)
        assert [sent.headers.get_list(REQUEST_ID) for sent in inner.requests] == [["mine"]] * 2
        assert response.extensions["resilience"].call_id != "mine"

    async def test_a_dialect_without_a_request_id_gets_the_users_request_itself(self) -> None:
        transport, inner = resilient(OK, dialect=GENERIC)
        request = get()
        await transport.handle_async_request(request)
        assert inner.requests[0] is request

    async def test_a_dialect_may_have_keys_sent_that_are_the_same_on_every_attempt(self) -> None:
        rules = RequestRules(idempotency_header="Idempotency-Key")
        keyed = replace(GENERIC, requests=rules)
        lost = httpx.ReadError("x")
        transport, inner = resilient(lost, lost, OK, dialect=keyed)
        await transport.handle_async_request(get(method="POST", content=b"x"))
        keys = [sent.headers["Idempotency-Key"] for sent in inner.requests]
        assert len(keys) == 3
        assert len(set(keys)) == 1
        await transport.handle_async_request(get(method="PATCH", content=b"x"))
        assert inner.requests[-1].headers["Idempotency-Key"] not in keys
        await transport.handle_async_request(get())
        assert "Idempotency-Key" not in inner.requests[-1].headers

    async def test_a_redirect_and_what_it_leads_to_are_two_calls(self) -> None:
        moved = Reply(302, headers=(("Location", "/elsewhere"),))
        transport, inner = resilient(moved, UNAVAILABLE, OK)
        async with httpx.AsyncClient(transport=transport, follow_redirects=True) as client:
            response = await client.get(URL)
        assert response.status_code == 200
        first, second = response.history[0], response
        assert len(first.extensions["resilience"].attempts) == 1
        assert len(second.extensions["resilience"].attempts) == 2
        assert inner.requests[1].url.path == "/elsewhere"


class TestPolicyOfOneCall:
    """``extensions={"resilience": ...}``."""

    async def test_a_policy_of_its_own_holds_for_one_call(self) -> None:
        transport, inner = resilient(UNAVAILABLE, policy=Policy(budget=None))
        two = Policy(retry=RetryPolicy(max_attempts=2), budget=None)
        await call(transport, extensions={"resilience": two})
        assert inner.attempts == 2
        await call(transport)
        assert inner.attempts == 2 + 4

    async def test_none_sends_without_wait_or_retry(self) -> None:
        transport, inner = resilient(UNAVAILABLE, policy=Policy(retry=RetryPolicy(deadline=0.1)))
        response = await call(transport, extensions={"resilience": None})
        assert (response.status_code, inner.attempts) == (503, 1)
        assert response.extensions["resilience"].reason == "disabled"

    @pytest.mark.parametrize("given", [RetryPolicy(), "off", 3, False, {"retry": 1}])
    async def test_anything_else_raises_a_type_error_that_names_what_was_given(
        self, given: object
    ) -> None:
        transport, inner = resilient(OK)
        with pytest.raises(TypeError, match=rf"got a {type(given).__name__}, allowed is a Policy"):
            await call(transport, extensions={"resilience": given})
        assert inner.attempts == 0

    async def test_a_budget_of_another_kind_is_kept_apart(self) -> None:
        transport, inner = resilient(
            UNAVAILABLE, policy=Policy(park=None, budget=BudgetPolicy(floor=0.0))
        )
        assert (await call(transport)).extensions["resilience"].reason == "budget_exhausted"
        generous = Policy(park=None, budget=BudgetPolicy(floor=50.0, maximum=50.0))
        response = await call(transport, extensions={"resilience": generous})
        assert response.extensions["resilience"].reason == "attempts_exhausted"
        assert inner.attempts == 1 + 4


class TestExceptions:
    """What comes out."""

    async def test_the_last_exception_itself_is_raised(self) -> None:
        errors = [httpx.ReadError(str(n)) for n in range(4)]
        transport, _ = resilient(*errors)
        with pytest.raises(httpx.ReadError) as caught:
            await call(transport)
        assert caught.value is errors[3]
        assert caught.value.__cause__ is None
        assert caught.value.__context__ is None

    async def test_a_cause_that_it_had_is_the_cause_that_it_has(self) -> None:
        error, cause = httpx.ConnectError("x"), OSError("refused")
        error.__cause__ = cause
        transport, _ = resilient(error, policy=ONCE)
        with pytest.raises(httpx.ConnectError) as caught:
            await call(transport)
        assert caught.value.__cause__ is cause

    async def test_it_has_its_request_and_a_note_and_its_history(self) -> None:
        transport, inner = resilient(httpx.ReadError("x"), policy=Policy(retry=STEADY))
        with pytest.raises(httpx.ReadError) as caught:
            await call(transport)
        history = history_of(caught.value)
        assert history is not None
        assert inner.attempts == 4
        (note,) = caught.value.__notes__
        told = "httpx-resilience: gave up after 4 attempts in 6.25 s: attempts_exhausted"
        assert note == f"{told} (call_id {history.call_id})"
        assert caught.value.request.url.path == "/v1/secrets/app"

    async def test_one_attempt_is_told_in_the_singular(self) -> None:
        transport, _ = resilient(httpx.PoolTimeout("x"))
        with pytest.raises(httpx.PoolTimeout) as caught:
            await call(transport)
        assert "gave up after 1 attempt in 0 s: permanent" in caught.value.__notes__[0]

    async def test_an_exception_raised_again_by_a_later_call_tells_of_that_call(self) -> None:
        error = httpx.PoolTimeout("x")
        transport, _ = resilient(error)
        ids = []
        for _ in range(2):
            with pytest.raises(httpx.PoolTimeout):
                await call(transport)
            history = history_of(error)
            assert history is not None
            ids.append(history.call_id)
        assert ids[0] != ids[1]
        assert ids[1] in error.__notes__[-1]

    async def test_an_exception_object_that_ends_many_calls_bears_one_note_of_ours(self) -> None:
        error = httpx.PoolTimeout("x")
        error.add_note("the user's own")
        transport, _ = resilient(AsyncResilientTransport(Scripted(error)).handle_async_request)
        for _ in range(100):
            with pytest.raises(httpx.PoolTimeout):
                await call(transport)
        history = history_of(error)
        assert history is not None
        own, ours = error.__notes__
        assert own == "the user's own"
        assert ours.endswith(f"permanent (call_id {history.call_id})")

    async def test_an_exception_after_a_response_is_what_comes_out(self) -> None:
        error = httpx.ConnectError("x")
        transport, _ = resilient(UNAVAILABLE, error, error, error)
        with pytest.raises(httpx.ConnectError) as caught:
            await call(transport)
        history = history_of(caught.value)
        assert history is not None
        assert [a.status or a.exception_type for a in history.attempts] == [
            503, "ConnectError", "ConnectError", "ConnectError",
        ]  # fmt: skip

    async def test_a_base_exception_goes_through_untouched(self) -> None:
        async def stop(request: httpx.Request) -> httpx.Response:
            raise KeyboardInterrupt

        budget = Counted()
        transport, _ = resilient(UNAVAILABLE, stop, budget=budget)
        with pytest.raises(KeyboardInterrupt):
            await transport.handle_async_request(get())
        assert budget.balance(0.0) == 3.0


class TestResponses:
    """What is found on a response afterwards."""

    async def test_a_history_tells_attempts_delays_and_reason(self) -> None:
        transport, _ = resilient(UNAVAILABLE, OK, policy=Policy(retry=STEADY))
        response = await call(transport)
        history = history_of(response)
        assert history is not None
        first, second = history.attempts
        assert (first.status, first.code, first.error_class) == (
            503, "service_unavailable", "transient",
        )  # fmt: skip
        assert (first.delay, first.delay_source, first.request_id) == (0.5, "backoff", "req_abc123")
        assert (second.number, second.status, second.delay) == (2, 200, None)
        assert (history.reason, history.retries, history.elapsed) == ("success", 1, 0.5)
        assert not history.maybe_applied
        assert history.retry_at is None

    async def test_a_history_can_be_pickled_and_copied(self) -> None:
        transport, _ = resilient(UNAVAILABLE, OK, redact=redact_path, on_event=Ear().at_debug)
        history = history_of(await call(transport))
        assert history is not None
        for again in (pickle.loads(pickle.dumps(history)), copy.deepcopy(history)):
            assert again.attempts == history.attempts
            assert repr(again) == repr(history)

    async def test_a_clean_call_has_a_history_of_one_attempt(self) -> None:
        transport, _ = resilient(Reply(200, takes=1.5))
        history = history_of(await call(transport))
        assert history is not None
        assert [(a.number, a.status, a.duration) for a in history.attempts] == [(1, 200, 1.5)]
        assert (history.reason, history.elapsed, history.retries) == ("success", 1.5, 0)

    async def test_error_of_tells_what_the_api_said_though_nobody_read_the_body(self) -> None:
        transport, _ = resilient(coded(404, "secret_not_found"))
        async with (
            httpx.AsyncClient(transport=transport) as client,
            client.stream("GET", URL) as response,
        ):
            info = error_of(response)
        assert info is not None
        assert (info.code, info.message) == ("secret_not_found", "words for people")

    async def test_raise_for_error_raises_an_error_with_code_advice_and_attempts(self) -> None:
        transport, _ = resilient(UNAVAILABLE)
        response = await call(transport)
        with pytest.raises(ApiError, match=r"503 service_unavailable: .* \(after 4 attempts"):
            raise_for_error(response)
        with pytest.raises(httpx.HTTPStatusError):
            raise_for_error(response)

    async def test_history_of_an_api_error_is_that_of_its_response(self) -> None:
        transport, _ = resilient(UNAVAILABLE)
        response = await call(transport)
        with pytest.raises(httpx.HTTPStatusError) as caught:
            response.raise_for_status()
        assert history_of(caught.value) is response.extensions["resilience"]


class TestListeners:
    """``on_event`` and ``redact``."""

    async def test_one_callable_is_given_every_event(self) -> None:
        ear = Ear()
        transport, _ = resilient(UNAVAILABLE, OK, on_event=ear.at_debug)
        await call(transport)
        assert ear.names == [
            "attempt_finished", "retry_scheduled", "attempt_finished", "recovered",
        ]  # fmt: skip

    async def test_several_callables_are_given_the_same_records(self) -> None:
        one, two = Ear(), Ear()
        transport, _ = resilient(UNAVAILABLE, OK, on_event=[one.at_debug, two.at_debug])
        await call(transport)
        assert len(one.events) == 4
        assert all(a is b for a, b in zip(one.events, two.events, strict=True))

    async def test_a_callable_that_raises_is_logged_once_and_hurts_nobody(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        ear = Ear()

        def broken(event: Event) -> None:
            raise RuntimeError("hunter2")

        transport, _ = resilient(UNAVAILABLE, OK, on_event=(broken, ear.at_debug))
        with caplog.at_level(logging.INFO):
            assert (await call(transport)).status_code == 200
            assert (await call(transport)).status_code == 200
        lines = [r.getMessage() for r in caplog.records if "listener_failed" in r.getMessage()]
        assert len(lines) == 1
        assert "exception_type=RuntimeError" in lines[0]
        assert "listener=0" in lines[0]
        assert "hunter2" not in lines[0]
        assert len(ear.events) == 5

    @pytest.mark.parametrize("given", [3, [3], ["print"]])
    def test_what_cannot_be_called_is_refused(self, given: Any) -> None:
        with pytest.raises(TypeError, match="on_event"):
            AsyncResilientTransport(on_event=given)

    async def test_paths_are_told_as_redact_gives_them(self) -> None:
        ear = Ear()
        transport, _ = resilient(UNAVAILABLE, on_event=ear.at_debug, redact=redact_path)
        await call(transport, url="https://vault.example/v1/secrets/prod/db?x=1")
        paths = {event.as_fields().get("path") for event in ear.events}
        assert paths == {"/v1/secrets/***", None}  # that the origin is unavailable is of no path

    async def test_a_redact_that_raises_hides_the_path_and_does_not_break_the_call(self) -> None:
        ear = Ear()

        def broken(path: str) -> str:
            raise RuntimeError("x")

        transport, _ = resilient(UNAVAILABLE, OK, on_event=ear.at_debug, redact=broken)
        assert (await call(transport)).status_code == 200
        assert {event.as_fields()["path"] for event in ear.events} == {"invalid"}


class TestWrapping:
    """The inner transport."""

    async def test_closing_reaches_the_inner_transport(self) -> None:
        transport, inner = resilient(OK)
        await transport.aclose()
        assert inner.is_closed

    async def test_the_context_manager_reaches_the_inner_transport(self) -> None:
        transport, inner = resilient(OK)
        async with transport as entered:
            assert entered is transport
            assert (inner.entered, inner.is_closed) == (1, False)
        assert inner.is_closed

    async def test_a_client_closes_the_inner_transport(self) -> None:
        transport, inner = resilient(OK)
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get(URL)
        assert inner.is_closed

    @pytest.mark.parametrize(
        ("options", "named"),
        [
            ({"transport": httpx.HTTPTransport()}, "transport"),
            ({"transport": "https://vault"}, "transport"),
            ({"dialect": "scaivault"}, "dialect"),
            ({"policy": RetryPolicy()}, "policy"),
            ({"budget": BudgetPolicy()}, "budget"),
            ({"redact": "***"}, "redact"),
        ],
    )
    def test_an_argument_of_the_wrong_type_is_refused_by_name(
        self, options: dict[str, Any], named: str
    ) -> None:
        with pytest.raises(TypeError, match=f"^{named}: got .*, allowed is "):
            AsyncResilientTransport(**options)

    def test_a_repr_says_what_it_wraps(self) -> None:
        told = repr(AsyncResilientTransport(Scripted(OK), dialect=GENERIC))
        assert told == "<AsyncResilientTransport dialect=generic over Scripted>"


class TestBudgets:
    """Who shares a retry budget."""

    async def test_each_origin_has_its_own(self) -> None:
        transport, inner = resilient(
            UNAVAILABLE, policy=Policy(park=None, budget=BudgetPolicy(floor=3.0, heal_after=1e9))
        )
        for host, attempts in (("a", 4), ("a", 1), ("b", 4), ("a:8443", 4)):
            before = inner.attempts
            await call(transport, url=f"https://{host}/v1/secrets/x")
            assert inner.attempts - before == attempts

    async def test_one_that_was_handed_to_two_transports_is_drawn_on_by_both(self) -> None:
        shared = Counted()
        plain = UNPACED.replace(park=None)
        one, inner_one = resilient(UNAVAILABLE, budget=shared, policy=plain)
        two, inner_two = resilient(UNAVAILABLE, budget=shared, policy=plain)
        await call(one)
        assert shared.balance(0.0) == 0.0
        await call(two)
        assert (inner_one.attempts, inner_two.attempts) == (4, 1)

    async def test_a_policy_without_a_budget_draws_on_none(self) -> None:
        shared = Counted(floor=0.0)
        transport, inner = resilient(UNAVAILABLE, budget=shared, policy=Policy(budget=None))
        response = await call(transport)
        assert inner.attempts == 4
        assert response.extensions["resilience"].reason == "attempts_exhausted"

    async def test_calls_under_way_keep_a_budget_alive_that_a_thousand_origins_push_out(
        self,
    ) -> None:
        hosts = [f"h{n}.example" for n in range(1100)]

        async def answer(request: httpx.Request) -> httpx.Response:
            if request.url.host == "slow.example":
                await anyio.sleep(50.0)
            return httpx.Response(503 if request.url.host == "slow.example" else 200)

        transport = AsyncResilientTransport(httpx.MockTransport(answer))
        async with anyio.create_task_group() as group:
            group.start_soon(transport.handle_async_request, get("https://slow.example/"))
            await anyio.sleep(1)
            slow, state = httpx.URL("https://slow.example/"), transport._calls.registry
            config = ("https", "slow.example", None), slow
            held = weakref.ref(state.config_for(*config).budget)
            for host in hosts:
                await transport.handle_async_request(get(f"https://{host}/"))
            assert len(state._configs) == len(state._budgets) == 1024
            assert state.config_for(*config).budget is held()
            group.cancel_scope.cancel()


def test_a_transport_can_be_used_under_two_runs_one_after_the_other() -> None:
    transport, inner = resilient(UNAVAILABLE, policy=Policy(budget=BudgetPolicy(heal_after=1e9)))

    async def main() -> int:
        before = inner.attempts
        await transport.handle_async_request(get())
        return inner.attempts - before

    assert (_run(main), _run(main)) == (4, 4)  # the second run has a budget of its own


def _run(main: Any) -> int:
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return int(runner.run(main()))


async def test_a_hundred_calls_at_once_do_not_disturb_one_another() -> None:
    async def answer(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.01 * int(request.url.path.rsplit("/", 1)[1]))
        fails = request.headers[REQUEST_ID] not in seen
        seen.add(request.headers[REQUEST_ID])
        return httpx.Response(503 if fails else 200, text=request.url.path)

    seen: set[str] = set()
    transport = AsyncResilientTransport(
        httpx.MockTransport(answer), dialect=SCAIVAULT, policy=Policy(budget=None)
    )
    answers: dict[int, str] = {}

    async def one(number: int) -> None:
        response = await client.get(f"https://vault.example/v1/secrets/{number}")
        assert len(response.extensions["resilience"].attempts) == 2
        answers[number] = response.text

    async with (
        httpx.AsyncClient(transport=transport) as client,
        anyio.create_task_group() as group,
    ):
        for number in range(100):
            group.start_soon(functools.partial(one, number))
    assert answers == {n: f"/v1/secrets/{n}" for n in range(100)}


async def test_events_of_the_happy_path_are_told_to_those_who_listen() -> None:
    ear = Ear()
    transport, _ = resilient(OK, on_event=ear.at_debug)
    await call(transport)
    (event,) = ear.events
    assert isinstance(event, AttemptFinished)
    assert not isinstance(event, GaveUp)
    assert (event.status, event.error_class, event.duration) == (200, None, 0.0)
