"""The instruments: what is recorded of calls, and the gauges that are read from transports."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from typing import Any
from weakref import WeakSet

from ._api import metrics
from ._attributes import (
    CATEGORY,
    DIALECT,
    RATE_LIMIT_UNIT,
    Attributes,
    category_of,
    of_server,
)

METER = "httpx_resilience"

BOUNDARIES = (
    0.005,
    0.01,
    0.025,
    0.05,
    0.075,
    0.1,
    0.25,
    0.5,
    0.75,
    1,
    2.5,
    5,
    7.5,
    10,
    30,
    60,
    120,
)
"""Of histograms, in seconds: those of OpenTelemetry's for HTTP, and three for calls that wait."""

_READINGS = 3
"""How often a transport is read that is changed meanwhile, in another thread."""


class Instruments:
    """The instruments of one meter, and the transports that its gauges read.

    Args:
        meter_provider: Makes the meter; the global one for None.
        version: Of this library.
    """

    def __init__(self, meter_provider: metrics.MeterProvider | None, version: str) -> None:
        meter = metrics.get_meter(METER, version, meter_provider)
        self._transports: dict[bool, WeakSet[Any]] = {False: WeakSet(), True: WeakSet()}
        self._lock = threading.Lock()
        seconds: dict[str, Any] = {"unit": "s", "explicit_bucket_boundaries_advisory": BOUNDARIES}
        self.call_duration = meter.create_histogram(
            f"{METER}.call.duration",
            description="Duration of calls, from their arrival to the headers or the exception.",
            **seconds,
        )
        self.attempts = meter.create_counter(
            f"{METER}.attempts", "{attempt}", "Requests that were sent to servers."
        )
        self.retry_delay = meter.create_histogram(
            f"{METER}.retry.delay",
            description="Waits of a call before its retries, all together.",
            **seconds,
        )
        self.retries_refused = meter.create_counter(
            f"{METER}.retries.refused", "{retry}", "Failed calls whose next retry was refused."
        )
        self.throttle_wait = meter.create_histogram(
            f"{METER}.throttle.wait.duration",
            description="Waits of calls for the rate limit.",
            **seconds,
        )
        self._observe(meter)

    def _observe(self, meter: metrics.Meter) -> None:
        meter.create_observable_up_down_counter(
            f"{METER}.throttle.queue.length",
            [self._callback(_queued, sum)],
            "{call}",
            "Calls that wait for the rate limit.",
        )
        meter.create_observable_gauge(
            f"{METER}.rate_limit.remaining",
            [self._callback(_remaining, min)],
            "{unit}",
            "Units that the server still allows, of the scope that has the least.",
        )
        meter.create_observable_gauge(
            f"{METER}.rate_limit.limit",
            [self._callback(_limits, min)],
            "{unit}",
            "Units that the server allows in a window, of the scope that has the least.",
        )
        meter.create_observable_gauge(
            f"{METER}.retry_budget.tokens",
            [self._callback(_tokens, min)],
            "{token}",
            "Tokens in the retry budget of an origin.",
        )

    def attach(self, transport: Any, *, shows_category: bool) -> None:
        """Have the gauges read a transport, for as long as somebody else refers to it."""
        with self._lock:
            self._transports[shows_category].add(transport)

    def _callback(
        self,
        read: Callable[[Any, bool], Iterator[tuple[Attributes, float]]],
        merge: Callable[[Iterable[float]], float],
    ) -> Callable[[metrics.CallbackOptions], Iterable[metrics.Observation]]:
        """Return what reads all transports; several values of one series become one."""

        def observe(_: metrics.CallbackOptions) -> Iterable[metrics.Observation]:
            found: defaultdict[tuple[tuple[str, str | int], ...], list[float]] = defaultdict(list)
            for transport, shows_category in self._snapshot():
                for known, value in _unchanged(read, transport, shows_category):
                    found[tuple(known.items())].append(value)
            return [metrics.Observation(merge(each), dict(key)) for key, each in found.items()]

        return observe

    def _snapshot(self) -> list[tuple[Any, bool]]:
        with self._lock:
            return [
                (transport, shows_category)
                for shows_category, transports in self._transports.items()
                for transport in transports
            ]


def _unchanged(
    read: Callable[[Any, bool], Iterator[tuple[Attributes, float]]], *given: Any
) -> list[tuple[Attributes, float]]:
    """Return what is read of a transport whose event loop runs in another thread; else nothing."""
    for _ in range(_READINGS):
        try:
            return list(read(*given))
        except RuntimeError:  # a dictionary changed while it was gone through
            continue
    return []


def _of(transport: Any, origin: str) -> Attributes:
    dialect = transport._calls.dialects.of(origin).dialect  # noqa: SLF001 - of a transport of ours
    return {**of_server(origin), DIALECT: dialect.name}


def _of_scope(transport: Any, row: Any, shows_category: bool) -> Attributes:
    known = _of(transport, row.origin)
    return {**known, CATEGORY: category_of(row.scope)} if shows_category else known


def _queued(transport: Any, shows_category: bool) -> Iterator[tuple[Attributes, float]]:
    seen = set()
    for row in transport.rate_limits():
        if (row.origin, row.scope) not in seen:  # it has a row for each of its limits
            seen.add((row.origin, row.scope))
            yield _of_scope(transport, row, shows_category), row.queued


def _remaining(transport: Any, shows_category: bool) -> Iterator[tuple[Attributes, float]]:
    for row in transport.rate_limits():
        if row.remaining is not None:
            known = _of_scope(transport, row, shows_category)
            yield {**known, RATE_LIMIT_UNIT: row.unit}, row.remaining


def _limits(transport: Any, shows_category: bool) -> Iterator[tuple[Attributes, float]]:
    for row in transport.rate_limits():
        if row.limit is not None:
            known = _of_scope(transport, row, shows_category)
            yield {**known, RATE_LIMIT_UNIT: row.unit}, row.limit


def _tokens(transport: Any, shows_category: bool) -> Iterator[tuple[Attributes, float]]:
    for row in transport.origins():
        if row.budget is not None:
            yield _of(transport, row.origin), row.budget
