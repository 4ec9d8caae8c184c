"""An hour of churn, and whether memory and descriptors are flat after it.

    python -m bench.soak [--minutes 60] [--streams 200] [--seed 1]

Proxies come, go and stall (`bench.churn`), endpoints flap, certificates live for seconds and are renewed. Now and then
all proxies leave, and what the control plane holds with nobody connected is noted: between two such moments nothing
that a proxy left behind may have stayed. The verdict is a line through these notes, the first third left out: what it
rises in the whole time may not be more than the tolerance. No bound on time: it means the same on a slow machine.
"""

import argparse
import asyncio
import itertools
import sys
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import linear_regression, mean
from tempfile import TemporaryDirectory

from msgspec import Struct
from rich.console import Console

from bench.child import Child, child
from bench.churn import Visits
from bench.mesh import Connected, Serving, Usage
from bench.world import SERVICES
from osm.runtime.tracing import KEPT_SPANS

NOTES = 24
FLAP_EVERY_S = 0.1
LEAF_LIFETIME_S = 20
LEAVE_WITHIN_S = 60.0
"""A stalled proxy's stream is ended by its connection's end; gRPC takes a moment to let go."""

CALM_S = 2.0
"""After the last has left: what it held is let go, and given back to the system a second later (`AFTER_S`)."""

NO_CACHES = "glibc.malloc.tcache_count=0"
"""glibc keeps what a thread has freed for that thread, up to 236 KB, and gRPC has some thirty threads: it takes hours
until those are full, and a leak of 7 MB would look the same."""

TOLERATED_GROWTH = 0.05
"""Of memory over the whole time: allocators keep some of what they ever had, a leak goes on and on."""
TOLERATED_FDS = 2


class Soaked(Struct, frozen=True, kw_only=True):
    """All notes, in order, and what happened in between."""

    notes: tuple[Usage, ...]
    visits: Visits


def growth(notes: tuple[Usage, ...], what: str) -> float:
    """By how much it has grown, as a line through the notes but the first third says; absolute."""
    kept = notes[len(notes) // 3 :]
    at_s = [note.at_s for note in kept]
    values = [float(getattr(note, what)) for note in kept]
    return linear_regression(at_s, values).slope * (at_s[-1] - at_s[0])


def faults(notes: tuple[Usage, ...], tolerated: float = TOLERATED_GROWTH) -> tuple[str, ...]:
    """What is not flat, as sentences."""
    found = []
    for what, unit, words in (("rss_bytes", 1e6, "MB of memory"), ("blocks", 1.0, "blocks of Python's allocator")):
        grown, allowed = growth(notes, what), tolerated * mean(getattr(note, what) for note in notes)
        if grown > allowed:
            found.append(f"{words}: grown by {grown / unit:.4g}, allowed is {allowed / unit:.4g}")
    if (more := descriptors(notes)) > TOLERATED_FDS:
        found.append(f"descriptors: {more} more, allowed are {TOLERATED_FDS}")
    return tuple(found)


def descriptors(notes: tuple[Usage, ...]) -> int:
    """How many more than before: the fewest of the last third against the fewest of the second.

    gRPC closes what a proxy left behind a moment later, so single notes differ; what is never closed adds up.
    """
    third = len(notes) // 3
    return min(note.fds for note in notes[-third:]) - min(note.fds for note in notes[third:-third])


async def soak(
    minutes: float, streams: int, seed: str, notes: int = NOTES, told: Callable[[Usage], object] = lambda _: None
) -> Soaked:
    """`told` hears each note when it is made. Raises ChildFailed, TimeoutError."""
    async with AsyncExitStack() as held:
        folder = Path(held.enter_context(TemporaryDirectory(prefix="osm-soak-")))
        mesh = await held.enter_async_context(
            child("bench.mesh", folder, streams, SERVICES, LEAF_LIFETIME_S, GLIBC_TUNABLES=NO_CACHES)
        )
        target = (await mesh.answer(Serving)).target
        churn = await held.enter_async_context(child("bench.churn", folder, target, seed))
        await churn.answer(Visits)
        flaps, noted = itertools.count(), []
        for _ in range(KEPT_SPANS):  # the newest traces are kept: from now on as many as there ever will be
            await mesh.ask(Connected, "flap", next(flaps))
        for _ in range(notes):
            await churn.ask(Visits, "scatter")
            await _flap(mesh, flaps, minutes * 60 / notes)
            visits = await churn.ask(Visits, "gather")
            noted.append(await _calm(mesh))
            told(noted[-1])
    return Soaked(notes=tuple(noted), visits=visits)


async def _flap(mesh: Child, flaps: "itertools.count[int]", seconds: float) -> None:
    until_s = time.monotonic() + seconds
    while time.monotonic() < until_s:
        await mesh.ask(Connected, "flap", next(flaps))
        await asyncio.sleep(FLAP_EVERY_S)


async def _calm(mesh: Child) -> Usage:
    """Once nobody is connected. Raises TimeoutError."""
    async with asyncio.timeout(LEAVE_WITHIN_S):
        while (await mesh.ask(Usage, "usage")).streams:  # noqa: ASYNC110  # it is another process that is asked
            await asyncio.sleep(0.1)
    await asyncio.sleep(CALM_S)
    return await mesh.ask(Usage, "usage without garbage")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--streams", type=int, default=200)
    parser.add_argument("--seed", default="1")
    asked = parser.parse_args()
    console = Console(width=140)
    console.print(f"{NOTES} notes of what is held with nobody connected, one in {asked.minutes / NOTES:.1f} minutes")
    console.print(f"{'':8}{'memory, MB':>12}{'descriptors':>13}{'blocks':>10}{'pushes so far':>15}", style="bold")
    count = itertools.count(1)

    def told(note: Usage) -> None:
        place = f"{next(count)} of {NOTES}"
        console.print(
            f"{place:8}{note.rss_bytes / 1e6:12.1f}{note.fds:13}{note.blocks:10}{note.pushes:15}", highlight=False
        )

    soaked = asyncio.run(soak(asked.minutes, asked.streams, asked.seed, told=told))
    visits = soaked.visits
    console.print(f"{visits.visits} visits, of them {visits.stalls} stalled; {visits.broken} were ended by xds")
    wrong = faults(soaked.notes)
    for sentence in wrong:
        console.print(f"not flat: {sentence}", style="red")
    if not wrong:
        grown = growth(soaked.notes, "rss_bytes") / 1e6
        console.print(f"flat: memory {grown:+.2f} MB, descriptors {descriptors(soaked.notes):+}", style="green")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
