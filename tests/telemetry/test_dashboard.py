"""The Grafana dashboard asks for what Prometheus has of us, by OpenTelemetry's exporter."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.sdk.metrics import MeterProvider
from prometheus_client import REGISTRY

from httpx_resilience import AsyncResilientTransport
from httpx_resilience.instrumentation.opentelemetry import OpenTelemetry
from support import tables, virtual
from support.clients import call
from support.scripted import OK, Reply, Scripted, coded

PATH = tables.DOCS / "grafana-dashboard.json"
DASHBOARD: dict[str, Any] = json.loads(PATH.read_text(encoding="utf-8"))
LIMITED = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "4"}
FUNCTIONS = {"sum", "rate", "by", "le", "histogram_quantile", "min", "clamp_min", "label_values"}


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield target["expr"]
    for variable in DASHBOARD["templating"]["list"]:
        if variable["type"] == "query":
            yield variable["query"]["query"]


@pytest.fixture(scope="module")
def exposed() -> Iterator[dict[str, set[str]]]:
    """Every sample that Prometheus gets, with its labels, of a busy minute."""
    reader = PrometheusMetricReader()
    provider = MeterProvider([reader], shutdown_on_exit=False)

    async def main() -> dict[str, set[str]]:
        script = (
            Reply(200, headers=tuple(LIMITED.items())),
            coded(503, "service_unavailable"),
            OK,
            coded(503, "service_unavailable", {**LIMITED, "X-RateLimit-Remaining": "9"}),
        )
        observer = OpenTelemetry(meter_provider=provider)
        transport = AsyncResilientTransport(Scripted(*script), on_event=observer)
        for _ in range(3):
            await call(transport)
        samples: dict[str, set[str]] = {}
        for family in REGISTRY.collect():
            for sample in family.samples:
                samples.setdefault(sample.name, set()).update(sample.labels)
        return samples

    yield virtual.run("asyncio", main)
    provider.shutdown()


def test_it_asks_for_what_there_is(exposed: dict[str, set[str]]) -> None:
    asked = set()
    for expression in expressions():
        names = re.findall(r"httpx_resilience_\w+", expression)
        assert names, expression
        asked.update(names)
        for name in names:
            assert name in exposed, expression
        known = set.union(*(exposed[name] for name in names))
        words = set(re.findall(r"[a-z_]+", re.sub(r'"[^"]*"|\$\w+|\[[^]]*\]', "", expression)))
        assert words - FUNCTIONS - set(names) <= known, expression
    # Each instrument is on it.
    kinds = {re.sub(r"_(total|bucket|sum|count)$", "", name) for name in asked}
    ours = {name for name in exposed if name.startswith("httpx_resilience_")}
    assert kinds == {re.sub(r"_(total|bucket|sum|count|created)$", "", name) for name in ours}
    assert len(kinds) == 9


def test_its_panels_can_be_told_apart_and_lie_side_by_side() -> None:
    panels = DASHBOARD["panels"]
    assert (
        len({panel["id"] for panel in panels}) == len({p["title"] for p in panels}) == len(panels)
    )
    cells = [
        (x, y)
        for panel in panels
        for x in range(panel["gridPos"]["x"], panel["gridPos"]["x"] + panel["gridPos"]["w"])
        for y in range(panel["gridPos"]["y"], panel["gridPos"]["y"] + panel["gridPos"]["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_it_names_no_data_source_but_the_one_that_is_chosen() -> None:
    uids = set(re.findall(r'"uid": "([^"]*)"', PATH.read_text(encoding="utf-8")))
    assert uids == {"${datasource}", "httpx-resilience"}
    assert [v["name"] for v in DASHBOARD["templating"]["list"]] == [
        "datasource",
        "server",
        "dialect",
    ]
