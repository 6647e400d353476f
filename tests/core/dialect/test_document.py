"""A request's body as JSON: parsed at most once, within limits; whatever is odd says nothing."""

import json
import time

import pytest

from httpx_resilience import CategoryRule, CostEstimate, RequestRules
from httpx_resilience._core.dialect import document
from httpx_resilience._core.dialect.document import (
    MAX_DEPTH,
    MAX_NESTED,
    MAX_REQUEST,
    Contents,
    parse,
)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b'{"a": 1}', {"a": 1}),
        (b" [1]\r\n", [1]),
        ('{"a": "ü"}'.encode(), {"a": "ü"}),
        ('{"a": "ü"}'.encode("utf-16"), {"a": "ü"}),
        (b"", None),
        (b"5", None),
        (b'"a"', None),
        (b"null", None),
        (b"{} {}", None),
        (b'{"a": 1', None),
        (b'{"a": \xff}', None),
        (b'{"a": %s}' % (b"1" * 5000), None),  # Python converts 4,300 digits at the most
        (b"a=1&b=2", None),
    ],
)
def test_an_object_or_a_list_is_read_and_nothing_else(body: bytes, said: object) -> None:
    assert parse(body, 10_000) == said


def test_a_body_beyond_the_limit_is_not_parsed(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = b'{"a": "' + b"x" * (MAX_REQUEST - 9) + b'"}'
    assert len(whole) == MAX_REQUEST
    assert Contents(whole).document is not None
    monkeypatch.setattr(document, "_decoder", None)  # whoever asks it fails
    assert Contents(whole + b" ").document is None


def test_nesting_has_a_limit_in_depth_and_in_number() -> None:
    deep = b"[" * MAX_DEPTH + b"]" * MAX_DEPTH
    assert parse(deep, 10_000) is not None
    assert parse(b"[" + deep + b"]", 10_000) is None
    wide = b"[" + b",".join([b"{}"] * (MAX_NESTED - 1)) + b"]"
    assert parse(wide, MAX_REQUEST) is not None
    assert parse(wide[:-1] + b",{}]", MAX_REQUEST) is None


def test_brackets_in_strings_are_no_nesting() -> None:
    text = json.dumps({"a": "[" * 500 + '"\\' + "{" * 500}).encode()
    assert parse(text, 10_000) is not None


@pytest.mark.parametrize("part", [b'"', b'\\"', b'["', b"[", b'{"a":'])
def test_a_hostile_body_takes_little_time(part: bytes) -> None:
    body = part * (MAX_REQUEST // len(part))
    started = time.process_time()
    assert Contents(body).document is None
    assert time.process_time() - started < 2.0


def test_a_body_is_parsed_once_however_many_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    parsed: list[bytes] = []

    def counted(body: bytes, largest: int) -> object:
        parsed.append(body)
        return parse(body, largest)

    monkeypatch.setattr(document, "parse", counted)
    rules = RequestRules(
        categories=(CategoryRule(name="chat", field=("model",)),),
        costs=(
            CostEstimate(fields=(("max_tokens",), ("other",))),
            CostEstimate(unit="x", fields=(("max_tokens",),)),
        ),
    )
    body = b'{"model": "m", "max_tokens": 5}'
    rules.spending_of(None, "POST", "/", Contents(body))
    assert parsed == [body]


def test_a_body_is_not_parsed_where_nothing_asks_for_what_it_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(document, "parse", None)
    rules = RequestRules(categories=(CategoryRule(name="a", path="/{x}"),), costs=(CostEstimate(),))
    said = rules.spending_of(None, "POST", "/v", Contents(b"{}" * 4))
    assert (said.value, said.units) == ("v", {"tokens": 2})


def test_contents_are_not_shown() -> None:
    assert "s3cr3t" not in repr(Contents(b"s3cr3t"))
