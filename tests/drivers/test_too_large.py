"""A request that takes more than the limit by the server's own word is not sent again."""

import json

import httpx
import pytest

from httpx_resilience import GENERIC, OPENAI, AsyncResilientTransport, Dialect, history_of
from support.scripted import Ear

pytestmark = pytest.mark.anyio

URL = "https://llm.example/v1/chat/completions"
LIMITS = {
    "x-ratelimit-limit-tokens": "30000",
    "x-ratelimit-remaining-tokens": "29999",
    "x-ratelimit-reset-tokens": "1ms",
}


def refused(text: str) -> dict[str, object]:
    return {"error": {"code": "rate_limit_exceeded", "message": text}}


async def ended(text: str, dialect: Dialect = OPENAI) -> tuple[int, str | None, str | None]:
    """Return how often a request was sent, why it ended, and what is said to the person on call."""
    sent: list[bytes] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.content)
        return httpx.Response(429, headers=LIMITS, json=refused(text))

    ear = Ear()
    transport = AsyncResilientTransport(httpx.MockTransport(answer), dialect=dialect, on_event=ear)
    async with httpx.AsyncClient(transport=transport) as client:
        response = await client.post(URL, content=json.dumps({"model": "m"}))
    assert response.status_code == 429
    history = history_of(response)
    assert history is not None
    advice = next(
        event.as_fields().get("advice") for event in ear.events if event.name == "gave_up"
    )
    return len(sent), history.reason, str(advice)


@pytest.mark.parametrize(
    "text",
    [
        "Request too large: Limit 30000, Requested 30601. It must be reduced.",
        "Limit 30000, Used 0, Requested ~30,601. Try again in 50s.",
    ],
)
async def test_it_ends_after_one_request_and_says_why(text: str) -> None:
    assert await ended(text) == (
        *(1, "throttle_timeout"),
        "it takes 30601 tokens, and the limit is 30000",
    )


@pytest.mark.parametrize(
    "text", ["Limit 30000, Requested 20601.", "Too large.", "Requested many tokens"]
)
async def test_what_fits_or_is_not_named_goes_again(text: str) -> None:
    sent, reason, _ = await ended(text)
    assert (sent, reason) == (4, "attempts_exhausted")


async def test_only_a_dialect_says_where_the_number_stands() -> None:
    sent, _, _ = await ended("Limit 30000, Requested 30601.", GENERIC)
    assert sent > 1
