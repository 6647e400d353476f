"""SDKs over our transports, their own retries off, against a stub that speaks as their APIs do."""

import asyncio
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from support.sdk_clients import SDKS, OpenAI
from support.sdk_server import SdkServer
from support.sdks import Sdk, asked, each_kind, of_each

NOWHERE = "http://127.0.0.1:9"

each_sdk = of_each(SDKS)
each_that_streams = of_each([sdk for sdk in SDKS if sdk.streams])


@pytest.fixture(autouse=True)
def sdk_installed(sdk: Sdk) -> Iterator[None]:
    """Skip where the SDK is missing; undo what was set for the whole process."""
    sdk.load()
    yield
    sdk.undo()


@each_sdk
@each_kind
def test_a_call_that_is_refused_twice_is_answered(sdk: Sdk, is_async: bool) -> None:
    with SdkServer(sdk.api, "rate_limit", "rate_limit").serving() as server:
        assert asked(sdk, server.url, is_async=is_async) == "fine"
        assert server.requests == 3


@each_sdk
@each_kind
def test_a_call_that_meets_an_overload_is_answered(sdk: Sdk, is_async: bool) -> None:
    with SdkServer(sdk.api, "overload").serving() as server:
        assert asked(sdk, server.url, is_async=is_async) == "fine"
        assert server.requests == 2


@of_each([OpenAI()])
@each_kind
def test_a_post_that_a_proxy_turns_away_is_answered(sdk: Sdk, is_async: bool) -> None:
    """It has no code, so only the dialect knows that a POST may be sent twice."""
    with SdkServer(sdk.api, "proxy").serving() as server:
        assert asked(sdk, server.url, is_async=is_async) == "fine"
        assert server.requests == 2


class Azure(OpenAI):
    dialect = "AZURE_OPENAI"

    def client(self, url: str, transport: Any, *, is_async: bool, retries: bool) -> Any:
        http_client = self.http_client(transport, is_async=is_async)
        kind = self.load().AsyncAzureOpenAI if is_async else self.load().AzureOpenAI
        return kind(
            api_key="key",
            azure_endpoint=url,
            api_version="2024-10-21",
            http_client=http_client,
            max_retries=0,
        )


@of_each([Azure()])
@each_kind
def test_a_call_to_azure_that_is_refused_twice_is_answered(sdk: Sdk, is_async: bool) -> None:
    with SdkServer(sdk.api, "rate_limit", "overload").serving() as server:
        assert asked(sdk, server.url, is_async=is_async) == "fine"
        assert server.requests == 3


@each_sdk
@each_kind
def test_what_no_retry_helps_costs_one_request_and_raises_the_sdks_own_error(
    sdk: Sdk, is_async: bool
) -> None:
    with SdkServer(sdk.api, "quota").serving() as server:
        with pytest.raises(sdk.error("quota")):
            asked(sdk, server.url, is_async=is_async)
        assert server.requests == 1


@each_sdk
@each_kind
def test_errors_are_the_sdks_own(sdk: Sdk, is_async: bool) -> None:
    with SdkServer(sdk.api, "invalid").serving() as server, pytest.raises(sdk.error("invalid")):
        asked(sdk, server.url, is_async=is_async)
    with pytest.raises(sdk.error("unreachable")) as raised:
        asked(sdk, NOWHERE, is_async=is_async)
    assert "ConnectError" in {type(error).__name__ for error in origins_of(raised.value)}


def origins_of(error: BaseException) -> Iterator[object]:
    """Return an error and what it came of: its causes, or what it was made with."""
    yield error
    yield from error.args
    if error.__cause__ is not None:
        yield from origins_of(error.__cause__)


# Streams.


@each_that_streams
@each_kind
def test_the_first_piece_of_a_streamed_answer_comes_at_once(sdk: Sdk, is_async: bool) -> None:
    with SdkServer(sdk.api, "rate_limit").serving() as server:

        def seen(text: str) -> None:
            if text == "one ":
                server.read_first.set()

        text = (read_async if is_async else read)(sdk, server.url, seen)
        assert server.waited
        assert server.requests == 2
    assert text == "one two"


def read(sdk: Sdk, url: str, seen: Callable[[str], None]) -> str:
    text = ""
    with sdk.transport(is_async=False) as transport:
        client = sdk.client(url, transport, is_async=False, retries=False)
        for event in sdk.stream(client, is_async=False):
            text += sdk.piece(event)
            seen(text)
    return text


def read_async(sdk: Sdk, url: str, seen: Callable[[str], None]) -> str:
    async def read() -> str:
        text = ""
        async with sdk.transport(is_async=True) as transport:
            client = sdk.client(url, transport, is_async=True, retries=False)
            stream: Any = sdk.stream(client, is_async=True)
            async for event in await stream if inspect.isawaitable(stream) else stream:
                text += sdk.piece(event)
                seen(text)
        return text

    return asyncio.run(read())
