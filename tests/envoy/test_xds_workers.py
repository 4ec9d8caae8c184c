"""xds as it runs in earnest: processes that share a port, a real NATS, real Envoys and many light proxies.

What must hold: they share the work, one that dies is replaced, one that ends loses no proxy, and a proxy that moves
between them is sent nothing it has but the certificate that its new replica made.
"""

import asyncio
import os
import random
import signal
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from msgspec import structs
from prometheus_client.parser import text_string_to_metric_families

from osm.ads.types import CLUSTER, LISTENER, SECRET
from osm.bus.nats import open_nats
from osm.bus.nats_settings import NatsSettings
from osm.contracts.catalog import MeshService
from osm.contracts.channels import IDENTITY, MESH, MESH_SERVICE, MESH_WORKLOAD, SIGN
from osm.contracts.endpoints import Endpoint, Explicit, MeshIdentity, Service, ServicePort, Workload
from osm.contracts.names import Address, Identity, ServiceName
from osm.contracts.policy import Mesh
from osm.contracts.status import Progress, ServiceStatus
from osm.contracts.trust import Bundle, ProxyClient, SignRequest
from osm.envoy import binary
from osm.envoy.bootstrap import XDS_CLUSTER, Sidecar, bootstrap, certificate_sds, roots_sds, text
from osm.envoy.process import EnvoyProcess, Launch
from osm.pki.keys import key_pem, make_csr, make_key
from osm.runtime.health import Health
from osm.testing.ads_client import ClientIdentity, ads_client
from osm.testing.free_ports import free_port
from osm.testing.nats_server import nats_server
from services.certmgr import app as certmgr
from services.certmgr.settings import Settings as CertmgrSettings
from services.xds.app import SERVER_NAME
from services.xds.translate import leaf_name
from services.xds.worker_pages import read_page
from tests.envoy.admin_page import page

pytestmark = [pytest.mark.envoy, pytest.mark.nats, pytest.mark.timeout(300)]

WEB = Identity("shop", "web")
SHOP = ServiceName("shop", "web")
EVERYTHING = {CLUSTER: (), LISTENER: ()}
PATIENCE_S = 60


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


class Proxies:
    """Light proxies that come back whenever their stream ends, with what they hold, as Envoy does."""

    def __init__(self, world, names):
        self.names = names
        self.moves = dict.fromkeys(names, 0)
        self.again: dict[str, list[tuple[str, str]]] = {name: [] for name in names}
        self._world = world

    async def live(self, name):
        identity, held, asked = await self._world.client(name), {}, EVERYTHING
        while True:
            async with ads_client(
                self._world.listen, node_id=name, identity=identity, subscribe=asked, initial_versions=held
            ) as client:
                client.versions = {kind: dict(versions) for kind, versions in held.items()}
                try:
                    await client.end()
                finally:
                    self._note(name, held, client)
                held = client.versions
                asked = EVERYTHING | {kind: sorted(names) for kind, names in client.names.items() if names}
            self.moves[name] += 1
            await asyncio.sleep(random.uniform(0.02, 0.2))

    def _note(self, name, held, client):
        """What was sent though it was held in that version, and secrets sent anew."""
        for received in client.received:
            for resource, version in received.versions.items():
                before = held.get(received.type_url, {}).get(resource)
                if before == version or (before and received.type_url == SECRET):
                    self.again[name].append((received.type_url, resource))


@asynccontextmanager
async def light(world, names):
    proxies = Proxies(world, names)
    async with asyncio.TaskGroup() as tasks:
        lives = [tasks.create_task(proxies.live(name)) for name in names]
        yield proxies
        for life in lives:
            life.cancel()


@asynccontextmanager
async def envoy(world, proxy):
    """A real one; its folder."""
    folder = world.folder / proxy
    folder.mkdir()
    key, chain = await world.certificate(proxy)
    host, _, port = world.listen.rpartition(":")
    sidecar = Sidecar(
        proxy_id=proxy,
        identity=WEB,
        trust_domain="cluster.local",
        xds=Address(host, int(port)),
        admin=folder / "admin.sock",
        certificate_sds=folder / "certificate.json",
        roots_sds=folder / "roots.json",
    )
    for name, message in (
        ("bootstrap", bootstrap(sidecar)),
        ("certificate", certificate_sds(key_pem=key.decode(), chain_pem=chain.decode())),
        ("roots", roots_sds(world.roots)),
    ):
        (folder / f"{name}.json").write_text(text(message))
    process = EnvoyProcess(
        Launch(
            program=binary.find(),
            bootstrap=folder / "bootstrap.json",
            admin=folder / "admin.sock",
            log=folder / "envoy.log",
        )
    )
    try:
        await asyncio.wait_for(process.live(), PATIENCE_S)
        yield folder
    finally:
        await process.stop()


async def stats(folder):
    lines = (await page(folder / "admin.sock", "stats")).splitlines()
    return {name: int(value) for name, _, value in (line.rpartition(": ") for line in lines) if value.isdecimal()}


def names(count):
    return [f"web-{number}.shop" for number in range(count)]


async def test_workers_share_the_proxies_and_one_that_dies_is_replaced(tmp_path):
    everyone = names(40)
    async with (
        world(tmp_path, everyone) as mesh,
        xds(mesh, "xds", WORKERS=2) as running,
        serving(mesh, "xds-0", "xds-1"),
        light(mesh, everyone) as proxies,
    ):
        await mesh.settled("xds-0", "xds-1", proxies=40)
        assert min(mesh.progress[replica].proxies for replica in ("xds-0", "xds-1")) > 0
        await mesh.move_endpoint()
        await mesh.settled("xds-0", "xds-1", proxies=40)
        await until(lambda: _in_sync(running))
        before = await running.workers()
        os.kill(before[0], signal.SIGKILL)
        await until(lambda: _differ(running, before))
        await mesh.move_endpoint()
        await mesh.settled("xds-0", "xds-1", proxies=40)
        assert sum(proxies.moves.values()) > 0
        await until(lambda: _measured(running))
        assert await running.end() == 0
        assert not any(Path(f"/proc/{pid}").exists() for pid in before)


async def _measured(running):
    samples = await _scraped(running)
    return min(_by_worker(samples, "osm_xds_batch_seconds_count")) > 0


async def _in_sync(running):
    """Whether a scrape shows what a change did that all 40 proxies have acknowledged."""
    samples = await _scraped(running)
    pushed, acked = (
        _by_worker(samples, f"osm_xds_{what}_total", type="EDS") for what in ("pushes", "acknowledgements")
    )
    return (
        sum(_by_worker(samples, "osm_xds_proxies", state="synced")) == 40
        and min(_by_worker(samples, "osm_xds_convergence_seconds_count")) > 0
        and pushed == acked
        and sum(pushed) >= 40  # who came late was pushed the change alone
        and min(_by_worker(samples, "osm_xds_pushed_bytes_total", type="EDS")) > 0
        and sum(_by_worker(samples, "osm_xds_rejections_total", type="CDS")) == 0
        and min(_by_worker(samples, "osm_xds_certificate_not_after_seconds", kind="leaf")) > time.time()
        and _by_worker(samples, "osm_bus_connected") == [1, 1]
    )


async def _scraped(running):
    found = await read_page(running.http, "/metrics")
    text = "" if found is None else found.text  # no answer in time is none yet
    return [sample for family in text_string_to_metric_families(text) for sample in family.samples]


def _by_worker(samples, name, **labels):
    found = {
        each.labels["worker"]: each.value
        for each in samples
        if each.name == name and labels.items() <= each.labels.items()
    }
    return [found.get(worker, 0) for worker in ("0", "1")]


async def _differ(running, before):
    return len(await running.workers()) == 2 and await running.workers() != before


async def test_workers_end_with_a_parent_that_was_killed(tmp_path):
    async with world(tmp_path, ()) as mesh, xds(mesh, "xds", WORKERS=2) as running:
        workers = await running.workers()
        assert len(workers) == 2
        running.process.kill()
        await until(lambda: _gone(workers))


async def _gone(pids):
    return not any(Path(f"/proc/{pid}").exists() for pid in pids)


async def test_a_replica_that_ends_loses_no_proxy_and_they_are_sent_nothing_but_their_certificate(tmp_path):
    everyone, real = names(30), ["envoy-0.shop", "envoy-1.shop"]
    async with world(tmp_path, everyone + real) as mesh, xds(mesh, "a", REUSE_PORT="true") as leaving:
        async with light(mesh, everyone) as proxies, envoy(mesh, real[0]) as one, envoy(mesh, real[1]) as two:
            await mesh.settled("a", proxies=32)
            before = [await stats(folder) for folder in (one, two)]
            async with xds(mesh, "b", REUSE_PORT="true") as staying:
                assert await leaving.end() == 0
                await mesh.settled("b", proxies=32)
                assert set(proxies.moves.values()) <= {1, 2}  # 2 if it first came to a port that was being closed
                for folder, then in zip((one, two), before, strict=True):
                    now = await stats(folder)
                    assert now["control_plane.connected_state"] == 1
                    for kind in ("cluster_manager.cds", "listener_manager.lds"):
                        assert now[f"{kind}.update_success"] == then[f"{kind}.update_success"], kind
                await mesh.move_endpoint()
                await mesh.settled("b", proxies=32)
                assert await staying.end() == 0
        assert all(again == [(SECRET, leaf_name(WEB))] for again in proxies.again.values())


async def test_old_connections_move_on_and_envoy_is_sent_nothing_again(tmp_path):
    async with (
        world(tmp_path, ["envoy-0.shop"]) as mesh,
        xds(mesh, "a", MAX_CONNECTION_AGE_S=2),
        envoy(mesh, "envoy-0.shop") as folder,
    ):
        await mesh.settled("a", proxies=1)
        before = await stats(folder)

        async def has_come_back():
            now = await stats(folder)
            connections = f"cluster.{XDS_CLUSTER}.upstream_cx_total"
            return now[connections] >= before[connections] + 3 and now["control_plane.connected_state"] == 1

        await until(has_come_back)
        now = await stats(folder)
        counted = [name for name in now if name.endswith((".update_success", ".update_rejected"))]
        updates = [name for name in counted if XDS_CLUSTER not in name]  # that one counts its name's resolutions
        assert updates
        assert {name: now[name] for name in updates} == {name: before.get(name, 0) for name in updates}
        await mesh.move_endpoint()
        await mesh.settled("a", proxies=1)


async def test_an_envoy_that_found_no_room_comes_back_until_there_is(tmp_path):
    async with (
        world(tmp_path, ["web-0.shop", "envoy-0.shop"]) as mesh,
        xds(mesh, "a", MAX_STREAMS=1) as running,
        asyncio.TaskGroup() as tasks,
    ):
        occupied = asyncio.Event()

        async def occupy():
            async with light(mesh, ["web-0.shop"]):
                await mesh.settled("a", proxies=1)
                occupied.set()
                await until(lambda: _says(running, "a stream was turned away"))

        leaving = tasks.create_task(occupy())
        await occupied.wait()
        async with envoy(mesh, "envoy-0.shop") as folder:
            await leaving
            await mesh.settled("a", proxies=1)
            assert (await stats(folder))["control_plane.connected_state"] == 1


async def _says(running, what):
    return what in running.log.read_text()
