"""Measures of this process, kept by the OpenTelemetry SDK and told in Prometheus text.

`install` makes the SDK the process's own, once; until then (in unit tests) every meter counts into nothing.
Names read `osm_<service>_<what>_<unit>`, so a service's meter is asked for by its name alone.
What a service knows anyway is not counted a second time: an observable instrument reads it (`by`, `alone`) when it is
scraped, in the event loop like all else. A counter whose labels are known begins at 0, since Prometheus sees no rise
in what was not there before.
"""

from collections.abc import Callable, Iterable, Mapping

from opentelemetry import metrics
from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Counter, Meter, Observation
from opentelemetry.sdk.metrics import Histogram, MeterProvider
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

SECONDS_BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""For every histogram in seconds: from a signature (under a millisecond) to a proxy that hangs."""


class Metrics:
    """The process's measures. `close` when it ends."""

    def __init__(self, process: str, replica: str, version: str) -> None:
        self._registry = CollectorRegistry()
        reader = PrometheusMetricReader(registry=self._registry, scope_info_enabled=False)
        resource = Resource.create(
            {"service.name": f"osm-{process}", "service.instance.id": replica, "service.version": version}
        )
        seconds = View(
            instrument_type=Histogram,
            instrument_unit="s",
            aggregation=ExplicitBucketHistogramAggregation(boundaries=SECONDS_BUCKETS),
        )
        self.provider = MeterProvider(metric_readers=[reader], resource=resource, views=[seconds])

    def exposition(self) -> bytes:
        """Everything measured so far, in Prometheus text format."""
        return generate_latest(self._registry)

    def close(self) -> None:
        self.provider.shutdown()


def install(measures: Metrics) -> None:
    """From now on `meter` counts into these. Once per process: OpenTelemetry refuses a second."""
    metrics.set_meter_provider(measures.provider)


def meter(service: str) -> Meter:
    """A service's meter; name instruments `osm.<service>.<what>`."""
    return metrics.get_meter(f"osm.{service}")


Observe = Callable[[CallbackOptions], Iterable[Observation]]
"""What an observable instrument is made with."""


def by(label: str, read: Callable[[], Mapping[str, float]]) -> Observe:
    """A value for each value of one label, as `read` tells them at that moment; those it leaves out are not told."""

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        return [Observation(value, {label: each}) for each, value in read().items()]

    return observe


def alone(read: Callable[[], float | None]) -> Observe:
    """One value without labels; None: there is none at that moment."""

    def observe(_: CallbackOptions) -> Iterable[Observation]:
        value = read()
        return () if value is None else (Observation(value),)

    return observe


def from_zero(counter: Counter, label: str, values: Iterable[str]) -> Counter:
    """The counter, at 0 for each of these values of its label."""
    for value in values:
        counter.add(0, {label: value})
    return counter
