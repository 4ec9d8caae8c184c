"""The shell of `endpoints`: reads the folder and bucket `local`, publishes what `state` makes of them.

Nothing is published before both have been read in full. Then every change goes out at once.
"""

import asyncio
import time
from collections.abc import Mapping

import structlog
from msgspec import Struct

from osm.bus import Bus, BusError, Update, Writer
from osm.contracts.channels import LOCAL_WORKLOAD, PROGRESS, WORKLOAD
from osm.contracts.endpoints import LocalWorkload
from osm.contracts.status import Progress
from osm.manifests.document import Scan
from osm.manifests.folder import watch
from osm.manifests.last_good import in_force
from osm.manifests.verdicts import Lines, spoken, verdicts
from osm.manifests.workloads import parse
from osm.runtime.health import Health
from osm.runtime.tracing import tracer
from services.endpoints.offers import Objects, offers
from services.endpoints.settings import Settings
from services.endpoints.state import State, change

KINDS = frozenset({"Namespace", "ServiceAccount", "Service"})
"""The kinds whose verdict is ours; `local` speaks of what runs."""

log = structlog.get_logger()


async def run(bus: Bus, settings: Settings, health: Health) -> None:
    """Serve until cancelled."""
    inbox = Inbox()
    health.starting("the folder of manifests", "the full picture of bucket local")
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(_read_folder(settings.folder, inbox), name="endpoints: folder")
        tasks.create_task(_read_workloads(bus, inbox), name="endpoints: workloads")
        await inbox.complete()
        health.standby("the right to write bucket endpoints")
        async with bus.writer("endpoints") as writer:
            health.active()
            await Publisher(bus, writer, inbox, health.replica, isolated=settings.isolated).serve()


class Inbox:
    """The newest of each input, until it is taken: what comes while we write is coalesced."""

    def __init__(self) -> None:
        self.scan: Scan | None = None
        self.workloads: dict[str, LocalWorkload | None] = {}
        self.full = False
        self.revision = 0
        self._read = False
        self._changed = asyncio.Event()

    def put_scan(self, scan: Scan) -> None:
        self.scan = scan
        self._changed.set()

    def put_workloads(self, update: Update) -> None:
        if update.full:
            self.workloads, self.full, self._read = {}, True, True
        for document in update.documents:
            key = LOCAL_WORKLOAD.parse(document.key)
            if key is None or (document.value is None and not document.deleted):
                continue  # another kind, or a body of a newer writer: the last good value stays
            self.workloads[key[0]] = document.value if isinstance(document.value, LocalWorkload) else None
        self.revision = update.revision
        self._changed.set()

    async def complete(self) -> None:
        """Wait for the first picture of both inputs."""
        while self.scan is None or not self._read:
            await self.change()

    async def change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def take_scan(self) -> Scan | None:
        scan, self.scan = self.scan, None
        return scan

    def take_workloads(self) -> tuple[Mapping[str, LocalWorkload | None], bool]:
        taken = self.workloads, self.full
        self.workloads, self.full = {}, False
        return taken


async def _read_folder(folder: str, inbox: Inbox) -> None:
    async for scan in watch(folder):
        inbox.put_scan(scan)


async def _read_workloads(bus: Bus, inbox: Inbox) -> None:
    async for update in bus.watch("local", states=[LOCAL_WORKLOAD]):
        inbox.put_workloads(update)


class Publisher:
    """Takes from the inbox, writes to the bus."""

    def __init__(self, bus: Bus, writer: Writer, inbox: Inbox, replica: str, *, isolated: bool = False) -> None:
        self._status = bus.status()
        self._writer = writer
        self._inbox = inbox
        self._replica = replica
        self._isolated = isolated
        self._spans = tracer("endpoints")
        self._state = State()
        self._found = Objects(kept={})
        self._lines: Lines = {}
        self._revision = 0
        self._whole = False
        """Whether the bucket holds our picture and nothing left over from before."""

    async def serve(self) -> None:
        while True:
            before = self._state.documents
            self._take()
            await self._publish(before)
            await self._report()
            await self._inbox.change()

    def _take(self) -> None:
        scan = self._inbox.take_scan()
        if scan is not None:
            self._found = in_force(scan, parse, self._found)
            self._state.offer(offers(self._found, isolated=self._isolated))
        changed, full = self._inbox.take_workloads()
        if changed or full:
            self._state.run(changed, full=full)

    async def _publish(self, before: Mapping[str, Struct]) -> None:
        documents = self._state.documents
        if self._whole:
            step = change(before, documents)
            if step.puts or step.deletes:
                with self._spans.start_as_current_span("endpoints publish"):
                    self._revision = await self._writer.apply(step.puts, step.deletes)
            return
        # what an unreadable file may hold is not taken back: it stays as an earlier run has published it
        keep = [] if self._found.complete else [key for key in self._writer.held() if WORKLOAD.parse(key) is None]
        with self._spans.start_as_current_span("endpoints publish"):
            self._revision = await self._writer.publish(documents, keep=keep)
        self._whole = self._found.complete

    async def _report(self) -> None:
        """Status is a courtesy: a bus that is away must not stop endpoints."""
        now = verdicts("endpoints", self._found, KINDS, self._state.problems)
        lines, changed, gone = spoken(self._lines, now, self._revision)
        progress = Progress(
            service="endpoints",
            replica=self._replica,
            inputs=(("local", self._inbox.revision),),
            output=self._revision,
            at_s=time.time(),
        )
        try:
            for key, line in changed.items():
                await self._status.put(key, line)
            for key in gone:
                await self._status.delete(key)
            await self._status.put(PROGRESS.key("endpoints", self._replica), progress)
            self._lines = lines
        except BusError as error:
            log.warning("verdicts not written", why=str(error))
