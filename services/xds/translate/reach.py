"""What a proxy may call: service ports, whose endpoints, and where a split sends them.

Separate because it is the only deciding part of the outbound side: no Envoy message is made here, and what is not in
its result gets neither a route nor a cluster.
"""

from collections.abc import Mapping

from msgspec import Struct

from osm.contracts.catalog import MeshService
from osm.contracts.endpoints import HTTP_PROTOCOLS, ServicePort
from osm.contracts.names import Identity, ObjectRef, Port, ServiceName
from osm.contracts.policy import HttpMatch
from services.xds.translate.model import ALL, AssignmentKey, View, cluster_name


class Share(Struct, frozen=True, kw_only=True):
    """A backend's cluster and its part of a split. The cluster is missing if the backend is out of reach."""

    cluster: str
    weight: int


class Division(Struct, frozen=True, kw_only=True):
    """A split as it applies to one service port; at least one share has a weight."""

    origin: ObjectRef
    shares: tuple[Share, ...]
    matches: tuple[HttpMatch, ...] = ()


class Destination(Struct, frozen=True, kw_only=True, cache_hash=True):
    """One reachable service port.

    `accounts` is who may answer; empty if the service has no workloads of its own, such as a root that is only split.
    """

    service: ServiceName
    port: ServicePort
    accounts: tuple[Identity, ...]
    assignment: AssignmentKey
    virtual_ips: tuple[str, ...] = ()
    pod_ips: tuple[str, ...] = ()
    division: Division | None = None

    @property
    def name(self) -> str:
        return cluster_name(self.service, self.port.port)

    @property
    def direct(self) -> str:
        """The cluster that leads to the very pod that the app has dialled."""
        return f"{self.name}|direct"

    @property
    def http(self) -> bool:
        return self.port.protocol in HTTP_PROTOCOLS

    @property
    def origins(self) -> tuple[ObjectRef, ...]:
        return (self.division.origin,) if self.division else ()


def destinations(view: View) -> tuple[Destination, ...]:
    """All that may be called, sorted by service and port.

    Who may be called is the catalog's word; a split's root needs no pods, so its accounts may be empty.
    No other service is looked at, so that a change of one that is out of reach changes nothing here.
    """
    allowed = _allowed(view)
    within = {name: view.services[name] for name in sorted(allowed) if name in view.services}
    return tuple(
        Destination(
            service=name,
            port=port,
            accounts=allowed[name],
            assignment=AssignmentKey(
                service=name, port=port.port, accounts=ALL if view.mesh.permissive else allowed[name]
            ),
            virtual_ips=tuple(sorted(each.service.virtual_ips)),
            pod_ips=tuple(sorted(each.service.pod_ips)),
            division=_division(each, port, within),
        )
        for name, each in within.items()
        for port in _ports(each)
    )


def _allowed(view: View) -> Mapping[ServiceName, tuple[Identity, ...]]:
    if view.mesh.permissive:
        return {name: tuple(sorted(each.service.accounts)) for name, each in view.services.items()}
    upstreams = view.policy.upstreams if view.policy else ()
    return {upstream.service: tuple(sorted(upstream.accounts)) for upstream in upstreams}


def _ports(service: MeshService) -> tuple[ServicePort, ...]:
    """By number; of two entries with one number the first counts."""
    found: dict[Port, ServicePort] = {}
    for port in sorted(service.service.ports):
        found.setdefault(port.port, port)
    return tuple(found.values())


def _division(root: MeshService, on: ServicePort, within: Mapping[ServiceName, MeshService]) -> Division | None:
    """None without a split, or if no backend with a weight has the port: then the root serves its own calls.

    None too for a connection where the split is for certain requests only: what is in it nobody has looked at.

    SMI TrafficSplit: a backend that lacks the root's port takes no part. One that does not exist or is out of reach
    does: its share fails, as the user asked for it.
    """
    if root.split is None or (root.split.matches and on.protocol not in HTTP_PROTOCOLS):
        return None
    port = on.port
    backends = [b for b in root.split.backends if b.service not in within or _has(within[b.service], port)]
    if not any(backend.weight for backend in backends):
        return None
    shares = (Share(cluster=cluster_name(b.service, port), weight=b.weight) for b in backends)
    return Division(
        origin=root.split.origin,
        shares=tuple(sorted(shares, key=lambda share: (share.cluster, share.weight))),
        matches=root.split.matches,
    )


def _has(service: MeshService, port: Port) -> bool:
    return any(each.port == port for each in service.service.ports)
