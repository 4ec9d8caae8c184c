"""Certmgr, catalog and xds on any bus, light proxies at their end, and endpoint documents put at their beginning.

What became of a document is read from the spans of its trace. Apart from `bench.latency_by_stage`, which runs the
whole bookstore: this runs on a memory bus and over NATS alike, and tests hold its traces to be whole. It refuses to
pause between changes.
"""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from msgspec import Struct
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from bench.mesh import free_address
from bench.proxy import Proxy
from bench.running_services import Open, fed, with_xds
from bench.timed_engine import WatchedEngine
from bench.world import World
from osm.bus import Writer
from osm.bus.nats import open_nats
from osm.bus.nats_keys import make_keys
from osm.contracts.endpoints import ServiceEndpoints
from osm.runtime.tracing import LatestSpans, tracer
from osm.testing.nats_server import nats_server
from osm.testing.signing import signing

PUT, CATALOG, XDS, PUSH = SPANS = ("endpoints publish", "catalog batch", "xds batch", "xds push")
"""A change's spans, in the order in which they begin; the last ends with the last acknowledgement."""

Carried = Callable[[Path], AbstractAsyncContextManager[Open]]
"""A carrier of the bus: `bench.running_services.in_memory` or `over_nats`, given a folder for its keys."""


class ToldSpans(LatestSpans):
    """Finished spans, and a way to wait for one."""

    def __init__(self) -> None:
        super().__init__()
        self._more = asyncio.Event()

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        done = super().export(spans)
        self._more.set()
        return done

    def of(self, trace_id: int) -> tuple[ReadableSpan, ...]:
        """A trace's finished spans, by their beginning."""
        own = [span for span in self.finished() if span.context is not None and span.context.trace_id == trace_id]
        return tuple(sorted(own, key=lambda span: span.start_time or 0))

    async def until(self, trace_id: int, *names: str) -> tuple[ReadableSpan, ...]:
        """Wait until the trace's spans of these names are over."""
        while True:
            found = self.of(trace_id)
            if {*names} <= {span.name for span in found}:
                return found
            self._more.clear()
            await self._more.wait()


class Way(Struct, frozen=True, kw_only=True):
    """One put's way, milliseconds: to the catalog's having it, from there to xds's, from there to the last ACK."""

    to_catalog_ms: float
    to_xds_ms: float
    to_ack_ms: float

    @property
    def total_ms(self) -> float:
        return self.to_catalog_ms + self.to_xds_ms + self.to_ack_ms


class Burst(Struct, frozen=True, kw_only=True):
    """Many documents put without waiting for what becomes of them."""

    puts: int
    put_ms: float
    """Until the bus had all of them."""
    acked_ms: float
    """From the first put to the last ACK of all of them."""
    batches: int
    """As xds took them in."""
    pushes_each: float
    """Responses that a proxy got."""


class Line:
    """The running services, and the hand on bucket `endpoints`."""

    def __init__(self, world: World, engine: WatchedEngine, endpoints: Writer, spans: ToldSpans) -> None:
        self._world = world
        self._engine = engine
        self._endpoints = endpoints
        self._spans = spans
        self._tracer = tracer("endpoints")
        self._moves = 0

    async def put(self, count: int = 1) -> int:
        """An address of each of the next services has changed: one write, as `endpoints` does; the trace's id."""
        numbers = range(self._moves, self._moves + count)
        self._moves += count
        documents = {self._key(number): self._document(number) for number in numbers}
        with self._tracer.start_as_current_span(PUT) as span:
            await self._endpoints.apply(documents)
            return span.get_span_context().trace_id

    async def trace(self) -> tuple[ReadableSpan, ...]:
        """Put one document; the spans of what came of it, once every proxy has acknowledged it."""
        return await self._spans.until(await self.put(), *SPANS)

    async def way(self) -> Way:
        first = {span.name: span for span in reversed(await self.trace())}
        begun = [first[name].start_time or 0 for name in (PUT, CATALOG, XDS)]
        moments_ms = [at_ns / 1e6 for at_ns in (*begun, first[PUSH].end_time or 0)]
        legs = [later - earlier for earlier, later in itertools.pairwise(moments_ms)]
        return Way(to_catalog_ms=legs[0], to_xds_ms=legs[1], to_ack_ms=legs[2])

    async def burst(self, writes: Sequence[int]) -> Burst:
        """So many documents in each write; a write follows as soon as the bus has the one before.

        The last write has to be of one document: with its acknowledgement, all before it are acknowledged.
        """
        batch, pushes = self._engine.batch, self._engine.pushes
        traces = [await self.put(documents) for documents in writes]
        last = {span.name: span for span in await self._spans.until(traces[-1], *SPANS)}
        began_ns = self._spans.of(traces[0])[0].start_time or 0
        return Burst(
            puts=sum(writes),
            put_ms=((last[PUT].end_time or 0) - began_ns) / 1e6,
            acked_ms=((last[PUSH].end_time or 0) - began_ns) / 1e6,
            batches=self._engine.batch - batch,
            pushes_each=(self._engine.pushes - pushes) / self._world.streams,
        )

    def _key(self, number: int) -> str:
        return self._world.service_key(number % self._world.services)

    def _document(self, number: int) -> ServiceEndpoints:
        """Another one each time that its service comes round."""
        return self._world.service(number % self._world.services, moved=number + 1)


@asynccontextmanager
async def over_nats(folder: Path) -> AsyncIterator[Open]:
    """A nats-server of its own; a connection and a signing key for each service. Raises NoServer."""
    keys = folder / "keys"
    keys.mkdir()
    make_keys(keys)
    async with nats_server() as server:
        yield lambda name: open_nats(server.url, name, signing(keys, name))


@asynccontextmanager
async def line(opened: Open, folder: Path, world: World, spans: ToldSpans) -> AsyncIterator[Line]:
    """The three services and all proxies of the world, configured. `folder` gets the certificate authority."""
    engine, listen = WatchedEngine(), free_address()
    async with fed(opened, with_xds(folder, listen, engine), world) as hands, asyncio.TaskGroup() as tasks:
        proxies = [Proxy(listen, one, hands.passports) for one in hands.passports.proxies]
        running = [tasks.create_task(proxy.run(), name="proxy") for proxy in proxies]
        for proxy in proxies:
            await proxy.configured.wait()
        yield Line(world, engine, hands.endpoints, spans)
        for task in running:
            task.cancel()
