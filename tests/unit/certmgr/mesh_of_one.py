"""A bus with one member of the mesh, and a certmgr on it."""

import asyncio
from contextlib import asynccontextmanager

from osm.bus.memory import MemoryCore
from osm.contracts.channels import BUNDLE, IDENTITY, SIGN
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity
from osm.contracts.trust import MeshLeaf, SignRequest
from osm.pki.issuing import profile_of, request
from osm.pki.keys import make_key
from osm.pki.reading import load_chain
from osm.runtime.health import Health
from services.certmgr.app import run
from services.certmgr.settings import Settings
from tests.served import served

STORE = Identity("bookstore", "bookstore")
LEAF = MeshLeaf(identity=STORE)


class MeshOfOne:
    """Its certmgr keeps what it keeps in `folder`."""

    def __init__(self, folder, **settings):
        self.folder = folder
        self.settings = {"ca_folder": str(folder / "ca"), **settings}
        self.core = MemoryCore()

    @asynccontextmanager
    async def certmgr(self, **settings):
        health = Health("certmgr", "r", "v", 0.0)
        async with (
            self.core.bus("endpoints").writer("endpoints") as writer,
            served(run, self.core.bus("certmgr"), Settings(**{**self.settings, **settings}), health),
        ):
            await writer.publish({IDENTITY.key("bookstore", "bookstore"): MeshIdentity(identity=STORE)})
            yield health

    async def ask(self, subject=LEAF, caller="xds", **more):
        csr_pem = request(make_key(), profile_of(subject, "cluster.local"))
        asked = SignRequest(csr_pem=csr_pem, subject=subject, **more)
        return (await self.core.bus(caller).ask(SIGN, asked, timeout_s=30.0)).outcome

    async def roots(self):
        async for update in self.core.bus("xds").watch("certmgr"):
            for document in update.documents:
                if document.key == BUNDLE.key("cluster.local"):
                    return load_chain("".join(document.value.roots_pem))
        return ()


async def until(health, said):
    """Wait until the service says of itself what `said` wants to hear."""
    changed = asyncio.Event()
    health.on_change(lambda _: changed.set())
    while not said(health.status):
        changed.clear()
        await changed.wait()


async def active(health):
    await until(health, lambda status: status.state == "active")
