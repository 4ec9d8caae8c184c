"""The mesh that is measured, in Kubernetes' words: a Service for each service, its endpoints in an EndpointSlice. Pure.

There are no pods behind them: Istio takes such endpoints as they are, and answers a changed one as it answers a pod
that has moved, with load assignments only.
"""

from typing import Any

from bench.mesh import HUB
from bench.world import NAMESPACE, PORT, World

NAMESPACES = ("istio-system", NAMESPACE)
SERVICES = f"/api/v1/namespaces/{NAMESPACE}/services"
SLICES = f"/apis/discovery.k8s.io/v1/namespaces/{NAMESPACE}/endpointslices"


def namespace(name: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}


def service(world: World, number: int) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": world.service_name(number).name, "namespace": NAMESPACE},
        "spec": {"ports": [{"name": "http", "port": PORT, "targetPort": "http"}]},
    }


def endpoint_slice(world: World, number: int, *, moved: int = 0) -> dict[str, Any]:
    """`moved` as in `bench.world`."""
    name = world.service_name(number).name
    endpoints = [one.address for one in world.service(number, moved=moved).endpoints]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": NAMESPACE, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": endpoints[0].port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [one.host], "conditions": {"ready": True}} for one in endpoints],
    }


def moved_address(world: World, moves: int) -> str:
    """Where the hub's first endpoint is after so many moves; no other endpoint was ever there."""
    after, before = ({one.address.host for one in world.service(HUB, moved=moved).endpoints} for moved in (moves, 0))
    return next(iter(after - before))
