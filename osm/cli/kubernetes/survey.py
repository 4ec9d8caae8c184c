"""Reads what a cluster has of meshes: control planes, members, and what of a mesh does not run and why."""

import asyncio
from typing import TYPE_CHECKING

from osm.cli.kubernetes.cluster import all_of
from osm.cli.kubernetes.control_plane_state import ControlPlaneState
from osm.cli.kubernetes.kubernetes_objects import Event, Pod, Workload
from osm.cli.kubernetes.meshes import Mesh, meshes
from osm.cli.kubernetes.pod_problems import troubles
from osm.contracts import labels
from osm.k8s.objects import Namespace
from osm.k8s.resource import DEPLOYMENTS, EVENTS, NAMESPACES, PODS, STATEFUL_SETS

if TYPE_CHECKING:
    from osm.k8s.client import Cluster


async def all_meshes(cluster: "Cluster") -> tuple[Mesh, ...]:
    """Every mesh of the cluster. Raises ApiError."""
    deployments, namespaces = await asyncio.gather(
        all_of(cluster, DEPLOYMENTS, as_=Workload, labels=labels.OF_OSM),
        all_of(cluster, NAMESPACES, as_=Namespace, labels=labels.MONITORED_BY),
    )
    return meshes(deployments, namespaces)


async def standing(cluster: "Cluster", namespace: str) -> ControlPlaneState:
    """The control plane in a namespace. Raises ApiError."""
    deployments, sets, pods, events = await asyncio.gather(
        all_of(cluster, DEPLOYMENTS, namespace, as_=Workload, labels=labels.OF_OSM),
        all_of(cluster, STATEFUL_SETS, namespace, as_=Workload, labels=labels.OF_OSM),
        all_of(cluster, PODS, namespace, as_=Pod),
        all_of(cluster, EVENTS, namespace, as_=Event, fields="type=Warning"),
    )
    workloads = tuple(sorted((*deployments, *sets), key=lambda each: each.metadata.name))
    return ControlPlaneState(workloads=workloads, pods=pods, troubles=troubles(workloads, pods, events))
