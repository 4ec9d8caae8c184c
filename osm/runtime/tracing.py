"""Traces of this process: the latest spans in memory, or sent to a collector if one is named.

What carries a trace from service to service (`traceparent` in headers and documents) is `osm.bus.trace`:
`continued(document.trace)` around the work makes the spans inside children of the write they answer.
"""

import importlib
from collections import deque
from collections.abc import Sequence
from threading import Lock
from typing import TypeAlias

from opentelemetry import trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import (
    BatchSpanProcessor,
    SimpleSpanProcessor,
    SpanExporter,
    SpanExportResult,
)
from opentelemetry.trace import Tracer

from osm.runtime.settings import BadSetting

Span: TypeAlias = trace.Span
"""A span that somebody holds open for longer than a block of code: it has to be ended by hand."""

KEPT_SPANS = 2_000
"""A few minutes of a busy mesh in about 2 MB."""

_OTLP_MODULE = "opentelemetry.exporter.otlp.proto.http.trace_exporter"
_OTLP_PACKAGE = "opentelemetry-exporter-otlp-proto-http"


class LatestSpans(SpanExporter):
    """The newest finished spans, oldest first; older ones are forgotten."""

    def __init__(self, most: int = KEPT_SPANS) -> None:
        self._spans: deque[ReadableSpan] = deque(maxlen=most)
        self._lock = Lock()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        with self._lock:
            self._spans.extend(spans)
        return SpanExportResult.SUCCESS

    def finished(self) -> tuple[ReadableSpan, ...]:
        with self._lock:
            return tuple(self._spans)


class Traces:
    """The process's spans. `latest` is empty for good if they are sent away. `close` when the process ends."""

    def __init__(self, process: str, replica: str, otlp_endpoint: str = "") -> None:
        """Raises BadSetting if an endpoint is named and nothing is installed that could send to it."""
        self.latest = LatestSpans()
        self.provider = TracerProvider(
            resource=Resource.create({"service.name": f"osm-{process}", "service.instance.id": replica})
        )
        if otlp_endpoint:
            self.provider.add_span_processor(BatchSpanProcessor(_otlp(otlp_endpoint)))
        else:
            self.provider.add_span_processor(SimpleSpanProcessor(self.latest))

    def close(self) -> None:
        self.provider.shutdown()


def install(traces: Traces) -> None:
    """From now on `tracer` records into these. Once per process: OpenTelemetry refuses a second."""
    trace.set_tracer_provider(traces.provider)


def tracer(service: str) -> Tracer:
    return trace.get_tracer(f"osm.{service}")


def _otlp(endpoint: str) -> SpanExporter:
    try:
        module = importlib.import_module(_OTLP_MODULE)
    except ImportError as error:
        raise BadSetting(
            f"OSM_OTLP_ENDPOINT: found {endpoint!r}, but no exporter is installed; run: pip install {_OTLP_PACKAGE}"
        ) from error
    exporter: SpanExporter = module.OTLPSpanExporter(endpoint=endpoint)
    return exporter
