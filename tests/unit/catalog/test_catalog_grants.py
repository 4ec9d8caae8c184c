"""Who may talk to whom: grants on the destination, upstreams at the source."""

from collections.abc import Iterator

import pytest

from osm.bus import Document, Update
from osm.contracts.catalog import HttpGrant, Policy, TcpGrant, Upstream
from osm.contracts.channels import POLICY
from osm.contracts.endpoints import Endpoint, MeshIdentity, Service, ServiceEndpoints, ServicePort
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.policies import AnyPolicy
from osm.contracts.policy import (
    HttpMatch,
    HttpRouteGroup,
    HttpRule,
    Mesh,
    SplitBackend,
    TcpRoute,
    TcpRule,
    TrafficSplit,
    TrafficTarget,
)
from services.catalog.check import Endpoints, key_of, picture
from services.catalog.reference_lookup import Reading, ReferenceLookup
from services.catalog.resolve import resolve_target
from services.catalog.state import Catalog

STORE = Identity("shop", "bookstore")
OTHER_STORE = Identity("shop", "bookstore-v2")
BUYER = Identity("buy", "bookbuyer")
THIEF = Identity("steal", "bookthief")
BUY = HttpMatch(name="buy", path_regex="/buy", methods=("GET",))
SELL = HttpMatch(name="sell", path_regex="/sell", headers=())
BOOKS = HttpRouteGroup(namespace="shop", name="books", matches=(BUY, SELL))
TARGET = ObjectRef("TrafficTarget", "shop", "target")


def target(*rules: HttpRule | TcpRule, name: str = "target", **changed: object) -> TrafficTarget:
    said = {"destination": STORE, "sources": (BUYER,)} | changed
    return TrafficTarget(namespace="shop", name=name, rules=rules, **said)  # type: ignore[arg-type]  # two shapes


def http(*matches: str, group: str = "books") -> HttpRule:
    return HttpRule(route_group=group, matches=matches)


def service(name: str, *accounts: Identity, ready: bool = True) -> ServiceEndpoints:
    endpoints = tuple(Endpoint(port=80, address=Address("10.0.0.1", 8080), identity=account) for account in accounts)
    return ServiceEndpoints(
        service=Service(name=ServiceName("shop", name), ports=(ServicePort(port=80),), accounts=accounts),
        endpoints=endpoints if ready else (),
    )


MESHED: tuple[Endpoints, ...] = tuple(
    MeshIdentity(identity=identity) for identity in (STORE, OTHER_STORE, BUYER, THIEF)
)


def settle(*policies: AnyPolicy, runs: tuple[Endpoints, ...] = ()) -> Catalog:
    catalog = Catalog()
    catalog.apply(picture("meshspec", policies), picture("endpoints", (*MESHED, *runs)))
    return catalog


def policy(catalog: Catalog, identity: Identity) -> Policy:
    document = catalog.documents[POLICY.key(identity.namespace, identity.account)]
    assert isinstance(document, Policy)
    return document


def said(catalog: Catalog, ref: ObjectRef = TARGET) -> list[str]:
    return [f"{problem.severity} {problem.field}: {problem.what}" for problem in catalog.problems.get(ref, ())]


def change(catalog: Catalog, *values: AnyPolicy) -> Catalog:
    documents = tuple(Document(bucket="meshspec", key=key_of(value), value=value, revision=2) for value in values)
    catalog.apply(Update(bucket="meshspec", full=False, documents=documents, revision=2))
    return catalog


def delete(catalog: Catalog, *values: AnyPolicy) -> Catalog:
    documents = tuple(
        Document(bucket="meshspec", key=key_of(value), value=None, revision=3, deleted=True) for value in values
    )
    catalog.apply(Update(bucket="meshspec", full=False, documents=documents, revision=3))
    return catalog


def test_an_identity_without_targets_has_an_empty_policy_which_means_deny() -> None:
    assert policy(settle(), STORE) == Policy(identity=STORE)


def test_an_http_rule_grants_the_named_matches_at_the_destination() -> None:
    assert policy(settle(BOOKS, target(http("buy"))), STORE).http == (
        HttpGrant(origin=TARGET, sources=(BUYER,), matches=(BUY,)),
    )


def test_an_http_rule_without_names_grants_all_matches_of_the_group() -> None:
    (grant,) = policy(settle(BOOKS, target(http())), STORE).http
    assert grant.matches == (BUY, SELL)


def test_matches_of_several_rules_add_up_without_repetition() -> None:
    (grant,) = policy(settle(BOOKS, target(http("sell"), http("buy", "sell"))), STORE).http
    assert grant.matches == (BUY, SELL)


def test_http_rules_never_grant_tcp() -> None:
    assert policy(settle(BOOKS, target(http())), STORE).tcp == ()


def test_tcp_rules_never_grant_http() -> None:
    granted = policy(settle(TcpRoute(namespace="shop", name="sql", ports=(3306,)), target(TcpRule(route="sql"))), STORE)
    assert granted.http == ()
    assert granted.tcp == (TcpGrant(origin=TARGET, sources=(BUYER,), ports=(3306,)),)


@pytest.mark.parametrize(("second", "ports"), [((80, 443), (80, 443, 3306)), ((), ())])
def test_ports_of_several_tcp_routes_add_up_and_a_route_without_ports_means_any(
    second: tuple[int, ...], ports: tuple[int, ...]
) -> None:
    first = TcpRoute(namespace="shop", name="a", ports=(3306,))
    catalog = settle(
        first, TcpRoute(namespace="shop", name="b", ports=second), target(TcpRule(route="a"), TcpRule(route="b"))
    )
    assert policy(catalog, STORE).tcp[0].ports == ports


def test_a_target_with_both_kinds_of_rules_grants_both() -> None:
    granted = policy(
        settle(BOOKS, TcpRoute(namespace="shop", name="any"), target(http("buy"), TcpRule(route="any"))), STORE
    )
    assert [len(granted.http), len(granted.tcp)] == [1, 1]


def test_grants_of_several_targets_are_all_kept_each_with_its_origin() -> None:
    catalog = settle(BOOKS, target(http("sell"), name="b", sources=(THIEF,)), target(http("buy"), name="a"))
    assert policy(catalog, STORE).http == (
        HttpGrant(origin=ObjectRef("TrafficTarget", "shop", "a"), sources=(BUYER,), matches=(BUY,)),
        HttpGrant(origin=ObjectRef("TrafficTarget", "shop", "b"), sources=(THIEF,), matches=(SELL,)),
    )


def test_an_account_may_be_its_own_source() -> None:
    catalog = settle(BOOKS, target(http(), sources=(STORE,)), runs=(service("store", STORE),))
    granted = policy(catalog, STORE)
    assert granted.http[0].sources == (STORE,)
    assert granted.upstreams == (Upstream(service=ServiceName("shop", "store"), accounts=(STORE,)),)


def test_routes_of_another_namespace_are_not_meant() -> None:
    elsewhere = HttpRouteGroup(namespace="buy", name="books", matches=(BUY,))
    assert policy(settle(elsewhere, target(http())), STORE).http == ()


def test_a_missing_route_group_grants_nothing_and_the_error_names_what_exists() -> None:
    catalog = settle(BOOKS, target(http(group="boks")))
    assert policy(catalog, STORE) == Policy(identity=STORE)
    assert said(catalog) == [
        'error spec.rules[0].name: no HTTPRouteGroup "boks" in namespace shop, there is books; the rule grants nothing'
    ]


def test_a_missing_tcp_route_grants_nothing_and_the_error_says_that_there_is_none() -> None:
    catalog = settle(BOOKS, target(http("buy"), TcpRule(route="sql")))
    assert policy(catalog, STORE).tcp == ()
    assert said(catalog) == [
        'error spec.rules[1].name: no TCPRoute "sql" in namespace shop, there is none; the rule grants nothing'
    ]


def test_a_missing_match_grants_nothing_and_those_named_beside_it_stay() -> None:
    catalog = settle(BOOKS, target(http("buy", "by")))
    assert policy(catalog, STORE).http[0].matches == (BUY,)
    assert said(catalog) == [
        'error spec.rules[0].matches[1]: HTTPRouteGroup "books" has no match "by", there are buy, sell; '
        "it grants nothing"
    ]


def test_a_target_left_without_rules_gives_its_sources_no_upstreams() -> None:
    catalog = settle(target(http()), runs=(service("store", STORE),))
    assert policy(catalog, BUYER).upstreams == ()


def test_many_names_are_cut_to_the_first_five() -> None:
    groups = [HttpRouteGroup(namespace="shop", name=f"g{number}", matches=(BUY,)) for number in range(9, 0, -1)]
    assert said(settle(*groups, target(http()))) == [
        'error spec.rules[0].name: no HTTPRouteGroup "books" in namespace shop, '
        "there are g1, g2, g3, g4, g5 and 4 more; the rule grants nothing"
    ]


def test_unknown_identities_are_warnings_and_the_grant_stands() -> None:
    catalog = settle(BOOKS, target(http(), destination=Identity("shop", "stor"), sources=(Identity("buy", "x"),)))
    assert len(policy(catalog, Identity("shop", "stor")).http) == 1
    assert said(catalog) == [
        'warning spec.destination: no meshed workload runs under service account "stor" in namespace shop, '
        "there are bookstore, bookstore-v2",
        'warning spec.sources: no meshed workload runs under service account "x" in namespace buy, there is bookbuyer',
    ]


def test_a_destination_has_a_policy_though_nothing_runs_under_it_and_a_source_has_none() -> None:
    catalog = settle(BOOKS, target(http(), destination=Identity("shop", "later"), sources=(Identity("buy", "later"),)))
    assert POLICY.key("shop", "later") in catalog.documents
    assert POLICY.key("buy", "later") not in catalog.documents


def test_an_upstream_is_a_service_at_those_of_its_accounts_that_may_be_reached() -> None:
    runs = (service("all", STORE, OTHER_STORE), service("v2", OTHER_STORE))
    catalog = settle(BOOKS, target(http()), runs=runs)
    assert policy(catalog, BUYER).upstreams == (Upstream(service=ServiceName("shop", "all"), accounts=(STORE,)),)
    assert policy(catalog, THIEF).upstreams == ()


def test_readiness_changes_no_policy() -> None:
    ready = settle(BOOKS, target(http()), runs=(service("store", STORE),))
    unready = settle(BOOKS, target(http()), runs=(service("store", STORE, ready=False),))
    assert policy(ready, BUYER) == policy(unready, BUYER)
    assert policy(ready, BUYER).upstreams != ()


def test_the_root_of_a_split_is_an_upstream_of_who_reaches_a_backend_though_it_selects_nothing() -> None:
    split = TrafficSplit(
        namespace="shop", name="s", service="root", backends=(SplitBackend(service="store", weight=1),)
    )
    catalog = settle(BOOKS, target(http()), split, runs=(service("store", STORE), service("root")))
    assert policy(catalog, BUYER).upstreams == (
        Upstream(service=ServiceName("shop", "root"), accounts=()),
        Upstream(service=ServiceName("shop", "store"), accounts=(STORE,)),
    )


def test_the_split_of_a_backend_is_not_followed() -> None:
    def split(root: str, backend: str) -> TrafficSplit:
        backends = (SplitBackend(service=backend, weight=1),)
        return TrafficSplit(namespace="shop", name=root, service=root, backends=backends)

    runs = (service("leaf", STORE), service("middle"), service("root"))
    catalog = settle(BOOKS, target(http()), split("root", "middle"), split("middle", "leaf"), runs=runs)
    assert [upstream.service.name for upstream in policy(catalog, BUYER).upstreams] == ["leaf", "middle"]


def test_permissive_mode_changes_no_policy() -> None:
    strict = settle(BOOKS, target(http()), Mesh(permissive=False), runs=(service("store", STORE),))
    permissive = settle(BOOKS, target(http()), Mesh(permissive=True), runs=(service("store", STORE),))
    assert policy(strict, BUYER) == policy(permissive, BUYER)
    assert policy(strict, STORE) == policy(permissive, STORE)


def test_deleting_a_route_group_revokes_at_once() -> None:
    catalog = delete(settle(BOOKS, target(http()), runs=(service("store", STORE),)), BOOKS)
    assert policy(catalog, STORE) == Policy(identity=STORE)
    assert policy(catalog, BUYER).upstreams == ()
    assert len(said(catalog)) == 1


def test_a_route_group_that_comes_back_grants_again_and_clears_the_problem() -> None:
    catalog = settle(BOOKS, target(http()))
    before = policy(catalog, STORE)
    assert policy(delete(catalog, BOOKS), STORE) != before
    assert policy(change(catalog, BOOKS), STORE) == before
    assert catalog.problems == {}


def test_a_target_that_moves_to_another_destination_takes_its_sources_along() -> None:
    runs = (service("v1", STORE), service("v2", OTHER_STORE))
    catalog = change(settle(BOOKS, target(http()), runs=runs), target(http(), destination=OTHER_STORE))
    assert policy(catalog, STORE) == Policy(identity=STORE)
    assert [upstream.service.name for upstream in policy(catalog, BUYER).upstreams] == ["v2"]


def test_a_sentence_about_what_exists_follows_what_exists() -> None:
    catalog = change(settle(target(http())), HttpRouteGroup(namespace="shop", name="new", matches=(BUY,)))
    assert "there is new" in said(catalog)[0]


def test_a_deleted_target_takes_its_problems_with_it() -> None:
    broken = target(http())
    assert delete(settle(broken), broken).problems == {}


class Counted(ReferenceLookup):
    """Counts how often all names of a kind are walked over."""

    walks = 0

    def names(self, every: ObjectRef) -> Iterator[str]:
        self.walks += 1
        return super().names(every)


def test_many_wrong_names_cost_one_walk_over_the_right_ones() -> None:
    """Each is as long as a user likes, and the product of both would hold up everyone."""
    known = Counted()
    strangers = tuple(Identity("buy", f"stranger-{at:03}") for at in range(200))
    rules = [http(group=f"g-{at}") for at in range(200)]
    _, problems = resolve_target(target(*rules, sources=strangers), Reading(known))
    assert len(problems) == 401  # every source, every rule, the destination
    assert known.walks == 3


def test_of_very_many_problems_the_first_are_told_and_mistakes_before_warnings() -> None:
    strangers = tuple(Identity("buy", f"stranger-{at:03}") for at in range(60))
    told = said(settle(target(http(group="none"), sources=strangers)))
    assert len(told) == 51
    assert told[0].startswith('error spec.rules[0].name: no HTTPRouteGroup "none"')
    assert told[-1] == "warning : 11 more problems are not listed"
