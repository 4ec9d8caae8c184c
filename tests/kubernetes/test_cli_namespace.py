"""`osm namespace` and `osm metrics` against a real API server: what is said, and what is there afterwards."""

import json
import uuid
from pathlib import Path
from typing import Any

import pytest

from osm.k8s.client import connected
from osm.k8s.objects import Namespace
from osm.k8s.resource import DEPLOYMENTS, NAMESPACES, PODS
from osm.testing.mesh import osm
from tests.kubernetes.conftest import Cli


@pytest.fixture
async def namespace(api: Path) -> str:
    name = f"ns-{uuid.uuid4().hex[:8]}"
    async with connected(str(api)) as cluster:
        await cluster.create(NAMESPACES, {"metadata": {"name": name}})
    return name


async def read(api: Path, name: str) -> Namespace:
    async with connected(str(api)) as cluster:
        return await cluster.get(NAMESPACES, name, as_=Namespace)


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "app", "image": "app"}], "serviceAccountName": "default"}
    return {"metadata": {"name": name, **metadata}, "spec": spec}


async def test_a_namespace_joins_with_label_and_annotation_and_leaves_without(
    api: Path, cli: Cli, namespace: str
) -> None:
    added = cli("namespace", "add", namespace)
    assert (added.status, added.out) == (0, f"Namespace [{namespace}] successfully added to mesh [osm]\n")
    found = (await read(api, namespace)).metadata
    assert found.labels["openservicemesh.io/monitored-by"] == "osm"
    assert found.annotations["openservicemesh.io/sidecar-injection"] == "enabled"
    again = cli("ns", "add", namespace)
    assert (again.status, again.out) == (0, f"Namespace [{namespace}] has already been added to mesh [osm]\n")
    removed = cli("namespace", "remove", namespace)
    assert (removed.status, removed.out) == (0, f"Namespace [{namespace}] successfully removed from mesh [osm]\n")
    found = (await read(api, namespace)).metadata
    assert "openservicemesh.io/monitored-by" not in found.labels
    assert "openservicemesh.io/sidecar-injection" not in found.annotations


async def test_injection_can_be_left_off_and_the_list_says_so(api: Path, cli: Cli, namespace: str) -> None:
    assert cli("namespace", "add", namespace, "--mesh-name", "other", "--disable-sidecar-injection").status == 0
    listed = json.loads(cli("namespace", "list", "--mesh-name", "other", "-o", "json").out)
    assert {"namespace": namespace, "mesh": "other", "injection": "disabled"} in listed
    assert f"{namespace}" in cli("namespace", "list").out
    nobody = cli("namespace", "list", "--mesh-name", "nobody")
    assert (nobody.status, nobody.out) == (0, "No namespaces in mesh [nobody]\n")


async def test_an_ignored_namespace_is_not_added(cli: Cli, namespace: str) -> None:
    ignored = cli("namespace", "ignore", namespace)
    assert (ignored.status, ignored.out) == (0, f"Successfully configured namespace [{namespace}] to be ignored\n")
    refused = cli("namespace", "add", namespace)
    assert (refused.status, refused.out) == (1, "")
    assert f"Cannot add ignored namespace [{namespace}]" in refused.err
    assert f"try: kubectl label namespace {namespace} openservicemesh.io/ignore-" in refused.err


async def test_a_namespace_of_another_mesh_is_not_taken(cli: Cli, namespace: str) -> None:
    cli("namespace", "add", namespace, "--mesh-name", "first")
    refused = cli("namespace", "add", namespace, "--mesh-name", "second")
    assert refused.status == 1
    assert f"try: osm namespace remove {namespace} --mesh-name first" in refused.err
    wrong = cli("namespace", "remove", namespace, "--mesh-name", "second")
    assert wrong.status == 1
    assert "it belongs to mesh [first]" in wrong.err


async def test_the_control_planes_own_namespace_is_not_added(api: Path, cli: Cli, namespace: str) -> None:
    labels = {"app.kubernetes.io/name": "openservicemesh.io", "app.kubernetes.io/instance": "osm"}
    template = {"metadata": {"labels": {"app": "osm-xds"}}, "spec": pod("xds")["spec"]}
    spec = {"selector": {"matchLabels": {"app": "osm-xds"}}, "template": template}
    async with connected(str(api)) as cluster:
        await cluster.create(DEPLOYMENTS, {"metadata": {"name": "osm-xds", "labels": labels}, "spec": spec}, namespace)
    told = cli("namespace", "add", namespace)
    assert told.status == 0
    assert told.out == f"Namespace [{namespace}] already has [osm-xds] installed and cannot be added to mesh [osm]\n"
    assert "openservicemesh.io/monitored-by" not in (await read(api, namespace)).metadata.labels
    async with connected(str(api)) as cluster:
        await cluster.delete(DEPLOYMENTS, "osm-xds", namespace)


def test_a_namespace_that_is_not_there_is_told_with_how_to_make_it(cli: Cli) -> None:
    told = cli("namespace", "add", "nowhere")
    assert told.status == 1
    assert "there is no namespace [nowhere]" in told.err
    assert "try: kubectl create namespace nowhere" in told.err


async def test_pods_that_run_without_a_sidecar_are_counted(api: Path, cli: Cli, namespace: str) -> None:
    async with connected(str(api)) as cluster:
        await cluster.create(PODS, pod("bare"), namespace)
    added = cli("namespace", "add", namespace)
    assert f"1 pod runs without a sidecar until: kubectl rollout restart deployment -n {namespace}" in added.err


def test_a_cluster_that_is_not_there_is_an_error_with_a_next_step(tmp_path: Path) -> None:
    told = osm("namespace", "list", home=tmp_path, environment={"KUBECONFIG": str(tmp_path / "none")})
    assert (told.status, told.out) == (1, "")
    assert str(tmp_path / "none") in told.err
    assert "try: " in told.err
