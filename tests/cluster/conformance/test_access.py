"""Who may call whom: TrafficTargets, permissive mode, and those who are not in the mesh."""

import pytest

from tests.cluster.conformance.policies import target
from tests.cluster.conformance.stage import NO_WAY, Stage
from tests.cluster.conformance.workloads import CLIENT, OUTSIDE, PLAIN_IP, REPLICAS, SERVER
from tests.cluster.node import Failed

ALONE, STRANGER = f"{CLIENT}/alone", f"{CLIENT}/stranger"
BARE = f"{OUTSIDE}/other"
GUARDED = f"http://guarded.{SERVER}:8080"


@pytest.mark.parametrize("service", ["guarded", "guarded-headless", "at-address"])
def test_a_pod_reaches_what_a_target_allows_until_the_target_is_deleted(mesh: Stage, service: str) -> None:
    url = f"http://{service}.{SERVER}.svc.cluster.local:8080/"
    with mesh.policies(SERVER, target(service.removesuffix("-headless"))):
        mesh.becomes(mesh.clients[0], url, "200")
        mesh.becomes(ALONE, url, "200")  # a client that no Service selects
    mesh.becomes(ALONE, url, NO_WAY)


@pytest.mark.parametrize("service", ["web", "headless"])
def test_many_clients_reach_all_pods_of_a_service(mesh: Stage, service: str) -> None:
    port = 80 if service == "web" else 8080
    with mesh.policies(SERVER, target("web")):
        found = mesh.answering(mesh.clients, f"http://{service}.{SERVER}:{port}/", "200", 10)
    assert found == {f"web-{number}" for number in range(REPLICAS)}


def test_permissive_mode_lets_the_mesh_in_and_nobody_else(mesh: Stage) -> None:
    with mesh.configured("traffic", enablePermissiveTrafficPolicyMode=True):
        mesh.becomes(ALONE, GUARDED, "200")
        mesh.becomes(BARE, GUARDED, NO_WAY)
    mesh.becomes(ALONE, GUARDED, NO_WAY)
    mesh.becomes(BARE, GUARDED, NO_WAY)


def test_modes_are_switched_live(mesh: Stage) -> None:
    mesh.becomes(ALONE, GUARDED, NO_WAY)
    with mesh.configured("traffic", enablePermissiveTrafficPolicyMode=True):
        mesh.becomes(ALONE, GUARDED, "200")
    mesh.becomes(ALONE, GUARDED, NO_WAY)
    with mesh.policies(SERVER, target("guarded")):
        with mesh.configured("traffic", enablePermissiveTrafficPolicyMode=True):
            mesh.becomes(STRANGER, GUARDED, "200")
            mesh.in_force("traffictarget", f"{SERVER}/to-guarded")
        mesh.becomes(STRANGER, GUARDED, NO_WAY)  # so it is off
        mesh.becomes(ALONE, GUARDED, "200")
        mesh.becomes(BARE, GUARDED, NO_WAY)


def test_a_target_allows_its_path_and_its_clients_alone(mesh: Stage) -> None:
    allowed = target("guarded", match="open")
    with mesh.policies(SERVER, allowed):
        mesh.becomes(ALONE, f"{GUARDED}/open", "200")
        mesh.becomes(ALONE, f"{GUARDED}/other", "403|404")
        mesh.becomes(STRANGER, f"{GUARDED}/open", NO_WAY)
    mesh.becomes(ALONE, f"{GUARDED}/open", NO_WAY)


def test_a_client_that_may_do_something_else_is_told_403(mesh: Stage) -> None:
    others = target("guarded", match="all", sources=(f"{CLIENT}/stranger",))
    others["metadata"]["name"] = "for-others"
    with mesh.policies(SERVER, target("guarded", match="open"), others):
        mesh.becomes(STRANGER, f"{GUARDED}/other", "200")
        mesh.becomes(ALONE, f"{GUARDED}/open", "200")
        mesh.becomes(ALONE, f"{GUARDED}/other", "403")


def test_a_target_stands_in_its_destinations_namespace_or_is_refused(mesh: Stage) -> None:
    misplaced = target("guarded", namespace=CLIENT, of=SERVER)
    with pytest.raises(Failed, match=r"spec\.destination\.namespace"), mesh.policies(CLIENT, misplaced):
        pytest.fail("it was accepted")


def test_a_target_in_a_namespace_of_no_mesh_is_accepted_and_does_nothing(mesh: Stage) -> None:
    with mesh.policies(OUTSIDE, target("guarded", namespace=OUTSIDE, of=SERVER)):
        mesh.becomes(ALONE, GUARDED, NO_WAY, times=10)


def test_what_no_mesh_knows_is_not_touched(mesh: Stage) -> None:
    mesh.becomes(BARE, f"http://{PLAIN_IP}:8080/", "200")
