"""Error bodies: what they say, and that nothing in them can do harm."""

import json
import time
from typing import Any

import pytest

from httpx_resilience import GENERIC, SCAIVAULT, Dialect, Envelope, ErrorInfo
from httpx_resilience._core.dialect.document import MAX_DEPTH, MAX_NESTED
from httpx_resilience._core.dialect.envelope import (
    MAX_BODY,
    read_error,
    read_summary,
    safe_token,
)
from support.core import envelope

FULL: dict[str, Any] = {
    "error": {
        "code": "validation_error",
        "message": "Request validation failed",
        "details": {"fields": [{"field": "rules[0]", "error": "required"}, 7, "x"]},
        "request_id": "req_abc123",
    }
}


def read(document: object, dialect: Dialect = SCAIVAULT) -> ErrorInfo | None:
    return read_error(json.dumps(document).encode(), dialect)


def test_a_scaivault_body_says_code_message_details_fields_and_request_id() -> None:
    info = read(FULL)
    assert info is not None
    assert (info.code, info.message) == ("validation_error", "Request validation failed")
    assert info.details == FULL["error"]["details"]
    assert info.fields == ({"field": "rules[0]", "error": "required"},)
    assert info.request_id == "req_abc123"
    assert info.spec is SCAIVAULT.codes["validation_error"]


HOSTILE = {
    "empty": b"",
    "blank": b"   ",
    "html": b"<html>502</html>",
    "a list": b'[{"error": {"code": "rate_limited"}}]',
    "a string": b'"rate_limited"',
    "a number": b"429",
    "null": b"null",
    "true": b"true",
    "cut off": envelope("rate_limited")[:-3],
    "cut off in a string": envelope("rate_limited")[:20],
    "two documents": envelope("rate_limited") * 2,
    "bad UTF-8": b'{"error": {"code": "rate_limited", "message": "\xff\xfe"}}',
    "a lone quote": b'{"error": {"code": "rate_limited}}',
    "NUL bytes": b"\x00" * 100,
    "UTF-16 without a mark, odd": b'\x00{"',
    "no error": b"{}",
    "error is null": b'{"error": null}',
    "error is a string": b'{"error": "rate_limited"}',
    "error is a list": b'{"error": [{"code": "rate_limited"}]}',
    "code is null": b'{"error": {"code": null}}',
    "code is a number": b'{"error": {"code": 429}}',
    "code is true": b'{"error": {"code": true}}',
    "code is a list": b'{"error": {"code": ["rate_limited"]}}',
    "code is an object": b'{"error": {"code": {"code": "rate_limited"}}}',
    "code is empty": b'{"error": {"code": ""}}',
    "deep lists": b'{"error": {"code": "rate_limited"}, "x": ' + b"[" * 1000 + b"]" * 1000 + b"}",
    "deep objects": b'{"a":' * 1000 + b"1" + b"}" * 1000,
    "deep, never closed": b"[" * 200_000,
    "deep after a string of brackets": b'{"s": "' + b"]" * 500 + b'", "x": ' + b"[" * 500 + b"}",
    "too large": b'{"error": {"code": "rate_limited"}, "x": "' + b"x" * MAX_BODY + b'"}',
    "5,000 digits": b'{"error": {"code": "rate_limited", "details": ' + b"9" * 5000 + b"}}",
}


@pytest.mark.parametrize("dialect", [SCAIVAULT], ids=["scaivault"])
@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_is_no_error(body: bytes, dialect: Dialect) -> None:
    assert read_error(body, dialect) is None


@pytest.mark.parametrize("body", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_body_names_no_wait(body: bytes) -> None:
    dialect = Dialect(name="x", envelope=Envelope(wait=(("error", "wait"), ("x",))))
    assert read_summary(body, dialect).wait is None


@pytest.mark.parametrize("odd", [None, 7, True, "text", [], [1], {}, {"a": 1}, 1.5])
@pytest.mark.parametrize("field", ["message", "details", "request_id", "fields"])
def test_a_field_of_the_wrong_type_is_left_out(field: str, odd: object) -> None:
    document = json.loads(json.dumps(FULL))
    if field == "fields":
        document["error"]["details"]["fields"] = odd
    else:
        document["error"][field] = odd
    info = read(document)
    assert info is not None
    assert info.code == "validation_error"
    assert info.message is None or isinstance(info.message, str)
    assert isinstance(info.details, dict)
    assert info.request_id is None or isinstance(info.request_id, str)
    assert all(isinstance(row, dict) for row in info.fields)


def nested(depth: int) -> bytes:
    """A body of ``depth`` levels in all."""
    inner = b"[" * (depth - 1) + b"]" * (depth - 1)
    return b'{"error":{"code":"busy"},"x":' + inner + b"}"


def test_a_body_may_be_nested_a_hundred_deep_and_no_deeper() -> None:
    assert read_error(nested(MAX_DEPTH), SCAIVAULT) is not None
    assert read_error(nested(MAX_DEPTH + 1), SCAIVAULT) is None
    assert read_error(nested(5 * MAX_DEPTH), SCAIVAULT) is None


def test_brackets_within_strings_are_no_nesting() -> None:
    document = {"error": {"code": "busy", "message": '[{"\\' * 300}}
    assert read(document) is not None


def listed(nested: int) -> bytes:
    """A body of ``nested`` objects and lists in all."""
    return b'{"error": {"code": "busy"}, "x": [' + b", ".join([b"[]"] * (nested - 3)) + b"]}"


def test_a_body_may_hold_ten_thousand_objects_and_lists_and_no_more() -> None:
    assert read_error(listed(MAX_NESTED), SCAIVAULT) is not None
    assert read_error(listed(MAX_NESTED + 1), SCAIVAULT) is None


@pytest.mark.parametrize(
    "body",
    [b'"' * 200_000, b'"\\' * 100_000, b'{"a":"' * 40_000, b"[]" * 100_000, b'"["' * 60_000],
    ids=["quotes", "escapes", "open strings", "pairs", "brackets in strings"],
)
def test_no_body_takes_long_to_refuse(body: bytes) -> None:
    started = time.process_time()
    read_error(body, SCAIVAULT)
    assert time.process_time() - started < 1.0  # a backtracking pattern would take minutes


def test_a_bom_does_not_hide_the_code() -> None:
    info = read_error(b"\xef\xbb\xbf" + envelope("rate_limited"), SCAIVAULT)
    assert info is not None
    assert info.code == "rate_limited"


@pytest.mark.parametrize("body", [
    b'{"code": "a"}', b' \t\r\n{"code": "a"}\n\r\t ', b'{"code": "a"} x', b'{"code": "a"}{}',
    b'{"code": "a"}\x00', b'\x0c{"code": "a"}', b'{"code": "a"}\xc2\xa0', b'{"code": "a"},', b" ",
    b'\xef\xbb\xbf\xef\xbb\xbf{"code": "a"}', b'{"code": "a", "b": "\xed\xa0\x80"}',
    b'{"code": "a", "b": "\xff"}', b'{"code": "a", "b": NaN}', b'{"code": "a", "b": "\n"}',
    *('{"code": "a"}'.encode(e) for e in ("utf-16", "utf-16-le", "utf-32", "utf-32-be")),
])  # fmt: skip
def test_a_body_is_json_where_the_standard_library_says_so(body: bytes) -> None:
    try:
        expected = json.loads(body)["code"]
    except ValueError:
        expected = None
    info = read_error(body, GENERIC)
    assert (None if info is None else info.code) == read_summary(body, GENERIC).code == expected


FOUND = {
    "an error object": ({"error": {"code": "busy"}}, "busy"),
    "a top-level code": ({"code": "busy", "message": "x"}, "busy"),
    "OAuth": ({"error": "invalid_grant", "error_description": "x"}, "invalid_grant"),
    "a list of errors": ({"errors": [{"code": "first"}, {"code": "second"}]}, "first"),
    "a problem type": ({"type": "https://x.example/probs/out-of-credit"}, "out-of-credit"),
    "a problem type with a slash": ({"type": "https://x.example/probs/busy/"}, "busy"),
    "a problem type with a fragment": ({"type": "https://x.example/errors#busy"}, "busy"),
    "a problem type that is a URN": ({"type": "urn:problem-type:acme:busy"}, "busy"),
    "a relative problem type": ({"type": "/probs/busy"}, "busy"),
    "a code beside a problem type": ({"type": "https://x.example/a", "code": "b"}, "b"),
    "an error object before all others": (
        {"error": {"code": "a"}, "code": "b", "errors": [{"code": "c"}], "type": "d"},
        "a",
    ),
    "a code that is a number beside a type": ({"code": 7, "type": "/probs/busy"}, "busy"),
    "an empty code beside a type": ({"code": "", "type": "/probs/busy"}, "busy"),
}
NOTHING = {
    "the type that says nothing": {"type": "about:blank", "title": "Not Found"},
    "no code": {"detail": "Rate limit exceeded"},
    "a number": {"code": 429},
    "an empty list": {"errors": []},
    "a list of words": {"errors": ["busy"]},
    "a word in place of a list": {"errors": "busy"},
    "empty words": {"code": "", "error": "", "type": ""},
    "a type of slashes": {"type": "///"},
}


@pytest.mark.parametrize(("body", "code"), FOUND.values(), ids=FOUND)
def test_generic_reads_a_code_where_it_usually_stands(body: object, code: str) -> None:
    info = read(body, GENERIC)
    assert info is not None
    assert (info.code, info.spec) == (code, None)


@pytest.mark.parametrize("body", NOTHING.values(), ids=NOTHING)
def test_to_generic_a_body_without_a_code_has_none(body: object) -> None:
    assert read(body, GENERIC) is None


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"code": "a", "message": "words"}}, "words"),
        ({"code": "a", "message": "words"}, "words"),
        ({"error": "a", "error_description": "words"}, "words"),
        ({"type": "/a", "title": "no", "detail": "words"}, "words"),
    ],
)
def test_the_words_for_people_are_found_beside_it(body: object, message: str) -> None:
    info = read(body, GENERIC)
    assert info is not None
    assert info.message == message


def test_details_and_request_ids_are_found_beside_it() -> None:
    info = read_error(b'{"code": "a", "details": {"x": 1}, "request_id": "r1"}', GENERIC)
    assert info is not None
    assert (info.details, info.request_id) == ({"x": 1}, "r1")


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [(2, 2.0), (0.5, 0.5), (0, 0.0), (-1, None), (True, None), ("2", None), (1e10, None),
     (None, None), ([2], None)],
)  # fmt: skip
def test_a_wait_in_a_body_is_a_number_of_seconds_within_reason(
    wait: object, seconds: float | None
) -> None:
    dialect = Dialect(name="x", envelope=Envelope(wait=(("error", "retry_after"),)))
    body = json.dumps({"error": {"retry_after": wait}}).encode()
    assert read_summary(body, dialect).wait == seconds


@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1e400", b"9" * 4000])
def test_a_wait_that_is_no_number_of_seconds_is_none(number: bytes) -> None:
    dialect = Dialect(name="x", envelope=Envelope(wait=(("w",),)))
    assert read_summary(b'{"w": ' + number + b"}", dialect).wait is None


def test_a_wait_is_read_only_where_the_dialect_says_so() -> None:
    assert read_summary(b'{"error": {"retry_after": 5}}', SCAIVAULT).wait is None


@pytest.mark.parametrize("word", ["a", "rate_limited", "a.b:c-d_E9", "x" * 128])
def test_what_looks_like_a_word_is_told(word: str) -> None:
    assert safe_token(word) == word


@pytest.mark.parametrize(
    "word", ["", " a", "a b", "a\n", "\x1b[31m", "é", "x" * 129, "a/b", "{}", "a=b", "a\x00"]
)
def test_anything_else_is_told_as_invalid(word: str) -> None:
    assert safe_token(word) == "invalid"


def test_a_repr_shows_neither_message_nor_details_nor_odd_words() -> None:
    info = ErrorInfo(
        code="bad \x1b[31m", message="secret", details={"secret": 1}, request_id="secret id"
    )
    assert repr(info) == "ErrorInfo(code='invalid', request_id='invalid', spec=None)"
