"""Metrics and traces by OpenTelemetry. Needs the extra ``opentelemetry``."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..consumer.backend.store.driver import require
from ..consumer.metrics import Metrics

if TYPE_CHECKING:
    from opentelemetry.metrics import MeterProvider
    from opentelemetry.trace import TracerProvider

_FEATURE = "OpenTelemetryMetrics"
NAME = "flask_dance_nosql"
"""The name of the meter and the tracer, and how the names of all metrics begin."""

BUCKETS = (
    *(0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
"""The bounds of the histograms in seconds, unless a view of the application says otherwise."""

_TIMERS = {
    "store": "Operations of the store",
    "refresh": "Refreshes, with what was waited for them",
    "wait": "What refreshes have waited for their turn",
}
_GOOD = ("ok", "refreshed", "adopted", "busy", "known", "removed", "VersionConflict")


def _imported(module: str) -> Any:
    return require(module, feature=_FEATURE, package="opentelemetry-api", extra="opentelemetry")


_metrics = _imported("opentelemetry.metrics")
_trace = _imported("opentelemetry.trace")


class OpenTelemetryMetrics(Metrics):
    """Counters, histograms and spans.

    A span is around each refresh, and around each operation of a store. It has the labels as its
    attributes, and no exception is recorded in it: their texts are for the log.

    Args:
        meter_provider: Makes the meter; by default the global one of OpenTelemetry.
        tracer_provider: Makes the tracer; by default the global one.

    Raises:
        MissingDependency: When it is imported without ``opentelemetry-api``.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        meter_provider: MeterProvider | None = None,
        tracer_provider: TracerProvider | None = None,
    ) -> None:
        meter = _metrics.get_meter(NAME, meter_provider=meter_provider)
        self._tracer = _trace.get_tracer(NAME, tracer_provider=tracer_provider)
        self._counters = {
            "events": meter.create_counter(f"{NAME}.events", "1", "What has become of tokens"),
            "cache": meter.create_counter(f"{NAME}.cache", "1", "Readings of the cache"),
        }
        self._timers = {
            name: meter.create_histogram(
                f"{NAME}.{name}", "s", what, explicit_bucket_boundaries_advisory=BUCKETS
            )
            for name, what in _TIMERS.items()
        }

    def count(self, name: str, amount: int = 1, **labels: str) -> None:
        """Add to a counter."""
        self._counters[name].add(amount, labels)

    def time(self, name: str, seconds: float, **labels: str) -> None:
        """Add to a histogram."""
        self._timers[name].record(seconds, labels)

    @contextmanager
    def measure(self, name: str, **labels: str) -> Iterator[dict[str, str]]:
        """Time what the block does, within a span."""
        title = f"{NAME} {labels.get('operation', name)}"
        with self._tracer.start_as_current_span(
            title, record_exception=False, set_status_on_exception=False
        ) as span:
            began = time.perf_counter()
            try:
                yield labels
            finally:
                # Within the span, so that an exemplar of the histogram leads to it.
                self.time(name, time.perf_counter() - began, **labels)
                span.set_attributes({f"{NAME}.{label}": text for label, text in labels.items()})
                if labels.get("outcome") not in _GOOD:
                    span.set_status(_trace.StatusCode.ERROR)
