"""The facts that are kept of a cluster's objects: a namespace, a pod, a service and its slices, the few fields we use.

Separate from Kubernetes' own objects (`object_facts` reads those) because pods are rewritten every few seconds with
nothing that concerns the mesh: what is equal here is not a change. Nothing is decided here.
"""

from collections.abc import Mapping

from msgspec import Struct

from osm.contracts.endpoints import Protocol
from osm.contracts.names import Identity
from osm.contracts.problem import Problem


class Namespace(Struct, frozen=True, kw_only=True):
    """`meshed`: labelled for this mesh, not left out. `injects`: what its annotation says of pods, None if nothing."""

    name: str
    meshed: bool
    injects: bool | None = None


class Pod(Struct, frozen=True, kw_only=True):
    """A pod that runs or will run; one that has ended is gone to the mesh.

    `sidecar`: the unique part of its proxy id; empty without a sidecar.
    `port_names`: named TCP ports of its containers. `injects`: what its own annotation says, None if nothing.
    """

    name: str
    identity: Identity
    uid: str = ""
    labels: Mapping[str, str] = {}
    sidecar: str = ""
    port_names: Mapping[str, int] = {}
    addresses: tuple[str, ...] = ()
    injects: bool | None = None


class Port(Struct, frozen=True, kw_only=True):
    """A TCP port of a service; `target` is a container port's number or its name."""

    port: int
    name: str
    protocol: Protocol
    target: int | str
    field: str
    """Its place in the Service, such as `spec.ports[0]`."""


class Service(Struct, frozen=True, kw_only=True):
    """A service as it is written. Without a selector, its slices alone say which pods are behind it.

    `problems` are those that show without a look at pods.
    """

    name: str
    selector: Mapping[str, str] = {}
    ports: tuple[Port, ...] = ()
    virtual_ips: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()
    generation: str = ""


class Spot(Struct, frozen=True, kw_only=True):
    """One address of a slice. `ready` takes new connections; `draining` is on its way out and still serves."""

    address: str
    ready: bool = True
    draining: bool = False
    pod: str = ""
    pod_uid: str = ""
    zone: str = ""


class Slice(Struct, frozen=True, kw_only=True):
    """Some addresses of a service, all with the same ports: name of the service's port → number at the pod."""

    service: str
    ports: Mapping[str, int] = {}
    spots: tuple[Spot, ...] = ()
