"""What always holds of error bodies: nothing raises, and nothing odd is told."""

import json
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    Dialect,
    Envelope,
    ErrorClass,
    ErrorSpec,
    MessageRule,
)
from httpx_resilience._core.dialect.catalog import TOKEN
from httpx_resilience._core.dialect.classify import classify
from httpx_resilience._core.dialect.envelope import read_error, safe_token
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.outcome import Outcome
from support.dialects import toml_of

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "errors", "code", "type", "details", "fields", "request_id", "x"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=20,
)
dialects = st.sampled_from([SCAIVAULT, GENERIC])
names = st.sampled_from(
    [
        b"Retry-After",
        b"Date",
        b"X-Request-ID",
        b"RateLimit",
        b"X-RateLimit-Reset",
        b"retry-after-ms",
    ]
)
headers = st.lists(st.tuples(names, st.binary(max_size=40)), max_size=6)


@given(st.binary(max_size=300), dialects)
@example(b"\x00", SCAIVAULT)
def test_no_bytes_make_it_raise(body: bytes, dialect: Dialect) -> None:
    info = read_error(body, dialect)
    assert info is None or info.code


@given(json_values, dialects, st.integers(0, 999), headers)
def test_no_response_makes_classification_raise_or_tell_an_odd_word(
    document: object, dialect: Dialect, status: int, raw: list[tuple[bytes, bytes]]
) -> None:
    body = json.dumps(document).encode()
    outcome = Outcome(0.0, 1.0, 1.0, 1.7e9, status=status, headers=raw, body=body)
    failure = classify(outcome, dialect, RateLimitReader())
    assert (failure is None) == (status < 400)
    if failure is not None:
        for word in (failure.code, failure.request_id):
            assert word is None or TOKEN.fullmatch(word)
        assert failure.wait is None or failure.wait.seconds > 0 or failure.wait.seconds == 0


@given(st.text())
def test_what_is_told_always_looks_like_a_word(text: str) -> None:
    assert TOKEN.fullmatch(str(safe_token(text)))


@given(st.text(max_size=40), st.text(max_size=40))
def test_a_well_formed_body_is_always_understood(code: str, request_id: str) -> None:
    body = json.dumps({"error": {"code": code, "request_id": request_id}}).encode()
    info = read_error(body, SCAIVAULT)
    assert (info is None) == (code == "")
    if info is not None:
        assert (info.code, info.request_id) == (code, request_id)


# Any envelope, not only ours.

KEYS = ("error", "errors", "code", "type", "__type", "details", "a", "[a=b]", "[code=7]", "*")
paths = st.lists(
    st.lists(st.sampled_from(KEYS), min_size=1, max_size=4).map(tuple), max_size=4
).map(tuple)
codes = st.sampled_from(["busy", "7", "a.b", "-3", "X:y"])
rules = st.builds(
    MessageRule,
    contains=st.text(min_size=1, max_size=6).filter(str.strip),
    code=codes,
    statuses=st.lists(st.integers(200, 599), max_size=2).map(tuple),
)
envelopes = st.builds(
    Envelope,
    code=paths,
    message=paths,
    details=paths,
    request_id=paths,
    wait=paths,
    ignore_case=st.booleans(),
    code_headers=st.lists(st.sampled_from(["X-Code", "X-Amzn-ErrorType"]), max_size=2).map(tuple),
    messages=st.lists(rules, max_size=3).map(tuple),
    errors_in_success=st.booleans(),
)
specs = st.builds(
    ErrorSpec,
    code=codes,
    error_class=st.sampled_from(ErrorClass),
    wait=st.none() | st.floats(0.001, 86_400.0),
)
classes = st.dictionaries(st.integers(400, 599), st.sampled_from(ErrorClass), max_size=3)
any_dialect = st.builds(
    Dialect,
    name=st.just("any"),
    codes=st.lists(specs, max_size=3, unique_by=lambda spec: spec.code.lower()).map(
        lambda specs: {spec.code: spec for spec in specs}
    ),
    unknown_code=st.none() | st.sampled_from(ErrorClass),
    statuses=classes,
    statuses_that_wait=classes,
    envelope=envelopes,
    stop_layers_above=st.booleans(),
)
leaves = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["busy", "b", "3.5s", "x#busy:y", "about:blank", "https://a/busy", "0", ""])
    | st.text(max_size=8)
)
any_json = st.recursive(
    leaves,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["error", "code", "type", "__type", "a", "*"]), inner)
    ),
    max_leaves=20,
)
any_headers = st.lists(
    st.tuples(
        st.sampled_from([b"X-Code", b"x-amzn-errortype", b"Retry-After", b"X-RateLimit-Remaining"]),
        st.binary(max_size=20) | st.sampled_from([b"busy", b"a#busy:b", b"0", b"7"]),
    ),
    max_size=4,
)


def classified(body: bytes, dialect: Dialect, status: int, raw: list[tuple[bytes, bytes]]) -> None:
    outcome = Outcome(0.0, 1.0, 1.0, 1.7e9, status=status, headers=raw, body=body)
    failure = classify(outcome, dialect, RateLimitReader())
    assert failure is not None or status < 400
    if failure is not None:
        assert failure.code is None or TOKEN.fullmatch(failure.code)
        assert failure.wait is None or failure.wait.seconds >= 0
        assert failure.coded == (
            failure.code is not None and (failure.spec or dialect.unknown_code) is not None
        )
        if status < 400:
            assert dialect.envelope.errors_in_success
            assert failure.code is not None
    info = read_error(body, dialect, status=status, headers=raw)
    assert info is None or info.code


@settings(max_examples=200)
@given(any_json, any_dialect, st.integers(100, 599), any_headers)
def test_any_document_is_read_in_any_envelope(
    document: object, dialect: Dialect, status: int, raw: list[tuple[bytes, bytes]]
) -> None:
    classified(json.dumps(document).encode(), dialect, status, raw)


@given(st.binary(max_size=200), any_dialect, st.integers(100, 599), any_headers)
def test_any_bytes_are_read_in_any_envelope(
    body: bytes, dialect: Dialect, status: int, raw: list[tuple[bytes, bytes]]
) -> None:
    classified(body, dialect, status, raw)


@given(any_dialect)
def test_what_a_dialect_says_can_be_written_in_toml_and_read_again(dialect: Dialect) -> None:
    assert Dialect.from_toml(toml_of(dialect)) == dialect


WIDEST = Envelope(
    code=tuple(("[a=b]",) * 16 for _ in range(32)),
    message=tuple(("[a=b]",) * 16 for _ in range(32)),
    wait=tuple(("*", "[a=b]") * 8 for _ in range(32)),
    code_headers=("X-Code",) * 8,
    messages=tuple(MessageRule(contains=f"{at} is not there", code="a") for at in range(64)),
    errors_in_success=True,
)
LARGEST = {
    "a list of objects": b"[" + b",".join([b'{"a":"c"}'] * 9_990) + b"]",
    "a list of numbers": b"[" + b",".join([b"1"] * 100_000) + b"]",
    "lists in lists": b"[" * 90 + b",".join([b'{"a":"b"}'] * 9_000) + b"]" * 90,
    "text": "\N{LATIN SMALL LETTER SHARP S}".encode() * 130_000,
}


@pytest.mark.parametrize("body", LARGEST.values(), ids=LARGEST)
def test_no_body_takes_long_in_the_widest_envelope(body: bytes) -> None:
    dialect = Dialect(name="widest", envelope=WIDEST)
    raw = [(b"X-Code", b"#" * 100_000)] * 100
    started = time.process_time()
    for status in (200, 503):
        classified(body, dialect, status, raw)
    assert time.process_time() - started < 2.0
