"""The accounts that are in the mesh, as `endpoints` says: certmgr signs for no other.

Read so that a sidecar asks for its certificate when it can be had, and not before: a refusal costs the first start
a pause, and operators a warning that means nothing.
"""

import asyncio

from osm.bus import Bus
from osm.contracts.channels import IDENTITY
from osm.contracts.names import Identity


class MeshedAccounts:
    """The meshed accounts that have been seen. One that goes is certmgr's to refuse."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._changed = asyncio.Condition()

    async def run(self, bus: Bus) -> None:
        """Read on; endless."""
        async for update in bus.watch("endpoints", states=[IDENTITY]):
            async with self._changed:
                self._keys |= {document.key for document in update.documents if not document.deleted}
                self._changed.notify_all()

    async def wait(self, identity: Identity) -> None:
        """Until the account is in the mesh."""
        key = IDENTITY.key(identity.namespace, identity.account)
        async with self._changed:
            await self._changed.wait_for(lambda: key in self._keys)
