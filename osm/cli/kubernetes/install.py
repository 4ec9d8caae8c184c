"""`osm install`: helm installs the chart; meanwhile it shows what is still waited for."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from osm.cli.kubernetes import progress
from osm.cli.kubernetes.chart import chart_path
from osm.cli.kubernetes.cluster import look_up, opened
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.kubernetes.defining import define
from osm.cli.kubernetes.helm import MeshNameOption, Release, Values, release_status
from osm.cli.kubernetes.meshes import in_the_way
from osm.cli.kubernetes.mode import MeshConfig, told
from osm.cli.kubernetes.pod_problems import advice
from osm.cli.kubernetes.program import HELM, Ended
from osm.cli.kubernetes.survey import all_meshes
from osm.cli.output import CommandError, plain, stderr, stdout
from osm.cli.run_async import run
from osm.k8s.resource import MESH_CONFIGS
from osm.smi.onemesh import MESH_CONFIG_NAME

if TYPE_CHECKING:
    from osm.k8s.client import Cluster

ChartOption = Annotated[
    str, typer.Option("--osm-chart-path", help="Another chart; the one inside this CLI by default.")
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="A value of the chart; may be repeated.")
]
ValuesOption = Annotated[
    list[str] | None, typer.Option("--values", "-f", metavar="FILE", help="A file of values; may be repeated.")
]
TimeoutOption = Annotated[str, typer.Option("--timeout", help="How long to wait until everything is ready.")]
AtomicOption = Annotated[bool, typer.Option("--atomic", help="Undo it if it fails.")]


@on_cluster
def install(
    mesh_name: MeshNameOption = "osm",
    settings: SetOption = None,
    values: ValuesOption = None,
    timeout: TimeoutOption = "5m",
    chart: ChartOption = "",
    *,
    atomic: AtomicOption = False,
    beside_others: Annotated[
        bool, typer.Option("--no-enforce-single-mesh", help="Suffer other meshes in the cluster.")
    ] = False,
    render: Annotated[
        bool, typer.Option("--render", help="Print the manifests, for GitOps, and change nothing.")
    ] = False,
    kube_version: Annotated[
        str,
        typer.Option(
            "--kube-version", metavar="VERSION", help="For --render: the Kubernetes that will run it; helm assumes one."
        ),
    ] = "",
    where: ClusterOptions,
) -> None:
    """Install a mesh with helm, definitions (CRDs) first, and wait until all of it is ready.

    Example: osm install --set=osm.enablePermissiveTrafficPolicy=false
    """
    alone = f"osm.enforceSingleMesh={str(not beside_others).lower()}"
    release = Release(
        mesh=mesh_name,
        where=where,
        chart=Path(chart) if chart else chart_path(),
        values=Values(files=tuple(values or ()), single=(alone, *(settings or ()), f"osm.meshName={mesh_name}")),
        timeout=timeout,
        atomic=atomic,
    )
    if render:
        plain(run(rendered(release, kube_version)))
    else:
        run(_install(release, alone=not beside_others))


async def rendered(release: Release, kube_version: str) -> str:
    """The manifests. Raises CommandError with helm's words."""
    ended = await HELM.run(release.render(kube_version))
    if ended.status:
        assumed = "requires kubeVersion" in ended.words
        remedy = "--kube-version 1.35, or whatever your cluster is" if assumed else "check --set and --values"
        raise CommandError(f"the chart cannot be rendered: {ended.words}", remedy=remedy)
    return ended.out


async def _install(release: Release, *, alone: bool) -> None:
    HELM.path()
    namespace = release.where.home
    async with opened(release.where) as cluster:
        await _refuse(cluster, release, alone=alone)
        stderr.print(f"installing mesh [{release.mesh}] in namespace [{namespace}]", markup=False)
        await define(cluster, release.chart)
        async with progress.shown(cluster, namespace) as seen:
            ended = await _interruptible(release)
            if ended.status:
                raise failure(seen, release, ended, "install")
        stdout.print(
            f"OSM installed successfully in namespace [{namespace}] with mesh name [{release.mesh}]",
            markup=False,
        )
        config = await look_up(cluster, MESH_CONFIGS, MESH_CONFIG_NAME, namespace, as_=MeshConfig)
        for line in told(config, namespace):
            stdout.print(line, markup=False, soft_wrap=True)


async def _interruptible(release: Release) -> Ended:
    """Whoever breaks off is told how to take away what is there by then."""
    try:
        return await HELM.run(release.install())
    except asyncio.CancelledError:
        stderr.print(f"interrupted; what is there so far goes with: {_undone(release)}", markup=False)
        raise


def _undone(release: Release) -> str:
    return f"osm uninstall mesh -f --mesh-name {release.mesh} --osm-namespace {release.where.home}"


async def _refuse(cluster: "Cluster", release: Release, *, alone: bool) -> None:
    """Raises CommandError if something is in the way: another mesh, or a release that is there."""
    standing = in_the_way(await all_meshes(cluster), release.mesh, release.where.home, alone=alone)
    if standing:
        raise CommandError(standing, remedy="osm mesh list; osm mesh upgrade, or osm uninstall mesh")
    found = await release_status(release.mesh, release.where)
    if found:
        raise CommandError(
            f"helm has a release [{release.mesh}] in namespace [{release.where.home}] that is {found}",
            remedy=f"osm uninstall mesh --mesh-name {release.mesh} --osm-namespace {release.where.home}",
        )


def failure(seen: progress.Seen, release: Release, ended: Ended, verb: str) -> CommandError:
    """What went wrong: what each pod that is not ready says for itself, then helm's words."""
    for line in progress.post_mortem(seen):
        stderr.print(f"  {line}", markup=False, soft_wrap=True)
    back = "; it is rolled back" if release.atomic else ""
    again = f"{_undone(release)}, and again" if verb == "install" and not release.atomic else "osm check"
    remedy = "; ".join(advice(seen.troubles)) or again
    return CommandError(f"the {verb} failed{back}: {ended.words}", remedy=remedy)
