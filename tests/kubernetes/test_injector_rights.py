"""What the chart lets the injector do about Secrets, as the API server has it: its own, and nobody else's."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from osm.contracts.names import Address
from osm.contracts.policy import IngressGateway
from osm.contracts.trust import Chain
from osm.k8s.access import InPod
from osm.k8s.client import Cluster, connected
from osm.k8s.connection import opened
from osm.k8s.errors import ApiError, Forbidden, Invalid
from osm.k8s.objects import Object, Secret
from osm.k8s.resource import SECRETS
from osm.testing.chart import Helm
from osm.testing.kubernetes import ApiServer
from services.injector import gateway, secret
from services.injector.proxies import Proxy
from tests.kubernetes.asking import Kinds, ask, create, make_namespaces

HOME = "rights-home"
SHOP = "rights-shop"
MESH = secret.Mesh(name="rights", trust_domain="cluster.local", xds=Address("osm-xds.rights-home.svc", 15128))
CERTIFICATE = secret.Certificate(
    key_pem="KEY", chain=Chain(chain_pem="CHAIN", issuer="i", not_before_s=100, not_after_s=4000)
)
KINDS = (
    "ClusterRole",
    "ClusterRoleBinding",
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
)

Body = Mapping[str, Any]


def proxy(number: int) -> Proxy:
    uuid = f"11111111-2222-4333-8444-{number:012}"
    return Proxy(namespace=SHOP, uuid=uuid, pod="web", pod_uid="uid", account="store", seen_s=0.0)


def ours(number: int, **labels: str | None) -> Body:
    made = secret.made(proxy(number), CERTIFICATE, "ROOTS", MESH)
    found = {**made["metadata"]["labels"], **labels}
    return {**made, "metadata": {**made["metadata"], "labels": {key: found[key] for key in found if found[key]}}}


@pytest.fixture(scope="module")
def account(helm: Helm, server: ApiServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a pod of the injector has mounted, with the rights that the chart gives it."""
    make_namespaces(server, [HOME, SHOP])
    values = (f"osm.osmNamespace={HOME}", f"osm.meshName={MESH.name}")
    kinds = Kinds(server)
    for each in yaml.safe_load_all(helm.render(*values)):
        if each and each["kind"] in KINDS and "injector" in each["metadata"]["name"]:
            create(server, kinds, each)
    accounts = f"/api/v1/namespaces/{HOME}/serviceaccounts"
    ask(server, "POST", accounts, {"metadata": {"name": "osm-injector"}})
    token = ask(server, "POST", f"{accounts}/osm-injector/token", {"spec": {}})["status"]["token"]
    mounted = tmp_path_factory.mktemp("account")
    (mounted / "token").write_text(token)
    (mounted / "ca.crt").write_bytes((server.kubeconfig.parent / "api" / "apiserver.crt").read_bytes())
    return mounted


@pytest.fixture
async def injector(account: Path, server: ApiServer) -> AsyncIterator[Cluster]:
    """Once the rights and what narrows them are in force: the server takes both in a moment later."""
    host, _, port = server.address.rpartition(":")
    async with opened(InPod(host, port, account)) as connection:
        cluster = Cluster(connection)
        async with asyncio.timeout(60):
            while not await _narrowed(cluster):
                await asyncio.sleep(0.05)
        yield cluster


async def _narrowed(cluster: Cluster) -> bool:
    try:
        await cluster.create(SECRETS, ours(0), dry_run=True)
        await cluster.create(SECRETS, {"metadata": {"name": "x", "namespace": SHOP}}, dry_run=True)
    except ApiError as error:
        return "the injector may write Secrets of sidecars alone" in str(error)
    return False


@pytest.fixture
async def admin(api: Path) -> AsyncIterator[Cluster]:
    async with connected(str(api)) as cluster:
        yield cluster


async def test_everything_that_the_injector_does_with_its_secrets_is_allowed(injector: Cluster, admin: Cluster) -> None:
    one = proxy(1)
    name = ours(1)["metadata"]["name"]
    await injector.create(SECRETS, ours(1))
    for change in (
        secret.renewed(one, CERTIFICATE, "OTHERS", MESH),
        secret.trusting("ROOTS"),
        secret.owned(one),
    ):
        await injector.patch(SECRETS, name, change, SHOP)
    (found,) = await injector.list(SECRETS, as_=Object, labels=secret.selector(MESH.name))
    assert found.metadata.annotations[secret.ROOTS] == secret.roots_id("ROOTS")
    await injector.delete(SECRETS, name, SHOP)
    assert await admin.list(SECRETS, SHOP, as_=Object, labels=secret.selector(MESH.name)) == ()


GATEWAY = IngressGateway(dns_names=("gateway.edge.cluster.local",), lifetime_s=3600, namespace=SHOP, name="gateway")


def gateways(**more: Any) -> Body:
    return {**gateway.written(GATEWAY, CERTIFICATE, "ROOTS", MESH.name), **more}


async def test_the_ingress_gateways_secret_is_its_to_write_wherever_it_is(injector: Cluster) -> None:
    await injector.create(SECRETS, gateways())
    await injector.patch(SECRETS, GATEWAY.name, gateways(), SHOP)
    (found,) = await injector.list(SECRETS, as_=Object, labels=gateway.selector(MESH.name))
    assert found.metadata.name == GATEWAY.name
    await injector.delete(SECRETS, GATEWAY.name, SHOP)


@pytest.mark.parametrize("kind", ["Opaque", "kubernetes.io/service-account-token"])
async def test_a_gateways_secret_is_one_for_tls_and_nothing_else(injector: Cluster, kind: str) -> None:
    meta = gateways()["metadata"]
    annotated = {**meta["annotations"], "kubernetes.io/service-account.name": "default"}
    with pytest.raises((Forbidden, Invalid), match="and the ingress gateway's of type"):
        await injector.create(SECRETS, gateways(type=kind, metadata={**meta, "annotations": annotated}))


async def test_no_secret_of_others_becomes_a_gateways(injector: Cluster, admin: Cluster) -> None:
    theirs = gateways(metadata={"name": "theirs-tls", "namespace": SHOP})
    await admin.create(SECRETS, theirs)
    with pytest.raises((Forbidden, Invalid), match="of sidecars alone"):
        await injector.patch(SECRETS, "theirs-tls", {"metadata": {"labels": gateways()["metadata"]["labels"]}}, SHOP)
    await admin.delete(SECRETS, "theirs-tls", SHOP)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"metadata": {"name": "password", "namespace": SHOP}}, "of sidecars alone"),
        ({**ours(2), "metadata": {**ours(2)["metadata"], "name": "envoy-bootstrap-config-other"}}, "of sidecars alone"),
        ({**ours(2), "metadata": {**ours(2)["metadata"], "name": "", "generateName": "envoy-"}}, "of sidecars alone"),
        (ours(2, **{"osm-proxy-uuid": None}), "of sidecars alone"),
        (ours(2, **{"app.kubernetes.io/instance": "second"}), "of its own mesh alone"),
        (ours(2, **{"app.kubernetes.io/instance": None}), "of its own mesh alone"),
    ],
)
async def test_a_secret_that_is_no_sidecars_is_not_the_injectors_to_make(
    body: Body, why: str, injector: Cluster
) -> None:
    with pytest.raises((Forbidden, Invalid), match=f"the injector may write Secrets {why}"):
        await injector.create(SECRETS, body)


async def test_no_token_of_another_account_can_be_made_by_way_of_a_secret(injector: Cluster) -> None:
    meta = ours(3)["metadata"]
    annotated = {**meta["annotations"], "kubernetes.io/service-account.name": "default"}
    token = {"metadata": {**meta, "annotations": annotated}, "type": "kubernetes.io/service-account-token"}
    with pytest.raises((Forbidden, Invalid), match="of type Opaque alone"):
        await injector.create(SECRETS, token)


async def test_others_secrets_are_neither_changed_nor_deleted_and_so_not_read_by_a_patch(
    injector: Cluster, admin: Cluster
) -> None:
    theirs = {"metadata": {"name": "theirs", "namespace": SHOP}, "stringData": {"k": "v"}}
    before = await admin.create(SECRETS, theirs)
    mine = {"metadata": {"labels": ours(4)["metadata"]["labels"]}}
    for change in ({}, mine):
        with pytest.raises((Forbidden, Invalid), match="of sidecars alone"):
            await injector.patch(SECRETS, "theirs", change, SHOP)
    with pytest.raises((Forbidden, Invalid), match="of sidecars alone"):
        await injector.delete(SECRETS, "theirs", SHOP)
    with pytest.raises(Forbidden):
        await injector.get(SECRETS, "theirs", SHOP, as_=Secret)
    assert await admin.get(SECRETS, "theirs", SHOP, as_=dict[str, Any]) == before
    await admin.delete(SECRETS, "theirs", SHOP)


async def test_an_own_secret_cannot_be_made_anothers(injector: Cluster) -> None:
    await injector.create(SECRETS, ours(5))
    name = ours(5)["metadata"]["name"]
    with pytest.raises((Forbidden, Invalid), match="of its own mesh alone"):
        await injector.patch(SECRETS, name, {"metadata": {"labels": {"app.kubernetes.io/instance": "second"}}}, SHOP)
    await injector.delete(SECRETS, name, SHOP)
