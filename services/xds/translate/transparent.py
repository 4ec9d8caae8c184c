"""Transparent interception: the kernel redirects to 15001 (out) and 15003 (in); the app knows of nothing.

One listener for each direction; a chain is chosen by where the connection was going before it was redirected.
Outbound, a service with virtual addresses has a chain of its own. One without (headless) is found by the Host header
over HTTP, in a chain for its port: by its own name, which stands for any of its endpoints, or by the name of one of
its pods (`db-0.db`). A TCP connection has no name: its address must be that of one of the service's pods. Where the
app has chosen the pod, that is where the connection goes, and the pod must prove that it is one of the service's.
"""

from collections.abc import Iterable
from ipaddress import ip_address

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch, ListenerFilter
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.extensions.filters.listener.original_dst.v3.original_dst_pb2 import OriginalDst
from google.protobuf.wrappers_pb2 import UInt32Value

from osm.contracts.endpoints import Transparent, Workload
from osm.contracts.names import Address, Identity, Port
from osm.contracts.policy import Mesh
from services.xds.translate import inbound, ingress, outbound
from services.xds.translate.cluster import PASSTHROUGH, passthrough_cluster
from services.xds.translate.egress import WaysOut, ways_out
from services.xds.translate.egress_chains import clusters, onward
from services.xds.translate.filters import http_inspector, plain_chain, tcp, tls_inspector
from services.xds.translate.inbound import Served
from services.xds.translate.messages import packed, socket_address
from services.xds.translate.model import Built, Part, Planned, View
from services.xds.translate.port_chains import beside, doors, headless, port_chains, shared_ports, tls_ports
from services.xds.translate.reach import Destination, Share
from services.xds.translate.request_match import ANY_REQUEST, route_match
from services.xds.translate.retry import retries
from services.xds.translate.route import plain_route
from services.xds.translate.tls import MeshTls

OUTBOUND, OUTBOUND_ADDRESS = "outbound", Address("0.0.0.0", 15001)  # noqa: S104 -- redirected traffic only
INBOUND, INBOUND_ADDRESS = "inbound", Address("0.0.0.0", 15003)  # noqa: S104 -- redirected traffic only


def listeners(
    mesh_tls: MeshTls, view: View, reach: tuple[Destination, ...], serves: tuple[Served, ...]
) -> tuple[Part, ...]:
    """At most one for each direction; none where nothing is allowed, so that the connection is refused."""
    reach = _answered(reach)
    ways = beside(ways_out(view, OUTBOUND_ADDRESS.port), _claimed(reach))
    return tuple(built for built in (_outbound(view.mesh, reach, ways), _inbound(mesh_tls, view, serves)) if built)


def routes(workload: Workload, view: View, reach: tuple[Destination, ...]) -> tuple[Part, ...]:
    """One configuration for each service with an address, and for each port where the host says who is called."""
    refusal, reach = _elsewhere(workload.identity, view), _answered(reach)
    again, services = retries(view), dict(headless(reach))
    ways = beside(ways_out(view, OUTBOUND_ADDRESS.port), _claimed(reach))
    found = {door.routes_name: door for door in doors(view.mesh, reach, ways)}
    by_host = (
        outbound.routes_by_host(
            name,
            services.get(door.port, ()),
            workload.identity.namespace,
            onward() if door.onward else refusal,
            again,
            pods=_chosen_by_app(services.get(door.port, ())),
            outside=() if door.onward else ways.hosts_at(door.port),
            port_known=True,
        )
        for name, door in found.items()
    )
    return (*(outbound.own_routes(to, again) for to in _addressed(reach) if to.http), *by_host)


def app_clusters(mode: Transparent, serves: tuple[Served, ...]) -> tuple[Built, ...]:
    return tuple(inbound.app_cluster(it, Address(mode.app_host, it.backed.target_port)) for it in serves)


def pod_clusters(mesh_tls: MeshTls, view: View, reach: tuple[Destination, ...]) -> tuple[Planned, ...]:
    return outbound.direct_clusters(_chosen_by_app(reach), mesh_tls, view)


def egress_clusters(view: View) -> tuple[Built, ...]:
    everything = (Built(name=PASSTHROUGH, message=passthrough_cluster()),) if view.mesh.egress else ()
    return (*everything, *clusters(ways_out(view, OUTBOUND_ADDRESS.port)))


def _outbound(mesh: Mesh, reach: tuple[Destination, ...], ways: WaysOut) -> Planned | None:
    inside = any(to.http or to.virtual_ips or to.pod_ips for to in reach)
    if not (mesh.egress or inside or ways.hosts or ways.gates):
        return None
    by_tcp = tuple(to for to in _addressed(reach) if not to.http)
    return Planned(
        name=OUTBOUND,
        build=_outbound_listener,
        of=(mesh, reach, ways),
        origins=tuple(sorted({*outbound.origins(by_tcp), *ways.origins})),
    )


def _outbound_listener(mesh: Mesh, reach: tuple[Destination, ...], ways: WaysOut) -> Listener:
    found = doors(mesh, reach, ways)
    shared, with_tls = shared_ports(found), tls_ports(ways)
    chains = [*_address_chains(mesh, reach), *port_chains(mesh, found, ways)]
    if mesh.egress:
        chains.append(_dead_end())
    inspectors = [*([tls_inspector(with_tls)] if with_tls else ()), *([http_inspector(shared)] if shared else ())]
    return Listener(
        name=OUTBOUND,
        address=socket_address(OUTBOUND_ADDRESS),
        listener_filters=[_original_dst(), *inspectors],
        continue_on_listener_filters_timeout=bool(inspectors),
        filter_chains=chains,
        default_filter_chain=_egress_chain() if mesh.egress else None,
        traffic_direction=TrafficDirection.OUTBOUND,
    )


def _address_chains(mesh: Mesh, reach: tuple[Destination, ...]) -> Iterable[FilterChain]:
    """An address and port that two services claim goes to the first by name: Envoy takes no match twice."""
    taken: set[tuple[str, Port]] = set()
    for to in reach:
        addresses = to.virtual_ips or (() if to.http else to.pod_ips)
        free = [ip for ip in addresses if (ip, to.port.port) not in taken]
        taken.update((ip, to.port.port) for ip in free)
        if free:
            chain = plain_chain(outbound.stat_prefix(to), _traffic(to, mesh))
            chain.filter_chain_match.CopyFrom(
                FilterChainMatch(
                    destination_port=UInt32Value(value=to.port.port), prefix_ranges=[_host(ip) for ip in free]
                )
            )
            yield chain


def _traffic(to: Destination, mesh: Mesh) -> Filter:
    """A pod that the app has chosen is where it goes, unless a split says otherwise."""
    if to.virtual_ips or to.division:
        return outbound.traffic(to, mesh.tracing)
    return tcp(outbound.stat_prefix(to), [Share(cluster=to.direct, weight=1)])


def _dead_end() -> FilterChain:
    """For an app that dials its sidecar's own port: a chain without filters, which closes.

    Its connection came as it is, so it would be sent on to where it was going: here again, and again, until the
    sidecar has no descriptors left.
    """
    chain = FilterChain(name="outbound.dead-end")
    chain.filter_chain_match.destination_port.value = OUTBOUND_ADDRESS.port
    return chain


def _egress_chain() -> FilterChain:
    return plain_chain("outbound.egress", tcp("outbound.egress", [Share(cluster=PASSTHROUGH, weight=1)]))


def _inbound(mesh_tls: MeshTls, view: View, serves: tuple[Served, ...]) -> Built | None:
    if not serves:
        return None
    listener = Listener(
        name=INBOUND,
        address=socket_address(INBOUND_ADDRESS),
        listener_filters=[tls_inspector(), _original_dst()],
        filter_chains=[
            *(inbound.inbound_chain(it, mesh_tls, view, destination_port=it.backed.target_port) for it in serves),
            *ingress.ingress_chains(serves, mesh_tls, view, by_destination=True),
        ],
        traffic_direction=TrafficDirection.INBOUND,
    )
    origins = {origin for it in serves for origin in inbound.chain_origins(it, view)} | {*mesh_tls.origins}
    origins |= ingress.ingress_origins(serves, view)
    return Built(name=INBOUND, message=listener, origins=tuple(sorted(origins)))


def _answered(reach: Iterable[Destination]) -> tuple[Destination, ...]:
    """Without those that nobody in the mesh answers for: pods without sidecars, addresses written by hand.

    To them an app's connections go on as they would without a mesh, if it lets them out at all (egress).
    Without a headless one, too, at the port of the sidecar itself: who dials the one cannot be told from who dials the
    other, and two chains that match the same spoil a listener for everybody.
    """
    answered = (to for to in reach if to.accounts or to.division)
    return tuple(to for to in answered if to.virtual_ips or not to.http or to.port.port != OUTBOUND_ADDRESS.port)


def _addressed(reach: Iterable[Destination]) -> tuple[Destination, ...]:
    return tuple(to for to in reach if to.virtual_ips)


def _chosen_by_app(reach: Iterable[Destination]) -> tuple[Destination, ...]:
    """Headless destinations with somebody to prove that the pod is theirs."""
    return tuple(to for to in reach if to.accounts and not to.virtual_ips and (to.http or to.pod_ips))


def _elsewhere(identity: Identity, view: View) -> VirtualHost:
    """A host that is no headless service of ours, on the same port: out of the mesh if egress is allowed."""
    if not view.mesh.egress:
        return outbound.refusal(identity, permissive=view.mesh.permissive)
    onward: Route = plain_route(route_match(ANY_REQUEST), PASSTHROUGH)
    return VirtualHost(name="egress", domains=["*"], routes=[onward])


def _original_dst() -> ListenerFilter:
    return ListenerFilter(name="envoy.filters.listener.original_dst", typed_config=packed(OriginalDst()))


def _claimed(reach: Iterable[Destination]) -> frozenset[tuple[str, Port]]:
    """Addresses and ports with a chain of their own."""
    return frozenset((ip, to.port.port) for to in reach for ip in to.virtual_ips or (() if to.http else to.pod_ips))


def _host(ip: str) -> CidrRange:
    return CidrRange(address_prefix=ip, prefix_len=UInt32Value(value=ip_address(ip).max_prefixlen))
