"""What the injector reads from the bus: mesh-wide settings, and the roots that the mesh trusts. Newest alone.

Apart from whoever uses it, since three do. Roots that are taken away are kept: no trust is never what was meant.
"""

import asyncio
from typing import NoReturn

from osm.bus import Bus, Document
from osm.contracts.channels import BUNDLE, MESH_CONFIG
from osm.contracts.policy import Mesh
from osm.contracts.trust import Bundle

BUCKETS = (MESH_CONFIG.bucket, BUNDLE.bucket)


class BusInputs:
    """Follows both buckets. `missing` is what has not been read yet."""

    def __init__(self, trust_domain: str) -> None:
        self.mesh = Mesh()
        self.roots_pem = ""
        self._bundle_key = BUNDLE.key(trust_domain)
        self._unread = set(BUCKETS)
        self._changed = asyncio.Condition()

    @property
    def missing(self) -> tuple[str, ...]:
        """As `health` says it."""
        unread = tuple(f"the full picture of bucket {bucket}" for bucket in sorted(self._unread))
        return unread or (() if self.roots_pem else ("the roots of the trust domain",))

    async def run(self, bus: Bus) -> NoReturn:
        """Read on."""
        async for update in bus.watch(*BUCKETS, states=(MESH_CONFIG, BUNDLE)):
            self._unread.discard(update.bucket)
            if update.full and update.bucket == MESH_CONFIG.bucket and not update.documents:
                self.mesh = Mesh()
            for document in update.documents:
                self._take(document)
            async with self._changed:
                self._changed.notify_all()
        raise AssertionError("unreachable: a watch is endless")

    def _take(self, document: Document) -> None:
        """A body that cannot be read changes nothing."""
        if document.key == self._bundle_key and isinstance(document.value, Bundle):
            self.roots_pem = "".join(document.value.roots_pem)
        elif document.key == MESH_CONFIG.key() and (document.deleted or isinstance(document.value, Mesh)):
            self.mesh = document.value if isinstance(document.value, Mesh) else Mesh()

    async def complete(self) -> None:
        """Wait until nothing is missing."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self.missing)

    async def change(self) -> None:
        """Wait until something has been read."""
        async with self._changed:
            await self._changed.wait()

    async def other_roots(self, than: str) -> str:
        """Wait for roots that are not these."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.roots_pem not in ("", than))
        return self.roots_pem
