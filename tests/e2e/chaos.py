"""Faults made on purpose in a real mesh of separate processes under load; and whether it held. Also a program.

A `World` is the bookstore as processes over NATS while buyer and thief send some 300 requests a second. An `Act`
harms it: kills, pauses, empties. After each, the books are opened: no request of the buyer may have failed, none of
the thief's may have succeeded, the harmed piece is whole within seconds of its return and the next change goes
through. `python -m tests.e2e.chaos` draws acts from a printed seed for as long as it is told.
"""

import argparse
import asyncio
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import MappingProxyType

import nats
from nats.js.errors import NotFoundError

from osm.bus import nats_keys
from osm.bus.nats_follow import SILENCE_S
from osm.bus.nats_wire import stream
from osm.bus.rights import STATUS
from osm.cli.demo.command import open_stage
from osm.cli.demo.manifest_copy import ManifestCopy
from osm.cli.demo.mesh_status import MeshStatus, TooSlow
from osm.cli.demo.shop import BUYER, STORES, THIEF, WORKLOADS
from osm.cli.demo.stage import Stage
from osm.cli.machine.process_specs import SERVICES, Wanted
from osm.cli.machine.run_folder import run_folder
from osm.cli.machine.separate_processes import SERVER, SeparateMesh, logged_in, separate_processes
from osm.cli.nats_access import USER_MARK, NatsAccess
from osm.contracts.channels import BUCKETS, SERVICE_STATUS, STATUS_MAX_AGE_S
from osm.testing.nats_server import nats_server

WHOLE_WITHIN_S = 5.0
"""From a piece's return (its process started again, or let go on) until it does its work again."""

PATIENCE_S = 25.0
"""The same for tests, which share a machine with others and prove what happens, not how fast."""

SAID_AGAIN_WITHIN_S = STATUS_MAX_AGE_S / 3 + 5.0
"""Status lines are said again at a third of their age; nothing but people and this test waits for them."""

BUYS_PER_S, TRIES_PER_S = 130.0, 25.0
"""Each is two requests."""

PAUSED_S = 1.5
LONGER_THAN_A_LEASE_S = 5.5
ALONE_S = 3.0
"""Enough for a piece to start, read what there is, and decide something wrong, if it did."""


class NotHeld(AssertionError):
    """The mesh did not hold; the message says what."""


class Books:
    """What buyer, thief and stores have counted; `check` compares with the last look."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._before: dict[str, dict[str, int]] = {}
        self.requests = 0

    async def open(self) -> None:
        """Start from here."""
        self._before = await self._read()

    async def check(self, what: str) -> None:
        """Raises NotHeld. Counts what was checked."""
        now = await self._read()
        for workload, counts in now.items():
            grown = {name: count - self._before[workload].get(name, 0) for name, count in counts.items()}
            self.requests += sum(grown.values())
            allowed = {"status 403"} if workload == THIEF else {"status 200", "succeeded"}
            wrong = {name: count for name, count in grown.items() if count and name not in allowed}
            if wrong:
                raise NotHeld(f"{what}: {workload} counted {wrong}")
            if workload not in (THIEF, BUYER):
                continue
            if not any(grown.values()):
                raise NotHeld(f"{what}: {workload} has asked nothing, so nothing is proven")
        self._before = now

    async def _read(self) -> dict[str, dict[str, int]]:
        found = {}
        for workload in (BUYER, THIEF):
            raw = await self._stage.shop.raw(workload)
            found[workload] = {f"status {status}": count for status, count in raw["statuses"].items()} | raw["errors"]
        for store in STORES:
            restock = (await self._stage.shop.raw(store))["restocks"]
            found[store] = {name: restock[name] for name in ("succeeded", "failed")}
        return found


class World:
    """A mesh in separate processes, under load."""

    def __init__(self, stage: Stage, mesh: SeparateMesh, within_s: float) -> None:
        self.stage = stage
        self.mesh = mesh
        self.within_s = within_s
        self.books = Books(stage)
        self.slowest_s = 0.0
        """The longest that a change has taken right after harm was done."""
        self._weights = (60, 40)

    async def busy(self) -> None:
        """Let the shoppers send, and start counting."""
        await self.stage.shop.pace(BUYER, BUYS_PER_S)
        await self.stage.shop.pace(THIEF, TRIES_PER_S)
        await asyncio.sleep(0.3)
        await self.books.open()

    async def act(self, name: str, harm: Callable[["World"], Awaitable[None]]) -> float:
        """Do it, and see that the mesh held. Returns seconds taken. Raises NotHeld, TooSlow."""
        began_s = time.monotonic()
        try:
            await harm(self)
            await self.change()
        except Exception as error:  # whatever it is, it is raised again and names the harm
            error.add_note(f"while it was done: {name}")
            raise
        await self.books.check(name)
        return time.monotonic() - began_s

    async def change(self) -> None:
        """An edit of the split goes through to the last proxy. Raises TooSlow."""
        began_s = time.monotonic()
        before, edit = self.stage.board.revision("meshspec"), self.stage.workshop.split(self._weights)
        edit.apply()
        await self.stage.board.live("meshspec", before, self.within_s)
        self.slowest_s = max(self.slowest_s, time.monotonic() - began_s)
        self._weights = (50, 50) if self._weights == (60, 40) else (60, 40)

    async def until(self, told: Callable[[], bool], what: str) -> None:
        await self.stage.board.until(told, what, self.within_s)

    def states(self, service: str, since_s: float = 0.0) -> Mapping[str, str]:
        """Replica → state, of those that started after `since_s`."""
        lines = self.stage.board.lines(SERVICE_STATUS)
        return {line.replica: line.state for line in lines if line.service == service and line.started_at_s >= since_s}

    def leader(self, service: str) -> str:
        """The replica that is active. Raises NotHeld unless it is one."""
        (name,) = (name for name, state in self.states(service).items() if state == "active")
        return name


@asynccontextmanager
async def world(
    name: str,
    *,
    reach: NatsAccess | None = None,
    replicas: Mapping[str, int] = MappingProxyType({}),
    within_s: float = PATIENCE_S,
) -> AsyncIterator[World]:
    """The bookstore in separate processes, up and busy; nothing of it left afterwards."""
    with run_folder(name) as place, logged_in(place.path, "info"):
        workshop = ManifestCopy.lay_out(place.path / "manifests")
        wanted = Wanted(
            folder=workshop.folder,
            ca_folder=place.path / "ca",
            proxy_lifetime_s=24 * 3600,
            log_level="info",
            replicas=replicas,
        )
        try:
            async with (
                separate_processes(reach, wanted, place) as mesh,
                open_stage(mesh.bus, workshop, place.path, place.xds_listen) as stage,
            ):
                found = World(stage, mesh, within_s)
                await found.busy()
                yield found
        except BaseException:
            _tell_logs(place.path)
            raise


@asynccontextmanager
async def open_server() -> AsyncIterator[NatsAccess]:
    """A server without passwords, so that a test may do what no service may; what is written is signed even so."""
    with tempfile.TemporaryDirectory(prefix="osm-keys-") as folder:
        nats_keys.make_keys(Path(folder))
        async with nats_server() as server:
            yield NatsAccess(url=server.url, variables=nats_keys.variables(Path(folder), USER_MARK))


def _tell_logs(folder: Path) -> None:
    """What the processes said last, before the folder goes."""
    for log in sorted(folder.glob("*.log")):
        lines = log.read_text(errors="replace").splitlines()[-40:]
        sys.stderr.write(f"--- {log.name}\n" + "".join(f"{line[:400]}\n" for line in lines))


def kill(piece: str) -> Callable[[World], Awaitable[None]]:
    """Kill -9 it; it is started again, and whole."""

    async def harm(world: World) -> None:
        process = world.mesh.processes[piece]
        starts, killed_s = process.starts, time.time()
        _signal(world, piece, signal.SIGKILL)
        while process.starts == starts:
            await asyncio.sleep(0.02)
        await _whole_again(world, piece, killed_s)

    return harm


async def _whole_again(world: World, piece: str, since_s: float) -> None:
    if piece == SERVER:
        return  # it has no line; the next change needs it
    service = piece.rpartition("-")[0]
    await world.until(
        lambda: world.states(service, since_s).get(piece) in ("active", "standby"),
        f"{piece}, started again",
    )


def pause(piece: str, for_s: float = PAUSED_S) -> Callable[[World], Awaitable[None]]:
    """Stop it in its tracks and let it go on."""

    async def harm(world: World) -> None:
        _signal(world, piece, signal.SIGSTOP)
        try:
            await asyncio.sleep(for_s)
        finally:
            _signal(world, piece, signal.SIGCONT)

    return harm


def lose(bucket: str, url: str) -> Callable[[World], Awaitable[None]]:
    """Delete a bucket and all that is in it."""

    async def harm(world: World) -> None:
        admin = await nats.connect(url, allow_reconnect=False)
        try:
            with suppress(NotFoundError):
                await admin.jetstream().delete_stream(stream(bucket))
        finally:
            await admin.close()
        async with asyncio.timeout(world.within_s):
            await _first_picture(world, bucket)
        if bucket == STATUS:
            await _status_again(world.stage.board)

    return harm


async def _status_again(board: MeshStatus) -> None:
    """The board is emptied when it notices, and filled as lines are said again."""
    with suppress(TooSlow):  # all may have been said again before it noticed
        await board.until(lambda: not board.in_service(WORKLOADS), "the loss", 2 * SILENCE_S)
    await board.until(lambda: board.in_service(WORKLOADS), "the status lines", SAID_AGAIN_WITHIN_S)
    await board.until(lambda: board.revision("meshspec") and board.revision("catalog"), "progress", SAID_AGAIN_WITHIN_S)


async def _first_picture(world: World, bucket: str) -> None:
    async for _ in world.mesh.bus.watch(bucket):
        return


def take_over(*services: str, for_s: float = 0.0) -> Callable[[World], Awaitable[None]]:
    """Pause those that write, at least for so long and until others have taken over.

    Woken, they find themselves deposed and end; what they were about to write is not written.
    """

    async def harm(world: World) -> None:
        for service in services:
            await world.until(lambda s=service: "active" in world.states(s).values(), f"a leader of {service}")
        leaders, began_s = {service: world.leader(service) for service in services}, time.time()
        starts = {name: world.mesh.processes[name].starts for name in leaders.values()}
        for name in leaders.values():
            _signal(world, name, signal.SIGSTOP)
        try:
            for service, name in leaders.items():
                await world.until(lambda s=service, n=name: _succeeded(world, s, n), f"a standby of {service}")
            await world.change()
            await asyncio.sleep(max(0.0, began_s + for_s - time.time()))
        finally:
            for name in leaders.values():
                _signal(world, name, signal.SIGCONT)
        for service, name in leaders.items():
            while world.mesh.processes[name].starts == starts[name]:
                await asyncio.sleep(0.02)
            await world.until(
                lambda s=service, n=name: world.states(s, began_s).get(n) == "standby", f"{name}, back as a standby"
            )

    return harm


def _succeeded(world: World, service: str, leader: str) -> bool:
    return any(state == "active" for name, state in world.states(service).items() if name != leader)


def kill_alone(piece: str) -> Callable[[World], Awaitable[None]]:
    """Kill it while all the others are away, so that it starts with nobody to ask; then they come back."""

    async def harm(world: World) -> None:
        others = [name for name in PIECES if name not in (piece, SERVER)]
        process = world.mesh.processes[piece]
        starts = process.starts
        for name in others:
            _signal(world, name, signal.SIGSTOP)
        try:
            _signal(world, piece, signal.SIGKILL)
            while process.starts == starts or process.pid is None:
                await asyncio.sleep(0.02)
            await asyncio.sleep(ALONE_S)
        finally:
            for name in others:
                _signal(world, name, signal.SIGCONT)

    return harm


def _signal(world: World, piece: str, number: signal.Signals) -> None:
    pid = world.mesh.processes[piece].pid
    if pid is None:
        raise NotHeld(f"{piece} is not running")
    os.kill(pid, number)


PIECES = (SERVER, *(f"{service}-0" for service in SERVICES))


async def endure(seed: int, minutes: float, within_s: float) -> int:
    """Acts drawn from `seed`, one after the other; how many held. Raises what an act raised."""
    chance = random.Random(seed)  # a seed that is printed is the point
    deadline = time.monotonic() + minutes * 60
    done = 0
    async with open_server() as reach, world(f"chaos-{seed}", reach=reach, within_s=within_s) as mesh:
        acts = _acts(reach.url)
        while time.monotonic() < deadline:
            name, harm = chance.choice(acts)
            took_s = await mesh.act(name, harm)
            done += 1
            so_far = f"{mesh.books.requests} requests, slowest change {mesh.slowest_s:.1f} s"
            sys.stdout.write(f"{done:4}  {name:32} {took_s:5.1f} s; so far {so_far}\n")
            sys.stdout.flush()
            await asyncio.sleep(chance.uniform(0, 2))
    return done


def _acts(url: str) -> list[tuple[str, Callable[[World], Awaitable[None]]]]:
    services = [piece for piece in PIECES if piece != SERVER]
    return (
        [(f"kill {piece}", kill(piece)) for piece in services]
        + [(f"pause {piece}", pause(piece)) for piece in services]
        + [(f"pause {piece} past its lease", pause(piece, LONGER_THAN_A_LEASE_S)) for piece in services]
        + [(f"lose bucket {bucket}", lose(bucket, url)) for bucket in BUCKETS]
    )


def main() -> int:
    parser = argparse.ArgumentParser(description="harm a mesh in separate processes under load, and see that it holds")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="repeats the same acts")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--within", type=float, default=WHOLE_WITHIN_S, help="seconds from a piece's return to whole")
    arguments = parser.parse_args()
    sys.stdout.write(f"seed {arguments.seed}\n")
    done = asyncio.run(endure(arguments.seed, arguments.minutes, arguments.within))
    sys.stdout.write(f"{done} acts, and it held\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
