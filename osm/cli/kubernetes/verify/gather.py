"""Reads the facts that `osm verify` judges: pods, their namespaces, and the config dumps of their sidecars."""

from typing import TYPE_CHECKING, Any

import msgspec

from osm.cli.check_pods import targets
from osm.cli.kubernetes.cluster import all_of, look_up
from osm.cli.kubernetes.cluster_options import ClusterOptions
from osm.cli.kubernetes.kubernetes_objects import Pod
from osm.cli.kubernetes.meshes import Mesh
from osm.cli.kubernetes.mode import MeshConfig, Spec
from osm.cli.kubernetes.sidecar import page
from osm.cli.kubernetes.verify.config_dump import Believed, believed
from osm.cli.kubernetes.verify.facts import Called, End, World
from osm.cli.output import CommandError
from osm.k8s.objects import Namespace, Service
from osm.k8s.resource import MESH_CONFIGS, NAMESPACES, PODS, SERVICES, TRAFFIC_TARGETS
from osm.smi.onemesh import MESH_CONFIG_NAME

if TYPE_CHECKING:
    from osm.k8s.client import Cluster

DEFAULT_NAMESPACE = "default"


async def end(cluster: "Cluster", where: ClusterOptions, given: str) -> End:
    """The pod `namespace/name`. Raises CommandError if there is none."""
    own, _, name = given.rpartition("/")
    namespace = own or DEFAULT_NAMESPACE
    pod = await look_up(cluster, PODS, name, namespace, as_=Pod)
    home = await look_up(cluster, NAMESPACES, namespace, as_=Namespace)
    if pod is None or home is None:
        what = f"there is no pod [{name}] in namespace [{namespace}]"
        raise CommandError(what, remedy=f"kubectl get pods -n {namespace}; a pod is named NAMESPACE/POD")
    found, why = await _asked(where, pod)
    return End(pod=pod, namespace=home, believed=found, why=why)


async def _asked(where: ClusterOptions, pod: Pod) -> tuple[Believed, str]:
    """What its sidecar has; or nothing, and why."""
    if not pod.meshed:
        return Believed(), "it has no sidecar"
    try:
        dump = await page(where, pod.metadata.namespace, pod.metadata.name, "config_dump")
        return believed(dump), ""
    except CommandError as error:
        return Believed(), error.what
    except msgspec.DecodeError as error:
        return Believed(), f"its config dump cannot be read: {error}"


async def world(cluster: "Cluster", mesh: Mesh) -> World:
    config = await look_up(cluster, MESH_CONFIGS, MESH_CONFIG_NAME, mesh.namespace, as_=MeshConfig)
    traffic = (config.spec if config is not None else Spec()).traffic
    written = await all_of(cluster, TRAFFIC_TARGETS, as_=dict[str, Any])
    return World(mesh=mesh.name, permissive=traffic.permissive, egress=traffic.egress, targets=targets(written))


async def called(cluster: "Cluster", given: str, namespace: str) -> Called:
    """The service `name` or `namespace/name`; by default in the pod's namespace."""
    own, _, name = given.rpartition("/")
    home = own or namespace
    return Called(namespace=home, name=name, found=await look_up(cluster, SERVICES, name, home, as_=Service))
