"""Two rows apart: a policy edited among a thousand services, and a thousand proxies with a bad neighbour.

    python -m bench.trials [--streams 1000] [--services 1000]

The neighbour never reads, or rejects all it is sent; the others are measured before it comes, with it, and after it has
left, in one run. It does them no harm if they are as fast with it as the slower time without it, a tenth for noise.
"""

import argparse
import asyncio
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from bench.child import Child, child
from bench.mesh import Connected, Serving
from bench.plan import measured
from bench.programs import required
from bench.proxies import Configured, Cpu
from bench.result import Series
from bench.rounds import SETTLE_S
from bench.world import SERVICES

MANY_SERVICES, FEW_PROXIES = 1000, 100
BOUND_EDIT_P99_MS = 100.0
"""From an edited policy to the last acknowledgement of its identity's proxies, with 1,000 services."""

NOISE = 1.1
KINDS = {"silent": "one never reads", "nacks": "one rejects all"}


async def edited_policy(proxies: Path, services: int, rounds: int) -> Series:
    """A policy of one identity is edited in a large mesh."""
    async with AsyncExitStack() as held:
        mesh, clients, _ = await _open(held, proxies, FEW_PROXIES, FEW_PROXIES, services)
        found, _ = await measured(mesh, clients, "edit policy", rounds)
        return found


async def neighbours(proxies: Path, streams: int, rounds: int) -> dict[str, Series]:
    """An endpoint moves, for well-behaved proxies alone and beside each kind of rogue."""
    async with AsyncExitStack() as held:
        mesh, clients, (folder, target) = await _open(held, proxies, streams, streams + 1, SERVICES)
        told = {"alone": (await measured(mesh, clients, "move endpoint", rounds))[0]}
        for kind, what in KINDS.items():
            async with child("bench.misbehaving_proxy", folder, target, kind) as rogue:
                await mesh.ask(Connected, "rogues", 1)
                await rogue.answer(Cpu)
                await asyncio.sleep(SETTLE_S)
                told[what] = (await measured(mesh, clients, "move endpoint", rounds))[0]
            await asyncio.sleep(SETTLE_S)
            await mesh.ask(Connected, "rogues", 0)
        told["alone again"] = (await measured(mesh, clients, "move endpoint", rounds))[0]
        return told


async def _open(
    held: AsyncExitStack, proxies: Path, streams: int, known: int, services: int
) -> tuple[Child, Child, tuple[Path, str]]:
    folder = Path(held.enter_context(TemporaryDirectory(prefix="osm-bench-")))
    mesh = await held.enter_async_context(child("bench.mesh", folder, known, services))
    target = (await mesh.answer(Serving)).target
    clients = await held.enter_async_context(child(proxies, folder, target, streams))
    await clients.answer(Configured)
    await asyncio.sleep(SETTLE_S)
    return mesh, clients, (folder, target)


def missed(edit: Series | None, told: dict[str, Series]) -> tuple[str, ...]:
    """What was not kept, as sentences."""
    found = []
    if edit is not None and edit.p99_ms > BOUND_EDIT_P99_MS:
        found.append(f"policy edited: p99 ms: found {edit.p99_ms:.4g}, allowed is {BOUND_EDIT_P99_MS:g}")
    if told:
        allowed = NOISE * max(told["alone"].p50_ms, told["alone again"].p50_ms)
        found += [
            f"{what}: p50 ms of the others: found {told[what].p50_ms:.4g}, allowed is {allowed:.4g}"
            for what in KINDS.values()
            if told[what].p50_ms > allowed
        ]
    return tuple(found)


def _show(console: Console, rows: dict[str, Series]) -> None:
    table = Table("what")
    for head in ("changes", "pushes each", "p50 ms", "p99 ms", "max ms", "CPU a push, µs"):
        table.add_column(head, justify="right")
    for what, one in rows.items():
        figures = (one.p50_ms, one.p99_ms, one.max_ms, one.cpu_us_per_push)
        table.add_row(what, str(one.rounds), f"{one.pushes_each:g}", *(f"{figure:.1f}" for figure in figures))
    console.print(table)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.trials", description=__doc__)
    parser.add_argument("--streams", type=int, default=1000, help="well-behaved proxies; 0 leaves them out")
    parser.add_argument("--services", type=int, default=MANY_SERVICES, help="of the large mesh; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=60, help="changes of each kind")
    asked = parser.parse_args()
    console = Console(width=140)
    proxies = required("proxies")
    edit = asyncio.run(edited_policy(proxies, asked.services, asked.rounds)) if asked.services else None
    told = asyncio.run(neighbours(proxies, asked.streams, asked.rounds)) if asked.streams else {}
    edits = {f"a policy is edited, {asked.services} services": edit} if edit is not None else {}
    _show(console, {**edits, **{f"{asked.streams} proxies, {what}": one for what, one in told.items()}})
    misses = missed(edit, told)
    for sentence in misses:
        console.print(f"missed: {sentence}", style="red")
    return 1 if misses else 0


if __name__ == "__main__":
    sys.exit(main())
