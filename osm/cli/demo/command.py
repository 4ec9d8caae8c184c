"""Starts the bookstore mesh and hands it to the live terminal, the check, or a plain narration.

Apart from the command's options (`entry`), which every `osm --help` reads: what is imported here takes half a second.
"""

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp

from osm.bus import Bus
from osm.cli.demo.check import Result, check
from osm.cli.demo.manifest_copy import ManifestCopy
from osm.cli.demo.mesh_status import MeshStatus, TooSlow
from osm.cli.demo.shop import WORKLOADS, Shop
from osm.cli.demo.stage import Stage
from osm.cli.find_mesh import program
from osm.cli.machine.run_folder import RunFolder
from osm.cli.machine.start import Carrier, started
from osm.cli.machine.up import narrate
from osm.cli.output import CommandError, Format, stderr, stdout, structured
from osm.cli.run_async import run
from osm.runtime.settings import LogLevel

START_WITHIN_S = 60.0
"""A mesh that is not up by then will not be; it takes about 3 s."""

CHECK_PROXY_LIFE_S = 20
"""Proxies' certificates for xds in the check: short enough to be renewed within it."""


def perform(place: RunFolder, carried: Carrier, log_level: LogLevel, output: Format, *, check_it: bool) -> int:
    """Run the mesh until it is proven, or until its user has seen enough; the exit status."""
    if check_it:
        return run(_check(place, carried, log_level, output))
    run(_live(place, carried, log_level))
    return 0


async def _check(place: RunFolder, carried: Carrier, log_level: LogLevel, output: Format) -> int:
    async with _stage(place, carried, log_level, proxy_lifetime_s=CHECK_PROXY_LIFE_S) as stage:
        return await prove(stage, output)


async def prove(stage: Stage, output: Format) -> int:
    """Make every step and tell each; the exit status."""
    results: list[Result] = []
    async for result in check(stage):
        results.append(result)
        if output is Format.table:
            print_result(result)
    passed = sum(result.passed for result in results)
    if output is Format.table:
        stdout.print(f"[bold]{passed} of {len(results)} steps passed[/]")
    else:
        structured({"steps": results, "passed": passed == len(results)}, output)
    return 0 if passed == len(results) else 1


def print_result(result: Result) -> None:
    """One step for a person: verdict, what was asked, what was measured."""
    verdict = "[green]pass[/]" if result.passed else "[bold red]FAIL[/]"
    stdout.print(f"{verdict}  [bold]{result.name}[/] [dim]{result.seconds:g} s[/]")
    stdout.print(f"      asked:    {result.asked}", markup=False, soft_wrap=True)
    stdout.print(f"      measured: {result.measured}", markup=False, soft_wrap=True)


async def _live(place: RunFolder, carried: Carrier, log_level: LogLevel) -> None:
    async with _stage(place, carried, log_level) as stage:
        if sys.stdin.isatty() and stdout.is_terminal:
            from osm.cli.demo.live import LiveDemo  # noqa: PLC0415  # needs a terminal's modules

            await LiveDemo(stage).run()
            return
        stdout.print(f"manifests to edit: {stage.workshop.folder}", soft_wrap=True)
        stdout.print(f"look inside: {program()} status", soft_wrap=True)
        await narrate(stage.bus)


@asynccontextmanager
async def _stage(
    place: RunFolder, carried: Carrier, log_level: LogLevel, *, proxy_lifetime_s: int = 24 * 3600
) -> AsyncIterator[Stage]:
    """The bookstore mesh, up and in sync."""
    workshop = ManifestCopy.lay_out(place.path / "manifests")
    async with (
        started(
            carried,
            workshop.folder,
            place,
            ca_folder=place.path / "ca",
            log_level=log_level,
            proxy_lifetime_s=proxy_lifetime_s,
        ) as bus,
        open_stage(bus, workshop, place.path, place.xds_listen) as stage,
    ):
        yield stage


@asynccontextmanager
async def open_stage(
    bus: Bus, workshop: ManifestCopy, run_folder: Path, xds: str, *, renews_soon: bool = True
) -> AsyncIterator[Stage]:
    """A stage on a mesh that has been started, once all is in sync. Raises CommandError."""
    board = MeshStatus()
    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        following = tasks.create_task(board.run(bus), name="board")
        with stderr.status("starting the mesh") as spinner:
            waiting = tasks.create_task(_say_how_far(board, spinner.update), name="progress")
            try:
                await board.until(lambda: board.in_service(WORKLOADS), "the mesh", START_WITHIN_S)
            except TooSlow as error:
                raise CommandError(
                    str(error), remedy="`osm status` from another terminal says what waits for what"
                ) from error
            waiting.cancel()
        yield Stage(
            bus=bus,
            board=board,
            shop=Shop(bus, board, session),
            workshop=workshop,
            run_folder=run_folder,
            xds=xds,
            renews_soon=renews_soon,
        )
        following.cancel()


async def _say_how_far(board: MeshStatus, say: Callable[[str], None]) -> None:
    while True:
        say(f"starting the mesh: {board.how_far()}")
        await asyncio.sleep(0.1)
