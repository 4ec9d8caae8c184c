"""The verdict on a folder of policies, with and without knowing what runs."""

from osm.contracts.endpoints import Service, ServicePort
from osm.contracts.names import Identity, ServiceName
from osm.contracts.policy import HttpRule, SplitBackend, TrafficSplit, TrafficTarget
from services.catalog.check import check, unjudged

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


def service(namespace: str, name: str, *ports: int) -> Service:
    return Service(name=ServiceName(namespace, name), ports=tuple(ServicePort(port=port) for port in ports))


def test_services_of_a_namespace_of_which_some_are_known_are_judged_by_these() -> None:
    assert [str(each) for each in check([SPLIT], services=[service("shop", "v1")])] == [
        'TrafficSplit shop/s: spec.service: no Service "web" in namespace shop, there is v1; the split is not in force'
    ]
    found = check([SPLIT], services=[service("shop", "web", 80), service("shop", "v2", 80)])
    assert [(each.field, each.what.partition(";")[0]) for each in found] == [
        ("spec.backends", "none of the backends exists"),
        ("spec.backends[0].service", 'no Service "v1" in namespace shop, there are v2, web'),
    ]
    assert check([SPLIT], services=[service("shop", "web", 80), service("shop", "v1", 80)]) == ()


def test_ports_that_a_backend_lacks_are_told_of_known_services() -> None:
    (found,) = check([SPLIT], services=[service("shop", "web", 80), service("shop", "v1", 81)])
    assert (found.severity, 'service "v1" has no port 80' in found.what) == ("warning", True)


def test_services_of_other_namespaces_are_taken_to_exist_and_said_to_be_so() -> None:
    assert check([SPLIT], services=[service("buy", "web")]) == ()
    assert unjudged([TARGET, SPLIT], [service("buy", "web")]) == (ServiceName("shop", "v1"), ServiceName("shop", "web"))
    assert unjudged([TARGET, SPLIT], [service("shop", "other")]) == ()
