"""The process that feeds several xds workers over NATS: certmgr, catalog, and the hand that changes documents.

    python -m bench.feed FOLDER URL STREAMS

What `bench.mesh` is to one xds in its own process. The certificates for the clients are put in FOLDER.
"""

import sys
import time
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from msgspec import Struct

from bench.child import answer_asks, run_child, say
from bench.client_certificates import save
from bench.mesh import HUB, rss_bytes
from bench.running_services import before_xds, fed
from bench.world import World, target_key
from osm.bus import Bus, Writer
from osm.bus.nats import open_nats
from osm.runtime.process import observed
from osm.runtime.settings import Common
from osm.testing.signing import signing


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

    def opened(name: str) -> AbstractAsyncContextManager[Bus]:
        return open_nats(url, name, signing(keys, name))

    async with fed(opened, before_xds(folder), world) as hands:
        save(folder, hands.passports)
        hand = Hand(world, hands.meshspec, hands.endpoints)
        say(await hand.now(0))
        await answer_asks({"now": hand.now, "move endpoint": hand.move_endpoint, "edit policy": hand.edit_policy})


async def _work() -> None:
    with observed("bench", Common(log_level="warning")):
        await run(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))


if __name__ == "__main__":
    run_child(_work)
