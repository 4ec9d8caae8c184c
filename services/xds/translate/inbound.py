"""The inbound side: for each service and container port that the workload stands behind, a chain, its routes with
access control, and the cluster of the app.

How traffic gets here differs between the interception modes; what is done with it does not.

Two ports of a service that lead to the same container port cannot be told apart by what arrives (the server name says
the service, the listener or destination the container port), so they share one chain under the lower port's name.
"""

from collections.abc import Iterable

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch
from envoy.config.rbac.v3.rbac_pb2 import RBAC
from msgspec import Struct

from osm.contracts.catalog import HttpGrant, TcpGrant
from osm.contracts.endpoints import HTTP_PROTOCOLS, Backed, Workload
from osm.contracts.names import Address, ObjectRef, Port, ServiceName
from services.xds.translate.access import (
    HTTP_FILTER,
    NETWORK_FILTER,
    anyone_rules,
    http_rules,
    named,
    per_connection,
    per_route,
    tcp_grants,
    tcp_rules,
)
from services.xds.translate.authorization import authorization, authorization_origins
from services.xds.translate.cluster import local_cluster
from services.xds.translate.filters import inbound_http, network_filter, tcp_to_app
from services.xds.translate.limits import (
    chain_limit_origins,
    connection_filters,
    limit,
    limited_routes,
    limits,
    request_filters,
    route_limit_origins,
)
from services.xds.translate.messages import packed
from services.xds.translate.model import Built, View, cluster_name
from services.xds.translate.request_match import ANY_REQUEST, Shape, route_match, shapes
from services.xds.translate.route import configuration, inbound_host, plain_route
from services.xds.translate.tls import MESH_ALPN, MeshTls, downstream_tls


class Served(Struct, frozen=True, kw_only=True):
    """A service at one container port of the workload."""

    backed: Backed

    @property
    def name(self) -> str:
        return f"inbound.{cluster_name(self.backed.service, self.backed.port)}"

    @property
    def routes_name(self) -> str:
        return f"rds-inbound.{cluster_name(self.backed.service, self.backed.port)}"

    @property
    def local_name(self) -> str:
        return f"{cluster_name(self.backed.service, self.backed.target_port)}|local"

    @property
    def http(self) -> bool:
        return self.backed.protocol in HTTP_PROTOCOLS


def served(workload: Workload) -> tuple[Served, ...]:
    """Sorted; one for each service and container port."""
    lowest: dict[tuple[ServiceName, Port], Backed] = {}
    for backed in sorted(workload.backs):
        lowest.setdefault((backed.service, backed.target_port), backed)
    return tuple(Served(backed=backed) for backed in lowest.values())


def inbound_chain(it: Served, mesh_tls: MeshTls, view: View, *, destination_port: Port | None) -> FilterChain:
    """For mesh TLS to this service; `destination_port` where one listener takes all container ports."""
    chain_match = FilterChainMatch(
        server_names=[it.backed.service.fqdn], transport_protocol="tls", application_protocols=[MESH_ALPN]
    )
    if destination_port is not None:
        chain_match.destination_port.value = destination_port
    callers = None if it.http else named(_tcp_rules(it, view))
    return FilterChain(
        name=it.name,
        filter_chain_match=chain_match,
        filters=_filters(it, view),
        transport_socket=downstream_tls(mesh_tls, callers),
    )


def inbound_routes(it: Served, view: View) -> Built:
    """One virtual host for whatever host name: a split never reaches its backends' routes."""
    name = cluster_name(it.backed.service, it.backed.port)
    said = limits(view, it.backed.service)
    wanted = (plain_route(route_match(shape), it.local_name) for shape in _wanted(view))
    host = inbound_host(name, [*limited_routes(said, it.name, it.local_name), *wanted])
    limit(host, said, it.name)
    host.typed_per_filter_config[HTTP_FILTER].CopyFrom(packed(per_route(_http_rules(view))))
    return Built(
        name=it.routes_name,
        message=configuration(it.routes_name, [host]),
        origins=_sorted_origins(
            {grant.origin for grant in _grants(view).http} | route_limit_origins(view, it.backed.service)
        ),
    )


def app_cluster(it: Served, app: Address) -> Built:
    cluster: Cluster = local_cluster(it.local_name, app, http=it.http)
    return Built(name=cluster.name, message=cluster)


def chain_origins(it: Served, view: View) -> tuple[ObjectRef, ...]:
    """Whose words are in the chain itself; for HTTP those of access control are in its routes."""
    limited = chain_limit_origins(view, it.backed.service)
    if it.http:
        return _sorted_origins({*authorization_origins(view.mesh), *limited})
    grants = tcp_grants(_grants(view).tcp, it.backed.target_port)
    return _sorted_origins({grant.origin for grant in grants} | limited)


def _filters(it: Served, view: View) -> list[Filter]:
    said = limits(view, it.backed.service)
    of_connections = connection_filters(said, it.name)
    if it.http:
        more = (*authorization(view.mesh, it.backed.protocol), *request_filters(said, it.name))
        return [*of_connections, inbound_http(it.name, it.routes_name, view.mesh.tracing, more)]
    rules = per_connection(_tcp_rules(it, view), it.name)
    to_app = tcp_to_app(it.name, it.local_name, behind_wait=said.global_tcp is not None)
    return [network_filter(NETWORK_FILTER, rules), *of_connections, to_app]


def _wanted(view: View) -> tuple[Shape, ...]:
    """The union of what anyone may ask for. Without any grant there is one route all the same, to answer 403."""
    return shapes(m for grant in _grants(view).http for m in grant.matches) or (ANY_REQUEST,)


def _http_rules(view: View) -> RBAC:
    if view.mesh.permissive:
        return anyone_rules(view.trust_domain)
    return http_rules(_grants(view).http, view.trust_domain)


def _tcp_rules(it: Served, view: View) -> RBAC:
    if view.mesh.permissive:
        return anyone_rules(view.trust_domain)
    return tcp_rules(_grants(view).tcp, it.backed.target_port, view.trust_domain)


class _Grants(Struct, frozen=True):
    http: tuple[HttpGrant, ...] = ()
    tcp: tuple[TcpGrant, ...] = ()


def _grants(view: View) -> _Grants:
    """None while the mesh is permissive, when grants are not asked, and none without a policy, which denies all."""
    if view.mesh.permissive or view.policy is None:
        return _Grants()
    return _Grants(view.policy.http, view.policy.tcp)


def _sorted_origins(origins: Iterable[ObjectRef]) -> tuple[ObjectRef, ...]:
    return tuple(sorted(set(origins)))
