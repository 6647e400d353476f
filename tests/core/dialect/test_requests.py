"""What an API says of its requests: against which budget they count, and what they take of it."""

import copy
import json
import pickle
from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import pytest

from httpx_resilience import GENERIC, CategoryRule, CostEstimate, Dialect, RequestRules
from httpx_resilience._core.dialect.document import Contents
from httpx_resilience._core.dialect.requests import MOST, RequestCost

CHAT = b'{"model": "m-1", "max_tokens": 500}'
PATH = "/v1/chat/completions"


def spending(rules: RequestRules, body: bytes | None = CHAT, path: str = PATH) -> RequestCost:
    return rules.spending_of("the request", "POST", path, Contents(body))


# Categories.


@pytest.mark.parametrize(
    ("pattern", "path", "value"),
    [
        ("/v1beta/models/{model}:*", "/v1beta/models/gemini-3:generateContent", "gemini-3"),
        ("/v1beta/models/{model}:*", "/v1beta/models/gemini-3", None),
        ("/v1beta/models/{model}:*", "/v1beta/models/a/b:generateContent", None),
        ("*/models/{model}:*", "/v1/models/m:embed", "m"),
        ("/openai/deployments/{deployment}/*", "/openai/deployments/d-1/chat/completions", "d-1"),
        ("/openai/deployments/{deployment}/*", "/openai/deployments//chat", None),
        ("/{tenant}", "/acme", "acme"),
        ("/{tenant}", "/acme/", None),
        ("/{tenant}", "/", None),
        ("{tenant}/*", "acme/x", "acme"),
        ("/{Tenant}", "/{Tenant}", None),  # a word in lower case is one
        ("/v1/*", "/v1/x", None),
    ],
)
def test_a_placeholder_stands_for_one_segment_of_the_path(
    pattern: str, path: str, value: str | None
) -> None:
    rule = CategoryRule(name="a", path=pattern)
    has_value = pattern not in ("/{Tenant}", "/v1/*")
    assert rule.has_value is has_value
    assert rule.fits("GET", path) is (value is not None or not has_value)
    if has_value:
        assert rule.value_in(path) == value


def test_a_placeholder_is_looked_for_in_the_first_64_segments() -> None:
    rule = CategoryRule(name="a", path="*/m/{model}")
    assert rule.value_in("/x" * 62 + "/m/y") == "y"
    assert rule.value_in("/x" * 63 + "/m/y") is None


def test_methods_and_rules_before_it_decide_whether_a_placeholder_counts() -> None:
    rules = RequestRules(
        categories=(
            CategoryRule(name="upload", path="/v1/{x}", methods=("put",)),
            CategoryRule(name="chat", path="/v1/chat/*", field=("model",)),
            CategoryRule(name="rest"),
        )
    )
    assert spending(rules) == ("chat", "m-1", 1, None)
    assert spending(rules, path="/v1/x") == ("rest", None, 1, None)
    fewer = replace(rules, categories=rules.categories[:2])
    assert spending(fewer, path="/v2") == ("", None, 1, None)


@pytest.mark.parametrize(
    "body",
    [
        None,
        b"",
        b"model=m-1",
        b"[]",
        b'{"model": 5}',
        b'{"model": null}',
        b'{"model": ["m-1"]}',
        b'{"other": "m-1"}',
        b'{"model": "m-1"',
    ],
)
def test_a_body_without_the_field_shares_the_budget_of_the_name(body: bytes | None) -> None:
    rules = RequestRules(categories=(CategoryRule(name="chat", field=("model",)),))
    assert spending(rules, body) == ("chat", None, 1, None)


def test_a_field_may_stand_deeper() -> None:
    rules = RequestRules(categories=(CategoryRule(name="c", field=("messages", "*", "[k=v]")),))
    assert spending(rules, b'{"messages": [[{"k": "v"}]]}').value is None
    rules = RequestRules(categories=(CategoryRule(name="c", field=("messages", "*", "role")),))
    assert spending(rules, b'{"messages": [{"role": "user"}]}').value == "user"


@pytest.mark.parametrize(
    ("more", "error", "words"),
    [
        (
            {"path": "/{a}/{b}"},
            ValueError,
            r"^CategoryRule\.path: got '/\{a\}/\{b\}', allowed is one",
        ),
        ({"path": "/{a}", "field": ("b",)}, ValueError, r"^CategoryRule\.path: .* beside a field"),
        ({"field": "model"}, TypeError, r"^CategoryRule\.field: "),
        ({"field": ()}, ValueError, r"^CategoryRule\.field: got a path of 0 elements"),
        ({"field": (5,)}, TypeError, r"^CategoryRule\.field: got \(5,\)"),
        ({"field": ("[x",)}, ValueError, r"^CategoryRule\.field: got the element '\[x'"),
    ],
)
def test_a_category_that_cannot_be_is_refused(
    more: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        CategoryRule(name="a", **more)


@pytest.mark.parametrize("given", [[CategoryRule(name="a")], ("a",), ({"name": "a"},), None])
def test_rules_that_are_none_are_refused(given: Any) -> None:
    with pytest.raises(
        TypeError, match=r"^RequestRules\.categories: got .* tuple of CategoryRules"
    ):
        RequestRules(categories=given)


# Estimates.


@pytest.mark.parametrize(
    ("estimate", "body", "units"),
    [
        (CostEstimate(), b"x" * 400, 100),
        (CostEstimate(), b"x" * 403, 100),
        (CostEstimate(), b"", 0),
        (CostEstimate(), None, 0),
        (CostEstimate(bytes_per_unit=0.5), b"abc", 6),
        (CostEstimate(bytes_per_unit=5e-324), b"abc", MOST),
        (CostEstimate(bytes_per_unit=None), b"x" * 400, 0),
    ],
)
def test_a_body_counts_by_its_bytes(estimate: CostEstimate, body: bytes, units: int) -> None:
    assert estimate.of(Contents(body)) == units


@pytest.mark.parametrize(
    ("said", "units"),
    [
        ({"max_tokens": 500}, 500),
        ({"max_tokens": 500, "limit": 7}, 500),
        ({"limit": 7}, 7),
        ({"max_tokens": None, "limit": 7}, 7),
        ({"max_tokens": True, "limit": 7}, 7),
        ({"max_tokens": "500", "limit": 7}, 7),
        ({"max_tokens": 500.0, "limit": 7}, 7),
        ({"max_tokens": True}, 0),
        ({"max_tokens": 0, "limit": 7}, 0),
        ({"max_tokens": -500}, 0),
        ({"max_tokens": 10**400}, MOST),
        ({"max_tokens": {"a": 1}}, 0),
        ({"x": 1}, 0),
        ([{"max_tokens": 500}], 0),
    ],
)
def test_the_first_field_that_holds_a_whole_number_is_added(said: object, units: int) -> None:
    estimate = CostEstimate(bytes_per_unit=None, fields=(("max_tokens",), ("limit",)))
    assert estimate.of(Contents(json.dumps(said).encode())) == units


def test_bytes_and_what_is_asked_for_are_added_up_to_a_bound() -> None:
    estimate = CostEstimate(fields=(("max_tokens",),))
    assert estimate.of(Contents(CHAT)) == len(CHAT) // 4 + 500
    assert estimate.of(Contents(b'{"max_tokens": %d}' % MOST)) == MOST


def test_a_body_that_is_not_parsed_counts_by_its_bytes_alone() -> None:
    body = json.dumps({"max_tokens": 500, "text": "x" * 1_048_576}).encode()
    assert CostEstimate(fields=(("max_tokens",),)).of(Contents(body)) == len(body) // 4


@pytest.mark.parametrize(
    ("fields", "error", "words"),
    [
        ({"unit": 5}, TypeError, r"^CostEstimate\.unit: got 5, allowed is a string"),
        ({"bytes_per_unit": 0}, ValueError, r"^CostEstimate\.bytes_per_unit: got 0, .* above 0"),
        ({"bytes_per_unit": -1.0}, ValueError, r"^CostEstimate\.bytes_per_unit: got -1\.0"),
        ({"bytes_per_unit": float("inf")}, ValueError, r"^CostEstimate\.bytes_per_unit: got inf"),
        ({"bytes_per_unit": float("nan")}, ValueError, r"^CostEstimate\.bytes_per_unit: got nan"),
        ({"bytes_per_unit": False}, TypeError, r"^CostEstimate\.bytes_per_unit: got False"),
        ({"bytes_per_unit": "4"}, TypeError, r"^CostEstimate\.bytes_per_unit: got '4'"),
        ({"fields": ("max_tokens",)}, TypeError, r"^CostEstimate\.fields: got \('max_tokens',\)"),
        ({"fields": [("a",)]}, TypeError, r"^CostEstimate\.fields: "),
        ({"fields": ((),)}, ValueError, r"^CostEstimate\.fields: got a path of 0 elements"),
    ],
)
def test_an_estimate_that_cannot_be_is_refused(
    fields: dict[str, Any], error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        CostEstimate(**fields)


def test_estimates_of_one_unit_add_up() -> None:
    rules = RequestRules(
        costs=(
            CostEstimate(bytes_per_unit=5),
            CostEstimate(bytes_per_unit=None, fields=(("max_tokens",),)),
            CostEstimate(unit="bytes", bytes_per_unit=1),
        )
    )
    assert spending(rules).units == {"tokens": len(CHAT) // 5 + 500, "bytes": len(CHAT)}


# Costs that are given.


def test_a_function_is_given_the_request_and_says_what_it_takes() -> None:
    asked: list[object] = []

    def costs(request: object) -> Mapping[str, int]:
        asked.append(request)
        return MappingProxyType({"tokens": 900, "images": 0, "huge": MOST})

    said = spending(RequestRules(costs=costs))
    assert said == (None, None, 1, {"tokens": 900, "images": 0, "huge": MOST})
    assert asked == ["the request"]


@pytest.mark.parametrize(("given", "cost"), [({"requests": 3}, 3), ({"requests": 0}, 1), ({}, 2)])
def test_what_is_said_of_requests_replaces_the_rules_cost(given: dict[str, int], cost: int) -> None:
    rules = RequestRules(costs=lambda _: given, categories=(CategoryRule(name="a", cost=2),))
    assert spending(rules).cost == cost


def test_what_it_returned_may_change_later() -> None:
    given = {"tokens": 5}
    said = spending(RequestRules(costs=lambda _: given))
    given["tokens"] = 7
    assert said.units == {"tokens": 5}


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        (900, TypeError, r"^costs\(request\): got a int, allowed is a map"),
        (None, TypeError, r"^costs\(request\): got a NoneType, allowed is a map"),
        ([("tokens", 5)], TypeError, r"^costs\(request\): got a list, allowed is a map"),
        ("s3cr3t", TypeError, r"^costs\(request\): got a str, allowed is a map"),
        (
            {"tokens": True},
            TypeError,
            r"^costs\(request\)\['tokens'\]: got True, allowed is an int",
        ),
        ({"tokens": 1.5}, TypeError, r"^costs\(request\)\['tokens'\]: got 1\.5, allowed is an int"),
        ({"tokens": None}, TypeError, r"^costs\(request\)\['tokens'\]: got None"),
        ({"tokens": -1}, ValueError, r"^costs\(request\)\['tokens'\]: got -1, allowed .* \[0, "),
        ({"tokens": MOST + 1}, ValueError, r"^costs\(request\)\['tokens'\]: got 1000000000001"),
        ({5: 1}, TypeError, r"^costs\(request\): unit: got 5, allowed is a string"),
    ],
)
def test_a_result_that_is_no_map_of_units_is_named(
    given: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words):
        spending(RequestRules(costs=lambda _: given))


def test_what_it_raises_comes_out_as_it_is() -> None:
    def costs(request: object) -> Mapping[str, int]:
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        spending(RequestRules(costs=costs))


async def tokens(request: object) -> dict[str, int]:
    return {"tokens": 1}


@pytest.mark.parametrize("given", [5, [CostEstimate()], (5,), ({"unit": "tokens"},), tokens])
def test_costs_that_are_neither_a_plain_function_nor_estimates_are_refused(given: Any) -> None:
    with pytest.raises(TypeError, match=r"^RequestRules\.costs: got "):
        RequestRules(costs=given)


def test_an_async_function_in_disguise_is_refused_when_it_is_called() -> None:
    rules = RequestRules(costs=lambda request: tokens(request))  # type: ignore[arg-type,return-value]  # it is what is refused
    with pytest.raises(TypeError, match=r"^costs\(request\): it returned an awaitable"):
        spending(rules)


# A dialect's rules, as values.


def test_rules_are_plain_unless_something_is_said_of_what_requests_take() -> None:
    assert RequestRules().is_plain
    assert RequestRules(category=lambda method, path: "a").is_plain
    for rules in (
        RequestRules(categories=(CategoryRule(name="a"),)),
        RequestRules(costs=(CostEstimate(),)),
        RequestRules(costs=len),  # type: ignore[arg-type]  # any callable
    ):
        assert not rules.is_plain
        assert replace(rules, categories=(), costs=()).is_plain


def test_rules_are_equal_copied_pickled_and_changed_like_other_values() -> None:
    rules = RequestRules(
        categories=(CategoryRule(name="chat", field=("model",)),),
        costs=(CostEstimate(fields=(("max_tokens",),)),),
    )
    for other in (copy.copy(rules), copy.deepcopy(rules), pickle.loads(pickle.dumps(rules))):
        assert other == rules
        assert hash(other) == hash(rules)
        assert not other.is_plain
        assert spending(other) == spending(rules)
    assert replace(rules, costs=()) != rules
    assert "is_plain" not in repr(rules)
    with pytest.raises((TypeError, ValueError), match="is_plain"):
        replace(rules, is_plain=True)


def test_a_dialect_is_extended_by_costs_and_keeps_its_other_rules() -> None:
    base = Dialect(name="x", requests=RequestRules(post_is_repeatable=True))
    mine = base.extend(costs=[CostEstimate()])
    assert mine.requests == RequestRules(post_is_repeatable=True, costs=(CostEstimate(),))
    assert mine.extend().requests == mine.requests
    assert mine.extend(costs=()).requests == base.requests
    assert not GENERIC.extend(costs=lambda request: {}).requests.is_plain
    assert base.requests.is_plain


@pytest.mark.parametrize("given", [5, CostEstimate()])
def test_an_extension_by_costs_that_are_none_is_refused(given: Any) -> None:
    with pytest.raises(TypeError, match=r"^generic\.extend\(costs\): got .*allowed is a callable"):
        GENERIC.extend(costs=given)
    with pytest.raises(TypeError, match=r"^RequestRules\.costs: got "):
        GENERIC.extend(costs=[given] if given == 5 else "ab")  # type: ignore[arg-type]  # refused


def test_a_budget_is_logged_without_what_a_redacted_path_said() -> None:
    rules = RequestRules(
        categories=(
            CategoryRule(name="generate", path="/models/{model}:*"),
            CategoryRule(name="chat", path="*/chat/*", field=("model",)),
        )
    )
    assert rules.shown_category_of("POST", "/models/***:x", "generate:m") == "generate"
    assert rules.shown_category_of("POST", "/***/chat/x", "chat:m") == "chat:m"
    assert rules.shown_category_of("POST", "***", "chat:m") == ""
    named = RequestRules(category=lambda method, path: path)
    assert named.shown_category_of("POST", "***", None) == "***"
