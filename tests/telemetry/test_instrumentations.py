"""Beside ``opentelemetry-instrumentation-httpx``: one trace for each call, and nothing twice."""

import importlib
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from typing import Any, NamedTuple

import anyio
import pytest
from opentelemetry.instrumentation import httpx as theirs
from opentelemetry.instrumentation.utils import suppress_http_instrumentation
from opentelemetry.sdk.trace import ReadableSpan

from httpx_resilience import Backoff, ErrorClass, Policy, RetryPolicy
from support.otel import Exported
from support.parity import LIBRARIES, door_of

INSTRUMENTORS = {
    "httpx": theirs.HTTPXClientInstrumentor,
    "httpx2": getattr(theirs, "HTTPX2ClientInstrumentor", None),  # not in their older versions
}
QUICK = Policy(
    retry=RetryPolicy(backoff={ErrorClass.TRANSIENT: Backoff(initial=0.001, jitter="none")}),
    budget=None,
    throttle=None,
    park=None,
)
STABLE = "http.request.method"
OLD = "http.method"


class Kind(NamedTuple):
    """A library, and a kind of its clients."""

    library: str
    is_async: bool

    @property
    def module(self) -> Any:
        return importlib.import_module(self.library)

    def transport(self, inner: Any = None, **options: Any) -> Any:
        name = "AsyncResilientTransport" if self.is_async else "ResilientTransport"
        return getattr(door_of(self.library), name)(inner, policy=QUICK, **options)

    def own(self) -> Any:
        return getattr(self.module, "AsyncHTTPTransport" if self.is_async else "HTTPTransport")

    def theirs(self, **providers: Any) -> Any:
        """Return a transport of theirs around the library's own."""
        name = "AsyncOpenTelemetryTransport" if self.is_async else "SyncOpenTelemetryTransport"
        name += "Httpx2" if self.library == "httpx2" else ""
        return getattr(theirs, name)(self.own()(), **providers)

    def get(self, transport: Any, prepare: Callable[[Any], None] = lambda client: None) -> int:
        """Send a request through a client that is prepared first; return the status."""
        url = "https://vault.example/v1/secrets/app?q=secret"

        async def main() -> int:
            async with self.module.AsyncClient(transport=transport) as client:
                prepare(client)
                response = await client.get(url)
                return int(response.status_code)

        if self.is_async:
            return anyio.run(main)
        with self.module.Client(transport=transport) as client:
            prepare(client)
            return int(client.get(url).status_code)


KINDS = [Kind(library, is_async) for library in LIBRARIES for is_async in (True, False)]


@pytest.fixture(params=KINDS, ids=lambda kind: f"{kind.library}-{kind.is_async}")
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Kind:
    """A kind of client, whose own transport answers 503 twice, then well."""
    found: Kind = request.param
    if INSTRUMENTORS[found.library] is None:
        pytest.skip("this opentelemetry-instrumentation-httpx knows no httpx2")
    sent: list[dict[str, str]] = []

    def answer(_: object, request: Any) -> Any:
        sent.append(dict(request.headers))
        return found.module.Response(503 if len(sent) % 3 else 200)

    async def answer_later(_: object, request: Any) -> Any:
        return answer(_, request)

    name = "handle_async_request" if found.is_async else "handle_request"
    monkeypatch.setattr(found.own(), name, answer_later if found.is_async else answer)
    return found


@pytest.fixture
def exported() -> Exported:
    return Exported()


@pytest.fixture
def instrumented(kind: Kind, exported: Exported) -> Iterator[Any]:
    """Their instrumentation of the whole library."""
    instrumentor = INSTRUMENTORS[kind.library]
    assert instrumentor is not None
    own: Any = instrumentor()
    own.instrument(tracer_provider=exported.tracer_provider, skip_dep_check=True)
    yield own
    own.uninstrument()


def by_client(kind: Kind, exported: Exported) -> Callable[[Any], None]:
    """Return what instruments one client."""

    def prepare(client: Any) -> None:
        instrumentor = INSTRUMENTORS[kind.library]
        assert instrumentor is not None
        instrumentor.instrument_client(client, tracer_provider=exported.tracer_provider)

    return prepare


def made_by(span: ReadableSpan) -> str:
    scope = span.instrumentation_scope
    assert scope is not None
    return scope.name


THEIRS, OURS = "opentelemetry.instrumentation.httpx", "httpx_resilience"


def resend_counts(spans: list[ReadableSpan]) -> list[Any]:
    return [(span.attributes or {}).get("http.request.resend_count") for span in spans]


def check_attempts(exported: Exported, makers: str) -> None:
    """Look whether one call of three attempts is one trace, and is counted once."""
    spans, call = exported.spans, exported.call
    assert len(exported.roots) == 1
    assert len({span.context.trace_id for span in spans if span.context}) == 1
    attempts = exported.below(call)
    assert [made_by(span) for span in attempts] == 3 * [makers]
    assert [span.kind.name for span in attempts] == 3 * ["CLIENT"]
    assert resend_counts(attempts) == [None, 1, 2]
    assert sum(value for _, value in exported.points("attempts")) == 3
    assert exported.counts("call.duration") == [1]
    assert exported.counts("retry.delay") == [1]


def test_beside_instrument_their_spans_are_the_attempts(
    kind: Kind, exported: Exported, instrumented: Any
) -> None:
    assert kind.get(kind.transport(on_event=exported.observer())) == 200
    check_attempts(exported, THEIRS)
    assert exported.roots == [exported.call]
    assert len(exported.spans) == 4


def test_without_us_their_spans_are_three_traces(
    kind: Kind, exported: Exported, instrumented: Any
) -> None:
    assert kind.get(kind.transport()) == 200
    assert len(exported.roots) == 3
    assert resend_counts(exported.spans) == [None, None, None]


def test_beside_instrument_client_the_attempts_spans_are_ours(
    kind: Kind, exported: Exported
) -> None:
    transport = kind.transport(on_event=exported.observer())
    assert kind.get(transport, by_client(kind, exported)) == 200
    check_attempts(exported, OURS)
    (root,) = exported.roots
    assert made_by(root) == THEIRS
    assert exported.below(root) == [exported.call]
    assert resend_counts([root]) == [None]
    assert len(exported.spans) == 5


def test_beside_both_theirs_are_around_and_below_the_call(
    kind: Kind, exported: Exported, instrumented: Any
) -> None:
    transport = kind.transport(on_event=exported.observer())
    assert kind.get(transport, by_client(kind, exported)) == 200
    check_attempts(exported, THEIRS)
    (root,) = exported.roots
    assert made_by(root) == THEIRS
    assert len(exported.spans) == 5


def test_around_a_transport_of_theirs_theirs_are_the_attempts(
    kind: Kind, exported: Exported
) -> None:
    inner = kind.theirs(tracer_provider=exported.tracer_provider)
    assert kind.get(kind.transport(inner, on_event=exported.observer())) == 200
    check_attempts(exported, THEIRS)


def test_what_is_instrumented_later_is_noticed(kind: Kind, exported: Exported) -> None:
    transport = kind.transport(on_event=exported.observer())
    assert kind.get(transport) == 200
    check_attempts(exported, OURS)
    exported.forget()
    instrumentor = INSTRUMENTORS[kind.library]
    assert instrumentor is not None
    own: Any = instrumentor()
    own.instrument(tracer_provider=exported.tracer_provider, skip_dep_check=True)
    try:
        assert kind.get(transport) == 200
    finally:
        own.uninstrument()
    assert {made_by(span) for span in exported.below(exported.call)} == {THEIRS}
    exported.forget()
    assert kind.get(transport) == 200
    assert {made_by(span) for span in exported.below(exported.call)} == {OURS}


def test_whoever_wants_both_gets_both(kind: Kind, exported: Exported, instrumented: Any) -> None:
    assert kind.get(kind.transport(on_event=exported.observer(attempt_spans=True))) == 200
    attempts = exported.below(exported.call)
    assert [made_by(span) for span in attempts] == 3 * [OURS]
    assert [made_by(span) for each in attempts for span in exported.below(each)] == 3 * [THEIRS]


@pytest.mark.parametrize("is_suppressed", [False, True])
def test_where_instrumentation_is_suppressed_there_are_no_spans_of_attempts(
    kind: Kind, exported: Exported, is_suppressed: bool
) -> None:
    transport = kind.transport(on_event=exported.observer())
    with suppress_http_instrumentation() if is_suppressed else nullcontext():
        assert kind.get(transport) == 200
    assert len(exported.below(exported.call)) == (0 if is_suppressed else 3)


@pytest.mark.parametrize(("opted_in", "name"), [("", OLD), ("http", STABLE), ("http/dup", STABLE)])
def test_retries_are_marked_by_either_convention(
    exported: Exported, monkeypatch: pytest.MonkeyPatch, opted_in: str, name: str
) -> None:
    from opentelemetry.instrumentation import _semconv

    stability = _semconv._OpenTelemetrySemanticConventionStability
    monkeypatch.setenv("OTEL_SEMCONV_STABILITY_OPT_IN", opted_in)
    monkeypatch.setattr(stability, "_initialized", False)
    mapping = "_OTEL_SEMCONV_STABILITY_SIGNAL_MAPPING"
    monkeypatch.setattr(stability, mapping, dict(getattr(stability, mapping)))
    sent: list[object] = []
    httpx = importlib.import_module("httpx")

    def answer(request: Any) -> Any:
        sent.append(request)
        return httpx.Response(503 if len(sent) < 3 else 200)

    inner = theirs.SyncOpenTelemetryTransport(
        httpx.MockTransport(answer), tracer_provider=exported.tracer_provider
    )
    kind = Kind("httpx", is_async=False)
    assert kind.get(kind.transport(inner, on_event=exported.observer())) == 200
    attempts = exported.below(exported.call)
    assert all(name in (span.attributes or {}) for span in attempts)
    assert resend_counts(attempts) == [None, 1, 2]


def test_only_spans_of_http_requests_are_marked(exported: Exported) -> None:
    """A cache further in asks its database, too: that is nobody's retry."""
    httpx = importlib.import_module("httpx")
    tracer = exported.tracer_provider.get_tracer("mine")
    sent: list[object] = []

    def answer(request: Any) -> Any:
        sent.append(request)
        known = {"db.system.name": "redis"}
        for name, kind in (("client", "CLIENT"), ("internal", "INTERNAL")):
            marks = known if kind == "CLIENT" else {STABLE: "GET"}
            span_kind = getattr(importlib.import_module("opentelemetry.trace").SpanKind, kind)
            tracer.start_span(name, kind=span_kind, attributes=marks).end()
        return httpx.Response(503 if len(sent) < 2 else 200)

    kind = Kind("httpx", is_async=False)
    inner = httpx.MockTransport(answer)
    assert kind.get(kind.transport(inner, on_event=exported.observer())) == 200
    assert resend_counts(exported.named("client") + exported.named("internal")) == 4 * [None]
    assert resend_counts(exported.named("GET")) == [None, 1]
