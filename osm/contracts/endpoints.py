"""What runs where, under which identity: services with their addresses, and workloads with a sidecar.

`local` writes `LocalWorkload`, one per process it runs; `endpoints` writes the rest, for every platform alike.
Endpoints churn, so they are documents of their own: a pod that comes or goes rewrites one `ServiceEndpoints`.
"""

from typing import Literal

from msgspec import Struct

from osm.contracts.names import Address, DnsLabel, DnsName, Identity, ObjectRef, Port, ServiceName

Protocol = Literal["http", "grpc", "tcp", "tcp-server-first"]
"""What a service port speaks: appProtocol, else the port name's prefix, else http. gRPC is served as HTTP."""

HTTP_PROTOCOLS: frozenset[Protocol] = frozenset({"http", "grpc"})


class MeshIdentity(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A meshed account; certmgr signs for no other."""

    identity: Identity


class ServicePort(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """A port clients use. `name` is empty for the single unnamed port.

    `explicit_port`, on the process platform, is where every sidecar offers this service port to its own app
    (each on its own address), so that clients that know no HTTP proxy can reach it.
    """

    port: Port
    name: str = ""
    protocol: Protocol = "http"
    explicit_port: Port | None = None


class Service(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What changes seldom about a service.

    `accounts`: identities of all workloads selected, ready or not, so that policy does not follow readiness.
    `virtual_ips`: cluster addresses; empty for headless services and on the process platform.
    `pod_ips`: of a headless service with a TCP port, the addresses of all its workloads, ready or not: names lead
    clients straight to these (`db-0.db.shop`), and nothing else of a TCP connection says what it is for.
    """

    name: ServiceName
    ports: tuple[ServicePort, ...]
    accounts: tuple[Identity, ...] = ()
    virtual_ips: tuple[str, ...] = ()
    pod_ips: tuple[str, ...] = ()


class Endpoint(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """One ready address behind one service port: where a sidecar accepts mutual TLS for it."""

    port: Port
    """The service port this endpoint serves (not where it listens)."""
    address: Address
    identity: Identity
    locality: str = ""


class ServiceEndpoints(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A service on one platform: its shape, and every ready endpoint, sorted."""

    service: Service
    endpoints: tuple[Endpoint, ...] = ()


class BareService(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The ready addresses behind a service that have no sidecar, in the mesh's namespaces or outside them, sorted.

    Nothing in the mesh can call them over mutual TLS; they matter as callers (an ingress controller's pods).
    """

    name: ServiceName
    addresses: tuple[str, ...]


class Backed(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """A service port that a workload stands behind, and the container port that serves it there."""

    service: ServiceName
    port: Port
    target_port: Port
    protocol: Protocol = "http"


class InboundPort(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """Explicit mode: for the container port `target_port`, where the sidecar listens and where the app does."""

    target_port: Port
    listen: Address
    app: Address


class Explicit(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="explicit"):
    """No redirection: the app is told where its sidecar listens (process platform, no root needed).

    `http_proxy` is the sidecar's HTTP proxy (`HTTP_PROXY`); upstream service ports are offered on
    `outbound_host` at each port's `explicit_port`.
    """

    http_proxy: Address
    outbound_host: str
    inbound: tuple[InboundPort, ...] = ()


class Transparent(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="transparent"):
    """Traffic is redirected by the kernel to 15001 (out) and 15003 (in); the app knows of nothing."""

    app_host: str = "127.0.0.1"


class Workload(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pod or process with a sidecar. It appears when the pod exists, ready or not.

    `labels` (sorted) end in the catalog, which says what follows from them: a rollout gives every pod new ones.
    """

    proxy_id: DnsName
    identity: Identity
    backs: tuple[Backed, ...] = ()
    interception: Explicit | Transparent
    labels: tuple[tuple[str, str], ...] = ()
    telemetry: ObjectRef | None = None
    """In the catalog's documents: the Telemetry that counts for it; None is that of the mesh, if it has one."""


class LocalWorkload(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A process that the agent runs: the process platform's pod."""

    id: DnsName
    """Also the proxy id: `<deployment>-<ordinal>.<namespace>`."""
    identity: Identity
    labels: tuple[tuple[str, str], ...] = ()
    port_names: tuple[tuple[str, Port], ...] = ()
    """Named container ports, for Services whose targetPort is a name."""
    interception: Explicit | Transparent
    host: str = ""
    """Transparent mode: the workload's own address, where its sidecar accepts every target port."""
    ready: bool = False


def workload_id(namespace: DnsLabel, name: DnsName) -> str:
    """The proxy id of a named workload: unique in the mesh, valid as node id, key part and SPIFFE path part."""
    return f"{name}.{namespace}"
