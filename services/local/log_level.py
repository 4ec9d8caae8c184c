"""How much the sidecars log, as the MeshConfig says (spec.sidecar.logLevel).

It counts for Envoys started from then on: it is an argument of theirs, and one that runs is not started again for it.
"""

import asyncio

from osm.bus import Bus
from osm.contracts.channels import MESH_CONFIG
from osm.contracts.policy import Mesh


class SidecarLogLevel:
    """The level in force. Without a MeshConfig it is the contract's default."""

    def __init__(self) -> None:
        self._level = ""
        self._known = asyncio.Event()

    async def run(self, bus: Bus) -> None:
        """Read on; endless."""
        async for update in bus.watch("meshspec", states=[MESH_CONFIG]):
            if update.full:
                self._level = Mesh().sidecar_log_level
            for document in update.documents:
                if document.deleted:
                    self._level = Mesh().sidecar_log_level
                elif isinstance(document.value, Mesh):
                    self._level = document.value.sidecar_log_level
            self._known.set()

    async def now(self) -> str:
        """The level, once it is known."""
        await self._known.wait()
        return self._level
