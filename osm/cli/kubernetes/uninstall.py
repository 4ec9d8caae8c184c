"""`osm uninstall mesh`: helm takes the release away, we what helm does not know of; nothing is left behind."""

import asyncio
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec import structs

from osm.cli.kubernetes import leftovers
from osm.cli.kubernetes.cluster import all_of, look_up, opened, remove
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.kubernetes.helm import release_status
from osm.cli.kubernetes.helm import uninstall as helm_uninstall
from osm.cli.kubernetes.kubernetes_objects import Pod
from osm.cli.kubernetes.membership import left, pods_in_words
from osm.cli.kubernetes.meshes import Mesh
from osm.cli.kubernetes.program import HELM
from osm.cli.kubernetes.survey import all_meshes
from osm.cli.output import CommandError, stderr, stdout
from osm.cli.run_async import run
from osm.contracts import labels
from osm.k8s.errors import NotFound
from osm.k8s.objects import Namespace, Object
from osm.k8s.resource import CRDS, NAMESPACES, PODS, SECRETS, Resource

if TYPE_CHECKING:
    from osm.k8s.client import Cluster

GONE_WITHIN_S = 45.0
"""Pods are given 30 s to end; a node that is away must not hold the rest up."""

MORE = "What goes with it"
"""A panel of its own and without types: beside others the longest name is cut off on 80 columns."""

app = typer.Typer(no_args_is_help=True, help="Take a mesh away (also: osm delete, osm del).")


@app.callback()
def what() -> None:
    """What to uninstall."""


@app.command("mesh")
@on_cluster
def mesh(
    mesh_name: Annotated[str, typer.Option("--mesh-name", help="The mesh; asks for each by default.")] = "",
    timeout: Annotated[str, typer.Option("--timeout", help="How long helm waits until all is gone.")] = "5m",
    *,
    force: Annotated[bool, typer.Option("--force", "-f", help="Do not ask.")] = False,
    cluster_wide: Annotated[
        bool,
        typer.Option(
            *("--delete-cluster-wide-resources", "-a"),
            help="Delete the definitions (CRDs) too, and so every policy.",
            rich_help_panel=MORE,
            metavar="",
        ),
    ] = False,
    delete_namespace: Annotated[
        bool,
        typer.Option(
            "--delete-namespace",
            help="Delete the control plane's namespace too.",
            rich_help_panel=MORE,
            metavar="",
        ),
    ] = False,
    where: ClusterOptions,
) -> None:
    """Uninstall a mesh: its control plane, its Secrets and webhooks, and its marks on namespaces.

    Policies stay, unless -a deletes their definitions. Pods keep their sidecars until they are restarted.

    Example: osm uninstall mesh --mesh-name osm
    """
    found = run(_candidates(where, mesh_name))
    if not found:
        stdout.print("No OSM control planes found")
    question = "Uninstall OSM [mesh name: {0.name}] in namespace [{0.namespace}] ?"
    chosen = [each for each in found if force or confirmed(question.format(each))]
    if cluster_wide and not force:
        cluster_wide = confirmed("Delete OSM's definitions (CRDs), and with them every policy ?")
    run(_uninstall(where, chosen, timeout, cluster_wide=cluster_wide, with_namespace=delete_namespace))


async def _uninstall(
    where: ClusterOptions, chosen: Iterable[Mesh], timeout: str, *, cluster_wide: bool, with_namespace: bool
) -> None:
    async with opened(where) as cluster:
        for each in chosen:
            await _take_away(cluster, structs.replace(where, osm_namespace=each.namespace), each, timeout)
            if with_namespace:
                await _delete(cluster, NAMESPACES, each.namespace)
            stdout.print(f"OSM [mesh name: {each.name}] in namespace [{each.namespace}] uninstalled", markup=False)
        if cluster_wide:
            await _delete_definitions(cluster)


def confirmed(question: str) -> bool:
    """Whether the user says yes. Raises CommandError if nobody can be asked.

    Outside of any event loop: there Ctrl-C would be heard only after the answer.
    """
    try:
        return input(f"{question} [y/n]: ").strip().lower() in ("y", "yes")
    except EOFError:
        raise CommandError("nobody is there to say yes", remedy="-f does not ask") from None


async def _candidates(where: ClusterOptions, name: str) -> tuple[Mesh, ...]:
    """Meshes that run, and a release that never came to run one."""
    async with opened(where) as cluster:
        meshes = await all_meshes(cluster)
    found = tuple(each for each in meshes if name in ("", each.name) and where.osm_namespace in ("", each.namespace))
    half = Mesh(name=name or "osm", namespace=where.home)
    return found or ((half,) if await release_status(half.name, where) else ())


async def _take_away(cluster: "Cluster", where: ClusterOptions, mesh: Mesh, timeout: str) -> None:
    owner = leftovers.owners(await all_of(cluster, NAMESPACES, as_=Namespace, labels=labels.MONITORED_BY))
    if await release_status(mesh.name, where):
        with stderr.status("helm uninstalls the release"):
            ended = await HELM.run(helm_uninstall(mesh.name, where, timeout))
        if ended.status:
            raise CommandError(f"helm cannot uninstall: {ended.words}", remedy="the same command again, once mended")
    await _gone(cluster, PODS, mesh.namespace, selector=labels.OF_OSM)  # one that runs would write again
    for kind in leftovers.IN_HOME:
        for name in leftovers.of_mesh(mesh.name, await all_of(cluster, kind, mesh.namespace, as_=Object), named=True):
            await _delete(cluster, kind, name, mesh.namespace)
    for kind in leftovers.CLUSTER_WIDE:
        objects = await all_of(cluster, kind, as_=Object, labels=labels.OF_OSM)
        for name in leftovers.of_mesh(mesh.name, objects):
            await _delete(cluster, kind, name)
    secrets = await all_of(cluster, SECRETS, as_=Object, labels=labels.OF_OSM)
    for namespace, name in leftovers.bootstraps(mesh.name, secrets, owner):
        await remove(cluster, SECRETS, name, namespace)
    for namespace in sorted(each for each, mesh_name in owner.items() if mesh_name == mesh.name):
        await _release_namespace(cluster, namespace, mesh.name)


async def _gone(
    cluster: "Cluster", what: Resource, namespace: str = "", *, selector: str = "", names: frozenset[str] | None = None
) -> None:
    """Wait until there are no such objects; `names` None means any name. It does not wait for ever."""
    from osm.k8s.follow import follow  # noqa: PLC0415  # it loads an HTTP client, see `cluster`

    objects: dict[tuple[str, str], Object | None] = {}
    with stderr.status(f"waiting for the last {what}"), suppress(TimeoutError):
        async with asyncio.timeout(GONE_WITHIN_S):
            async for seen in follow(cluster, what, as_=Object, namespace=namespace, labels=selector):
                objects.update(seen.objects)
                if not any(each for (_, name), each in objects.items() if names is None or name in names):
                    return


async def _release_namespace(cluster: "Cluster", namespace: str, mesh: str) -> None:
    try:
        await cluster.patch(NAMESPACES, namespace, left())
    except NotFound:  # somebody has deleted it meanwhile, which is as good
        return
    stdout.print(f"Namespace [{namespace}] successfully removed from mesh [{mesh}]", markup=False)
    sidecars = [pod for pod in await all_of(cluster, PODS, namespace, as_=Pod) if pod.meshed]
    if sidecars:
        until = f"kubectl rollout restart deployment -n {namespace}"
        stderr.print(f"  for now {pods_in_words(len(sidecars))} with a sidecar: {until}")


async def _delete_definitions(cluster: "Cluster") -> None:
    deleted = set()
    for what in leftovers.CRDS:
        found = await look_up(cluster, CRDS, str(what), as_=Object)
        if found is not None and leftovers.is_shared(found, what.group):
            stdout.print(f"Ignoring - OSM did not install CRD: {what}", markup=False)
            continue
        await _delete(cluster, CRDS, str(what), said="OSM CRD")
        deleted.add(str(what))
    await _gone(cluster, CRDS, names=frozenset(deleted))  # their objects go first


async def _delete(cluster: "Cluster", what: Resource, name: str, namespace: str = "", said: str = "") -> None:
    """Delete an object, with the line that OSM says of it."""
    kind = said or f"OSM {what.kind}"
    if await remove(cluster, what, name, namespace):
        stdout.print(f"Successfully deleted {kind}: {name}", markup=False)
    else:
        stdout.print(f"Ignoring - did not find {kind}: {name}", markup=False)
