"""`osm check`: whether a cluster can take a mesh, or whether the mesh it has does what it should."""

import asyncio
import time
from collections.abc import Iterable
from typing import Annotated

import typer
from rich.markup import escape

from osm.cli.kubernetes.checks import gather
from osm.cli.kubernetes.checks.before import before
from osm.cli.kubernetes.checks.certificates import certificates
from osm.cli.kubernetes.checks.control_plane import control_plane
from osm.cli.kubernetes.checks.facts import After
from osm.cli.kubernetes.checks.line import Line
from osm.cli.kubernetes.checks.members import members
from osm.cli.kubernetes.checks.proxies import policies, proxies
from osm.cli.kubernetes.cluster import opened
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.kubernetes.meshes import chosen
from osm.cli.kubernetes.survey import all_meshes
from osm.cli.output import CommandError, Format, OutputOption, counted, stderr, stdout, structured
from osm.cli.run_async import run
from osm.cli.wait import seconds

LOOK_EVERY_S = 2.0
"""A look costs a few dozen requests and a forwarded port."""

MARKS = {"ok": "[green]ok     [/]", "warning": "[yellow]warning[/]", "error": "[red]error  [/]"}


@on_cluster
def check(
    mesh_name: Annotated[str, typer.Option("--mesh-name", help="The mesh; the only one by default.")] = "",
    timeout: Annotated[str, typer.Option("--timeout", help="For --wait: how long, such as 30s or 5m.")] = "5m",
    output: OutputOption = Format.table,
    *,
    pre: Annotated[bool, typer.Option("--pre", help="Look whether a mesh can be installed.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Look again until there is no error.")] = False,
    where: ClusterOptions,
) -> None:
    """Look at the cluster's mesh from end to end, and say for every fault what to do about it.

    Exit status 1 if there is an error; warnings alone are 0.

    Example: osm check --pre
    """
    lines = run(_checked(where, mesh_name, seconds(timeout) if wait else 0.0, pre=pre))
    faulty = any(line.level == "error" for line in lines)
    if output is Format.table:
        show(lines)
    else:
        structured({"ok": not faulty, "lines": lines}, output)
    if faulty:
        raise typer.Exit(1)


async def _checked(where: ClusterOptions, name: str, patience_s: float, *, pre: bool) -> tuple[Line, ...]:
    deadline_s = time.monotonic() + patience_s
    with stderr.status("looking") as spinner:
        while True:
            lines = await _look(where, name, pre=pre)
            errors = [line for line in lines if line.level == "error"]
            if not errors or time.monotonic() >= deadline_s:
                return lines
            spinner.update(f"not yet: {escape(errors[0].what)}")
            await asyncio.sleep(LOOK_EVERY_S)


async def _look(where: ClusterOptions, name: str, *, pre: bool) -> tuple[Line, ...]:
    async with opened(where) as cluster:
        if pre:
            return tuple(before(await gather.before(cluster, where, name or "osm")))
        mesh = chosen(await all_meshes(cluster), name, where.osm_namespace)
        if mesh.old:
            raise CommandError(
                f"mesh [{mesh.name}] is OSM {mesh.version}'s", remedy="osm check --pre, or osm mesh list"
            )
        return judged(await gather.after(cluster, where, mesh))


def judged(facts: After) -> tuple[Line, ...]:
    """All lines about a mesh that is installed."""
    return tuple(line for area in (control_plane, certificates, members, proxies, policies) for line in area(facts))


def show(lines: Iterable[Line]) -> None:
    """Area by area; under each fault what to do."""
    found = list(lines)
    for area in dict.fromkeys(line.area for line in found):
        stdout.print(f"[bold]{area}[/]")
        for line in (each for each in found if each.area == area):
            stdout.print(f"  {MARKS[line.level]} {escape(line.what)}", soft_wrap=True)
            if line.remedy and line.level != "ok":
                stdout.print(f"          [dim]try:[/] {escape(line.remedy)}", soft_wrap=True)
    stdout.print(counted(*(sum(line.level == level for line in found) for level in ("error", "warning"))))
