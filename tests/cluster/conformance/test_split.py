"""Traffic splits: a root's calls are divided among its backends, over HTTP and TCP, whatever accounts they have."""

from collections.abc import Iterator

import pytest

from tests.cluster.conformance.policies import split, target
from tests.cluster.conformance.stage import Stage
from tests.cluster.conformance.workloads import CLIENT, LEAVES, PARTS, REPLICAS, SERVER

ALONE = f"{CLIENT}/alone"
ENOUGH = 30
"""Of five shares, five clients with so many requests miss none but once in a million of billions."""


@pytest.fixture(scope="module")
def allowed(mesh: Stage) -> Iterator[None]:
    """The clients may call all backends."""
    with mesh.policies(SERVER, *(target(account) for account in (*LEAVES, "web"))):
        yield


def test_a_root_reaches_all_pods_of_all_backends(mesh: Stage, allowed: None) -> None:
    with mesh.policies(SERVER, split("apex", *LEAVES)):
        mesh.in_force("trafficsplit", f"{SERVER}/apex")
        found = mesh.answering(mesh.clients, f"http://apex.{SERVER}:8080/", "200", ENOUGH)
        assert len(found) == 2 * len(LEAVES)
        assert {pod.rsplit("-", 2)[0] for pod in found} == set(LEAVES)


def test_backends_are_still_reached_by_their_own_names(mesh: Stage, allowed: None) -> None:
    with mesh.policies(SERVER, split("apex", *LEAVES)):
        for leaf in LEAVES:
            found = mesh.becomes(ALONE, f"http://{leaf}.{SERVER}:8080/", "200")
            assert {each["by"].rsplit("-", 2)[0] for each in found} == {leaf}


def test_a_root_is_divided_over_tcp(mesh: Stage, allowed: None) -> None:
    with mesh.policies(SERVER, split("apex", "leaf-3")):
        mesh.in_force("trafficsplit", f"{SERVER}/apex")
        mesh.becomes(ALONE, f"tcp://apex.{SERVER}:9000", "there and back", ENOUGH)
        before = connections(mesh, "leaf-3"), connections(mesh, "leaf-0")
        mesh.ask(ALONE, f"tcp://apex.{SERVER}:9000", ENOUGH)
        assert connections(mesh, "leaf-3") - before[0] == ENOUGH
        assert connections(mesh, "leaf-0") == before[1]


def test_a_root_is_divided_in_permissive_mode(mesh: Stage) -> None:
    with (
        mesh.policies(SERVER, split("apex", *LEAVES)),
        mesh.configured("traffic", enablePermissiveTrafficPolicyMode=True),
    ):
        mesh.in_force("trafficsplit", f"{SERVER}/apex")
        assert len(mesh.answering(mesh.clients, f"http://apex.{SERVER}:8080/", "200", ENOUGH)) == 2 * len(LEAVES)


def test_a_root_is_divided_among_backends_of_one_account(mesh: Stage, allowed: None) -> None:
    with mesh.policies(SERVER, split("whole", *PARTS[1:])):
        mesh.in_force("trafficsplit", f"{SERVER}/whole")
        found = mesh.answering(mesh.clients, f"http://whole.{SERVER}:8080/", "200", ENOUGH)
    assert found == {f"web-{number}" for number in range(1, REPLICAS)}


@pytest.mark.parametrize("scheme", ["http", "tcp"])
def test_a_root_may_be_its_own_backend(mesh: Stage, allowed: None, scheme: str) -> None:
    url = f"http://itself.{SERVER}:8080/" if scheme == "http" else f"tcp://itself.{SERVER}:9000"
    with mesh.policies(SERVER, split("itself", "itself", "part-0")):
        mesh.in_force("trafficsplit", f"{SERVER}/itself")
        found = mesh.becomes(ALONE, url, "200" if scheme == "http" else "there and back", 8 * ENOUGH)
    if scheme == "http":
        assert {each["by"] for each in found} == {f"web-{number}" for number in range(REPLICAS)}


def connections(mesh: Stage, service: str) -> int:
    """How many TCP connections the client's sidecar has made to a service."""
    stats = mesh.stats(ALONE)
    return sum(
        value
        for name, value in stats.items()
        if name.startswith(f"cluster.{SERVER}/{service}|9000") and name.endswith(".upstream_cx_total")
    )
