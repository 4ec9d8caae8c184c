"""Ways out of the mesh as Envoy's chains, virtual hosts and clusters.

A name is what is allowed, so a name is where it goes: the sidecar looks the host of a request, or the server name of
TLS, up in the DNS and connects there, whatever address the app had dialled. An app that poses with an allowed name
reaches whom the name belongs to. One cluster does it for all hosts, wildcards included, and nothing is looked up
before it is asked for; a cluster for each host would have every sidecar resolve all of them all the time.

Where ranges are allowed the address is the limit, and connections go on as dialled.
"""

from collections.abc import Collection, Iterable, Iterator
from ipaddress import IPv4Network

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.listener.v3.listener_components_pb2 import Filter, FilterChain, FilterChainMatch
from envoy.config.route.v3.route_components_pb2 import Route, RouteAction, RouteMatch, VirtualHost
from envoy.extensions.filters.http.dynamic_forward_proxy.v3.dynamic_forward_proxy_pb2 import FilterConfig as HttpConfig
from envoy.extensions.filters.http.dynamic_forward_proxy.v3.dynamic_forward_proxy_pb2 import PerRouteConfig
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.filters.network.sni_dynamic_forward_proxy.v3.sni_dynamic_forward_proxy_pb2 import (
    FilterConfig as SniConfig,
)
from google.protobuf.wrappers_pb2 import UInt32Value

from osm.contracts.egress import EgressHost
from osm.contracts.names import Port
from osm.contracts.policy import ANY_PATH
from services.xds.translate.egress import Gate, HttpHost, WaysOut
from services.xds.translate.egress_clusters import AS_DIALLED, BY_NAME, as_dialled_cluster, by_name_cluster, dns_cache
from services.xds.translate.filters import network_filter, tcp
from services.xds.translate.messages import NEVER, packed
from services.xds.translate.model import Built
from services.xds.translate.reach import Share
from services.xds.translate.request_match import ANY_REQUEST, route_match, shapes
from services.xds.translate.route import plain_route

EGRESS = "egress."
"""What names of chains and virtual hosts begin with that an Egress policy alone has opened: `narrow` closes them."""

ONWARD = f"{EGRESS}onward"

LOOK_UP = "envoy.filters.http.dynamic_forward_proxy"
HTTP_PORT = 80


def clusters(ways: WaysOut) -> tuple[Built, ...]:
    """None where nothing leads to it."""
    dialled = any(gate.anything or gate.as_dialled for gate in ways.gates)
    return (
        *((Built(name=AS_DIALLED, message=as_dialled_cluster()),) if dialled else ()),
        *by_name_clusters((*ways.hosts, *(host for gate in ways.gates for host in gate.by_name))),
    )


def by_name_clusters(wanted: Collection[HttpHost | EgressHost]) -> tuple[Built, ...]:
    return (Built(name=BY_NAME, message=by_name_cluster()),) if wanted else ()


def gate_chains(gate: Gate) -> Iterator[FilterChain]:
    """At most one chain for each of two ways to go, so no two match the same."""
    name = f"{EGRESS}{gate.port}.{gate.range}"
    if gate.anything:
        yield _chain(name, gate, (), [_to(AS_DIALLED, gate)])
    if gate.as_dialled:
        yield _chain(f"{name}.as-dialled", gate, gate.as_dialled, [_to(AS_DIALLED, gate)])
    if gate.by_name:
        look_up = SniConfig(dns_cache_config=dns_cache(), port_value=gate.port)
        first = network_filter("envoy.filters.network.sni_dynamic_forward_proxy", look_up)
        yield _chain(f"{name}.by-name", gate, gate.by_name, [first, _to(BY_NAME, gate)])


def at(port: Port, where: IPv4Network) -> FilterChainMatch:
    """Connections to a port, at these addresses; anywhere is not said, or it would be a range like any other."""
    chain_match = FilterChainMatch(destination_port=UInt32Value(value=port))
    if where.prefixlen:
        length = UInt32Value(value=where.prefixlen)
        chain_match.prefix_ranges.append(CidrRange(address_prefix=str(where.network_address), prefix_len=length))
    return chain_match


def look_up(hosts: Collection[HttpHost]) -> tuple[HttpFilter, ...]:
    """For a connection manager whose routes lead to these."""
    return (HttpFilter(name=LOOK_UP, typed_config=packed(HttpConfig(dns_cache_config=dns_cache()))),) if hosts else ()


def paths_matter(hosts: Iterable[HttpHost]) -> bool:
    """Whether a path is allowed or not, so that there must not be two ways to write it."""
    return any(match.path_regex != ANY_PATH for each in hosts for match in each.matches)


def virtual_hosts(hosts: Iterable[HttpHost], taken: Iterable[str], *, port_known: bool) -> Iterator[VirtualHost]:
    """One for each host, but for domains that are `taken`: a service of the mesh is never outside of it.

    `port_known`: every request is for the port of the host, whether it says so or not.
    """
    used = set(taken)
    for each in hosts:
        with_port = f"{each.host}:{each.port}"
        spellings = [each.host, with_port] if _may_be_bare(each, port_known=port_known) else [with_port]
        domains = [domain for domain in spellings if domain not in used]
        used.update(domains)
        if domains:
            yield _virtual_host(each, domains)


def onward() -> VirtualHost:
    """Any host: the address is what is allowed."""
    return VirtualHost(name=ONWARD, domains=["*"], routes=[plain_route(route_match(ANY_REQUEST), AS_DIALLED)])


def _may_be_bare(each: HttpHost, *, port_known: bool) -> bool:
    """Whether the host is understood without its port. A pattern is not, at other ports than HTTP's: which host was
    called is known, but Envoy would look it up for that port."""
    return each.port == HTTP_PORT or (port_known and not each.host.startswith("*."))


def _virtual_host(each: HttpHost, domains: list[str]) -> VirtualHost:
    host = VirtualHost(name=f"{EGRESS}{each.host}:{each.port}", domains=domains, routes=_routes(each))
    if each.port != HTTP_PORT and each.host in domains:
        port_added = PerRouteConfig(host_rewrite_literal=f"{each.host}:{each.port}")
        host.typed_per_filter_config[LOOK_UP].CopyFrom(packed(port_added))
    return host


def _routes(each: HttpHost) -> list[Route]:
    requests = [plain_route(route_match(shape), BY_NAME) for shape in shapes(each.matches)]
    return [*([_tunnel()] if each.tunnel else []), *requests]


def _tunnel() -> Route:
    """What is asked for by CONNECT is a connection, and the sidecar is its end."""
    connect = RouteAction.UpgradeConfig(
        upgrade_type="CONNECT", connect_config=RouteAction.UpgradeConfig.ConnectConfig()
    )
    return Route(
        match=RouteMatch(connect_matcher=RouteMatch.ConnectMatcher()),
        route=RouteAction(cluster=BY_NAME, timeout=NEVER, upgrade_configs=[connect]),
    )


def _chain(name: str, gate: Gate, hosts: Iterable[EgressHost], filters: list[Filter]) -> FilterChain:
    chain = FilterChain(name=name, filters=filters, filter_chain_match=at(gate.port, IPv4Network(gate.range)))
    if hosts:
        chain.filter_chain_match.server_names.extend(hosts)
        chain.filter_chain_match.transport_protocol = "tls"
    return chain


def _to(cluster: str, gate: Gate) -> Filter:
    return tcp(f"{EGRESS}{gate.port}", [Share(cluster=cluster, weight=1)])
