"""The process that is measured: certmgr, catalog and xds on the in-memory bus, and the hand that changes documents.

    python -m bench.mesh FOLDER STREAMS SERVICES [LEAF_LIFETIME_S]

Apart from `bench.running_services`, which runs them for others too. Answers `bench.child.Ask`s; the certificates for
its clients are in FOLDER.
"""

import asyncio
import gc
import os
import resource
import socket
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from msgspec import Struct

from bench.child import answer_asks, run_child, say
from bench.client_certificates import save
from bench.running_services import fed, in_memory, with_xds
from bench.timed_engine import WatchedEngine
from bench.world import World, target_key
from osm.bus import Writer
from osm.runtime.process import observed
from osm.runtime.settings import Common
from services.certmgr.settings import DAY_S

HUB = 0
"""The service whose endpoints move, and the identity whose policy is edited."""

PAUSE_S = 0.05
"""Between two changes: status lines go out, and the next change finds a quiet mesh."""

NOOP_WAIT_S = 0.1
"""How long an edit without a meaning may take to show that it had one."""

WARM_UP = 3


class Serving(Struct, frozen=True, kw_only=True):
    """Proxies may connect at `target`."""

    target: str
    rss_bytes: int


class Connected(Struct, frozen=True, kw_only=True):
    """How it stands once every proxy is configured; `answered_s` is the monotonic time of the last answer."""

    answered_s: float
    pushes: int
    bytes: int
    cpu_s: float
    rss_bytes: int


class Samples(Struct, frozen=True, kw_only=True):
    """A series of equal changes. `given_s`: until the engine had the change; `answered_s`: until the last answer."""

    given_s: tuple[float, ...]
    answered_s: tuple[float, ...]
    pushes: int
    bytes: int
    cpu_s: float
    rss_bytes: int


class Usage(Struct, frozen=True, kw_only=True):
    """What the process holds at this moment. `blocks`: of Python's allocator."""

    at_s: float
    streams: int
    pushes: int
    rss_bytes: int
    fds: int
    blocks: int


Write = Callable[[], Awaitable[object]]


class Mesh:
    """The hand on the documents and the eye on the engine."""

    def __init__(self, world: World, engine: WatchedEngine, meshspec: Writer, endpoints: Writer) -> None:
        self._world = world
        self._engine = engine
        self._meshspec = meshspec
        self._endpoints = endpoints
        self._moves = 0
        self._edits = 0

    async def connected(self, _rounds: int) -> Connected:
        engine = self._engine
        return Connected(
            answered_s=engine.answered_s,
            pushes=engine.pushes,
            bytes=engine.bytes,
            cpu_s=time.process_time(),
            rss_bytes=rss_bytes(),
        )

    async def usage(self, _rounds: int) -> Usage:
        return Usage(
            at_s=time.monotonic(),
            streams=self._engine.streams,
            pushes=self._engine.pushes,
            rss_bytes=rss_bytes(),
            fds=len(os.listdir("/proc/self/fd")),  # noqa: PTH208  # a folder of the kernel, read at once
            blocks=sys.getallocatedblocks(),
        )

    async def usage_without_garbage(self, rounds: int) -> Usage:
        """Cycles wait for the collector, which looks seldom; what it would free is not held."""
        gc.collect()
        return await self.usage(rounds)

    async def flap(self, number: int) -> Connected:
        """An endpoint of one service or another changes, and nobody is waited for."""
        at = number % self._world.services
        await self._endpoints.apply({self._world.service_key(at): self._world.service(at, moved=number + 1)})
        return await self.connected(0)

    async def rogues(self, count: int) -> Connected:
        """From now on so many streams are not waited for."""
        self._engine.rogues = count
        return await self.connected(0)

    async def move_endpoint(self, rounds: int) -> Samples:
        """One address of one service changes."""
        return await self._changes(self._move_endpoint, rounds)

    async def edit_policy(self, rounds: int) -> Samples:
        """What may be called at one identity's services changes."""
        return await self._changes(self._edit_policy, rounds)

    async def edit_nothing(self, rounds: int) -> Samples:
        """The same documents once more, their lists in another order: nothing may be pushed."""
        before = self._meter()
        for at in range(rounds):
            backwards = at % 2 == 0
            target = self._world.target(HUB, edited=self._edits % 2 == 1, backwards=backwards)
            service = self._world.service(HUB, moved=self._moves, backwards=backwards)
            await self._meshspec.apply({target_key(HUB): target})
            await self._endpoints.apply({self._world.service_key(HUB): service})
            await asyncio.sleep(NOOP_WAIT_S)
        return self._samples(before, (), ())

    async def _changes(self, write: Write, rounds: int) -> Samples:
        for _ in range(WARM_UP):
            await self._change(write)
        before, given, answered = self._meter(), [], []
        for _ in range(rounds):
            began_s = await self._change(write)
            given.append(self._engine.given_s - began_s)
            answered.append(self._engine.answered_s - began_s)
            await asyncio.sleep(PAUSE_S)
        return self._samples(before, tuple(given), tuple(answered))

    async def _change(self, write: Write) -> float:
        batch = self._engine.batch
        began_s = time.monotonic()
        await asyncio.gather(self._engine.next_batch(), write())
        if self._engine.batch != batch + 1:
            raise RuntimeError(f"one change became {self._engine.batch - batch} batches: it was not alone")
        return began_s

    async def _move_endpoint(self) -> None:
        self._moves += 1
        await self._endpoints.apply({self._world.service_key(HUB): self._world.service(HUB, moved=self._moves)})

    async def _edit_policy(self) -> None:
        self._edits += 1
        await self._meshspec.apply({target_key(HUB): self._world.target(HUB, edited=self._edits % 2 == 1)})

    def _meter(self) -> tuple[int, int, float]:
        return self._engine.pushes, self._engine.bytes, time.process_time()

    def _samples(
        self, before: tuple[int, int, float], given: tuple[float, ...], answered: tuple[float, ...]
    ) -> Samples:
        pushes, sent, cpu_s = self._meter()
        return Samples(
            given_s=given,
            answered_s=answered,
            pushes=pushes - before[0],
            bytes=sent - before[1],
            cpu_s=cpu_s - before[2],
            rss_bytes=rss_bytes(),
        )


def rss_bytes() -> int:
    """Resident memory of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


def free_address() -> str:
    """A loopback address that was free a moment ago."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{found.getsockname()[1]}"


async def run(folder: Path, world: World, leaf_lifetime_s: int) -> None:
    engine, listen = WatchedEngine(), free_address()
    services = with_xds(folder, listen, engine, leaf_lifetime_s=leaf_lifetime_s)
    async with in_memory(folder) as opened, fed(opened, services, world) as hands:
        save(folder, hands.passports)
        mesh = Mesh(world, engine, hands.meshspec, hands.endpoints)
        say(Serving(target=listen, rss_bytes=rss_bytes()))
        await answer_asks(
            {
                "connected": mesh.connected,
                "usage": mesh.usage,
                "usage without garbage": mesh.usage_without_garbage,
                "flap": mesh.flap,
                "rogues": mesh.rogues,
                "move endpoint": mesh.move_endpoint,
                "edit policy": mesh.edit_policy,
                "edit nothing": mesh.edit_nothing,
            }
        )


async def _work() -> None:
    with observed("bench", Common(log_level="warning")):
        folder, streams, services, *lifetime_s = sys.argv[1:]
        world = World(streams=int(streams), services=int(services))
        await run(Path(folder), world, int(*lifetime_s) or DAY_S)


if __name__ == "__main__":
    run_child(_work)
