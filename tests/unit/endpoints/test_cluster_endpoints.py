"""Which addresses serve a service's ports: by its slices, its pods' readiness and their sidecars."""

import pytest

from osm.contracts.names import Identity
from osm.testing.cluster_objects import endpoint_slice, namespace, service, spot
from tests.unit.endpoints.cluster_town import (
    AT_8080,
    HTTP,
    SHOP,
    TOWN,
    Cluster,
    shop_pod,
    shop_service,
    shop_slice,
    town,
)


def test_a_named_target_port_is_each_pods_own():
    web = {"name": "http", "port": 80, "targetPort": "web"}
    made = Cluster()
    made.put(
        TOWN,
        shop_service(web),
        shop_pod("shop-a", sidecar="a1", ports=({"name": "web", "containerPort": 8080},)),
        shop_pod("shop-b", sidecar="b2", ports=({"name": "web", "containerPort": 9090},)),
        shop_slice(spot("10.1.0.1", "shop-a"), name="one"),
        shop_slice(spot("10.1.0.2", "shop-b"), name="two", ports=[{"name": "http", "port": 9090}]),
    )
    assert [made[f"workload.{each}_town"].backs[0].target_port for each in ("a1", "b2")] == [8080, 9090]
    assert made.endpoints() == [(80, "10.1.0.1:8080"), (80, "10.1.0.2:9090")]


def test_a_target_ports_name_that_no_pod_has_is_told_with_the_names_there_are():
    web = {"name": "http", "port": 80, "targetPort": "web"}
    made = Cluster()
    made.put(TOWN, shop_service(web), shop_pod(ports=({"name": "http", "containerPort": 8080},)))
    assert made.said() == [
        'Service town/shop: spec.ports[0].targetPort: no selected container has a port named "web"; named are http'
    ]
    assert made["workload.a1_town"].backs == ()


def test_an_endpoint_is_of_the_slice_port_that_has_the_service_ports_name():
    admin = {"name": "admin", "port": 81, "targetPort": 9090}
    made = Cluster()
    ports = [{"name": "admin", "port": 9090}, {"name": "http", "port": 8080}]
    made.put(TOWN, shop_service(HTTP, admin), shop_pod(), shop_slice(spot("10.1.0.1", "shop-a"), ports=ports))
    assert made.endpoints() == [(80, "10.1.0.1:8080"), (81, "10.1.0.1:9090")]


def test_the_single_port_needs_no_name():
    made = Cluster()
    made.put(
        TOWN, shop_service({"port": 8080}), shop_pod(), shop_slice(spot("10.1.0.1", "shop-a"), ports=[{"port": 8080}])
    )
    assert made.endpoints() == [(8080, "10.1.0.1:8080")]


def test_readiness_moves_endpoints_and_nothing_else():
    made = town()
    before = made[SHOP].service
    step = made.put(shop_slice(spot("10.1.0.1", "shop-a", ready=False)))
    assert (list(step.puts), step.deletes) == ([SHOP], ())
    assert made[SHOP].service == before
    assert made.endpoints() == []


def test_a_pods_status_alone_changes_nothing():
    made = town()
    step = made.put(shop_pod(ip="10.1.0.1", conditions=[{"type": "Ready", "status": "True"}]))
    assert (step.puts, step.deletes) == ({}, ())


def test_those_that_are_leaving_serve_while_nobody_else_does():
    leaving = spot("10.1.0.1", "shop-a", ready=False, serving=True, terminating=True)
    made = town(shop_pod("shop-b", sidecar="b2"), shop_slice(leaving))
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    made.put(shop_slice(leaving, spot("10.1.0.2", "shop-b")))
    assert made.endpoints() == [(80, "10.1.0.2:8080")]
    made.put(shop_slice(spot("10.1.0.1", "shop-a", ready=False, serving=False, terminating=True)))
    assert made.endpoints() == []


def test_an_endpoint_of_which_nothing_is_said_is_ready():
    made = town(shop_slice({"addresses": ["10.1.0.1"], "targetRef": {"kind": "Pod", "name": "shop-a"}}))
    assert made.endpoints() == [(80, "10.1.0.1:8080")]


def test_an_endpoint_in_two_slices_counts_once():
    made = town(shop_slice(spot("10.1.0.1", "shop-a"), name="again"))
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    made.gone("EndpointSlice", "town", "shop-1")
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    made.gone("EndpointSlice", "town", "again")
    assert made.endpoints() == []


def test_an_endpoint_moves_with_the_service_its_slice_is_labelled_with():
    made = town(("Service", service("town", "bakery", selector={"app": "shop"}, ports=[HTTP])))
    moved = endpoint_slice("town", "bakery", spot("10.1.0.1", "shop-a"), ports=AT_8080, name="shop-1")
    made.put(("EndpointSlice", moved))
    assert made.endpoints() == []
    assert made.endpoints("service.kubernetes.town.bakery") == [(80, "10.1.0.1:8080")]


def test_the_zone_of_an_endpoint_is_its_locality():
    made = town(shop_slice(spot("10.1.0.1", "shop-a", zone="west-1")))
    assert made[SHOP].endpoints[0].locality == "west-1"


def test_only_pods_with_a_sidecar_are_endpoints():
    made = town(shop_pod("shop-b", sidecar=""), shop_slice(spot("10.1.0.1", "shop-a"), spot("10.1.0.2", "shop-b")))
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    assert made["bare.kubernetes.town.shop"].addresses == ("10.1.0.2",)


def test_a_pod_without_a_sidecar_is_told_by_name():
    made = town(shop_pod("shop-b", sidecar=""))
    assert made.said() == [
        "Service town/shop: spec.selector: Pod shop-b runs without a sidecar, so the mesh sends no traffic there; "
        "restart to get one"
    ]
    made.gone("Pod", "town", "shop-b")
    assert made.said() == []


def test_where_nothing_is_injected_the_annotation_is_named():
    made = town(("Namespace", namespace("town", annotations={})), shop_pod("shop-b", sidecar=""))
    (problem,) = made.said()
    assert "annotate namespace town with openservicemesh.io/sidecar-injection: enabled, then restart" in problem


@pytest.mark.parametrize(
    "more",
    [
        (("Namespace", namespace("town", annotations={"openservicemesh.io/sidecar-injection": "Disabled"})),),
        (shop_pod("shop-b", sidecar="", annotations={"openservicemesh.io/sidecar-injection": "no"}),),
    ],
)
def test_a_pod_that_is_meant_to_have_no_sidecar_is_no_problem(more):
    assert town(shop_pod("shop-b", sidecar=""), *more).said() == []


def test_many_pods_without_a_sidecar_are_one_sentence():
    made = town(*(shop_pod(f"bare-{number}", sidecar="") for number in range(7)))
    (problem,) = made.said()
    assert "Pod bare-4 and 2 more run without a sidecar" in problem


def test_addresses_without_a_sidecar_are_told_outside_the_mesh_too():
    made = Cluster()
    made.put(
        ("Namespace", namespace("ingress", labels={})),
        ("Service", service("ingress", "nginx", ports=[HTTP])),
        (
            "EndpointSlice",
            endpoint_slice(
                "ingress", "nginx", spot("10.7.0.1", "nginx-a"), spot("10.7.0.2", ready=False), ports=AT_8080
            ),
        ),
    )
    assert list(made.picture.documents) == ["bare.kubernetes.ingress.nginx"]
    assert made["bare.kubernetes.ingress.nginx"].addresses == ("10.7.0.1",)


def test_a_label_that_can_be_no_proxy_id_is_no_sidecar():
    made = Cluster()
    made.put(TOWN, shop_service(), shop_pod(sidecar="Not_A_Label"))
    assert list(made.picture.documents) == [SHOP]


def test_of_pods_with_one_proxy_id_the_first_counts_and_the_other_is_told():
    made = town(shop_pod("shop-b", sidecar="a1", account="other"))
    assert made["workload.a1_town"].identity == Identity("town", "shop")
    assert made.said() == [
        "Pod town/shop-b: metadata.labels.osm-proxy-uuid: Pod shop-a has the same, and it counts; "
        "remove the label from what you have written and restart"
    ]
    made.gone("Pod", "town", "shop-a")
    assert made["workload.a1_town"].identity == Identity("town", "other")
    assert made.said() == []


def test_a_workload_has_the_labels_of_its_pod_as_they_are_now():
    made = town()
    assert dict(made["workload.a1_town"].labels)["app"] == "shop"
    pod = shop_pod()
    pod[1]["metadata"]["labels"]["tier"] = "web"
    made.put(pod)
    assert dict(made["workload.a1_town"].labels)["tier"] == "web"
    assert made["workload.a1_town"].labels == tuple(sorted(made["workload.a1_town"].labels))


def test_a_pod_that_restarts_elsewhere_keeps_its_workload_and_moves_its_endpoint():
    made = town()
    before = made["workload.a1_town"]
    made.put(shop_pod(ip="10.1.0.9"), shop_slice(spot("10.1.0.9", "shop-a")))
    assert made.endpoints() == [(80, "10.1.0.9:8080")]
    assert made["workload.a1_town"] == before


def test_a_pod_made_anew_under_its_name_is_not_the_one_in_an_old_slice():
    old, new = shop_pod(), shop_pod(account="another")
    old[1]["metadata"]["uid"], new[1]["metadata"]["uid"] = "1", "2"
    there = shop_slice(spot("10.1.0.1", "shop-a"))
    there[1]["endpoints"][0]["targetRef"]["uid"] = "1"
    made = Cluster()
    made.put(TOWN, shop_service(), old, there)
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    made.put(new)
    assert made.endpoints() == []


@pytest.mark.parametrize("phase", ["Succeeded", "Failed"])
def test_a_pod_that_has_ended_is_gone(phase):
    made = town()
    made.put(shop_pod(ip="10.1.0.1", phase=phase))
    assert "workload.a1_town" not in made
    assert made.endpoints() == []


def test_an_endpoint_waits_for_its_pod_to_be_known():
    made = Cluster()
    made.put(TOWN, shop_service(), shop_slice(spot("10.1.0.1", "shop-a")))
    assert made.endpoints() == []
    made.put(shop_pod())
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
