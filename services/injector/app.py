"""The shell of `injector`: gets its certificate, answers the API server, and manages the Secrets of sidecars.

Ready when the API server can ask: our certificate is there, and the webhook configurations trust its root.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NoReturn

import structlog

from osm.bus import Bus
from osm.contracts.names import INJECTOR_IDENTITY, Address
from osm.contracts.trust import ControlPlane
from osm.k8s.client import Cluster, connected
from osm.k8s.errors import ApiError
from osm.k8s.lease import leading
from osm.pki.holder import Held, Holder
from osm.runtime.health import Health
from osm.runtime.https import ServerCertificate, serve_https
from services.injector.bus_inputs import BusInputs
from services.injector.ca_bundles import Webhooks
from services.injector.decide import Ours
from services.injector.gateway_controller import GatewayController
from services.injector.patch import House
from services.injector.review import MAX_REVIEW_BYTES
from services.injector.secret import Mesh
from services.injector.secret_controller import SecretController
from services.injector.settings import Settings
from services.injector.webhook_server import WebhookServer

MUTATE_PATH = "/mutate-pod-creation"
VALIDATE_PATH = "/validate"
LEASE = "osm-injector"
XDS_PORT = 15128

NATIVE_FROM = (1, 29)
"""The version from which sidecars that are init containers are on by default."""

ASK_AGAIN_S = 1.0
HEALTH_POLL_S = 0.5

Secrets = tuple[SecretController, GatewayController]

log = structlog.get_logger()


async def run(bus: Bus, settings: Settings, health: Health) -> None:
    """Endless. Raises NoCluster."""
    health.starting("the API server")
    async with connected(settings.kubeconfig) as cluster, asyncio.TaskGroup() as tasks:
        house = await _house(cluster, settings)
        heard = BusInputs(settings.trust_domain)
        subject = ControlPlane(identity=INJECTOR_IDENTITY, dns_names=_dns_names(settings.namespace))
        holder = Holder(bus, subject, trust_domain=settings.trust_domain)
        tasks.create_task(heard.run(bus), name="injector: bus")
        tasks.create_task(holder.run(), name="injector: certificate")
        certificate = await _first(heard, holder, health)
        secrets = SecretController(bus, cluster, heard, _mesh(settings))
        kept = (secrets, GatewayController(bus, cluster, heard, _mesh(settings), settings.namespace))
        webhooks = Webhooks(cluster, heard, settings.mesh)
        tasks.create_task(_swap(holder, certificate), name="injector: certificate in use")
        tasks.create_task(secrets.run(), name="injector: secrets")
        tasks.create_task(webhooks.watch(), name="injector: webhooks")
        tasks.create_task(_lead(cluster, settings, health.replica, kept, webhooks), name="injector: lease")
        ours = Ours(mesh=settings.mesh, namespace=settings.namespace)
        answers = WebhookServer(cluster, heard, ours=ours, house=house, admitted=secrets.admitted)
        async with _served(settings, certificate, answers):
            await _tell(webhooks, holder, health)


async def _first(heard: BusInputs, holder: Holder, health: Health) -> ServerCertificate:
    """Nothing is answered before the mesh's settings are known: a pod made without them would stay so."""
    health.starting("the roots of the mesh and its settings")
    await heard.complete()
    health.starting("a certificate from certmgr")
    certificate = ServerCertificate()
    _put(await holder.obtain(), certificate)
    return certificate


@asynccontextmanager
async def _served(settings: Settings, certificate: ServerCertificate, answers: WebhookServer) -> AsyncIterator[None]:
    async with serve_https(
        "OSM_INJECTOR_LISTEN",
        settings.listen,
        certificate,
        {MUTATE_PATH: answers.mutate, VALIDATE_PATH: answers.validate},
        max_body_bytes=MAX_REVIEW_BYTES,
        at_once=settings.reviews_at_once,
    ) as where:
        log.info("reviews are answered", at=where)
        yield


async def _swap(holder: Holder, certificate: ServerCertificate) -> None:
    async for held in holder.changes():
        _put(held, certificate)


def _put(held: Held, certificate: ServerCertificate) -> None:
    certificate.put(key_pem=held.key_pem(), chain_pem=held.chain.chain_pem)


async def _lead(cluster: Cluster, settings: Settings, replica: str, secrets: Secrets, webhooks: Webhooks) -> NoReturn:
    """Again and again: a Lease that was lost is waited for like the first."""
    while True:
        async with leading(cluster, settings.namespace, LEASE, replica) as leadership, asyncio.TaskGroup() as tasks:
            webhooks.lead(leadership)
            keeping = [tasks.create_task(each.lead(leadership), name="injector: secrets of all") for each in secrets]
            await leadership.lost.wait()
            for each in keeping:
                each.cancel()


async def _tell(webhooks: Webhooks, holder: Holder, health: Health) -> NoReturn:
    """Ready while the API server could ask: an API server that is away for a moment does not change that."""
    while True:
        if holder.current is None:
            health.starting(f"a certificate from certmgr: {holder.why}")
        elif not webhooks.trusted:
            health.starting(webhooks.why)
        else:
            health.active()
        await asyncio.sleep(HEALTH_POLL_S)


async def _house(cluster: Cluster, settings: Settings) -> House:
    kubernetes = await _version(cluster)
    native = settings.native_sidecars == "always" or (settings.native_sidecars == "auto" and kubernetes >= NATIVE_FROM)
    return House(
        envoy_image=settings.envoy_image,
        init_image=settings.init_image,
        pull_policy=settings.image_pull_policy,
        concurrency=settings.concurrency,
        drain_s=settings.drain_s,
        native=native,
        kubernetes=kubernetes,
    )


async def _version(cluster: Cluster) -> tuple[int, int]:
    while True:
        try:
            return await cluster.version()
        except ApiError as error:
            log.warning("the API server does not answer", why=str(error))
            await asyncio.sleep(ASK_AGAIN_S)


def _mesh(settings: Settings) -> Mesh:
    host, _, port = settings.xds.rpartition(":")
    beside = Address(f"osm-xds.{settings.namespace}.svc.cluster.local", XDS_PORT)
    xds = Address(host, int(port)) if host else beside
    return Mesh(name=settings.mesh, trust_domain=settings.trust_domain, xds=xds, load_reports=settings.load_reports)


def _dns_names(namespace: str) -> tuple[str, ...]:
    service = f"osm-injector.{namespace}.svc"
    return (service, f"{service}.cluster.local", "localhost")
