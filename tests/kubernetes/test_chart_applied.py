"""The chart on a real API server: every object is one, an upgrade takes nothing away, and `osm prepare` does its part
with the rights it has."""

import asyncio
import base64
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from osm.cli.kubernetes.mesh_secrets import BUS_USERS, Mesh, due, names
from osm.cli.kubernetes.prepare import make_mesh_config, make_telemetry, settle
from osm.k8s.client import Cluster, connected
from osm.k8s.errors import Forbidden
from osm.k8s.objects import Object as Named
from osm.k8s.objects import Secret
from osm.k8s.resource import MESH_CONFIGS, ROLE_BINDINGS, ROLES, SECRETS, TELEMETRIES
from osm.testing.chart import Helm
from osm.testing.kubernetes import STRANGER, ApiServer
from tests.kubernetes.asking import Kinds, ask, check, install_crds, make_namespaces
from tests.kubernetes.running import until

VARIANTS = (
    (),
    ("osm.nats.replicaCount=3", "osm.networkPolicy.enable=true"),
    ("osm.xds.autoScale.enable=true", "osm.injector.autoScale.memory.targetAverageUtilization=80"),
    ("osm.meshName=second", "osm.enforceSingleMesh=false", "osm.smi.validateTrafficTarget=false"),
    ("osm.catalog.affinity.podAntiAffinity.requiredDuringSchedulingIgnoredDuringExecution[0].topologyKey=zone",),
)
MARKS = {"app.kubernetes.io/name": "openservicemesh.io", "app.kubernetes.io/instance": "osm"}
SPEC = {"traffic": {"enablePermissiveTrafficPolicyMode": True}}

Object = Mapping[str, Any]


@pytest.fixture(scope="module")
def kinds(server: ApiServer) -> Kinds:
    install_crds(server)
    make_namespaces(server, ["osm-system"])
    return Kinds(server)


def run_helm(helm: Helm, api: Path, *arguments: str) -> None:
    done = subprocess.run(
        [helm.program, *arguments, f"--kubeconfig={api}"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def mesh(namespace: str) -> Mesh:
    return Mesh(
        namespace=namespace, trust_domain="cluster.local", cluster_domain="cluster.local", root_secret="osm-ca-bundle"
    )


async def secrets(cluster: Cluster, namespace: str) -> dict[str, Secret]:
    return {each.metadata.name: each for each in await cluster.list(SECRETS, namespace, as_=Secret)}


@pytest.mark.parametrize("values", VARIANTS, ids=lambda values: values[0] if values else "defaults")
def test_every_object_is_one(values: tuple[str, ...], helm: Helm, server: ApiServer, kinds: Kinds) -> None:
    for found in yaml.safe_load_all(helm.render(*values)):
        if found:
            check(server, kinds, found)


def test_an_upgrade_leaves_the_root_that_the_injector_filled_in(
    helm: Helm, server: ApiServer, api: Path, kinds: Kinds
) -> None:
    make_namespaces(server, ["upgraded"])
    place = (str(helm.chart), "-n", "upgraded", "--skip-crds", "--set=osm.meshName=upgraded")
    path = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/osm-webhook-upgraded"
    bundle = base64.b64encode(due({}, mesh("upgraded"), time.time())["osm-ca-bundle"]["ca.crt"]).decode()
    change = {"webhooks": [{"name": "osm-inject.k8s.io", "clientConfig": {"caBundle": bundle}}]}
    run_helm(helm, api, "install", "upgraded", *place)
    try:
        ask(server, "PATCH", path, change, content="application/strategic-merge-patch+json")
        run_helm(helm, api, "upgrade", "upgraded", *place, "--set=osm.injector.webhookTimeoutSeconds=7")
        (webhook,) = ask(server, "GET", path)["webhooks"]
        assert (webhook["timeoutSeconds"], webhook["clientConfig"]["caBundle"]) == (7, bundle)
    finally:
        run_helm(helm, api, "uninstall", "upgraded", "-n", "upgraded")
    for kind in ("rbac.authorization.k8s.io/v1/clusterroles", "apps/v1/deployments", "batch/v1/jobs"):
        left = ask(server, "GET", f"/apis/{kind}?labelSelector=app.kubernetes.io/instance=upgraded")["items"]
        assert [each for each in left if "deletionTimestamp" not in each["metadata"]] == []


async def test_prepare_makes_everything_once_with_the_rights_of_its_role(
    helm: Helm, server: ApiServer, api: Path, kinds: Kinds
) -> None:
    make_namespaces(server, ["prepared"])
    rendered = [each for each in yaml.safe_load_all(helm.render("osm.osmNamespace=prepared")) if each]
    (role,) = (each for each in rendered if (each["kind"], each["metadata"]["name"]) == ("Role", "osm-prepare"))
    async with connected(str(api)) as admin:
        await admin.create(ROLES, role)
        binding = {
            "metadata": {"name": "stranger", "namespace": "prepared"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "osm-prepare"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": STRANGER}],
        }
        await admin.create(ROLE_BINDINGS, binding)
        async with connected(str(server.kubeconfig_of(STRANGER))) as job:
            await until(lambda: job.may("create", MESH_CONFIGS, "prepared"))  # the server takes roles in a moment later
            await settle(job, mesh("prepared"), MARKS)
            await make_telemetry(job, "prepared", MARKS)
            await make_telemetry(job, "prepared", MARKS)  # as after a Job that was cut off here
            await make_mesh_config(job, "prepared", SPEC, MARKS)
            telemetry = await admin.get(TELEMETRIES, "osm-access-log", "prepared", as_=dict[str, Any])
            assert (telemetry["spec"], telemetry["metadata"]["labels"]) == ({"accessLog": {}}, MARKS)
            await admin.delete(TELEMETRIES, "osm-access-log", "prepared")
            first = await secrets(admin, "prepared")
            assert set(names(mesh("prepared"))) == first.keys()
            assert all(each.metadata.labels == MARKS for each in first.values())
            changed = {"spec": {"traffic": {"enablePermissiveTrafficPolicyMode": False}}}
            await admin.patch(MESH_CONFIGS, "osm-mesh-config", changed, "prepared")
            await settle(job, mesh("prepared"), MARKS)
            await make_telemetry(job, "prepared", MARKS)
            await make_mesh_config(job, "prepared", SPEC, MARKS)
            assert await admin.list(TELEMETRIES, "prepared", as_=Named) == (), "who deletes it wants none"
            assert await secrets(admin, "prepared") == first
            with pytest.raises(Forbidden):
                await job.list(SECRETS, "prepared", as_=Secret)
        config = await admin.get(MESH_CONFIGS, "osm-mesh-config", "prepared", as_=dict[str, Any])
        assert config["spec"] == changed["spec"]


@pytest.mark.parametrize(("spec", "made"), [({"accessLog": {}}, False), ({"selector": {"app": "a"}}, True)])
async def test_a_telemetry_is_made_unless_one_for_the_mesh_is_there(
    spec: Object, made: bool, server: ApiServer, api: Path, kinds: Kinds
) -> None:
    namespace = f"telling-{made}".lower()
    make_namespaces(server, [namespace])
    async with connected(str(api)) as cluster:
        await cluster.create(TELEMETRIES, {"metadata": {"name": "theirs"}, "spec": spec}, namespace)
        await make_telemetry(cluster, namespace, MARKS)
        found = await cluster.list(TELEMETRIES, namespace, as_=Named)
    assert ("osm-access-log" in {each.metadata.name for each in found}) == made


async def test_several_prepares_at_once_agree(server: ApiServer, api: Path) -> None:
    make_namespaces(server, ["raced"])
    async with connected(str(api)) as cluster:
        await asyncio.gather(*(settle(cluster, mesh("raced"), MARKS) for _ in range(4)))
        found = await secrets(cluster, "raced")
    passwords = found[BUS_USERS].data
    for user in ("catalog", "cli", "xds"):
        assert found[f"osm-nats-{user}"].data["password"] == passwords[f"OSM_NATS_PASSWORD_{user.upper()}"]
        assert found[f"osm-nats-{user}"].data["writers.json"] == found["osm-nats-catalog"].data["writers.json"]
        assert found[f"osm-nats-{user}"].data["ca.crt"] == found["osm-nats-tls"].data["ca.crt"]


async def test_what_a_person_put_there_before_is_kept(server: ApiServer, api: Path) -> None:
    make_namespaces(server, ["theirs"])
    async with connected(str(api)) as cluster:
        own = {"ca.crt": b"theirs", "private.key": b"theirs"}
        await cluster.create(SECRETS, {"metadata": {"name": "osm-ca-bundle"}, "data": own}, "theirs")
        await settle(cluster, mesh("theirs"), MARKS)
        found = await cluster.get(SECRETS, "osm-ca-bundle", "theirs", as_=Secret)
        named = await cluster.get(SECRETS, "osm-ca-bundle", "theirs", as_=Named)
    assert (found.data, named.metadata.labels) == (own, {})
