"""One number of proxies: ours and then each peer, one after the other, each in a process of its own."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from msgspec import Struct

from bench import plan as bench_plan
from bench.child import child
from bench.clients import Configured, Cpu
from bench.mesh import Connected, Samples, Serving
from bench.peers.built import program_child
from bench.peers.recorded import record
from bench.peers.result import PeerRun, of_ours
from bench.result import series
from bench.world import World

POLICY_ROUNDS = 5
"""Edited policies are not compared here; as few as give a figure."""


class Peer(Struct, frozen=True, kw_only=True):
    """A program that serves what was recorded, and is asked as our mesh is."""

    name: str
    program: Path
    options: tuple[str, ...] = ()


class Programs(Struct, frozen=True, kw_only=True):
    """Where the peers' programs are."""

    gocontrolplane: Path


async def run(streams: int, rounds: int, programs: Programs) -> tuple[PeerRun, ...]:
    """Raises ChildFailed, TimeoutError."""
    ours = await bench_plan.run(streams, bench_plan.Rounds(endpoints=rounds, policies=POLICY_ROUNDS))
    peers = (
        Peer(name="go-control-plane", program=programs.gocontrolplane),
        Peer(name="go-control-plane, linear", program=programs.gocontrolplane, options=("-linear",)),
    )
    with TemporaryDirectory(prefix="osm-bench-") as found:
        folder = Path(found)
        world = World(streams=streams)
        async with child("bench.mesh", folder, max(streams, world.identities)) as mesh:
            await record(folder, (await mesh.answer(Serving)).target, world)
        return (of_ours(ours), *[await _served(peer, folder, streams, rounds) for peer in peers])


async def _served(peer: Peer, folder: Path, streams: int, rounds: int) -> PeerRun:
    """The same questions as `bench.plan.run` asks our mesh."""
    async with program_child(peer.program, *peer.options, folder) as server:
        serving = await server.answer(Serving)
        async with child("bench.clients", folder, serving.target, streams) as clients:
            configured = await clients.answer(Configured)
            await asyncio.sleep(bench_plan.SETTLE_S)
            connected = await server.ask(Connected, "connected")
            before = await clients.ask(Cpu, "cpu")
            samples = await server.ask(Samples, "move endpoint", rounds)
            after = await clients.ask(Cpu, "cpu")
    return PeerRun(
        peer=peer.name,
        streams=streams,
        mutual_tls=True,
        first_config_s=max(connected.answered_s, configured.done_s) - configured.began_s,
        first_config_mb=connected.bytes / bench_plan.MB,
        baseline_mb=serving.rss_bytes / bench_plan.MB,
        kb_per_proxy=(samples.rss_bytes - serving.rss_bytes) / streams / bench_plan.KB,
        move_endpoint=series("move endpoint", samples, after.cpu_s - before.cpu_s),
    )
