"""What an envelope says beside its paths: codes in headers, by words, in numbers; and waits."""

import json
import re
from typing import Any

import pytest

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    Dialect,
    Envelope,
    ErrorClass,
    ErrorInfo,
    ErrorSpec,
    MessageRule,
    RequestRules,
)
from httpx_resilience._core.dialect.envelope import MAX_TEXT, read_error, read_summary


def listed(*codes: str) -> dict[str, ErrorSpec]:
    return {code: ErrorSpec(code=code, error_class=ErrorClass.PERMANENT) for code in codes}


def speaking(*codes: str, unknown: ErrorClass | None = None, **envelope: Any) -> Dialect:
    return Dialect(
        name="x", codes=listed(*codes), unknown_code=unknown, envelope=Envelope(**envelope)
    )


def code_of(document: object, dialect: Dialect, **more: Any) -> str | None:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    found = read_summary(body, dialect, **more)
    info = read_error(body, dialect, **more)
    assert (info.code if info else None) == found.code
    return found.code


# Which code.

OPENAI = (("error", "code"), ("error", "type"))


def test_the_first_code_that_is_listed_wins() -> None:
    dialect = speaking("insufficient_quota", code=OPENAI)
    error = {"code": "unheard_of", "type": "insufficient_quota"}
    assert code_of({"error": error}, dialect) == "insufficient_quota"


def test_of_codes_that_nobody_listed_the_first_counts() -> None:
    dialect = speaking("insufficient_quota", code=OPENAI)
    assert code_of({"error": {"code": "a", "type": "b"}}, dialect) == "a"
    assert code_of({"error": {"code": None, "type": "b"}}, dialect) == "b"


def test_a_code_that_is_listed_in_another_case_is_listed_only_if_case_does_not_matter() -> None:
    paths = (("a",), ("b",))
    document = {"a": "other", "b": "BUSY"}
    assert code_of(document, speaking("busy", code=paths, ignore_case=True)) == "BUSY"
    assert code_of(document, speaking("busy", code=paths)) == "other"


def test_a_list_may_be_the_root() -> None:
    dialect = speaking(
        code=(("*", "errorCode"),), message=(("*", "message"),), wait=(("[a=b]", "wait"),)
    )
    body = b'[{"errorCode": "REQUEST_LIMIT_EXCEEDED", "message": "words"}, {"a": "b", "wait": 3}]'
    info = read_error(body, dialect)
    assert isinstance(info, ErrorInfo)
    assert (info.code, info.message) == ("REQUEST_LIMIT_EXCEEDED", "words")
    assert read_summary(body, dialect).wait == 3.0


def test_a_list_as_root_says_nothing_to_paths_that_begin_with_a_key() -> None:
    assert code_of([{"error": {"code": "busy"}}], GENERIC) is None
    assert code_of([], speaking(code=(("*", "code"),))) is None


# Numbers.


def test_a_number_that_is_listed_is_read_as_its_digits() -> None:
    dialect = speaking("20429", "-3", "503", code=(("code",),))
    for number in (20429, -3, 503):
        assert code_of({"code": number}, dialect) == str(number)


@pytest.mark.parametrize("codes", [(), ("20429",)], ids=["no catalogue", "a catalogue of numbers"])
def test_a_number_that_is_not_listed_is_a_code_to_an_api_of_numbers(codes: tuple[str, ...]) -> None:
    dialect = speaking(*codes, code=(("code",),))
    assert code_of({"code": 7}, dialect) == "7"


@pytest.mark.parametrize("dialect", [SCAIVAULT, speaking("busy")], ids=["scaivault", "another"])
def test_a_number_that_is_not_listed_is_none_to_an_api_of_words(dialect: Dialect) -> None:
    assert code_of({"error": {"code": 7}}, dialect) is None


@pytest.mark.parametrize("status", [100, 200, 404, 429, 503, 599])
def test_a_number_that_repeats_the_http_status_is_no_code(status: int) -> None:
    assert code_of({"code": status}, GENERIC) is None


@pytest.mark.parametrize("odd", [True, False, 1.0, 10**18, -(10**18), 10**400, None, [7], {}])
def test_what_is_no_integer_of_a_sensible_size_is_no_code(odd: object) -> None:
    assert code_of({"code": odd}, speaking(code=(("code",),))) is None


def test_a_word_comes_before_a_number_unless_the_number_is_listed() -> None:
    paths = (("code",), ("status",))
    document = {"code": 7, "status": "RESOURCE_EXHAUSTED"}
    assert code_of(document, speaking(code=paths)) == "RESOURCE_EXHAUSTED"
    assert code_of(document, speaking("7", code=paths)) == "7"


# Headers.

AWS = speaking("ThrottlingException", code=(("__type",),), code_headers=("X-Amzn-ErrorType",))


@pytest.mark.parametrize(
    "value",
    [
        b"ThrottlingException",
        b"ThrottlingException:http://internal.amazon.com/coral/com.amazon.coral.service/",
        b"com.amazonaws.secretsmanager#ThrottlingException",
        b"aws.x#ThrottlingException:http://internal.amazon.com/a#b",
        b"  ThrottlingException ",
    ],
)
def test_a_header_holds_the_code_as_aws_writes_it(value: bytes) -> None:
    for body in (b"", b"<html>", b"{}"):
        assert code_of(body, AWS, headers=[(b"x-amzn-errortype", value)]) == "ThrottlingException"
    assert code_of({"__type": value.decode()}, AWS) == "ThrottlingException"


def test_a_code_in_a_header_is_an_error_though_the_body_says_nothing() -> None:
    headers = [(b"X-Amzn-ErrorType", b"ThrottlingException")]
    info = read_error(b"", AWS, headers=headers)
    assert info is not None
    assert (info.code, info.spec, info.message) == (
        "ThrottlingException",
        AWS.codes["ThrottlingException"],
        None,
    )


def test_the_body_comes_before_a_header_unless_only_the_headers_code_is_listed() -> None:
    header = [(b"x-amzn-errortype", b"Other")]
    assert code_of({"__type": "Unheard"}, AWS, headers=header) == "Unheard"
    assert code_of({"__type": "ThrottlingException"}, AWS, headers=header) == "ThrottlingException"
    known = [(b"x-amzn-errortype", b"ThrottlingException")]
    assert code_of({"__type": "Unheard"}, AWS, headers=known) == "ThrottlingException"


def test_headers_are_asked_in_the_order_in_which_they_are_wanted() -> None:
    dialect = speaking(code=(), code_headers=("X-First", "X-Second"))
    headers = [(b"x-second", b"b"), (b"X-FIRST", b"a"), (b"x-first", b"c")]
    assert code_of(b"", dialect, headers=headers) == "a"
    assert code_of(b"", dialect, headers=headers[:1]) == "b"


@pytest.mark.parametrize("value", [b"", b"  ", b":x", b"a#", b"#:"])
def test_a_header_that_names_nothing_holds_no_code(value: bytes) -> None:
    assert code_of(b"", AWS, headers=[(b"x-amzn-errortype", value)]) is None


def test_of_a_header_512_bytes_are_looked_at() -> None:
    headers = [(b"x-amzn-errortype", b"a" * 10_000)]
    assert code_of(b"", AWS, headers=headers) == "a" * 512


def test_headers_are_read_only_where_the_dialect_says_so() -> None:
    headers = [(b"x-amzn-errortype", b"rate_limited")]
    assert code_of(b"", SCAIVAULT, headers=headers) is None


# Words.

GITHUB = Dialect(
    name="github",
    codes=listed("secondary", "primary"),
    envelope=Envelope(
        code=(("code",),),
        message=(("message",),),
        messages=(
            MessageRule(
                contains="Secondary Rate Limit", code="secondary", statuses=(200, 403, 429)
            ),
            MessageRule(contains="rate limit", code="primary"),
        ),
    ),
)


def test_the_first_rule_whose_words_the_message_contains_gives_the_code() -> None:
    said = {"message": "You have exceeded a SECONDARY rate limit and have been blocked."}
    assert code_of(said, GITHUB, status=403) == "secondary"
    assert code_of({"message": "API Rate Limit exceeded"}, GITHUB, status=403) == "primary"
    assert code_of({"message": "Not found"}, GITHUB, status=404) is None


def test_a_rule_is_for_its_statuses_only() -> None:
    said = {"message": "a secondary rate limit"}
    assert code_of(said, GITHUB, status=500) == "primary"
    assert code_of(said, GITHUB) == "primary"  # the status is unknown


def test_a_rule_is_for_a_success_only_if_it_says_so() -> None:
    said = {"message": "an article on rate limits"}
    assert code_of(said, GITHUB, status=200) is None
    assert code_of({"message": "secondary rate limit"}, GITHUB, status=200) == "secondary"


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>Sorry: a secondary rate limit.</body></html>",
        b'{"error": "secondary rate limit"}',
        b'["secondary rate limit"]',
        b'{"message": 7, "x": "secondary rate limit"}',
        b'{"message": "", "x": "secondary rate limit"}',
        b'{"message": "cut off: secondary rate limit',
        b"\xff\xfe secondary rate limit",
    ],
)
def test_where_there_is_no_message_the_whole_text_is_searched(body: bytes) -> None:
    assert code_of(body, GITHUB, status=403) == "secondary"


def test_where_there_is_a_message_nothing_else_is_searched() -> None:
    said = {"message": "Not allowed", "docs": "see: secondary rate limit"}
    assert code_of(said, GITHUB, status=403) is None


def test_a_rule_is_the_last_resort() -> None:
    said = {"code": "unheard_of", "message": "secondary rate limit"}
    assert code_of(said, GITHUB, status=403) == "unheard_of"


@pytest.mark.parametrize("is_json", [True, False])
def test_words_are_looked_for_in_16_kib_of_text(is_json: bool) -> None:
    near, far = "x" * (MAX_TEXT - 10) + "rate limit", "x" * MAX_TEXT + "rate limit"
    for text, found in ((near, "primary"), (far, None)):
        body = json.dumps({"message": text}).encode() if is_json else text.encode()
        assert code_of(body, GITHUB, status=403) == found


def test_a_misspelt_code_of_a_rule_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'secondery'.*not in the catalogue.*'secondary'"):
        Dialect(
            name="x",
            codes=listed("secondary"),
            envelope=Envelope(messages=(MessageRule(contains="x", code="secondery"),)),
        )


# Waits.

GEMINI = Dialect(
    name="gemini",
    envelope=Envelope(
        code=(("error", "status"),),
        wait=(
            ("error", "details", "[@type=type.googleapis.com/google.rpc.RetryInfo]", "retryDelay"),
            ("error", "retry_after"),
        ),
    ),
)


def waiting(value: object, **more: object) -> bytes:
    details = [
        {"@type": "type.googleapis.com/google.rpc.QuotaFailure", "retryDelay": "99s"},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": value},
    ]
    return json.dumps({"error": {"status": "X", "details": details, **more}}).encode()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [("3.5s", 3.5), ("0s", 0.0), ("1m30s", 90.0), ("850ms", 0.85), (2, 2.0), (0.5, 0.5), (0, 0.0),
     ("3.5", None), ("", None), ("s", None), ("-1s", None), ("1e3s", None), ("9" * 200 + "s", None),
     ("2030-01-01T00:00:00Z", None), (-1, None), (True, None), ("99999999999s", None)],
)  # fmt: skip
def test_a_wait_is_a_number_of_seconds_or_a_duration(value: object, seconds: float | None) -> None:
    assert read_summary(waiting(value), GEMINI).wait == seconds


def test_of_several_waits_the_first_that_can_be_read_counts() -> None:
    assert read_summary(waiting("soon", retry_after=7), GEMINI).wait == 7.0
    assert read_summary(waiting("1s", retry_after=7), GEMINI).wait == 1.0


# Bad input.

WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "a flag": ({"ignore_case": 1}, TypeError, "Envelope.ignore_case: got 1"),
    "another flag": ({"errors_in_success": "yes"}, TypeError, "Envelope.errors_in_success: got"),
    "headers that are one": ({"code_headers": "X-Code"}, TypeError, "Envelope.code_headers: got"),
    "a header that is none": ({"code_headers": ("a b",)}, ValueError, "got 'a b', allowed is a h"),
    "a header of another type": ({"code_headers": (7,)}, TypeError, "Envelope.code_headers: got 7"),
    "nine headers": ({"code_headers": ("a",) * 9}, ValueError, "number of headers: got 9"),
    "rules that are one": (
        {"messages": MessageRule(contains="a", code="b")}, TypeError, "Envelope.messages: got",
    ),
    "a rule that is none": ({"messages": (("a", "b"),)}, TypeError, "a tuple of MessageRules"),
    "65 rules": (
        {"messages": (MessageRule(contains="a", code="b"),) * 65}, ValueError, "rules: got 65",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "words"), WRONG.values(), ids=WRONG)
def test_an_envelope_names_what_is_wrong(
    fields: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        Envelope(**fields)


WRONG_RULES: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "nothing to look for": ({"contains": ""}, ValueError, "MessageRule.contains: got ''"),
    "a blank": ({"contains": " \n"}, ValueError, "MessageRule.contains: got"),
    "too much": ({"contains": "a" * 257}, ValueError, "allowed are 1 to 256 characters"),
    "no text": ({"contains": 7}, TypeError, "MessageRule.contains: got 7"),
    "a code that cannot be logged": ({"code": "a b"}, ValueError, "MessageRule.code: got 'a b'"),
    "no code": ({"code": None}, TypeError, "MessageRule.code: got None"),
    "one status": ({"statuses": 403}, TypeError, "MessageRule.statuses: got 403"),
    "a list of statuses": ({"statuses": [403]}, TypeError, "MessageRule.statuses: got [403]"),
    "a status below 200": ({"statuses": (100,)}, ValueError, "MessageRule.statuses: got 100"),
    "a status that is a word": ({"statuses": ("403",)}, TypeError, "MessageRule.statuses: got"),
}


@pytest.mark.parametrize(("fields", "kind", "words"), WRONG_RULES.values(), ids=WRONG_RULES)
def test_a_rule_names_what_is_wrong(
    fields: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        MessageRule(**{"contains": "a", "code": "b", **fields})


@pytest.mark.parametrize(
    ("wait", "kind"),
    [(0, ValueError), (-1, ValueError), (86_401, ValueError), (float("nan"), ValueError),
     (float("inf"), ValueError), ("60", TypeError), (True, TypeError)],
)  # fmt: skip
def test_a_codes_wait_is_above_0_and_at_most_a_day(wait: Any, kind: type[Exception]) -> None:
    with pytest.raises(kind, match=r"^ErrorSpec\('busy'\)\.wait: got"):
        ErrorSpec(code="busy", error_class=ErrorClass.TRANSIENT, wait=wait)


WRONG_DIALECTS: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "an envelope": ({"envelope": {"code": "a"}}, TypeError, "Dialect.envelope: got"),
    "requests": ({"requests": {}}, TypeError, "Dialect.requests: got"),
    "a flag": ({"stop_layers_above": "no"}, TypeError, "Dialect.stop_layers_above: got 'no'"),
    "a status": (
        {"statuses_that_wait": {200: ErrorClass.TRANSIENT}}, ValueError,
        "Dialect.statuses_that_wait key: got 200",
    ),
    "a class": (
        {"statuses_that_wait": {403: "transient"}}, TypeError, "Dialect.statuses_that_wait[403]",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("fields", "kind", "words"), WRONG_DIALECTS.values(), ids=WRONG_DIALECTS)
def test_a_dialect_names_what_is_wrong(
    fields: dict[str, Any], kind: type[Exception], words: str
) -> None:
    with pytest.raises(kind, match=re.escape(words)):
        Dialect(name="x", **fields)


@pytest.mark.parametrize(
    "fields",
    [{"post_is_repeatable": 1}, {"put_is_idempotent": None}, {"response_id_header": "a b"}],
)
def test_request_rules_name_what_is_wrong(fields: dict[str, Any]) -> None:
    (name,) = fields
    with pytest.raises((TypeError, ValueError), match=rf"^RequestRules\.{name}: got"):
        RequestRules(**fields)
