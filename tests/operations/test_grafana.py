"""The dashboard of the documentation."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from flask_dance_nosql.consumer.metrics import Metrics
from flask_dance_nosql.operations.opentelemetry import BUCKETS, OpenTelemetryMetrics

DOCS = Path(__file__).parents[2] / "docs"
_PROMQL = re.compile(r"\.\. code-block:: promql\n\n((?: {3}[^\n]*\n|\n)+)")


@pytest.fixture
def dashboard() -> dict[str, Any]:
    """What Grafana imports."""
    found: dict[str, Any] = json.loads((DOCS / "grafana.json").read_text())
    return found


@pytest.fixture
def given() -> dict[str, Any]:
    """What OpenTelemetry is given: a metric of each name."""
    reader = InMemoryMetricReader()
    meters = MeterProvider([reader])
    metrics: Metrics = OpenTelemetryMetrics(meters)
    for name in ("events", "cache"):
        metrics.count(name, provider="acme", outcome="hit")
    for name in ("store", "refresh", "wait"):
        metrics.time(name, 0.2, provider="acme", outcome="ok")
    data = reader.get_metrics_data()
    assert data is not None
    found = {
        metric.name: metric
        for resource in data.resource_metrics
        for scope in resource.scope_metrics
        for metric in scope.metrics
    }
    meters.shutdown()
    return found


def queries_of(dashboard: dict[str, Any]) -> list[str]:
    """Return the query of each panel."""
    return [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]


def test_it_has_the_queries_of_the_page(dashboard: dict[str, Any]) -> None:
    """One panel for each, in the same order."""
    page = (DOCS / "metrics.rst").read_text()
    assert queries_of(dashboard) == [" ".join(text.split()) for text in _PROMQL.findall(page)]


def test_its_queries_are_about_what_there_is(
    dashboard: dict[str, Any], given: dict[str, Any]
) -> None:
    """Each metric that a query names is one of those that Prometheus gets, and all are shown."""
    exported = set()
    for name, metric in given.items():
        base = name.replace(".", "_")
        kinds = ("seconds_count", "seconds_bucket") if metric.unit == "s" else ("total",)
        exported |= {f"{base}_{kind}" for kind in kinds}
    named = set(re.findall(r"flask_dance_nosql_\w+", " ".join(queries_of(dashboard))))
    assert named <= exported
    assert {name.split("_")[3] for name in named} == {
        "events",
        *("cache", "store", "refresh", "wait"),
    }


def test_it_can_be_imported(dashboard: dict[str, Any]) -> None:
    """It asks for its data source, and its panels have ids and places of their own."""
    [wanted] = dashboard["__inputs"]
    sources = {panel["datasource"]["uid"] for panel in dashboard["panels"]}
    assert sources == {f"${{{wanted['name']}}}"}
    places = {(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in dashboard["panels"]}
    ids = {panel["id"] for panel in dashboard["panels"]}
    assert len(places) == len(ids) == len(dashboard["panels"])


def test_histograms_are_in_seconds(given: dict[str, Any]) -> None:
    """Their bounds tell a fifth of a second from a half."""
    for name in ("store", "refresh", "wait"):
        [point] = given[f"flask_dance_nosql.{name}"].data.data_points
        assert point.explicit_bounds == BUCKETS
        counts = dict(zip(BUCKETS, point.bucket_counts, strict=False))
        assert counts[0.25] == 1
