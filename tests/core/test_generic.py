"""``GENERIC``: codes are read where they usually stand, and tell people; statuses decide."""

import json

import pytest

from httpx_resilience import GENERIC
from httpx_resilience._core.dialect.envelope import read_error
from support.core import Answer, play

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
    "empty words": {"code": "", "error": "", "type": ""},
    "a type of slashes": {"type": "///"},
}


@pytest.mark.parametrize(("body", "code"), FOUND.values(), ids=FOUND)
def test_a_code_is_read_where_it_usually_stands(body: object, code: str) -> None:
    info = read_error(json.dumps(body).encode(), GENERIC)
    assert info is not None
    assert (info.code, info.spec) == (code, None)


@pytest.mark.parametrize("body", NOTHING.values(), ids=NOTHING)
def test_a_body_without_a_code_has_none(body: object) -> None:
    assert read_error(json.dumps(body).encode(), GENERIC) is None


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
    info = read_error(json.dumps(body).encode(), GENERIC)
    assert info is not None
    assert info.message == message


def test_details_and_request_ids_are_found_beside_it() -> None:
    info = read_error(b'{"code": "a", "details": {"x": 1}, "request_id": "r1"}', GENERIC)
    assert info is not None
    assert (info.details, info.request_id) == ({"x": 1}, "r1")


BODIES = {
    "coded": b'{"error": {"code": "internal_error"}}',
    "a problem": b'{"type": "https://x.example/probs/quota_exceeded", "status": 404}',
    "uncoded": b"<html>",
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
@pytest.mark.parametrize(
    ("status", "method", "attempts", "reason"),
    [
        (429, "GET", 4, "attempts_exhausted"),
        (429, "POST", 4, "attempts_exhausted"),
        (503, "GET", 4, "attempts_exhausted"),
        (503, "PUT", 4, "attempts_exhausted"),
        (503, "POST", 1, "not_idempotent"),
        (500, "GET", 2, "attempts_exhausted"),
        (500, "PATCH", 1, "not_idempotent"),
        (408, "DELETE", 4, "attempts_exhausted"),
        (404, "GET", 1, "permanent"),
        (409, "PUT", 1, "permanent"),
        (501, "GET", 1, "permanent"),
    ],
)
def test_status_and_method_decide_whatever_the_code(
    body: bytes, status: int, method: str, attempts: int, reason: str
) -> None:
    played = play(Answer(status, body), method=method, dialect=GENERIC)
    assert (played.attempts, played.done.reason) == (attempts, reason)


def test_a_code_is_told_though_it_does_not_decide() -> None:
    played = play(Answer(404, BODIES["a problem"]), dialect=GENERIC)
    assert played.gave_up.code == "quota_exceeded"
    assert played.gave_up.status_mismatch is None


def test_a_code_that_cannot_be_told_is_told_as_invalid() -> None:
    played = play(Answer(400, b'{"error": "no such thing"}'), dialect=GENERIC)
    assert played.gave_up.code == "invalid"
