"""certmgr's root and record in a real API server."""

import asyncio
import itertools

import pytest
from structlog.testing import capture_logs

from osm.bus.memory import MemoryCore
from osm.contracts.channels import IDENTITY, SIGN
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import XDS_IDENTITY, Identity
from osm.contracts.trust import Chain, ControlPlane, MeshLeaf, SignRequest
from osm.k8s.client import connected
from osm.k8s.objects import Secret
from osm.k8s.resource import CONFIG_MAPS, NAMESPACES, ROLE_BINDINGS, ROLES, SECRETS
from osm.pki.keys import make_csr, make_key
from osm.pki.reading import load_chain, verify
from osm.testing.kubernetes import STRANGER
from services.certmgr.app import run
from services.certmgr.cluster import LEDGER, ClusterLedger, open_ledger, open_tresor
from services.certmgr.ledger import BadLedger, LedgerUnavailable
from services.certmgr.settings import Settings
from services.certmgr.tresor import BadRoot
from tests.kubernetes.running import running, until

NOW_S = 1_800_000_000.0
STORE = Identity("bookstore", "bookstore")
_names = itertools.count(1)


@pytest.fixture
async def cluster(api, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(api))
    async with connected(str(api)) as cluster:
        yield cluster


@pytest.fixture
async def namespace(cluster):
    name = f"certmgr-{next(_names)}"
    await cluster.create(NAMESPACES, {"metadata": {"name": name}})
    return name


async def opened(cluster, namespace, *, trust_domain="cluster.local"):
    return await open_tresor(
        cluster, namespace, "osm-ca-bundle", trust_domain=trust_domain, lifetime_s=10**6, now_s=NOW_S
    )


async def test_the_root_is_a_secret_in_osms_format_and_is_kept(cluster, namespace):
    first = await opened(cluster, namespace)
    secret = await cluster.get(SECRETS, "osm-ca-bundle", namespace, as_=Secret)
    assert sorted(secret.data) == ["ca.crt", "private.key"]
    assert secret.data["ca.crt"].decode() == first.root_pem
    assert secret.data["private.key"].startswith(b"-----BEGIN PRIVATE KEY-----")
    assert (await opened(cluster, namespace)).root_pem == first.root_pem


async def test_replicas_that_start_at_once_have_one_root(cluster, namespace):
    roots = await asyncio.gather(*(opened(cluster, namespace) for _ in range(8)))
    assert len({each.root_pem for each in roots}) == 1


async def test_the_root_of_another_trust_domain_is_refused_by_the_secrets_name(cluster, namespace):
    await opened(cluster, namespace)
    with pytest.raises(
        BadRoot, match=rf"Secret {namespace}/osm-ca-bundle: the root is of trust domain 'cluster\.local'"
    ):
        await opened(cluster, namespace, trust_domain="mesh.example")


async def test_a_secret_that_is_no_root_is_refused_and_never_replaced(cluster, namespace):
    await cluster.create(SECRETS, {"metadata": {"name": "osm-ca-bundle"}, "stringData": {"tls.crt": "x"}}, namespace)
    with pytest.raises(BadRoot, match=r"found no ca\.crt and no private\.key"):
        await opened(cluster, namespace)
    kept = await cluster.get(SECRETS, "osm-ca-bundle", namespace, as_=Secret)
    assert kept.data == {"tls.crt": b"x"}


async def test_a_root_that_is_not_ours_to_make_is_said_with_a_remedy(server, cluster, namespace):
    rules = [{"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]}]
    who = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": STRANGER}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "reader"}
    await cluster.create(ROLES, {"metadata": {"name": "reader"}, "rules": rules}, namespace)
    binding = {"metadata": {"name": "reader"}, "subjects": [who], "roleRef": role}
    await cluster.create(ROLE_BINDINGS, binding, namespace)
    async with connected(str(server.kubeconfig_of(STRANGER))) as stranger:
        await until(lambda: stranger.may("get", SECRETS, namespace))  # the server's own picture of roles lags a moment
        with pytest.raises(BadRoot, match=f"^Secret {namespace}/osm-ca-bundle: not there, .*`osm prepare`"):
            await opened(stranger, namespace)


async def test_replicas_keep_each_others_record(cluster, namespace):
    one, other = await open_ledger(cluster, namespace), await open_ledger(cluster, namespace)
    await asyncio.gather(*(ledger.record(name, 100) for ledger in (one, other) for name in "abcdefgh"))
    await asyncio.gather(one.record("root", 500), other.record("root", 300))
    assert (await open_ledger(cluster, namespace)).granted == dict.fromkeys("abcdefgh", 100) | {"root": 500}


async def test_the_record_is_never_lowered_and_survives_its_loss(cluster, namespace):
    ledger = await open_ledger(cluster, namespace)
    await ledger.record("root", 100)
    await ledger.record("root", 50)
    assert (await open_ledger(cluster, namespace)).granted == {"root": 100}
    await cluster.delete(CONFIG_MAPS, LEDGER, namespace)
    await ledger.record("other", 10)
    assert (await open_ledger(cluster, namespace)).granted == {"other": 10, "root": 100}


async def test_a_damaged_record_is_not_taken_for_an_empty_one(cluster, namespace):
    body = {"metadata": {"name": LEDGER}, "data": {"granted.json": '{"root": "soon"}'}}
    await cluster.create(CONFIG_MAPS, body, namespace)
    with pytest.raises(BadLedger, match=f"ConfigMap {namespace}/{LEDGER}: not a record"):
        await open_ledger(cluster, namespace)


async def test_a_record_that_cannot_be_kept_is_said_so(cluster):
    with pytest.raises(LedgerUnavailable, match=r"namespaces .nowhere. not found"):
        await ClusterLedger(cluster, "nowhere").record("root", 100)


def certmgr(core, namespace, replica):
    return running("certmgr", run, core, Settings(store="kubernetes", namespace=namespace), replica)


async def test_chains_of_two_replicas_lead_to_one_root_and_no_key_is_logged(cluster, namespace):
    core = MemoryCore()
    service = ControlPlane(identity=XDS_IDENTITY, dns_names=(f"osm-xds.{namespace}.svc.cluster.local",))
    with capture_logs() as lines:
        async with core.bus("endpoints").writer("endpoints") as endpoints:
            await endpoints.publish({IDENTITY.key("bookstore", "bookstore"): MeshIdentity(identity=STORE)})
            async with certmgr(core, namespace, "one"), certmgr(core, namespace, "two"):
                answers = [await ask(core, subject) for subject in (MeshLeaf(identity=STORE), service) for _ in "1234"]
    secret = await cluster.get(SECRETS, "osm-ca-bundle", namespace, as_=Secret)
    assert all(isinstance(each, Chain) for each in answers)
    root = load_chain(secret.data["ca.crt"])
    assert {verify(load_chain(each.chain_pem), root, each.not_before_s).identity for each in answers} == {
        STORE,
        XDS_IDENTITY,
    }
    granted = (await open_ledger(cluster, namespace)).granted
    assert granted[answers[0].issuer] >= max(each.not_after_s for each in answers)
    assert secret.data["private.key"].decode().splitlines()[1] not in repr(lines)


async def ask(core, subject):
    """Patiently: what is granted is written down in the API server before it is."""
    request = SignRequest(csr_pem=make_csr(make_key()), subject=subject)
    return (await core.bus("xds").ask(SIGN, request, timeout_s=60.0)).outcome
