"""The documentation's tables and log lines, made from the code.

``python tests/support/tables.py`` writes them into README.md and the pages of ``docs``.
"""

import contextlib
import importlib
import inspect
import itertools
import logging
import re
import ssl
import sys
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import anyio
import httpx
from typer.main import get_command

import httpx_resilience
from httpx_resilience import (
    SCAIVAULT,
    AsyncResilientTransport,
    Attempt,
    CallEvent,
    CallHistory,
    CategoryRule,
    CostEstimate,
    Envelope,
    ErrorClass,
    ErrorInfo,
    ErrorSpec,
    Event,
    HeaderFamily,
    MessageRule,
    Policy,
    RateLimitEvent,
    RateLimitStatus,
    RequestRules,
    RetryPolicy,
    RetryScheduled,
    ScopeEvent,
    ThrottleHeld,
    dialects,
    history_of,
)

# All that is private of what is documented here: the closed list of reasons, and the commands.
from httpx_resilience._core.retry.decision import REASONS
from httpx_resilience._store.redis import RIGHTS
from httpx_resilience.cli._app import app
from httpx_resilience.cli._screen import quiet_log
from httpx_resilience.cli.simulate.run import NONE, PLAIN, play
from httpx_resilience.cli.simulate.scenarios import SCENARIOS
from httpx_resilience.testing import DEFAULT_LIMITS, FakeScaiVault, Fault, SeenRequest

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
DOCS = ROOT / "docs"

PUBLIC = (
    "httpx_resilience",
    "httpx_resilience.httpx2",
    "httpx_resilience.dialects",
    "httpx_resilience.testing",
    "httpx_resilience.testing.httpx2",
    "httpx_resilience.instrumentation.opentelemetry",
    "httpx_resilience.instrumentation.schema",
    "httpx_resilience.cli",
)
"""The modules to import from."""

ABSTRACT = (Event, CallEvent, ScopeEvent, RateLimitEvent)

WHEN = {
    "success": "The last attempt succeeded",
    "permanent": "The error's class says that a retry cannot help",
    "attempts_exhausted": "The call, or the error's class, has used all its attempts",
    "budget_exhausted": "The origin's retry budget is empty",
    "out_of_time": "The wait and one more attempt would go beyond `retry_for` or the `deadline`, "
    "or the `deadline` cut a running attempt",
    "retry_after_too_long": "The server asks for a wait above `max_retry_after`, "
    "or its rate limit for one above `max_wait`",
    "throttle_timeout": "The rate limit does not admit the attempt within `max_wait`",
    "not_idempotent": "The server may have processed the request, and repeating it is not safe",
    "body_not_replayable": "The request body is a stream that cannot be read twice",
    "unavailable": "The origin was unavailable for longer than the call is parked",
    "closed": "The transport was closed while the call waited for its next attempt",
    "vetoed": "The server says in words that it should not be sent again: `x-should-retry: false`",
    "disabled": "The call was sent with the policy `None`, or through another transport of ours",
}

HOLDS = {
    "exhausted": "No units are left until the limit resets or refills",
    "server_hint": "The server sent a `Retry-After`, or the reset of a 429",
    "cold_start": "Nothing is known of the limit yet, and a first response is on its way",
    "silent_limit": "The server refuses calls without sending rate-limit headers, "
    "so an adaptive rate is learned",
    "overload": "The server is degraded: waiting calls are released gradually",
    "concurrency": "As many requests to the origin are in flight as may be; "
    "logged once a minute at most",
}

SOURCES = {
    "backoff": "The backoff of the error's class",
    "retry_after": "`Retry-After` or one of its variants",
    "rate_limit_reset": "The rate-limit reset of a 429",
    "error_body": "A field of the error body that the dialect names (`Envelope.wait`)",
    "catalogue": "What the dialect gives the code (`ErrorSpec.wait`); the response names no time",
    "release": "The call was parked, and released as other calls succeeded",
    "probe": "The call was parked, and sent to find out whether the origin is back",
}

LINE_ONLY = {
    "event": ("str", "The event's name"),
    "level": ("str", "Its level; added by your processors, or by the stdlib fallback"),
    "timestamp": ("str", "Its time; added by your processors, or by the stdlib fallback"),
    "schema": ("int", "Version of these names and types: 1"),
}


SHARED = {
    "reason": "Why a call ended or was parked, why a scope holds calls, or how an origin or a "
    "store fails",
    "delay": "Seconds: until the next attempt; of a call that gave up, the wait that was too long; "
    "of a scope, until it is looked at again; of a call that waited, how long it did",
    "delay_source": "What the delay follows",
    "elapsed": "Seconds: since the call's first send; for which a scope held calls; "
    "for which an origin was unavailable, or a store; that a summary covers",
    "time_left": "Seconds until `retry_for` or the deadline ends; "
    "of a parked call, until it gives up",
    "parked": "Seconds that the call was parked",
    "queued": "Calls that wait for the rate limit, or are parked",
    "budget": "Tokens in the origin's retry budget, after this event",
}


def table(heads: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [heads, ["---"] * len(heads), *rows]
    text = "\n".join("| " + " | ".join(line) + " |" for line in lines)
    return text.replace("``", "`")


# From docstrings.


def first_sentence(text: str) -> str:
    return " ".join(text.split("\n\n")[0].split()).rstrip(".")


def described(kind: type, section: str = "Attributes") -> dict[str, str]:
    """Return what a docstring says of each attribute (or argument)."""
    doc = inspect.cleandoc(kind.__doc__ or "")
    _, _, text = doc.partition(f"{section}:\n")
    text = re.split(r"\n\n|\n(?=\S)", text)[0]
    found = re.findall(r"^    (\w+): (.*(?:\n        .*)*)", text, re.MULTILINE)
    return {name: " ".join(text.split()).rstrip(".") for name, text in found}


def all_described(kind: type) -> dict[str, str]:
    """Return the same of a class and its bases, properties included."""
    said: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        said |= described(base)
        for name, member in vars(base).items():
            if isinstance(member, property) and not name.startswith("_"):
                said[name] = first_sentence(member.__doc__ or "")
    return said


def attributes(kind: type, *without: str) -> str:
    said = all_described(kind)
    rows = [[f"`{name}`", text] for name, text in said.items() if name not in without]
    return table(["attribute", "meaning"], rows)


def settings(kind: type) -> str:
    """Return a table of a configuration class's fields."""
    assert is_dataclass(kind)
    said = described(kind)
    rows = [[f"`{field.name}`", said[field.name]] for field in fields(kind) if field.init]
    return table(["key", "meaning"], rows)


def named_in(kind: type, attribute: str, meanings: dict[str, str], head: str) -> str:
    """Return a table of the values that a docstring names, each with its meaning."""
    values = re.findall(r"``(\w+)``", all_described(kind)[attribute])
    assert sorted(values) == sorted(meanings)
    return table([head, "meaning"], [[f"`{name}`", meanings[name]] for name in values])


# Errors, reasons, settings.


def errors() -> str:
    rows = [
        [str(spec.status), f"`{spec.code}`", spec.error_class.name, spec.meaning, spec.advice]
        for spec in SCAIVAULT.codes.values()
    ]
    return table(["HTTP", "code", "class", "meaning", "what to do"], rows)


def reasons() -> str:
    known = list(dict.fromkeys((*REASONS, "closed")))
    assert sorted(known) == sorted(WHEN)
    return table(["reason", "when"], [[f"`{reason}`", WHEN[reason]] for reason in WHEN])


def defaults() -> str:
    policy = Policy()
    rows = []
    for part in (policy.retry, policy.budget, policy.throttle, policy.park):
        assert part is not None
        said = described(type(part))
        for field in fields(part):
            is_table = field.name == "backoff"
            value = "[a table](#backoff)" if is_table else f"`{getattr(part, field.name)!r}`"
            rows.append([f"`{type(part).__name__}({field.name}=)`", value, said[field.name]])
    rest = described(Policy)["stop_layers_above"]
    rows.append(["`Policy(stop_layers_above=)`", f"`{policy.stop_layers_above!r}`", rest])
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
    heads = ["class", "initial", "maximum", "multiplier", "jitter", "attempts in all", "cost"]
    return table(heads, rows)


# Events.


def event_types() -> list[type[Event]]:
    named = (getattr(httpx_resilience, name) for name in httpx_resilience.__all__)
    return [
        kind
        for kind in named
        if isinstance(kind, type) and issubclass(kind, Event) and kind not in ABSTRACT
    ]


def level_of(kind: type[Event]) -> str:
    """Return at which level an event is emitted."""
    escalated = "escalated" in {field.name for field in fields(kind)}
    dummy = object.__new__(kind)
    if escalated:
        object.__setattr__(dummy, "escalated", None)
    return dummy.level.name.lower() + ("; error for an internal error" if escalated else "")


def events() -> str:
    rows = []
    for kind in event_types():
        when = first_sentence(kind.__doc__ or "")
        rows.append([f"`{kind.name}`", f"`{kind.__name__}`", level_of(kind), when])
    return table(["event", "class", "level", "emitted when"], rows)


def in_its_line(kind: type[Event]) -> set[str]:
    """Return which of an event's fields its log line has."""
    event = object.__new__(kind)
    for field in fields(kind):
        object.__setattr__(event, field.name, "")
    return set(event.as_fields())


def log_fields() -> str:
    """Return a table of all fields of all lines; what they mean in several is in ``SHARED``."""
    known: dict[str, tuple[str, str]] = dict(LINE_ONLY)
    for kind in (*ABSTRACT, *event_types()):
        said, shown = all_described(kind), in_its_line(kind)
        for field in fields(kind):
            kind_name = str(field.type).replace(" | None", "")
            plain = getattr(field.type, "__name__", kind_name)
            if field.name in shown and field.name not in known:
                name = plain if "|" not in str(field.type) else kind_name
                known[field.name] = (name, SHARED.get(field.name, said[field.name]))
    rows = [[f"`{name}`", kind_name, text] for name, (kind_name, text) in known.items()]
    return table(["field", "type", "meaning"], rows)


@contextlib.contextmanager
def lines_kept(level: int) -> Iterator[list[str]]:
    """Keep the log lines that the fallback writes."""
    lines: list[str] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(record.getMessage())

    logger, handler = logging.getLogger("httpx_resilience"), Keep()
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(level)
    try:
        yield lines
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


QUICK = Policy(
    retry=RetryPolicy(
        backoff={
            error_class: replace(backoff, initial=0.01, maximum=0.01, jitter="none")
            for error_class, backoff in RetryPolicy().backoff.items()
        }
    ),
)


def sample(*answers: httpx.Response) -> str:
    """Return the log lines of a call that gets these answers, as the fallback writes them."""
    left = list(answers)

    async def call() -> None:
        vault = httpx.MockTransport(lambda _: left.pop(0))
        transport = AsyncResilientTransport(vault, policy=QUICK)
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get("https://vault.example/v1/secrets/app/db?version=3")

    with lines_kept(logging.INFO) as lines:
        anyio.run(call)
    return "```text\n" + "\n".join(lines) + "\n```"


def failed(status: int, name: str) -> httpx.Response:
    error = {"code": name, "request_id": "req_7f3a91"}
    return httpx.Response(status, json={"error": error})


def sample_of_an_internal_error() -> str:
    *fence, end = sample(failed(500, "internal_error"), failed(500, "internal_error")).split("\n")
    return "\n".join([fence[0], fence[-1], end])


def sample_of_a_recovery() -> str:
    return sample(failed(503, "service_unavailable"), httpx.Response(200))


# What is retried: asked of the transport itself.


def coded(status: int, name: str) -> Callable[[], httpx.Response]:
    return lambda: failed(status, name)


def uncoded(status: int) -> Callable[[], httpx.Response]:
    return lambda: httpx.Response(status)


def raised(kind: type[Exception]) -> Callable[[], httpx.Response]:
    def fail() -> httpx.Response:
        raise kind("")

    return fail


def bad_certificate() -> httpx.Response:
    raise httpx.ConnectError("") from ssl.SSLCertVerificationError()


def all_raised(*kinds: type[Exception]) -> list[Callable[[], httpx.Response]]:
    return [raised(kind) for kind in kinds]


PROCESSED = (
    *(httpx.ReadError, httpx.ReadTimeout, httpx.WriteError, httpx.WriteTimeout),
    *(httpx.CloseError, httpx.RemoteProtocolError),
)
LOCAL = (httpx.ProxyError, httpx.PoolTimeout, httpx.UnsupportedProtocol, OSError)


def in_words(kinds: tuple[type[Exception], ...]) -> str:
    return ", ".join(f"`{kind.__name__}`" for kind in kinds if kind is not OSError)


SITUATIONS: dict[str, list[Callable[[], httpx.Response]]] = {
    "code `rate_limited` (429)": [coded(429, "rate_limited")],
    "code `service_unavailable` (503)": [coded(503, "service_unavailable")],
    "code `internal_error` (500)": [coded(500, "internal_error")],
    "code `version_conflict` (409)": [coded(409, "version_conflict")],
    "any other code, listed or not": [coded(503, "feature_disabled"), coded(503, "unheard_of")],
    "no code: 429": [uncoded(429)],
    "no code: 408, 502, 503, 504": [uncoded(status) for status in (408, 502, 503, 504)],
    "no code: 500": [uncoded(500)],
    "no code: any other 4xx or 5xx": [uncoded(404), uncoded(501)],
    "`ConnectError`, `ConnectTimeout`, a stream that HTTP/2 refused": all_raised(
        httpx.ConnectError, httpx.ConnectTimeout
    ),
    in_words(PROCESSED): all_raised(*PROCESSED),
    f"a bad certificate, {in_words(LOCAL)}, any other exception": [
        bad_certificate,
        *all_raised(*LOCAL),
    ],
}

REQUESTS = {
    "GET, DELETE": (["GET", "DELETE"], False, False),
    "PUT": (["PUT"], False, False),
    "POST, PATCH": (["POST", "PATCH"], False, False),
    "with `Idempotency-Key`": (["POST", "PUT"], True, False),
    "one-shot body, begun": (["GET", "POST"], True, True),
}


async def ending(
    answer: Callable[[], httpx.Response], method: str, is_keyed: bool, is_one_shot: bool
) -> str:
    """Return how a call ends whose every attempt is answered so."""

    async def chunks() -> AsyncIterator[bytes]:
        yield b"{}"

    transport = AsyncResilientTransport(
        httpx.MockTransport(lambda _: answer()),
        policy=QUICK.replace(budget=None, throttle=None),
    )
    async with httpx.AsyncClient(transport=transport) as client:
        headers = {"Idempotency-Key": "7"} if is_keyed else {}
        url = "https://vault.example/v1/secrets/a"
        body = chunks() if is_one_shot else b"{}"
        request = client.build_request(method, url, headers=headers, content=body)
        try:
            history = history_of(await client.send(request))
        except (httpx.TransportError, OSError) as error:
            history = history_of(error)
    assert history is not None
    if history.retries:
        return f"{history.retries + 1} attempts"
    return "no" if history.reason == "permanent" else f"no: `{history.reason}`"


def decisions() -> str:
    async def cell(
        answers: list[Callable[[], httpx.Response]], request: tuple[list[str], bool, bool]
    ) -> str:
        methods, *rest = request
        ways = itertools.product(answers, methods)
        ends = {await ending(answer, method, *rest) for answer, method in ways}
        assert len(ends) == 1, ends
        return ends.pop()

    async def ask() -> list[list[str]]:
        return [
            [name, *[await cell(answers, request) for request in REQUESTS.values()]]
            for name, answers in SITUATIONS.items()
        ]

    with lines_kept(logging.CRITICAL):
        return table(["failure", *REQUESTS], anyio.run(ask))


# Testing and the command line.


def limits() -> str:
    rows = [
        [f"`{name}`" if name != "*" else "any other", f"{limit.limit} in {limit.per:g} s"]
        for name, limit in DEFAULT_LIMITS.items()
    ]
    return table(["category", "limit"], rows)


def faults() -> str:
    made = {name: member for name, member in vars(Fault).items() if isinstance(member, classmethod)}
    rows = [
        [f"`Fault.{name}`", first_sentence(member.__func__.__doc__ or "")]
        for name, member in made.items()
    ]
    return table(["fault", "what the client gets"], rows)


def vault_options() -> str:
    rows = [[f"`{name}`", text] for name, text in described(FakeScaiVault, section="Args").items()]
    return table(["argument", "meaning"], rows)


def options(name: str) -> str:
    group: Any = get_command(app)  # typer's own Click, or Click's: whichever it brings
    rows = []
    for parameter in group.commands[name].params:
        names = parameter.opts if parameter.param_type_name == "option" else []
        shown = ", ".join(names) or parameter.name or ""
        text = getattr(parameter, "help", "") or ""
        default = parameter.default
        has_default = names and default not in (None, False, ()) and not callable(default)
        rows.append([f"`{shown}`", text, f"`{default}`" if has_default else ""])
    return table(["option", "meaning", "default"], rows)


def simulated() -> str:
    """Return what ``simulate`` prints for the default policy."""
    rows = []
    for scenario in SCENARIOS.values():
        for client, policy in (("default policy", Policy()), (NONE, None), (PLAIN, None)):
            with quiet_log():
                made = play(scenario, client, policy, 1)
            name = scenario.name if client == "default policy" else ""
            seconds = (made.p50, made.p99, made.recovered_after)
            shown = ["-" if each is None else f"{each:.1f} s" for each in seconds]
            rows.append([name, client, f"{made.success:.0%}", f"{made.attempts:.2f}", *shown])
    heads = ["scenario", "client", "succeeded", "requests", "p50", "p99", "over after"]
    return table(heads, rows)


# The dialects that ship.


def in_classes(statuses: Mapping[int, ErrorClass]) -> str:
    """Return which statuses have which class, in some words."""
    of_class: dict[str, list[str]] = {}
    for status, error_class in sorted(statuses.items()):
        of_class.setdefault(error_class.name, []).append(str(status))
    return "; ".join(f"{name} {', '.join(numbers)}" for name, numbers in of_class.items())


def dialect(name: str) -> str:
    """Return what a dialect says, in two tables."""
    one = getattr(dialects, name.upper())
    requests, said = one.requests, one.envelope
    paths = [".".join(path) for path in said.code]
    places = [f"`{path}`" for path in paths] + [
        f"the header `{name}`" for name in said.code_headers
    ]
    places += ["the message"] if said.messages else []
    facts = {
        "codes are read from": ", ".join(dict.fromkeys(places)),
        "waits are read from": ", ".join(f"`{'.'.join(path)}`" for path in said.wait),
        "errors with status 200": "looked for" if said.errors_in_success else "",
        "without a listed code": in_classes(one.statuses),
        "if it asks for a wait": in_classes(one.statuses_that_wait),
        "a POST that may have been processed": "repeated" if requests.post_is_repeatable else "",
        "a PUT that may have been processed": "" if requests.put_is_idempotent else "not repeated",
        "idempotency key": f"`{requests.idempotency_header}`"
        if requests.idempotency_header
        else "",
        "request id": f"`{requests.response_id_header}`" if requests.response_id_header else "",
        "retries of SDKs above": "stopped" if one.stop_layers_above else "",
    }
    rows = [
        [str(spec.status or "any"), f"`{spec.code}`", _class_of(spec), spec.meaning, spec.advice]
        for spec in one.codes.values()
    ]
    about = table(["", name.upper()], [[key, text] for key, text in facts.items() if text])
    return about + "\n\n" + table(["HTTP", "code", "class", "meaning", "what to do"], rows)


def _class_of(spec: ErrorSpec) -> str:
    wait = "" if spec.wait is None else f", {spec.wait:g} s if no time is named"
    return spec.error_class.name + wait


SHIPPED = [name.lower() for name in dialects.__all__ if name not in ("GENERIC", "SCAIVAULT")]


def reference(module: str) -> str:
    """Return the public names of a module, each with the first sentence of its docstring."""
    found = importlib.import_module(module)
    named = ((name, getattr(found, name)) for name in found.__all__)
    return table(
        ["name", "what it is"], [[f"`{name}`", summary_of(value)] for name, value in named]
    )


def summary_of(value: object) -> str:
    """Return what a public name is, in a sentence."""
    if isinstance(value, httpx_resilience.Dialect):
        return f"The dialect `{value.name}`; see [the gallery](dialects.md)"
    if get_origin(value) is Literal:
        return "One of " + ", ".join(f'`"{one}"`' for one in get_args(value))
    if not callable(value):
        return "A constant: see [Testing](testing.md)"
    text = inspect.getdoc(value) or ""
    assert text, f"{value!r} has no docstring"
    return first_sentence(text)


MADE: dict[str, Callable[[], str]] = {
    **{f"dialect {name}": partial(dialect, name) for name in SHIPPED},
    **{f"reference {name}": partial(reference, name) for name in PUBLIC},
    "decisions": decisions,
    "reasons": reasons,
    "errors": errors,
    "defaults": defaults,
    "backoff": backoff,
    "fields": log_fields,
    "events": events,
    "holds": lambda: named_in(ThrottleHeld, "reason", HOLDS, "reason"),
    "sources": lambda: named_in(RetryScheduled, "delay_source", SOURCES, "delay_source"),
    "history": lambda: attributes(CallHistory, "verbose"),
    "attempt": lambda: attributes(Attempt),
    "origins": lambda: attributes(httpx_resilience.OriginStatus),
    "info": lambda: attributes(ErrorInfo),
    "status": lambda: attributes(RateLimitStatus),
    "envelope": lambda: settings(Envelope),
    "messages": lambda: settings(MessageRule),
    "requests": lambda: settings(RequestRules),
    "categories": lambda: settings(CategoryRule),
    "costs": lambda: settings(CostEstimate),
    "families": lambda: settings(HeaderFamily),
    "limits": limits,
    "faults": faults,
    "vault": vault_options,
    "seen": lambda: attributes(SeenRequest),
    "options of demo": lambda: options("demo"),
    "options of fetch": lambda: options("fetch"),
    "options of errors": lambda: options("errors"),
    "options of status": lambda: options("status"),
    "options of report": lambda: options("report"),
    "options of simulate": lambda: options("simulate"),
    "simulated": simulated,
    "rights": lambda: f"```text\n{RIGHTS}\n```",
    "store scope": lambda: attributes(httpx_resilience.StoreScope),
    "store limit": lambda: attributes(httpx_resilience.StoreLimit),
    "store holder": lambda: attributes(httpx_resilience.StoreHolder),
    "internal error": sample_of_an_internal_error,
    "recovery": sample_of_a_recovery,
}

_BLOCK = re.compile(r"(<!-- made: ([\w .]+) -->)\n.*?\n(<!-- end -->)", re.DOTALL)


def pages() -> list[Path]:
    """Return README and all pages of the documentation."""
    return [README, *sorted(DOCS.rglob("*.md"))]


def names_in(text: str) -> list[str]:
    """Return the names of what a page has made for it."""
    return [found[2] for found in _BLOCK.finditer(text)]


def rendered(text: str) -> str:
    """Return a page with its tables and log lines as the code would have them."""
    return _BLOCK.sub(lambda found: f"{found[1]}\n\n{MADE[found[2]]()}\n\n{found[3]}", text)


def settled(text: str) -> str:
    """Return a page without what differs from run to run in its log lines."""
    text = re.sub(r"timestamp=\S+", "timestamp=T", text)
    text = re.sub(r"call_id=\S+", "call_id=ID", text)
    return re.sub(r"(elapsed|time_left)=\S+", r"\1=S", text)


def main() -> None:
    """Write what is made into every page in which it differs."""
    for page in pages():
        before = page.read_text(encoding="utf-8")
        after = rendered(before)
        if settled(after) != settled(before):
            page.write_text(after, encoding="utf-8")
            sys.stdout.write(f"wrote {page.relative_to(ROOT)}\n")


if __name__ == "__main__":
    main()
