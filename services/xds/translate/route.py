"""Route actions, virtual hosts and route configurations: where a request goes.

When it is tried again is said in `retry`.
"""

from collections.abc import Iterable
from itertools import product

from envoy.config.route.v3.route_components_pb2 import (
    Route,
    RouteAction,
    RouteMatch,
    VirtualHost,
    WeightedCluster,
)
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from osm.contracts.traffic_settings import RetryTerms
from services.xds.translate.messages import NEVER
from services.xds.translate.reach import Destination, Division, Share
from services.xds.translate.request_match import ANY_REQUEST, route_match, shapes
from services.xds.translate.retry import NOT_DELIVERED, retry_policy

OTHER_SPELLINGS = tuple(
    f"x{first}forwarded{second}client{third}cert"
    for first, second, third in product("-_", repeat=3)
    if "_" in (first, second, third)
)
"""Of the header that says who calls. Envoy replaces that one and passes these on, and to an app that knows headers as
variables (CGI, WSGI, Rack) they are the same one: `HTTP_X_FORWARDED_CLIENT_CERT`."""

LARGEST_TOTAL_WEIGHT = 2**32 - 1


def outbound_routes(to: Destination, *, authority: str = "") -> list[Route]:
    """To the service, or divided by its split; `authority` replaces the host that the caller named."""
    whole = _to_cluster(to.name, authority)
    if to.division is None:
        return [Route(match=route_match(ANY_REQUEST), route=whole)]
    divided = _to_shares(to.division, authority)
    wanted = shapes(to.division.matches) or (ANY_REQUEST,)
    routes = [Route(match=route_match(shape), route=divided) for shape in wanted]
    if ANY_REQUEST not in wanted:
        routes.append(Route(match=route_match(ANY_REQUEST), route=whole))
    return routes


def outbound_host(
    name: str, domains: Iterable[str], routes: Iterable[Route], retry: RetryTerms | None = None
) -> VirtualHost:
    return VirtualHost(
        name=name,
        domains=domains,
        routes=routes,
        retry_policy=retry_policy(retry),
        response_headers_to_remove=[NOT_DELIVERED],
    )


def inbound_host(name: str, routes: Iterable[Route]) -> VirtualHost:
    """For whatever host name. The app is told by its sidecar alone who calls, and does not speak for it."""
    return VirtualHost(
        name=name,
        domains=["*"],
        routes=routes,
        request_headers_to_remove=OTHER_SPELLINGS,
        response_headers_to_remove=[NOT_DELIVERED],
    )


def plain_route(match: RouteMatch, cluster: str) -> Route:
    return Route(match=match, route=_to_cluster(cluster, ""))


def configuration(name: str, hosts: Iterable[VirtualHost]) -> RouteConfiguration:
    """Clusters may be missing: they may come later, or be out of the caller's reach (503)."""
    return RouteConfiguration(name=name, virtual_hosts=hosts, validate_clusters=BoolValue(value=False))


def bounded(shares: Iterable[Share]) -> tuple[Share, ...]:
    """The same proportions with a sum that Envoy accepts; a share above 0 stays above 0."""
    shares = tuple(shares)
    total = sum(share.weight for share in shares)
    if total <= LARGEST_TOTAL_WEIGHT:
        return shares
    scale = -(-total // (LARGEST_TOTAL_WEIGHT - len(shares)))
    return tuple(Share(cluster=s.cluster, weight=-(-s.weight // scale)) for s in shares)


def _to_cluster(cluster: str, authority: str) -> RouteAction:
    return _as(authority, RouteAction(cluster=cluster, timeout=NEVER))


def _to_shares(division: Division, authority: str) -> RouteAction:
    clusters = [
        WeightedCluster.ClusterWeight(name=share.cluster, weight=UInt32Value(value=share.weight))
        for share in bounded(division.shares)
    ]
    return _as(authority, RouteAction(weighted_clusters=WeightedCluster(clusters=clusters), timeout=NEVER))


def _as(authority: str, action: RouteAction) -> RouteAction:
    """Actions have no time limit: how long an answer may take is for the caller to say."""
    if authority:
        action.host_rewrite_literal = authority
    return action
