"""One run: a server, its clients, the changes, and the echo beside it, each in a process of its own."""

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.child import Child, child
from bench.mesh import Connected, Samples, Serving
from bench.proxies import Configured, Cpu
from bench.result import Run, Series, series
from bench.rounds import KB, MB, SETTLE_S, Rounds
from bench.world import SERVICES

NOOP_EDITS = 5


async def run(proxies: Path, streams: int, rounds: Rounds) -> Run:
    """`proxies` is the program that plays them. Raises ChildFailed, TimeoutError."""
    with TemporaryDirectory(prefix="osm-bench-") as found:
        folder = Path(found)
        async with child("bench.mesh", folder, streams, SERVICES) as mesh:
            serving = await mesh.answer(Serving)
            async with child(proxies, folder, serving.target, streams) as clients:
                configured = await clients.answer(Configured)
                await asyncio.sleep(SETTLE_S)
                connected = await mesh.ask(Connected, "connected")
                moved, at_the_end = await measured(mesh, clients, "move endpoint", rounds.endpoints)
                edited, _ = await measured(mesh, clients, "edit policy", rounds.policies)
                nothing = await mesh.ask(Samples, "edit nothing", NOOP_EDITS)
        echo, echo_memory = await _echo(proxies, folder, streams, rounds.endpoints, round(moved.bytes_per_push))
    return Run(
        streams=streams,
        first_config_s=max(connected.answered_s, configured.done_s) - configured.began_s,
        first_config_mb=connected.bytes / MB,
        baseline_mb=serving.rss_bytes / MB,
        kb_per_proxy=(at_the_end.rss_bytes - serving.rss_bytes) / streams / KB,
        echo_kb_per_stream=echo_memory / streams / KB,
        move_endpoint=moved,
        edit_policy=edited,
        echo=echo,
        noop_edits=NOOP_EDITS,
        noop_bytes=nothing.bytes,
    )


async def _echo(proxies: Path, folder: Path, streams: int, rounds: int, size: int) -> tuple[Series, int]:
    """The echo's series and the memory its streams took, in bytes."""
    async with child("bench.echo", folder, size) as echo:
        serving = await echo.answer(Serving)
        async with child(proxies, folder, serving.target, streams) as clients:
            await clients.answer(Configured)
            await asyncio.sleep(SETTLE_S)
            told, samples = await measured(echo, clients, "push", rounds)
    return told, samples.rss_bytes - serving.rss_bytes


async def measured(server: Child, clients: Child, what: str, rounds: int) -> tuple[Series, Samples]:
    """So many changes of one kind, and how they stand with the server after them."""
    before = await clients.ask(Cpu, "cpu")
    samples = await server.ask(Samples, what, rounds)
    after = await clients.ask(Cpu, "cpu")
    return series(what, samples, after.cpu_s - before.cpu_s), samples
