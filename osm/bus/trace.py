"""The W3C traceparent that rides with every write, question and answer; nothing more of tracing."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import context, trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

_TRACEPARENT = "traceparent"

_propagator = TraceContextTextMapPropagator()


def current() -> str:
    """The traceparent of the span in progress; empty if there is none."""
    if not trace.get_current_span().get_span_context().is_valid:
        return ""
    carrier: dict[str, str] = {}
    _propagator.inject(carrier)
    return carrier.get(_TRACEPARENT, "")


@contextmanager
def continued(traceparent: str) -> Iterator[None]:
    """Spans started inside are children of the remote one; of none if `traceparent` is empty or not well-formed."""
    token = context.attach(_propagator.extract({_TRACEPARENT: traceparent})) if traceparent else None
    try:
        yield
    finally:
        if token is not None:
            context.detach(token)
