"""What a client meets: captured errors through a transport, in virtual time."""

import json
from collections.abc import Callable
from typing import NamedTuple

import anyio
import httpx
import pytest

from httpx_resilience import AsyncResilientTransport, dialects, history_of
from support.captures import CAPTURES, read_capture
from support.virtual import run

LLMS = ("OPENAI", "ANTHROPIC", "AZURE_OPENAI", "GEMINI", "MISTRAL", "GROQ")


class Seen(NamedTuple):
    """What the server saw, and what the client got, after how many seconds."""

    requests: list[httpx.Request]
    response: httpx.Response
    seconds: float

    @property
    def reason(self) -> str | None:
        history = history_of(self.response)
        return history.reason if history is not None else None


def captured(name: str) -> Callable[[], httpx.Response]:
    one = read_capture(CAPTURES / f"{name}.json")
    headers = [pair for pair in one.headers if pair[0].lower() not in (b"content-length", b"date")]
    return lambda: httpx.Response(one.status, headers=headers, content=one.body)


def call(dialect: str, *answers: Callable[[], httpx.Response], method: str = "POST") -> Seen:
    """Call an API once; what comes after the given answers is well."""
    requests: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        at = len(requests) - 1
        return answers[at]() if at < len(answers) else httpx.Response(200, json={"is": "well"})

    async def main() -> Seen:
        transport = AsyncResilientTransport(
            httpx.MockTransport(answer), dialect=getattr(dialects, dialect)
        )
        async with httpx.AsyncClient(transport=transport) as client:
            begun = anyio.current_time()
            response = await client.request(method, "https://api.example/v1/things", json={"a": 1})
            return Seen(requests, response, anyio.current_time() - begun)

    seen = run("asyncio", main)
    assert isinstance(seen, Seen)
    return seen


def always(answer: Callable[[], httpx.Response]) -> list[Callable[[], httpx.Response]]:
    return [answer] * 20


@pytest.mark.parametrize(
    ("dialect", "name"),
    [
        ("OPENAI", "openai/insufficient_quota"),
        ("OPENAI", "openai/insufficient_quota_type"),
        ("AZURE_OPENAI", "openai/insufficient_quota"),
        ("GROQ", "openai/insufficient_quota"),
        ("ANTHROPIC", "anthropic/spend_limit"),
        ("GEMINI", "gemini/per_day"),
    ],
)
def test_an_exhausted_quota_is_one_request_and_sdks_above_are_asked_to_stop(
    dialect: str, name: str
) -> None:
    seen = call(dialect, *always(captured(name)))
    assert len(seen.requests) == 1
    assert (seen.reason, seen.response.headers["x-should-retry"]) == ("permanent", "false")
    assert seen.response.json() == json.loads(captured(name)().content)


@pytest.mark.parametrize("dialect", LLMS)
def test_a_post_that_met_a_503_is_sent_again_to_a_model(dialect: str) -> None:
    seen = call(dialect, lambda: httpx.Response(503))
    assert len(seen.requests) == 2
    assert seen.response.json() == {"is": "well"}


@pytest.mark.parametrize("dialect", ["GITHUB", "SLACK", "SHOPIFY", "NOTION", "HASHICORP_VAULT"])
def test_a_post_that_met_a_503_is_not_sent_again_where_nothing_makes_it_safe(dialect: str) -> None:
    seen = call(dialect, *always(lambda: httpx.Response(503)))
    assert len(seen.requests) == 1
    assert "x-should-retry" not in seen.response.headers


def test_stripe_gets_one_key_for_all_attempts_of_a_post() -> None:
    seen = call("STRIPE", captured("stripe/lock_timeout"), lambda: httpx.Response(500))
    keys = {request.headers["Idempotency-Key"] for request in seen.requests}
    assert (len(seen.requests), len(keys)) == (3, 1)
    assert call("STRIPE").requests[0].headers["Idempotency-Key"] not in keys


def test_stripes_veto_ends_the_call() -> None:
    seen = call("STRIPE", *always(captured("stripe/vetoed")))
    assert (len(seen.requests), seen.reason) == (1, "vetoed")


@pytest.mark.parametrize("name", ["graphql_throttled", "graphql_throttled_no_code"])
def test_a_query_that_shopify_throttled_with_status_200_is_repeated(name: str) -> None:
    seen = call("SHOPIFY", captured(f"shopify/{name}"))
    assert len(seen.requests) == 2
    assert seen.response.json() == {"is": "well"}


def test_slacks_error_in_a_200_reaches_the_user_whole() -> None:
    seen = call("SLACK", *always(captured("slack/channel_not_found")))
    assert len(seen.requests) == 1
    assert seen.response.json() == {"ok": False, "error": "channel_not_found"}


def test_githubs_secondary_limit_waits_a_minute() -> None:
    seen = call("GITHUB", captured("github/secondary_403"), method="GET")
    assert len(seen.requests) == 2
    assert 60.0 <= seen.seconds <= 90.0


def test_a_403_of_githubs_that_is_no_limit_is_final() -> None:
    seen = call("GITHUB", *always(captured("github/forbidden")), method="GET")
    assert (len(seen.requests), seen.seconds) == (1, 0.0)


def test_geminis_delay_in_the_body_is_waited_for() -> None:
    seen = call("GEMINI", captured("gemini/per_minute"))
    assert len(seen.requests) == 2
    assert 26.0 <= seen.seconds <= 40.0


def test_awss_throttling_with_status_400_is_repeated() -> None:
    seen = call("AWS_SECRETS_MANAGER", captured("aws_secrets_manager/throttling"))
    assert len(seen.requests) == 2
