"""Lists, changes and their order: the picture is that of what is there, however it was learnt."""

from osm.testing.cluster_objects import MESHED, account, endpoint_slice, namespace, pod, service, spot
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


def test_what_a_new_list_does_not_hold_is_gone():
    made = town(("ServiceAccount", account("town", "idle")))
    made.only("ServiceAccount")
    made.only("Pod")
    made.only("EndpointSlice")
    assert sorted(made.picture.documents) == [SHOP]
    made.only("Service")
    assert made.picture.documents == {}
    made.put(shop_service())
    made.only("Namespace")
    assert made.picture.documents == {}


def test_an_equal_list_changes_nothing():
    made = town()
    step = made.only("Pod", shop_pod(ip="10.1.0.1")[1])
    assert (step.puts, step.deletes) == ({}, ())


def test_what_goes_and_comes_back_between_two_steps_has_not_changed():
    made = town()
    made.picture.put_pods({("town", "shop-a"): None})
    step = made.put(shop_pod(ip="10.1.0.1"))
    assert (step.puts, step.deletes) == ({}, ())


def test_every_order_of_arrival_leads_to_the_same_documents():
    things = [TOWN, shop_service(selector={}), shop_pod(ip="10.1.0.1"), shop_slice(spot("10.1.0.1", "shop-a"))]
    there = []
    for turn in range(len(things)):
        made = Cluster()
        for each in things[turn:] + things[:turn]:
            made.put(each)
        there.append(made.picture.documents)
    assert all(each == there[0] for each in there)
    assert sorted(there[0]) == ["identity.town.shop", SHOP, "workload.a1_town"]


def test_a_slice_that_names_a_pod_of_another_namespace_means_none_of_this_one():
    cluster = Cluster()
    there = endpoint_slice("town", "shop", spot("10.1.0.9", "shop-1"), ports=AT_8080)
    there["endpoints"][0]["targetRef"]["namespace"] = "village"
    cluster.put(
        ("Namespace", namespace("town", labels=MESHED)),
        ("Service", service("town", "shop", ports=[HTTP], selector={"app": "shop"})),
        ("Pod", pod("town", "shop-1", labels={"app": "shop"}, sidecar="u1", account="shop", ip="10.1.0.1")),
        ("EndpointSlice", there),
    )
    assert cluster.endpoints() == []
    there["endpoints"][0]["targetRef"]["namespace"] = "town"
    cluster.put(("EndpointSlice", there))
    assert cluster.endpoints() == [(80, "10.1.0.9:8080")]


def test_of_a_namespace_that_is_gone_with_all_that_was_in_it_nothing_is_kept():
    cluster = Cluster()
    cluster.put(
        ("Namespace", namespace("town", labels=MESHED)),
        ("ServiceAccount", account("town", "shop")),
        ("Service", service("town", "shop", ports=[HTTP], selector={"app": "shop"})),
        ("Pod", pod("town", "shop-1", labels={"app": "shop"}, sidecar="u1", account="shop", ip="10.1.0.1")),
        ("EndpointSlice", endpoint_slice("town", "shop", spot("10.1.0.1", "shop-1"), ports=AT_8080)),
    )
    for kind, name in (("Pod", "shop-1"), ("Service", "shop"), ("ServiceAccount", "shop"), ("EndpointSlice", "shop-1")):
        cluster.gone(kind, "town", name)
    cluster.only("EndpointSlice")
    assert cluster.picture._rooms  # the namespace itself
    cluster.gone("Namespace", "", "town")
    assert cluster.picture._rooms == {}
    assert cluster.picture.documents == {}
