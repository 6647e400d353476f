"""Limits in tokens: costs that are given hold calls, and each model has a budget of its own."""

import importlib
import json
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from functools import partial
from types import ModuleType, SimpleNamespace
from typing import Any

import anyio
import httpx
import pytest

from httpx_resilience import (
    GENERIC,
    AsyncResilientTransport,
    CategoryRule,
    CostEstimate,
    Dialect,
    FailedAttempt,
    Policy,
    RequestRules,
    ThrottlePolicy,
    ThrottleTimeout,
    history_of,
    redact_path,
)
from httpx_resilience._core.dialect import document
from httpx_resilience._runtime import threads
from simulation.tokens import Bucket, Metered
from support.clients import STEADY
from support.parity import LIBRARIES, door_of
from support.scripted import OK, UNAVAILABLE, Ear, Reply, coded, get
from support.scripted import Scripted as Script

pytestmark = pytest.mark.anyio

URL = "https://llm.example/v1/chat/completions"
CHAT = Dialect(
    name="chat",
    requests=RequestRules(
        categories=(CategoryRule(name="chat", path="/v1/chat/*", field=("model",)),)
    ),
)
BY_PATH = Dialect(
    name="by_path",
    requests=RequestRules(categories=(CategoryRule(name="chat", path="/deployments/{d}/*"),)),
)


def tokens(request: Any) -> Mapping[str, int]:
    """Say what a request takes: it stands in its body."""
    return {"tokens": json.loads(request.content)["cost"]}


class Server:
    """Has so many tokens for each model, and more each second; a request's body says its cost."""

    def __init__(
        self,
        clock: Callable[[], float],
        library: ModuleType = httpx,
        *,
        limit: float = 1000.0,
        rate: float = 100.0,
    ) -> None:
        self.limit, self.rate = limit, rate
        self.clock = clock
        self.library = library
        self.metered: dict[str, Metered] = {}
        self.statuses: list[int] = []
        self.began: float | None = None

    def __call__(self, request: Any) -> Any:
        self.began = self.clock() if self.began is None else self.began
        said = json.loads(request.content)
        model = said.get("model", "")
        fresh = Metered({"tokens": Bucket(self.limit, self.rate)})
        metered = self.metered.setdefault(model, fresh)
        answer = metered.answer({"tokens": said["cost"]}, self.clock() - self.began)
        self.statuses.append(answer.status)
        raw = [(name, value) for name, value in answer.headers if name != b"Date"]
        return self.library.Response(answer.status, headers=raw)

    async def later(self, request: Any) -> Any:
        """Answer after half a second: sooner than others go because it is slow."""
        response = self(request)
        await anyio.sleep(0.5)
        return response


def sent(cost: int, **more: Any) -> dict[str, Any]:
    return {"json": {"cost": cost, **more}}


def refused_by(error: BaseException) -> str:
    history = history_of(error)
    assert history is not None
    assert history.reason == "throttle_timeout"
    return str(error)


# What is given holds calls.

COSTS = [211 + 997 * n % 3793 for n in range(60)]
LEAST = (sum(COSTS) - 30_000) / 6_000
"""Seconds that they take at the least of a server with 30,000 tokens and 6,000 more a second."""


@pytest.mark.parametrize("library", LIBRARIES)
async def test_exact_costs_hold_calls_and_none_is_refused(library: str) -> None:
    http: Any = importlib.import_module(library)
    server = Server(anyio.current_time, http, limit=30_000, rate=6_000)
    transport = door_of(library).AsyncResilientTransport(
        http.MockTransport(server), dialect=GENERIC.extend(costs=tokens)
    )
    started = anyio.current_time()
    async with http.AsyncClient(transport=transport) as client, anyio.create_task_group() as group:
        for cost in COSTS:
            group.start_soon(partial(client.post, URL, **sent(cost)))
    assert server.statuses == [200] * len(COSTS)
    assert LEAST <= anyio.current_time() - started <= 1.05 * LEAST


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[], float]:
    """Have threads wait in no time."""
    now = [1000.0]

    def wait(self: threads.Runtime, waiter: Any, until: float) -> bool:
        if not waiter.is_set():
            now[0] = max(until, now[0])
        return bool(waiter.is_set())

    monkeypatch.setattr(threads, "time", SimpleNamespace(monotonic=lambda: now[0]))
    monkeypatch.setattr(threads.Runtime, "wait", wait)
    return lambda: now[0]


@pytest.fixture(params=LIBRARIES)
def http(request: pytest.FixtureRequest) -> Any:
    return importlib.import_module(request.param)


def test_exact_costs_hold_threads(http: Any, clock: Callable[[], float]) -> None:
    server = Server(clock, http, limit=30_000, rate=6_000)
    transport = door_of(http.__name__).ResilientTransport(
        http.MockTransport(server), dialect=GENERIC.extend(costs=tokens)
    )
    with http.Client(transport=transport) as client:
        for cost in COSTS:
            client.post(URL, **sent(cost))
        assert server.statuses == [200] * len(COSTS)
        assert LEAST <= clock() - 1000.0 <= 1.05 * LEAST
        with pytest.raises(http.TransportError) as caught:
            client.post(URL, **sent(30_601))
    assert "it takes 30601 tokens, and the limit is 30000" in refused_by(caught.value)
    assert len(server.statuses) == len(COSTS)


def test_what_a_thread_costs_function_raises_comes_out_and_leaves_nothing_behind(
    http: Any, clock: Callable[[], float]
) -> None:
    server = Server(clock, http)
    transport = door_of(http.__name__).ResilientTransport(
        http.MockTransport(server), dialect=GENERIC.extend(costs=tokens)
    )
    with http.Client(transport=transport) as client:
        with pytest.raises(KeyError, match="cost"):
            client.post(URL, json={})
        assert transport.rate_limits() == ()
        assert client.post(URL, **sent(1000)).status_code == 200


# What can never go.


async def test_a_cost_above_the_limit_fails_at_once_and_says_so() -> None:
    server = Server(anyio.current_time)
    transport = AsyncResilientTransport(
        httpx.MockTransport(server), dialect=GENERIC.extend(costs=tokens)
    )
    async with httpx.AsyncClient(transport=transport) as client:
        await client.post(URL, **sent(100))
        for wait in (0.0, 100.0, 10_000.0):  # long after the bucket is full, too
            await anyio.sleep(wait)
            started = anyio.current_time()
            with pytest.raises(ThrottleTimeout) as caught:
                await client.post(URL, **sent(30_601))
            assert anyio.current_time() == started
            text = refused_by(caught.value)
            assert text.endswith("it takes 30601 tokens, and the limit is 1000")
        await client.post(URL, **sent(1000))  # all of it is no more than it
    assert server.statuses == [200, 200]


async def test_a_call_that_waits_fails_when_the_limit_is_known_to_be_less() -> None:
    server = Server(anyio.current_time)
    transport = AsyncResilientTransport(
        httpx.MockTransport(server.later), dialect=GENERIC.extend(costs=tokens)
    )
    failed_at: list[float] = []
    started = anyio.current_time()

    async def too_much() -> None:
        with pytest.raises(ThrottleTimeout, match="takes 2000 tokens, and the limit is 1000"):
            await client.post(URL, **sent(2000))
        failed_at.append(anyio.current_time() - started)

    async with httpx.AsyncClient(transport=transport) as client, anyio.create_task_group() as group:
        group.start_soon(partial(client.post, URL, **sent(100)))
        await anyio.sleep(0.1)
        group.start_soon(too_much)
        group.start_soon(partial(client.post, URL, **sent(100)))
    assert failed_at == [pytest.approx(0.5)]
    assert server.statuses == [200, 200]
    assert [row.queued for row in transport.rate_limits()] == [0]


NOTHING = {"limit": "0", "remaining": "0", "reset": "5s"}


@pytest.mark.parametrize("dialect", [GENERIC, GENERIC.extend(costs=lambda _: {"tokens": 7})])
async def test_a_limit_of_nothing_fails_at_once_until_it_may_be_another(dialect: Dialect) -> None:
    headers = tuple((f"x-ratelimit-{name}-tokens", said) for name, said in NOTHING.items())
    inner = Script(OK._replace(headers=headers))
    transport = AsyncResilientTransport(inner, dialect=dialect)
    async with httpx.AsyncClient(transport=transport) as client:
        await client.post(URL)
        started = anyio.current_time()
        with pytest.raises(ThrottleTimeout, match="the server's limit of tokens is 0"):
            await client.post(URL)
        assert anyio.current_time() == started
        await anyio.sleep(10.0)
        await client.post(URL)
    assert inner.attempts == 2


async def test_calls_wait_for_the_one_that_finds_out_whether_the_limit_is_still_nothing() -> None:
    left = iter((0, 1000, 990))

    async def answer(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.2)
        limit = next(left)
        headers = {**NOTHING, "limit": str(min(limit, 1000)), "remaining": str(limit)}
        said = {f"x-ratelimit-{name}-tokens": text for name, text in headers.items()}
        return httpx.Response(200, headers=said)

    dialect = GENERIC.extend(costs=lambda _: {"tokens": 7})
    transport = AsyncResilientTransport(httpx.MockTransport(answer), dialect=dialect)
    async with httpx.AsyncClient(transport=transport) as client:
        await client.post(URL)
        await anyio.sleep(10.0)
        started = anyio.current_time()
        async with anyio.create_task_group() as group:
            for _ in range(2):
                group.start_soon(client.post, URL)
    assert anyio.current_time() - started == pytest.approx(0.4)


async def test_a_learned_cost_makes_no_call_fail() -> None:
    server = Server(anyio.current_time)
    transport = AsyncResilientTransport(httpx.MockTransport(server), dialect=GENERIC)
    async with httpx.AsyncClient(transport=transport) as client:
        for _ in range(8):
            assert (await client.post(URL, **sent(1000))).status_code == 200


# A budget for each model.


def limited(model: str) -> Callable[[httpx.Request], httpx.Response]:
    """Refuse a model's first request, and no other."""
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(json.loads(request.content)["model"])
        if seen.count(model) == 1 and seen[-1] == model:
            return httpx.Response(429, headers={"Retry-After": "30"})
        return httpx.Response(200)

    return answer


async def test_a_models_refusal_holds_no_other_model() -> None:
    transport = AsyncResilientTransport(httpx.MockTransport(limited("a")), dialect=CHAT)
    took: dict[str, float] = {}
    started = anyio.current_time()

    async def chat(model: str) -> None:
        response = await client.post(URL, json={"model": model})
        assert response.status_code == 200
        took[model] = anyio.current_time() - started

    async with httpx.AsyncClient(transport=transport) as client, anyio.create_task_group() as group:
        for model in ("a", "b", "c/d:e-1.5"):
            group.start_soon(chat, model)
    assert took["a"] >= 30.0
    assert took["b"] == took["c/d:e-1.5"] == 0.0
    scopes = [row.scope for row in transport.rate_limits()]
    assert sorted(scopes) == ["chat:a", "chat:b", "chat:c/d:e-1.5"]


async def test_each_model_has_tokens_of_its_own() -> None:
    server = Server(anyio.current_time)
    transport = AsyncResilientTransport(
        httpx.MockTransport(server), dialect=CHAT.extend(costs=tokens)
    )
    started = anyio.current_time()
    async with httpx.AsyncClient(transport=transport) as client:
        for model in ("a", "b", "c"):
            await client.post(URL, **sent(900, model=model))
        assert anyio.current_time() == started
        await client.post(URL, **sent(900, model="b"))
    assert 8.0 <= anyio.current_time() - started <= 9.1  # it is not known to be a bucket yet
    assert server.statuses == [200] * 4


@pytest.mark.parametrize("value", ["a b", "m" * 100, "", "s3cr3t=kéy", "x\n", "m?q"])
async def test_a_value_that_is_no_plain_word_is_seen_as_its_hash_alone(
    value: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "httpx_resilience")
    ear = Ear(all=True)
    inner = Script(UNAVAILABLE, coded(429, "x", {"Retry-After": "5"}), OK)
    policy = Policy(retry=STEADY, throttle=ThrottlePolicy())
    transport = AsyncResilientTransport(inner, dialect=CHAT, policy=policy, on_event=ear.at_debug)
    content = json.dumps({"model": value}).encode()
    responses = []
    for _ in range(2):
        headers = {"Idempotency-Key": "k"}
        request = get(URL, method="POST", content=content, headers=headers)
        responses.append(await transport.handle_async_request(request))
    assert [response.status_code for response in responses] == [200, 200]
    (row,) = transport.rate_limits()
    name, _, shown = row.scope.partition(":")
    assert name == "chat"
    assert set(shown) <= set("0123456789abcdef")
    assert len(shown) == 32
    fields = [repr(event) + repr(event.as_fields()) for event in ear.events]
    seen = "\n".join([repr(row), *fields, *caplog.messages, repr(history_of(responses[-1]))])
    assert shown in seen
    assert len(fields) > 5
    for part in (value, content.decode()):
        assert not part.strip() or part not in seen


async def test_a_body_that_is_a_stream_shares_the_budget_of_the_name_and_is_sent_whole() -> None:
    given = {"iterations": 0}

    async def chunks() -> AsyncIterator[bytes]:
        given["iterations"] += 1
        yield b'{"model": "a", '
        yield b'"cost": 5}'

    dialect = CHAT.extend(costs=[CostEstimate(fields=(("cost",),))])
    inner = Script(OK)
    transport = AsyncResilientTransport(inner, dialect=dialect)
    async with httpx.AsyncClient(transport=transport) as client:
        await client.post(URL, content=chunks())
        await client.post(URL, files={"file": b"{}"})
    assert given == {"iterations": 1}
    assert inner.bodies[0] == b'{"model": "a", "cost": 5}'
    assert [row.scope for row in transport.rate_limits()] == ["chat"]


async def test_a_body_is_parsed_once_for_each_call_and_never_on_a_retry(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    parsed: list[bytes] = []
    real = document.parse

    def counted(body: bytes, largest: int) -> Any:
        parsed.append(body)
        return real(body, largest)

    monkeypatch.setattr(document, "parse", counted)
    asked: list[int] = []
    inner = Script(UNAVAILABLE, httpx.ConnectError("x"), OK)
    estimate = CostEstimate(fields=(("cost",),))
    policy = Policy(retry=STEADY)
    transport = AsyncResilientTransport(inner, dialect=CHAT.extend(costs=[estimate]), policy=policy)
    body = b'{"model": "a", "cost": 5}'
    put = {"method": "PUT", "content": body}
    await transport.handle_async_request(get(URL, **put))
    assert (inner.attempts, parsed) == (3, [body])

    def costs(request: object) -> Mapping[str, int]:
        asked.append(1)
        return {"tokens": 5}

    inner = Script(UNAVAILABLE, httpx.ConnectError("x"), OK)
    transport = AsyncResilientTransport(inner, dialect=CHAT.extend(costs=costs), policy=policy)
    await transport.handle_async_request(get(URL, **put))
    assert (inner.attempts, asked, parsed) == (3, [1], [body] * 2)


async def test_a_dialect_without_such_rules_looks_at_no_body(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(document, "parse", None)
    transport = AsyncResilientTransport(Script(OK), dialect=GENERIC)
    request = get(URL, method="POST", content=b'{"model": "a"}')
    assert (await transport.handle_async_request(request)).status_code == 200


async def test_a_redacted_path_hides_what_it_says_in_the_scopes_name_too() -> None:
    ear = Ear(all=True)
    reply = Reply(429, headers=(("Retry-After", "5"),))
    transport = AsyncResilientTransport(
        Script(reply, OK),
        dialect=BY_PATH,
        redact=lambda path: path.replace("s3cr3t", "***"),
        on_event=ear.at_debug,
    )
    for name in ("s3cr3t", "open"):
        url = f"https://llm.example/deployments/{name}/chat"
        await transport.handle_async_request(get(url))
    scopes = {row.scope for row in transport.rate_limits()}
    assert scopes == {"chat", "chat:open"}  # two budgets nevertheless
    assert "s3cr3t" not in "".join(repr(event) for event in ear.events)


async def test_a_redacted_path_leaves_what_the_body_says_in_the_scopes_name() -> None:
    transport = AsyncResilientTransport(Script(OK), dialect=CHAT, redact=redact_path)
    request = get(URL + "/more", method="POST", content=b'{"model": "a"}')
    await transport.handle_async_request(request)
    assert [row.scope for row in transport.rate_limits()] == ["chat:a"]


# What is taken, and given back.


def left(transport: AsyncResilientTransport) -> int | None:
    (row,) = transport.rate_limits()
    return row.remaining


def served(**options: Any) -> tuple[AsyncResilientTransport, Server]:
    server = Server(anyio.current_time)
    options.setdefault("dialect", GENERIC.extend(costs=tokens))
    return AsyncResilientTransport(httpx.MockTransport(server.later), **options), server


async def test_an_estimate_is_taken_while_a_request_is_on_its_way() -> None:
    dialect = Dialect.from_toml("""
        name = "estimated"
        [[requests.costs]]
        bytes_per_unit = 4
        fields = ["max_tokens", "max_output_tokens"]
    """)
    transport, _ = served(dialect=dialect)
    async with httpx.AsyncClient(transport=transport) as client:
        await client.post(URL, **sent(100))
        assert left(transport) == 900
        body = json.dumps({"cost": 100, "max_output_tokens": 300}).encode()
        async with anyio.create_task_group() as group:
            group.start_soon(partial(client.post, URL, content=body))
            await anyio.sleep(0.2)
            assert left(transport) == 900 - 300 - len(body) // 4
        assert left(transport) == 850  # as the server says: 50 came back, and it took 100


async def test_a_call_that_is_cancelled_in_the_queue_takes_nothing() -> None:
    transport, server = served()
    async with httpx.AsyncClient(transport=transport) as client:
        await client.post(URL, **sent(500))
        async with anyio.create_task_group() as group:
            group.start_soon(partial(client.post, URL, **sent(900)))
            await anyio.sleep(0.2)
            assert [row.queued for row in transport.rate_limits()] == [1]
            assert left(transport) == 500
            group.cancel_scope.cancel()
        assert left(transport) == 500
        await client.post(URL, **sent(400))
    assert server.statuses == [200, 200]


async def test_a_call_that_is_cancelled_on_its_way_is_counted_until_the_server_has_counted_it() -> (
    None
):
    transport, _ = served()
    async with httpx.AsyncClient(transport=transport) as client:
        await client.post(URL, **sent(500))
        async with anyio.create_task_group() as group:
            group.start_soon(partial(client.post, URL, **sent(300)))
            await anyio.sleep(0.1)
            group.cancel_scope.cancel()
        assert left(transport) == 200
        await anyio.sleep(2.0)
        await client.post(URL, **sent(100))  # what is left by its answer includes the other
    (row,) = transport.rate_limits()
    assert (row.remaining, row.in_flight) == (360, 0)  # 500 - 300 - 100, and 260 came back


async def test_a_call_that_is_lost_gives_back_after_half_a_minute() -> None:
    server = Server(anyio.current_time)

    async def answer(request: httpx.Request) -> Any:
        if b"lost" in request.content:
            raise httpx.ReadError("x")
        return server(request)

    transport = AsyncResilientTransport(
        httpx.MockTransport(answer), dialect=GENERIC.extend(costs=tokens)
    )
    async with httpx.AsyncClient(transport=transport) as client:
        await client.post(URL, **sent(500))
        with pytest.raises(httpx.ReadError):
            await client.post(URL, **sent(400, lost=True))
        assert left(transport) == 100
        await anyio.sleep(31.0)
        await client.post(URL, **sent(950))  # it is admitted at once: it is not in the way
    assert server.statuses == [200, 200]


async def test_the_request_of_a_hook_counts_by_what_it_takes_itself() -> None:
    conflict = coded(
        409,
        "conflict",
        {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "800"},
    )
    seen: list[int | None] = []

    async def look(_: httpx.Request) -> httpx.Response:
        seen.append(left(transport))
        return httpx.Response(200)

    async def hook(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        return httpx.Request("PUT", request.url, **sent(300))

    transport = AsyncResilientTransport(
        Script(conflict, look), dialect=GENERIC.extend(costs=tokens), recover={"conflict": hook}
    )
    await transport.handle_async_request(get(URL, method="PUT", **sent(50)))
    assert seen == [500]


async def test_what_costs_raises_for_a_hooks_request_comes_out_with_its_history() -> None:
    async def hook(_: FailedAttempt, request: httpx.Request) -> httpx.Request:
        return httpx.Request("PUT", request.url, json={})

    inner = Script(coded(409, "conflict"), OK)
    transport = AsyncResilientTransport(
        inner, dialect=GENERIC.extend(costs=tokens), recover={"conflict": hook}
    )
    with pytest.raises(KeyError, match="cost") as caught:
        await transport.handle_async_request(get(URL, method="PUT", **sent(50)))
    history = history_of(caught.value)
    assert history is not None
    assert (history.reason, inner.attempts) == ("permanent", 1)


async def test_what_costs_raises_comes_out_and_leaves_nothing_behind() -> None:
    transport, server = served()
    async with httpx.AsyncClient(transport=transport) as client:
        for wrong, error in ((b"{}", KeyError), (b'{"cost": -1}', ValueError)):
            with pytest.raises(error):
                await client.post(URL, content=wrong)
            assert transport.rate_limits() == ()
        await client.post(URL, **sent(400))
        with pytest.raises(ValueError, match=r"^costs\(request\)\['tokens'\]: got -1"):
            await client.post(URL, **sent(-1))
        (row,) = transport.rate_limits()
        assert (row.in_flight, row.queued, row.remaining) == (0, 0, 600)
        await client.post(URL, **sent(600))
    assert server.statuses == [200, 200]
