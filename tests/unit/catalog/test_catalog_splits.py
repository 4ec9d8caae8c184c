"""How traffic is split: what is in force, and what is said of what is not."""

from osm.contracts.catalog import MeshService, Split, WeightedBackend
from osm.contracts.channels import MESH_SERVICE
from osm.contracts.endpoints import Service, ServiceEndpoints, ServicePort
from osm.contracts.names import ObjectRef, ServiceName
from osm.contracts.policies import AnyPolicy
from osm.contracts.policy import HttpMatch, HttpRouteGroup, SplitBackend, TrafficSplit
from services.catalog.check import picture
from services.catalog.state import Catalog

SPLIT = ObjectRef("TrafficSplit", "shop", "canary")
BETA = HttpMatch(name="beta")


def split(name: str = "canary", matches: tuple[str, ...] = (), **weights: int) -> TrafficSplit:
    backends = tuple(SplitBackend(service=service, weight=weight) for service, weight in weights.items())
    return TrafficSplit(namespace="shop", name=name, service="web", backends=backends, matches=matches)


def service(name: str, *ports: int) -> ServiceEndpoints:
    shape = Service(name=ServiceName("shop", name), ports=tuple(ServicePort(port=port) for port in ports or (80,)))
    return ServiceEndpoints(service=shape)


WEB = (service("web"), service("v1"), service("v2"))


def settle(*policies: AnyPolicy, runs: tuple[ServiceEndpoints, ...] = WEB) -> Catalog:
    catalog = Catalog()
    catalog.apply(picture("meshspec", policies), picture("endpoints", runs))
    return catalog


def in_force(catalog: Catalog, root: str = "web") -> Split | None:
    document = catalog.documents[MESH_SERVICE.key("shop", root)]
    assert isinstance(document, MeshService)
    return document.split


def shares(catalog: Catalog) -> dict[str, int]:
    found = in_force(catalog)
    return {each.service.name: each.weight for each in found.backends} if found else {}


def said(catalog: Catalog, name: str = "canary") -> list[str]:
    found = catalog.problems.get(ObjectRef("TrafficSplit", "shop", name), ())
    return [f"{problem.severity} {problem.field}: {problem.what}" for problem in found]


def test_a_split_is_part_of_its_root_and_of_no_other_service() -> None:
    catalog = settle(split(v2=10, v1=90))
    assert in_force(catalog) == Split(
        origin=SPLIT,
        backends=(
            WeightedBackend(service=ServiceName("shop", "v1"), weight=90),
            WeightedBackend(service=ServiceName("shop", "v2"), weight=10),
        ),
    )
    assert in_force(catalog, "v1") is None
    assert catalog.problems == {}


def test_a_backend_of_weight_zero_stays() -> None:
    assert shares(settle(split(v1=1, v2=0))) == {"v1": 1, "v2": 0}


def test_the_root_may_be_its_own_backend() -> None:
    catalog = settle(split(web=90, v2=10))
    assert shares(catalog) == {"web": 90, "v2": 10}
    assert catalog.problems == {}


def test_a_missing_root_is_an_error_that_names_what_exists() -> None:
    catalog = settle(split(v1=1), runs=(service("v1"),))
    assert said(catalog) == [
        'error spec.service: no Service "web" in namespace shop, there is v1; the split is not in force'
    ]


def test_the_share_of_a_missing_backend_is_left_out() -> None:
    catalog = settle(split(v1=50, v3=30, v2=20))
    assert shares(catalog) == {"v1": 50, "v2": 20}
    assert said(catalog) == [
        'error spec.backends[1].service: no Service "v3" in namespace shop, there are v1, v2, web; '
        "its share is left out, the others keep their ratio"
    ]


def test_without_any_backend_the_root_serves_itself() -> None:
    catalog = settle(split(v3=1))
    assert in_force(catalog) is None
    assert said(catalog)[1:] == [
        "error spec.backends: none of the backends exists; the split is not in force, web serves itself"
    ]


def test_with_all_weights_zero_the_root_serves_itself() -> None:
    catalog = settle(split(v1=0, v2=0))
    assert in_force(catalog) is None
    assert said(catalog) == [
        "error spec.backends: no existing backend has a weight above 0; the split is not in force, web serves itself"
    ]


def test_of_several_splits_the_first_by_name_is_in_force_and_the_others_are_told() -> None:
    catalog = settle(split(name="b", v1=1), split(name="a", v2=1))
    assert shares(catalog) == {"v2": 1}
    assert said(catalog, "a") == []
    assert said(catalog, "b") == [
        'error spec.service: service "web" is split by TrafficSplit shop/a already, which comes first by name; '
        "the split is not in force"
    ]


def test_matches_come_from_the_route_groups() -> None:
    catalog = settle(HttpRouteGroup(namespace="shop", name="ab", matches=(BETA,)), split(matches=("ab",), v2=1))
    found = in_force(catalog)
    assert found is not None
    assert found.matches == (BETA,)


def test_a_split_whose_route_groups_are_missing_never_takes_all_calls() -> None:
    catalog = settle(split(matches=("ab",), v2=1))
    assert in_force(catalog) is None
    assert said(catalog) == [
        'error spec.matches[0].name: no HTTPRouteGroup "ab" in namespace shop, there is none; it matches no request',
        "error spec.matches: no request can match, since none of these has a match; "
        "the split is not in force, web serves itself",
    ]


def test_a_missing_route_group_leaves_the_matches_of_the_others() -> None:
    catalog = settle(HttpRouteGroup(namespace="shop", name="ab", matches=(BETA,)), split(matches=("x", "ab"), v2=1))
    found = in_force(catalog)
    assert found is not None
    assert found.matches == (BETA,)
    assert len(said(catalog)) == 1


def test_a_backend_without_a_port_of_the_root_is_warned_about() -> None:
    catalog = settle(split(v1=1), runs=(service("web", 80, 9090), service("v1", 80)))
    assert shares(catalog) == {"v1": 1}
    assert said(catalog) == [
        'warning spec.backends[0].service: service "v1" has no port 9090, which "web" has; '
        "it gets no share of calls to that port"
    ]
