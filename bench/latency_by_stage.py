"""The time from a change to the last Envoy, stage by stage, in one process and in separate processes over NATS.

`python -m bench.latency_by_stage` runs the bookstore twice: a policy is changed by an edit of its file, an endpoint by
killing an app, and the times are those that services report of themselves (`Progress`). `--puts` puts endpoint
documents instead (`bench.control_plane`) and follows each by its trace. Both print tables for
docs/separate-processes.md; all times are by this machine's clock.
"""

import argparse
import asyncio
import os
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from msgspec import Struct
from opentelemetry.sdk.trace.export import SimpleSpanProcessor

from bench.control_plane import Burst, Carried, ToldSpans, Way, line, over_nats
from bench.running_services import in_memory
from bench.world import World
from osm.cli.demo.command import open_stage
from osm.cli.demo.manifest_copy import ManifestCopy
from osm.cli.demo.shop import STORES, WAREHOUSE, WORKLOADS
from osm.cli.demo.stage import Stage
from osm.cli.machine.run_folder import run_folder
from osm.cli.machine.start import MEMORY, OWN, Carrier, started
from osm.cli.run_async import run
from osm.contracts.channels import PROGRESS
from osm.runtime.process import observed
from osm.runtime.settings import Common

POLICY_ROUNDS = 30
ENDPOINT_ROUNDS = 4
"""An app that crashes again and again is started ever later, so each of three is killed this often only."""

PUTS = 200
WARM_UP_PUTS = 20
BURSTS: dict[str, tuple[int, ...]] = {"100 at once": (99, 1), "100 one by one": (1,) * 100}
"""Documents in each write. `endpoints` writes all that changed while its last write was under way in one."""

BURST_ROUNDS = 10
PUTS_WORLD = World(streams=5, services=100, endpoints_each=5, identities=5)
"""As many proxies as the bookstore has, each with every service."""

CARRIED: dict[str, Carried] = {"one process": in_memory, "each hop over NATS": over_nats}

SETTLED_S = 0.2
"""Between two changes: none shall wait for the one before."""


class Leg(Struct, frozen=True, kw_only=True):
    """One change's way, milliseconds: to its owner's publication, from there through the catalog, to the last ACK."""

    owner_ms: float
    catalog_ms: float
    proxies_ms: float

    @property
    def total_ms(self) -> float:
        return self.owner_ms + self.catalog_ms + self.proxies_ms


async def leg(stage: Stage, owner: str, change: Callable[[], None]) -> Leg:
    """Make the change, and follow it. Raises TooSlow."""
    board = stage.board
    before, began_s = board.revision(owner), time.time()
    change()
    live = await board.live(owner, before)
    lines = {line.service: line for line in board.lines(PROGRESS)}
    owned_s, catalog_s = lines[owner].at_s, lines["catalog"].at_s
    return Leg(
        owner_ms=(owned_s - began_s) * 1000,
        catalog_ms=(catalog_s - owned_s) * 1000,
        proxies_ms=(live.at_s - catalog_s) * 1000,
    )


async def policies(stage: Stage) -> list[Leg]:
    found = []
    for number in range(POLICY_ROUNDS):
        edit = stage.workshop.split((50, 50) if number % 2 else (60, 40))
        found.append(await leg(stage, "meshspec", edit.apply))
        await asyncio.sleep(SETTLED_S)
    return found


async def endpoints(stage: Stage) -> list[Leg]:
    found = []
    for _ in range(ENDPOINT_ROUNDS):
        for workload in (*STORES, WAREHOUSE):
            pid = stage.board.processes()[workload].app_pid
            assert pid is not None, "in service, so it runs"
            found.append(await leg(stage, "endpoints", partial(os.kill, pid, signal.SIGKILL)))
            await asyncio.sleep(SETTLED_S)
            await stage.board.until(lambda: stage.board.in_service(WORKLOADS), "the app, again", 60.0)
            await asyncio.sleep(SETTLED_S)
    return found


KINDS: tuple[tuple[str, str, Callable[[Stage], Awaitable[list[Leg]]]], ...] = (
    ("a policy's file is edited", "meshspec", policies),
    ("an app is killed", "local, endpoints", endpoints),
)


async def measure(where: str) -> dict[str, list[Leg]]:
    with run_folder(f"distance-{where}-{os.getpid()}") as place:
        workshop = ManifestCopy.lay_out(place.path / "manifests")
        async with (
            started(
                Carrier(where=where), workshop.folder, place, ca_folder=place.path / "ca", log_level="warning"
            ) as bus,
            open_stage(bus, workshop, place.path, place.xds_listen) as stage,
        ):
            return {name: await walk(stage) for name, _, walk in KINDS}


def table(found: dict[str, dict[str, list[Leg]]]) -> str:
    """Markdown: a row for each kind of change and carrier; medians, and the total's largest."""
    lines = [
        "| change | carried by | owner publishes | catalog | xds, last ACK | all, median | all, slowest | changes |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, owner, _ in KINDS:
        for where, kinds in found.items():
            legs = kinds[name]
            middle = [statistics.median(part) for part in _parts(legs)]
            cells = " | ".join(f"{each:.0f} ms" for each in (*middle, max(one.total_ms for one in legs)))
            carrier = "one process" if where == MEMORY else "separate processes over NATS"
            lines.append(f"| {name} ({owner}) | {carrier} | {cells} | {len(legs)} |")
    return "\n".join(lines) + "\n"


def _parts(legs: list[Leg]) -> list[list[float]]:
    return [
        [one.owner_ms for one in legs],
        [one.catalog_ms for one in legs],
        [one.proxies_ms for one in legs],
        [one.total_ms for one in legs],
    ]


class Put(Struct, frozen=True, kw_only=True):
    """What putting endpoint documents has shown over one carrier: one at a time, and many at once."""

    ways: tuple[Way, ...]
    bursts: dict[str, tuple[Burst, ...]]


async def put(carried: Carried, spans: ToldSpans) -> Put:
    """The next put follows the last ACK of the one before without a pause."""
    with tempfile.TemporaryDirectory(prefix="osm-distance-") as place:
        async with carried(Path(place)) as opened, line(opened, Path(place), PUTS_WORLD, spans) as mesh:
            for _ in range(WARM_UP_PUTS):
                await mesh.way()
            ways = tuple([await mesh.way() for _ in range(PUTS)])
            bursts = {
                name: tuple([await mesh.burst(writes) for _ in range(BURST_ROUNDS)]) for name, writes in BURSTS.items()
            }
            return Put(ways=ways, bursts=bursts)


async def all_put() -> dict[str, Put]:
    spans = ToldSpans()
    with observed("distance", Common(log_level="warning")) as eyes:
        eyes.traces.provider.add_span_processor(SimpleSpanProcessor(spans))
        return {where: await put(carried, spans) for where, carried in CARRIED.items()}


def puts_table(found: dict[str, Put]) -> str:
    """Markdown: a row for each carrier, medians; then the bursts."""
    lines = [
        "| an endpoint document is put | bus, to catalog | catalog, bus, to xds | xds, push, last ACK "
        "| all, median | all, p99 | puts |",
        "|---|---|---|---|---|---|---|",
    ]
    for where, one in found.items():
        totals = [way.total_ms for way in one.ways]
        cells = [
            statistics.median(way.to_catalog_ms for way in one.ways),
            statistics.median(way.to_xds_ms for way in one.ways),
            statistics.median(way.to_ack_ms for way in one.ways),
            statistics.median(totals),
            statistics.quantiles(totals, n=100)[98],
        ]
        lines.append(f"| {where} | {' | '.join(f'{each:.1f} ms' for each in cells)} | {len(totals)} |")
    lines += [
        "",
        "| a burst of puts | carried by | the bus has all | last ACK of all | batches at xds | responses a proxy |",
        "|---|---|---|---|---|---|",
    ]
    lines += [burst_row(name, where, one.bursts[name]) for name in BURSTS for where, one in found.items()]
    return "\n".join(lines) + "\n"


def burst_row(name: str, where: str, bursts: tuple[Burst, ...]) -> str:
    """Medians."""
    put_ms = statistics.median(burst.put_ms for burst in bursts)
    acked_ms = statistics.median(burst.acked_ms for burst in bursts)
    batches = statistics.median(burst.batches for burst in bursts)
    pushes = statistics.median(burst.pushes_each for burst in bursts)
    return f"| {name} | {where} | {put_ms:.0f} ms | {acked_ms:.0f} ms | {batches:.0f} | {pushes:.0f} |"


def main() -> int:
    parser = argparse.ArgumentParser(description="from a change to the last Envoy, in one process and over NATS")
    parser.add_argument("--puts", action="store_true", help="put endpoint documents, to light proxies; no Envoy runs")
    parser.add_argument("--write", type=Path, help="also write the tables to this file")
    arguments = parser.parse_args()
    if arguments.puts:
        tables = puts_table(run(all_put()))
    else:
        tables = table({where: run(measure(where)) for where in (MEMORY, OWN)})
    sys.stdout.write(tables)
    if arguments.write is not None:
        arguments.write.write_text(tables)
    return 0


if __name__ == "__main__":
    os.environ.setdefault("GRPC_ENABLE_FORK_SUPPORT", "false")
    sys.exit(main())
