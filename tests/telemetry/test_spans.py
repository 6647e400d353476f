"""Traces: a span for each call, and below it its attempts', on every library and kind of client."""

import asyncio
import contextlib
import contextvars
import gc
import logging
import subprocess
import sys
from typing import Any

import anyio
import httpx
import pytest
from opentelemetry import trace
from opentelemetry.metrics import NoOpMeterProvider

from httpx_resilience import (
    GENERIC,
    AsyncResilientTransport,
    Backoff,
    ErrorClass,
    Policy,
    RefreshToken,
    ResilientTransport,
    RetryPolicy,
)
from httpx_resilience.instrumentation.attempts import resends
from httpx_resilience.instrumentation.observer import CallObserver
from httpx_resilience.instrumentation.opentelemetry import OpenTelemetry
from support import virtual
from support.clients import STEADY, UNPACED, call
from support.otel import Exported, shape
from support.parity import KINDS, LIBRARIES, Play, play
from support.scripted import OK, UNAVAILABLE, Reply, Scripted, coded

LIMITED = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4"}
TWO = (("GET", "/v1/secrets/a"), ("GET", "/v1/secrets/a"))
RETRIED = Policy(retry=STEADY, throttle=None, park=None)
QUICK = Policy(
    retry=RetryPolicy(backoff={ErrorClass.TRANSIENT: Backoff(initial=0.001, jitter="none")}),
    throttle=None,
    park=None,
)

PLAYS = {
    "well at once": Play((OK,)),
    "well at the third attempt": Play((UNAVAILABLE, UNAVAILABLE, OK), policy=RETRIED),
    "never well": Play((UNAVAILABLE,)),
    "a final error": Play((coded(404, "secret_not_found"),)),
    "exceptions": Play(("ConnectError", "ReadError", OK), policy=RETRIED),
    "a window that is empty": Play((Reply(200, headers=tuple(LIMITED.items())), OK), calls=TWO),
    "a hook": Play(
        (coded(409, "version_conflict"), OK), hooks={"version_conflict": "/v1/secrets/other"}
    ),
    "an outage": Play((*(3 * ("ConnectError",)), OK), calls=3 * TWO),
}


@pytest.mark.parametrize("name", PLAYS)
def test_the_spans_are_the_same_everywhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = {}
    for library in LIBRARIES:
        for kind in KINDS:
            exported = Exported()
            with monkeypatch.context() as patched:
                told = play(library, kind, PLAYS[name], patched, exported.observer())
            calls = exported.named("resilience.call")
            assert exported.roots == calls
            assert len(calls) == len(told.ends)
            found[library, kind] = [
                (shape(span), [shape(attempt) for attempt in exported.below(span)])
                for span in calls
            ]
            attempts = sum(len(below) for _, below in found[library, kind])
            assert attempts == len(told.gaps) + 1
            assert len(exported.spans) == attempts + len(calls)
    first, *others = found.values()
    assert all(other == first for other in others)


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_comes_to_the_same_whether_it_is_observed_or_not(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for what in PLAYS.values():
        with monkeypatch.context() as patched:
            alone = play("httpx", kind, what, patched)
        observer = OpenTelemetry(
            tracer_provider=Exported().tracer_provider,
            meter_provider=NoOpMeterProvider(),  # older SDKs choose exemplars by chance, too
        )
        with monkeypatch.context() as patched:
            assert play("httpx", kind, what, patched, observer) == alone


def played(name: str, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Exported:
    exported = Exported()
    play("httpx", "asyncio", PLAYS[name], monkeypatch, exported.observer(**options))
    return exported


def test_a_call_and_its_attempts_say_what_became_of_them(monkeypatch: pytest.MonkeyPatch) -> None:
    exported = played("well at the third attempt", monkeypatch)
    assert shape(exported.call)[:4] == (
        "resilience.call",
        "INTERNAL",
        "UNSET",
        {
            "server.address": "vault.example",
            "server.port": 443,
            "resilience.dialect": "scaivault",
            "resilience.reason": "success",
            "resilience.attempts": 3,
        },
    )
    known = {
        "http.request.method": "GET",
        "server.address": "vault.example",
        "server.port": 443,
        "url.full": "https://vault.example/v1/secrets/app/db",
    }
    failed = {"http.response.status_code": 503, "error.type": "service_unavailable"}
    well = {"http.response.status_code": 200}
    assert [shape(span)[:4] for span in exported.below(exported.call)] == [
        ("GET", "CLIENT", "ERROR", {**known, **failed}),
        ("GET", "CLIENT", "ERROR", {**known, "http.request.resend_count": 1, **failed}),
        ("GET", "CLIENT", "UNSET", {**known, "http.request.resend_count": 2, **well}),
    ]


def test_retries_waits_parking_and_giving_up_are_events_of_the_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    retried = played("well at the third attempt", monkeypatch).call.events
    assert [event.name for event in retried] == ["retry_scheduled", "retry_scheduled", "recovered"]
    assert dict(retried[1].attributes or {}) == {
        "resilience.attempt": 2,
        "http.response.status_code": 503,
        "resilience.error.class": "transient",
        "resilience.delay": 1.0,
        "resilience.delay.source": "backoff",
        "resilience.time_left": 119.5,
        "resilience.retry_budget.tokens": 1.0,
        "resilience.request_id": "req_abc123",
        "error.type": "service_unavailable",
    }
    waited = played("a window that is empty", monkeypatch).named("resilience.call")[1].events
    assert [event.name for event in waited] == ["throttle_delayed"]
    assert "resilience.category" not in (waited[0].attributes or {})
    named = played("a window that is empty", monkeypatch, categories=True)
    (event,) = named.named("resilience.call")[1].events
    assert (event.attributes or {})["resilience.category"] == "read"
    lost = played("never well", monkeypatch).call
    assert lost.events[-1].name == "gave_up"
    assert lost.status.status_code is trace.StatusCode.ERROR
    outage = played("an outage", monkeypatch)
    assert {event.name for span in outage.spans for event in span.events} >= {
        "retry_parked",
        "retry_scheduled",
        "recovered",
    }


@pytest.mark.parametrize(
    ("script", "error_type"),
    [
        (coded(404, "secret_not_found"), "secret_not_found"),
        (coded(404, "unheard_of"), "_OTHER"),
        (Reply(404), "404"),
        (httpx.UnsupportedProtocol("x"), "UnsupportedProtocol"),
    ],
)
def test_the_type_of_an_error_is_the_code_else_the_status_else_the_exception(
    script: Any, error_type: str
) -> None:
    exported = Exported()

    async def main() -> None:
        transport = AsyncResilientTransport(Scripted(script), on_event=exported.observer())
        with contextlib.suppress(httpx.UnsupportedProtocol):
            await call(transport)

    virtual.run("asyncio", main)
    assert [(span.attributes or {})["error.type"] for span in exported.spans] == 2 * [error_type]


@pytest.mark.parametrize(
    ("policy", "script", "expected"),
    [
        (
            Policy(retry=RetryPolicy(deadline=2.0)),
            UNAVAILABLE._replace(takes=3.0),
            "DeadlineExceeded",
        ),
        (
            Policy(retry=RetryPolicy(max_attempts=1)),
            Reply(429, headers=(("Retry-After", "9999"),)),
            "ThrottleTimeout",
        ),
    ],
)
def test_an_error_of_ours_is_named_as_it_is_raised(
    policy: Policy, script: Reply, expected: str
) -> None:
    exported = Exported()

    async def main() -> None:
        transport = AsyncResilientTransport(
            Scripted(script), policy=policy, on_event=exported.observer()
        )
        with contextlib.suppress(httpx.TimeoutException):
            await call(transport)
        with pytest.raises(httpx.TimeoutException) as caught:
            await call(transport)
        assert type(caught.value).__name__ == expected

    virtual.run("asyncio", main)
    last = exported.named("resilience.call")[-1]
    assert (last.attributes or {})["error.type"] == expected
    cut = [(span.attributes or {})["error.type"] for span in exported.below(last)]
    assert cut == (["timeout"] if expected == "DeadlineExceeded" else [])


# The context.


def context_now() -> tuple[object, int]:
    span = trace.get_current_span().get_span_context()
    return (span.span_id if span.is_valid else None), resends()


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_the_context_is_set_for_attempts_only_and_given_back(backend: str) -> None:
    exported = Exported()
    seen: list[tuple[str, tuple[object, int]]] = []

    async def answer(request: httpx.Request) -> httpx.Response:
        seen.append(("attempt", context_now()))
        code = {"error": {"code": "version_conflict"}}
        attempts = [what for what, _ in seen].count("attempt")
        return httpx.Response(409, json=code) if attempts < 3 else httpx.Response(200)

    async def hook(failed: object, request: httpx.Request) -> httpx.Request:
        seen.append(("hook", context_now()))
        return request

    async def main() -> None:
        before = context_now()
        transport = AsyncResilientTransport(
            httpx.MockTransport(answer),
            recover={"version_conflict": hook},
            on_event=[exported.observer(), lambda event: seen.append((event.name, context_now()))],
        )
        await call(transport)
        assert context_now() == before == (None, 0)

    virtual.run(backend, main)
    ours = exported.call.context
    assert ours is not None
    attempts = [span.context.span_id for span in exported.below(exported.call) if span.context]
    of_attempts = [at for what, at in seen if what == "attempt"]
    assert of_attempts == [(attempts[0], 0), (attempts[1], 1), (attempts[2], 2)]
    assert {at for what, at in seen if what != "attempt"} == {(ours.span_id, 0)}
    assert [what for what, _ in seen].count("hook") == 2


def test_log_lines_of_a_call_are_written_within_its_span(caplog: pytest.LogCaptureFixture) -> None:
    exported, within = Exported(), []

    class Handler(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            within.append(context_now()[0])

    logger, handler = logging.getLogger("httpx_resilience"), Handler()
    logger.addHandler(handler)
    try:
        answers = [httpx.Response(404), httpx.Response(404)]
        vault = httpx.MockTransport(lambda request: answers.pop())
        with httpx.Client(
            transport=ResilientTransport(vault, on_event=exported.observer())
        ) as client:
            client.get("https://vault.example/")
    finally:
        logger.removeHandler(handler)
    assert exported.call.context is not None
    assert within == [exported.call.context.span_id]


def test_the_parent_is_whatever_span_the_caller_is_in() -> None:
    exported = Exported()
    vault = httpx.MockTransport(lambda request: httpx.Response(200))
    tracer = exported.tracer_provider.get_tracer("mine")
    transport = ResilientTransport(vault, on_event=exported.observer())
    with httpx.Client(transport=transport) as client, tracer.start_as_current_span("work"):
        client.get("https://vault.example/")
        client.get("https://vault.example/")
    (work,) = exported.named("work")
    assert [span.name for span in exported.below(work)] == 2 * ["resilience.call"]
    assert exported.roots == [work]


def test_the_requests_of_attempts_carry_their_trace_on_copies() -> None:
    exported, sent = Exported(), []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.headers["traceparent"])
        return httpx.Response(503 if len(sent) < 2 else 200)

    transport = ResilientTransport(
        httpx.MockTransport(answer), dialect=GENERIC, policy=QUICK, on_event=exported.observer()
    )
    with httpx.Client(transport=transport) as client:
        request = client.build_request("GET", "https://vault.example/")
        client.send(request)
    assert "traceparent" not in request.headers
    attempts = exported.below(exported.call)
    assert [header.split("-")[2] for header in sent] == [
        trace.format_span_id(span.context.span_id) for span in attempts if span.context
    ]


def test_a_threads_timeouts_reach_the_connection_through_the_copy() -> None:
    timeouts: list[dict[str, float]] = []
    policy = Policy(retry=RetryPolicy(deadline=5.0))

    def answer(request: httpx.Request) -> httpx.Response:
        timeouts.append(request.extensions["timeout"])
        kept.append(request.extensions)
        return httpx.Response(200)

    kept: list[Any] = []
    with httpx.Client(
        transport=ResilientTransport(
            httpx.MockTransport(answer), policy=policy, on_event=Exported().observer()
        ),
        timeout=60.0,
    ) as client:
        client.get("https://vault.example/")
    assert timeouts[0]["read"] <= 5.0
    assert kept[0]["timeout"]["read"] == 60.0  # the user's own again, for reading the body


def test_what_a_path_shows_is_up_to_redact() -> None:
    exported = Exported()
    vault = httpx.MockTransport(lambda request: httpx.Response(200))
    transport = ResilientTransport(
        vault, redact=lambda path: "/hidden", on_event=exported.observer()
    )
    with httpx.Client(transport=transport) as client:
        client.get("https://user:pw@vault.example/v1/secret?token=x")
    (attempt,) = exported.below(exported.call)
    assert (attempt.attributes or {})["url.full"] == "https://vault.example/hidden"
    text = "".join(span.to_json() for span in exported.spans)
    assert not any(word in text for word in ("token=x", "user", "pw@", "/v1/secret"))


# Calls that end otherwise.


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
@pytest.mark.parametrize("at", ["an attempt", "a wait"])
def test_a_cancelled_call_ends_its_spans(backend: str, at: str) -> None:
    exported = Exported()
    slow = OK._replace(takes=9.0)

    async def main() -> None:
        transport = AsyncResilientTransport(
            Scripted(slow if at == "an attempt" else UNAVAILABLE),
            policy=Policy(retry=STEADY, throttle=None),
            on_event=exported.observer(),
        )
        with anyio.move_on_after(0.2):
            await call(transport)
        assert context_now() == (None, 0)

    virtual.run(backend, main)
    attributes = exported.call.attributes or {}
    name = "CancelledError" if backend == "asyncio" else "Cancelled"
    assert attributes["resilience.reason"] == "cancelled"
    assert attributes["error.type"] == name
    assert attributes["resilience.attempts"] == 1
    (attempt,) = exported.below(exported.call)
    expected = name if at == "an attempt" else "service_unavailable"
    assert (attempt.attributes or {})["error.type"] == expected
    (made,) = exported.points("attempts")
    assert made[0]["error.type"] == expected
    assert exported.points("call.duration")[0][0]["error.type"] == name


def test_a_call_that_is_closed_in_another_context_leaves_that_one_alone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    exported = Exported()

    async def main() -> None:
        transport = AsyncResilientTransport(
            httpx.MockTransport(forever), on_event=exported.observer()
        )
        request = httpx.Request("GET", "https://vault.example/")
        coroutine = transport.handle_async_request(request)
        waited = contextvars.copy_context().run(coroutine.send, None)
        assert waited is not None
        coroutine.close()  # in this context, where nothing was set
        waited.cancel()
        assert context_now() == (None, 0)

    async def forever(request: httpx.Request) -> httpx.Response:
        await asyncio.get_running_loop().create_future()
        raise AssertionError("nobody answers")

    asyncio.run(main())
    assert (exported.call.attributes or {})["error.type"] == "GeneratorExit"
    assert "detach" not in caplog.text


def test_ctrl_c_ends_the_spans_of_a_synchronous_call() -> None:
    exported = Exported()

    def interrupted(request: httpx.Request) -> httpx.Response:
        raise KeyboardInterrupt

    with (
        httpx.Client(
            transport=ResilientTransport(
                httpx.MockTransport(interrupted), on_event=exported.observer()
            )
        ) as client,
        pytest.raises(KeyboardInterrupt),
    ):
        client.get("https://vault.example/")
    assert (exported.call.attributes or {})["error.type"] == "KeyboardInterrupt"
    assert context_now() == (None, 0)


class Raises:
    """A span processor that somebody wrote in haste."""

    def __init__(self, *methods: str) -> None:
        self._methods = methods

    def _fail(self, name: str) -> None:
        if name in self._methods:
            raise ValueError(name)

    def on_start(self, span: object, parent_context: object = None) -> None:
        self._fail("on_start")

    def _on_ending(self, span: object) -> None:
        pass

    def on_end(self, span: object) -> None:
        self._fail("on_end")

    def shutdown(self) -> None:
        pass


@pytest.mark.parametrize("method", ["on_start", "on_end"])
def test_a_span_processor_that_raises_breaks_no_call_and_is_logged_once(
    method: str, caplog: pytest.LogCaptureFixture
) -> None:
    exported = Exported(Raises(method))
    vault = httpx.MockTransport(lambda request: httpx.Response(200))
    before = context_now()
    with httpx.Client(
        transport=ResilientTransport(vault, on_event=[print, exported.observer()])
    ) as client:
        assert client.get("https://vault.example/").status_code == 200
        assert client.get("https://vault.example/").status_code == 200
    assert context_now() == before
    lines = [r.getMessage() for r in caplog.records if "listener_failed" in r.getMessage()]
    assert len(lines) == 1
    assert "listener=1 exception_type=ValueError" in lines[0]
    (_, calls) = exported.points("attempts")[0]
    assert calls == 2


@pytest.mark.parametrize("where", ["watcher", "watch"])
def test_an_observer_that_raises_breaks_no_call_and_is_logged_once(
    where: str, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(CallObserver):
        def attach(self, transport: object) -> None:
            pass

        def watcher(self, inner: object) -> Any:
            if where == "watcher":
                raise ValueError

            def watch(call: object) -> Any:
                raise ValueError

            return watch

    vault = httpx.MockTransport(lambda request: httpx.Response(200))
    with httpx.Client(transport=ResilientTransport(vault, on_event=Broken())) as client:
        assert client.get("https://vault.example/").status_code == 200
        assert client.get("https://vault.example/").status_code == 200
    assert [r.getMessage() for r in caplog.records if "listener_failed" in r.getMessage()]
    assert len(caplog.records) == 1


# Without what it may need.


def ran(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )


def test_without_the_extra_the_import_names_it_and_nothing_else_needs_it() -> None:
    done = ran(
        "import sys; sys.modules['opentelemetry'] = None\n"
        "import httpx, httpx_resilience\n"
        "httpx_resilience.ResilientTransport(on_event=print)\n"
        "print('so far')\n"
        "import httpx_resilience.instrumentation.opentelemetry"
    )
    assert done.stdout == "so far\n"
    assert "pip install 'httpx-resilience[otel]'" in done.stderr


@pytest.mark.parametrize("missing", LIBRARIES)
def test_neither_library_is_needed_for_the_other_nor_the_sdk(missing: str) -> None:
    door, library = "httpx_resilience", "httpx"
    if missing == "httpx":
        door, library = "httpx_resilience.httpx2", "httpx2"
    done = ran(
        f"import sys; sys.modules['{missing}'] = sys.modules['opentelemetry.sdk'] = None\n"
        f"import {library}; from {door} import ResilientTransport\n"
        "from httpx_resilience.instrumentation.opentelemetry import OpenTelemetry, ResendCount\n"
        f"vault = {library}.MockTransport(lambda request: {library}.Response(200))\n"
        "transport = ResilientTransport(vault, on_event=OpenTelemetry())\n"
        f"print({library}.Client(transport=transport).get('http://vault/').status_code)\n"
        "ResendCount()"
    )
    assert (done.stdout, done.stderr) == ("200\n", "")


# Settings.


def test_who_wants_no_spans_of_attempts_gets_none() -> None:
    exported = Exported()
    vault = httpx.MockTransport(lambda request: httpx.Response(200, text=str(request.headers)))
    transport = ResilientTransport(vault, on_event=exported.observer(attempt_spans=False))
    with httpx.Client(transport=transport) as client:
        assert "traceparent" not in client.get("https://vault.example/").text
    assert exported.spans == [exported.call]


@pytest.mark.parametrize("given", ["yes", None, 1, "AUTO"])
def test_attempt_spans_is_one_of_three(given: Any) -> None:
    with pytest.raises(ValueError, match=r"attempt_spans: got .*, allowed is 'auto'"):
        OpenTelemetry(attempt_spans=given)


def test_categories_is_a_bool() -> None:
    with pytest.raises(TypeError, match="categories"):
        OpenTelemetry(categories="yes")  # type: ignore[arg-type]  # which is refused


def test_without_a_provider_nothing_is_recorded_and_calls_go_well() -> None:
    vault = httpx.MockTransport(lambda request: httpx.Response(200))
    with httpx.Client(transport=ResilientTransport(vault, on_event=OpenTelemetry())) as client:
        assert client.get("https://vault.example/").status_code == 200


# What goes out beside the calls.


def test_token_fetches_and_hooks_within_an_attempt_are_nobodys_retries() -> None:
    """A transport further in that asks for a token sends that once, whatever the attempt."""
    seen: list[int] = []

    async def fetch() -> str:
        seen.append(resends())
        return f"token-{len(seen)}"

    sent: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(resends())
        return httpx.Response(503 if len(sent) < 2 else 200)

    class ByClient(httpx.AsyncBaseTransport):
        """Sends by another client, with a token of its own for each request."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            token = RefreshToken(fetch, origins=["https://vault.example"])
            inner = httpx.MockTransport(answer)
            async with httpx.AsyncClient(transport=inner, auth=token) as client:
                return await client.get(request.url)

    async def main() -> None:
        exported = Exported()
        transport = AsyncResilientTransport(
            ByClient(), policy=RETRIED, on_event=exported.observer()
        )
        response = await call(transport)
        assert response.status_code == 200

    virtual.run("asyncio", main)
    assert seen == [0, 0]
    assert sent == [0, 1]


def test_a_synchronous_token_fetch_likewise() -> None:
    seen: list[int] = []
    sent: list[int] = []

    def fetch() -> str:
        seen.append(resends())
        return "a-token"

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(resends())
        return httpx.Response(503 if len(sent) < 2 else 200)

    class ByClient(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            token = RefreshToken(fetch, origins=["https://vault.example"])
            with httpx.Client(transport=httpx.MockTransport(answer), auth=token) as client:
                return client.get(request.url)

    transport = ResilientTransport(ByClient(), policy=QUICK, on_event=Exported().observer())
    with httpx.Client(transport=transport) as client:
        assert client.get("https://vault.example/").status_code == 200
    assert (seen, sent) == ([0, 0], [0, 1])


def test_a_hook_within_an_attempt_of_another_transport_likewise() -> None:
    seen: list[int] = []
    sent: list[int] = []

    def hook(failed: object, request: httpx.Request) -> httpx.Request:
        seen.append(resends())
        return request

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(resends())
        code = {"error": {"code": "version_conflict"}}
        return httpx.Response(409, json=code) if len(sent) % 2 else httpx.Response(503)

    class ByClient(httpx.BaseTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            once = Policy(retry=RetryPolicy(max_attempts=2), budget=None)
            inner = ResilientTransport(
                httpx.MockTransport(answer), policy=once, recover={"version_conflict": hook}
            )
            with httpx.Client(transport=inner) as client:
                return client.get(request.url)

    twice = Policy(
        retry=RetryPolicy(max_attempts=2, backoff={ErrorClass.TRANSIENT: Backoff(initial=0.001)})
    )
    transport = ResilientTransport(ByClient(), policy=twice, on_event=Exported().observer())
    with httpx.Client(transport=transport) as client:
        assert client.get("https://vault.example/").status_code == 503
    assert seen == [0, 0]
    assert sent == [0, 0, 1, 1]


# Several at once.


def test_two_observers_give_the_context_back_in_order() -> None:
    one, other = Exported(), Exported()
    vault = httpx.MockTransport(lambda request: httpx.Response(200))
    observers = [one.observer(), other.observer()]
    with httpx.Client(transport=ResilientTransport(vault, on_event=observers)) as client:
        client.get("https://vault.example/")
    assert context_now() == (None, 0)
    assert one.call.parent is None
    assert other.call.parent == one.call.context


@pytest.mark.parametrize("is_inner_observed", [False, True])
def test_of_two_transports_the_outer_one_counts_the_retries(is_inner_observed: bool) -> None:
    sent: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(resends())
        return httpx.Response(503 if len(sent) < 3 else 200)

    async def main() -> None:
        observer = Exported().observer()
        listeners = [observer] if is_inner_observed else []
        inner = AsyncResilientTransport(httpx.MockTransport(answer), on_event=listeners)
        await call(AsyncResilientTransport(inner, policy=RETRIED, on_event=observer))

    virtual.run("asyncio", main)
    assert sent == [0, 1, 2]


# Transports of ours within each other.


def test_of_two_transports_the_outer_one_makes_the_spans() -> None:
    exported = Exported()
    same = exported.observer()

    async def main() -> None:
        inner = AsyncResilientTransport(Scripted(UNAVAILABLE, OK), on_event=same)
        await call(AsyncResilientTransport(inner, policy=RETRIED, on_event=same))

    virtual.run("asyncio", main)
    attempts = exported.below(exported.call)
    assert [span.name for span in exported.spans] == ["resilience.call", "GET", "GET"]
    assert [(a.attributes or {}).get("http.request.resend_count") for a in attempts] == [None, 1]
    assert sum(value for _, value in exported.points("attempts")) == 2
    assert exported.counts("call.duration") == [1]


def test_the_spans_of_many_tasks_do_not_mix() -> None:
    exported = Exported()

    async def main() -> None:
        transport = AsyncResilientTransport(
            httpx.MockTransport(answer), policy=UNPACED, on_event=exported.observer()
        )
        async with httpx.AsyncClient(transport=transport) as client, anyio.create_task_group() as g:
            for index in range(20):
                g.start_soon(client.get, f"https://vault.example/{index}")

    tried: set[str] = set()

    async def answer(request: httpx.Request) -> httpx.Response:
        await anyio.sleep(0.01)
        again = request.url.path in tried
        tried.add(request.url.path)
        return httpx.Response(200 if again or request.url.path[-1] != "3" else 503)

    virtual.run("asyncio", main)
    calls = exported.named("resilience.call")
    assert len(calls) == len(exported.roots) == 20
    for span in calls:
        below = exported.below(span)
        assert len({str((attempt.attributes or {})["url.full"]) for attempt in below}) == 1
        assert len(below) == (span.attributes or {})["resilience.attempts"]
    assert sum(len(exported.below(span)) for span in calls) == 22


def test_an_observer_keeps_no_transport_alive() -> None:
    exported = Exported()
    observer = exported.observer()
    vault = httpx.MockTransport(lambda request: httpx.Response(200))
    transport = ResilientTransport(vault, on_event=observer)
    with httpx.Client(transport=transport) as client:
        client.get("https://vault.example/")
    assert exported.points("throttle.queue.length")
    del transport, client
    gc.collect()
    assert not exported.points("throttle.queue.length")


def test_a_listener_may_want_to_know_its_transport() -> None:
    class Gauge:
        def __init__(self) -> None:
            self.transports: list[object] = []

        def __call__(self, event: object) -> None:
            pass

        def attach(self, transport: object) -> None:
            self.transports.append(transport)

    gauge = Gauge()
    transport = ResilientTransport(on_event=[print, gauge])
    assert gauge.transports == [transport]
