"""Rate limits of a service, where they belong in what its own sidecars get: chains, virtual hosts, routes, clusters.

They come behind access control, so that who is turned away uses up nobody's allowance. What comes in from outside the
mesh (IngressBackend) passes none of them.
"""

from collections.abc import Iterable

from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter

from osm.contracts.names import ObjectRef, ServiceName
from osm.contracts.traffic_settings import RouteLimit, TrafficSettings
from services.xds.translate import global_limit, local_limit
from services.xds.translate.global_limit import limiter_cluster, limiter_name
from services.xds.translate.messages import packed
from services.xds.translate.model import Built, View
from services.xds.translate.request_match import route_match
from services.xds.translate.route import plain_route

NONE = TrafficSettings()


def limits(view: View, service: ServiceName) -> TrafficSettings:
    found = view.settings(service)
    return found.settings if found else NONE


def connection_filters(said: TrafficSettings, name: str) -> list[Filter]:
    """For a chain, whatever is spoken in it."""
    local = [local_limit.of_connections(said.local_tcp, name)] if said.local_tcp else []
    return [*local, *([global_limit.of_connections(said.global_tcp, name)] if said.global_tcp else [])]


def request_filters(said: TrafficSettings, name: str) -> tuple[HttpFilter, ...]:
    """For an HTTP connection manager. What counts here is there whether anything is counted or not: so a limit that
    comes is one of routes, and holds at once for connections that stand, which keep the chain they were made in.
    """
    local = local_limit.filter_of_requests(name)
    return (local, *((global_limit.filter_of_requests(said.global_http),) if said.global_http else ()))


def limited_routes(said: TrafficSettings, name: str, cluster: str) -> list[Route]:
    """Before all others, so that they count whatever a TrafficTarget says of the same path. They open nothing: access
    is a rule of the virtual host."""
    return [_limited(each, f"{name}.{number}", cluster) for number, each in enumerate(said.routes, 1)]


def limit(host: VirtualHost, said: TrafficSettings, name: str) -> None:
    """What holds for requests that none of the `limited_routes` speaks of."""
    if said.local_http:
        host.typed_per_filter_config[local_limit.FILTER].CopyFrom(
            packed(local_limit.of_requests(said.local_http, name))
        )
    if said.global_http:
        host.rate_limits.extend(global_limit.actions(said.global_http.descriptors))


def chain_limit_origins(view: View, service: ServiceName) -> set[ObjectRef]:
    """Whose words are in the chain itself."""
    said = limits(view, service)
    return _origin(view, service) if said.local_tcp or said.global_tcp or said.global_http else set()


def route_limit_origins(view: View, service: ServiceName) -> set[ObjectRef]:
    """Whose words are in the routes."""
    said = limits(view, service)
    return _origin(view, service) if said.local_http or said.global_http or said.routes else set()


def limiter_clusters(view: View, services: Iterable[ServiceName]) -> tuple[Built, ...]:
    """Rate limit services, each once, however many ask it."""
    asked = [
        (each.service, settings.origin)
        for service in services
        if (settings := view.settings(service))
        for each in (settings.settings.global_tcp, settings.settings.global_http)
        if each
    ]
    by_name = {limiter_name(limiter): limiter for limiter, _ in asked}
    return tuple(
        Built(
            name=name,
            message=limiter_cluster(by_name[name]),
            origins=tuple(sorted({origin for limiter, origin in asked if limiter_name(limiter) == name})),
        )
        for name in sorted(by_name)
    )


def _origin(view: View, service: ServiceName) -> set[ObjectRef]:
    settings = view.settings(service)
    return {settings.origin} if settings else set()


def _limited(said: RouteLimit, name: str, cluster: str) -> Route:
    route = plain_route(route_match((said.path_regex, (), ())), cluster)
    if said.local:
        route.typed_per_filter_config[local_limit.FILTER].CopyFrom(packed(local_limit.of_requests(said.local, name)))
    route.route.rate_limits.extend(global_limit.actions(said.descriptors))
    return route
