"""Certificates from cert-manager: its real controller before the real API server, an issuer with an intermediate."""

import asyncio
import itertools
import os
import subprocess
import time
from contextlib import contextmanager

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from osm.bus.memory import MemoryCore
from osm.contracts.channels import IDENTITY, SIGN
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import XDS_IDENTITY, Identity
from osm.contracts.trust import Chain, ControlPlane, MeshLeaf, ProxyClient, SignRequest
from osm.envoy.end_with_parent import tied_to_parent
from osm.k8s.client import connected
from osm.k8s.errors import ApiError, Conflict
from osm.k8s.resource import CONFIG_MAPS, CRDS, NAMESPACES, SECRETS, Resource
from osm.pki.issuing import profile_of, request
from osm.pki.keys import make_key
from osm.pki.reading import load_chain, verify
from services.certmgr.app import run
from services.certmgr.cert_manager import CERTIFICATE_REQUESTS, MARK, MARKED, CertificateRequest
from services.certmgr.cluster import LEDGER
from services.certmgr.settings import Settings
from tests.authorities import NotBuilt, find
from tests.kubernetes.running import running, until
from tests.not_run import not_run
from tests.other_ca import OtherCa, pem

ISSUERS = Resource(group="cert-manager.io", plural="issuers", kind="Issuer")
CONTROLLERS = "issuers,certificaterequests-approver,certificaterequests-issuer-ca"
STORE = Identity("bookstore", "bookstore")
_names = itertools.count(1)


@pytest.fixture(scope="module")
def folder():
    try:
        return find("cert-manager")
    except NotBuilt as why:
        not_run(why)


@pytest.fixture
async def cluster(api, monkeypatch, folder):
    """With cert-manager's kinds."""
    monkeypatch.setenv("KUBECONFIG", str(api))
    async with connected(str(api)) as cluster:
        for path in sorted((folder / "crds").glob("*.yaml")):
            definition = yaml.safe_load(path.read_text())
            definition["metadata"].pop("labels")  # its chart fills them in
            try:
                await cluster.create(CRDS, definition)
            except Conflict:
                continue
        await until(lambda: served(cluster))
        yield cluster


async def served(cluster):
    try:
        await cluster.list(CERTIFICATE_REQUESTS, as_=CertificateRequest)
        await cluster.list(ISSUERS, as_=CertificateRequest)
    except ApiError:
        return False
    return True


@contextmanager
def controller(folder, api, namespace, log):
    """The controller, for one namespace."""
    command = [
        folder / "cert-manager-controller",
        f"--kubeconfig={api}",
        f"--namespace={namespace}",
        f"--cluster-resource-namespace={namespace}",
        f"--controllers={CONTROLLERS}",
        "--leader-elect=false",
        "--metrics-listen-address=127.0.0.1:0",
    ]
    with log.open("w") as file:
        process = subprocess.Popen(tied_to_parent(*map(str, command)), stdout=file, stderr=file)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@pytest.fixture
async def namespace(cluster):
    name = f"cert-manager-{next(_names)}-{os.getpid()}"
    await cluster.create(NAMESPACES, {"metadata": {"name": name}})
    return name


async def make_issuer(cluster, namespace, ca):
    key = ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    data = {"tls.crt": pem(ca.intermediate), "tls.key": key, "ca.crt": ca.root_pem}
    await cluster.create(SECRETS, {"metadata": {"name": "pair"}, "stringData": data}, namespace)
    spec = {"ca": {"secretName": "pair"}}
    await cluster.create(ISSUERS, {"metadata": {"name": "osm-ca"}, "spec": spec}, namespace)


def settings(namespace, **more):
    return Settings(store="kubernetes", provider="cert-manager", namespace=namespace, ca_timeout_s=9.9, **more)


async def ask(core, subject, caller):
    """As a holder would: until there is a chain."""
    async with asyncio.timeout(60):
        while True:
            csr_pem = request(make_key(), profile_of(subject, "cluster.local"))
            asked = SignRequest(csr_pem=csr_pem, subject=subject, lifetime_s=3600)
            outcome = (await core.bus(caller).ask(SIGN, asked, timeout_s=60.0)).outcome
            if isinstance(outcome, Chain) or not outcome.retry:
                return outcome
            await asyncio.sleep(0.2)


async def requests(cluster, namespace):
    return await cluster.list(CERTIFICATE_REQUESTS, namespace, as_=CertificateRequest, labels=f"{MARK}={MARKED}")


async def test_a_real_cert_manager_signs_for_the_mesh_and_nothing_is_left_of_it(
    cluster, namespace, api, folder, tmp_path
):
    core, ca = MemoryCore(), OtherCa()
    await make_issuer(cluster, namespace, ca)
    async with core.bus("endpoints").writer("endpoints") as endpoints:
        await endpoints.publish({IDENTITY.key("bookstore", "bookstore"): MeshIdentity(identity=STORE)})
        with controller(folder, api, namespace, tmp_path / "log"):
            async with running("certmgr", run, core, settings(namespace)):
                for caller, subject in (
                    ("xds", MeshLeaf(identity=STORE)),
                    ("injector", ProxyClient(identity=STORE, proxy_id="p.bookstore")),
                    ("xds", ControlPlane(identity=XDS_IDENTITY, dns_names=(f"osm-xds.{namespace}.svc",))),
                ):
                    chain = await ask(core, subject, caller)
                    assert isinstance(chain, Chain), (chain, (tmp_path / "log").read_text()[-2000:])
                    certificates = load_chain(chain.chain_pem)
                    assert len(certificates) == 2
                    assert verify(certificates, (ca.root,), time.time()).identity == subject.identity
                assert await requests(cluster, namespace) == ()
    record = await cluster.get(CONFIG_MAPS, LEDGER, namespace, as_=dict)
    assert chain.issuer in record["data"]["granted.json"]


async def test_an_issuer_that_is_not_there_is_waited_for_and_named(cluster, namespace, api, folder, tmp_path):
    core = MemoryCore()
    (tmp_path / "root.pem").write_text(OtherCa().root_pem)
    options = {"root_file": str(tmp_path / "root.pem"), "cert_manager_issuer": "absent"}
    async with core.bus("endpoints").writer("endpoints") as endpoints:
        await endpoints.publish({IDENTITY.key("bookstore", "bookstore"): MeshIdentity(identity=STORE)})
        with controller(folder, api, namespace, tmp_path / "log"):
            async with running("certmgr", run, core, settings(namespace, **options)):

                async def told():
                    csr_pem = request(make_key(), profile_of(MeshLeaf(identity=STORE), "cluster.local"))
                    asked = SignRequest(csr_pem=csr_pem, subject=MeshLeaf(identity=STORE))
                    outcome = (await core.bus("xds").ask(SIGN, asked, timeout_s=60.0)).outcome
                    return outcome if "Referenced" in outcome.why else None

                outcome = await until(told)
    assert outcome.retry
    assert "cert-manager (Issuer absent): no certificate within 8.91 s: Pending: Referenced" in outcome.why
    assert await requests(cluster, namespace) == ()
