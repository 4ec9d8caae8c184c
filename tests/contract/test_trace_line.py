"""One trace from the put of an endpoint to the last proxy's acknowledgement, whatever carries the bus."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from bench.control_plane import SPANS, Line, ToldSpans, line, over_nats
from bench.running_services import in_memory
from bench.world import World

WORLD = World(streams=5, services=100, endpoints_each=3, identities=5)
LONGEST_S = 60.0
"""A broken trace must end the test; how fast the mesh is, is not its matter."""


@pytest.fixture(params=[in_memory, over_nats])
async def mesh(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Line]:
    """Its spans go to a provider of the test's own: the process's can be set once only."""
    provider, spans = TracerProvider(), ToldSpans()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    monkeypatch.setattr(trace, "get_tracer", provider.get_tracer)
    async with (
        asyncio.timeout(LONGEST_S),
        request.param(tmp_path) as opened,
        line(opened, tmp_path, WORLD, spans) as running,
    ):
        yield running


def ids(span: ReadableSpan) -> tuple[int, int | None]:
    """A span's own id and its parent's."""
    assert span.context is not None
    return span.context.span_id, span.parent.span_id if span.parent else None


async def test_one_trace_runs_from_the_put_of_an_endpoint_to_the_last_ack(mesh: Line) -> None:
    spans = await mesh.trace()
    assert tuple(span.name for span in spans) == SPANS
    assert [ids(span)[1] for span in spans] == [None, *(ids(span)[0] for span in spans[:-1])]
    push = spans[-1]
    assert push.attributes is not None
    assert push.attributes["osm.acked"] is True
    assert push.end_time == max(span.end_time or 0 for span in spans if span.name in ("xds batch", "xds push"))


async def test_every_put_has_a_trace_of_its_own(mesh: Line) -> None:
    first, second = await mesh.trace(), await mesh.trace()
    assert not {span.context.trace_id for span in first if span.context} & {
        span.context.trace_id for span in second if span.context
    }


async def test_a_burst_of_puts_is_coalesced_and_all_of_it_is_acknowledged(mesh: Line) -> None:
    found = await mesh.burst((99, 1))
    assert found.puts == 100
    assert 1 <= found.pushes_each <= found.batches < found.puts
