"""The verdict on a folder of policies, with and without knowing what runs."""

from osm.contracts.names import Identity
from osm.contracts.policy import HttpRule, SplitBackend, TrafficSplit, TrafficTarget
from services.catalog.check import check

TARGET = TrafficTarget(
    namespace="shop",
    name="t",
    destination=Identity("shop", "store"),
    sources=(Identity("buy", "buyer"),),
    rules=(HttpRule(route_group="books"),),
)
SPLIT = TrafficSplit(namespace="shop", name="s", service="web", backends=(SplitBackend(service="v1", weight=1),))


def test_without_endpoints_only_references_among_policies_are_judged() -> None:
    assert [str(problem) for problem in check([TARGET, SPLIT])] == [
        'TrafficTarget shop/t: spec.rules[0].name: no HTTPRouteGroup "books" in namespace shop, there is none; '
        "the rule grants nothing"
    ]


def test_with_endpoints_services_and_accounts_are_judged_too() -> None:
    assert [(str(problem.subject), problem.field) for problem in check([TARGET, SPLIT], [])] == [
        ("TrafficSplit shop/s", "spec.service"),
        ("TrafficTarget shop/t", "spec.destination"),
        ("TrafficTarget shop/t", "spec.rules[0].name"),
        ("TrafficTarget shop/t", "spec.sources"),
    ]
