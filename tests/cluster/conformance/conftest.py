"""One mesh for all these tests, with policies enforced and egress off, and all its workloads ready."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.cluster.conformance import workloads
from tests.cluster.conformance.policies import routes
from tests.cluster.conformance.stage import HOME, INSTALLED_WITHIN_S, PROGRAMS, Stage, as_list
from tests.cluster.conformance.workloads import (
    CLIENT,
    IGNORED,
    LEAVES,
    MESHED,
    NAMESPACES,
    OUTSIDE,
    SERVER,
    Object,
    container,
    pod,
)
from tests.cluster.node import Cluster, Failed

READY_WITHIN_S = 600
IN_A_ROW = 5
"""Once one of two injectors has heard of a change, the other may be asked next."""
SETTINGS = ("enablePermissiveTrafficPolicy=false", "enableEgress=false")


@pytest.fixture(scope="package")
def mesh(cluster: Cluster, images: str) -> Iterator[Stage]:
    """The mesh and its apps; both are gone afterwards."""
    stage = Stage(cluster)
    with ExitStack() as afterwards:  # each of them, whatever becomes of the others
        until_gone = ("delete", "namespace", "--ignore-not-found")
        afterwards.callback(cluster.kubectl, *until_gone, HOME, within_s=READY_WITHIN_S)
        afterwards.callback(cluster.command, "osm", "uninstall", "mesh", "-f", "-a", within_s=INSTALLED_WITHIN_S)
        afterwards.callback(cluster.kubectl, *until_gone, *NAMESPACES, within_s=READY_WITHIN_S)
        cluster.command("osm", "install", *(f"--set=osm.{each}" for each in SETTINGS), within_s=INSTALLED_WITHIN_S)
        stage.first_config = stage.config()
        _join(cluster)
        _deploy(stage)
        stage.clients = tuple(
            f"{CLIENT}/{name}"
            for name in cluster.kubectl(
                *("get", "pods", f"--namespace={CLIENT}", "--selector=app=client"),
                "--output=jsonpath={.items[*].metadata.name}",
            ).split()
        )
        yield stage


def _join(cluster: Cluster) -> None:
    for namespace in NAMESPACES:
        cluster.create_namespace(namespace)
    cluster.command("osm", "namespace", "add", *MESHED)
    cluster.command("osm", "namespace", "ignore", IGNORED)
    cluster.command("osm", "metrics", "enable", "--namespace", CLIENT)
    for namespace in (SERVER, OUTSIDE):
        programs = [f"--from-file={name}={PROGRAMS / name}" for name in ("serve.py", "limits.py")]
        cluster.kubectl("create", "configmap", "programs", f"--namespace={namespace}", *programs)


def _deploy(stage: Stage) -> None:
    """All workloads, but those that are never ready."""
    cluster = stage.cluster
    _make(cluster, SERVER, [*workloads.server(), *routes()])
    _make(cluster, CLIENT, [*workloads.client()])
    _make(cluster, OUTSIDE, [*workloads.outside()])
    with stage.configured("sidecar", localProxyMode="PodIP"):
        _until_redirected_to_addresses(stage)
        _make(cluster, SERVER, [*workloads.at_their_addresses()])
    for namespace, kinds in {
        SERVER: ("statefulset/web", *(f"deployment/{leaf}" for leaf in LEAVES)),
        CLIENT: ("deployment/client",),
    }.items():
        for each in kinds:
            cluster.rolled_out(each, namespace, READY_WITHIN_S)
    for namespace, pods in {
        SERVER: ("guarded", "echo", "classic", "probed", "at-address"),
        CLIENT: ("alone", "stranger", "past-ports", "past-range"),
        OUTSIDE: ("plain", "other", "limits"),
    }.items():
        cluster.wait("condition=Ready", "pod", *pods, namespace=namespace, within_s=READY_WITHIN_S)


def _make(cluster: Cluster, namespace: str, objects: list[Object]) -> None:
    cluster.apply(as_list([*workloads.accounts([each for each in objects if "spec" in each]), *objects]), namespace)


def _until_redirected_to_addresses(stage: Stage) -> None:
    """The injectors have heard of the mode. Raises Failed."""
    last, heard = time.monotonic() + READY_WITHIN_S, 0
    asked = pod("asked", container(workloads.IDLE))
    asked["spec"].pop("serviceAccountName")
    while time.monotonic() < last:
        init = stage.made(SERVER, asked)["spec"]["initContainers"]
        heard = heard + 1 if "POD_IP" in json.dumps(init) else 0
        if heard == IN_A_ROW:
            return
    raise Failed(f"pods are not made for localProxyMode PodIP; see the injector in {HOME}")
