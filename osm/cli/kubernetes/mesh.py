"""`osm mesh`: which meshes the cluster has, and bringing one to this CLI's version."""

from pathlib import Path
from typing import Annotated

import typer
from msgspec import structs

from osm.cli.kubernetes import meshes, progress
from osm.cli.kubernetes.chart import chart_path
from osm.cli.kubernetes.cluster import all_of, opened
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.kubernetes.defining import define
from osm.cli.kubernetes.definitions import Definition
from osm.cli.kubernetes.helm import MeshNameOption, Release, Values
from osm.cli.kubernetes.install import AtomicOption, ChartOption, SetOption, TimeoutOption, ValuesOption, failure
from osm.cli.kubernetes.leftovers import SHARED_GROUPS
from osm.cli.kubernetes.meshes import Mesh
from osm.cli.kubernetes.program import HELM
from osm.cli.kubernetes.survey import all_meshes
from osm.cli.output import CommandError, Format, OutputOption, stdout, structured, table
from osm.cli.run_async import run
from osm.k8s.resource import CRDS

app = typer.Typer(no_args_is_help=True, help="Which meshes the cluster has, and their upgrade.")


@app.command("list")
@on_cluster
def list_meshes(output: OutputOption = Format.table, *, where: ClusterOptions) -> None:
    """List the meshes of the cluster, their namespaces, and the SMI versions they serve.

    Example: osm mesh list -o json
    """
    found, served = run(_list(where))
    if output is not Format.table:
        structured({"meshes": found, "smi": served}, output)
        return
    if not found:
        stdout.print("No OSM control planes found")
        return
    rows = ((each.name, each.namespace, each.version or "Unknown", ", ".join(each.members) or "-") for each in found)
    table(("mesh name", "mesh namespace", "version", "added namespaces"), rows)
    stdout.print()
    smi = ", ".join(served) or "-"
    table(("mesh name", "mesh namespace", "smi supported"), ((each.name, each.namespace, smi) for each in found))
    stdout.print(
        "\nTo see a mesh's pods: kubectl get pods -n <osm-mesh-namespace> -l app.kubernetes.io/name=openservicemesh.io"
    )


async def _list(where: ClusterOptions) -> tuple[tuple[Mesh, ...], tuple[str, ...]]:
    async with opened(where) as cluster:
        definitions = await all_of(cluster, CRDS, as_=Definition)
        return await all_meshes(cluster), smi_served(definitions)


def smi_served(definitions: tuple[Definition, ...]) -> tuple[str, ...]:
    """`Kind:group/version` of every SMI version that the API server serves, as OSM words it."""
    return tuple(
        sorted(
            f"{each.spec.names.kind}:{each.spec.group}/{version}"
            for each in definitions
            if each.spec.group in SHARED_GROUPS
            for version in each.served
        )
    )


@app.command("upgrade")
@on_cluster
def upgrade(
    mesh_name: MeshNameOption = "osm",
    settings: SetOption = None,
    values: ValuesOption = None,
    timeout: TimeoutOption = "5m",
    chart: ChartOption = "",
    *,
    atomic: AtomicOption = False,
    reuse_values: Annotated[
        bool, typer.Option("--reuse-values", help="Keep what was set before; by default every value is the chart's.")
    ] = False,
    where: ClusterOptions,
) -> None:
    """Upgrade a mesh to this CLI's version, definitions (CRDs) first. Proxies stay connected or reconnect.

    Example: osm mesh upgrade --reuse-values
    """
    run(
        _upgrade(
            Release(
                mesh=mesh_name,
                where=where,
                chart=Path(chart) if chart else chart_path(),
                values=Values(files=tuple(values or ()), single=(*(settings or ()), f"osm.meshName={mesh_name}")),
                timeout=timeout,
                atomic=atomic,
                reuse=reuse_values,
            )
        )
    )


async def _upgrade(release: Release) -> None:
    HELM.path()
    async with opened(release.where) as cluster:
        found = meshes.chosen(await all_meshes(cluster), release.mesh, release.where.osm_namespace)
        if found.old:
            what = (
                f"mesh [{found.name}] is OSM {found.version}'s, which has other parts: it cannot be upgraded in place"
            )
            raise CommandError(
                what, remedy="OSM's own osm uninstall mesh (policies stay), then ours: osm install, osm namespace add"
            )
        here = structs.replace(release, where=structs.replace(release.where, osm_namespace=found.namespace))
        await define(cluster, here.chart)
        async with progress.shown(cluster, found.namespace) as seen:
            ended = await HELM.run(here.upgrade())
            if ended.status:
                raise failure(seen, here, ended, "upgrade")
    stdout.print(f"OSM successfully upgraded mesh [{found.name}] in namespace [{found.namespace}]", markup=False)
