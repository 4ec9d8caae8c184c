"""Which UpstreamTrafficSetting is in force for a service, and what is said of the others."""

from osm.bus import Document, Update
from osm.contracts.catalog import MeshService, ServiceSettings
from osm.contracts.channels import MESH_SERVICE, UPSTREAM_TRAFFIC_SETTING
from osm.contracts.endpoints import Service, ServiceEndpoints, ServicePort
from osm.contracts.names import ObjectRef, ServiceName
from osm.contracts.policies import AnyPolicy
from osm.contracts.traffic_settings import (
    Allowance,
    ConnectionSettings,
    LocalHttpLimit,
    RouteLimit,
    TrafficSettings,
    UpstreamTrafficSetting,
)
from services.catalog.check import Endpoints, check, key_of, picture
from services.catalog.state import Catalog

WEB = ServiceName("shop", "web")
FEW = TrafficSettings(connections=ConnectionSettings(max_connections=1))
MANY = TrafficSettings(connections=ConnectionSettings(max_connections=9))


def setting(name: str, says: TrafficSettings = FEW, *, service: str | None = "web") -> UpstreamTrafficSetting:
    return UpstreamTrafficSetting(namespace="shop", name=name, service=service, settings=says)


def web(*ports: ServicePort, name: ServiceName = WEB) -> ServiceEndpoints:
    return ServiceEndpoints(service=Service(name=name, ports=ports))


def settle(*policies: AnyPolicy, runs: tuple[Endpoints, ...] = (web(),)) -> Catalog:
    catalog = Catalog()
    catalog.apply(picture("meshspec", policies), picture("endpoints", runs))
    return catalog


def change(catalog: Catalog, bucket: str, value: AnyPolicy | Endpoints, *, gone: bool = False) -> None:
    document = Document(bucket=bucket, key=key_of(value), value=None if gone else value, revision=9, deleted=gone)
    catalog.apply(Update(bucket=bucket, full=False, documents=(document,), revision=9))


def in_force(catalog: Catalog) -> ServiceSettings | None:
    document = catalog.documents[MESH_SERVICE.key("shop", "web")]
    assert isinstance(document, MeshService)
    return document.settings


def of(name: str, says: TrafficSettings = FEW) -> ServiceSettings:
    return ServiceSettings(origin=ObjectRef("UpstreamTrafficSetting", "shop", name), settings=says)


def said(catalog: Catalog, name: str) -> list[str]:
    found = catalog.problems.get(ObjectRef("UpstreamTrafficSetting", "shop", name), ())
    return [f"{each.severity} {each.field}: {each.what}" for each in found]


def test_a_setting_is_part_of_its_service() -> None:
    catalog = settle(setting("one"))
    assert in_force(catalog) == of("one")
    assert catalog.problems == {}


def test_of_two_settings_the_first_by_name_counts() -> None:
    catalog = settle(setting("two", MANY), setting("one"))
    assert in_force(catalog) == of("one")
    assert said(catalog, "one") == []
    assert said(catalog, "two") == [
        "error spec.host: UpstreamTrafficSetting shop/one speaks of this service already, and comes first by name; "
        "this one changes nothing"
    ]


def test_who_was_overruled_counts_when_the_first_is_gone() -> None:
    catalog = settle(setting("two", MANY), setting("one"))
    change(catalog, "meshspec", setting("one"), gone=True)
    assert in_force(catalog) == of("two", MANY)
    assert catalog.problems == {}


def test_an_edit_is_in_force() -> None:
    catalog = settle(setting("one"))
    change(catalog, "meshspec", setting("one", MANY))
    assert in_force(catalog) == of("one", MANY)


def test_a_service_that_is_not_there_is_an_error_until_it_comes() -> None:
    catalog = settle(setting("one"), runs=(web(name=ServiceName("shop", "wbe")),))
    assert said(catalog, "one") == [
        'error spec.host: no Service "web" in namespace shop, there is wbe; nothing is limited'
    ]
    change(catalog, "endpoints", web())
    assert in_force(catalog) == of("one")
    assert catalog.problems == {}


def test_a_setting_that_is_moved_to_another_service_leaves_the_first() -> None:
    catalog = settle(setting("one"), runs=(web(), web(name=ServiceName("shop", "db"))))
    change(catalog, "meshspec", setting("one", service="db"))
    assert in_force(catalog) is None


def test_a_host_outside_the_mesh_limits_nothing_and_is_no_mistake() -> None:
    catalog = settle(setting("one", service=None))
    assert in_force(catalog) is None
    assert catalog.problems == {}


def test_limits_of_requests_do_nothing_where_nobody_speaks_http() -> None:
    limit = LocalHttpLimit(allowance=Allowance(count=1, unit="second"))
    says = TrafficSettings(local_http=limit, routes=(RouteLimit(path_regex="/buy", local=limit),))
    catalog = settle(setting("one", says), runs=(web(ServicePort(port=3306, protocol="tcp")),))
    idle = 'no port of service "web" speaks HTTP: this limits nothing'
    assert said(catalog, "one") == [f"warning spec.rateLimit.local.http: {idle}", f"warning spec.httpRoutes: {idle}"]
    change(catalog, "endpoints", web(ServicePort(port=80)))
    assert catalog.problems == {}


def test_a_check_without_a_mesh_takes_services_for_granted() -> None:
    assert check([setting("one")]) == ()


def test_the_key_is_the_objects() -> None:
    assert key_of(setting("one")) == UPSTREAM_TRAFFIC_SETTING.key("shop", "one")
