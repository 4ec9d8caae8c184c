"""What a cluster of scripts/cluster is: pods that can be meshed, and our images in them."""

import subprocess
import urllib.request
from collections.abc import Iterator

import pytest

from tests.cluster.node import Cluster, Failed
from tests.cluster.pods import SERVICE, WEB

SERVICES = ("catalog", "certmgr", "endpoints", "injector", "meshspec", "xds")
ASK = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1], timeout=10).status)"
RESOLVE = "import socket, sys; print(socket.gethostbyname(sys.argv[1]))"


@pytest.fixture(scope="session")
def web(cluster: Cluster, images: str) -> Iterator[str]:
    """The namespace of a pod `web`, which is ready, behind a service `web`."""
    envoy = cluster.inside("ctr", "--namespace=k8s.io", "images", "ls", "--quiet", "name~=envoyproxy/envoy").split(":")[
        -1
    ]
    name = "test-web"
    cluster.kubectl("create", "namespace", name)
    try:
        cluster.apply(WEB.replace("TAG", images).replace("ENVOY", envoy.strip()), name)
        cluster.kubectl("wait", "-n", name, "--for=condition=Ready", "pod/web", "--timeout=60s")
        yield name
    finally:
        cluster.kubectl("delete", "namespace", name, "--wait=false")


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
    command = ["kubectl", "port-forward", "-n", web, "pod/web", ":8080", "--address=127.0.0.1"]
    with subprocess.Popen(command, env=cluster.environment, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout
            port = forward.stdout.readline().split(" -> ")[0].rsplit(":", 1)[1]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/osm", timeout=10) as answer:
                assert answer.status == 200
        finally:
            forward.terminate()


def test_our_images_hold_no_envoy_no_installer_and_no_compiler_and_run_as_nobody(cluster: Cluster, web: str) -> None:
    found = in_web(
        cluster, web, "sh", "-c", "id -u; for it in osm envoy pip gcc cc; do command -v $it || echo no $it; done"
    )
    assert found.split("\n")[:-1] == ["65532", "/opt/osm/bin/osm", "no envoy", "no pip", "no gcc", "no cc"]


def test_each_image_starts_the_service_of_its_name(cluster: Cluster, images: str, namespace: str) -> None:
    for service in SERVICES:
        cluster.apply(SERVICE.replace("SERVICE", service).replace("TAG", images), namespace)
    for service in SERVICES:
        cluster.kubectl("wait", "-n", namespace, "--for=jsonpath={.status.phase}=Failed", f"pod/{service}")
        assert cluster.kubectl("logs", "-n", namespace, service).startswith(f"osm {service}: OSM_")
