"""A mesh of its own on the shared API server, with certmgr and injector at work: what tests of the injector share."""

import itertools
import json
from contextlib import asynccontextmanager

import services.certmgr.app
import services.certmgr.settings
from osm.bus.memory import MemoryCore
from osm.contracts.channels import IDENTITY, MESH_CONFIG
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity
from osm.k8s import resource
from osm.k8s.errors import ApiError, NotFound
from osm.k8s.objects import Object, Secret
from osm.pki.reading import load_chain
from osm.testing import cluster_objects as made
from osm.testing.free_ports import free_port
from services.injector.app import run
from services.injector.settings import Settings
from tests.kubernetes.running import running, until

_numbers = itertools.count(1)
SWITCH = "openservicemesh.io/sidecar-injection"


class Town:
    """A control plane and a meshed namespace of its own, on the shared API server and a bus in memory."""

    def __init__(self, cluster, kubeconfig, folder):
        number = next(_numbers)
        self.cluster = cluster
        self.core = MemoryCore()
        self.mesh = f"injector-mesh-{number}"
        self.home = f"injector-home-{number}"
        self.shop = f"injector-shop-{number}"
        self.port = free_port()
        self._kubeconfig = str(kubeconfig)
        self._folder = folder

    async def found(self):
        for name in (self.home, self.shop):
            member = {"openservicemesh.io/monitored-by": self.mesh} if name == self.shop else {}
            await self.cluster.create(resource.NAMESPACES, made.namespace(name, labels=member, annotations={}))
        await self.annotate({SWITCH: "enabled"})
        await self.cluster.create(resource.MUTATING_WEBHOOKS, self._webhook())

    async def annotate(self, annotations):
        await self.cluster.patch(resource.NAMESPACES, self.shop, {"metadata": {"annotations": annotations}})

    def _webhook(self):
        rule = {"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}
        return {
            "metadata": {"name": f"osm-webhook-{self.mesh}"},
            "webhooks": [
                {
                    "name": "osm-inject.k8s.io",
                    "clientConfig": {"url": f"https://localhost:{self.port}/mutate-pod-creation"},
                    "rules": [rule],
                    "failurePolicy": "Fail",
                    "sideEffects": "None",
                    "timeoutSeconds": 30,
                    "admissionReviewVersions": ["v1"],
                    "namespaceSelector": {"matchLabels": {"openservicemesh.io/monitored-by": self.mesh}},
                }
            ],
        }

    async def take_away(self):
        for what, name in (
            (resource.MUTATING_WEBHOOKS, f"osm-webhook-{self.mesh}"),
            (resource.VALIDATING_WEBHOOKS, f"osm-validator-mesh-{self.mesh}"),
        ):
            try:
                await self.cluster.delete(what, name)
            except NotFound:
                continue

    @asynccontextmanager
    async def certmgr(self, **more):
        settings = services.certmgr.settings.Settings(ca_folder=str(self._folder / "ca"), namespace=self.home, **more)
        async with running("certmgr", services.certmgr.app.run, self.core, settings) as health:
            yield health

    @asynccontextmanager
    async def injector(self, replica="one", port=None):
        settings = Settings(
            namespace=self.home,
            mesh=self.mesh,
            kubeconfig=self._kubeconfig,
            listen=f"127.0.0.1:{port or self.port}",
        )
        async with running("injector", run, self.core, settings, replica) as health:
            yield health

    @asynccontextmanager
    async def bus(self, mesh=None):
        """What meshspec and endpoints have published."""
        documents = {MESH_CONFIG.key(): mesh} if mesh else {}
        member = Identity(self.shop, "store")
        async with (
            self.core.bus("meshspec").writer("meshspec") as meshspec,
            self.core.bus("endpoints").writer("endpoints") as endpoints,
        ):
            await meshspec.publish(documents)
            await endpoints.publish({IDENTITY.key(self.shop, "store"): MeshIdentity(identity=member)})
            yield

    def pod(self, name="web", annotations=None, **spec):
        return {
            "metadata": {"name": name, "namespace": self.shop, "annotations": annotations or {}},
            "spec": {
                "serviceAccountName": "store",
                "containers": [{"name": "web", "image": "web:1", "livenessProbe": {"tcpSocket": {"port": 8080}}}],
                **spec,
            },
        }

    async def make(self, pod, *, dry_run=False):
        return await self.cluster.create(resource.PODS, pod, dry_run=dry_run)

    async def injecting(self):
        """Until the API server has heard of the webhook and trusts it: the two take it a moment."""

        async def injected():
            try:
                return uuid_of(await self.make(self.pod("try"), dry_run=True))
            except ApiError:
                return ""

        await until(injected)

    async def secret(self, uuid):
        return await self.cluster.get(resource.SECRETS, f"envoy-bootstrap-config-{uuid}", self.shop, as_=Secret)

    async def secrets(self):
        found = await self.cluster.list(resource.SECRETS, self.shop, as_=Object, labels="osm-proxy-uuid")
        return {each.metadata.labels["osm-proxy-uuid"] for each in found}


def uuid_of(pod):
    return pod["metadata"].get("labels", {}).get("osm-proxy-uuid", "")


@asynccontextmanager
async def at_work(town, mesh=None, **certmgr):
    async with town.bus(mesh), town.certmgr(**certmgr), town.injector() as health:
        await town.injecting()
        yield health


async def made_secret(town, uuid):
    async def there():
        return uuid in await town.secrets()

    await until(there)
    return await town.secret(uuid)


def certificate(secret):
    text = json.loads(secret.data["certificate.json"])["resources"][0]["tls_certificate"]
    return load_chain(text["certificate_chain"]["inline_string"])[0]
