"""The instruments: their names, units and attributes, and what they count."""

import contextlib
import re
import threading
from collections import Counter
from functools import partial
from typing import Any

import anyio
import httpx
import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from httpx_resilience import (
    OPENAI,
    AsyncResilientTransport,
    BudgetPolicy,
    Policy,
    ResilientTransport,
    RetryPolicy,
    ThrottlePolicy,
)
from httpx_resilience.instrumentation.opentelemetry import OpenTelemetry, _of_providers
from httpx_resilience.instrumentation.opentelemetry._instruments import Instruments, _unchanged
from support import tables, virtual
from support.clients import STEADY, call
from support.otel import Exported
from support.parity import KINDS, LIBRARIES, Play, play
from support.scripted import OK, UNAVAILABLE, Reply, Scripted, coded

LIMITED = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4"}
TWO = (("GET", "/v1/secrets/a"), ("GET", "/v1/secrets/a"))
RETRIED = Policy(retry=STEADY, throttle=None, park=None)
UNITS = ("requests", "tokens")
COMMON = {"server.address", "server.port", "http.request.method", "resilience.dialect"}
OF_GAUGES = COMMON - {"http.request.method"}

INSTRUMENTS = {
    "call.duration": ("histogram", "s"),
    "attempts": ("counter", "{attempt}"),
    "retry.delay": ("histogram", "s"),
    "retries.refused": ("counter", "{retry}"),
    "throttle.wait.duration": ("histogram", "s"),
    "throttle.queue.length": ("updowncounter", "{call}"),
    "rate_limit.remaining": ("gauge", "{unit}"),
    "rate_limit.limit": ("gauge", "{unit}"),
    "retry_budget.tokens": ("gauge", "{token}"),
}

PLAYS = {
    "well at once": Play((OK,)),
    "well at the third attempt": Play((UNAVAILABLE, UNAVAILABLE, OK), policy=RETRIED),
    "never well": Play((UNAVAILABLE,), policy=RETRIED),
    "a final error": Play((coded(404, "secret_not_found"),)),
    "a refusal": Play((Reply(429, headers=(("Retry-After", "2"),)), OK), calls=TWO),
    "a window that is empty": Play((Reply(200, headers=tuple(LIMITED.items())), OK), calls=TWO),
    "a hook": Play(
        (coded(409, "version_conflict"), OK), hooks={"version_conflict": "/v1/secrets/other"}
    ),
}


def recorded(name: str, library: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> Exported:
    exported = Exported()
    with monkeypatch.context() as patched:
        play(library, kind, PLAYS[name], patched, exported.observer())
    return exported


RECORDED = ("call.duration", "attempts", "retry.delay", "retries.refused", "throttle.wait.duration")


def told(exported: Exported) -> dict[str, list[tuple[dict[str, Any], float]]]:
    return {
        name: [(known, round(value, 4)) for known, value in exported.points(name)]
        for name in RECORDED
    }


@pytest.mark.parametrize("name", PLAYS)
def test_the_same_is_recorded_everywhere(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    first = told(recorded(name, "httpx", "asyncio", monkeypatch))
    assert first["attempts"]
    for library in LIBRARIES:
        for kind in KINDS:
            assert told(recorded(name, library, kind, monkeypatch)) == first, (library, kind)


def test_the_instruments_are_those_of_the_documentation() -> None:
    exported = Exported()

    async def main() -> None:
        transport = AsyncResilientTransport(
            Scripted(
                Reply(200, headers=tuple(LIMITED.items())),
                UNAVAILABLE,
                OK,
                coded(503, "service_unavailable", {**LIMITED, "X-RateLimit-Remaining": "9"}),
            ),
            on_event=exported.observer(),
        )
        for _ in range(3):
            await call(transport)
        assert exported.units() == {
            f"httpx_resilience.{name}": each for name, each in INSTRUMENTS.items()
        }

    virtual.run("asyncio", main)
    for name in INSTRUMENTS:
        for known, _ in exported.points(name):
            expected = COMMON if name in RECORDED else OF_GAUGES
            assert known.keys() >= expected
            assert known["server.address"] == "vault.example"
            assert known["server.port"] == 443
            assert known["resilience.dialect"] == "scaivault"
            assert not any(word in str(known) for word in ("secret", "category", "#", "/v1"))


def test_the_page_names_each_instrument_with_its_kind_and_unit() -> None:
    page = (tables.DOCS / "telemetry.md").read_text(encoding="utf-8")
    rows = re.findall(
        r"^\| `httpx_resilience\.([a-z_.]+)` \| (\w+) \| `([^`]+)` \|", page, re.MULTILINE
    )
    assert {name: (kind, unit) for name, kind, unit in rows} == INSTRUMENTS


def test_a_call_that_was_retried(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(recorded("well at the third attempt", "httpx", "asyncio", monkeypatch))
    ((known, duration),) = found["call.duration"]
    assert duration == 1.5
    assert known.keys() - COMMON == {"http.response.status_code", "resilience.reason"}
    assert (known["http.response.status_code"], known["resilience.reason"]) == (200, "success")
    attempts = [
        (known["resilience.attempt.type"], known.get("error.type"), value)
        for known, value in found["attempts"]
    ]
    assert attempts == [
        ("original", "service_unavailable", 1),
        ("retry", "service_unavailable", 1),
        ("retry", None, 1),
    ]
    ((known, delay),) = found["retry.delay"]
    assert (known["resilience.delay.source"], delay) == ("backoff", 1.5)
    assert not found["retries.refused"]


def test_a_call_that_gave_up(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(recorded("never well", "httpx", "asyncio", monkeypatch))
    ((known, _),) = found["call.duration"]
    assert known["error.type"] == "service_unavailable"
    assert known["http.response.status_code"] == 503
    ((known, refused),) = found["retries.refused"]
    assert (known["resilience.reason"], known["resilience.error.class"], refused) == (
        "attempts_exhausted",
        "transient",
        1,
    )


def test_where_no_retry_can_help_none_was_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(recorded("a final error", "httpx", "asyncio", monkeypatch))
    assert found["call.duration"][0][0]["error.type"] == "secret_not_found"
    assert not found["retries.refused"]


def test_a_call_that_was_never_sent_refused_no_retry() -> None:
    exported = Exported()

    async def main() -> None:
        transport = AsyncResilientTransport(
            Scripted(Reply(200, headers=tuple(LIMITED.items()))),
            policy=Policy(throttle=ThrottlePolicy(max_wait=1.0)),
            on_event=exported.observer(),
        )
        for _ in range(2):
            with contextlib.suppress(httpx.TimeoutException):
                await call(transport)

    virtual.run("asyncio", main)
    types = [known.get("error.type") for known, _ in exported.points("call.duration")]
    assert types == [None, "ThrottleTimeout"]
    assert sum(value for _, value in exported.points("attempts")) == 1
    assert not exported.points("retries.refused")


def test_an_attempt_after_a_hook_is_a_recovery(monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(recorded("a hook", "httpx", "asyncio", monkeypatch))
    kinds = [known["resilience.attempt.type"] for known, _ in found["attempts"]]
    assert kinds == ["original", "recovery"]


def test_waits_for_the_rate_limit_name_a_category_only_if_asked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for asked in (False, True):
        exported = Exported()
        with monkeypatch.context() as patched:
            what = PLAYS["a window that is empty"]
            play("httpx", "threads", what, patched, exported.observer(categories=asked))
        ((known, seconds),) = exported.points("throttle.wait.duration")
        assert seconds > 1.0
        assert known.get("resilience.category") == ("read" if asked else None)


def test_an_unusual_method_and_an_unusual_port() -> None:
    exported = Exported()
    vault = httpx.MockTransport(lambda request: httpx.Response(200))
    with httpx.Client(transport=ResilientTransport(vault, on_event=exported.observer())) as client:
        client.request("BREW", "http://[::1]:8200/")
    ((known, _),) = exported.points("attempts")
    assert known["http.request.method"] == "_OTHER"
    assert (known["server.address"], known["server.port"]) == ("::1", 8200)
    (attempt,) = exported.below(exported.call)
    assert attempt.name == "HTTP"


# Gauges.


@pytest.mark.parametrize("backend", ["asyncio", "trio"])
def test_gauges_are_read_while_calls_wait_from_any_thread(backend: str) -> None:
    exported = Exported()
    read: dict[str, list[tuple[dict[str, Any], float]]] = {}

    def read_all() -> None:
        for name in ("throttle.queue.length", "rate_limit.remaining", "retry_budget.tokens"):
            read[name] = exported.points(name)

    async def main() -> None:
        transport = AsyncResilientTransport(
            Scripted(Reply(200, headers=tuple(LIMITED.items())), OK), on_event=exported.observer()
        )
        await call(transport)
        async with anyio.create_task_group() as group:
            for _ in range(5):
                group.start_soon(call, transport)
            await anyio.sleep(1.0)
            thread = threading.Thread(target=read_all)
            thread.start()
            thread.join()
        assert exported.points("throttle.queue.length")[0][1] == 0

    virtual.run(backend, main)
    assert [value for _, value in read["throttle.queue.length"]] == [5]
    ((known, remaining),) = read["rate_limit.remaining"]
    assert remaining == 0
    assert known["resilience.rate_limit.unit"] == "requests"
    assert [value for _, value in read["retry_budget.tokens"]] == [3.0]


def test_a_queue_is_counted_once_and_those_of_several_transports_together() -> None:
    exported = Exported()
    spent = {"x-ratelimit-limit": "9", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "4s"}
    headers = [(f"{name}-{unit}", value) for name, value in spent.items() for unit in UNITS]
    queued: list[list[float]] = []

    async def main() -> None:
        observer = exported.observer()
        async with anyio.create_task_group() as group:
            for calls in (2, 3):
                inner = Scripted(Reply(200, headers=tuple(headers)), OK)
                transport = AsyncResilientTransport(inner, dialect=OPENAI, on_event=observer)
                await call(transport, url="https://llm.example/v1/models")
                assert len(transport.rate_limits()) == len(UNITS)
                for _ in range(calls):
                    kept.append(transport)
                    group.start_soon(partial(call, transport, url="https://llm.example/v1/models"))
            await anyio.sleep(1.0)
            queued.append([value for _, value in exported.points("throttle.queue.length")])

    kept: list[object] = []
    virtual.run("asyncio", main)
    assert queued == [[5]]


def test_scopes_of_several_callers_are_one_series_with_the_least() -> None:
    exported = Exported()
    left = {"Bearer a": "7", "Bearer b": "4"}

    def answer(request: httpx.Request) -> httpx.Response:
        remaining = left[request.headers["Authorization"]]
        return httpx.Response(200, headers={**LIMITED, "X-RateLimit-Remaining": remaining})

    observer = exported.observer()
    transports = [ResilientTransport(httpx.MockTransport(answer), on_event=observer) for _ in left]
    for transport, token in zip(transports, left, strict=True):
        with httpx.Client(transport=transport) as client:
            client.get("https://vault.example/v1/secrets/a", headers={"Authorization": token})
    ((known, remaining),) = exported.points("rate_limit.remaining")
    assert remaining == 4
    assert "Bearer" not in str(known)
    assert [limit for _, limit in exported.points("rate_limit.limit")] == [10]
    assert len(exported.points("retry_budget.tokens")) == 1


def test_a_spent_retry_budget_shows() -> None:
    exported = Exported()
    vault = httpx.MockTransport(lambda request: httpx.Response(503))
    policy = Policy(
        retry=RetryPolicy(max_attempts=1), budget=BudgetPolicy(floor=2.0), throttle=None, park=None
    )
    transport = ResilientTransport(vault, policy=policy, on_event=exported.observer())
    with httpx.Client(transport=transport) as client:
        client.get("https://vault.example/")
    ((_, tokens),) = exported.points("retry_budget.tokens")
    assert tokens <= 2.0


def test_a_transport_that_changes_while_it_is_read_is_read_again() -> None:
    tries: list[object] = []

    def read(transport: object, shows_category: bool) -> Any:
        tries.append(transport)
        if len(tries) < 3:
            raise RuntimeError("dictionary changed size during iteration")
        yield {}, 1.0

    assert _unchanged(read, object(), False) == [({}, 1.0)]
    tries.clear()

    def never(transport: object, shows_category: bool) -> Any:
        tries.append(transport)
        raise RuntimeError("dictionary changed size during iteration")

    assert _unchanged(never, object(), False) == []
    assert len(tries) == 3


def test_observers_of_one_provider_share_its_instruments(caplog: pytest.LogCaptureFixture) -> None:
    """Else the SDK warns of a second set, and reads nothing of its gauges."""
    exported = Exported()
    vault = httpx.MockTransport(lambda request: httpx.Response(200))
    kept = []
    for host in ("a", "b"):
        transport = ResilientTransport(vault, on_event=exported.observer())
        kept.append(transport)
        with httpx.Client(transport=transport) as client:
            client.get(f"https://{host}.example/")
    read = Counter(known["server.address"] for known, _ in exported.points("retry_budget.tokens"))
    assert read == {"a.example": 1, "b.example": 1}
    assert not caplog.records


def test_a_provider_that_becomes_the_global_one_keeps_its_instruments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made: list[object] = []
    whole = Instruments.__init__

    def counted(self: Instruments, *given: Any) -> None:
        made.append(given)
        whole(self, *given)

    monkeypatch.setattr(Instruments, "__init__", counted)
    provider = MeterProvider([InMemoryMetricReader()], shutdown_on_exit=False)
    OpenTelemetry(meter_provider=provider)
    monkeypatch.setattr(metrics, "get_meter_provider", lambda: provider)
    OpenTelemetry()
    OpenTelemetry(meter_provider=provider)
    assert len(made) == 1
    assert provider in _of_providers
