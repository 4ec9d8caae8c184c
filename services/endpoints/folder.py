"""The process platform as a source: a folder of manifests, and bucket `local` for what runs of them."""

import asyncio
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager

from msgspec import Struct

from osm.bus import Bus, Update
from osm.bus.background_tasks import background_tasks
from osm.contracts.channels import LOCAL_WORKLOAD, WORKLOAD
from osm.contracts.endpoints import LocalWorkload
from osm.contracts.status import ObjectStatus
from osm.manifests.document import Scan
from osm.manifests.folder import watch
from osm.manifests.last_good import in_force
from osm.manifests.verdicts import Lines, spoken, verdicts
from osm.manifests.workloads import parse
from services.endpoints.declared_services import Objects, offers
from services.endpoints.diff import Change, change
from services.endpoints.state import State

KINDS = frozenset({"Namespace", "ServiceAccount", "Service"})
"""The kinds whose verdict is ours; `local` speaks of what runs."""


FOLDER = "the folder of manifests"
BUCKET = "the full picture of bucket local"


class Folder:
    """What was read of the folder and of the bucket; a `Source`."""

    def __init__(self, *, isolated: bool) -> None:
        """`isolated`: each service has an address of its own."""
        self._isolated = isolated
        self._inbox = _Inbox()
        self._state = State()
        self._found = Objects(kept={})
        self._lines: Lines = {}

    @property
    def inputs(self) -> tuple[tuple[str, int], ...]:
        return (("local", self._inbox.revision),)

    @property
    def missing(self) -> tuple[str, ...]:
        return self._inbox.missing

    @property
    def documents(self) -> Mapping[str, Struct]:
        return self._state.documents

    @property
    def certain(self) -> bool:
        return self._found.complete

    async def change(self) -> None:
        await self._inbox.change()

    def take(self) -> Change:
        before = self._state.documents
        scan = self._inbox.take_scan()
        if scan is not None:
            self._found = in_force(scan, parse, self._found)
            self._state.offer(offers(self._found, isolated=self._isolated))
        changed, full, unclear = self._inbox.take_workloads()
        if changed or full:
            self._state.run(changed, full=full, unclear=unclear)
        return change(before, self._state.documents)

    def unsure(self, held: Iterable[str]) -> Collection[str]:
        """What an unreadable file may hold is not taken back: it stays as an earlier run has published it."""
        return [] if self._found.complete else [key for key in held if WORKLOAD.parse(key) is None]

    def report(self, revision: int) -> Mapping[str, ObjectStatus | None]:
        now = verdicts("endpoints", self._found, KINDS, self._state.problems)
        self._lines, changed, gone = spoken(self._lines, now, revision)
        return {**changed, **dict.fromkeys(gone)}

    async def read_folder(self, folder: str) -> None:
        async for scan in watch(folder):
            self._inbox.put_scan(scan)

    async def read_workloads(self, bus: Bus) -> None:
        async for update in bus.watch("local", states=[LOCAL_WORKLOAD]):
            self._inbox.put_workloads(update)


@asynccontextmanager
async def reading(bus: Bus, folder: str, *, isolated: bool) -> AsyncIterator[Folder]:
    """Read while the context is open."""
    source = Folder(isolated=isolated)
    async with background_tasks(source.read_folder(folder), source.read_workloads(bus)):
        yield source


class _Inbox:
    """The newest of each input, until it is taken: what comes while we write is coalesced."""

    def __init__(self) -> None:
        self.revision = 0
        self._scan: Scan | None = None
        self._workloads: dict[str, LocalWorkload | None] = {}
        self._full = False
        self._unclear: set[str] = set()
        """Of a full picture: those that are there and cannot be read, by a newer writer, say."""
        self._unread = {FOLDER, BUCKET}
        self._changed = asyncio.Event()

    @property
    def missing(self) -> tuple[str, ...]:
        return tuple(sorted(self._unread))

    def put_scan(self, scan: Scan) -> None:
        self._scan = scan
        self._unread.discard(FOLDER)
        self._changed.set()

    def put_workloads(self, update: Update) -> None:
        if update.full:
            self._workloads, self._full, self._unclear = {}, True, set()
            self._unread.discard(BUCKET)
        for document in update.documents:
            key = LOCAL_WORKLOAD.parse(document.key)
            if key is None:
                continue
            if document.value is None and not document.deleted:
                self._unclear.add(key[0])  # the last good value stays
            else:
                self._workloads[key[0]] = document.value if isinstance(document.value, LocalWorkload) else None
        self.revision = update.revision
        self._changed.set()

    async def change(self) -> None:
        await self._changed.wait()
        self._changed.clear()

    def take_scan(self) -> Scan | None:
        scan, self._scan = self._scan, None
        return scan

    def take_workloads(self) -> tuple[Mapping[str, LocalWorkload | None], bool, Collection[str]]:
        taken = self._workloads, self._full, self._unclear
        self._workloads, self._full, self._unclear = {}, False, set()
        return taken
