"""What always holds of error bodies: nothing raises, and nothing odd is told."""

import json

from hypothesis import example, given
from hypothesis import strategies as st

from httpx_resilience import GENERIC, SCAIVAULT, Dialect
from httpx_resilience._core.dialect.catalog import TOKEN
from httpx_resilience._core.dialect.classify import classify
from httpx_resilience._core.dialect.envelope import read_error, safe_token
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.outcome import Outcome

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
