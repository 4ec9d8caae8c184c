"""Which namespaces, accounts and pods are in the mesh, and which workloads and identities come of them."""

import pytest

from osm.contracts.endpoints import BareService, Transparent
from osm.contracts.names import Identity
from osm.testing.cluster_objects import MESHED, account, namespace, service, spot
from tests.unit.endpoints.cluster_town import SHOP, TOWN, Cluster, shop_pod, shop_service, shop_slice, town


def test_a_service_a_pod_and_an_identity_become_documents():
    made = town()
    assert sorted(made.picture.documents) == ["identity.town.shop", SHOP, "workload.a1_town"]
    shop = made[SHOP].service
    assert (shop.virtual_ips, shop.accounts) == (("10.0.0.1",), (Identity("town", "shop"),))
    assert made.endpoints() == [(80, "10.1.0.1:8080")]
    assert made[SHOP].endpoints[0].identity == Identity("town", "shop")


def test_a_workload_is_there_as_soon_as_its_pod_is_and_knows_what_it_backs():
    made = Cluster()
    step = made.put(TOWN, shop_service(), shop_pod(phase="Pending"))
    workload = step.puts["workload.a1_town"]
    assert (workload.proxy_id, workload.identity, workload.interception) == (
        "a1.town",
        Identity("town", "shop"),
        Transparent(),
    )
    assert [(str(each.service), each.port, each.target_port) for each in workload.backs] == [("town/shop", 80, 8080)]


def test_documents_that_others_refer_to_come_first_and_go_last():
    made = Cluster()
    step = made.put(TOWN, shop_service(), shop_pod(), shop_slice(spot("10.1.0.1", "shop-a"), spot("10.9.9.9")))
    order = ["identity.town.shop", SHOP, "bare.kubernetes.town.shop", "workload.a1_town"]
    assert list(step.puts) == order
    step = made.put(("Namespace", namespace("town", labels={})))
    assert list(step.deletes) == ["workload.a1_town", SHOP, "identity.town.shop"]


@pytest.mark.parametrize(
    "where",
    [
        namespace("town", labels={}),
        namespace("town", labels={"openservicemesh.io/monitored-by": "another"}),
        namespace("town", labels={**MESHED, "openservicemesh.io/ignore": "true"}),
    ],
)
def test_nothing_of_a_namespace_outside_the_mesh_is_published(where):
    made = Cluster()
    made.put(("Namespace", where), shop_service(), shop_pod(), ("ServiceAccount", account("town", "shop")))
    assert made.picture.documents == {}
    assert made.picture.lines == {}


@pytest.mark.parametrize("name", ["osm-system", "mesh-control"])
def test_the_control_planes_namespaces_are_never_meshed(name):
    made = Cluster(control_plane="mesh-control")
    made.put(("Namespace", namespace(name)), ("ServiceAccount", account(name, "osm-xds")))
    assert made.picture.documents == {}


def test_a_label_brings_a_whole_namespace_in_and_its_loss_takes_it_out():
    made = town()
    before = dict(made.picture.documents)
    made.put(("Namespace", namespace("town", labels={})))
    assert made.picture.documents == {
        "bare.kubernetes.town.shop": BareService(name=before[SHOP].service.name, addresses=("10.1.0.1",))
    }
    made.put(TOWN)
    assert made.picture.documents == before


def test_a_namespaces_other_labels_change_nothing():
    made = town()
    step = made.put(("Namespace", namespace("town", labels={**MESHED, "team": "blue"})))
    assert (step.puts, step.deletes) == ({}, ())
    assert made.picture.take_lines()
    made.put(("Namespace", namespace("town", labels={**MESHED, "team": "red"})))
    assert made.picture.take_lines() == {}


def test_every_account_of_the_mesh_has_an_identity_and_every_sidecars_account_too():
    made = town(("ServiceAccount", account("town", "idle")))
    assert {"identity.town.idle", "identity.town.shop"} <= made.picture.documents.keys()
    made.gone("ServiceAccount", "town", "idle")
    assert "identity.town.idle" not in made
    made.gone("Pod", "town", "shop-a")
    assert "identity.town.shop" not in made


def test_an_account_lives_on_while_its_pods_do():
    made = town(("ServiceAccount", account("town", "shop")))
    made.gone("ServiceAccount", "town", "shop")
    assert "identity.town.shop" in made


def test_a_pod_of_several_services_backs_each_of_their_ports():
    other = (
        "Service",
        service("town", "front", selector={"app": "shop"}, ports=[{"port": 81}, {"name": "b", "port": 82}]),
    )
    backs = town(other)["workload.a1_town"].backs
    assert [(each.service.name, each.port, each.target_port) for each in backs] == [
        ("front", 81, 81),
        ("front", 82, 82),
        ("shop", 80, 8080),
    ]


def test_a_pod_without_a_service_is_a_workload_that_backs_nothing():
    made = Cluster()
    made.put(TOWN, shop_pod())
    assert made["workload.a1_town"].backs == ()
