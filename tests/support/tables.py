"""The README's tables, made from the code: ``python tests/support/tables.py`` writes them anew."""

import inspect
import logging
import re
import sys
from dataclasses import fields
from pathlib import Path

import anyio
import httpx

import httpx_resilience
from httpx_resilience import (
    SCAIVAULT,
    AsyncResilientTransport,
    Backoff,
    CallEvent,
    ErrorClass,
    Event,
    Policy,
    RateLimitEvent,
    RetryPolicy,
    ScopeEvent,
)
from httpx_resilience._core.call_state import Rules
from httpx_resilience._core.flow import call_flow
from httpx_resilience._core.headers import RateLimitReader
from httpx_resilience._core.outcome import Call, Outcome, TransportFailure, Woken
from httpx_resilience._core.retry.decision import REASONS
from httpx_resilience._core.steps import Done, Send, Step
from httpx_resilience._core.telemetry.recorder import PendingEvent

README = Path(__file__).parents[2] / "README.md"

ABSTRACT = (Event, CallEvent, ScopeEvent, RateLimitEvent)

WHEN = {
    "success": "nothing failed, or not for good",
    "permanent": "the error's class says that repeating it will not help",
    "attempts_exhausted": "as many attempts were made as the class, or the call, may have",
    "budget_exhausted": "the origin's retry budget has nothing left",
    "out_of_time": "the wait and one more attempt would pass `retry_for` or the deadline",
    "retry_after_too_long": "the server asks for more than `max_retry_after`, "
    "or its rate limit for more than `max_wait`",
    "throttle_timeout": "the rate-limit budget will not allow the attempt in time",
    "not_idempotent": "the server may have processed it, and repeating it is not safe",
    "body_not_replayable": "the request's body was a stream that cannot be read twice",
    "disabled": "the call was sent with the policy None",
}

LINE_ONLY = {
    "event": ("str", "what happened"),
    "level": ("str", "how much it matters; added by your processors, or by the fallback"),
    "timestamp": ("str", "when; added by your processors, or by the fallback"),
    "schema": ("int", "version of these names and types: 1"),
}


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return text.replace("``", "`")


def errors() -> str:
    rows = [
        [
            str(spec.status),
            f"`{spec.code}`",
            spec.error_class.name,
            spec.meaning,
            spec.advice,
        ]
        for spec in SCAIVAULT.codes.values()
    ]
    return table(["HTTP", "code", "class", "meaning", "what to do"], rows)


def reasons() -> str:
    return table(["reason", "when"], [[f"`{reason}`", WHEN[reason]] for reason in REASONS])


def first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")


def attributes(kind: type) -> dict[str, str]:
    """Return what a class's docstring says of each of its attributes."""
    doc = inspect.cleandoc(kind.__doc__ or "")
    _, _, section = doc.partition("Attributes:\n")
    section = section.split("\n\n")[0]
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", section, re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}


def defaults() -> str:
    policy = Policy()
    rows = []
    for part in (policy.retry, policy.budget, policy.throttle):
        assert part is not None
        told = attributes(type(part))
        for field in fields(part):
            value = "see below" if field.name == "backoff" else f"`{getattr(part, field.name)!r}`"
            rows.append([f"`{type(part).__name__}({field.name}=)`", value, told[field.name]])
    return table(["setting", "default", "meaning"], rows)


def backoff() -> str:
    rows = [
        [
            error_class.name,
            f"{b.initial:g} s",
            f"{b.maximum:g} s",
            f"{b.multiplier:g}",
            b.jitter,
            str(b.max_attempts or "`max_attempts`"),
            f"{b.cost:g}",
        ]
        for error_class, b in RetryPolicy().backoff.items()
    ]
    heads = ["class", "initial", "maximum", "multiplier", "jitter", "attempts in all", "costs"]
    return table(heads, rows)


def event_types() -> list[type[Event]]:
    named = (getattr(httpx_resilience, name) for name in httpx_resilience.__all__)
    return [
        kind
        for kind in named
        if isinstance(kind, type) and issubclass(kind, Event) and kind not in ABSTRACT
    ]


def events() -> str:
    rows = []
    for kind in event_types():
        level = inspect.getattr_static(kind, "level")
        assert isinstance(level, property)
        escalated = "escalated" in {field.name for field in fields(kind)}
        dummy = object.__new__(kind)
        if escalated:
            object.__setattr__(dummy, "escalated", None)
        name = dummy.level.name.lower() + ("; error for an internal error" if escalated else "")
        rows.append([f"`{kind.name}`", name, first_sentence(kind.__doc__ or "")])
    return table(["event", "level", "told when"], rows)


def log_fields() -> str:
    known: dict[str, tuple[str, str]] = dict(LINE_ONLY)
    for kind in (*ABSTRACT, *event_types()):
        told: dict[str, str] = {}
        for base in reversed(kind.__mro__):
            told |= attributes(base)
        for field in fields(kind):
            kind_name = str(field.type).replace(" | None", "")
            plain = getattr(field.type, "__name__", kind_name)
            if field.name not in known:
                name = plain if "|" not in str(field.type) else kind_name
                known[field.name] = (name, told[field.name])
    rows = [[f"`{name}`", kind_name, told] for name, (kind_name, told) in known.items()]
    return table(["field", "type", "meaning"], rows)


def sample() -> str:
    """Return the log line of an internal error that stayed, as the fallback writes it."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    body = {"error": {"code": "internal_error", "request_id": "req_7f3a91"}}
    vault = httpx.MockTransport(lambda _: httpx.Response(500, json=body))
    quick = Backoff(initial=0.01, max_attempts=2)
    policy = Policy(retry=RetryPolicy(backoff={ErrorClass.INTERNAL: quick}))

    async def call() -> None:
        transport = AsyncResilientTransport(vault, policy=policy)
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get("https://vault.example/v1/secrets/app/db?version=3")

    logger, handler = logging.getLogger("httpx_resilience"), Keep()
    logger.addHandler(handler)
    try:
        anyio.run(call)
    finally:
        logger.removeHandler(handler)
    return f"```text\n{lines[-1]}\n```"


def code(status: int, name: str) -> Outcome:
    body = f'{{"error": {{"code": "{name}"}}}}'.encode()
    return Outcome(0, 0, 0, 1.0, status, (), body)


def uncoded(status: int) -> Outcome:
    return Outcome(0, 0, 0, 1.0, status)


def raised(*, connection: bool = True, sent: bool = True) -> Outcome:
    return Outcome(0, 0, 0, 1.0, transport_failure=TransportFailure("E", connection, sent))


SITUATIONS = {
    "code `rate_limited` (429)": code(429, "rate_limited"),
    "code `service_unavailable` (503)": code(503, "service_unavailable"),
    "code `internal_error` (500)": code(500, "internal_error"),
    "code `version_conflict` (409)": code(409, "version_conflict"),
    "any other code, listed or not": code(503, "feature_disabled"),
    "no code: 429": uncoded(429),
    "no code: 408, 502, 503, 504": uncoded(503),
    "no code: 500": uncoded(500),
    "no code: any other 4xx or 5xx": uncoded(404),
    "`ConnectError`, `ConnectTimeout`, a stream that HTTP/2 refused": raised(sent=False),
    "`ReadError`, `ReadTimeout`, `WriteError`, `WriteTimeout`, `CloseError`, "
    "`RemoteProtocolError`": raised(),
    "a bad certificate, `ProxyError`, `PoolTimeout`, `UnsupportedProtocol`, anything else raised": (
        raised(connection=False, sent=False)
    ),
}

REQUESTS = {
    "GET, DELETE": ("GET", False, True),
    "PUT": ("PUT", False, True),
    "POST, PATCH": ("POST", False, True),
    "with `Idempotency-Key`": ("POST", True, True),
    "one-shot body, begun": ("GET", False, False),
}


class Silent:
    verbose = False

    def record(self, pending: PendingEvent) -> None:
        pass


def ending(outcome: Outcome, method: str, keyed: bool, replayable: bool) -> str:
    """Return how a call ends whose every attempt comes to ``outcome``."""
    call = Call("id", method, "https://vault.example", "/v1/secrets/a", keyed)
    rules = Rules(Policy(budget=None), SCAIVAULT, RateLimitReader(), lambda: 0.5)
    flow = call_flow(call, rules, None, Silent(), lambda: replayable, 0.0)
    step: Step = next(flow)
    while not isinstance(step, Done):
        step = flow.send(outcome if isinstance(step, Send) else Woken(0.0))
    if step.attempts > 1:
        return f"{step.attempts} attempts"
    return "no" if step.reason == "permanent" else f"no: `{step.reason}`"


def decisions() -> str:
    rows = [
        [name, *(ending(outcome, *request) for request in REQUESTS.values())]
        for name, outcome in SITUATIONS.items()
    ]
    return table(["failure", *REQUESTS], rows)


TABLES = {
    "decisions": decisions,
    "reasons": reasons,
    "errors": errors,
    "defaults": defaults,
    "backoff": backoff,
    "fields": log_fields,
    "events": events,
}


def rendered(text: str) -> str:
    """Return a README with its tables, and its sample, as the code would have them."""
    for name, make in TABLES.items():
        text = _fill(text, f"<!-- table: {name} -->", make())
    return _fill(text, "<!-- sample -->", sample())


def _fill(text: str, mark: str, content: str) -> str:
    start = text.index(mark) + len(mark)
    end = text.index("<!-- end -->", start)
    return f"{text[:start]}\n{content}\n{text[end:]}"


if __name__ == "__main__":
    README.write_text(rendered(README.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"wrote the tables of {README.name}\n")
