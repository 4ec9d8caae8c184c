"""Explicit interception: the app is told where its sidecar listens, nothing is redirected.

Outbound there is an HTTP proxy for clients that know `HTTP_PROXY`, and a listener for every upstream port for those
that do not. Inbound there is one listener for each container port. No port is shared between listeners of two
sidecars (`enable_reuse_port` is off), so that a collision is an error at start and not half of the traffic lost.
"""

from collections.abc import Iterable

from envoy.config.core.v3.base_pb2 import TrafficDirection
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from google.protobuf.wrappers_pb2 import BoolValue

from osm.contracts.endpoints import Explicit, InboundPort, Workload
from osm.contracts.names import Address, Port
from services.xds.translate import inbound, ingress, outbound
from services.xds.translate.egress import proxied_hosts
from services.xds.translate.egress_chains import by_name_clusters, look_up, paths_matter
from services.xds.translate.filters import outbound_http, plain_chain, tls_inspector
from services.xds.translate.inbound import Served
from services.xds.translate.messages import socket_address
from services.xds.translate.model import Built, Part, View
from services.xds.translate.reach import Destination
from services.xds.translate.retry import retries
from services.xds.translate.tls import MeshTls

HTTP_PROXY = "outbound-http-proxy"


def listeners(
    mode: Explicit, mesh_tls: MeshTls, view: View, reach: tuple[Destination, ...], serves: tuple[Served, ...]
) -> tuple[Built, ...]:
    """The HTTP proxy, every upstream port, every container port that a service leads to."""
    upstream = (
        _upstream_listener(Address(mode.outbound_host, to.port.explicit_port), to, view)
        for to in reach
        if to.port.explicit_port is not None
    )
    incoming = (_inbound_listener(port, _at(port.target_port, serves), mesh_tls, view) for port in mode.inbound)
    return (_http_proxy(mode.http_proxy, view), *upstream, *(built for built in incoming if built))


def routes(workload: Workload, view: View, reach: tuple[Destination, ...]) -> tuple[Part, ...]:
    """One configuration for the HTTP proxy, and one for each upstream port, where the sidecar says who is called."""
    identity = workload.identity
    refusal = outbound.refusal(identity, permissive=view.mesh.permissive)
    again = retries(view)
    own = (
        outbound.own_routes(to, again, authority=f"{to.service.fqdn}:{to.port.port}")
        for to in reach
        if to.http and to.port.explicit_port is not None
    )
    by_host = outbound.routes_by_host(
        outbound.HTTP_PROXY_ROUTES, reach, identity.namespace, refusal, again, outside=proxied_hosts(view)
    )
    return (by_host, *own)


def app_clusters(mode: Explicit, serves: tuple[Served, ...]) -> tuple[Built, ...]:
    return tuple(inbound.app_cluster(it, port.app) for port in mode.inbound for it in _at(port.target_port, serves))


def egress_clusters(view: View) -> tuple[Built, ...]:
    return by_name_clusters(proxied_hosts(view))


def _http_proxy(address: Address, view: View) -> Built:
    hosts = proxied_hosts(view)
    manager = outbound_http(
        "outbound.http-proxy",
        outbound.HTTP_PROXY_ROUTES,
        view.mesh.tracing,
        filters=look_up(hosts),
        one_spelling_of_paths=paths_matter(hosts),
    )
    return Built(name=HTTP_PROXY, message=_outbound(HTTP_PROXY, address, chain=plain_chain("", manager)))


def _upstream_listener(address: Address, to: Destination, view: View) -> Built:
    name = outbound.stat_prefix(to)
    chain = plain_chain("", outbound.traffic(to, view.mesh.tracing))
    return Built(name=name, message=_outbound(name, address, chain=chain), origins=() if to.http else to.origins)


def _outbound(name: str, address: Address, *, chain: FilterChain) -> Listener:
    return Listener(
        name=name,
        address=socket_address(address),
        filter_chains=[chain],
        traffic_direction=TrafficDirection.OUTBOUND,
        enable_reuse_port=BoolValue(value=False),
    )


def _inbound_listener(port: InboundPort, serves: tuple[Served, ...], mesh_tls: MeshTls, view: View) -> Built | None:
    """None if no service leads to the port: Envoy takes no listener without chains."""
    if not serves:
        return None
    name = f"inbound.{port.target_port}"
    listener = Listener(
        name=name,
        address=socket_address(port.listen),
        listener_filters=[tls_inspector()],
        filter_chains=[
            *(inbound.inbound_chain(it, mesh_tls, view, destination_port=None) for it in serves),
            *ingress.ingress_chains(serves, mesh_tls, view, by_destination=False),
        ],
        traffic_direction=TrafficDirection.INBOUND,
        enable_reuse_port=BoolValue(value=False),
    )
    origins = {origin for it in serves for origin in inbound.chain_origins(it, view)} | {*mesh_tls.origins}
    origins |= ingress.ingress_origins(serves, view)
    return Built(name=name, message=listener, origins=tuple(sorted(origins)))


def _at(target_port: Port, serves: Iterable[Served]) -> tuple[Served, ...]:
    return tuple(it for it in serves if it.backed.target_port == target_port)
