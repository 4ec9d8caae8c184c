"""`osm policy check-pods`: whether one workload may talk to another, by what is written now.

In a cluster it reads the objects from the API server, and so judges OSM 1.2's meshes too; of a mesh of processes it
reads the bus.
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from osm.cli.allowed import End, Judgement, judge
from osm.cli.client import BusOption, in_cluster, mesh, of_kind, picture
from osm.cli.kubernetes.cluster import all_of, look_up, opened
from osm.cli.kubernetes.cluster_options import ClusterOptions, on_cluster
from osm.cli.kubernetes.kubernetes_objects import Pod
from osm.cli.kubernetes.meshes import chosen
from osm.cli.kubernetes.mode import MeshConfig, is_permissive
from osm.cli.kubernetes.sidecar import require_sidecar
from osm.cli.kubernetes.survey import all_meshes
from osm.cli.output import CommandError, Format, OutputOption, stdout, structured
from osm.cli.proxy import choose
from osm.cli.run_async import run
from osm.contracts.channels import MESH, TRAFFIC_TARGET, WORKLOAD
from osm.contracts.names import Identity
from osm.contracts.policy import Mesh, TrafficTarget
from osm.k8s.resource import MESH_CONFIGS, PODS, TRAFFIC_TARGETS, Resource
from osm.manifests import RawDocument
from osm.smi.onemesh import MESH_CONFIG_NAME
from osm.smi.parsing import parse

if TYPE_CHECKING:
    from osm.k8s.client import Cluster

DEFAULT_NAMESPACE = "default"


@on_cluster
def check_pods(
    source: Annotated[
        str, typer.Argument(metavar="SOURCE", help="NAMESPACE/POD that calls; of a mesh of processes its id.")
    ],
    destination: Annotated[str, typer.Argument(metavar="DESTINATION", help="The same of the one that is called.")],
    bus: BusOption = None,
    output: OutputOption = Format.table,
    *,
    where: ClusterOptions,
) -> None:
    """Say whether a pod may talk to another, and by which TrafficTarget. Exit status 1 if not.

    Example: osm policy check-pods bookbuyer/bookbuyer-7d4b9c6f5-x2x8q bookstore/bookstore-v1-5d8f7b9c4-k9m2n
    """
    reading = (
        _from_cluster(where, source, destination)
        if in_cluster(bus, where)
        else _from_bus(bus, where, source, destination)
    )
    judged = run(reading)
    if output is not Format.table:
        structured(judged, output)
    else:
        for line in judged.lines:
            stdout.print(line, markup=False, soft_wrap=True)
    if not judged.allowed:
        raise typer.Exit(1)


async def _from_cluster(where: ClusterOptions, source: str, destination: str) -> Judgement:
    async with opened(where) as cluster:
        ends = [await _pod(cluster, name) for name in (source, destination)]
        found = await all_meshes(cluster)
        home = chosen(found, "", where.osm_namespace).namespace
        config = await look_up(cluster, MESH_CONFIGS, MESH_CONFIG_NAME, home, as_=MeshConfig)
        written = await all_of(cluster, TRAFFIC_TARGETS, as_=dict[str, Any])
        return judge(ends[0], ends[1], targets(written), permissive=is_permissive(config))


async def _pod(cluster: "Cluster", given: str) -> End:
    """Raises CommandError if there is no such pod, or it has no sidecar."""
    namespace, _, name = given.rpartition("/")
    namespace = namespace or DEFAULT_NAMESPACE
    found = await look_up(cluster, PODS, name, namespace, as_=Pod)
    if found is None:
        raise CommandError(
            f"there is no pod [{name}] in namespace [{namespace}]", remedy=f"kubectl get pods -n {namespace}"
        )
    require_sidecar(found)
    return End(name=f"{namespace}/{name}", identity=Identity(namespace, found.spec.service_account_name or "default"))


def targets(written: Iterable[dict[str, Any]]) -> tuple[TrafficTarget, ...]:
    """Those that are in force: valid in themselves, as the mesh reads them."""
    parsed = (parse(raw(TRAFFIC_TARGETS, body)).object for body in written)
    return tuple(each for each in parsed if isinstance(each, TrafficTarget))


def raw(what: Resource, body: dict[str, Any]) -> RawDocument:
    """An object of the API server as those of a folder are read."""
    return RawDocument(
        kind=what.kind,
        api_version=what.api_version,
        namespace=body["metadata"]["namespace"],
        name=body["metadata"]["name"],
        body=body,
    )


async def _from_bus(bus: str | None, where: ClusterOptions, source: str, destination: str) -> Judgement:
    async with mesh(bus, where) as connected:
        workloads = {each.proxy_id: each.identity for each in of_kind(await picture(connected, "endpoints"), WORKLOAD)}
        names = [choose(given, sorted(workloads)) for given in (source, destination)]
        ends = [End(name=name, identity=workloads[name]) for name in names]
        settings = of_kind(await picture(connected, "catalog"), MESH) or [Mesh()]
        written = of_kind(await picture(connected, "meshspec"), TRAFFIC_TARGET)
        return judge(ends[0], ends[1], written, permissive=settings[0].permissive)
