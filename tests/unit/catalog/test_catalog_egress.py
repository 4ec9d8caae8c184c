"""Who is let out of the mesh: by which policy, to what, and what several policies come to together."""

from osm.bus import Document, Update
from osm.contracts.catalog import Policy
from osm.contracts.channels import EGRESS, HTTP_ROUTE_GROUP, POLICY
from osm.contracts.egress import Egress, EgressGrant, EgressPort, EgressProtocol, HttpEgress, TcpEgress, TlsEgress
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.policies import AnyPolicy
from osm.contracts.policy import HttpMatch, HttpRouteGroup
from services.catalog.check import check, picture
from services.catalog.egress import ANY_REQUEST
from services.catalog.state import Catalog

WEB, API = Identity("front", "web"), Identity("front", "api")
READ = HttpMatch(name="read", path_regex="/r", methods=("GET",))
READS = HttpRouteGroup(namespace="shop", name="reads", matches=(READ,))


def way(
    name: str,
    *ports: tuple[int, EgressProtocol],
    sources: tuple[Identity, ...] = (WEB,),
    hosts: tuple[str, ...] = ("a.example",),
    ranges: tuple[str, ...] = (),
    groups: tuple[str, ...] = (),
) -> Egress:
    found = tuple(EgressPort(number=number, protocol=protocol) for number, protocol in ports)
    return Egress(
        namespace="shop", name=name, sources=sources, ports=found, hosts=hosts, ranges=ranges, route_groups=groups
    )


def ref(name: str) -> ObjectRef:
    return ObjectRef("Egress", "shop", name)


def settle(*policies: AnyPolicy) -> Catalog:
    catalog = Catalog()
    catalog.apply(
        picture("meshspec", policies), picture("endpoints", (MeshIdentity(identity=WEB), MeshIdentity(identity=API)))
    )
    return catalog


def granted(catalog: Catalog, who: Identity = WEB) -> tuple[EgressGrant, ...]:
    document = catalog.documents[POLICY.key(who.namespace, who.account)]
    assert isinstance(document, Policy)
    return document.egress


def said(catalog: Catalog, name: str = "out") -> list[str]:
    return [f"{each.severity} {each.field}: {each.what}" for each in catalog.problems.get(ref(name), ())]


def change(catalog: Catalog, key: str, value: AnyPolicy | None) -> list[str]:
    document = Document(bucket="meshspec", key=key, value=value, revision=9, deleted=value is None)
    changes = catalog.apply(Update(bucket="meshspec", full=False, documents=(document,), revision=9))
    return [*changes.puts, *changes.deletes]


def test_each_port_is_granted_by_what_it_speaks() -> None:
    catalog = settle(
        way("out", (80, "http"), (443, "https"), (5432, "tcp"), (3306, "tcp-server-first"), ranges=("10.0.0.0/8",))
    )
    assert granted(catalog) == (
        HttpEgress(origin=ref("out"), port=80, hosts=("a.example",), matches=(ANY_REQUEST,)),
        TlsEgress(origin=ref("out"), port=443, hosts=("a.example",), ranges=("10.0.0.0/8",)),
        TcpEgress(origin=ref("out"), port=5432, ranges=("10.0.0.0/8",)),
        TcpEgress(origin=ref("out"), port=3306, ranges=("10.0.0.0/8",)),
    )
    assert granted(catalog, API) == ()
    assert catalog.problems == {}


def test_route_groups_say_which_requests() -> None:
    catalog = settle(way("out", (80, "http"), groups=("reads",)), READS)
    assert [grant.matches for grant in granted(catalog) if isinstance(grant, HttpEgress)] == [(READ,)]


def test_a_route_group_that_is_not_there_lets_no_request_through_until_it_comes() -> None:
    catalog = settle(way("out", (80, "http"), (443, "https"), groups=("reads",)))
    assert [type(grant) for grant in granted(catalog)] == [TlsEgress]
    assert said(catalog) == [
        'error spec.matches: no HTTPRouteGroup "reads" in namespace shop, there is none; it lets no request through'
    ]
    change(catalog, HTTP_ROUTE_GROUP.key("shop", "reads"), READS)
    assert [type(grant) for grant in granted(catalog)] == [HttpEgress, TlsEgress]
    assert catalog.problems == {}
    change(catalog, HTTP_ROUTE_GROUP.key("shop", "reads"), None)
    assert [type(grant) for grant in granted(catalog)] == [TlsEgress]


def test_a_policy_that_goes_takes_its_own_and_touches_its_sources_alone() -> None:
    catalog = settle(way("out", (80, "http")), way("more", (80, "http"), sources=(WEB, API)))
    assert [grant.origin.name for grant in granted(catalog)] == ["more", "out"]
    assert change(catalog, EGRESS.key("shop", "out"), None) == [POLICY.key("front", "web")]
    assert [grant.origin.name for grant in granted(catalog)] == ["more"]


def test_a_source_that_moves_is_let_out_no_longer() -> None:
    catalog = settle(way("out", (80, "http")))
    keys = change(catalog, EGRESS.key("shop", "out"), way("out", (80, "http"), sources=(API,)))
    assert sorted(keys) == [POLICY.key("front", "api"), POLICY.key("front", "web")]
    assert (granted(catalog), len(granted(catalog, API))) == ((), 1)


def test_an_account_that_nobody_runs_under_is_a_warning() -> None:
    catalog = settle(way("out", (80, "http"), sources=(Identity("front", "nobody"),)))
    assert said(catalog) == [
        'warning spec.sources: no meshed workload runs under service account "nobody" in namespace front, '
        "there are api, web"
    ]


def test_ranges_that_overlap_and_tcp_by_two_names_add_up_without_a_word() -> None:
    catalog = settle(
        way("a", (5432, "tcp"), ranges=("10.0.0.0/8",)),
        way("b", (5432, "tcp-server-first"), (5432, "tcp"), ranges=("10.1.0.0/16",)),
    )
    assert granted(catalog) == (
        TcpEgress(origin=ref("a"), port=5432, ranges=("10.0.0.0/8",)),
        TcpEgress(origin=ref("b"), port=5432, ranges=("10.1.0.0/16",)),
    )
    assert catalog.problems == {}


def test_hosts_that_another_policy_makes_pointless_are_told_until_it_goes() -> None:
    catalog = settle(way("out", (443, "https")), way("wide", (443, "tcp"), sources=(WEB, API)))
    assert said(catalog) == [
        "warning spec.ports: Egress shop/wide opens port 443 to any address, so hosts are not asked for there"
    ]
    change(catalog, EGRESS.key("shop", "wide"), way("wide", (443, "tcp"), sources=(API,)))
    assert catalog.problems == {}


def test_a_server_that_speaks_first_where_tls_is_looked_for_is_told() -> None:
    catalog = settle(way("out", (443, "tcp-server-first"), ranges=("10.0.0.0/8",)))
    assert catalog.problems == {}
    change(catalog, EGRESS.key("shop", "names"), way("names", (443, "https")))
    assert said(catalog) == [
        "warning spec.ports: Egress shop/names has TLS looked for at port 443: what a server there says first is heard "
        "after 15 s"
    ]


def test_a_folder_is_judged_without_knowing_what_runs() -> None:
    found = check((way("out", (80, "http"), groups=("reads",)),))
    assert [str(problem) for problem in found] == [
        'Egress shop/out: spec.matches: no HTTPRouteGroup "reads" in namespace shop, there is none; '
        "it lets no request through"
    ]
