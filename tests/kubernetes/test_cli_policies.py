"""Commands that read policies and write annotations, against a real API server with the chart's definitions."""

import uuid
from pathlib import Path
from typing import Any

import pytest

from osm.k8s.client import Cluster, connected
from osm.k8s.objects import Object
from osm.k8s.resource import DEPLOYMENTS, MESH_CONFIGS, NAMESPACES, PODS, TRAFFIC_TARGETS
from osm.testing.kubernetes import ApiServer
from tests.kubernetes.asking import install_crds
from tests.kubernetes.conftest import Cli

MEMBER = {"openservicemesh.io/monitored-by": "pol"}


@pytest.fixture
async def cluster(server: ApiServer, api: Path) -> Any:
    install_crds(server)
    async with connected(str(api)) as cluster:
        yield cluster


@pytest.fixture
async def home(cluster: Cluster) -> Any:
    """A namespace with a control plane's Deployment, taken away afterwards: other tests look for meshes too."""
    name = f"home-{uuid.uuid4().hex[:8]}"
    await cluster.create(NAMESPACES, {"metadata": {"name": name}})
    labels = {"app.kubernetes.io/name": "openservicemesh.io", "app.kubernetes.io/instance": "pol", "meshName": "pol"}
    template = {"metadata": {"labels": {"app": "x"}}, "spec": {"containers": [{"name": "x", "image": "x"}]}}
    spec = {"selector": {"matchLabels": {"app": "x"}}, "template": template}
    await cluster.create(DEPLOYMENTS, {"metadata": {"name": "osm-xds", "labels": labels}, "spec": spec}, name)
    yield name
    await cluster.delete(DEPLOYMENTS, "osm-xds", name)


@pytest.fixture
async def shop(cluster: Cluster) -> str:
    """A member namespace with two pods in the mesh and one that is not."""
    name = f"shop-{uuid.uuid4().hex[:8]}"
    await cluster.create(NAMESPACES, {"metadata": {"name": name, "labels": MEMBER}})
    for pod, labels in (("buyer", {"osm-proxy-uuid": "1"}), ("store", {"osm-proxy-uuid": "2"}), ("bare", {})):
        spec = {"serviceAccountName": pod, "containers": [{"name": "app", "image": "app"}]}
        await cluster.create(PODS, {"metadata": {"name": pod, "labels": labels}, "spec": spec}, name)
    return name


def target(namespace: str) -> dict[str, Any]:
    def account(name: str) -> dict[str, str]:
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}

    rules = [{"kind": "HTTPRouteGroup", "name": "routes", "matches": ["buy"]}]
    spec = {"destination": account("store"), "sources": [account("buyer")], "rules": rules}
    return {"metadata": {"name": "access", "namespace": namespace}, "spec": spec}


async def set_permissive(cluster: Cluster, home: str, *, on: bool) -> None:
    spec = {"traffic": {"enablePermissiveTrafficPolicyMode": on}}
    body = {"metadata": {"name": "osm-mesh-config", "namespace": home}, "spec": spec}
    await cluster.patch(MESH_CONFIGS, "osm-mesh-config", body, home, how="apply")


async def test_a_traffic_target_of_the_cluster_decides_who_may_talk(
    cli: Cli, cluster: Cluster, home: str, shop: str
) -> None:
    await set_permissive(cluster, home, on=False)
    pods = (f"{shop}/buyer", f"{shop}/store")
    denied = cli("policy", "check-pods", *pods, "--osm-namespace", home)
    assert denied.status == 1
    assert "is not allowed to communicate" in denied.out
    await cluster.create(TRAFFIC_TARGETS, target(shop), shop)
    allowed = cli("policy", "check-pods", *pods, "--osm-namespace", home)
    assert allowed.status == 0
    assert f'via the SMI TrafficTarget policy "access" in namespace {shop}' in allowed.out
    assert "HTTPRouteGroup routes: buy" in allowed.out
    back = cli("policy", "check-pods", *reversed(pods), "--osm-namespace", home)
    assert back.status == 1
    await set_permissive(cluster, home, on=True)
    assert "[+] Permissive mode enabled" in cli("policy", "check-pods", *reversed(pods), "--osm-namespace", home).out


async def test_a_pod_outside_the_mesh_is_told_so(cli: Cli, home: str, shop: str) -> None:
    told = cli("policy", "check-pods", f"{shop}/bare", f"{shop}/store", "--osm-namespace", home)
    assert told.status == 1
    assert f"Pod [bare] in namespace [{shop}] is not part of a mesh" in told.err
    none = cli("proxy", "get", "clusters", "nobody", "-n", shop)
    assert f"there is no pod [nobody] in namespace [{shop}]" in none.err


async def test_metrics_are_switched_for_the_namespace_and_the_pods_that_run(
    cli: Cli, cluster: Cluster, shop: str
) -> None:
    enabled = cli("metrics", "enable", "--namespace", shop)
    assert (enabled.status, enabled.out) == (0, f"Metrics successfully enabled in namespace [{shop}]\n")
    marks = (await cluster.get(PODS, "store", shop, as_=Object)).metadata.annotations
    assert marks["prometheus.io/scrape"] == "true"
    assert marks["prometheus.io/port"] == "15010"
    assert "prometheus.io/scrape" not in (await cluster.get(PODS, "bare", shop, as_=Object)).metadata.annotations
    assert cli("metrics", "disable", "--namespace", shop).status == 0
    assert not (await cluster.get(PODS, "store", shop, as_=Object)).metadata.annotations
    assert not (await cluster.get(NAMESPACES, shop, as_=Object)).metadata.annotations
    stranger = cli("metrics", "enable", "--namespace", "default")
    assert "Namespace [default] does not belong to a mesh" in stranger.err


async def test_meshes_are_listed_with_members_and_smi_versions(cli: Cli, home: str, shop: str) -> None:
    told = cli("mesh", "list")
    assert told.status == 0
    assert home in told.out
    assert shop in told.out
    assert "TrafficTarget:access.smi-spec.io/v1alpha3" in told.out
    assert "kubectl get pods -n <osm-mesh-namespace>" in told.out


async def test_a_cluster_without_a_bus_is_checked_nevertheless(cli: Cli, home: str, shop: str) -> None:
    told = cli("check", "--osm-namespace", home)
    assert told.status == 1
    assert "the bus cannot be asked" in told.out
    assert "osm-webhook-pol is not there" in told.out
    assert "all 12 CRDs are there" in told.out
    assert "1 pod runs without a sidecar (bare)" not in told.out  # nobody asked for sidecars there
    assert "no annotation" in told.out
