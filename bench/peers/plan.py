"""One number of proxies: ours and then each peer, one after the other, each in a process of its own."""

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from bench import plan as bench_plan
from bench.child import Child, child
from bench.mesh import Connected, Samples, Serving
from bench.peers import istio
from bench.peers.istio import IstioPrograms
from bench.peers.istiod import DEFAULT, TUNED
from bench.peers.recorded import record
from bench.peers.result import PeerRun, of_ours
from bench.proxies import Configured, Cpu
from bench.result import series
from bench.rounds import KB, MB, SETTLE_S, Rounds
from bench.world import World

POLICY_ROUNDS = 5
"""Edited policies are not compared here; as few as give a figure."""


class Programs(Struct, frozen=True, kw_only=True):
    """Where they are: the one that plays the proxies, and the peers' own; None for those that are left out."""

    proxies: Path
    gocontrolplane: Path | None = None
    istio: IstioPrograms | None = None


async def run(streams: int, rounds: int, programs: Programs) -> tuple[PeerRun, ...]:
    """Raises ChildFailed, TimeoutError."""
    ours = await bench_plan.run(programs.proxies, streams, Rounds(endpoints=rounds, policies=POLICY_ROUNDS))
    runs = [of_ours(ours)]
    if programs.gocontrolplane is not None:
        runs += await _go_control_plane(programs.gocontrolplane, programs.proxies, streams, rounds)
    if programs.istio is not None:
        for peer, settings in (("Istio", DEFAULT), ("Istio, tuned", TUNED)):
            runs.append(
                await istio.run(peer, programs.istio, programs.proxies, settings, streams=streams, rounds=rounds)
            )
    return tuple(runs)


async def _go_control_plane(program: Path, proxies: Path, streams: int, rounds: int) -> list[PeerRun]:
    world = World(streams=streams)
    with TemporaryDirectory(prefix="osm-bench-") as found:
        folder = Path(found)
        async with child("bench.mesh", folder, max(streams, world.identities), world.services) as mesh:
            await record(folder, (await mesh.answer(Serving)).target, world)
        ways = {"go-control-plane": (), "go-control-plane, linear": ("-linear",)}
        return [
            await _served(peer, child(program, *how, folder), proxies, folder, streams=streams, rounds=rounds)
            for peer, how in ways.items()
        ]


async def _served(
    peer: str, opened: AbstractAsyncContextManager[Child], proxies: Path, folder: Path, *, streams: int, rounds: int
) -> PeerRun:
    """The same questions as `bench.plan.run` asks our mesh."""
    async with opened as server:
        serving = await server.answer(Serving)
        async with child(proxies, folder, serving.target, streams) as clients:
            configured = await clients.answer(Configured)
            await asyncio.sleep(SETTLE_S)
            connected = await server.ask(Connected, "connected")
            before = await clients.ask(Cpu, "cpu")
            samples = await server.ask(Samples, "move endpoint", rounds)
            after = await clients.ask(Cpu, "cpu")
    return PeerRun(
        peer=peer,
        streams=streams,
        mutual_tls=True,
        first_config_s=max(connected.answered_s, configured.done_s) - configured.began_s,
        first_config_mb=connected.bytes / MB,
        baseline_mb=serving.rss_bytes / MB,
        kb_per_proxy=(samples.rss_bytes - serving.rss_bytes) / streams / KB,
        move_endpoint=series("move endpoint", samples, after.cpu_s - before.cpu_s),
    )
