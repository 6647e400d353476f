"""SDKs over our transports, against a stub: each with its own retries off.

OpenAI's and Anthropic's are made of httpx2, Groq's and Supabase's of httpx.
"""

import asyncio
import importlib
from collections.abc import Callable
from typing import Any

import pytest

from httpx_resilience import GENERIC, Backoff, ErrorClass, Policy, RetryPolicy
from support.sdk_server import SdkServer

DIALECT = GENERIC.extend(codes={"insufficient_quota": ErrorClass.PERMANENT})
QUICK = Backoff(initial=0.01, maximum=0.01)
POLICY = Policy(
    retry=RetryPolicy(backoff={ErrorClass.RATE_LIMITED: QUICK, ErrorClass.CONNECTION: QUICK}),
    throttle=None,  # it would slow down for seconds after a 429
    park=None,
)
NOWHERE = "http://127.0.0.1:9"


class Sdk:
    """One SDK, as a program uses it: its clients, a question, and its errors.

    Args:
        name: The module, which is also the package.
        library: What it is made of.
        path: Of its API at the stub.
    """

    def __init__(self, name: str, library: str, path: str = "") -> None:
        self.name = name
        self._library = library
        self._path = path

    def __repr__(self) -> str:
        return self.name

    def module(self) -> Any:
        return pytest.importorskip(
            self.name, reason=f"{self.name} is not installed: pip install httpx-resilience[sdks]"
        )

    def client(self, url: str, *, is_async: bool) -> Any:
        """Return the SDK's client over our transport."""
        module, prefix = self.module(), "Async" if is_async else ""
        library = importlib.import_module(self._library)
        door = "httpx_resilience" if self._library == "httpx" else "httpx_resilience.httpx2"
        transport = getattr(importlib.import_module(door), f"{prefix}ResilientTransport")(
            dialect=DIALECT, policy=POLICY
        )
        http_client = getattr(library, f"{prefix}Client")(transport=transport)
        kind = getattr(module, prefix + {"openai": "OpenAI"}.get(self.name, self.name.capitalize()))
        return kind(
            api_key="key", base_url=url + self._path, http_client=http_client, max_retries=0
        )

    def ask(self, client: Any, *, stream: bool = False) -> Any:
        """Return a question's answer; something to await from an asynchronous client."""
        messages = [{"role": "user", "content": "How are you?"}]
        if self.name == "anthropic":
            return client.messages.create(
                model="stub", max_tokens=9, messages=messages, stream=stream
            )
        return client.chat.completions.create(model="stub", messages=messages, stream=stream)

    def text(self, answer: Any) -> str:
        """Return what an answer says."""
        if self.name == "anthropic":
            return str(answer.content[0].text)
        return str(answer.choices[0].message.content)

    def piece(self, event: Any) -> str:
        """Return what one event of a streamed answer says."""
        if self.name == "anthropic":
            return str(event.delta.text) if event.type == "content_block_delta" else ""
        return str(event.choices[0].delta.content)


SDKS = [
    Sdk("openai", "httpx2", "/v1"),
    Sdk("anthropic", "httpx2"),
    Sdk("groq", "httpx"),
]


@pytest.fixture(params=SDKS, ids=repr)
def sdk(request: pytest.FixtureRequest) -> Sdk:
    assert isinstance(request.param, Sdk)
    request.param.module()
    return request.param


each_kind = pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])


def asked(sdk: Sdk, url: str, *, is_async: bool) -> str:
    """Ask once; return what the answer says."""
    if not is_async:
        with sdk.client(url, is_async=False) as client:
            return sdk.text(sdk.ask(client))

    async def ask() -> str:
        async with sdk.client(url, is_async=True) as client:
            return sdk.text(await sdk.ask(client))

    return asyncio.run(ask())


@each_kind
def test_a_call_that_is_refused_twice_is_answered(sdk: Sdk, is_async: bool) -> None:
    with SdkServer(429, 429).serving() as server:
        assert asked(sdk, server.url, is_async=is_async) == "fine"
        assert server.requests == 3


@each_kind
def test_a_quota_that_is_spent_costs_one_request(sdk: Sdk, is_async: bool) -> None:
    with SdkServer("insufficient_quota", 429).serving() as server:
        with pytest.raises(sdk.module().RateLimitError) as raised:
            asked(sdk, server.url, is_async=is_async)
        assert server.requests == 1
    assert raised.value.response.json()["error"]["code"] == "insufficient_quota"


@each_kind
def test_errors_are_the_sdks_own(sdk: Sdk, is_async: bool) -> None:
    module = sdk.module()
    with SdkServer(400).serving() as server, pytest.raises(module.BadRequestError):
        asked(sdk, server.url, is_async=is_async)
    with pytest.raises(module.APIConnectionError) as raised:
        asked(sdk, NOWHERE, is_async=is_async)
    assert type(raised.value.__cause__).__name__ == "ConnectError"


@each_kind
def test_the_first_piece_of_a_streamed_answer_comes_at_once(sdk: Sdk, is_async: bool) -> None:
    with SdkServer(429).serving() as server:

        def seen(events: list[Any]) -> None:
            if "".join(map(sdk.piece, events)) == "one ":
                server.read_first.set()

        if is_async:
            text = asyncio.run(read_async(sdk, server.url, seen))
        else:
            text = read(sdk, server.url, seen)
        assert server.waited
        assert server.requests == 2
    assert text == "one two"


def read(sdk: Sdk, url: str, seen: Callable[[list[Any]], None]) -> str:
    events: list[Any] = []
    with sdk.client(url, is_async=False) as client:
        for event in sdk.ask(client, stream=True):
            events.append(event)
            seen(events)
    return "".join(map(sdk.piece, events))


async def read_async(sdk: Sdk, url: str, seen: Callable[[list[Any]], None]) -> str:
    events: list[Any] = []
    async with sdk.client(url, is_async=True) as client:
        async for event in await sdk.ask(client, stream=True):
            events.append(event)
            seen(events)
    return "".join(map(sdk.piece, events))


@pytest.fixture
def supabase() -> Any:
    return pytest.importorskip(
        "supabase", reason="supabase is not installed: pip install httpx-resilience[sdks]"
    )


def things(supabase: Any, url: str) -> Any:
    """Select from a table over our transport."""
    httpx: Any = importlib.import_module("httpx")
    door: Any = importlib.import_module("httpx_resilience")
    transport = door.ResilientTransport(dialect=DIALECT, policy=POLICY)
    with httpx.Client(transport=transport) as http_client:
        options = supabase.ClientOptions(httpx_client=http_client, postgrest_client_retry=False)
        client = supabase.create_client(url, "key", options)
        return client.table("things").select("*").execute().data


def test_a_table_of_supabase_is_read_though_it_is_refused_twice(supabase: Any) -> None:
    with SdkServer(429, 429).serving() as server:
        assert things(supabase, server.url) == [{"id": 1}]
        assert server.requests == 3


def test_errors_of_supabase_are_its_own(supabase: Any) -> None:
    with SdkServer("insufficient_quota").serving() as server:
        with pytest.raises(supabase.PostgrestAPIError) as raised:
            things(supabase, server.url)
        assert server.requests == 1
    assert raised.value.code == "insufficient_quota"
