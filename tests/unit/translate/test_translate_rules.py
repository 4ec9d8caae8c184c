"""Rules of translation that a golden file shows but does not name."""

from typing import Any

import msgspec
import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.rbac.v3.rbac_pb2 import RBAC
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBACPerRoute
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import DownstreamTlsContext
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions

from osm.contracts.catalog import Policy, TcpGrant, Upstream
from osm.contracts.endpoints import ServicePort
from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.policy import HttpMatch, Mesh
from osm.envoy.plaintext_listener import HTTP_OPTIONS
from services.xds.translate import ALL, PASSTHROUGH, AssignmentKey, Translation, bundle_secret, load_assignment
from services.xds.translate.reach import Share, destinations
from services.xds.translate.request_match import shapes
from services.xds.translate.route import LARGEST_TOTAL_WEIGHT, bounded
from services.xds.translate.tls import MeshTls, upstream_tls
from tests.golden.translate import cases

BOOKSTORE = ServiceName("bookstore", "bookstore")


def message(translation: Translation, name: str) -> Any:
    every = (*translation.clusters, *translation.listeners, *translation.routes)
    (found,) = (one.message for one in every if one.name == name)
    return found


def network_rules(listener: Listener) -> RBAC:
    packed = listener.filter_chains[0].filters[0].typed_config
    rbac = network_rbac.RBAC()
    assert packed.Unpack(rbac)
    return rbac.rules


def callers(listener: Listener) -> list[str]:
    """Whom the TLS of the first chain takes, by name or by pattern."""
    tls = DownstreamTlsContext()
    assert listener.filter_chains[0].transport_socket.typed_config.Unpack(tls)
    validation = tls.common_tls_context.combined_validation_context.default_validation_context
    return [each.matcher.exact or each.matcher.safe_regex.regex for each in validation.match_typed_subject_alt_names]


def http_rules(routes: RouteConfiguration) -> RBAC:
    rbac = RBACPerRoute()
    (host,) = routes.virtual_hosts
    assert host.typed_per_filter_config["envoy.filters.http.rbac"].Unpack(rbac)
    assert rbac.rbac.HasField("rules")
    return rbac.rbac.rules


def test_nobody_may_connect_over_tcp_without_a_grant_for_the_container_port() -> None:
    translation = cases.read("explicit-server").translate()
    assert network_rules(message(translation, "inbound.3306")).policies
    smtp = network_rules(message(translation, "inbound.2525"))
    assert not smtp.policies
    assert smtp.action == RBAC.ALLOW


def test_tls_in_front_of_tcp_takes_nobody_but_the_granted() -> None:
    """The rules alone would be asked too late for a server that speaks first."""
    case = cases.read("explicit-server")
    grant = TcpGrant(
        origin=ObjectRef("TrafficTarget", "bookstore", "db"),
        sources=(Identity("b", "b"), Identity("a", "a")),
        ports=(3306,),
    )
    policy = Policy(identity=case.workload.identity, tcp=(grant, grant))
    translation = msgspec.structs.replace(case, policy=policy).translate()
    assert callers(message(translation, "inbound.3306")) == [
        "spiffe://cluster.local/ns/a/sa/a",
        "spiffe://cluster.local/ns/b/sa/b",
    ]
    assert callers(message(translation, "inbound.2525")) == ["nobody"]


def test_tls_in_front_of_http_takes_any_workload_so_that_it_can_be_told_403() -> None:
    listener = message(cases.read("explicit-server").translate(), "inbound.14001")
    assert callers(listener) == ["spiffe://cluster[.]local/ns/[^/]+/sa/[^/]+"]


def test_a_tcp_grant_without_ports_is_for_all_ports() -> None:
    case = cases.read("explicit-server")
    origin = ObjectRef("TrafficTarget", "bookstore", "any-port")
    grant = TcpGrant(origin=origin, sources=(Identity("bookbuyer", "bookbuyer"),))
    policy = Policy(identity=case.workload.identity, tcp=(grant,))
    translation = msgspec.structs.replace(case, policy=policy).translate()
    for port in (3306, 2525):
        assert list(network_rules(message(translation, f"inbound.{port}")).policies) == [str(origin)]


@pytest.mark.parametrize("policy", [None, Policy(identity=Identity("bookstore", "bookstore"))])
def test_http_without_a_grant_is_denied_and_not_unknown(policy: Policy | None) -> None:
    case = msgspec.structs.replace(cases.read("explicit-server"), policy=policy)
    routes = message(case.translate(), "rds-inbound.bookstore/bookstore|8080")
    assert not http_rules(routes).policies
    assert [route.match.prefix for route in routes.virtual_hosts[0].routes] == ["/"]


def test_overlapping_targets_keep_a_policy_each_and_share_their_routes() -> None:
    routes = message(cases.read("explicit-server").translate(), "rds-inbound.bookstore/bookstore|8080")
    assert len(http_rules(routes).policies) == 3
    paths = [route.match.safe_regex.regex for route in routes.virtual_hosts[0].routes]
    assert sorted(paths) == ["/books.*", "/buy-a-book/new", "/metrics"]


def test_an_upstream_without_accounts_gets_no_cluster_and_no_assignment() -> None:
    translation = cases.read("explicit-permissive").translate()
    assert "bookstore/empty|80" not in {built.name for built in translation.clusters}
    assert ServiceName("bookstore", "empty") not in {key.service for key in translation.assignments}


def test_tls_towards_nobody_in_particular_cannot_be_built() -> None:
    mesh_tls = MeshTls.of("cluster.local", Mesh())
    with pytest.raises(ValueError, match="no account"):
        upstream_tls(mesh_tls, BOOKSTORE, ())


def test_a_bundle_without_roots_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="without roots"):
        bundle_secret("trust-bundle:cluster.local", ())


def test_what_may_not_be_called_appears_nowhere() -> None:
    case = cases.read("explicit-client")
    assert any(each.service.name.name == "vault" for each in case.services)
    assert "vault" not in "".join(cases.rendered(case).values())


@pytest.mark.parametrize("name", ["explicit-client", "explicit-split", "explicit-split-matches"])
def test_services_out_of_reach_are_not_looked_at(name: str) -> None:
    case = cases.read(name)
    assert case.policy is not None
    reachable = {upstream.service for upstream in case.policy.upstreams}
    within = tuple(each for each in case.services if each.service.name in reachable)
    assert len(within) < len(case.services)
    assert cases.rendered(case) == cases.rendered(msgspec.structs.replace(case, services=within))


def test_an_upstream_that_no_service_document_describes_is_left_out() -> None:
    case = cases.read("explicit-client")
    ghost = Upstream(service=ServiceName("bookstore", "ghost"), accounts=(Identity("bookstore", "ghost"),))
    policy = Policy(identity=case.workload.identity, upstreams=(ghost,))
    translation = msgspec.structs.replace(case, policy=policy).translate()
    assert not translation.clusters
    assert not translation.assignments


def test_permissive_assignments_are_shared_by_everyone_and_hold_every_endpoint() -> None:
    case = cases.read("explicit-permissive")
    key = AssignmentKey(service=BOOKSTORE, port=14001, accounts=ALL)
    assert key in case.translate().assignments
    assert key.name == "bookstore/bookstore|14001"
    assert len(load_assignment(key, case.view.services[BOOKSTORE]).endpoints) == 1


def test_only_endpoints_of_allowed_accounts_are_in_an_assignment() -> None:
    case = cases.read("explicit-client")
    (key,) = (key for key in case.translate().assignments if key.service == BOOKSTORE)
    (locality,) = load_assignment(key, case.view.services[BOOKSTORE]).endpoints
    hosts = [each.endpoint.address.socket_address.address for each in locality.lb_endpoints]
    assert hosts == ["127.1.0.2", "127.1.0.3"]


def test_the_cluster_asks_for_the_assignment_by_its_key() -> None:
    translation = cases.read("explicit-client").translate()
    asked = {
        one.message.eds_cluster_config.service_name
        for one in translation.clusters
        if isinstance(one.message, Cluster) and one.message.type == Cluster.EDS
    }
    assert asked == {key.name for key in translation.assignments}


def test_the_bare_service_name_means_the_own_namespace() -> None:
    routes = message(cases.read("explicit-client").translate(), "rds-outbound.http-proxy")
    domains = [domain for host in routes.virtual_hosts for domain in host.domains]
    assert len(domains) == len(set(domains))
    assert {"ratings", "ratings:80", "ratings:9000"} <= set(domains)
    assert "bookstore:14001" not in domains
    assert "bookstore.bookstore" not in domains


def test_where_the_port_is_known_a_headless_service_is_found_without_it_in_the_host() -> None:
    """A host with another port than the one that was dialled is not its."""
    routes = message(cases.read("transparent-client").translate(), "rds-outbound.8080")
    domains = {host.name: set(host.domains) for host in routes.virtual_hosts}
    assert {"pod.db", "pod.db:8080"} <= domains["db/pod|8080"]
    assert {"*.pod.db", "*.pod.db:8080"} <= domains["db/pod|8080|direct"]


@pytest.mark.parametrize("name", ["explicit-split", "explicit-split-matches"])
def test_a_split_without_any_weight_left_sends_calls_to_the_root(name: str) -> None:
    case = cases.read(name)
    root, *others = case.services
    assert root.split is not None
    missing_port = tuple(b for b in root.split.backends if b.service.name in {"other-port", "bookstore-v3"})
    split = msgspec.structs.replace(root.split, backends=missing_port)
    changed = msgspec.structs.replace(case, services=(msgspec.structs.replace(root, split=split), *others))
    routes = message(changed.translate(), "rds-outbound.bookstore/bookstore|14001")
    assert [route.route.cluster for route in routes.virtual_hosts[0].routes] == ["bookstore/bookstore|14001"]


def test_weights_are_scaled_to_what_envoy_can_add_up() -> None:
    most = 2**31 - 1
    shares = bounded(Share(cluster=str(number), weight=weight) for number, weight in enumerate([most] * 4 + [1, 0]))
    assert sum(share.weight for share in shares) <= LARGEST_TOTAL_WEIGHT
    assert [share.weight > 0 for share in shares] == [True] * 5 + [False]
    assert len({share.weight for share in shares[:4]}) == 1


def test_weights_that_fit_are_left_as_the_user_wrote_them() -> None:
    shares = (Share(cluster="a", weight=90), Share(cluster="b", weight=10), Share(cluster="c", weight=0))
    assert bounded(shares) == shares


def test_a_match_that_takes_everything_stands_for_all() -> None:
    assert len(shapes([HttpMatch(name="one", path_regex="/a"), HttpMatch(name="all")])) == 1


def test_equal_matches_of_different_names_are_one() -> None:
    one = HttpMatch(name="one", path_regex="/a", methods=("GET", "PUT"))
    other = HttpMatch(name="other", path_regex="/a", methods=("PUT", "GET"))
    assert len(shapes([one, other])) == 1


def test_a_request_that_leaves_the_mesh_keeps_its_version_of_http() -> None:
    """One on the port of a headless service passes through HTTP, where gRPC would end as HTTP/1.1."""
    cluster = message(cases.read("transparent-egress").translate(), PASSTHROUGH)
    options = HttpProtocolOptions()
    assert cluster.typed_extension_protocol_options[HTTP_OPTIONS].Unpack(options)
    assert options.HasField("use_downstream_protocol_config")


@pytest.mark.parametrize(("tcp_port", "shared"), [(3306, True), (8080, False)])
def test_the_port_of_a_headless_service_is_looked_into_unless_a_server_there_may_speak_first(
    tcp_port: int, shared: bool
) -> None:
    case = msgspec.structs.replace(cases.read("transparent-client"), mesh=Mesh(permissive=False, egress=True))
    first, *others = case.services
    ports = (*first.service.ports, ServicePort(port=tcp_port, protocol="tcp"))
    more = msgspec.structs.replace(first, service=msgspec.structs.replace(first.service, ports=ports))
    listener = message(msgspec.structs.replace(case, services=(more, *others)).translate(), "outbound")
    (chain,) = (each for each in listener.filter_chains if each.name == "outbound.8080")
    assert bool(chain.filter_chain_match.application_protocols) == shared
    assert any(each.name == "envoy.filters.listener.http_inspector" for each in listener.listener_filters) == shared


@pytest.mark.parametrize("egress", [True, False])
def test_a_headless_service_on_the_sidecars_own_port_spoils_no_listener(egress: bool) -> None:
    """Envoy refuses a listener of which two chains match the same, and so would everybody who may call the service."""
    case = cases.read("transparent-client")
    *others, headless = case.services
    taken = msgspec.structs.replace(
        headless, service=msgspec.structs.replace(headless.service, ports=(ServicePort(port=15001),))
    )
    changed = msgspec.structs.replace(case, services=(*others, taken), mesh=Mesh(permissive=False, egress=egress))
    listener = message(changed.translate(), "outbound")
    found = [chain.filter_chain_match.SerializeToString() for chain in listener.filter_chains]
    assert len(found) == len(set(found))
    to_itself = [chain for chain in listener.filter_chains if chain.filter_chain_match.destination_port.value == 15001]
    assert not any(chain.filters for chain in to_itself)


def test_a_split_for_certain_requests_leaves_connections_to_the_root() -> None:
    case = cases.read("explicit-split-matches")
    root, *others = case.services
    raw = msgspec.structs.replace(
        root.service, ports=tuple(msgspec.structs.replace(port, protocol="tcp") for port in root.service.ports)
    )
    changed = msgspec.structs.replace(case, services=(msgspec.structs.replace(root, service=raw), *others))
    reach = {to.name: to for to in destinations(changed.view)}
    assert reach["bookstore/bookstore|14001"].division is None
