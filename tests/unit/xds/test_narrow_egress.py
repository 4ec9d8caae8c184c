"""What an older resource may still let out of the mesh, judged by two sets of Egress grants."""

from collections.abc import Iterable

from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from google.protobuf.message import Message

from osm.ads.references import message_of
from osm.ads.resource import Resource
from osm.contracts.catalog import Policy
from osm.contracts.egress import EgressGrant, HttpEgress, TcpEgress, TlsEgress
from osm.contracts.endpoints import Transparent, Workload
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.policy import HttpMatch, Mesh
from services.xds.fallback import stand_in
from services.xds.translate import WAYS_OUT, View, narrowed, translate

WEB = Identity("front", "web")
ORIGIN = ObjectRef("Egress", "front", "out")
ANY, READ = HttpMatch(name="any"), HttpMatch(name="read", methods=("GET",))


def http(*matches: HttpMatch, hosts: tuple[str, ...] = ("a.example",)) -> HttpEgress:
    return HttpEgress(origin=ORIGIN, port=80, hosts=hosts, matches=matches)


def tls(*hosts: str) -> TlsEgress:
    return TlsEgress(origin=ORIGIN, port=443, hosts=hosts)


def tcp(*ranges: str) -> TcpEgress:
    return TcpEgress(origin=ORIGIN, port=5432, ranges=ranges)


def built(*grants: EgressGrant, name: str) -> Message:
    view = View(
        trust_domain="cluster.local",
        mesh=Mesh(permissive=False, egress=False),
        policy=Policy(identity=WEB, egress=grants),
        services={},
    )
    translation = translate(Workload(proxy_id="any", identity=WEB, interception=Transparent()), view)
    found = {part.name: part.message for part in (*translation.listeners, *translation.routes, *translation.clusters)}
    return found[name]


def open_chains(listener: Message) -> list[FilterChain]:
    assert isinstance(listener, Listener)
    return [chain for chain in listener.filter_chains if chain.filters]


def listener_after(older: Iterable[EgressGrant], newest: Iterable[EgressGrant]) -> Message:
    return narrowed(built(*older, name="outbound"), built(*newest, name="outbound"))


def hosts_after(older: Iterable[EgressGrant], newest: Iterable[EgressGrant]) -> dict[str, int]:
    """Host → how many routes it has left, of those that an Egress has opened."""
    routes = narrowed(built(*older, name="rds-outbound.80"), built(*newest, name="rds-outbound.80"))
    assert isinstance(routes, RouteConfiguration)
    return {host.domains[0]: len(host.routes) for host in routes.virtual_hosts if host.name != "unreachable"}


def test_a_range_that_is_gone_is_closed_and_the_others_stay() -> None:
    after = listener_after([tcp("10.0.0.0/8", "192.0.2.0/24")], [tcp("192.0.2.0/24")])
    assert [chain.filter_chain_match.prefix_ranges[0].address_prefix for chain in open_chains(after)] == ["192.0.2.0"]


def test_a_range_that_any_address_once_included_is_closed_with_it() -> None:
    assert open_chains(listener_after([tcp()], [tcp("192.0.2.0/24")])) == []


def test_a_server_name_that_is_gone_is_closed_and_the_others_stay() -> None:
    (chain,) = open_chains(listener_after([tls("a.example", "b.example")], [tls("b.example", "c.example")]))
    assert list(chain.filter_chain_match.server_names) == ["b.example"]
    assert open_chains(listener_after([tls("a.example")], [tls("b.example")])) == []


def test_what_is_gone_altogether_leaves_chains_that_close() -> None:
    older = built(tcp("192.0.2.0/24"), tls("a.example"), name="outbound")
    after = narrowed(older, None)
    assert open_chains(after) == []
    assert isinstance(after, Listener)
    assert len(after.filter_chains) == 2, "Envoy takes no listener without chains"


def test_a_host_that_is_gone_has_no_route_left() -> None:
    older = [http(ANY, hosts=("a.example", "b.example"))]
    assert hosts_after(older, [http(ANY, hosts=("b.example",))]) == {"a.example": 0, "b.example": 1}
    routes = narrowed(built(*older, name="rds-outbound.80"), None)
    assert isinstance(routes, RouteConfiguration)
    assert [len(host.routes) for host in routes.virtual_hosts if host.name != "unreachable"] == [0, 0]


def test_requests_that_are_no_longer_allowed_have_no_route_left() -> None:
    assert hosts_after([http(ANY)], [http(READ)]) == {"a.example": 0}
    assert hosts_after([http(READ)], [http(ANY)]) == {"a.example": 1}


def test_what_lets_out_no_more_than_the_newest_is_served_as_it_is() -> None:
    older: list[EgressGrant] = [http(READ), tls("a.example"), tcp("10.0.0.0/8")]
    newest: list[EgressGrant] = [http(ANY), tls("a.example", "b.example"), tcp("10.0.0.0/8", "192.0.2.0/24")]
    for name in ("outbound", "rds-outbound.80"):
        good, now = (Resource.of(name, built(*grants, name=name)) for grants in (older, newest))
        assert message_of(good) == built(*older, name=name)
        assert stand_in(good, now, lambda _: True) is good


def test_no_cluster_that_leads_out_is_kept_once_nothing_does() -> None:
    ways: list[EgressGrant] = [tcp(), tls("a.example")]
    for name in ("egress-as-dialled", "egress-by-name"):
        cluster = Resource.of(name, built(*ways, name=name))
        assert name in WAYS_OUT
        assert stand_in(cluster, None, lambda _: False) is None
        assert stand_in(cluster, cluster, lambda _: False) is cluster
