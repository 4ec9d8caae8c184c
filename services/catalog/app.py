"""The shell around the catalog: reads the two inputs, lets `Catalog` decide, writes and reports the outcome.

One batch at a time: what comes in while one is written is coalesced by the bus into the next.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping

from osm.bus import Bus, Update, Writer
from osm.bus.documents import entity
from osm.bus.trace import continued
from osm.contracts.names import ObjectRef
from osm.contracts.problem import Problem, by_severity
from osm.runtime.health import Health
from osm.runtime.metrics import by, from_zero, meter
from osm.runtime.tracing import tracer
from services.catalog.input_buckets import INPUTS
from services.catalog.publisher import Publisher
from services.catalog.report import Report
from services.catalog.settings import Settings
from services.catalog.state import Catalog, Changes


async def run(bus: Bus, settings: Settings, health: Health) -> None:
    """Serve until cancelled. Raises BusError, LeadershipLost when another replica has taken over."""
    health.standby("the right to write bucket catalog")
    async with bus.writer("catalog") as writer, asyncio.TaskGroup() as tasks:
        report = Report(bus, health.replica)
        tasks.create_task(report.refresh(), name="catalog: status lines")
        await _follow(bus, writer, report, health, Catalog(settings.namespace))


async def _follow(bus: Bus, writer: Writer, report: Report, health: Health, catalog: Catalog) -> None:
    outlet, spans = Publisher(writer), tracer("catalog")
    measures = Measures(
        documents=lambda: catalog.documents,
        problems=lambda: (*catalog.problems.values(), *((each,) for each in outlet.too_large.values())),
    )
    health.starting(*(_picture(bucket) for bucket in catalog.missing))
    async for update in bus.watch(*INPUTS):
        with continued(_newest_trace(update)), spans.start_as_current_span("catalog batch"):
            began_s = time.perf_counter()
            changes = catalog.apply(update)
            if catalog.missing:
                health.starting(*(_picture(bucket) for bucket in catalog.missing))
                continue
            moved = await outlet.write(changes)
            measures.batch(changes, time.perf_counter() - began_s)
            for ref in sorted(changes.problems.keys() | {ref for ref in moved if ref}):
                await report.problems(ref, _problems(ref, catalog, outlet), catalog.revisions["meshspec"])
            await report.progress(catalog.revisions, outlet.revision, time.time())
        health.active()


class Measures:
    """What an operator may want to know of the catalog's work.

    `documents` tells what is published, by key; `problems` what is wrong, of each object.
    """

    def __init__(
        self, *, documents: Callable[[], Mapping[str, object]], problems: Callable[[], Iterable[tuple[Problem, ...]]]
    ) -> None:
        counts = meter("catalog")
        self._batch = counts.create_histogram("osm.catalog.batch", "s", "from an update read to its outcome written")
        self._documents = counts.create_counter("osm.catalog.documents", description="documents put or deleted")
        from_zero(self._documents, "change", ("put", "delete"))
        counts.create_observable_gauge(
            "osm.catalog.published",
            [by("kind", lambda: Counter(map(entity, documents())))],
            description="documents that stand, by kind",
        )
        counts.create_observable_gauge(
            "osm.catalog.problems",
            [by("severity", lambda: by_severity(problems()))],
            description="objects with a problem, by its worst",
        )

    def batch(self, changes: Changes, took_s: float) -> None:
        self._batch.record(took_s)
        self._documents.add(len(changes.puts), {"change": "put"})
        self._documents.add(len(changes.deletes), {"change": "delete"})


def _problems(ref: ObjectRef, catalog: Catalog, outlet: Publisher) -> tuple[Problem, ...]:
    too_large = tuple(problem for problem in outlet.too_large.values() if problem.subject == ref)
    return catalog.problems.get(ref, ()) + too_large


def _picture(bucket: str) -> str:
    return f"the full picture of bucket {bucket}"


def _newest_trace(update: Update) -> str:
    """A batch that answers several writes goes on in the trace of the last."""
    traced = [document for document in update.documents if document.trace]
    return max(traced, key=lambda document: document.revision).trace if traced else ""
