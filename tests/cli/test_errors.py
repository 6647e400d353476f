"""``errors``: the catalogue as a table, one code explained."""

import json

import pytest

from httpx_resilience import SCAIVAULT, ErrorClass
from support.commands import Run

pytest_plugins = ["support.command_fixtures"]


def test_every_code_is_in_the_table_with_its_status(run: Run) -> None:
    ran = run("errors")
    assert ran.status == 0
    rows = [line.split() for line in ran.out.splitlines()]
    told = {row[0]: row[1] for row in rows if len(row) > 1}
    assert len(SCAIVAULT.codes) == 51
    for spec in SCAIVAULT.codes.values():
        assert told[spec.code] == str(spec.status)


def test_the_codes_that_are_retried_stand_with_their_class(run: Run) -> None:
    out = run("errors").out
    for spec in SCAIVAULT.codes.values():
        if spec.error_class is not ErrorClass.PERMANENT:
            line = next(line for line in out.splitlines() if line.startswith(spec.code))
            assert spec.error_class.name in line


@pytest.mark.parametrize("dialect", ["scaivault", "generic"])
def test_the_table_fits_eighty_columns_and_holds_no_escapes(run: Run, dialect: str) -> None:
    out = run("errors", "--dialect", dialect).out
    assert max(map(len, out.splitlines())) <= 80
    assert "\x1b" not in out


def test_statuses_without_a_code_are_in_the_table_of_every_dialect(run: Run) -> None:
    out = run("errors", "--dialect", "generic").out
    for status, error_class in {408: "TRANSIENT", 429: "RATE_LIMITED", 500: "INTERNAL"}.items():
        assert any(line.split()[:2] == [str(status), error_class] for line in out.splitlines())


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("rate_limited", ["RATE_LIMITED", "4 in all", "0.5 to 1 s", "Retry-After"]),
        ("service_unavailable", ["TRANSIENT", "4 in all", "0.25 to 0.5 s", "x3"]),
        ("internal_error", ["INTERNAL", "Once", "2 in all", "support ticket"]),
        ("version_conflict", ["CONFLICT", "Never as it is", "write again"]),
        ("quota_exceeded", ["PERMANENT", "Never", "Free some of the quota"]),
        ("503", ["TRANSIENT", "if repeating is safe"]),
        ("429", ["RATE_LIMITED", "whatever the method"]),
        ("404", ["PERMANENT", "Never"]),
    ],
)
def test_one_code_is_explained(run: Run, code: str, said: list[str]) -> None:
    ran = run("errors", code)
    assert ran.status == 0
    text = " ".join(ran.out.split())
    assert all(words in text for words in said), ran.out


def test_an_unknown_code_is_one_line_with_the_nearest_suggestion(run: Run) -> None:
    ran = run("errors", "intrnal_error")
    assert (ran.status, ran.out) == (2, "")
    assert "did you mean 'internal_error'?" in ran.complaint


def test_a_dialect_without_codes_asks_for_a_status(run: Run) -> None:
    ran = run("errors", "rate_limited", "--dialect", "generic")
    assert ran.status == 2
    assert "400 to 599" in ran.complaint


def test_an_unknown_dialect_is_one_line_with_the_nearest_suggestion(run: Run) -> None:
    ran = run("errors", "--dialect", "scaivalt")
    assert ran.status == 2
    assert "did you mean 'scaivault'?" in ran.complaint


def test_the_catalogue_as_json_is_one_object_a_line(run: Run) -> None:
    rows = [json.loads(line) for line in run("errors", "--json").out.splitlines()]
    assert {row["code"] for row in rows} == {spec.code for spec in SCAIVAULT.codes.values()}
    crash = next(row for row in rows if row["code"] == "internal_error")
    assert (crash["status"], crash["error_class"], crash["max_attempts"]) == (500, "internal", 2)
    assert crash["backoff"]["initial"] == 0.5
    quota = next(row for row in rows if row["code"] == "quota_exceeded")
    assert (quota["max_attempts"], quota["backoff"]) == (1, None)


def test_one_code_as_json_is_one_object(run: Run) -> None:
    assert json.loads(run("errors", "rate_limited", "--json").out)["status"] == 429
