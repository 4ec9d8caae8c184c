"""Several Envoys of one class before a real xds and certmgr; the catalog's documents are a test's to set."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

from msgspec import Struct

from osm.bus import Writer
from osm.bus.memory import MemoryCore
from osm.contracts.catalog import HttpGrant, MeshService, Policy, Upstream
from osm.contracts.channels import (
    IDENTITY,
    MESH,
    MESH_SERVICE,
    MESH_WORKLOAD,
    OBJECT_STATUS,
    POLICY,
    PROGRESS,
    PROXY_STATUS,
)
from osm.contracts.codec import decode
from osm.contracts.endpoints import Backed, MeshIdentity, Service, ServicePort, Transparent, Workload
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.policy import HttpMatch, Mesh
from osm.contracts.status import ObjectStatus, Progress, ProxyStatus
from osm.contracts.trust import ProxyClient
from osm.envoy.process import EnvoyProcess
from osm.pki.holder import Holder
from osm.runtime.health import Health
from osm.testing.free_ports import free_port
from osm.testing.sidecar_folder import launch_of, write_bootstrap, write_certificate
from services.certmgr import app as certmgr
from services.certmgr.settings import Settings as CertmgrSettings
from services.xds import app as xds
from services.xds.settings import Settings as XdsSettings
from services.xds.translate import transparent
from tests.envoy.admin_page import page

WEB, DB = ServiceName("shop", "web"), ServiceName("shop", "db")
STORE = Identity("shop", "store")
FRIEND, RIVAL, STRANGER = (Identity("street", name) for name in ("friend", "rival", "stranger"))
ROUTES = f"rds-inbound.{WEB}|80"
BACKS = (Backed(service=WEB, port=80, target_port=8080),)
PATIENCE_S = 120.0


def target(name: str) -> ObjectRef:
    return ObjectRef("TrafficTarget", "shop", name)


def grant(name: str, source: Identity, path: str = "/books.*") -> HttpGrant:
    return HttpGrant(origin=target(name), sources=(source,), matches=(HttpMatch(name=name, path_regex=path),))


def policy(*grants: HttpGrant, reaches: Iterable[ServiceName] = ()) -> Policy:
    upstreams = tuple(Upstream(service=name, accounts=(STORE,)) for name in reaches)
    return Policy(identity=STORE, http=grants, upstreams=upstreams)


class World:
    """Open it with `world`."""

    def __init__(
        self, core: MemoryCore, folder: Path, stack: AsyncExitStack, tasks: asyncio.TaskGroup, catalog: Writer
    ) -> None:
        self.core = core
        self.folder = folder
        self._stack = stack
        self._tasks = tasks
        self._catalog = catalog
        self._xds: asyncio.Task[None] | None = None
        self._listen = Address("127.0.0.1", free_port())

    async def xds(self, **settings: Any) -> None:
        """Start xds, or end the one that runs and start another, which knows nothing but what the bus says."""
        if self._xds is not None:
            self._xds.cancel()
            await asyncio.wait([self._xds])
        health = Health.begin("xds", "test")
        served = asyncio.Event()
        health.on_change(lambda _: served.set() if health.ready else None)
        own = XdsSettings(listen=str(self._listen), drain_s=0.0, **settings)
        self._xds = self._tasks.create_task(xds.run(self.core.bus("xds"), own, health))
        async with asyncio.timeout(PATIENCE_S):
            await served.wait()

    def end(self) -> None:
        if self._xds is not None:
            self._xds.cancel()

    async def set(self, *changed: Policy) -> None:
        await self._catalog.apply({POLICY.key(p.identity.namespace, p.identity.account): p for p in changed})

    async def put(self, documents: Mapping[str, Struct]) -> None:
        await self._catalog.apply(documents)

    async def envoy(
        self, number: int, *, backs: tuple[Backed, ...] = BACKS, app_host: str = "127.0.0.1", load_reports: bool = False
    ) -> "SidecarEnvoy":
        proxy_id = f"store-{number}.shop"
        folder = self.folder / proxy_id
        folder.mkdir()
        holder = Holder(
            self.core.bus("local"), ProxyClient(identity=STORE, proxy_id=proxy_id), trust_domain="cluster.local"
        )
        keeping = self._tasks.create_task(holder.run())
        self._stack.callback(keeping.cancel)
        held = await holder.obtain()
        await self._catalog.apply({MESH_WORKLOAD.key(proxy_id): workload(proxy_id, backs, app_host)})
        write_certificate(folder, key_pem=held.key_pem(), chain_pem=held.chain.chain_pem, roots_pem=await self._roots())
        write_bootstrap(folder, proxy_id, STORE, self._listen, load_reports=load_reports)
        process = EnvoyProcess(launch_of(folder))
        self._stack.push_async_callback(process.stop)
        async with asyncio.timeout(PATIENCE_S):
            await process.live()
        return SidecarEnvoy(proxy_id, folder, process.pid)

    async def _roots(self) -> str:
        async for update in self.core.bus("local").watch("certmgr"):
            for document in update.documents:
                return "".join(getattr(document.value, "roots_pem", ()))
        return ""

    # What is said

    def status(self, proxy_id: str) -> ProxyStatus | None:
        body = self.core.buckets["status"].bodies.get(PROXY_STATUS.key(proxy_id))
        return decode(ProxyStatus, body) if body else None

    def progress(self) -> Progress:
        return decode(Progress, self.core.buckets["status"].bodies[PROGRESS.key("xds", "test")])

    def word_on(self, subject: ObjectRef) -> ObjectStatus | None:
        body = self.core.buckets["status"].bodies.get(
            OBJECT_STATUS.key("xds", subject.kind, subject.namespace, subject.name)
        )
        return decode(ObjectStatus, body) if body else None

    def quarantined(self) -> list[str]:
        return sorted(self.core.buckets["xds"].bodies)


class SidecarEnvoy(Struct, frozen=True):
    """One Envoy, asked over its admin interface."""

    proxy_id: str
    folder: Path
    pid: int

    async def dump(self, kind: str) -> Any:
        body = await page(self.folder / "admin.sock", "config_dump")
        found = [part for part in json.loads(body)["configs"] if part["@type"].endswith(f".{kind}")]
        return found[0] if found else {}

    async def stats(self, part: str) -> dict[str, int]:
        body = await page(self.folder / "admin.sock", "stats", part)
        lines = (line.rpartition(": ") for line in body.splitlines())
        return {name: int(value) for name, _, value in lines}

    async def granted(self) -> frozenset[str]:
        """The accounts that the inbound routes' access control names."""
        dump = await self.dump("RoutesConfigDump")
        named = json.dumps(
            [c["route_config"] for c in dump.get("dynamic_route_configs", ()) if c["route_config"]["name"] == ROUTES]
        )
        return frozenset(who.account for who in (FRIEND, RIVAL, STRANGER) if who.spiffe("cluster.local") in named)

    async def paths(self) -> frozenset[str]:
        dump = await self.dump("RoutesConfigDump")
        return frozenset(
            route["match"].get("safe_regex", {}).get("regex", "/")
            for each in dump.get("dynamic_route_configs", ())
            if each["route_config"]["name"] == ROUTES
            for host in each["route_config"]["virtual_hosts"]
            for route in host["routes"]
        )

    async def clusters(self) -> frozenset[str]:
        dump = await self.dump("ClustersConfigDump")
        return frozenset(each["cluster"]["name"] for each in dump.get("dynamic_active_clusters", ()))


def workload(proxy_id: str, backs: tuple[Backed, ...], app_host: str) -> Workload:
    return Workload(proxy_id=proxy_id, identity=STORE, backs=backs, interception=Transparent(app_host=app_host))


async def until(what: str, condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for a condition."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = condition()
                if found if isinstance(found, bool) else await found:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"waited for {PATIENCE_S:g} s in vain: {what}") from None


@asynccontextmanager
async def world(folder: Path, monkeypatch: Any, *grants: HttpGrant) -> AsyncIterator[World]:
    """A mesh that is not permissive, with these grants at the store. SidecarEnvoy share their loopback ports."""
    monkeypatch.setattr(transparent, "INBOUND_ADDRESS", Address("127.0.0.1", free_port()))
    monkeypatch.setattr(transparent, "OUTBOUND_ADDRESS", Address("127.0.0.1", free_port()))
    folder.mkdir(exist_ok=True)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        core = MemoryCore()
        catalog = await stack.enter_async_context(core.bus("catalog").writer("catalog"))
        endpoints = await stack.enter_async_context(core.bus("endpoints").writer("endpoints"))
        await endpoints.publish({IDENTITY.key("shop", "store"): MeshIdentity(identity=STORE)})
        await catalog.publish(documents(*grants))
        settings = CertmgrSettings(ca_folder=str(folder / "ca"))
        signing = tasks.create_task(certmgr.run(core.bus("certmgr"), settings, Health.begin("certmgr", "test")))
        opened = World(core, folder, stack, tasks, catalog)
        try:
            await opened.xds()
            yield opened
        finally:
            await stack.aclose()
            signing.cancel()
            opened.end()


def documents(*grants: HttpGrant) -> dict[str, Struct]:
    ports = (ServicePort(port=80),)
    services = {
        name: MeshService(service=Service(name=name, ports=ports, accounts=(STORE,), virtual_ips=(address,)))
        for name, address in ((WEB, "10.0.0.1"), (DB, "10.0.0.2"))
    }
    return {
        MESH.key(): Mesh(permissive=False, egress=False),
        **{MESH_SERVICE.key(name.namespace, name.name): each for name, each in services.items()},
        POLICY.key("shop", "store"): policy(*grants),
    }
