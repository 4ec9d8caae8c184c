"""`osm uninstall mesh` with the real helm and API server: nothing of the mesh is left, and nothing else goes."""

import asyncio
import os
import signal
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest
import yaml

from osm.cli.kubernetes.chart import chart_path
from osm.k8s.client import Cluster, connected
from osm.k8s.objects import Object
from osm.k8s.resource import (
    CLUSTER_ROLES,
    CONFIG_MAPS,
    CRDS,
    DEPLOYMENTS,
    LEASES,
    MUTATING_WEBHOOKS,
    NAMESPACES,
    SECRETS,
    SERVICE_ACCOUNTS,
    VALIDATING_WEBHOOKS,
    Resource,
)
from osm.testing.chart import Helm
from osm.testing.kubernetes import ApiServer
from osm.testing.mesh import program
from tests.kubernetes.asking import ask, install_crds
from tests.kubernetes.conftest import Cli

OURS = {"app.kubernetes.io/name": "openservicemesh.io"}


@pytest.fixture
def cli(cli: Cli, helm: Helm) -> Cli:
    """The same with helm."""
    return partial(cli, PATH=f"{Path(helm.program).parent}{os.pathsep}{os.environ['PATH']}")


@pytest.fixture
async def cluster(api: Path) -> AsyncIterator[Cluster]:
    async with connected(str(api)) as cluster:
        yield cluster


@pytest.fixture
async def installed(cluster: Cluster, cli: Cli) -> AsyncIterator[tuple[str, str]]:
    """(mesh, namespace) of a mesh that is applied, with all that its services would have made by now."""
    mesh = f"m{uuid.uuid4().hex[:6]}"
    home = f"home-{mesh}"
    # no controller makes its pods ready, so the installation is not waited for
    cli("install", "--mesh-name", mesh, "--osm-namespace", home, "--timeout", "1s", "--no-enforce-single-mesh")
    member = {"openservicemesh.io/monitored-by": mesh}
    told = {"openservicemesh.io/sidecar-injection": "enabled", "openservicemesh.io/metrics": "enabled"}
    await cluster.create(NAMESPACES, {"metadata": {"name": f"shop-{mesh}", "labels": member, "annotations": told}})
    await make(cluster, SECRETS, "osm-nats-xds", home, labels={**OURS, "app.kubernetes.io/instance": mesh})
    await make(cluster, SECRETS, "osm-ca-bundle", home)
    await make(cluster, SECRETS, "somebodys", home)
    await make(cluster, LEASES, "osm-injector", home)
    await make(cluster, CONFIG_MAPS, "osm-ca-granted", home)
    await make(cluster, SECRETS, "envoy-bootstrap-config-1", f"shop-{mesh}", labels={**OURS, "osm-proxy-uuid": "1"})
    await make(cluster, SECRETS, "password", f"shop-{mesh}")
    yield mesh, home
    cli("uninstall", "mesh", "-f", "--mesh-name", mesh, "--osm-namespace", home)


async def make(
    cluster: Cluster, what: Resource, name: str, namespace: str, *, labels: dict[str, str] | None = None
) -> None:
    await cluster.create(what, {"metadata": {"name": name, "labels": labels or {}}}, namespace)


async def names(cluster: Cluster, what: Resource, namespace: str = "", selector: str = "") -> set[str]:
    return {each.metadata.name for each in await cluster.list(what, namespace, as_=Object, labels=selector)}


async def test_nothing_of_the_mesh_is_left_and_nothing_else_goes(
    cluster: Cluster, cli: Cli, installed: tuple[str, str]
) -> None:
    mesh, home = installed
    of_mesh = f"app.kubernetes.io/instance={mesh}"
    assert await names(cluster, DEPLOYMENTS, home)
    assert await names(cluster, MUTATING_WEBHOOKS, selector=of_mesh)
    gone = cli("uninstall", "mesh", "-f", "--mesh-name", mesh, "--osm-namespace", home)
    assert gone.status == 0, gone.err
    assert f"OSM [mesh name: {mesh}] in namespace [{home}] uninstalled" in gone.out
    assert "Successfully deleted OSM Secret: osm-nats-xds" in gone.out
    assert f"Namespace [shop-{mesh}] successfully removed from mesh [{mesh}]" in gone.out
    for kind in (MUTATING_WEBHOOKS, VALIDATING_WEBHOOKS, CLUSTER_ROLES):
        assert await names(cluster, kind, selector=of_mesh) == set()
    for kind in (DEPLOYMENTS, LEASES, CONFIG_MAPS, SERVICE_ACCOUNTS):
        assert await names(cluster, kind, home) <= {"default", "kube-root-ca.crt"}
    assert {name for name in await names(cluster, SECRETS, home) if not name.startswith("sh.helm")} == {"somebodys"}
    assert await names(cluster, SECRETS, f"shop-{mesh}") == {"password"}
    member = (await cluster.get(NAMESPACES, f"shop-{mesh}", as_=Object)).metadata
    assert "openservicemesh.io/monitored-by" not in member.labels
    assert not member.annotations
    assert "traffictargets.access.smi-spec.io" in await names(cluster, CRDS)  # policies stay


async def test_somebody_else_is_asked_first(cluster: Cluster, cli: Cli, installed: tuple[str, str]) -> None:
    mesh, home = installed
    asked = ("uninstall", "mesh", "--mesh-name", mesh, "--osm-namespace", home)
    refused = cli(*asked, stdin="n\n")
    assert refused.status == 0
    assert f"Uninstall OSM [mesh name: {mesh}] in namespace [{home}] ? [y/n]:" in refused.out
    assert "uninstalled" not in refused.out
    nobody = cli(*asked)
    assert nobody.status == 1
    assert "try: -f does not ask" in nobody.err
    assert await names(cluster, DEPLOYMENTS, home)


def sleeps(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


async def test_ctrl_c_at_the_question_ends_it_there(
    api: Path, tmp_path: Path, helm: Helm, cluster: Cluster, installed: tuple[str, str]
) -> None:
    mesh, home = installed
    path = f"{Path(helm.program).parent}{os.pathsep}{os.environ['PATH']}"
    asked = ("uninstall", "mesh", "--mesh-name", mesh, "--osm-namespace", home, "--kubeconfig", str(api))
    with subprocess.Popen(
        [program(), *asked],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={"HOME": str(tmp_path), "PATH": path},
    ) as running:
        assert running.stdout is not None
        while running.stdout.read(1) != b"?":
            assert running.poll() is None
        while not sleeps(running.pid):  # between the question and the reading of the answer Python hears no signal
            await asyncio.sleep(0.01)
        running.send_signal(signal.SIGINT)
        assert running.wait(timeout=60) == 130
    assert await names(cluster, DEPLOYMENTS, home)


async def test_a_second_mesh_is_refused_with_the_first_ones_name(cli: Cli, installed: tuple[str, str]) -> None:
    mesh, home = installed
    told = cli("install", "--mesh-name", "another", "--osm-namespace", "elsewhere")
    assert told.status == 1
    assert f"mesh [{mesh}] in namespace [{home}]" in told.err
    assert "try: osm mesh list" in told.err


def test_a_mesh_that_is_not_there_is_said_so(cli: Cli) -> None:
    told = cli("uninstall", "mesh", "-f", "--mesh-name", "nobody", "--osm-namespace", "nowhere")
    assert (told.status, told.out) == (0, "No OSM control planes found\n")


def labelled(name: str) -> dict[str, object]:
    return {"metadata": {"labels": {"app.kubernetes.io/name": name}}}


@pytest.fixture
def shared(server: ApiServer) -> Iterator[str]:
    """A definition that somebody else brought. Those of the chart are served before and after: others use them too."""
    name = "traffictargets.access.smi-spec.io"
    how = "application/merge-patch+json"
    install_crds(server)
    ask(server, "PATCH", CRDS.path(name=name), labelled("another"), content=how)
    yield name
    install_crds(server)
    ask(server, "PATCH", CRDS.path(name=name), labelled("openservicemesh.io"), content=how)


async def test_definitions_go_if_asked_but_not_those_of_others(cluster: Cluster, cli: Cli, shared: str) -> None:
    ours = await names(cluster, CRDS, selector="app.kubernetes.io/name=openservicemesh.io")
    told = cli("uninstall", "mesh", "-f", "-a", "--mesh-name", "nobody", "--osm-namespace", "nowhere")
    assert f"Ignoring - OSM did not install CRD: {shared}" in told.out
    assert "Successfully deleted OSM CRD: meshconfigs.config.openservicemesh.io" in told.out
    async with asyncio.timeout(60):  # their end is waited for, but not for ever
        while ours & await names(cluster, CRDS):
            await asyncio.sleep(0.1)
    assert shared in await names(cluster, CRDS)


def test_what_is_rendered_is_what_a_cluster_would_get(cli: Cli) -> None:
    told = cli("install", "--render", "--kube-version", "1.35", "--mesh-name", "rendered")
    assert told.status == 0, told.err
    kinds = [each["kind"] for each in yaml.safe_load_all(told.out) if each]
    assert kinds.count("CustomResourceDefinition") == len(list((chart_path() / "crds").glob("*.yaml")))
    assert {"Deployment", "StatefulSet", "Job", "MutatingWebhookConfiguration"} <= set(kinds)
    wrong = cli("install", "--render", "--kube-version", "1.35", "--set", "osm.deployGrafana=true")
    assert wrong.status == 1
    assert "the chart installs no Grafana" in wrong.err
