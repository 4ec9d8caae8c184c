"""One of several xds processes that share a port: what a worker of `OSM_XDS_WORKERS` is, with a watch on its engine.

    python -m bench.worker FOLDER URL LISTEN NUMBER

Answers `bench.child.Ask`s; of FOLDER it takes the bus's keys.
"""

import asyncio
import sys
import time
from pathlib import Path

from msgspec import Struct

from bench.child import answer_asks, run_child, say
from bench.mesh import Serving, rss_bytes
from bench.running_services import active
from bench.timed_engine import WatchedEngine
from osm.bus.nats import open_nats
from osm.runtime.health import Health
from osm.runtime.process import observed
from osm.runtime.service import run_service
from osm.runtime.settings import Common
from osm.testing.signing import signing
from services.xds import app as xds
from services.xds.settings import Settings


class Worked(Struct, frozen=True, kw_only=True):
    """A worker's engine: its batches so far, when it had the last and when its own proxies had answered it."""

    batch: int
    given_s: float
    answered_s: float
    pushes: int
    bytes: int
    cpu_s: float
    rss_bytes: int


class Worker:
    """The eye on one engine."""

    def __init__(self, engine: WatchedEngine) -> None:
        self._engine = engine

    async def now(self, _batch: int) -> Worked:
        engine = self._engine
        return Worked(
            batch=engine.batch,
            given_s=engine.given_s,
            answered_s=engine.answered_s,
            pushes=engine.pushes,
            bytes=engine.bytes,
            cpu_s=time.process_time(),
            rss_bytes=rss_bytes(),
        )

    async def after(self, batch: int) -> Worked:
        """Once the batch after this one has been answered, which may have been already."""
        await self._engine.next_batch(batch)
        return await self.now(batch)


async def run(folder: Path, url: str, listen: str, number: int) -> None:
    engine, health = WatchedEngine(), Health.begin("xds", f"bench-{number}")
    settings = Settings(listen=listen, reuse_port=True, drain_s=0.0)
    async with open_nats(url, "xds", signing(folder / "keys", "xds")) as bus, asyncio.TaskGroup() as tasks:
        serve = tasks.create_task(run_service("xds", lambda *own: xds.run(*own, engine=engine), bus, settings, health))
        await active(health)
        say(Serving(target=listen, rss_bytes=rss_bytes()))
        worker = Worker(engine)
        await answer_asks({"now": worker.now, "after": worker.after})
        serve.cancel()


async def _work() -> None:
    with observed("bench", Common(log_level="warning")):
        await run(Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4]))


if __name__ == "__main__":
    run_child(_work)
