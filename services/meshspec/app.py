"""The shell of `meshspec`: chooses the platform, publishes what `state` makes of it, and says what is wrong.

The first picture goes out when all of the platform has been read, every later change at once.
"""

import time
from contextlib import AbstractAsyncContextManager
from typing import NoReturn

import structlog

from osm.bus import Bus, Writer
from osm.bus.background_tasks import background_tasks
from osm.contracts.problem import by_severity
from osm.runtime.health import Health
from osm.runtime.metrics import meter
from osm.runtime.tracing import tracer
from services.meshspec import cluster, folder
from services.meshspec.publisher import Publisher
from services.meshspec.report import Report
from services.meshspec.settings import Settings
from services.meshspec.source import Source
from services.meshspec.state import Picture, picture

log = structlog.get_logger()


async def run(bus: Bus, settings: Settings, health: Health) -> None:
    """Serve until cancelled. Raises BusError, LeadershipLost when another replica has taken over, NoCluster."""
    report = Report(bus, health.replica)
    async with source(settings) as found:
        while missing := found.missing:
            health.starting(*missing)
            await found.change()
        health.standby("the right to write bucket meshspec")
        async with bus.writer("meshspec") as writer, background_tasks(report.serve(), found.tell(bus)):
            await _publish(writer, found, report, health)


def source(settings: Settings) -> AbstractAsyncContextManager[Source]:
    """What is read while the context is open."""
    if settings.platform == "kubernetes":
        return cluster.reading(settings.mesh_name, settings.namespace)
    return folder.reading(settings.folder)


async def _publish(writer: Writer, found: Source, report: Report, health: Health) -> NoReturn:
    outlet, measures, spans = Publisher(writer), Measures(), tracer("meshspec")
    now: Picture | None = None
    while True:
        with spans.start_as_current_span("meshspec edit"):
            began_s = time.perf_counter()
            now = picture(found.take(), now)
            await outlet.write(now)
            measures.edit(now, time.perf_counter() - began_s)
        report.say(now, outlet.revision, time.time())
        found.told(now)
        health.active()
        await found.change()


class Measures:
    """What an operator may want to know of meshspec's work."""

    def __init__(self) -> None:
        counts = meter("meshspec")
        self._edit = counts.create_histogram("osm.meshspec.edit", "s", "from policies read to their documents written")
        self._objects = counts.create_gauge("osm.meshspec.objects", description="policies in force")
        self._problems = counts.create_gauge("osm.meshspec.problems", description="problems of objects and files")

    def edit(self, now: Picture, took_s: float) -> None:
        self._edit.record(took_s)
        self._objects.set(len(now.documents))
        for severity, number in by_severity((each,) for each in (*now.found.problems, *now.problems)).items():
            self._problems.set(number, {"severity": severity})
