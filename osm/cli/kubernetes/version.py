"""`osm version` and `osm env`: what this CLI is, what it takes for granted, and which meshes it sees."""

import asyncio
from importlib.metadata import version as installed_version
from typing import Annotated

import typer

from osm.cli.find_mesh import live, socket_url
from osm.cli.kubernetes.cluster import opened
from osm.cli.kubernetes.cluster_options import ClusterOptions, config_path, on_cluster
from osm.cli.kubernetes.meshes import Mesh
from osm.cli.kubernetes.survey import all_meshes
from osm.cli.output import CommandError, Format, OutputOption, stderr, stdout, structured, table
from osm.cli.run_async import run

MESHES_WITHIN_S = 5.0
"""A version is asked for in a hurry, often with a cluster that is away."""


@on_cluster
def version(
    output: OutputOption = Format.table,
    *,
    client_only: Annotated[bool, typer.Option("--client-only", help="Ask no cluster.")] = False,
    version_only: Annotated[bool, typer.Option("--version-only", help="Print the number alone.")] = False,
    where: ClusterOptions,
) -> None:
    """Print the version of this CLI and of the meshes of the cluster.

    Example: osm version --client-only
    """
    own = installed_version("osm")
    if version_only:
        stdout.print(own)
        return
    found: tuple[Mesh, ...] = () if client_only else _meshes(where)
    if output is not Format.table:
        structured({"cli": own, "meshes": found}, output)
        return
    stdout.print(f"CLI Version: {own}")
    if found:
        stdout.print()
        rows = ((each.name, each.namespace, each.version or "Unknown") for each in found)
        table(("mesh name", "mesh namespace", "version"), rows)
    if any(each.version not in ("", own) for each in found):
        stderr.print("  a mesh has another version than this CLI: osm mesh upgrade", markup=False)


def _meshes(where: ClusterOptions) -> tuple[Mesh, ...]:
    try:
        return run(_ask(where))
    except CommandError as error:
        stderr.print(f"no mesh versions: {error.what}", markup=False)
        return ()


async def _ask(where: ClusterOptions) -> tuple[Mesh, ...]:
    try:
        async with asyncio.timeout(MESHES_WITHIN_S), opened(where) as cluster:
            return await all_meshes(cluster)
    except TimeoutError:
        raise CommandError(f"the cluster did not answer within {MESHES_WITHIN_S:g} s") from None


@on_cluster
def env(
    output: Annotated[Format, typer.Option("--output", "-o", help="yaml or json.")] = Format.yaml,
    *,
    where: ClusterOptions,
) -> None:
    """Print what commands take for granted: the control plane's namespace, the cluster, the meshes that run here.

    Example: osm env
    """
    found = {
        "install": {"kind": "self-hosted", "distribution": "", "namespace": where.home},
        "config": str(config_path()),
        "cluster": {"kubeconfig": where.kubeconfig_files(), "context": where.context},
        "local": [socket_url(path) for path in live()],
    }
    structured(found, Format.yaml if output is Format.table else output)
