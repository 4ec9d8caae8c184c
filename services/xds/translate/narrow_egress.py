"""Ways out of the mesh in an older resource, without those that no Egress policy opens any more.

Apart from `narrow`, whose rules are those of access control: a way out is a chain or a route that is there or not. It
stays if the newest has the same; else it stays as a place where nothing goes on, which lets in nobody to what a wider
match would allow.
"""

from collections.abc import Iterable

from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import Route, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.message import Message

from services.xds.translate.egress_chains import EGRESS
from services.xds.translate.request_match import ANY_REQUEST, route_match


def close_hosts(older: RouteConfiguration, newest: RouteConfiguration) -> None:
    """Takes back from `older` what `newest` does not allow."""
    now = {host.name: host for host in newest.virtual_hosts}
    for host in older.virtual_hosts:
        if host.name.startswith(EGRESS):
            allowed = now.get(host.name, VirtualHost()).routes
            stay = [route for route in host.routes if _is_among(route, allowed)]
            del host.routes[:]
            host.routes.extend(stay)


def close_chains(older: Listener, newest: Listener) -> None:
    """Takes back from `older` what `newest` does not allow."""
    now = {chain.name: chain for chain in newest.filter_chains}
    for chain in older.filter_chains:
        if chain.name.startswith(EGRESS):
            _narrow(chain, now.get(chain.name, FilterChain()))


def _narrow(older: FilterChain, newest: FilterChain) -> None:
    """Of server names those that both have. A chain without filters closes."""
    names, allowed = older.filter_chain_match.server_names, set(newest.filter_chain_match.server_names)
    stay = [name for name in names if name in allowed]
    if _same(older.filters, newest.filters) and bool(stay) == bool(names):
        del names[:]
        names.extend(stay)
    else:
        del older.filters[:]


def _is_among(route: Route, allowed: Iterable[Route]) -> bool:
    """Any request, where it is allowed, includes all but CONNECT, which is allowed by itself."""
    any_request = route_match(ANY_REQUEST)
    return any(
        route == each or (each.match == any_request and not route.match.HasField("connect_matcher")) for each in allowed
    )


def _same(some: Iterable[Message], others: Iterable[Message]) -> bool:
    return list(some) == list(others)
