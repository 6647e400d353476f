"""Logs for reports: lines by hand, and those of real calls in virtual time."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import anyio
import httpx

from httpx_resilience import AsyncResilientTransport, Event, Level, Listener
from httpx_resilience.testing import FakeScaiVault, Fault

from .virtual import run

BEGIN = 1795494159.0
"""2026-11-24 04:22:39 UTC."""

ORIGIN = "https://vault.example"


def stamp(at: float) -> str:
    """Return a time as structlog's TimeStamper writes it."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")


def line(event: str, at: float = 0.0, **fields: Any) -> str:
    """Return a line about no call, at seconds after the begin."""
    about = {"schema": 1, "origin": ORIGIN, **fields}
    return json.dumps({"event": event, "timestamp": stamp(BEGIN + at), **about})


def call_line(event: str, call: str, at: float = 0.0, **fields: Any) -> str:
    """Return a line about a call."""
    about: dict[str, Any] = {
        "call_id": call,
        "method": "GET",
        "path": "/v1/secrets/app",
        "attempt": 1,
        "max_attempts": 4,
        "elapsed": 0.0,
        "idempotent": True,
        "maybe_applied": False,
    }
    return line(event, at, **{**about, **fields})


def retry(call: str, at: float = 0.0, **fields: Any) -> str:
    """Return the line of a retry after a 503."""
    failed: dict[str, Any] = {
        "status": 503,
        "code": "service_unavailable",
        "error_class": "transient",
        "delay": 0.5,
        "delay_source": "backoff",
        "time_left": 100.0,
    }
    return call_line("retry_scheduled", call, at, **{**failed, **fields})


def gave_up(call: str, at: float = 0.0, **fields: Any) -> str:
    """Return the line of a call that gave up after a 500."""
    failed: dict[str, Any] = {
        "status": 500,
        "code": "internal_error",
        "error_class": "internal",
        "reason": "attempts_exhausted",
    }
    return call_line("gave_up", call, at, **{**failed, **fields})


def of_a_vault(level: Level) -> list[str]:
    """Return the lines of a hundred calls: ten recover, two break the rules, one is beyond help."""
    events: list[Event] = []

    async def main() -> None:
        loop = asyncio.get_running_loop()
        vault = FakeScaiVault(anonymous=True, clock=loop.time, wall=lambda: BEGIN + loop.time())
        transport = AsyncResilientTransport(
            httpx.ASGITransport(vault), on_event=Listener(events.append, level=level)
        )
        async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
            for number in range(100):
                if number % 10 == 0:
                    vault.script(Fault.code("service_unavailable"))
                elif number % 50 == 1:
                    vault.script(Fault.code("access_denied"))
                elif number == 5:
                    vault.script([Fault.code("internal_error")] * 2)
                await client.get("/v1/secrets")
                await anyio.sleep(1.0)

    run("asyncio", main)
    begin = events[0].at
    return [
        json.dumps(
            {
                **each.as_fields(),
                "event": each.name,
                "level": each.level.name.lower(),
                "timestamp": stamp(BEGIN + each.at - begin),
            }
        )
        for each in events
    ]
