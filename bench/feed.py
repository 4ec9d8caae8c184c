"""The process that feeds several xds workers over NATS: certmgr, catalog, and the hand that changes documents.

    python -m bench.feed FOLDER URL STREAMS

What `bench.mesh` is to one xds in its own process. The certificates for the clients are put in FOLDER.
"""

import asyncio
import sys
import time
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

from msgspec import Struct

from bench.child import answer_asks, run_child, say
from bench.client_certificates import all_passports, save
from bench.mesh import HUB, active, rss_bytes
from bench.world import World, target_key
from osm.bus import Writer
from osm.bus.nats import open_nats
from osm.runtime.health import Health
from osm.runtime.process import observed
from osm.runtime.service import Run, run_service
from osm.runtime.settings import Common
from osm.testing.signing import signing
from services.catalog import app as catalog
from services.certmgr import app as certmgr
from services.certmgr.settings import Settings as CertmgrSettings

USERS = ("meshspec", "endpoints", "certmgr", "catalog", "xds", "local")


class Written(Struct, frozen=True, kw_only=True):
    """A document is about to be written, at this monotonic second; processor time of the process so far."""

    began_s: float
    cpu_s: float
    rss_bytes: int


class Hand:
    """On the documents of a world."""

    def __init__(self, world: World, meshspec: Writer, endpoints: Writer) -> None:
        self._world = world
        self._meshspec = meshspec
        self._endpoints = endpoints

    async def now(self, _number: int) -> Written:
        return Written(began_s=time.monotonic(), cpu_s=time.process_time(), rss_bytes=rss_bytes())

    async def move_endpoint(self, number: int) -> Written:
        """One address of one service changes, to its `number`th place."""
        written = await self.now(number)
        await self._endpoints.apply({self._world.service_key(HUB): self._world.service(HUB, moved=number)})
        return written

    async def edit_policy(self, number: int) -> Written:
        """What may be called at one identity's services changes, back and forth."""
        written = await self.now(number)
        await self._meshspec.apply({target_key(HUB): self._world.target(HUB, edited=number % 2 == 1)})
        return written


async def run(folder: Path, url: str, streams: int) -> None:
    world, keys = World(streams=streams), folder / "keys"
    services: dict[str, tuple[Run[Any], Common]] = {
        "certmgr": (certmgr.run, CertmgrSettings(ca_folder=str(folder / "ca"))),
        "catalog": (catalog.run, Common()),
    }
    healths = {name: Health.begin(name, "bench") for name in services}
    async with AsyncExitStack() as held:
        buses = {name: await held.enter_async_context(open_nats(url, name, signing(keys, name))) for name in USERS}
        meshspec = await held.enter_async_context(buses["meshspec"].writer("meshspec"))
        endpoints = await held.enter_async_context(buses["endpoints"].writer("endpoints"))
        tasks = await held.enter_async_context(asyncio.TaskGroup())
        running = [
            tasks.create_task(run_service(name, serve, buses[name], own, healths[name]), name=name)
            for name, (serve, own) in services.items()
        ]
        await meshspec.publish(world.policies())
        await endpoints.publish(world.endpoints())
        for health in healths.values():
            await active(health)
        save(folder, await all_passports(buses["local"], buses["xds"], world))
        hand = Hand(world, meshspec, endpoints)
        say(await hand.now(0))
        await answer_asks({"now": hand.now, "move endpoint": hand.move_endpoint, "edit policy": hand.edit_policy})
        for task in running:
            task.cancel()


async def _work() -> None:
    with observed("bench", Common(log_level="warning")):
        await run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))


if __name__ == "__main__":
    run_child(_work)
