"""Paths into a body: how they are written, what is refused, where they lead."""

import re
from typing import Any

import pytest

from httpx_resilience import Envelope
from httpx_resilience._core.dialect.paths import (
    MAX_ELEMENTS,
    MAX_ITEMS,
    MAX_KEY,
    MAX_PATHS,
    follow,
    path_of,
)

RETRY_INFO = "[@type=type.googleapis.com/google.rpc.RetryInfo]"

WRITTEN = {
    "code": ("code",),
    "error.code": ("error", "code"),
    "errors.*.code": ("errors", "*", "code"),
    "*.errorCode": ("*", "errorCode"),
    f"error.details{RETRY_INFO}.retryDelay": ("error", "details", RETRY_INFO, "retryDelay"),
    f"error.details.{RETRY_INFO}.retryDelay": ("error", "details", RETRY_INFO, "retryDelay"),
    "[id=7].code": ("[id=7]", "code"),
    "a[b=]": ("a", "[b=]"),
    "a[b=c=d]": ("a", "[b=c=d]"),
    "a[b=c][d=e]": ("a", "[b=c]", "[d=e]"),
    "a b.c-d": ("a b", "c-d"),
}


@pytest.mark.parametrize(("text", "path"), WRITTEN.items())
def test_dots_separate_the_elements_of_a_path_but_between_brackets(
    text: str, path: tuple[str, ...]
) -> None:
    assert path_of(text) == path


@pytest.mark.parametrize(
    "text",
    [
        "",
        ".",
        "a.",
        ".a",
        "a..b",
        "a[",
        "a]",
        "a[b]",
        "a[=b]",
        "[a=b]c",
        "a[b=[c]]",
        "a[b=c].",
        "[",
    ],
)
def test_what_is_written_otherwise_is_no_path(text: str) -> None:
    assert path_of(text) is None


@pytest.mark.parametrize("text", ["a." * 50_000 + "[", "[a=b]" * 50_000 + "[", "[" * 100_000])
def test_no_text_takes_long_to_refuse(text: str) -> None:
    assert path_of(text) is None


ITEMS = [{"type": "a", "n": 1}, {"type": "b", "n": 2}, {"type": "b", "n": 3}, "x", None]

LED: dict[tuple[str, ...], Any] = {
    ("list", "*", "n"): 1,
    ("list", "[type=b]", "n"): 2,
    ("list", "[n=3]", "type"): "b",
    ("list", "[type=c]", "n"): None,
    ("list", "[type=b]", "m"): None,
    ("list", "n"): None,
    ("list", "*", "*"): None,
    ("empty", "*"): None,
    ("object", "*"): "a key of that name",
    ("object", "[a=b]"): None,
    ("flags", "[on=True]", "n"): None,
    ("flags", "[on=1]", "n"): 2,
    ("number", "x"): None,
}


@pytest.mark.parametrize(("path", "value"), LED.items())
def test_a_path_leads_to_what_stands_there_or_to_nothing(path: tuple[str, ...], value: Any) -> None:
    document = {
        "list": ITEMS,
        "empty": [],
        "object": {"*": "a key of that name"},
        "flags": [{"on": True, "n": 1}, {"on": 1, "n": 2}],
        "number": 7,
    }
    assert follow(document, path) == value


def test_a_path_may_begin_in_a_list() -> None:
    assert follow(ITEMS, ("*", "n")) == 1
    assert follow(ITEMS, ("[type=b]", "n")) == 2
    assert follow([], ("*",)) is None
    assert follow(None, ("*",)) is None


def test_a_selection_looks_at_a_thousand_items_and_no_more() -> None:
    items = [{"id": str(number)} for number in range(MAX_ITEMS + 1)]
    assert follow(items, (f"[id={MAX_ITEMS - 1}]", "id")) is not None
    assert follow(items, (f"[id={MAX_ITEMS}]", "id")) is None


def test_a_number_of_many_digits_is_not_written_out_to_be_compared() -> None:
    assert follow([{"id": 10**5000}], ("[id=1]",)) is None


REFUSED: dict[str, tuple[Any, type[Exception], str]] = {
    "a path in place of several": (("error", "code"), TypeError, "a tuple of paths such as"),
    "a list": ([("code",)], TypeError, "a tuple of paths such as"),
    "a string": ("code", TypeError, "a tuple of paths such as"),
    "a number in a path": (((7,),), TypeError, "a tuple of strings"),
    "an empty path": (((),), ValueError, "a path of 0 elements"),
    "a long path": ((("a",) * (MAX_ELEMENTS + 1),), ValueError, "a path of 17 elements"),
    "an empty element": ((("a", ""),), ValueError, "an element of 0 characters"),
    "a long element": ((("a" * (MAX_KEY + 1),),), ValueError, "an element of 257 characters"),
    "half a selection": ((("[a",),), ValueError, "got the element '[a', allowed is a key"),
    "a selection of nothing": ((("[a]",),), ValueError, "got the element '[a]', allowed is a key"),
    "many paths": ((("a",),) * (MAX_PATHS + 1), ValueError, "got 33 paths, allowed are 32"),
}


@pytest.mark.parametrize("field", ["code", "message", "details", "request_id", "wait"])
@pytest.mark.parametrize(("paths", "kind", "words"), REFUSED.values(), ids=REFUSED)
def test_an_envelope_refuses_what_is_no_path(
    field: str, paths: Any, kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=rf"^Envelope\.{field}: .*{re.escape(words)}"):
        Envelope(**{field: paths})
