"""Headers of servers that count something else than requests, or several things at once."""

import json
from pathlib import Path
from typing import Any

import pytest

from httpx_resilience._core.headers import RateLimit, RateLimitReader, server_wait

DATE = 1700000000.0
FILE = Path(__file__).parents[2] / "vectors" / "ratelimit_units.json"
VECTORS: list[dict[str, Any]] = json.loads(FILE.read_text(encoding="utf-8"))["vectors"]


def raw(pairs: list[list[str]]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode()) for name, value in pairs]


def fits(limit: RateLimit, expected: dict[str, Any]) -> bool:
    said = limit._asdict()
    return all(said[name] == pytest.approx(value) for name, value in expected.items())


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["id"])
def test_each_policy_is_read_with_its_unit_and_its_window(vector: dict[str, Any]) -> None:
    headers = raw(vector["headers"])
    reading = RateLimitReader().read(headers, wall=0.0)
    wait = server_wait(headers, status=vector["status"], wall=0.0, reading=reading)
    assert len(reading.limits) == len(vector["limits"])
    for expected in vector["limits"]:
        assert any(fits(limit, expected) for limit in reading.limits), expected
    assert (wait.seconds if wait else None) == vector["block_for"]


def test_each_vector_names_its_source() -> None:
    assert all(vector["source"] for vector in VECTORS)


def cost_of(value: str, unit: str = "tokens") -> int | None:
    pairs = [
        [f"x-ratelimit-remaining-{unit}-minute", "5"],
        ["x-ratelimit-tokens-query-cost", value],
    ]
    (limit,) = RateLimitReader().read(raw(pairs), wall=0.0).limits
    return limit.cost


@pytest.mark.parametrize("value", ["-1", "1.5", "many", "", "1e3", "9" * 5000])
def test_a_cost_that_is_no_whole_number_is_none(value: str) -> None:
    assert cost_of(value) is None


def test_a_cost_of_nothing_is_one() -> None:
    assert cost_of("0") == 0


def test_a_cost_in_tokens_is_none_of_other_units() -> None:
    assert cost_of("7", "input-tokens") is None


def test_the_cost_of_a_response_is_not_that_of_the_last_one_whose_headers_are_alike() -> None:
    reader = RateLimitReader()
    seen = []
    for remaining, cost in (("90", "10"), ("60", "30"), ("50", "10")):
        pairs = [
            ["Date", "Tue, 14 Nov 2023 22:13:20 GMT"],
            ["x-ratelimit-limit-tokens-minute", "100"],
            ["x-ratelimit-remaining-tokens-minute", remaining],
            ["x-ratelimit-tokens-query-cost", cost],
        ]
        (limit,) = reader.read(raw(pairs), wall=0.0).limits
        seen.append((limit.remaining, limit.cost))
    assert seen == [(90, 10), (60, 30), (50, 10)]


def test_a_cost_is_in_no_other_response() -> None:
    reader = RateLimitReader()
    pairs = [
        ["Date", "Tue, 14 Nov 2023 22:13:20 GMT"],
        ["x-ratelimit-limit-tokens", "100"],
        ["x-ratelimit-remaining-tokens", "90"],
        ["x-ratelimit-reset-tokens", "6s"],
    ]
    for _ in range(3):
        (limit,) = reader.read(raw(pairs), wall=0.0).limits
        assert limit == RateLimit(100, 90, 6.0, unit="tokens")
