"""Log lines: where they go, what they carry, and what they cost when nobody reads them."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
import structlog

from httpx_resilience import AttemptFinished, Policy, RetryPolicy
from httpx_resilience._core.telemetry import recorder
from support.clients import STEADY, call, resilient
from support.logs import filtering
from support.scripted import OK, UNAVAILABLE, Ear, Line, Reply, coded

pytestmark = pytest.mark.anyio

ALWAYS: dict[str, type | tuple[type, ...]] = {
    "event": str,
    "schema": int,
    "call_id": str,
    "method": str,
    "origin": str,
    "path": str,
    "attempt": int,
    "max_attempts": int,
    "elapsed": float,
    "idempotent": bool,
    "maybe_applied": bool,
}
OF_A_FAILURE: dict[str, type] = {
    "status": int,
    "code": str,
    "error_class": str,
    "exception_type": str,
    "request_id": str,
    "status_mismatch": bool,
}
OF_AN_ORIGIN: dict[str, type] = {"event": str, "schema": int, "origin": str}
OF_A_SCOPE: dict[str, type] = {**OF_AN_ORIGIN, "scope": str}
RATES: dict[str, type] = {"rate_limit": int, "rate_remaining": int, "rate_reset_in": float}
NAMED = {"event": str, "schema": int, "origin": str, "call_id": str, "method": str, "path": str}
CONTRACT: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "call_started": (NAMED, {}),
    "attempt_started": ({**NAMED, "attempt": int}, {}),
    "call_finished": ({**ALWAYS, "reason": str}, OF_A_FAILURE),
    "attempt_finished": (
        {**ALWAYS, "duration": float},
        {**OF_A_FAILURE, **RATES},
    ),
    "retry_scheduled": (
        {**ALWAYS, "error_class": str, "delay": float, "delay_source": str, "time_left": float},
        {**OF_A_FAILURE, "budget": float, "parked": float},
    ),
    "retry_parked": (
        {**ALWAYS, "error_class": str, "reason": str, "time_left": float, "queued": int},
        {name: kind for name, kind in OF_A_FAILURE.items() if name != "status_mismatch"},
    ),
    "gave_up": (
        {**ALWAYS, "error_class": str, "reason": str, "time_left": float},
        {
            **OF_A_FAILURE,
            "delay": float,
            "delay_source": str,
            "budget": float,
            "parked": float,
            "escalated": bool,
            "advice": str,
        },
    ),
    "recovered": (
        {**ALWAYS, "status": int},
        {"budget": float, "parked": float, "delay_source": str},
    ),
    "origin_unavailable": (
        {**OF_AN_ORIGIN, "reason": str, "failures": int, "elapsed": float, "queued": int},
        {"status": int, "code": str, "exception_type": str},
    ),
    "origin_recovered": ({**OF_AN_ORIGIN, "elapsed": float, "queued": int, "released": int}, {}),
    "throttle_held": ({**OF_A_SCOPE, "reason": str, "queued": int}, {"delay": float}),
    "throttle_released": ({**OF_A_SCOPE, "reason": str, "elapsed": float}, {}),
    "throttle_delayed": (
        {
            **OF_A_SCOPE,
            "call_id": str,
            "method": str,
            "path": str,
            "attempt": int,
            "delay": float,
        },
        {},
    ),
    "rate_limit_low": (OF_A_SCOPE, RATES),
    "rate_limit_changed": (OF_A_SCOPE, {**RATES, "previous": int}),
    "rate_limit_observed": (OF_A_SCOPE, RATES),
}
"""Event → the fields that its line always has, and those it may have; with their types."""

OF_A_LIMIT = {"rate_limit", "rate_remaining", "rate_reset_in", "previous", "delay"}
"""Fields that these stories need not meet: the throttle's own tests do."""

LEVELS = {
    "call_started": "debug",
    "attempt_started": "debug",
    "call_finished": "debug",
    "attempt_finished": "debug",
    "retry_scheduled": "warning",
    "retry_parked": "debug",
    "gave_up": "warning",
    "recovered": "info",
    "origin_unavailable": "warning",
    "origin_recovered": "info",
    "throttle_held": "info",
    "throttle_released": "info",
    "throttle_delayed": "debug",
    "rate_limit_low": "warning",
    "rate_limit_changed": "info",
    "rate_limit_observed": "debug",
}

RATE_HEADERS = {
    "X-RateLimit-Limit": "10",
    "X-RateLimit-Remaining": "0",
    "X-RateLimit-Reset": "2",
}
STORIES: dict[str, tuple[Line, ...]] = {
    "success": (OK,),
    "recovers": (UNAVAILABLE, OK),
    "gives up": (UNAVAILABLE,),
    "internal": (coded(500, "internal_error"),),
    "lost": (httpx.ReadError("x"),),
    "back late": (UNAVAILABLE, UNAVAILABLE, UNAVAILABLE, OK),
    "refused": (httpx.ConnectError("x"), OK),
    "too long": (coded(429, "rate_limited", {"Retry-After": "3600"}),),
    "hinted": (coded(429, "rate_limited", {"Retry-After": "1"}), OK),
    "odd status": (coded(400, "rate_limited"), OK),
    "odd and permanent": (coded(400, "secret_not_found"),),
    "html": (Reply(502, (b"<html>",)), OK),
    "permanent": (coded(404, "secret_not_found"),),
    "cut": (UNAVAILABLE, Reply(200, takes=500.0)),
    "limits": (
        coded(429, "rate_limited", RATE_HEADERS),
        Reply(200, headers=tuple(RATE_HEADERS.items())),
        OK,
    ),
}


@pytest.fixture(autouse=True)
def _structlog_as_it_was() -> Iterator[None]:
    structlog.reset_defaults()
    yield
    structlog.reset_defaults()


def json_lines(level: int = logging.DEBUG) -> io.StringIO:
    """Configure structlog as an application would; return where its lines go."""
    out = io.StringIO()
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=filtering(level),
        logger_factory=structlog.PrintLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    return out


async def tell(story: str, **options: Any) -> None:
    transport, _ = resilient(*STORIES[story], **options)
    try:
        await call(transport)
    except httpx.HTTPError:
        assert isinstance(STORIES[story][-1], Exception)


def check_line(line: dict[str, Any]) -> None:
    always, perhaps = CONTRACT[line["event"]]
    assert set(always) <= set(line), set(always) - set(line)
    assert set(line) <= set(always) | set(perhaps), set(line) - set(always) - set(perhaps)
    for name, value in line.items():
        kind = {**perhaps, **always}[name]
        assert type(value) is kind or (kind is float and type(value) is int), (name, value)
    assert line["schema"] == 1


@pytest.mark.parametrize("budget", [True, False], ids=["budget", "no budget"])
@pytest.mark.parametrize("story", STORIES)
async def test_every_json_line_parses_and_has_exactly_the_contracts_fields(
    story: str, budget: bool
) -> None:
    out, policy = json_lines(), Policy(retry=STEADY)
    await tell(story, policy=policy if budget else policy.replace(budget=None))
    lines = [json.loads(text) for text in out.getvalue().splitlines()]
    assert lines
    for line in lines:
        level, timestamp = line.pop("level"), line.pop("timestamp")
        assert level == ("error" if line.get("escalated") else LEVELS[line["event"]])
        assert timestamp
        check_line(line)
        if line["event"] in ("retry_scheduled", "gave_up", "recovered"):
            assert ("budget" in line) == budget
    assert len({line["call_id"] for line in lines if "call_id" in line}) == 1


async def test_the_stories_meet_every_field_of_the_contract() -> None:
    out = json_lines()
    for story in STORIES:
        await tell(story)
    met: dict[str, set[str]] = {name: set() for name in CONTRACT}
    for text in out.getvalue().splitlines():
        line = json.loads(text)
        met[line["event"]] |= set(line) - {"level", "timestamp"}
    for name, (always, perhaps) in CONTRACT.items():
        if met[name] or not name.startswith(("rate_limit", "throttle")):
            assert (set(always) | set(perhaps)) - met[name] <= OF_A_LIMIT, name


async def test_the_fields_of_an_event_are_those_of_its_log_line() -> None:
    out, ear = json_lines(), Ear(all=True)
    await tell("recovers", on_event=ear.at_debug)
    for text, event in zip(out.getvalue().splitlines(), ear.events, strict=True):
        line = json.loads(text)
        assert line.pop("event") == event.name
        assert line.pop("level") == event.level.name.lower()
        del line["timestamp"]
        assert line == event.as_fields()


@pytest.mark.parametrize(
    ("level", "names"),
    [
        (
            logging.DEBUG,
            [
                *("call_started", "attempt_started", "attempt_finished", "retry_scheduled"),
                *("attempt_started", "attempt_finished", "recovered", "call_finished"),
            ],
        ),
        (logging.INFO, ["retry_scheduled", "recovered"]),
        (logging.WARNING, ["retry_scheduled"]),
        (logging.ERROR, []),
    ],
)
async def test_structlogs_level_decides_what_is_written(level: int, names: list[str]) -> None:
    out = json_lines(level)
    await tell("recovers")
    assert [json.loads(text)["event"] for text in out.getvalue().splitlines()] == names


async def test_a_logger_that_cannot_say_its_level_counts_as_info() -> None:
    heard: list[str] = []

    class Mute:
        def __getattr__(self, name: str) -> Callable[..., None]:
            if name not in ("debug", "info", "warning", "error"):
                raise AttributeError(name)
            return lambda event, **fields: heard.append(f"{name} {event}")

    class Wrapper(structlog.BoundLoggerBase):
        def __getattr__(self, name: str) -> Any:
            return getattr(Mute(), name)

    structlog.configure(wrapper_class=Wrapper)
    await tell("recovers")
    assert heard == ["warning retry_scheduled", "info recovered"]


async def test_without_a_structlog_configuration_lines_go_to_the_standard_library(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    with caplog.at_level(logging.DEBUG, "httpx_resilience"):
        await tell("recovers")
    records = [r for r in caplog.records if r.name == "httpx_resilience"]
    levels = ["DEBUG", "DEBUG", "DEBUG", "WARNING", "DEBUG", "DEBUG", "INFO", "DEBUG"]
    assert [r.levelname for r in records] == levels
    line = records[3].getMessage()
    assert line.startswith("event=retry_scheduled level=warning timestamp=20")
    pairs = dict(pair.split("=", 1) for pair in line.split(" "))
    fields = set(pairs) - {"level", "timestamp"}
    always, perhaps = CONTRACT["retry_scheduled"]
    assert set(always) <= fields <= set(always) | set(perhaps)
    assert (pairs["attempt"], pairs["code"], pairs["idempotent"]) == (
        "1", "service_unavailable", "true",
    )  # fmt: skip
    assert capsys.readouterr().out == ""


def test_a_program_that_configured_no_logging_has_an_empty_standard_output() -> None:
    program = (
        "import anyio, httpx\n"
        "from httpx_resilience import AsyncResilientTransport, Policy, RetryPolicy\n"
        "async def main():\n"
        "    policy = Policy(retry=RetryPolicy(max_attempts=1))\n"
        "    inner = httpx.MockTransport(lambda request: httpx.Response(503))\n"
        "    transport = AsyncResilientTransport(inner, policy=policy)\n"
        "    async with httpx.AsyncClient(transport=transport) as client:\n"
        "        assert (await client.get('https://vault.example/x')).status_code == 503\n"
        "anyio.run(main)\n"
    )
    done = subprocess.run(  # its standard error is Python's own last resort for warnings
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert "event=gave_up" in done.stderr


async def test_nothing_is_built_when_nobody_listens(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[object] = []

    class Counting(AttemptFinished):
        def __init__(self, **fields: Any) -> None:
            super().__init__(**fields)
            built.append(self)

    monkeypatch.setattr(recorder, "AttemptFinished", Counting)
    await tell("success")
    assert built == []
    await tell("success", on_event=Ear().at_debug)
    assert len(built) == 1
    json_lines()
    await tell("success")
    assert len(built) == 2


async def test_fields_are_gathered_only_for_a_level_that_is_written(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gathered: list[str] = []

    def gather(self: AttemptFinished) -> dict[str, Any]:
        gathered.append(self.name)
        return {}

    monkeypatch.setattr(AttemptFinished, "as_fields", gather)
    json_lines(logging.INFO)
    await tell("recovers")
    assert gathered == []


async def test_a_code_that_no_code_looks_like_is_told_as_invalid() -> None:
    out = json_lines()
    for code in ("\x1b[31mred", "a\nevent=forged", "a b", "x" * 129, "é", "a\x00b", "{}"):
        await tell_one(coded(400, code))
    lines = [json.loads(text) for text in out.getvalue().splitlines()]
    codes = {line.get("code") for line in lines if "status" in line}
    assert codes == {"invalid"}


async def test_a_request_id_that_no_id_looks_like_is_told_as_invalid() -> None:
    out = json_lines()
    for told in ("a b", "x" * 129, "id;rm", "\x1b[31m", "ключ"):
        raw = told.encode()
        await tell_one(Reply(404, headers=((b"X-Request-ID", raw),)))  # type: ignore[arg-type]
    lines = [json.loads(text) for text in out.getvalue().splitlines()]
    ids = {line["request_id"] for line in lines if "status" in line}
    assert ids == {"invalid"}


async def tell_one(line: Line) -> None:
    transport, _ = resilient(line, policy=Policy(retry=RetryPolicy(max_attempts=1)))
    await call(transport)


async def test_a_method_that_no_method_looks_like_is_told_as_invalid() -> None:
    ear = Ear()
    transport, _ = resilient(coded(400, "invalid_request"), on_event=ear)
    await call(transport, method="GET\x1b[31m X")
    assert ear.last()["method"] == "invalid"
