"""Real Envoys under one xds: from an endpoint's change to its being in every Envoy's own list of clusters.

    python -m bench.envoys [--envoys 60] [--rounds 20]

Certmgr, catalog and xds run in this process on the in-memory bus; Envoys are processes with a loopback address each.
An Envoy acknowledges what it has applied. The last acknowledgement is timed where xds takes it in; only then all are
asked for their clusters, since asking costs them and this process more than the change: the second figure is the proof
that the first means what it says, and an upper bound.
Each Envoy takes 2 of its user's inotify instances, of which Linux grants 128.
"""

import argparse
import asyncio
import os
import sys
import time
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from msgspec import Struct, structs
from rich.console import Console
from rich.table import Table

from bench.client_certificates import Passports
from bench.mesh import HUB, free_address
from bench.result import quantile
from bench.running_services import fed, in_memory, with_xds
from bench.timed_engine import WatchedEngine
from bench.world import Documents, World
from osm.bus import Writer
from osm.contracts.endpoints import Explicit, Workload
from osm.contracts.names import Address
from osm.envoy import admin
from osm.envoy.process import EnvoyProcess, Launch
from osm.runtime.process import observed
from osm.runtime.settings import Common
from osm.testing.sidecar_folder import launch_of, write_bootstrap, write_certificate

ENVOYS, ROUNDS = 60, 20
INOTIFY_EACH = 2
ASKED_EVERY_S = 0.02
STARTED_AT_ONCE = 8
"""Envoys that come up together; more would only wait for each other's CPU."""

LIVE_WITHIN_S = 240.0
SEEN_WITHIN_S = 60.0
PAUSE_S = 0.2


class TooFew(Exception):
    """This user may not watch so many files."""


class Moved(Struct, frozen=True, kw_only=True):
    """One change: seconds until the last acknowledgement, and until all Envoys showed it."""

    acked_s: float
    seen_s: float


class Sidecars:
    """The Envoys, and the hand that moves an endpoint."""

    def __init__(self, world: World, engine: WatchedEngine, endpoints: Writer) -> None:
        self._world = world
        self._engine = engine
        self._endpoints = endpoints
        self.running: dict[Path, EnvoyProcess] = {}
        self._moves = 0

    async def start(self, folder: Path, passports: Passports, target: str) -> None:
        """All of them, and wait until they serve. Raises TimeoutError."""
        turns = asyncio.Semaphore(STARTED_AT_ONCE)

        async def start_one(number: int) -> None:
            async with turns, asyncio.timeout(LIVE_WITHIN_S):
                launch = written(folder / str(number), passports, number, target, self._world)
                self.running[launch.admin] = process = EnvoyProcess(launch)
                await process.live()

        async with asyncio.TaskGroup() as tasks:
            for number in range(self._world.streams):
                tasks.create_task(start_one(number))

    async def stop(self) -> None:
        for process in self.running.values():
            await process.stop()

    async def move(self) -> Moved:
        self._moves += 1
        service = self._world.service(HUB, moved=self._moves)
        began_s = time.monotonic()
        write = self._endpoints.apply({self._world.service_key(HUB): service})
        await asyncio.gather(self._engine.next_batch(), write)
        async with asyncio.timeout(SEEN_WITHIN_S):
            await asyncio.gather(*(shows(socket, service.endpoints) for socket in self.running))
        return Moved(acked_s=self._engine.answered_s - began_s, seen_s=time.monotonic() - began_s)


async def shows(socket: Path, endpoints: tuple[Any, ...]) -> None:
    """Wait until this Envoy's /clusters names the addresses of all these endpoints."""
    wanted = [f'"{endpoint.address.host}"' for endpoint in endpoints]
    while True:
        page = (await admin.read(socket, "clusters")).body.replace(" ", "")
        if all(host in page for host in wanted):
            return
        await asyncio.sleep(ASKED_EVERY_S)


def written(folder: Path, passports: Passports, number: int, target: str, world: World) -> Launch:
    """An Envoy's files."""
    folder.mkdir()
    passport, workload = passports.proxies[number], world.workload(number)
    write_certificate(folder, key_pem=passport.key_pem, chain_pem=passport.chain_pem, roots_pem=passports.roots_pem)
    host, _, port = target.rpartition(":")
    write_bootstrap(folder, passport.name, workload.identity, Address(host, int(port)))
    return launch_of(folder)


def documents(world: World) -> Documents:
    """The world's, with each workload on a loopback address of its own: no two sidecars share a port."""
    return {
        key: structs.replace(value, interception=own_address(number), backs=())
        if isinstance(value, Workload)
        else value
        for number, (key, value) in enumerate(world.endpoints().items())
    }


def own_address(number: int) -> Explicit:
    host = f"127.80.{number // 250}.{number % 250 + 1}"
    return Explicit(http_proxy=Address(host, 15001), outbound_host=host)


def inotify() -> tuple[int, int]:
    """Instances that this user's processes hold, and how many are allowed."""
    allowed = int(Path("/proc/sys/fs/inotify/max_user_instances").read_text())
    return sum(held for pid in Path("/proc").iterdir() if pid.name.isdigit() for held in _held(pid)), allowed


def _held(pid: Path) -> Iterator[int]:
    try:
        if pid.stat().st_uid == os.getuid():
            yield sum(str(each.readlink()) == "anon_inode:inotify" for each in (pid / "fd").iterdir())
    except OSError:  # it has ended meanwhile
        return


async def run(envoys: int, rounds: int, console: Console) -> list[Moved]:
    """The changes. Raises TooFew, TimeoutError."""
    held, allowed = inotify()
    if held + INOTIFY_EACH * envoys > allowed:
        raise TooFew(
            f"{envoys} Envoys need {INOTIFY_EACH * envoys} inotify instances, {held} of {allowed} are taken; "
            "run: sudo sysctl fs.inotify.max_user_instances=1024"
        )
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="osm-bench-")))
        began_s = time.monotonic()
        sidecars = await opened(stack, folder, World(streams=envoys, services=20, endpoints_each=3))
        up = f"{envoys} Envoys are up after {time.monotonic() - began_s:.1f} s"
        console.print(f"{up}; inotify: {inotify()[0]} of {allowed} instances, {held} before them")
        moved = []
        for _ in range(rounds + 1):
            moved.append(await sidecars.move())
            await asyncio.sleep(PAUSE_S)
    return moved[1:]  # the first warms up


async def opened(stack: AsyncExitStack, folder: Path, world: World) -> Sidecars:
    """The services and all Envoys, until the stack is closed."""
    engine, listen = WatchedEngine(), free_address()
    bus = await stack.enter_async_context(in_memory(folder))
    services = with_xds(folder, listen, engine)
    hands = await stack.enter_async_context(fed(bus, services, world, endpoints=documents(world)))
    sidecars = Sidecars(world, engine, hands.endpoints)
    stack.push_async_callback(sidecars.stop)
    await sidecars.start(folder, hands.passports, listen)
    return sidecars


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.envoys", description=__doc__)
    parser.add_argument("--envoys", type=int, default=ENVOYS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    console = Console(width=140)
    with observed("bench", Common(log_level="warning")):
        try:
            moved = asyncio.run(run(asked.envoys, asked.rounds, console))
        except TooFew as error:
            console.print(str(error), style="red")
            return 2
    table = Table("Envoys", "an endpoint moves")
    for head in ("p50 ms", "p99 ms", "max ms"):
        table.add_column(head, justify="right")
    for what, samples in (
        ("until the last acknowledgement", tuple(one.acked_s for one in moved)),
        ("until all show it in /clusters", tuple(one.seen_s for one in moved)),
    ):
        figures = (quantile(samples, 0.5), quantile(samples, 0.99), max(samples))
        table.add_row(str(asked.envoys), what, *(f"{figure * 1e3:.1f}" for figure in figures))
    console.print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
