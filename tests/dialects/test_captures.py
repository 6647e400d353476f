"""Each captured error is understood as its API means it, and decided so."""

import importlib
import json
import re
from pathlib import Path

import pytest

from httpx_resilience import Dialect, ErrorClass, Policy, RetryPolicy
from httpx_resilience._core.dialect.classify import classify
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.outcome import Outcome
from support.captures import CAPTURES, Capture, read_capture, read_captures
from support.core import WALL, play

ALL = read_captures()
TO_REPEAT = {"rate_limited": 4, "transient": 4, "internal": 2, "permanent": 1}
PATIENT = Policy(retry=RetryPolicy(retry_for=86400.0, max_retry_after=86400.0))
"""Without a throttle waits for a rate limit are bounded by these."""

SECRETS = re.compile(
    r"sk-[A-Za-z0-9]{8}|gsk_|AIza|Bearer |org-(?!removed)\w|org_(?!removed)\w|xox[bp]-|ghp_|cookie"
)


def dialect_of(name: str) -> Dialect:
    module = importlib.import_module(f"httpx_resilience.dialects.{name}")
    found = getattr(module, name.upper())
    assert isinstance(found, Dialect)
    return found


def each(captures: list[Capture]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        "capture", captures, ids=[f"{one.dialect}-{one.name}" for one in captures]
    )


@each(ALL)
def test_a_captured_error_is_understood_as_its_api_means_it(capture: Capture) -> None:
    outcome = Outcome(
        0.0, 0.1, 0.1, WALL, status=capture.status, headers=capture.headers, body=capture.body
    )
    failure = classify(outcome, dialect_of(capture.dialect), RateLimitReader())
    assert failure is not None
    said = {
        "error_class": failure.error_class.value,
        "code": failure.code,
        "wait": failure.wait.seconds if failure.wait else None,
        "request_id": failure.request_id,
    }
    expected = {name: value for name, value in capture.expect.items() if name != "reason"}
    assert {name: said[name] for name in expected} == expected
    if "wait" not in expected:
        assert failure.wait is None
    assert not failure.status_mismatch


@each(ALL)
def test_a_captured_error_is_repeated_as_its_api_allows(capture: Capture) -> None:
    dialect = dialect_of(capture.dialect)
    played = play(capture.answer, dialect=dialect, policy=PATIENT)
    wait, reason = capture.expect.get("wait", 0.0), capture.expect.get("reason")
    if reason is not None:
        assert (played.attempts, played.done.reason) == (1, reason)
    else:
        assert played.attempts == TO_REPEAT[capture.expect["error_class"]]
        assert all(gap >= wait for gap in played.gaps)


@each([one for one in ALL if one.expect["error_class"] != "permanent"])
def test_a_post_is_repeated_where_the_api_or_its_own_sdk_says_so(capture: Capture) -> None:
    dialect = dialect_of(capture.dialect)
    got, posted = (
        play(capture.answer, dialect=dialect, policy=PATIENT, method=way) for way in ("GET", "POST")
    )
    is_coded = dialect.spec(str(capture.expect.get("code"))) is not None
    may_be = capture.status == 429 or is_coded or dialect.requests.post_is_repeatable
    if may_be or "reason" in capture.expect or capture.status < 500:
        assert (posted.attempts, posted.done.reason) == (got.attempts, got.done.reason)
    else:
        assert (posted.attempts, posted.done.reason) == (1, "not_idempotent")


def test_every_dialect_has_a_capture_with_a_source_of_each_of_its_ways() -> None:
    names = {path.name for path in CAPTURES.iterdir()}
    for name in names:
        found = {one.expect["error_class"] for one in ALL if one.dialect == name and one.source}
        assert found & {"rate_limited", "transient"}, name


def test_no_capture_holds_a_secret_or_the_id_of_an_account() -> None:
    for path in sorted(CAPTURES.glob("*/*.json")):
        assert not SECRETS.search(path.read_text(encoding="utf-8")), path


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({}, "source"),
        ({"source": "x", "made": "y"}, "source"),
        ({"source": "x", "sauce": "y"}, "sauce"),
        ({"source": "x", "expect": {}}, "error_class"),
        ({"source": "x", "expect": {"error_class": "permanent", "colour": 1}}, "colour"),
    ],
)
def test_a_capture_names_its_source_or_says_that_it_is_made(
    tmp_path: Path, change: dict[str, object], complaint: str
) -> None:
    whole = {"status": 429, "headers": [], "body": None, "expect": {"error_class": "permanent"}}
    file = tmp_path / "one.json"
    file.write_text(json.dumps(whole | change), encoding="utf-8")
    with pytest.raises(ValueError, match=complaint):
        read_capture(file)


def test_the_classes_of_captures_are_classes() -> None:
    assert {one.expect["error_class"] for one in ALL} <= {member.value for member in ErrorClass}
