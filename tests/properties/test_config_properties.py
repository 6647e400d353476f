"""What may be configured: it is refused by name, or it is valid, equal, hashable and printable."""

import dataclasses
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from httpx_resilience import (
    Backoff,
    BudgetPolicy,
    Dialect,
    ErrorClass,
    ErrorSpec,
    ParkPolicy,
    Policy,
    RetryPolicy,
    ThrottlePolicy,
)
from httpx_resilience._core import checks
from httpx_resilience._core.dialect.catalog import TOKEN

NAMESPACE: dict[str, Any] = {
    kind.__name__: kind
    for kind in (Backoff, BudgetPolicy, ParkPolicy, Policy, RetryPolicy, ThrottlePolicy)
} | {"ErrorClass": ErrorClass}

anything = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.integers(),
    st.floats(),
    st.text(max_size=5),
    st.sampled_from(["equal", "full", "none"]),
    st.lists(st.integers(), max_size=2),
)
kinds = st.sampled_from([Backoff, BudgetPolicy, ParkPolicy, RetryPolicy, ThrottlePolicy, Policy])
tokens = st.from_regex(r"[A-Za-z0-9_.:-]{1,12}", fullmatch=True)
classes = st.sampled_from(list(ErrorClass))


def attempted(kind: Any, given_: dict[str, Any]) -> tuple[Any, str]:
    """Return a config, or None and the words in which it is refused."""
    try:
        return kind(**given_), ""
    except (TypeError, ValueError) as refused:
        return None, str(refused)


@given(kinds, st.data())
def test_a_config_is_valid_or_refused_by_the_name_of_its_field(kind: Any, data: Any) -> None:
    names = [field.name for field in dataclasses.fields(kind)]
    given_ = data.draw(st.dictionaries(st.sampled_from(names), anything, max_size=3))
    made, told = attempted(kind, given_)
    if made is None:
        assert told.startswith(kind.__name__)
        assert "allowed" in told
        assert any(f"{kind.__name__}.{name}" in told for name in names)
        return
    for name, value in given_.items():
        assert getattr(made, name) == value or name == "backoff"
        assert not isinstance(value, float) or math.isfinite(value)
    assert made == kind(**given_)
    assert made == dataclasses.replace(made)
    assert hash(made) == hash(kind(**given_))
    assert eval(repr(made), dict(NAMESPACE)) == made


@given(st.integers() | st.floats() | st.text(max_size=4) | st.none(), st.integers(-5, 5))
def test_a_number_is_finite_and_in_its_range_or_refused(value: Any, low: int) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = is_number and math.isfinite(value) and low <= value <= low + 5
    if fits:
        checks.number("it", value, low=low, high=low + 5)
        if value > low:
            checks.number("it", value, low=low, high=low + 5, above=True)
        return
    with pytest.raises((TypeError, ValueError), match="it: got ") as refused:
        checks.number("it", value, low=low, high=low + 5)
    assert isinstance(refused.value, ValueError) == is_number
    with pytest.raises((TypeError, ValueError), match="it: got "):
        checks.integer("it", value, low=low, high=low + 5)


@given(st.lists(tokens, min_size=1, unique=True), st.text(max_size=8))
def test_one_of_several_words_is_taken_and_for_others_only_a_known_one_is_suggested(
    words: list[str], word: str
) -> None:
    if word in words:
        checks.one_of("it", word, words)
        return
    with pytest.raises(ValueError, match="it: got ") as refused:
        checks.one_of("it", word, words)
    _, found, hint = str(refused.value).partition("did you mean ")
    assert not found or any(hint == f"{known!r}?)" for known in words)


# Dialects.

specs = st.builds(
    lambda code, error_class, status, texts: ErrorSpec(
        code=code, error_class=error_class, status=status, category=texts[0], meaning=texts[1]
    ),
    tokens,
    classes,
    st.none() | st.integers(400, 599),
    st.tuples(st.text(max_size=5), st.text(max_size=5)),
)


def catalogue(rows: list[ErrorSpec]) -> dict[str, ErrorSpec]:
    return {spec.code: spec for spec in rows}


@given(st.lists(specs, max_size=5), st.dictionaries(tokens, classes, max_size=3))
def test_a_rule_of_ones_own_comes_first_and_the_rest_stays(
    rows: list[ErrorSpec], rules: dict[str, ErrorClass]
) -> None:
    base = Dialect(name="base", codes=catalogue(rows))
    before = dict(base.codes)
    if any(checks.nearest(code, base.codes, cutoff=0.85) for code in set(rules) - set(base.codes)):
        return  # one that looks like a misspelling is refused, or one added before it is
    extended = base.extend(codes=rules)
    assert dict(base.codes) == before
    assert set(extended.codes) == {*base.codes, *rules}
    for code, error_class in rules.items():
        spec = extended.spec(code)
        assert spec is not None
        assert spec.error_class is error_class
        assert extended.is_ruled(code)
    for code in set(base.codes) - set(rules):
        assert extended.spec(code) == base.spec(code)
        assert not extended.is_ruled(code)


@given(st.lists(specs, max_size=4), st.dictionaries(st.integers(400, 599), classes, max_size=3))
def test_a_dialect_is_read_from_toml_as_it_is_written(
    rows: list[ErrorSpec], statuses: dict[int, ErrorClass]
) -> None:
    lines = ['name = "mine"', "[statuses]"]
    lines += [f'{status} = "{error_class.value}"' for status, error_class in statuses.items()]
    for spec in catalogue(rows).values():
        lines += [f'[codes."{spec.code}"]', f'class = "{spec.error_class.value}"']
        lines += [f"status = {spec.status}"] if spec.status is not None else []
        lines += [f"{name} = {_quoted(getattr(spec, name))}" for name in ("category", "meaning")]
    read = Dialect.from_toml("\n".join(lines))
    assert read == Dialect(name="mine", codes=catalogue(rows), statuses=statuses)


def _quoted(text: str) -> str:
    return '"' + "".join(f"\\U{ord(char):08x}" for char in text) + '"'


toml_values = st.recursive(
    st.booleans() | st.integers(-9, 999) | st.sampled_from(["permanent", "TRANSIENT", "a.b", ""]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["class", "status", "code", "name", "path", "cost", "limit", "reset"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.sampled_from(
            ["unknown_code", "codes", "statuses", "envelope", "requests", "rate_limits", "odd"]
        ),
        toml_values,
        max_size=3,
    )
)
def test_a_document_is_a_dialect_or_refused_in_one_sentence(document: dict[str, Any]) -> None:
    entries = "\n".join(f"{name} = {_toml(value)}" for name, value in document.items())
    made = read(f'name = "mine"\n{entries}')
    if isinstance(made, str):
        assert len(made.splitlines()) == 1
        assert any(made.startswith(name) for name in document)
        return
    assert made.name == "mine"
    assert all(TOKEN.fullmatch(code) for code in made.codes)


@given(st.text(max_size=60))
def test_no_text_makes_a_dialect_file_fail_in_any_other_way(text: str) -> None:
    made = read(text)
    assert made if isinstance(made, str) else isinstance(made.name, str)


def read(text: str) -> Dialect | str:
    """Return a document's dialect, or the words in which it is refused."""
    try:
        return Dialect.from_toml(text)
    except ValueError as refused:
        return str(refused)


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return "[" + ", ".join(_toml(each) for each in value) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(each)}" for key, each in value.items()) + "}"
    return _quoted(value) if isinstance(value, str) else str(value)
