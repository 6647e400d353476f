"""The catalogue of errors, and the dialects made of it."""

import re

import pytest

from httpx_resilience import (
    GENERIC,
    SCAIVAULT,
    Dialect,
    Envelope,
    ErrorClass,
    ErrorSpec,
    RequestRules,
)
from httpx_resilience.dialects.scaivault import category_of
from support.contract import CODES

CATEGORIES = {
    "Authentication / authorization": 10,
    "Validation": 8,
    "Not found": 17,
    "Conflict": 7,
    "Rate limit / availability": 4,
    "Server errors": 5,
}
"""Heading of the API's catalogue → how many codes stand under it."""


def test_every_code_has_its_status_and_class() -> None:
    for code, (status, expected) in CODES.items():
        spec = SCAIVAULT.codes[code]
        assert (spec.code, spec.status, spec.error_class) == (code, status, expected.error_class)


def test_every_category_has_its_codes() -> None:
    found = [spec.category for spec in SCAIVAULT.codes.values()]
    assert {name: found.count(name) for name in set(found)} == CATEGORIES


def test_every_code_is_explained_in_one_sentence_and_advised_on_in_another() -> None:
    for spec in SCAIVAULT.codes.values():
        for sentence in (spec.meaning, spec.advice):
            assert re.fullmatch(r"[A-Z].+[^.]\.", sentence), spec.code
            assert len(sentence) < 100, spec.code


def test_no_two_codes_share_a_meaning() -> None:
    meanings = [spec.meaning for spec in SCAIVAULT.codes.values()]
    assert len(set(meanings)) == len(meanings)


def test_the_catalogue_cannot_change() -> None:
    with pytest.raises(TypeError):
        SCAIVAULT.codes["x"] = SCAIVAULT.codes["rate_limited"]  # type: ignore[index]
    assert hash(SCAIVAULT) == hash(SCAIVAULT.extend())
    assert SCAIVAULT.extend() == SCAIVAULT


class TestExtend:
    """A user's own rules."""

    def test_a_misspelt_code_is_refused_and_the_nearest_suggested(self) -> None:
        with pytest.raises(ValueError, match=r"did you mean 'service_unavailable'\?"):
            SCAIVAULT.extend(codes={"service_unavailible": ErrorClass.PERMANENT})

    def test_a_near_miss_is_taken_as_a_whole_row(self) -> None:
        row = ErrorSpec(code="rate_limitted", error_class=ErrorClass.RATE_LIMITED)
        assert SCAIVAULT.extend(codes={"rate_limitted": row}).spec("rate_limitted") is row

    def test_a_ruled_code_keeps_what_the_catalogue_says_of_it(self) -> None:
        spec = SCAIVAULT.extend(codes={"backend_error": ErrorClass.TRANSIENT}).spec("backend_error")
        assert spec is not None
        assert spec.status == 502
        assert spec.advice == SCAIVAULT.codes["backend_error"].advice

    def test_the_original_stays_as_it_was(self) -> None:
        SCAIVAULT.extend(
            codes={"backend_error": ErrorClass.TRANSIENT}, statuses={502: ErrorClass.INTERNAL}
        )
        assert SCAIVAULT.codes["backend_error"].error_class is ErrorClass.PERMANENT
        assert SCAIVAULT.status_rules == {}

    @pytest.mark.parametrize("status", [200, 399, 600, -1])
    def test_a_status_that_is_no_failure_is_refused(self, status: int) -> None:
        with pytest.raises(ValueError, match=rf"got {status}, allowed is"):
            SCAIVAULT.extend(statuses={status: ErrorClass.TRANSIENT})

    def test_a_class_that_is_none_is_refused(self) -> None:
        with pytest.raises(TypeError, match="got 'transient', allowed is an ErrorClass"):
            SCAIVAULT.extend(codes={"warming_up": "transient"})  # type: ignore[dict-item]
        with pytest.raises(TypeError, match="got 'transient', allowed is an ErrorClass"):
            SCAIVAULT.extend(statuses={503: "transient"})  # type: ignore[dict-item]

    def test_a_row_under_another_code_is_refused(self) -> None:
        row = ErrorSpec(code="a", error_class=ErrorClass.TRANSIENT)
        with pytest.raises(ValueError, match="code 'a'"):
            SCAIVAULT.extend(codes={"b": row})
        with pytest.raises(ValueError, match="code 'a'"):
            Dialect(name="x", codes={"b": row})


@pytest.mark.parametrize("code", ["", "a b", "x" * 129, "\x1b[31m", "é"])
def test_a_code_that_could_not_be_told_cannot_be_listed(code: str) -> None:
    with pytest.raises(ValueError, match=r"ErrorSpec\.code"):
        ErrorSpec(code=code, error_class=ErrorClass.TRANSIENT)


def test_a_dialect_that_ignores_case_finds_its_codes_in_any() -> None:
    row = ErrorSpec(code="Busy", error_class=ErrorClass.TRANSIENT)
    loose = Dialect(name="x", codes={"Busy": row}, envelope=Envelope(ignore_case=True))
    assert loose.spec("BUSY") is row
    assert Dialect(name="x", codes={"Busy": row}).spec("BUSY") is None
    assert loose.extend(statuses={418: ErrorClass.TRANSIENT}).spec("bUSY") is row


def test_generic_lists_no_code_and_lets_the_status_decide() -> None:
    assert not GENERIC.codes
    assert GENERIC.unknown_code is None
    assert GENERIC.requests.put_is_idempotent
    assert GENERIC.requests.request_id_header is None


@pytest.mark.parametrize(
    ("method", "path", "category"),
    [
        ("GET", "/v1/secrets/app/db", "read"),
        ("HEAD", "/v1/secrets/app/db", "read"),
        ("PUT", "/v1/secrets/app/db", "write"),
        ("POST", "/v1/secrets/app/db", "write"),
        ("DELETE", "/v1/secrets/app/db", "delete"),
        ("GET", "/v1/secrets", "list"),
        ("GET", "/v1/secrets/", "list"),
        ("POST", "/v1/auth/token", "auth"),
        ("GET", "/v1/whoami", "whoami:read"),
        ("BREW", "/v1/pots/7", "pots:write"),
        ("GET", "/", ":read"),
        ("GET", "", ":read"),
        ("GET", "/v1/" + "x" * 500, "x" * 64 + ":read"),
    ],
)
def test_scaivault_counts_a_request_against_its_category(
    method: str, path: str, category: str
) -> None:
    assert category_of(method, path) == category


def test_a_request_costs_one_unit_where_no_rule_says_otherwise() -> None:
    assert RequestRules().cost_of("GET", "/v1/files/1") == 1


def test_a_function_of_ones_own_names_the_budget_of_a_request() -> None:
    rules = RequestRules(category=lambda method, path: f"{method} of {path}")
    assert rules.category_of("GET", "/v1") == "GET of /v1"
