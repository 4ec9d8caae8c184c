"""What a Service of a cluster becomes: its virtual addresses, ports and protocols."""

import pytest

from osm.contracts.names import Identity
from osm.testing.cluster_objects import endpoint_slice, namespace, service, spot
from tests.unit.endpoints.cluster_town import AT_8080, HTTP, SHOP, shop_pod, shop_service, shop_slice, town


def test_a_new_cluster_ip_is_a_new_document():
    made = town()
    made.put(shop_service(clusterIP="10.0.0.2", clusterIPs=["10.0.0.2", "fd00::2"]))
    assert made[SHOP].service.virtual_ips == ("10.0.0.2", "fd00::2")


def test_a_headless_service_has_no_virtual_ip():
    made = town(shop_service(clusterIP="None", clusterIPs=["None"]))
    assert made[SHOP].service.virtual_ips == ()
    assert made[SHOP].service.pod_ips == ()
    assert made.endpoints() == [(80, "10.1.0.1:8080")]


def test_a_headless_service_with_a_tcp_port_names_its_pods_addresses_ready_or_not():
    tcp = {"name": "tcp-db", "port": 5432}
    made = town(shop_service(tcp, clusterIP="None"), shop_slice(), shop_pod("shop-b", sidecar="b2", ip="10.1.0.2"))
    assert made[SHOP].service.pod_ips == ("10.1.0.1", "10.1.0.2")
    assert made.endpoints() == []


def test_a_service_without_a_selector_is_served_by_the_pods_its_slices_name():
    made = town(shop_service(selector={}))
    assert made[SHOP].service.accounts == (Identity("town", "shop"),)
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    assert [each.port for each in made["workload.a1_town"].backs] == [80]
    made.put(shop_slice(spot("10.9.9.9")))
    assert made[SHOP].service.accounts == ()
    assert made["workload.a1_town"].backs == ()
    assert made["bare.kubernetes.town.shop"].addresses == ("10.9.9.9",)


def test_an_external_name_is_no_service_of_the_mesh():
    made = town(shop_service(type="ExternalName", externalName="example.org"))
    assert SHOP not in made
    assert made["workload.a1_town"].backs == ()


def test_a_service_of_the_same_name_elsewhere_is_another():
    made = town(
        ("Namespace", namespace("village")),
        ("Service", service("village", "shop", ports=[HTTP])),
        ("EndpointSlice", endpoint_slice("village", "shop", spot("10.1.0.1", "shop-a"), ports=AT_8080)),
    )
    assert made["service.kubernetes.village.shop"].service.accounts == ()
    assert made.endpoints("service.kubernetes.village.shop") == []


@pytest.mark.parametrize("protocol", ["UDP", "SCTP"])
def test_ports_that_are_not_tcp_are_left_out_with_a_warning(protocol):
    dns = {"name": "dns", "port": 53, "protocol": protocol}
    made = town(shop_service(HTTP, dns), shop_slice(spot("10.1.0.1", "shop-a"), ports=[*AT_8080, {**dns, "port": 53}]))
    assert [port.port for port in made[SHOP].service.ports] == [80]
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    (line,) = [line for line in made.picture.lines.values() if line.problems]
    assert [(each.field, each.severity) for each in line.problems] == [("spec.ports[1].protocol", "warning")]


@pytest.mark.parametrize(
    ("port", "protocol", "warned"),
    [
        ({"port": 80}, "http", False),
        ({"name": "tcp-server-first-db", "port": 80}, "tcp-server-first", False),
        ({"name": "grpc", "port": 80}, "grpc", False),
        ({"name": "tcp", "port": 80, "appProtocol": "grpc"}, "grpc", False),
        ({"name": "tcp", "port": 80, "appProtocol": "mystery"}, "http", True),
    ],
)
def test_the_protocol_is_as_on_every_platform(port, protocol, warned):
    made = town(shop_service(port))
    assert made[SHOP].service.ports[0].protocol == protocol
    assert bool(made.said()) == warned


def test_both_families_of_virtual_addresses_are_kept_and_a_pod_counts_by_its_ipv4_one():
    six = shop_slice(spot("fd00::1", "shop-a"), name="shop-6", family="IPv6")
    made = town(shop_service(clusterIPs=["10.0.0.1", "fd00::9"]), six)
    assert made[SHOP].service.virtual_ips == ("10.0.0.1", "fd00::9")
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    made.gone("EndpointSlice", "town", "shop-1")
    assert made.endpoints() == [(80, "[fd00::1]:8080")]


def test_slices_of_names_instead_of_addresses_are_passed_over():
    made = town(shop_slice(spot("example.org", "shop-a"), family="FQDN"))
    assert made.endpoints() == []


def test_a_services_line_names_its_meaning():
    made = town()
    before = made.picture.lines["object.endpoints.Service.town.shop"].generation
    made.put(shop_service(clusterIP="10.0.0.2"))
    assert before
    assert made.picture.lines["object.endpoints.Service.town.shop"].generation != before
