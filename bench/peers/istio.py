"""One number of proxies before Istio: the same mesh, the same changes, the same clock."""

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from bench.child import Child, child
from bench.client_certificates import save
from bench.mesh import HUB, PAUSE_S, WARM_UP, Samples
from bench.peers.cluster import Cluster, cluster
from bench.peers.istio_config import NAMESPACES, SERVICES, SLICES, endpoint_slice, moved_address, namespace, service
from bench.peers.istio_passports import issue
from bench.peers.istiod import Istiod, istiod
from bench.peers.result import PeerRun
from bench.proxies import Answered, Configured, Cpu, Received
from bench.result import series
from bench.rounds import KB, MB, SETTLE_S
from bench.world import World

LIMIT = "PILOT_MAX_REQUESTS_PER_SECOND"
ADMITTED_A_SECOND = 20
"""By default Istio admits 25 streams a second on two cores, and refuses the rest with RESOURCE_EXHAUSTED."""


class IstioPrograms(Struct, frozen=True, kw_only=True):
    """Where they are: pilot-discovery, and the folder of etcd and kube-apiserver."""

    istiod: Path
    cluster: Path


async def run(
    peer: str, programs: IstioPrograms, proxies: Path, settings: Mapping[str, str], *, streams: int, rounds: int
) -> PeerRun:
    """Raises ChildFailed, TimeoutError."""
    world = World(streams=streams)
    a_second = 0 if LIMIT in settings else ADMITTED_A_SECOND
    with TemporaryDirectory(prefix="osm-bench-") as found:
        folder = Path(found)
        passports = issue(world)
        save(folder, passports)
        async with cluster(programs.cluster, folder) as objects:
            await _write(objects, world)
            async with istiod(programs.istiod, folder, passports, objects.kubeconfig, settings) as server:
                baseline = server.rss_bytes()
                paced = ("-istio", "-a-second", a_second)
                async with child(proxies, *paced, folder, server.target, streams) as sidecars:
                    configured = await sidecars.answer(Configured)
                    await asyncio.sleep(SETTLE_S)
                    told = await sidecars.ask(Received, "received")
                    before = await sidecars.ask(Cpu, "cpu")
                    samples = await Hand(objects, sidecars, world).moves(server, rounds)
                    after = await sidecars.ask(Cpu, "cpu")
    return PeerRun(
        peer=peer,
        streams=streams,
        mutual_tls=True,
        first_config_s=configured.done_s - configured.began_s,
        first_config_mb=told.bytes / MB,
        baseline_mb=baseline / MB,
        kb_per_proxy=(samples.rss_bytes - baseline) / streams / KB,
        move_endpoint=series("move endpoint", samples, after.cpu_s - before.cpu_s),
    )


async def _write(objects: Cluster, world: World) -> None:
    for name in NAMESPACES:
        await objects.create("/api/v1/namespaces", namespace(name))
    for number in range(world.services):
        await objects.create(SERVICES, service(world, number))
        await objects.create(SLICES, endpoint_slice(world, number))


class Hand:
    """Moves the hub's endpoint and waits for the sidecars."""

    def __init__(self, objects: Cluster, sidecars: Child, world: World) -> None:
        self._objects = objects
        self._sidecars = sidecars
        self._world = world
        self._moves = 0

    async def moves(self, server: Istiod, rounds: int) -> Samples:
        """`given_s` is until the API server had the change in etcd and said so."""
        for _ in range(WARM_UP):
            _, _, before = await self._move()
        cpu_s, given, answered, last = server.cpu_s(), [], [], before
        for _ in range(rounds):
            written_s, answered_s, last = await self._move()
            given.append(written_s)
            answered.append(answered_s)
            await asyncio.sleep(PAUSE_S)
        return Samples(
            given_s=tuple(given),
            answered_s=tuple(answered),
            pushes=last.pushes - before.pushes,
            bytes=last.bytes - before.bytes,
            cpu_s=server.cpu_s() - cpu_s,
            rss_bytes=server.rss_bytes(),
        )

    async def _move(self) -> tuple[float, float, Answered]:
        """Seconds from the change until it was written, and until the last acknowledgement."""
        self._moves += 1
        await self._sidecars.ask(Received, "arm", sought=moved_address(self._world, self._moves))
        document = endpoint_slice(self._world, HUB, moved=self._moves)
        began_s = time.monotonic()
        await self._objects.replace(f"{SLICES}/{document['metadata']['name']}", document)
        written_s = time.monotonic()
        told = await self._sidecars.ask(Answered, "answered")
        return written_s - began_s, told.answered_s - began_s, told
