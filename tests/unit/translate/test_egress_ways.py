"""Connections out of the mesh: those that any grant allows find a chain, and no others, as Envoy looks for one."""

from ipaddress import IPv4Address, IPv4Network

import pytest
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy
from hypothesis import given
from hypothesis import strategies as st

from osm.contracts.catalog import MeshService, Policy, Upstream
from osm.contracts.egress import EgressGrant, HttpEgress, TcpEgress, TlsEgress
from osm.contracts.endpoints import Service, ServicePort, Transparent, Workload
from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.policy import HttpMatch, Mesh
from services.xds.translate import Translation, View, translate
from services.xds.translate.egress_clusters import AS_DIALLED, BY_NAME

WEB, DB = Identity("front", "web"), Identity("db", "db")
ORIGIN = ObjectRef("Egress", "front", "out")
PORT = 443
ANY = (HttpMatch(name="any"),)

RANGES = ["10.0.0.0/8", "10.1.0.0/16", "10.1.2.3/32", "192.0.2.0/24", "0.0.0.0/0", "2001:db8::/32"]
ADDRESSES = ["10.1.2.3", "10.1.9.9", "10.9.9.9", "192.0.2.1", "203.0.113.1"]
HOSTS = ["a.example", "*.example", "*.b.example", "x.b.example"]
NAMES = ["a.example", "x.b.example", "y.b.example", "example", ""]

ranges = st.lists(st.sampled_from(RANGES), max_size=2, unique=True).map(tuple)
grants = st.one_of(
    st.builds(TcpEgress, origin=st.just(ORIGIN), port=st.just(PORT), ranges=ranges),
    st.builds(
        TlsEgress,
        origin=st.just(ORIGIN),
        port=st.just(PORT),
        hosts=st.lists(st.sampled_from(HOSTS), min_size=1, max_size=2, unique=True).map(tuple),
        ranges=ranges,
    ),
)


def translated(*found: EgressGrant, mesh: Mesh | None = None, services: tuple[MeshService, ...] = ()) -> Translation:
    upstreams = tuple(Upstream(service=each.service.name, accounts=(DB,)) for each in services)
    view = View(
        trust_domain="cluster.local",
        mesh=mesh or Mesh(permissive=False, egress=False),
        policy=Policy(identity=WEB, egress=found, upstreams=upstreams),
        services={each.service.name: each for each in services},
    )
    return translate(Workload(proxy_id="any", identity=WEB, interception=Transparent()), view)


def outbound(translation: Translation) -> Listener:
    found = [part.message for part in translation.listeners if part.name == "outbound"]
    assert len(found) < 2
    return found[0] if found and isinstance(found[0], Listener) else Listener()


def routes(translation: Translation, name: str) -> RouteConfiguration:
    (found,) = (part.message for part in translation.routes if part.name == name)
    assert isinstance(found, RouteConfiguration)
    return found


def taken(listener: Listener, address: str, name: str) -> str:
    """The cluster of the chain that Envoy chooses: the narrowest range, then the longest name, and never back."""
    here = {network: chains for network, chains in _by_range(listener).items() if IPv4Address(address) in network}
    if not here:
        return ""
    chains = here[max(here, key=lambda network: network.prefixlen)]
    by_name = {pattern: chain for chain in chains for pattern in chain.filter_chain_match.server_names or ("",)}
    chosen = [pattern for pattern in by_name if pattern == "" or matches(pattern, name)]
    if not chosen:
        return ""
    proxy = TcpProxy()
    assert by_name[max(chosen, key=len)].filters[-1].typed_config.Unpack(proxy)
    return str(proxy.cluster)


def _by_range(listener: Listener) -> dict[IPv4Network, list[FilterChain]]:
    found: dict[IPv4Network, list[FilterChain]] = {}
    for chain in listener.filter_chains:
        (network,) = [
            IPv4Network((each.address_prefix, each.prefix_len.value)) for each in chain.filter_chain_match.prefix_ranges
        ] or [IPv4Network("0.0.0.0/0")]
        found.setdefault(network, []).append(chain)
    return found


def matches(pattern: str, name: str) -> bool:
    return name == pattern or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def covers(where: tuple[str, ...], address: str) -> bool:
    return not where or any(IPv4Address(address) in IPv4Network(each) for each in where if ":" not in each)


def allowed(found: list[EgressGrant], address: str, name: str) -> set[str]:
    """Where a connection may go by any of the grants, each read for itself."""
    ways = set()
    for grant in found:
        match grant:
            case TcpEgress() if covers(grant.ranges, address):
                ways.add(AS_DIALLED)
            case TlsEgress() if any(matches(host, name) for host in grant.hosts) and covers(grant.ranges, address):
                ways.add(AS_DIALLED if grant.ranges else BY_NAME)
    return ways


@given(st.lists(grants, max_size=4))
def test_what_any_grant_allows_leaves_in_a_way_that_one_allows_and_nothing_else_does(found: list[EgressGrant]) -> None:
    listener = outbound(translated(*found))
    for address in ADDRESSES:
        for name in NAMES:
            ways = allowed(found, address, name)
            assert (taken(listener, address, name) in ways) if ways else taken(listener, address, name) == ""


@given(st.lists(grants, max_size=4))
def test_no_two_chains_match_the_same(found: list[EgressGrant]) -> None:
    chains = outbound(translated(*found)).filter_chains
    said = [
        (str(chain.filter_chain_match.prefix_ranges), name)
        for chain in chains
        for name in chain.filter_chain_match.server_names or ("",)
    ]
    assert len(said) == len(set(said))


@pytest.mark.parametrize("permissive", [True, False])
def test_policies_hold_in_permissive_mode_too_and_are_not_asked_while_egress_is_on(permissive: bool) -> None:
    closed = outbound(translated(TcpEgress(origin=ORIGIN, port=PORT), mesh=Mesh(permissive=permissive, egress=False)))
    assert [chain.name for chain in closed.filter_chains] == ["egress.443.0.0.0.0/0"]
    opened = translated(TcpEgress(origin=ORIGIN, port=PORT), mesh=Mesh(permissive=permissive, egress=True))
    assert [chain.name for chain in outbound(opened).filter_chains] == ["outbound.dead-end"]
    assert "egress-as-dialled" not in {cluster.name for cluster in opened.clusters}


def test_the_sidecars_own_port_leads_nowhere_by_any_grant() -> None:
    hosts = HttpEgress(origin=ORIGIN, port=15001, hosts=("a.example",), matches=ANY)
    assert translated(hosts, TcpEgress(origin=ORIGIN, port=15001)).listeners == ()


def test_the_address_of_a_service_is_the_services_whatever_a_range_says() -> None:
    port = ServicePort(port=5432, protocol="tcp")
    service = Service(name=ServiceName("db", "db"), ports=(port,), accounts=(DB,), virtual_ips=("10.1.2.3",))
    listener = outbound(
        translated(
            TcpEgress(origin=ORIGIN, port=5432, ranges=("10.1.2.3/32", "10.1.0.0/16")),
            services=(MeshService(service=service),),
        )
    )
    assert taken(listener, "10.1.2.3", "") == "db/db|5432"
    assert taken(listener, "10.1.9.9", "") == AS_DIALLED


def test_the_name_of_a_headless_service_is_the_services_whatever_a_host_says() -> None:
    service = MeshService(
        service=Service(name=ServiceName("db", "db"), ports=(ServicePort(port=8080),), accounts=(DB,))
    )
    hosts = HttpEgress(origin=ORIGIN, port=8080, hosts=("db.db", "*.db.db", "a.example"), matches=ANY)
    found = routes(translated(hosts, services=(service,)), "rds-outbound.8080")
    domains = [domain for host in found.virtual_hosts for domain in host.domains]
    assert len(domains) == len(set(domains))
    (opened,) = (host for host in found.virtual_hosts if host.name.startswith("egress."))
    assert list(opened.domains) == ["a.example", "a.example:8080"]


def test_policies_of_one_host_share_it_and_each_adds_its_requests() -> None:
    reads = HttpEgress(
        origin=ORIGIN, port=80, hosts=("a.example",), matches=(HttpMatch(name="read", methods=("GET",)),)
    )
    more = HttpEgress(
        origin=ObjectRef("Egress", "front", "more"),
        port=80,
        hosts=("a.example", "b.example"),
        matches=(HttpMatch(name="post", methods=("POST",)),),
    )
    translation = translated(reads, more)
    found = routes(translation, "rds-outbound.80")
    assert [(host.name, len(host.routes)) for host in found.virtual_hosts] == [
        ("egress.a.example:80", 2),
        ("egress.b.example:80", 1),
        ("unreachable", 1),
    ]
    (part,) = translation.routes
    assert part.origins == (ObjectRef("Egress", "front", "more"), ORIGIN)


def test_bytes_are_looked_into_for_tls_at_its_ports_alone() -> None:
    plain = outbound(translated(TcpEgress(origin=ORIGIN, port=3306)))
    assert [each.name for each in plain.listener_filters] == ["envoy.filters.listener.original_dst"]
    with_tls = outbound(
        translated(TcpEgress(origin=ORIGIN, port=3306), TlsEgress(origin=ORIGIN, port=PORT, hosts=("a.example",)))
    )
    (inspector,) = (each for each in with_tls.listener_filters if each.name.endswith("tls_inspector"))
    assert inspector.filter_disabled.not_match.destination_port_range.start == PORT
    assert inspector.filter_disabled.not_match.destination_port_range.end == PORT + 1
