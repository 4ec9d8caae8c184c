"""What a cluster of scripts/cluster is: pods that can be meshed, and our images in them."""

import urllib.request
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.cluster.forward import Forward
from tests.cluster.node import Cluster, Failed, eventually
from tests.cluster.pods import SERVICE, WEB

SERVICES = ("catalog", "certmgr", "endpoints", "injector", "meshspec", "xds")
ASK = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=60).status)"
RESOLVE = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"


@pytest.fixture(scope="session")
def web(cluster: Cluster, images: str) -> Iterator[str]:
    """The namespace of a pod `web`, which is ready, behind a service `web`, which answers."""
    envoy = cluster.inside("ctr", "--namespace=k8s.io", "images", "ls", "--quiet", "name~=envoyproxy/envoy").split(":")[
        -1
    ]
    name = "test-web"
    try:
        cluster.create_namespace(name)
        cluster.apply(WEB.replace("TAG", images).replace("ENVOY", envoy.strip()), name)
        cluster.wait("condition=Ready", "pod/web", namespace=name)
        address = cluster.kubectl("get", "-n", name, "service", "web", "--output=jsonpath={.spec.clusterIP}")
        eventually(lambda: answers(cluster, name, address), "kube-proxy's rules for a pod that is ready")
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def answers(cluster: Cluster, web: str, address: str) -> bool:
    try:
        return in_web(cluster, web, "python3", "-c", ASK, f"http://{address}/osm") == "200\n"
    except Failed:
        return False


def in_web(cluster: Cluster, web: str, *command: str) -> str:
    return cluster.kubectl("exec", "-n", web, "web", "--container=web", "--", *command)


def test_a_pod_with_an_init_container_and_a_sidecar_has_two_of_two_ready(cluster: Cluster, web: str) -> None:
    assert " 2/2 " in cluster.kubectl("get", "-n", web, "pod", "web")


def test_an_init_container_writes_redirects_into_the_network_of_its_pod(cluster: Cluster, web: str) -> None:
    assert "--dport 81 -j REDIRECT --to-ports 8080" in cluster.kubectl("logs", "-n", web, "web", "--container=redirect")


def test_a_service_answers_by_its_whole_name_through_the_redirect(cluster: Cluster, web: str) -> None:
    assert in_web(cluster, web, "python3", "-c", ASK, f"http://web.{web}.svc.cluster.local/osm") == "200\n"


def test_a_service_answers_where_the_api_server_runs_so_that_it_can_call_webhooks(cluster: Cluster, web: str) -> None:
    address = cluster.kubectl("get", "-n", web, "service", "web", "--output=jsonpath={.spec.clusterIP}")
    assert cluster.inside("python3", "-c", ASK, f"http://{address}/osm") == "200\n"


def test_pods_reach_the_api_server_by_its_name_and_certificate(cluster: Cluster, web: str) -> None:
    script = (
        "import ssl, urllib.request as u; "
        "context = ssl.create_default_context(cafile='/run/secrets/kubernetes.io/serviceaccount/ca.crt'); "
        "print(u.urlopen('https://kubernetes.default.svc/version', context=context).status)"
    )
    assert in_web(cluster, web, "python3", "-c", script) == "200\n"


def test_a_name_outside_the_cluster_is_refused_at_once(cluster: Cluster, web: str) -> None:
    with pytest.raises(Failed, match="Name or service not known"):
        in_web(cluster, web, "python3", "-c", RESOLVE, "beyond.example")


def test_a_port_of_a_pod_is_forwarded_to_this_machine(cluster: Cluster, web: str) -> None:
    with (
        closing(Forward(cluster, "port-forward", "-n", web, "pod/web", ":8080", "--address=127.0.0.1")) as forward,
        urllib.request.urlopen(f"http://127.0.0.1:{forward.port}/osm", timeout=60) as answer,
    ):
        assert answer.status == 200


def test_our_images_hold_no_envoy_no_installer_and_no_compiler_and_run_as_nobody(cluster: Cluster, web: str) -> None:
    found = in_web(
        cluster, web, "sh", "-c", "id -u; for it in osm envoy pip gcc cc; do command -v $it || echo no $it; done"
    )
    assert found.split("\n")[:-1] == ["65532", "/opt/osm/bin/osm", "no envoy", "no pip", "no gcc", "no cc"]


def test_each_image_starts_the_service_of_its_name(cluster: Cluster, images: str, namespace: str) -> None:
    for service in SERVICES:
        cluster.apply(SERVICE.replace("SERVICE", service).replace("TAG", images), namespace)
    for service in SERVICES:
        cluster.wait("jsonpath={.status.phase}=Failed", f"pod/{service}", namespace=namespace)
        assert cluster.kubectl("logs", "-n", namespace, service).startswith(f"osm {service}: OSM_")
