"""The outbound side: clusters of what may be called, and routes to them.

Shared by both interception modes. What may not be called is absent here: no cluster, no route, no listener.
"""

from collections.abc import Callable, Iterable

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.core.v3.substitution_format_string_pb2 import SubstitutionFormatString
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.route.v3.route_components_pb2 import DirectResponseAction, Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration

from osm.contracts.names import DnsLabel, Identity, ObjectRef
from osm.contracts.policy import Tracing
from osm.contracts.traffic_settings import RetryTerms
from services.xds.translate.cluster import WITHOUT_LIMITS, direct_cluster, upstream_cluster
from services.xds.translate.egress import HttpHost
from services.xds.translate.egress_chains import virtual_hosts
from services.xds.translate.filters import outbound_http, tcp
from services.xds.translate.model import Built, Planned, View
from services.xds.translate.reach import Destination, Share
from services.xds.translate.request_match import ANY_REQUEST, route_match
from services.xds.translate.retry import Retries
from services.xds.translate.route import configuration, outbound_host, outbound_routes, plain_route
from services.xds.translate.tls import MeshTls

HTTP_PROXY_ROUTES = "rds-outbound.http-proxy"


def clusters(reach: Iterable[Destination], mesh_tls: MeshTls, view: View) -> tuple[Planned, ...]:
    """A destination without accounts gets none: its certificate could not be told from any other of the mesh."""
    return tuple(_planned(to.name, upstream_cluster, to, mesh_tls, view) for to in reach if to.accounts)


def direct_clusters(reach: Iterable[Destination], mesh_tls: MeshTls, view: View) -> tuple[Planned, ...]:
    return tuple(_planned(to.direct, direct_cluster, to, mesh_tls, view) for to in reach)


def _planned(name: str, build: Callable[..., Cluster], to: Destination, mesh_tls: MeshTls, view: View) -> Planned:
    """Of the service's settings those alone that its clients keep: an edit of the others makes no cluster anew."""
    settings = view.settings(to.service)
    connections = settings.settings.connections if settings else None
    origins = {*mesh_tls.origins, settings.origin} if settings and connections else mesh_tls.origins
    return Planned(
        name=name, build=build, of=(to, mesh_tls, connections or WITHOUT_LIMITS), origins=tuple(sorted(origins))
    )


def stat_prefix(to: Destination) -> str:
    return f"outbound.{to.name}"


def routes_name(to: Destination) -> str:
    return f"rds-outbound.{to.name}"


def traffic(to: Destination, tracing: Tracing | None) -> Filter:
    """What to do with a connection that is known to be for `to`."""
    if to.http:
        return outbound_http(stat_prefix(to), routes_name(to), tracing)
    return tcp(stat_prefix(to), to.division.shares if to.division else [Share(cluster=to.name, weight=1)])


def own_routes(to: Destination, retries: Retries, *, authority: str = "") -> Planned:
    """Routes for a listener or chain that serves `to` alone, whatever host the app names."""
    retry = retries.get(to.service)
    return Planned(
        name=routes_name(to),
        build=_own_routes,
        of=(to, authority, retry.terms if retry else None),
        origins=_with_retries([to], retries),
    )


def _own_routes(to: Destination, authority: str, retry: RetryTerms | None) -> RouteConfiguration:
    host = outbound_host(to.name, ["*"], outbound_routes(to, authority=authority), retry)
    return configuration(routes_name(to), [host])


def routes_by_host(
    name: str,
    reach: Iterable[Destination],
    namespace: DnsLabel,
    otherwise: VirtualHost,
    retries: Retries,
    *,
    pods: Iterable[Destination] = (),
    outside: Iterable[HttpHost] = (),
    port_known: bool = False,
) -> Built:
    """Routes for a listener that learns from the Host header where a request is to go.

    Of `pods`, those that have names of their own are called by these. `outside` are hosts that are none of the mesh.
    `port_known`: every request is for the port of all of these, whether its host says so or not.
    """
    reach = tuple(to for to in reach if to.http)
    names = {to: host_names(to, namespace, port_known=port_known) for to in (*reach, *pods)}
    again = {to: retry.terms for to in names if (retry := retries.get(to.service))}
    hosts = [outbound_host(to.name, names[to], outbound_routes(to), again.get(to)) for to in reach]
    hosts += [outbound_host(to.direct, pod_names(names[to]), [_directly(to)], again.get(to)) for to in pods]
    outside = tuple(outside)
    taken = {domain for host in hosts for domain in host.domains}
    hosts += virtual_hosts(outside, taken, port_known=port_known)
    opened = {origin for each in outside for origin in each.origins}
    return Built(
        name=name,
        message=configuration(name, [*hosts, otherwise]),
        origins=tuple(sorted({*_with_retries(names, retries), *opened})),
    )


def host_names(to: Destination, namespace: DnsLabel, *, port_known: bool = False) -> list[str]:
    """All names OSM accepts, with the port; on port 80, which HTTP clients leave out, without it too. Where the port is
    known by other means, with it or without.

    The bare service name means the caller's own namespace.
    """
    service, there = to.service.name, to.service.namespace
    full = f"{service}.{there}"
    names = [full, f"{full}.svc", f"{full}.svc.cluster", to.service.fqdn]
    if there == namespace:
        names.insert(0, service)
    with_port = [f"{name}:{to.port.port}" for name in names]
    return [*names, *with_port] if port_known or to.port.port == 80 else with_port


def pod_names(names: Iterable[str]) -> list[str]:
    """Any pod of a headless service of these names: `db-0.db`, and every longer name of it."""
    return [f"*.{name}" for name in names]


def _directly(to: Destination) -> Route:
    return plain_route(route_match(ANY_REQUEST), to.direct)


def refusal(identity: Identity, *, permissive: bool) -> VirtualHost:
    """For every other host: an answer that says what to do about it."""
    why = (
        "%REQ(:AUTHORITY)% is not a service of this mesh; "
        f"check its name and port, or let {identity} out by an Egress\n"
    )
    if not permissive:
        why = (
            f"no policy lets {identity} reach %REQ(:AUTHORITY)%; "
            f"to a service of this mesh, a TrafficTarget with source {identity} would, to a host outside an Egress\n"
        )
    body = SubstitutionFormatString(
        text_format_source=DataSource(inline_string=why), content_type="text/plain; charset=utf-8"
    )
    answer = Route(match=route_match(ANY_REQUEST), direct_response=DirectResponseAction(status=403, body_format=body))
    return VirtualHost(name="unreachable", domains=["*"], routes=[answer])


def origins(reach: Iterable[Destination]) -> tuple[ObjectRef, ...]:
    return tuple(sorted({origin for to in reach for origin in to.origins}))


def _with_retries(reach: Iterable[Destination], retries: Retries) -> tuple[ObjectRef, ...]:
    reach = tuple(reach)
    asked = {retry.origin for to in reach if (retry := retries.get(to.service))}
    return tuple(sorted({*origins(reach), *asked}))
