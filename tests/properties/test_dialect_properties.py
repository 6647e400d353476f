"""Whatever a server sends, each dialect that ships makes something of it, soon, without raising."""

import json
import time
from functools import reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from httpx_resilience import Dialect, ErrorClass, dialects
from httpx_resilience._core.dialect.catalog import TOKEN
from httpx_resilience._core.dialect.classify import classify
from httpx_resilience._core.dialect.envelope import read_error
from httpx_resilience._core.dialect.paths import Path
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.outcome import Outcome, RawHeaders
from properties.soaking import LONG

READER = RateLimitReader()
LONGEST = 0.5
"""Seconds of the processor's time for one error; the largest take a hundredth of it."""

Drawn = tuple[int, RawHeaders, bytes]


def _elements(dialect: Dialect) -> tuple[list[str], list[str]]:
    """Return the keys and the values that a dialect looks for in a body."""
    said = dialect.envelope
    paths = [*said.code, *said.message, *said.details, *said.request_id, *said.wait]
    elements = {element for path in paths for element in path} - {"*"}
    selections = [one[1:-1].partition("=") for one in elements if one.startswith("[")]
    keys = {one for one in elements if not one.startswith("[")} | {key for key, _, _ in selections}
    values = {value for _, _, value in selections} | set(dialect.codes)
    words = {rule.contains for rule in said.messages}
    return sorted(keys | {"x"}), sorted(values | words | {"", "unlisted", "a b", "3.5s", "1e999s"})


def _placed(path: Path, value: Any) -> Any:
    """Return a body in which a value stands at a path."""
    for element in reversed(path):
        if element == "*":
            value = [value]
        elif element.startswith("["):
            key, _, wanted = element[1:-1].partition("=")
            value = [{"x": 1}, {key: wanted, **(value if isinstance(value, dict) else {})}]
        else:
            value = {element: value}
    return value


def _joined(one: Any, other: Any) -> Any:
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            **one,
            **other,
            **{key: _joined(one[key], other[key]) for key in one.keys() & other.keys()},
        }
    return one + other if isinstance(one, list) and isinstance(other, list) else other


def errors_of(dialect: Dialect) -> st.SearchStrategy[Drawn]:
    """Return errors that are built of what a dialect looks for, and of noise."""
    keys, words = _elements(dialect)
    values: st.SearchStrategy[Any] = st.recursive(
        st.sampled_from([*words, None, True, 0, -1, 429, 10**30, 0.5, "9" * 400]),
        lambda inner: (
            st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(keys), inner, max_size=4)
        ),
        max_leaves=12,
    )
    said = dialect.envelope
    paths = st.sampled_from([*said.code, *said.message, *said.request_id, *said.wait])
    placed = st.builds(_placed, paths, st.sampled_from(words) | values)
    documents = st.lists(placed, min_size=1, max_size=3).map(lambda some: reduce(_joined, some))
    bodies = (
        documents.map(lambda document: json.dumps(document).encode())
        | values.map(lambda value: json.dumps(value).encode())
        | st.binary(max_size=30)
    )
    own = [*said.code_headers, dialect.requests.response_id_header or "x-request-id"]
    names = st.sampled_from(
        [
            *(name.encode() for name in own),
            *(b"Retry-After", b"retry-after-ms", b"Date", b"x-should-retry"),
            *(b"x-ratelimit-remaining-tokens", b"X-RateLimit-Remaining", b"X-RateLimit-Reset"),
        ]
    )
    texts = st.sampled_from([b"0", b"-1", b"30", b"1700000060", b"9" * 400, b"false", b"a#B:c"])
    headers = st.lists(st.tuples(names, texts | st.binary(max_size=12)), max_size=4)
    return st.tuples(st.sampled_from([200, 400, 403, 413, 429, 500, 503, 529]), headers, bodies)


drawn_of = {name: errors_of(getattr(dialects, name)) for name in dialects.__all__}
every_dialect = pytest.mark.parametrize("name", dialects.__all__)


def check(dialect: Dialect, drawn: Drawn) -> None:
    status, headers, body = drawn
    outcome = Outcome(0.0, 0.1, 0.1, 1.7e9, status=status, headers=headers, body=body)
    begun = time.process_time()
    failure = classify(outcome, dialect, READER)
    info = read_error(body, dialect, status=status, headers=headers)
    assert time.process_time() - begun < LONGEST
    assert info is None or info.code
    if failure is None:
        assert status == 200
        return
    assert failure.error_class in ErrorClass
    assert all(TOKEN.fullmatch(each) for each in (failure.code, failure.request_id) if each)
    assert failure.wait is None or failure.wait.seconds >= 0.0
    assert failure.spec is None or failure.spec in dialect.codes.values()


@every_dialect
@given(st.data())
@settings(max_examples=200, deadline=None)
def test_no_body_and_no_headers_make_a_dialect_raise(name: str, data: st.DataObject) -> None:
    check(getattr(dialects, name), data.draw(drawn_of[name]))


@pytest.mark.soak
@every_dialect
@given(st.data())
@settings(LONG, max_examples=10_000)
def test_no_body_and_no_headers_make_a_dialect_raise_in_many_tries(
    name: str, data: st.DataObject
) -> None:
    check(getattr(dialects, name), data.draw(drawn_of[name]))


def _nested(keys: list[str], depth: int) -> bytes:
    key = json.dumps(keys[0])
    return (f"{{{key}: [" * depth + "1" + "]}" * depth).encode()


@every_dialect
@pytest.mark.parametrize(
    "make",
    [
        lambda keys: _nested(keys, 120),
        lambda keys: _nested(keys, 40_000),
        lambda keys: ("[" + ",".join(['{"@type": 1}'] * 9_000) + "]").encode(),
        lambda keys: json.dumps(dict.fromkeys(keys[:1], "a" * 200_000)).encode(),
        lambda keys: b'{"' + b"\\" * 250_000,
        lambda keys: b"9" * 260_000,
    ],
    ids=["nested", "nested-deep", "long-list", "long-text", "escapes", "digits"],
)
def test_the_worst_bodies_take_no_long_time(name: str, make: Any) -> None:
    dialect = getattr(dialects, name)
    for status in (200, 429):
        check(dialect, (status, [], make(_elements(dialect)[0])))
