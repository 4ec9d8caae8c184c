"""The kinds of SMI: what each document becomes, in every version and spelling."""

import pytest

from osm.contracts.names import Identity
from osm.contracts.policy import (
    HeaderMatch,
    HttpMatch,
    HttpRouteGroup,
    HttpRule,
    SplitBackend,
    TcpRoute,
    TcpRule,
    TrafficSplit,
    TrafficTarget,
)
from osm.manifests import Parsed
from tests.unit.smi.policy_text import TARGET, parsed


def test_a_traffic_target_becomes_identities_and_rules() -> None:
    assert parsed("TrafficTarget", TARGET) == Parsed(
        object=TrafficTarget(
            namespace="shop",
            name="it",
            destination=Identity("shop", "store"),
            sources=(Identity("admins", "admin"), Identity("buyers", "buyer")),
            rules=(
                HttpRule(route_group="routes", matches=("buy", "look")),
                HttpRule(route_group="others"),
                TcpRule(route="sql"),
            ),
        )
    )


def test_rules_keep_their_places_for_who_speaks_of_them_later() -> None:
    twice = TARGET.replace("matches: [buy, look]", "matches: [buy, buy, look]") + "- {kind: TCPRoute, name: sql}\n"
    found = parsed("TrafficTarget", twice).object
    assert isinstance(found, TrafficTarget)
    assert found.rules[0] == HttpRule(route_group="routes", matches=("buy", "buy", "look"))
    assert found.rules[2:] == (TcpRule(route="sql"), TcpRule(route="sql"))


def test_a_traffic_target_of_v1alpha2_is_read_alike() -> None:
    old = parsed("TrafficTarget", TARGET, api="access.smi-spec.io/v1alpha2")
    assert old == parsed("TrafficTarget", TARGET)


GROUP = """
matches:
- name: buy
  pathRegex: /buy/.*
  methods: [post, GET]
  headers:
  - User-Agent: .*curl.*
  - {client-app: shopper}
- name: anything
- name: any-method
  methods: [GET, "*"]
  pathRegex: ""
- name: as-the-text-shows
  headers: {host: 'shop\\..*', Cookie: "^(.*?;)?(type=insider)(;.*)?$"}
"""


def test_a_route_group_reads_headers_as_a_list_and_as_a_mapping() -> None:
    assert parsed("HTTPRouteGroup", GROUP) == Parsed(
        object=HttpRouteGroup(
            namespace="shop",
            name="it",
            matches=(
                HttpMatch(
                    name="buy",
                    path_regex="/buy/.*",
                    methods=("GET", "POST"),
                    headers=(
                        HeaderMatch(name="user-agent", regex=".*curl.*"),
                        HeaderMatch(name="client-app", regex="shopper"),
                    ),
                ),
                HttpMatch(name="anything"),
                HttpMatch(name="any-method"),
                HttpMatch(
                    name="as-the-text-shows",
                    headers=(
                        HeaderMatch(name=":authority", regex=r"shop\..*"),
                        HeaderMatch(name="cookie", regex="^(.*?;)?(type=insider)(;.*)?$"),
                    ),
                ),
            ),
        )
    )


@pytest.mark.parametrize(
    ("spec", "ports"),
    [
        ("matches: {ports: [6446, 3306, 3306]}", (3306, 6446)),
        ("matches: {ports: []}", ()),
        ("matches: {name: sql, ports: [1]}", (1,)),
        ("{}", ()),
        ("", ()),
    ],
)
def test_a_tcp_route_names_ports_or_any(spec: str, ports: tuple[int, ...]) -> None:
    assert parsed("TCPRoute", spec) == Parsed(object=TcpRoute(namespace="shop", name="it", ports=ports))


@pytest.mark.parametrize("service", ["web", "web.shop", "web.shop.svc", "web.shop.svc.cluster.local"])
@pytest.mark.parametrize("version", ["v1alpha2", "v1alpha3", "v1alpha4"])
def test_a_split_takes_every_spelling_of_its_service(service: str, version: str) -> None:
    spec = f"service: {service}\nbackends: [{{service: web-v1, weight: 90}}, {{service: web-v2.shop, weight: 0}}]"
    assert parsed("TrafficSplit", spec, api=f"split.smi-spec.io/{version}") == Parsed(
        object=TrafficSplit(
            namespace="shop",
            name="it",
            service="web",
            backends=(SplitBackend(service="web-v1", weight=90), SplitBackend(service="web-v2", weight=0)),
        )
    )


def test_a_split_may_be_for_matching_requests_only() -> None:
    spec = """
    service: web
    matches: [{kind: HTTPRouteGroup, name: insiders}, {apiGroup: specs.smi-spec.io, kind: HTTPRouteGroup, name: b}]
    backends: [{service: web-v2, weight: 1}]
    """
    found = parsed("TrafficSplit", spec)
    assert isinstance(found.object, TrafficSplit)
    assert (found.object.matches, found.problems) == (("insiders", "b"), ())
