"""`osm namespace`: which namespaces are in a mesh."""

from typing import TYPE_CHECKING, Annotated

import typer

from osm.cli.kubernetes.cluster import all_of, look_up, opened
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.kubernetes.kubernetes_objects import Pod, Workload
from osm.cli.kubernetes.membership import Membership, joined, left, memberships, pods_in_words, refusal, warnings
from osm.cli.output import CommandError, Format, OutputOption, stderr, stdout, structured, table
from osm.cli.run_async import run
from osm.contracts import labels
from osm.k8s.objects import Namespace
from osm.k8s.resource import DEPLOYMENTS, NAMESPACES, PODS

if TYPE_CHECKING:
    from osm.k8s.client import Cluster

app = typer.Typer(no_args_is_help=True, help="Which namespaces are in a mesh (also: osm ns).")

MeshOption = Annotated[str, typer.Option("--mesh-name", help="The mesh, by its name.")]
AnyMeshOption = Annotated[str, typer.Option("--mesh-name", help="The mesh, by its name; all of them by default.")]
Namespaces = Annotated[list[str], typer.Argument(metavar="NAMESPACE...", help="Namespaces that exist.")]


@app.command("add")
@on_cluster
def add(
    namespaces: Namespaces,
    mesh_name: MeshOption = "osm",
    *,
    disable_sidecar_injection: Annotated[
        bool, typer.Option("--disable-sidecar-injection", help="Join without giving new pods a sidecar.")
    ] = False,
    where: ClusterOptions,
) -> None:
    """Add namespaces to a mesh: pods made from then on get a sidecar.

    Example: osm namespace add bookstore bookbuyer
    """
    run(_add(where, namespaces, mesh_name, inject=not disable_sidecar_injection))


async def _add(where: ClusterOptions, namespaces: list[str], mesh: str, *, inject: bool) -> None:
    async with opened(where) as cluster:
        for name in namespaces:
            namespace = await _existing(cluster, name)
            controls = await all_of(cluster, DEPLOYMENTS, name, as_=Workload, labels=labels.OF_OSM)
            said = refusal(namespace, mesh, controls, inject=inject)
            if said is not None:
                if said.status:
                    raise said.error()
                stdout.print(said.what, markup=False)
                continue
            await cluster.patch(NAMESPACES, name, joined(mesh, inject=inject))
            stdout.print(f"Namespace [{name}] successfully added to mesh [{mesh}]", markup=False)
            pods = await all_of(cluster, PODS, name, as_=Pod)
            for warning in warnings(namespace, pods, inject=inject):
                stderr.print(f"  {warning}", markup=False)


@app.command("remove")
@on_cluster
def remove(
    namespace: Annotated[str, typer.Argument(help="A namespace of the mesh.")],
    mesh_name: MeshOption = "osm",
    *,
    where: ClusterOptions,
) -> None:
    """Remove a namespace from a mesh. Pods keep their sidecars until they are restarted.

    Example: osm namespace remove bookstore
    """
    run(_remove(where, namespace, mesh_name))


async def _remove(where: ClusterOptions, name: str, mesh: str) -> None:
    async with opened(where) as cluster:
        namespace = await _existing(cluster, name)
        owner = namespace.metadata.labels.get(labels.MONITORED_BY)
        if owner != mesh:
            found = f"it belongs to mesh [{owner}]" if owner else "it belongs to none"
            remedy = f"osm namespace remove {name} --mesh-name {owner}" if owner else "osm namespace list"
            raise CommandError(f"Namespace [{name}] does not belong to mesh [{mesh}]: {found}", remedy=remedy)
        await cluster.patch(NAMESPACES, name, left())
        stdout.print(f"Namespace [{name}] successfully removed from mesh [{mesh}]", markup=False)
        pods = await all_of(cluster, PODS, name, as_=Pod, labels=labels.PROXY_UUID)
        if pods:
            stderr.print(
                f"  for now {pods_in_words(len(pods))} with a sidecar: kubectl rollout restart deployment -n {name}"
            )


@app.command("ignore")
@on_cluster
def ignore(namespaces: Namespaces, *, where: ClusterOptions) -> None:
    """Have every mesh leave namespaces alone, whatever else their labels say.

    Example: osm namespace ignore monitoring
    """
    run(_ignore(where, namespaces))


async def _ignore(where: ClusterOptions, namespaces: list[str]) -> None:
    async with opened(where) as cluster:
        for name in namespaces:
            await _existing(cluster, name)
            await cluster.patch(NAMESPACES, name, {"metadata": {"labels": {labels.IGNORE: "true"}}})
            stdout.print(f"Successfully configured namespace [{name}] to be ignored", markup=False)


@app.command("list")
@on_cluster
def list_namespaces(
    mesh_name: AnyMeshOption = "", output: OutputOption = Format.table, *, where: ClusterOptions
) -> None:
    """List the namespaces in a mesh, and whether their new pods get sidecars.

    Example: osm namespace list -o json
    """
    found = run(_list(where, mesh_name))
    if output is not Format.table:
        structured(found, output)
        return
    empty = f"No namespaces in mesh [{mesh_name}]" if mesh_name else "No namespaces in any mesh"
    rows = ((each.namespace, each.mesh, each.injection) for each in found)
    table(("namespace", "mesh", "sidecar-injection"), rows, empty=empty)


async def _list(where: ClusterOptions, mesh: str) -> tuple[Membership, ...]:
    async with opened(where) as cluster:
        selector = f"{labels.MONITORED_BY}={mesh}" if mesh else labels.MONITORED_BY
        return memberships(await all_of(cluster, NAMESPACES, as_=Namespace, labels=selector))


async def _existing(cluster: "Cluster", name: str) -> Namespace:
    found = await look_up(cluster, NAMESPACES, name, as_=Namespace)
    if found is None:
        raise CommandError(f"there is no namespace [{name}]", remedy=f"kubectl create namespace {name}")
    return found
