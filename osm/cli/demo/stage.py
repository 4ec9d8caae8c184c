"""What every step of the check works with: the running mesh, the manifests, and a change made live."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from msgspec import Struct

from osm.bus import Bus
from osm.cli.client import of_kind, picture
from osm.cli.demo.manifest_copy import Edit, ManifestCopy
from osm.cli.demo.mesh_status import MeshStatus
from osm.cli.demo.shop import Shop
from osm.contracts.channels import BUNDLE, LOCAL_WORKLOAD, MESH_WORKLOAD
from osm.contracts.endpoints import Explicit
from osm.contracts.names import Address


class Measured(Struct, frozen=True, kw_only=True):
    """What a step found."""

    asked: str
    measured: str
    passed: bool


Step = Callable[["Stage"], Awaitable[Measured]]
"""Asks something of the mesh, and measures it."""


class Change(Struct, frozen=True, kw_only=True):
    """How a change of a file went through the mesh, in milliseconds from the file's new content."""

    acknowledged_ms: float
    proxies: int
    answered_ms: float | None = None


class Stage:
    """The mesh under test. `renews_soon`: its proxies' certificates for xds live shorter than a check takes."""

    def __init__(
        self,
        *,
        bus: Bus,
        board: MeshStatus,
        shop: Shop,
        workshop: ManifestCopy,
        run_folder: Path,
        xds: str,
        renews_soon: bool = True,
    ) -> None:
        self.bus = bus
        self.board = board
        self.shop = shop
        self.workshop = workshop
        self.run_folder = run_folder
        self.xds = xds
        self.renews_soon = renews_soon

    @property
    def isolated(self) -> bool:
        """Whether traffic is redirected: then no app has been told of a proxy."""
        return not any(process.http_proxy for process in self.board.processes().values())

    async def make(self, edit: Edit) -> Change:
        """Apply an edit and wait until every proxy has acknowledged what came of it. Raises TooSlow."""
        before = self.board.revision("meshspec")
        started_s = time.time()
        edit.apply()
        live = await self.board.live("meshspec", before)
        return Change(acknowledged_ms=(live.at_s - started_s) * 1000, proxies=live.proxies)

    async def make_and_see(self, edit: Edit, workload: str, told: Callable[[int], bool]) -> Change:
        """Apply an edit and ask through a workload's sidecar until the answer's status is as told. Raises TooSlow."""
        started_s = time.time()
        change = await self.make(edit)
        answered_s = await self.shop.first_answer(workload, told)
        return Change(
            acknowledged_ms=change.acknowledged_ms,
            proxies=change.proxies,
            answered_ms=(answered_s - started_s) * 1000,
        )

    @asynccontextmanager
    async def changed(self, *edits: Edit) -> AsyncIterator[None]:
        """Edits in force inside the block, undone after it; what says already what it shall say is left alone."""
        needed = [edit for edit in edits if edit.before != edit.after]
        for edit in needed:
            await self.make(edit)
        try:
            yield
        finally:
            for edit in reversed(needed):
                await self.make(edit.undone())

    async def inbound(self, workload: str) -> Address:
        """Where a workload's sidecar accepts mutual TLS."""
        for document in of_kind(await picture(self.bus, "catalog"), MESH_WORKLOAD):
            if document.proxy_id != workload or not document.backs:
                continue
            if isinstance(document.interception, Explicit):
                return document.interception.inbound[0].listen
            return Address(await self._host(workload), document.backs[0].target_port)
        raise LookupError(f"{workload} has no inbound port")

    async def _host(self, workload: str) -> str:
        for document in of_kind(await picture(self.bus, "local"), LOCAL_WORKLOAD):
            if document.id == workload:
                return document.host
        raise LookupError(f"{workload} does not run here")

    async def roots_pem(self) -> bytes:
        """The roots that the mesh trusts."""
        (bundle,) = of_kind(await picture(self.bus, "certmgr"), BUNDLE)
        return "".join(bundle.roots_pem).encode()

    def home(self, workload: str) -> Path:
        """Where a workload's files lie, its sidecar's certificate for xds among them."""
        return self.run_folder / "workloads" / workload
