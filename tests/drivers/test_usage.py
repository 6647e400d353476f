"""What a request took, as the body of its success says: learned, and nobody can tell."""

import json
from typing import Any

import pytest

from httpx_resilience import Dialect, Policy, RequestRules
from support.clients import call, resilient
from support.scripted import Reply

pytestmark = pytest.mark.anyio

RULES = RequestRules(usage={"tokens": ("usage", "total_tokens")})


def said(left: int, usage: Any) -> Reply:
    body = json.dumps({"text": "well", "usage": {"total_tokens": usage}}).encode()
    headers = (
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        ("X-RateLimit-Limit-Tokens", "30000"),
        ("X-RateLimit-Remaining-Tokens", str(left)),
        ("X-RateLimit-Reset-Tokens", "59s"),
    )
    return Reply(200, (body,), headers)


async def learned(usage: Any, rules: RequestRules = RULES) -> float:
    """Return the cost that is learned of calls between which 500 tokens go."""
    replies = [said(29_000 - 500 * nth, usage) for nth in range(4)]
    dialect = Dialect(name="llm", requests=rules)
    transport, _ = resilient(*replies, dialect=dialect, policy=Policy())
    for _ in replies:
        response = await call(transport)
        await response.aread()
        assert response.json()["text"] == "well"
    (route,) = transport._calls.registry._routes.values()
    (quota,) = route.throttle._quotas.metered
    return quota.costs.learned.high


async def test_what_the_body_says_counts() -> None:
    assert await learned(321) == 321


@pytest.mark.parametrize("usage", [None, "321", -1, True, 1.5, 10**30, [321]])
async def test_what_is_no_whole_number_says_nothing(usage: Any) -> None:
    assert await learned(usage) == 500


async def test_bodies_are_not_looked_at_unless_the_dialect_says_so() -> None:
    assert await learned(321, RequestRules()) == 500


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        ({"tokens": "usage.total"}, "RequestRules.usage"),
        ({"tokens": ()}, "RequestRules.usage"),
        ({str(n): ("a",) for n in range(9)}, "RequestRules.usage: number of units"),
    ],
)
def test_what_is_no_map_from_unit_to_path_is_refused(usage: Any, field: str) -> None:
    with pytest.raises((TypeError, ValueError), match=field):
        RequestRules(usage=usage)


def test_toml_says_it_too() -> None:
    text = 'name = "llm"\n[requests.usage]\ntokens = "usage.total_tokens"\n'
    assert Dialect.from_toml(text).requests == RULES
    with pytest.raises(ValueError, match=r"requests\.usage\.tokens"):
        Dialect.from_toml('name = "llm"\n[requests.usage]\ntokens = 3\n')
