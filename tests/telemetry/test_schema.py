"""The log lines' JSON Schema: made from the events' types, and true of what is emitted."""

import json
from collections.abc import Iterator
from typing import Any

import fastjsonschema
import httpx
import pytest
import structlog

from httpx_resilience import (
    ResilientTransport,
    ThrottleHeld,
)
from httpx_resilience.cli import main
from httpx_resilience.instrumentation.schema import log_schema, log_schema_text
from support import tables, validated
from support.log_schema import PATH, rendered
from support.log_schema import log_schema as made
from support.parity import Play, play
from support.scripted import OK, UNAVAILABLE, Reply, coded
from support.validated import strict

LIMITED = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4"}
TWO = (("GET", "/v1/secrets/a"), ("GET", "/v1/secrets/a"))
PLAYS = (
    Play((UNAVAILABLE, UNAVAILABLE, OK)),
    Play((*(4 * ("ConnectError",)), OK), calls=3 * TWO),
    Play((Reply(200, headers=tuple(LIMITED.items())), OK), calls=TWO),
    Play((coded(409, "version_conflict"), OK), hooks={"version_conflict": "/v1/secrets/other"}),
    Play((coded(500, "internal_error"),)),
)

valid = fastjsonschema.compile(log_schema(), use_default=False)
valid_now = fastjsonschema.compile(strict(log_schema()), use_default=False)

LINE = {
    "event": "throttle_held",
    "schema": 1,
    "origin": "https://vault.example",
    "scope": "read#1f3a",
    "reason": "exhausted",
    "delay": 1.5,
    "queued": 3,
}


@pytest.fixture
def lines() -> Iterator[list[dict[str, Any]]]:
    """What structlog writes as JSON, from debug on."""
    written: list[dict[str, Any]] = []

    class Write:
        def msg(self, line: str) -> None:
            written.append(json.loads(line))

        debug = info = warning = error = msg

    class AnyLevel(structlog.BoundLogger):
        """Says that it writes lines of any level, which filtering loggers did not use to say."""

        def is_enabled_for(self, level: int) -> bool:
            return True

    structlog.configure(
        processors=[
            structlog.stdlib.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=AnyLevel,
        logger_factory=lambda *_: Write(),
        cache_logger_on_first_use=False,
    )
    yield written
    structlog.reset_defaults()


# It is up to date, and where it belongs.


def test_the_file_is_what_the_types_of_the_events_make_of_it() -> None:
    # To bring it up to date: python tests/support/log_schema.py
    assert log_schema_text() == rendered(made())
    assert log_schema() == made()
    assert PATH.name == "log.schema.json"


def test_the_command_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert capsys.readouterr().out == log_schema_text()


def test_it_is_a_schema_of_draft_7() -> None:
    assert log_schema()["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert all(
        own["description"]
        for each in log_schema()["definitions"].values()
        for own in each["properties"].values()
    )


def test_every_event_has_its_definition() -> None:
    failures = {"listener_failed", "log_failed", "store_unencrypted"}
    named = {kind.name for kind in tables.event_types()} | failures
    assert named == set(log_schema()["definitions"])
    conditions = [each["if"]["properties"]["event"]["const"] for each in log_schema()["allOf"]]
    assert set(conditions) == named


# It says what is wrong, and allows what may be added.


@pytest.mark.parametrize(
    "changed",
    [
        {"schema": 2},
        {"origin": None},
        {"origin": "vault.example"},
        {"origin": "https://user@vault.example"},
        {"scope": 7},
        {"queued": "3"},
        {"queued": -1},
        {"delay": "1.5"},
        {"reason": None},
    ],
    ids=str,
)
def test_a_line_that_breaks_the_contract_is_not_valid(changed: dict[str, Any]) -> None:
    valid(LINE)
    with pytest.raises(fastjsonschema.JsonSchemaException):
        valid({**LINE, **changed})


@pytest.mark.parametrize("name", ["event", "schema", "origin", "scope", "reason", "queued"])
def test_a_line_without_a_field_that_is_always_there_is_not_valid(name: str) -> None:
    with pytest.raises(fastjsonschema.JsonSchemaException):
        valid({key: value for key, value in LINE.items() if key != name})


@pytest.mark.parametrize(
    "changed",
    [{"level": "info", "timestamp": "2026-11-24"}, {"tenant": "a"}, {"reason": "new_reason"}],
    ids=str,
)
def test_what_an_application_or_a_later_version_adds_is_valid(changed: dict[str, Any]) -> None:
    valid({**LINE, **changed})
    with pytest.raises(fastjsonschema.JsonSchemaException):
        valid_now({**LINE, **changed})


def test_a_later_event_is_valid() -> None:
    valid({"event": "later", "schema": 1, "whatever": True})


# What is emitted.


def test_the_lines_that_structlog_writes_as_json_are_valid(
    lines: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for what in PLAYS:
        with monkeypatch.context() as patched:
            play("httpx", "asyncio", what, patched)
    for line in lines:
        valid(line)
        added = ("level", "timestamp")
        valid_now({key: value for key, value in line.items() if key not in added})
    assert {line["event"] for line in lines} >= {
        *("attempt_finished", "attempt_started", "call_finished", "call_started", "gave_up"),
        *("origin_recovered", "origin_unavailable", "rate_limit_observed", "recovered"),
        *("recovery_hook", "retry_parked", "retry_scheduled", "throttle_delayed"),
    }


def test_the_lines_about_listeners_and_the_log_are_valid(lines: list[dict[str, Any]]) -> None:
    def fail(event: object) -> None:
        raise ValueError

    vault = httpx.MockTransport(lambda request: httpx.Response(404))
    with httpx.Client(transport=ResilientTransport(vault, on_event=fail)) as client:
        client.get("https://vault.example/")
    (line,) = [line for line in lines if line["event"] == "listener_failed"]
    valid(line)
    valid_now({key: value for key, value in line.items() if key not in ("level", "timestamp")})
    assert line["listener"] == 0


@pytest.fixture
def unnoticed() -> Iterator[list[str]]:
    """What was found to be wrong, which this test is about and does not fail of."""
    yield validated.found
    validated.found.clear()


def test_the_suite_notices_an_event_that_is_not_in_the_schema(unnoticed: list[str]) -> None:
    ThrottleHeld(origin="https://v", scope="all", reason="exhausted", queued=1)
    assert not unnoticed
    ThrottleHeld(origin="https://v", scope="all", reason="unheard_of", queued=1)
    ThrottleHeld(origin="https://v", scope="all", reason="exhausted", queued=1, delay=float("inf"))
    ThrottleHeld(origin="https://v", scope="all", reason="exhausted", queued="1")  # type: ignore[arg-type]  # as it says
    assert len(unnoticed) == 3
    unnoticed.clear()
