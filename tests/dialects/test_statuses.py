"""What the dialects say of responses without a listed code, and of methods."""

import pytest

from httpx_resilience import ErrorClass, Policy, RetryPolicy, dialects
from httpx_resilience._core.dialect.classify import classify
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.outcome import Outcome
from support.core import Answer, play

OF_OPENAIS_KIND = ("OPENAI", "ANTHROPIC", "AZURE_OPENAI", "GROQ")
LLMS = (*OF_OPENAIS_KIND, "GEMINI", "MISTRAL")
SHIPPED = [name for name in dialects.__all__ if name not in ("GENERIC", "SCAIVAULT")]


def class_of(name: str, status: int, body: bytes = b"") -> ErrorClass:
    outcome = Outcome(0.0, 0.1, 0.1, 1.7e9, status=status, body=body)
    failure = classify(outcome, getattr(dialects, name), RateLimitReader())
    assert failure is not None
    return failure.error_class


@pytest.mark.parametrize(
    ("status", "names"),
    [
        (529, (*LLMS, "NOTION")),
        (409, (*OF_OPENAIS_KIND, "STRIPE")),
        (498, ("GROQ",)),
        (412, ("HASHICORP_VAULT",)),
        (503, SHIPPED),
        (504, SHIPPED),
    ],
)
def test_a_status_passes_for_those_who_say_so_and_for_no_others(
    status: int, names: tuple[str, ...]
) -> None:
    found = {name for name in SHIPPED if class_of(name, status) is ErrorClass.TRANSIENT}
    assert found == set(names)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_proxys_page_is_judged_by_its_status(name: str) -> None:
    page = b"<html><body>Bad gateway</body></html>"
    assert class_of(name, 502, page) is ErrorClass.TRANSIENT
    assert class_of(name, 429, page) is ErrorClass.RATE_LIMITED
    assert class_of(name, 404, page) is ErrorClass.PERMANENT


@pytest.mark.parametrize("name", SHIPPED)
def test_layers_above_are_stopped_where_their_sdks_listen(name: str) -> None:
    assert getattr(dialects, name).stop_layers_above == (name in (*LLMS, "STRIPE"))


@pytest.mark.parametrize("name", SHIPPED)
def test_a_post_that_may_have_been_processed_is_repeated_where_the_apis_own_sdk_does(
    name: str,
) -> None:
    played = play(Answer(503), Answer(200), dialect=getattr(dialects, name), method="POST")
    assert (played.attempts == 2) == (name in (*LLMS, "AWS_SECRETS_MANAGER"))


def test_a_put_into_a_vault_that_may_have_been_processed_is_not_repeated() -> None:
    played = play(Answer(503), dialect=dialects.HASHICORP_VAULT, method="PUT")
    assert (played.attempts, played.done.reason) == (1, "not_idempotent")


@pytest.mark.parametrize("name", SHIPPED)
def test_an_error_that_is_repeated_says_what_to_do_if_it_lasts(name: str) -> None:
    for spec in getattr(dialects, name).codes.values():
        assert spec.meaning.endswith("."), spec.code
        assert spec.advice.endswith("."), spec.code
        assert spec.category, spec.code


def test_a_user_may_change_a_rule_of_a_dialect_that_ships() -> None:
    mine = dialects.OPENAI.extend(codes={"insufficient_quota": ErrorClass.RATE_LIMITED})
    body = b'{"error": {"code": "insufficient_quota"}}'
    policy = Policy(retry=RetryPolicy(max_attempts=2))
    assert play(Answer(429, body), dialect=mine, policy=policy).attempts == 2
    assert play(Answer(429, body), dialect=dialects.OPENAI, policy=policy).attempts == 1
