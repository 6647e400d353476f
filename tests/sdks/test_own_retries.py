"""What the SDKs make of a failed response that we handed back: most would send it again."""

from collections.abc import Iterator
from typing import Any

import httpx
import httpx2
import pytest

from httpx_resilience import ErrorClass, Policy
from httpx_resilience.httpx2 import ResilientTransport as ResilientTransport2
from support import sdk_apis
from support.sdk_clients import SDKS, Cohere, Groq, HuggingFaceHub, LangChainOpenAI, OpenAI
from support.sdk_server import SdkServer
from support.sdks import POLICY, Sdk, asked, each_kind, of_each

THAT_OBEY = [sdk for sdk in SDKS if sdk.obeys]
THAT_DO_NOT = [sdk for sdk in SDKS if sdk.own_attempts > 1 and not sdk.obeys]
VETO = POLICY.replace(stop_layers_above=True)
MANY = 30


@pytest.fixture
def nobody_sleeps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the SDKs' own backoffs take no time: seconds for some."""
    monkeypatch.setattr("time.sleep", lambda _: None)


# Those that obey: nothing has to be switched off.


@of_each([OpenAI(), Groq(), LangChainOpenAI()])
@each_kind
def test_a_spent_quota_costs_one_request_though_the_sdk_retries(sdk: Sdk, is_async: bool) -> None:
    with SdkServer(sdk.api, *["quota"] * MANY).serving() as server:
        with pytest.raises(sdk.error("quota")):
            asked(sdk, server.url, is_async=is_async, retries=True)
        assert server.requests == 1


@of_each(THAT_OBEY)
@each_kind
def test_an_overload_that_lasts_is_met_by_our_attempts_alone(sdk: Sdk, is_async: bool) -> None:
    with SdkServer(sdk.api, *["overload"] * MANY).serving() as server:
        with pytest.raises(sdk.error("overload")):
            asked(sdk, server.url, is_async=is_async, retries=True)
        assert server.requests == POLICY.retry.max_attempts


@of_each(THAT_OBEY)
@each_kind
def test_its_own_retries_off_or_on_a_call_that_is_refused_twice_takes_three(
    sdk: Sdk, is_async: bool
) -> None:
    with SdkServer(sdk.api, "rate_limit", "rate_limit").serving() as server:
        assert asked(sdk, server.url, is_async=is_async, retries=True) == "fine"
        assert server.requests == 3


@pytest.mark.usefixtures("nobody_sleeps")
@pytest.mark.parametrize(("retries", "sent"), [(True, 12), (False, 4)])
def test_an_exception_carries_no_veto(retries: bool, sent: int) -> None:
    sdk = OpenAI()
    attempts: list[object] = []

    def unreachable(request: httpx2.Request) -> httpx2.Response:
        attempts.append(request)
        raise httpx2.ConnectError("nobody there")

    inner = httpx2.MockTransport(unreachable)
    with ResilientTransport2(inner, dialect=sdk.speaks(), policy=POLICY) as transport:
        client = sdk.client("http://api.example", transport, is_async=False, retries=retries)
        with pytest.raises(sdk.error("unreachable")):
            sdk.ask(client, is_async=False)
    assert len(attempts) == sent


# Those that do not: theirs are off, or multiply ours.


def vetoed(sdk: Sdk) -> Any:
    """Return a transport that gives a 503 up at once, and says so to the layers above."""
    dialect = sdk.speaks().extend(statuses={503: ErrorClass.PERMANENT})
    return sdk.transport(is_async=False, dialect=dialect, policy=VETO)


@of_each(THAT_DO_NOT)
@pytest.mark.usefixtures("nobody_sleeps")
def test_those_that_do_not_obey_send_a_failed_call_as_often_as_the_documentation_says(
    sdk: Sdk,
) -> None:
    with SdkServer(sdk.api, *["overload"] * MANY).serving() as server:
        with pytest.raises(sdk.error("overload")), vetoed(sdk) as transport:
            sdk.ask(sdk.client(server.url, transport, is_async=False, retries=True), is_async=False)
        assert server.requests == sdk.own_attempts


@pytest.mark.usefixtures("nobody_sleeps")
def test_a_hook_obeys_for_cohere() -> None:
    sdk = Cohere()
    cohere = sdk.load()

    def obey(response: httpx.Response) -> None:
        if response.headers.get("x-should-retry") == "false":
            response.read()
            raise cohere.core.ApiError(status_code=response.status_code, body=response.json())

    with SdkServer(sdk.api, *["quota"] * MANY).serving() as server:
        http_client = httpx.Client(
            transport=sdk.transport(is_async=False), event_hooks={"response": [obey]}
        )
        client = cohere.ClientV2("key", base_url=server.url, httpx_client=http_client)
        with http_client, pytest.raises(cohere.core.ApiError) as raised:
            sdk.ask(client, is_async=False)
        assert server.requests == 1
    assert raised.value.body == sdk.api.refusals["quota"].body


# The Hub's own functions, whose retries cannot be switched off.


@pytest.fixture
def hub() -> Iterator[Any]:
    sdk = HuggingFaceHub()
    yield sdk.load()
    sdk.undo()


def listed(hub: Any, url: str) -> list[str]:
    return [model.id for model in hub.HfApi(endpoint=url, token=False).list_models()]


HUB = sdk_apis.Api(
    answer=[{"id": "somebody/model", "_id": "1"}], refusals=sdk_apis.HUGGING_FACE.refusals
)


def hook_for(hub: Any) -> Any:
    """Return what raises the Hub's own error for a response that is not to be asked for again."""

    def obey(response: httpx2.Response) -> None:
        if response.headers.get("x-should-retry") == "false":
            response.read()
            hub.utils.hf_raise_for_status(response)

    return obey


def set_client(hub: Any, policy: Policy, *hooks: Any) -> None:
    def client() -> httpx2.Client:
        dialect = HuggingFaceHub().speaks()
        transport = ResilientTransport2(dialect=dialect, policy=policy)
        return httpx2.Client(transport=transport, event_hooks={"response": list(hooks)})

    hub.set_client_factory(client)


def test_models_are_listed_though_that_is_refused_twice(hub: Any) -> None:
    set_client(hub, POLICY)
    with SdkServer(HUB, "rate_limit", "rate_limit").serving() as server:
        assert listed(hub, server.url) == ["somebody/model"]
        assert server.requests == 3


@pytest.mark.usefixtures("nobody_sleeps")
@pytest.mark.parametrize(("obeys", "sent"), [(True, 4), (False, 24)])
def test_the_hubs_functions_send_six_times_what_we_do_unless_a_hook_obeys(
    hub: Any, obeys: bool, sent: int
) -> None:
    set_client(hub, VETO, *([hook_for(hub)] if obeys else []))
    with SdkServer(HUB, *["overload"] * MANY).serving() as server:
        with pytest.raises(hub.errors.HfHubHTTPError):
            listed(hub, server.url)
        assert server.requests == sent
