"""A declared metric: name, kind, unit, help and bounded labels, stated once and used everywhere."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

SHORT_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5)
"""Buckets of a hop inside the machine."""
LONG_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
"""Buckets of what the venue's network or a simulated order takes."""


class Kind(StrEnum):
    """How Prometheus reads a metric."""

    COUNTER = "counter"
    GAUGE = "gauge"
    HISTOGRAM = "histogram"


@dataclass(frozen=True, slots=True)
class DeclaredMetric:
    """One metric of one or more services.

    Attributes:
        name: As Prometheus has it; a counter ends in ``_total``.
        kind: Counter, gauge or histogram.
        unit: Of a value, for instance ``seconds``.
        help: What the value says.
        labels: Label to what its values are, in words; the set of values is always bounded.
        buckets: Upper bounds of a histogram.
    """

    name: str
    kind: Kind
    unit: str
    help: str
    labels: Mapping[str, str] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()

    @property
    def series(self) -> tuple[str, ...]:
        """The names of its time series."""
        if self.kind is not Kind.HISTOGRAM:
            return (self.name,)
        return tuple(f"{self.name}_{part}" for part in ("bucket", "count", "sum"))

    def value(self, value: float) -> Metric:
        """The current value of a metric without labels."""
        return self._family()(self.name, self.help, value=value)

    def values(self, values: Mapping[str, float]) -> Metric:
        """One value for each value of the only label."""
        return self.rows({(key,): value for key, value in values.items()})

    def rows(self, rows: Mapping[tuple[str, ...], float]) -> Metric:
        """One value for each combination of the labels' values, in their order."""
        family = self._family()(self.name, self.help, labels=tuple(self.labels))
        for labels, value in rows.items():
            family.add_metric(labels, value)
        return family

    def counter(self, registry: CollectorRegistry) -> Counter:
        """A counter that the service itself increases."""
        return Counter(self.name, self.help, tuple(self.labels), registry=registry)

    def histogram(self, registry: CollectorRegistry) -> Histogram:
        """A histogram without labels."""
        return Histogram(self.name, self.help, buckets=self.buckets, registry=registry)

    def _family(self) -> type[CounterMetricFamily] | type[GaugeMetricFamily]:
        return CounterMetricFamily if self.kind is Kind.COUNTER else GaugeMetricFamily


def counter(name: str, unit: str, text: str, **labels: str) -> DeclaredMetric:
    """Declare a counter."""
    return DeclaredMetric(name, Kind.COUNTER, unit, text, labels)


def gauge(name: str, unit: str, text: str, **labels: str) -> DeclaredMetric:
    """Declare a gauge."""
    return DeclaredMetric(name, Kind.GAUGE, unit, text, labels)


def histogram(name: str, unit: str, text: str, buckets: tuple[float, ...]) -> DeclaredMetric:
    """Declare a histogram."""
    return DeclaredMetric(name, Kind.HISTOGRAM, unit, text, buckets=buckets)
