"""What does not work, or only in a certain way: the page on SDKs warns of it."""

import asyncio
from contextlib import nullcontext
from typing import Any

import httpx
import httpx2
import pytest

from httpx_resilience import AsyncResilientTransport, ResilientTransport
from httpx_resilience.httpx2 import ResilientTransport as ResilientTransport2
from support.sdk_apis import QDRANT, Api, Refusal
from support.sdk_clients import (
    REPEATABLE,
    Anthropic,
    GitHubKit,
    Groq,
    HuggingFaceHub,
    OpenAI,
    Qdrant,
)
from support.sdk_server import SdkServer
from support.sdks import POLICY

NOWHERE = "http://127.0.0.1:9"


# The library.


def test_anthropic_refuses_what_is_made_of_httpx() -> None:
    anthropic = Anthropic().load()
    with pytest.raises(TypeError, match=r"httpx2\.Client"):
        anthropic.Anthropic(api_key="key", http_client=httpx.Client())
    with pytest.raises(TypeError, match="httpx2"):
        anthropic.DefaultHttpxClient(transport=ResilientTransport())


def test_groq_refuses_what_is_made_of_httpx2() -> None:
    with pytest.raises(TypeError, match=r"httpx\.Client"):
        Groq().load().Groq(api_key="key", http_client=httpx2.Client())


def test_openai_takes_what_is_made_of_httpx() -> None:
    sdk = OpenAI()
    transport = ResilientTransport(dialect=sdk.speaks(), policy=POLICY)
    with SdkServer(sdk.api, "rate_limit").serving() as server:
        with httpx.Client(transport=transport) as http_client:
            client = sdk.load().OpenAI(
                api_key="key", base_url=f"{server.url}/v1", http_client=http_client, max_retries=0
            )
            assert sdk.text(sdk.ask(client, is_async=False)) == "fine"
        assert server.requests == 2


# githubkit.


def test_githubkit_closes_the_transport_outside_of_its_block() -> None:
    sdk = GitHubKit()
    githubkit = sdk.load()
    with SdkServer(sdk.api).serving() as server:
        github = sdk.client(
            server.url, sdk.transport(is_async=False), is_async=False, retries=False
        )
        assert github.request("GET", "/rate_limit").status_code == 200
        with pytest.raises(githubkit.exception.RequestError) as raised:
            github.request("GET", "/rate_limit")
    assert type(raised.value.__cause__).__name__ == "TransportClosed"


@pytest.mark.parametrize(("cache", "sent"), [(True, 1), (False, 2)])
def test_githubkits_cache_keeps_a_post_from_being_repeated(cache: bool, sent: int) -> None:
    sdk = GitHubKit()
    githubkit = sdk.load()
    with SdkServer(BUSY, *["busy"]).serving() as server:
        github = githubkit.GitHub(
            base_url=server.url,
            transport=sdk.transport(is_async=False),
            auto_retry=False,
            http_cache=cache,
        )
        ending = pytest.raises(githubkit.exception.RequestFailed) if cache else nullcontext()
        with github, ending:
            github.request("POST", "/gists", json={"files": {}})
        assert server.requests == sent


BUSY = Api(answer={}, refusals={"busy": Refusal(429, {"message": "Too many requests"})})


# qdrant-client.


def test_the_points_of_an_asynchronous_client_are_not_uploaded_over_a_transport() -> None:
    module = Qdrant().load()

    async def upload(url: str) -> None:
        client = module.AsyncQdrantClient(
            url, transport=AsyncResilientTransport(policy=POLICY), check_compatibility=False
        )
        client.upload_points("things", [point(module)], max_retries=0)

    with SdkServer(UPSERTED).serving() as server:
        with pytest.raises(module.http.exceptions.ResponseHandlingException) as raised:
            asyncio.run(upload(server.url))
        assert isinstance(raised.value.source, TypeError)
        assert server.requests == 0


def test_points_are_uploaded_over_a_transport() -> None:
    module = Qdrant().load()
    transport = ResilientTransport(dialect=REPEATABLE, policy=POLICY)
    with SdkServer(UPSERTED, "overload").serving() as server:
        client = module.QdrantClient(server.url, transport=transport, check_compatibility=False)
        client.upload_points("things", [point(module)], max_retries=0)
        client.close()
        assert server.requests == 2


UPSERTED = Api(
    answer={"result": {"operation_id": 1, "status": "completed"}, "status": "ok", "time": 0.001},
    refusals=QDRANT.refusals,
)


def point(module: Any) -> Any:
    return module.models.PointStruct(id=1, vector=[0.5])


# huggingface_hub.


def test_the_hub_closes_its_client_after_a_connection_failed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So the factory has to make a new transport each time."""
    sdk = HuggingFaceHub()
    hub = sdk.load()
    monkeypatch.setattr("time.sleep", lambda _: None)
    made: list[ResilientTransport2] = []

    def make_client() -> httpx2.Client:
        made.append(ResilientTransport2(dialect=REPEATABLE, policy=POLICY))
        return httpx2.Client(transport=made[-1])

    try:
        hub.set_client_factory(make_client)
        with pytest.raises(httpx2.ConnectError):
            list(hub.HfApi(endpoint=NOWHERE, token=False).list_models())
    finally:
        sdk.undo()
    assert len(made) == 6
