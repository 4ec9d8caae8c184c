"""The shell of `meshspec`: reads the folder, publishes what `state` makes of it, and says what is wrong.

The first picture goes out when the whole folder has been looked at, every later change at once.
"""

import asyncio
import time
from collections.abc import Mapping

import structlog
from msgspec import Struct

from osm.bus import Bus, Writer
from osm.manifests import Scan
from osm.manifests.folder import watch
from osm.runtime.health import Health
from osm.runtime.metrics import meter
from osm.runtime.tracing import tracer
from services.meshspec.publish import step
from services.meshspec.report import Report
from services.meshspec.settings import Settings
from services.meshspec.state import Picture, picture

log = structlog.get_logger()


async def run(bus: Bus, settings: Settings, health: Health) -> None:
    """Serve until cancelled. Raises BusError, LeadershipLost when another replica has taken over."""
    newest, report = Newest(), Report(bus, health.replica)
    health.starting(f"a first look at {settings.folder}")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_look(settings.folder, newest), name="meshspec: folder")
        await newest.there()
        health.standby("the right to write bucket meshspec")
        async with bus.writer("meshspec") as writer:
            tasks.create_task(report.serve(), name="meshspec: status lines")
            await _publish(writer, newest, report, health)


class Newest:
    """The newest scan until it is taken: edits that come while one is written are one."""

    def __init__(self) -> None:
        self._scan: Scan | None = None
        self._there = asyncio.Event()

    def put(self, scan: Scan) -> None:
        self._scan = scan
        self._there.set()

    async def there(self) -> None:
        await self._there.wait()

    async def take(self) -> Scan:
        while (scan := self._scan) is None:
            await self._there.wait()
        self._scan = None
        self._there.clear()
        return scan


async def _look(folder: str, newest: Newest) -> None:
    async for scan in watch(folder):
        newest.put(scan)


async def _publish(writer: Writer, newest: Newest, report: Report, health: Health) -> None:
    outlet, measures, spans = Outlet(writer), Measures(), tracer("meshspec")
    now: Picture | None = None
    while True:
        scan = await newest.take()
        with spans.start_as_current_span("meshspec edit"):
            began_s = time.perf_counter()
            now = picture(scan, now)
            await outlet.write(now)
            measures.edit(now, time.perf_counter() - began_s)
        report.say(now, outlet.revision, time.time())
        health.active()


class Outlet:
    """How pictures get into bucket `meshspec`: the first as its whole content, then as changes."""

    def __init__(self, writer: Writer) -> None:
        self.revision = 0
        self._writer = writer
        self._inherited = frozenset(writer.held())
        self._written: Mapping[str, Struct] | None = None

    async def write(self, now: Picture) -> None:
        """Raises BusError or LeadershipLost."""
        todo = step(self._written or {}, now, self._inherited)
        if self._written is None:
            self.revision = await self._writer.publish(now.documents, keep=todo.inherited)
        elif todo.puts or todo.deletes:
            self.revision = await self._writer.apply(todo.puts, todo.deletes)
            log.info("policies published", put=len(todo.puts), deleted=len(todo.deletes), revision=self.revision)
        self._written, self._inherited = now.documents, todo.inherited


class Measures:
    """What an operator may want to know of meshspec's work."""

    def __init__(self) -> None:
        counts = meter("meshspec")
        self._edit = counts.create_histogram("osm.meshspec.edit", "s", "from a folder read to its policies written")
        self._objects = counts.create_gauge("osm.meshspec.objects", description="policies in force")
        self._problems = counts.create_gauge("osm.meshspec.problems", description="problems of objects and files")

    def edit(self, now: Picture, took_s: float) -> None:
        self._edit.record(took_s)
        self._objects.set(len(now.documents))
        self._problems.set(len(now.found.problems) + len(now.problems))
