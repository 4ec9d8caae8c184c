"""Meshes on a real cluster whose certificates others issue: cert-manager, and a plug-in beside certmgr."""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import yaml
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from osm.envoy.end_with_parent import tied_to_parent
from osm.pki.issuing import make_root
from osm.pki.keys import key_pem, make_key
from osm.pki.reading import chain_pem
from tests.authorities import NotBuilt, find
from tests.cluster.conformance.stage import HOME, INSTALLED_WITHIN_S, Stage, as_list
from tests.cluster.conformance.workloads import APP, accounts, container, pod
from tests.cluster.node import Cluster
from tests.not_run import not_run
from tests.other_ca import OtherCa, pem

APPS = "others-apps"
READY_WITHIN_S = 300
DAY_S = 86_400
CONTROLLERS = "issuers,certificaterequests-approver,certificaterequests-issuer-ca"

PLUGIN = """
import asyncio, os, secrets, time
import grpc
from osm.pki import issuing, keys, reading
from services.certmgr.plugin_messages import RootsRequest, RootsResponse, SignRequest, SignResponse

KEY, ROOT = keys.load_key(os.environ["KEY"].encode()), reading.load_chain(os.environ["ROOT"])[0]


async def roots(request, context):
    return RootsResponse(roots_pem=os.environ["ROOT"])


async def sign(request, context):
    said = request.subject
    profile = issuing.Profile(uri=said.uri, dns_names=tuple(said.dns_names), client=said.client, server=said.server)
    key = issuing.signable(keys.read_csr(request.csr_pem))
    serial, life_s = secrets.randbits(120) | 1, request.lifetime_s
    made = issuing.sign(
        profile, key, issuer=ROOT, issuer_key=KEY, now_s=time.time(), lifetime_s=life_s, serial=serial
    )
    return SignResponse(chain_pem=reading.chain_pem([made]))


async def main():
    def method(function, asked):
        return grpc.unary_unary_rpc_method_handler(
            function, request_deserializer=asked.FromString, response_serializer=lambda said: said.SerializeToString()
        )

    server = grpc.aio.server()
    methods = {"Roots": method(roots, RootsRequest), "Sign": method(sign, SignRequest)}
    service = grpc.method_handlers_generic_handler("osm.ca.v1.CertificateAuthority", methods)
    server.add_generic_rpc_handlers((service,))
    os.umask(0o177)
    server.add_insecure_port("unix:/run/osm/ca/ca.sock")
    await server.start()
    await server.wait_for_termination()


asyncio.run(main())
"""
"""An authority in a container, with the image of certmgr, which has all that it needs."""

Values = dict[str, object]


@contextmanager
def cert_manager(cluster: Cluster, tag: str, folder: Path) -> Iterator[Values]:
    """Its kinds and an issuer in the cluster, its controller beside it."""
    try:
        home = find("cert-manager")
    except NotBuilt as why:
        not_run(why)
    definitions = [yaml.safe_load(path.read_text()) for path in sorted((home / "crds").glob("*.yaml"))]
    for definition in definitions:
        definition["metadata"].pop("labels")  # its chart fills them in
    ca = OtherCa()
    key = ca.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    data = {"tls.crt": pem(ca.intermediate), "tls.key": key, "ca.crt": ca.root_pem}
    pair = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "pair"}, "stringData": data}
    issuer = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Issuer",
        "metadata": {"name": "osm-ca"},
        "spec": {"ca": {"secretName": "pair"}},
    }
    command = tied_to_parent(
        str(home / "cert-manager-controller"),
        f"--kubeconfig={cluster.kubeconfig}",
        f"--namespace={HOME}",
        f"--controllers={CONTROLLERS}",
        "--leader-elect=false",
        "--metrics-listen-address=127.0.0.1:0",
    )
    with ExitStack() as stack:
        stack.callback(
            cluster.kubectl, "delete", "--ignore-not-found", "-f", "-", said=as_list(definitions), within_s=120
        )
        cluster.kubectl("apply", "--server-side", "-f", "-", said=as_list(definitions))
        for definition in definitions:
            cluster.wait("condition=Established", f"crd/{definition['metadata']['name']}", namespace=HOME)
        cluster.apply(as_list([pair, issuer]), HOME)
        log = stack.enter_context((folder / "cert-manager.log").open("w"))
        process = subprocess.Popen(command, stdout=log, stderr=log)
        stack.callback(process.wait)
        stack.callback(process.kill)
        yield {"certificateProvider": {"kind": "cert-manager"}}


@contextmanager
def plugin(cluster: Cluster, tag: str, folder: Path) -> Iterator[Values]:
    """In each pod of certmgr, all with one root."""
    key = make_key()
    root = make_root(key, trust_domain="cluster.local", now_s=time.time(), lifetime_s=30 * DAY_S, serial=7)
    environment = {"KEY": key_pem(key).decode(), "ROOT": chain_pem([root]), "HOME": "/tmp"}
    yield {
        "certificateProvider": {"kind": "external"},
        "externalCA": {
            "address": "unix:/run/osm/ca/ca.sock",
            "container": {
                "image": f"openservicemesh/osm-certmgr:{tag}",
                "command": ["python3", "-c", PLUGIN],
                "env": [{"name": name, "value": value} for name, value in environment.items()],
            },
        },
    }


@pytest.mark.parametrize("authority", [cert_manager, plugin])
def test_a_mesh_runs_on_certificates_that_another_issues(
    authority: Callable[..., object], cluster: Cluster, images: str, tmp_path: Path
) -> None:
    stage = Stage(cluster)
    with ExitStack() as afterwards:
        gone = ("delete", "namespace", "--ignore-not-found")
        afterwards.callback(cluster.kubectl, *gone, HOME, APPS, within_s=READY_WITHIN_S)
        cluster.create_namespace(HOME)
        values = afterwards.enter_context(authority(cluster, images, tmp_path))
        (tmp_path / "values.yaml").write_text(yaml.safe_dump({"osm": values}))
        afterwards.callback(cluster.command, "osm", "uninstall", "mesh", "-f", "-a", within_s=INSTALLED_WITHIN_S)
        cluster.command("osm", "install", "-f", str(tmp_path / "values.yaml"), within_s=INSTALLED_WITHIN_S)

        cluster.create_namespace(APPS)
        cluster.command("osm", "namespace", "add", APPS)
        pods = [pod("server", container((*APP, "8080"))), pod("client", container(("sleep", "infinity")))]
        service = {
            "apiVersion": "v1",
            "kind": "Service",
            "metadata": {"name": "server"},
            "spec": {"selector": {"app": "server"}, "ports": [{"port": 80, "targetPort": 8080, "appProtocol": "http"}]},
        }
        cluster.apply(as_list([*accounts(pods), service, *pods]), APPS)
        cluster.wait("condition=Ready", "pod", "server", "client", namespace=APPS, within_s=READY_WITHIN_S)
        stage.becomes(f"{APPS}/client", f"http://server.{APPS}/", "200", 5)

        assert stage.stats(f"{APPS}/server")["listener.0.0.0.0_15003.ssl.handshake"] >= 1
        secrets = cluster.kubectl("get", "secrets", f"--namespace={HOME}", "-o", "name")
        assert "osm-ca-bundle" not in secrets
        checked = json.loads(stage.osm("check", "-o", "json"))
        assert "the mesh's root (published; it is kept elsewhere)" in str(checked)
