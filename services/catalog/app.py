"""The shell around the catalog: reads the two inputs, lets `Catalog` decide, writes and reports the outcome.

One batch at a time: what comes in while one is written is coalesced by the bus into the next.
"""

import asyncio
import time

from osm.bus import Bus, Update, Writer
from osm.bus.trace import continued
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem
from osm.runtime.health import Health
from osm.runtime.metrics import meter
from osm.runtime.settings import Common
from osm.runtime.tracing import tracer
from services.catalog.input_buckets import INPUTS
from services.catalog.publisher import Publisher
from services.catalog.report import Report
from services.catalog.state import Catalog, Changes


async def run(bus: Bus, _settings: Common, health: Health) -> None:
    """Serve until cancelled. Raises BusError, LeadershipLost when another replica has taken over."""
    health.standby("the right to write bucket catalog")
    async with bus.writer("catalog") as writer, asyncio.TaskGroup() as tasks:
        report = Report(bus, health.replica)
        tasks.create_task(report.refresh(), name="catalog: status lines")
        await _follow(bus, writer, report, health)


async def _follow(bus: Bus, writer: Writer, report: Report, health: Health) -> None:
    catalog, outlet, measures, spans = Catalog(), Publisher(writer), Measures(), tracer("catalog")
    health.starting(*(_picture(bucket) for bucket in catalog.missing))
    async for update in bus.watch(*INPUTS):
        with continued(_newest_trace(update)), spans.start_as_current_span("catalog batch"):
            began_s = time.perf_counter()
            changes = catalog.apply(update)
            if catalog.missing:
                health.starting(*(_picture(bucket) for bucket in catalog.missing))
                continue
            moved = await outlet.write(changes)
            measures.batch(changes, time.perf_counter() - began_s, len(catalog.problems) + len(outlet.too_large))
            for ref in sorted(changes.problems.keys() | {ref for ref in moved if ref}):
                await report.problems(ref, _problems(ref, catalog, outlet), catalog.revisions["meshspec"])
            await report.progress(catalog.revisions, outlet.revision, time.time())
        health.active()


class Measures:
    """What an operator may want to know of the catalog's work."""

    def __init__(self) -> None:
        counts = meter("catalog")
        self._batch = counts.create_histogram("osm.catalog.batch", "s", "from an update read to its outcome written")
        self._documents = counts.create_counter("osm.catalog.documents", description="documents put or deleted")
        self._problems = counts.create_gauge("osm.catalog.problems", description="objects with a problem")

    def batch(self, changes: Changes, took_s: float, objects_with_problems: int) -> None:
        self._batch.record(took_s)
        self._documents.add(len(changes.puts), {"change": "put"})
        self._documents.add(len(changes.deletes), {"change": "delete"})
        self._problems.set(objects_with_problems)


def _problems(ref: ObjectRef, catalog: Catalog, outlet: Publisher) -> tuple[Problem, ...]:
    too_large = tuple(problem for problem in outlet.too_large.values() if problem.subject == ref)
    return catalog.problems.get(ref, ()) + too_large


def _picture(bucket: str) -> str:
    return f"the full picture of bucket {bucket}"


def _newest_trace(update: Update) -> str:
    """A batch that answers several writes goes on in the trace of the last."""
    traced = [document for document in update.documents if document.trace]
    return max(traced, key=lambda document: document.revision).trace if traced else ""
