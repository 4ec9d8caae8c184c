"""The check on a bookstore mesh that runs already: `docker compose run --rm check`.

Apart from `command`, which starts a mesh of its own. It runs where the apps run, since it asks them and their
sidecars at their own addresses; edits of the manifests are taken back step by step.
"""

import os
from pathlib import Path
from typing import Annotated

import typer

from osm.bus.connect import connect
from osm.cli.demo.command import open_stage, prove
from osm.cli.demo.manifest_copy import ManifestCopy
from osm.cli.nats_access import NatsAccess
from osm.cli.output import CommandError, Format, OutputOption, fail
from osm.cli.run_async import run


def standing(
    *,
    bus: Annotated[str, typer.Option(envvar="OSM_BUS", help="The mesh's bus; credentials from OSM_NATS_….")],
    manifests: Annotated[Path, typer.Option(help="The folder that the mesh follows.", exists=True, file_okay=False)],
    run_folder: Annotated[Path, typer.Option(help="The run folder of its workloads.", exists=True, file_okay=False)],
    xds: Annotated[str, typer.Option(help="Where its sidecars find xds: host:port.")],
    output: OutputOption = Format.table,
) -> None:
    """Prove every claim of the demo on a mesh that runs, from beside its apps."""
    try:
        raise typer.Exit(run(_prove(bus, ManifestCopy(manifests), run_folder, xds, output)))
    except CommandError as error:
        fail(error)


async def _prove(bus: str, workshop: ManifestCopy, run_folder: Path, xds: str, output: Format) -> int:
    reach = NatsAccess.told(bus, os.environ)
    async with (
        connect(bus, "cli", reach.settings("cli")) as connected,
        open_stage(connected, workshop, run_folder, xds, renews_soon=False) as stage,
    ):
        return await prove(stage, output)


if __name__ == "__main__":
    typer.run(standing)
