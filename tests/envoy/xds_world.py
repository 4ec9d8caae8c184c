"""A mesh over a real NATS of which a test is the catalog, and processes of xds that serve it."""

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from msgspec import structs

from osm.bus.nats import open_nats
from osm.bus.nats_settings import NatsSettings
from osm.contracts.catalog import MeshService
from osm.contracts.channels import IDENTITY, MESH, MESH_SERVICE, MESH_WORKLOAD, SIGN
from osm.contracts.endpoints import Endpoint, Explicit, MeshIdentity, Service, ServicePort, Workload
from osm.contracts.names import Address, Identity, ServiceName
from osm.contracts.policy import Mesh
from osm.contracts.status import Progress, ServiceStatus
from osm.contracts.trust import Bundle, ProxyClient, SignRequest
from osm.pki.keys import key_pem, make_csr, make_key
from osm.runtime.health import Health
from osm.testing.ads_client import ClientIdentity
from osm.testing.free_ports import free_port
from osm.testing.nats_server import nats_server
from services.certmgr import app as certmgr
from services.certmgr.settings import Settings as CertmgrSettings
from services.xds.app import SERVER_NAME
from services.xds.worker_pages import read_page

WEB = Identity("shop", "web")
SHOP = ServiceName("shop", "web")
PATIENCE_S = 120


def service(port):
    shape = Service(name=SHOP, ports=(ServicePort(port=80, explicit_port=free_port()),), accounts=(WEB,))
    return MeshService(service=shape, endpoints=(Endpoint(port=80, address=Address("127.0.0.1", port), identity=WEB),))


def workload(proxy_id):
    interception = Explicit(http_proxy=Address("127.0.0.1", free_port()), outbound_host="127.0.0.1")
    return Workload(proxy_id=proxy_id, identity=WEB, interception=interception)


async def until(condition):
    """Wait for what another process does."""
    async with asyncio.timeout(PATIENCE_S):
        while not await condition():
            await asyncio.sleep(0.05)


class World:
    """A mesh of which the test is the catalog, with a certmgr beside it."""

    def __init__(self, stack, folder, url):
        self.folder, self.url, self.listen = folder, url, f"127.0.0.1:{free_port()}"
        self.roots = ""
        self.progress: dict[str, Progress] = {}
        self.active: set[str] = set()  # replicas that have ever been
        self._stack = stack
        self._service = service(1)
        self._revision = 0

    async def open(self, proxies):
        catalog, endpoints, self._local, eyes, ca = [
            await self._stack.enter_async_context(open_nats(self.url, name, NatsSettings(lease_s=2, unsigned=True)))
            for name in ("catalog", "endpoints", "local", "cli", "certmgr")
        ]
        tasks = await self._stack.enter_async_context(asyncio.TaskGroup())
        settings = CertmgrSettings(ca_folder=str(self.folder / "ca"))
        running = [
            tasks.create_task(certmgr.run(ca, settings, Health.begin("certmgr"))),
            tasks.create_task(self._look(eyes)),
        ]
        self._stack.push_async_callback(self._end, running)
        self._writer = await self._stack.enter_async_context(catalog.writer("catalog"))
        accounts = await self._stack.enter_async_context(endpoints.writer("endpoints"))
        await accounts.publish({IDENTITY.key(WEB.namespace, WEB.account): MeshIdentity(identity=WEB)})
        documents = {MESH.key(): Mesh(permissive=True), MESH_SERVICE.key("shop", "web"): self._service}
        self._revision = await self._writer.publish(
            documents | {MESH_WORKLOAD.key(proxy): workload(proxy) for proxy in proxies}
        )
        await until(self._has_roots)

    async def _end(self, running):
        for task in running:
            task.cancel()

    async def _has_roots(self):
        return bool(self.roots)

    async def _look(self, bus):
        async for update in bus.watch("status", "certmgr"):
            for document in update.documents:
                match document.value:
                    case Bundle(roots_pem=roots):
                        self.roots = "".join(roots)
                    case Progress(service="xds", replica=replica) as line:
                        self.progress[replica] = line
                    case ServiceStatus(service="xds", replica=replica, state="active"):
                        self.active.add(replica)

    async def certificate(self, proxy):
        """Key and chain, PEM, as the agent gets them."""
        key = make_key()
        subject = ProxyClient(identity=WEB, proxy_id=proxy)
        reply = await self._local.ask(SIGN, SignRequest(csr_pem=make_csr(key), subject=subject), timeout_s=20)
        return key_pem(key), reply.outcome.chain_pem.encode()

    async def client(self, proxy):
        key, chain = await self.certificate(proxy)
        return ClientIdentity(chain_pem=chain, key_pem=key, roots_pem=self.roots.encode(), server_name=SERVER_NAME)

    async def move_endpoint(self):
        """A change for every proxy."""
        self._service = structs.replace(self._service, endpoints=service(free_port()).endpoints)
        self._revision = await self._writer.apply({MESH_SERVICE.key("shop", "web"): self._service})

    async def settled(self, *replicas, proxies):
        """Wait until exactly so many proxies of these replicas have acknowledged the last change."""

        async def is_settled():
            lines = [self.progress.get(replica) for replica in replicas]
            return (
                all(line is not None and line.output >= self._revision for line in lines)
                and sum(line.proxies for line in lines) == proxies
            )

        await until(is_settled)


@asynccontextmanager
async def world(folder, proxies):
    async with nats_server() as server, AsyncExitStack() as stack:
        made = World(stack, folder, server.url)
        await made.open(proxies)
        yield made


class Xds:
    """A running `python -m services.xds`."""

    def __init__(self, process, http, log):
        self.process, self.http, self.log = process, http, log

    async def ready(self):
        async def is_ready():
            assert self.process.returncode is None, self.log.read_text()
            page = await read_page(self.http, "/readyz")
            return page is not None and page.status == 200

        await until(is_ready)

    async def workers(self):
        """Process ids of the workers."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(pid) for pid in children.read_text().split()]

    async def end(self):
        """SIGTERM; the exit status."""
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


@asynccontextmanager
async def xds(world, replica, **settings):
    """Settings by their names in capitals."""
    http, log = world.folder / f"{replica}.http", world.folder / f"{replica}.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("OSM_")},
        "TMPDIR": str(world.folder),  # a parent that is killed cannot tidy up
        "OSM_BUS": world.url,
        "OSM_NATS_UNSIGNED": "true",
        "OSM_REPLICA": replica,
        "OSM_HTTP": f"unix:{http}",
        "OSM_XDS_LISTEN": world.listen,
        "OSM_XDS_DRAIN_S": "1",
        **{f"OSM_XDS_{name}": str(value) for name, value in settings.items()},
    }
    with log.open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.xds", env=environment, stdout=output, stderr=output
        )
    running = Xds(process, http, log)
    try:
        await running.ready()
        yield running
    finally:
        if process.returncode is None:
            process.kill()  # its workers are on a leash
            await process.wait()


@asynccontextmanager
async def serving(world, *replicas):
    """From when all of these serve."""

    async def all_serve():
        return world.active.issuperset(replicas)

    await until(all_serve)
    yield
