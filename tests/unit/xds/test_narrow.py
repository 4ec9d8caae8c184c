"""What an older resource may still grant, judged by asking both sets of rules about requests."""

import itertools
import re

from envoy.config.core.v3.address_pb2 import Address as EnvoyAddress
from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.rbac.v3.rbac_pb2 import RBAC, Principal
from envoy.config.route.v3.route_components_pb2 import VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.rbac.v3.rbac_pb2 import RBACPerRoute
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac
from hypothesis import given
from hypothesis import strategies as st

from osm.ads.references import message_of
from osm.ads.resource import Resource
from osm.ads.types import CLUSTER
from osm.contracts.catalog import HttpGrant, TlsIngress
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.policy import ExternalAuthorization, HttpMatch, Mesh
from services.xds.fallback import stand_in
from services.xds.translate import PASSTHROUGH, narrowed
from services.xds.translate.access import (
    HTTP_FILTER,
    NETWORK_FILTER,
    anyone_rules,
    http_rules,
    named,
    per_connection,
    per_route,
    tls_ingress_rules,
)
from services.xds.translate.authorization import authorization
from services.xds.translate.cluster import passthrough_cluster
from services.xds.translate.filters import inbound_http, network_filter, outbound_http
from services.xds.translate.messages import exactly, packed
from services.xds.translate.narrow import NOTHING, both
from services.xds.translate.tls import MeshTls, downstream_tls, outside_tls

DOMAIN = "cluster.local"
SOURCES = tuple(Identity("shop", name) for name in ("a", "b", "c"))
PATHS = (".*", "/x", "/y")
REQUESTS = [(source, path) for source in SOURCES for path in ("/x", "/y", "/z")]

grants = st.builds(
    HttpGrant,
    origin=st.sampled_from([ObjectRef("TrafficTarget", "shop", name) for name in ("t", "u")]),
    sources=st.lists(st.sampled_from(SOURCES), min_size=1, max_size=3, unique=True).map(tuple),
    matches=st.lists(st.sampled_from(PATHS), min_size=1, max_size=2, unique=True).map(
        lambda paths: tuple(HttpMatch(name=path.strip("/."), path_regex=path) for path in paths)
    ),
)
rules = st.one_of(
    st.lists(grants, max_size=3).map(lambda found: http_rules(found, DOMAIN)), st.just(anyone_rules(DOMAIN))
)


def allows(rbac: RBAC, source: Identity, path: str) -> bool:
    """Envoy's own reading of the rules that `access` writes."""
    name = source.spiffe(DOMAIN)
    for policy in rbac.policies.values():
        named = any(
            principal.authenticated.principal_name.exact == name
            or (
                (pattern := principal.authenticated.principal_name.safe_regex.regex)
                and re.fullmatch(pattern, name) is not None
            )
            for principal in policy.principals
        )
        asked = any(
            permission.any or re.fullmatch(permission.url_path.path.safe_regex.regex or "$^", path) is not None
            for permission in policy.permissions
        )
        if named and asked:
            return True
    return False


@given(rules, rules)
def test_what_stays_is_exactly_what_both_allow(older: RBAC, newest: RBAC) -> None:
    stays = both(older, newest)
    for source, path in REQUESTS:
        assert allows(stays, source, path) == (allows(older, source, path) and allows(newest, source, path))


@given(rules)
def test_rules_that_nothing_was_taken_from_stay_as_they_are(same: RBAC) -> None:
    assert both(same, same) is same
    assert both(same, anyone_rules(DOMAIN)) is same


def test_rules_of_another_kind_allow_nothing() -> None:
    assert both(RBAC(action=RBAC.Action.DENY), anyone_rules(DOMAIN)) == NOTHING


SITES = ("10.1.0.0/16", "10.2.0.0/16")
NAMES = ("gateway.edge.cluster.local", "other.edge.cluster.local")

tls_entries = st.builds(
    TlsIngress,
    origin=st.sampled_from([ObjectRef("IngressBackend", "shop", name) for name in ("t", "u")]),
    target_port=st.just(80),
    ranges=st.lists(st.sampled_from(SITES), min_size=1, unique=True).map(tuple),
    any_client=st.booleans(),
    principals=st.lists(st.sampled_from(NAMES), unique=True).map(tuple),
)


def admits(rbac: RBAC, site: str, name: str | None) -> bool:
    """Whether a caller from `site` is let in that shows a certificate of this name, or none."""

    def meant(principal: Principal) -> bool:
        match principal.WhichOneof("identifier"):
            case "and_ids":
                return all(map(meant, principal.and_ids.ids))
            case "or_ids":
                return any(map(meant, principal.or_ids.ids))
            case "direct_remote_ip":
                return site.startswith(f"{principal.direct_remote_ip.address_prefix}/")
        return name is not None and principal == Principal(
            authenticated=Principal.Authenticated(principal_name=exactly(name))
        )

    return any(meant(principal) for policy in rbac.policies.values() for principal in policy.principals)


@given(st.lists(tls_entries, max_size=3), st.lists(tls_entries, max_size=3))
def test_of_an_entrance_stays_at_most_what_both_admit(older: list[TlsIngress], newest: list[TlsIngress]) -> None:
    """And all of it, where both ask for a certificate: one place or name that is gone takes no other along."""
    before, now = tls_ingress_rules(older), tls_ingress_rules(newest)
    stays = both(before, now)
    asking = not any(entry.any_client for entry in (*older, *newest))
    for site, name in itertools.product(SITES, (*NAMES, None)):
        allowed = admits(before, site, name) and admits(now, site, name)
        assert admits(stays, site, name) <= allowed
        assert not asking or admits(stays, site, name) == allowed


def routes(*hosts: tuple[str, RBAC]) -> RouteConfiguration:
    made = RouteConfiguration(name="rds-inbound.shop/web|80")
    for name, rbac in hosts:
        host = VirtualHost(name=name, domains=["*"])
        host.typed_per_filter_config[HTTP_FILTER].CopyFrom(packed(per_route(rbac)))
        made.virtual_hosts.append(host)
    return made


def host_rules(message: RouteConfiguration) -> list[RBAC]:
    return [
        RBACPerRoute.FromString(host.typed_per_filter_config[HTTP_FILTER].value).rbac.rules
        for host in message.virtual_hosts
    ]


ALL_OF_A = http_rules(
    [HttpGrant(origin=ObjectRef("TrafficTarget", "shop", "t"), sources=SOURCES[:1], matches=(HttpMatch(name="all"),))],
    DOMAIN,
)


def test_a_virtual_host_without_a_counterpart_grants_nothing() -> None:
    older = routes(("shop/web|80", ALL_OF_A))
    assert host_rules(narrowed(older, routes(("other", ALL_OF_A)))) == [NOTHING]
    assert host_rules(narrowed(older, None)) == [NOTHING]


def test_routes_without_rules_are_outbound_and_stay() -> None:
    older = RouteConfiguration(name="rds-outbound", virtual_hosts=[VirtualHost(name="w", domains=["*"])])
    assert narrowed(older, None) == older


def listener(chain: str, rbac: RBAC) -> Listener:
    filters = [network_filter(NETWORK_FILTER, per_connection(rbac, chain))]
    return Listener(name="inbound", address=EnvoyAddress(), filter_chains=[FilterChain(name=chain, filters=filters)])


def chain_rules(message: Listener) -> RBAC:
    return network_rbac.RBAC.FromString(message.filter_chains[0].filters[0].typed_config.value).rules


def test_a_chain_is_narrowed_by_its_counterpart_and_denied_without_one() -> None:
    older = listener("db", anyone_rules(DOMAIN))
    assert chain_rules(narrowed(older, listener("db", ALL_OF_A))) == ALL_OF_A
    assert chain_rules(narrowed(older, listener("other", ALL_OF_A))) == NOTHING
    assert older == listener("db", anyone_rules(DOMAIN)), "the older one is not touched"


def test_tls_turns_away_whom_the_narrowed_rules_do_not_name() -> None:
    mesh_tls = MeshTls.of(DOMAIN, Mesh())
    older = listener("db", anyone_rules(DOMAIN))
    older.filter_chains[0].transport_socket.CopyFrom(downstream_tls(mesh_tls, named(anyone_rules(DOMAIN))))
    for newest, expected in ((ALL_OF_A, named(ALL_OF_A)), (NOTHING, ())):
        narrower = narrowed(older, listener("db", newest))
        assert isinstance(narrower, Listener)
        assert narrower.filter_chains[0].transport_socket == downstream_tls(mesh_tls, expected)
    assert narrowed(older, older) == older


def test_a_rejected_narrower_form_gives_way_to_one_that_denies_all_and_that_to_none() -> None:
    good = Resource.of("r", routes(("h", anyone_rules(DOMAIN))))
    newest = Resource.of("r", routes(("h", ALL_OF_A)))
    rejected: set[str] = set()

    def serve() -> Resource | None:
        return stand_in(good, newest, lambda resource: resource.version in rejected)

    first = serve()
    assert first is not None
    assert host_rules(message_of(first)) == [ALL_OF_A]
    rejected.add(first.version)
    second = serve()
    assert second is not None
    assert host_rules(message_of(second)) == [NOTHING]
    rejected.add(second.version)
    assert serve() is None


def test_what_grants_no_more_than_the_newest_is_served_as_it_is() -> None:
    good = Resource.of("r", routes(("h", ALL_OF_A)))
    newest = Resource.of("r", routes(("h", anyone_rules(DOMAIN))))
    assert stand_in(good, newest, lambda _: True) is good


def test_the_way_out_of_the_mesh_is_not_kept_once_it_is_closed() -> None:
    way_out = Resource.of(PASSTHROUGH, passthrough_cluster())
    assert way_out.type_url == CLUSTER
    assert stand_in(way_out, None, lambda _: False) is None
    assert stand_in(way_out, way_out, lambda _: False) is way_out


def asking(address: str | None, *, allow: bool = False, chain: str = "web") -> Listener:
    """A listener of requests to the app; `address`: who is asked about them."""
    origin = ObjectRef("MeshConfig", "osm-system", "osm-mesh-config")
    asked = address and ExternalAuthorization(
        origin=origin, address=address, port=9000, failure_mode_allow=allow, stat_prefix=address
    )
    filters = authorization(Mesh(external_authorization=asked or None), "http")
    manager = inbound_http("inbound", "rds-inbound", None, filters)
    return Listener(name="inbound", filter_chains=[FilterChain(name=chain, filters=[manager])])


def test_an_older_listener_asks_whom_the_newest_asks() -> None:
    assert narrowed(asking(None), asking("authz")) == asking("authz")
    assert narrowed(asking("old", allow=True), asking("authz")) == asking("authz")
    assert narrowed(asking("authz"), asking("authz")) == asking("authz")


def test_an_older_listener_asks_on_where_the_newest_asks_nobody() -> None:
    assert narrowed(asking("authz"), asking(None)) == asking("authz")


def test_nobody_comes_in_where_it_is_not_known_who_would_have_to_be_asked() -> None:
    """The narrowed form has been rejected, too: what is left of the older one denies everything."""
    closed = narrowed(asking(None), None)
    assert isinstance(closed, Listener)
    first, *others = closed.filter_chains[0].filters
    assert network_rbac.RBAC.FromString(first.typed_config.value).rules == NOTHING
    assert others == list(asking(None).filter_chains[0].filters)
    assert narrowed(closed, asking("authz")) != closed, "it asks whom it has to, and stays closed"
    assert chain_rules(narrowed(closed, asking("authz"))) == NOTHING


def test_a_closed_chain_that_asks_for_no_certificate_keeps_its_tls() -> None:
    mesh_tls = MeshTls.of(DOMAIN, Mesh())
    older = asking(None)
    older.filter_chains[0].transport_socket.CopyFrom(outside_tls(mesh_tls, any_client=True))
    closed = narrowed(older, None)
    again = narrowed(closed, older)
    assert isinstance(again, Listener)
    assert again.filter_chains[0].transport_socket == outside_tls(mesh_tls, any_client=True)


def test_a_listener_of_the_own_apps_requests_asks_nobody() -> None:
    outbound = Listener(
        name="outbound", filter_chains=[FilterChain(name="web", filters=[outbound_http("o", "r", None)])]
    )
    assert narrowed(outbound, asking("authz")) == outbound
    assert narrowed(outbound, None) == outbound
