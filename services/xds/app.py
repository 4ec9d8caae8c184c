"""The shell of xds: reads the catalog and the bundle, keeps certificates, serves proxies, reports.

It neither listens nor answers before all inputs have been read in full and its own certificate is there:
a proxy must never be told that the mesh is empty.
"""

import asyncio
import time

import structlog

from osm.ads.canaries import Terms
from osm.ads.credentials import ServerIdentity
from osm.ads.engine import Engine
from osm.ads.load_reports import Reports
from osm.ads.resource import Resource
from osm.ads.server import AdsServer, ServerSettings
from osm.bus import Bus, Update
from osm.bus.trace import continued
from osm.contracts.channels import GOOD, REJECTED
from osm.contracts.names import XDS_IDENTITY
from osm.contracts.trust import Bundle, ControlPlane
from osm.pki.holder import Held, Holder
from osm.runtime.allocator import Calm, give_back
from osm.runtime.health import Health
from osm.runtime.metrics import meter
from osm.runtime.tracing import tracer
from services.xds.documents import READS, Documents
from services.xds.fleet import Fleet
from services.xds.judgement import Allowed
from services.xds.keeper import keep
from services.xds.leaves import Leaves, bundle_resource, forget_unused
from services.xds.measures import measure
from services.xds.probation import Probation
from services.xds.quarantine import Quarantine
from services.xds.report import Reporter
from services.xds.reported import Reported
from services.xds.settings import Settings
from services.xds.traffic import Traffic

log = structlog.get_logger()

SERVER_NAME = f"{XDS_IDENTITY.account}.{XDS_IDENTITY.namespace}.svc"
"""The name in its own certificate, in the default namespace, for gRPC clients that know no SPIFFE; Envoys pin the URI
instead."""


LOOK_S = 0.1
"""How late silence may be noticed, and what a proxy said it had when it came; nothing happens while all is proven."""


async def run(bus: Bus, settings: Settings, health: Health, *, engine: Engine | None = None) -> None:
    """Serve until cancelled. Raises OSError if the address is taken, BusError if the bus refuses.

    `engine` is given by who wants to watch it at work; services have one of their own.
    """
    async with asyncio.TaskGroup() as tasks:
        xds = _Xds(bus, settings, health, tasks, engine or Engine())
        tasks.create_task(xds.own.run(), name="xds: own certificate")
        tasks.create_task(forget_unused(xds.leaves, xds.fleet.identities), name="xds: unused leaves")
        tasks.create_task(xds.reporter.run(xds.fleet.overview), name="xds: status lines")
        tasks.create_task(xds.follow(), name="xds: documents")
        tasks.create_task(xds.follow_quarantine(), name="xds: quarantine")
        tasks.create_task(keep(bus, xds.quarantine, xds.unsaved), name="xds: quarantine's writer")
        tasks.create_task(xds.look(), name="xds: canaries")
        health.starting("the full pictures of buckets catalog, certmgr and xds")
        await xds.complete.wait()
        await xds.quarantine_read.wait()
        health.starting("its own certificate")
        await xds.own.obtain()
        await xds.serve()


class _Xds:
    """The parts of one xds process."""

    def __init__(self, bus: Bus, settings: Settings, health: Health, tasks: asyncio.TaskGroup, engine: Engine) -> None:
        self._bus = bus
        self._settings = settings
        self._health = health
        self.complete = asyncio.Event()
        server_name = f"{XDS_IDENTITY.account}.{settings.namespace}.svc"
        subject = ControlPlane(identity=XDS_IDENTITY, dns_names=(server_name,))
        self.own = Holder(bus, subject, trust_domain=settings.trust_domain)
        self.quarantine_read, self.unsaved = asyncio.Event(), asyncio.Event()
        self.engine, self.documents = engine, Documents()
        self.quarantine = Quarantine(self.unsaved.set)
        self.reporter = Reporter(bus.status(), health.service, health.replica)
        self.leaves = Leaves(bus, tasks, settings.trust_domain)
        self.probation = _probation(settings)
        self.fleet = Fleet(
            trust_domain=settings.trust_domain,
            replica=health.replica,
            documents=self.documents,
            engine=self.engine,
            quarantine=self.quarantine,
            terms=Terms(count=settings.canary_count, share=settings.canary_share, silence_s=settings.canary_silence_s),
            wanted=self.leaves.want,
            changed=self.reporter.touch,
            probation=self.probation,
        )
        self.leaves.hand_to(self.fleet.put_leaf, self.fleet.forget_leaf)
        measure(
            self.fleet.overview,
            engine.tally,
            slow=lambda: self.reporter.slow,
            certificates={"leaf": self.leaves.earliest_end_s, "control": self._own_end_s},
        )
        self._shown: ServerIdentity | None = None
        self._shown_from: tuple[Held, Bundle] | None = None

    async def follow(self) -> None:
        """Take every update in; proxies are told nothing before the first full picture of everything."""
        took = meter("xds").create_histogram("osm.xds.batch", "s", "from an update read to the engine told")
        spans = tracer("xds")
        async for update in self._bus.watch("catalog", "certmgr", states=READS):
            began_s = time.perf_counter()
            newest = max(update.documents, key=lambda document: document.revision, default=None)
            with continued(newest.trace if newest else ""), spans.start_as_current_span("xds batch"):
                self._take(update)
            took.record(time.perf_counter() - began_s)

    def _take(self, update: Update) -> None:
        changes = self.documents.apply(update)
        bundle = self.documents.bundle
        if not self.documents.complete or bundle is None:
            return
        self.leaves.lifetime(self.documents.mesh.leaf_lifetime_s)
        if changes.bundle or not self.complete.is_set():
            self.fleet.put_bundle(bundle_resource(bundle))
        self.fleet.take(changes, self.documents.revisions["catalog"])
        self.reporter.touch()
        self.complete.set()

    async def follow_quarantine(self) -> None:
        """What proxies of all replicas have rejected, from before this process began too."""
        async for update in self._bus.watch(REJECTED.bucket, states=(REJECTED, GOOD)):
            changed = self.quarantine.apply(update)
            self.quarantine_read.set()
            if changed:
                self.fleet.quarantine_changed(changed)

    async def look(self) -> None:
        """Endless: keep canaries moving, and give back what a storm of proxies has left."""
        calm = Calm()
        while True:
            await asyncio.sleep(LOOK_S)
            self.fleet.look()
            overview = self.fleet.overview
            if calm.look(overview.size, time.monotonic(), busy=overview.is_behind):
                await asyncio.to_thread(give_back)

    async def serve(self) -> None:
        settings = self._settings
        server = AdsServer(
            self.engine,
            authorize=self.fleet.authorize,
            observer=self.fleet,
            identity=self._identity,
            reports=self._reports(),
            settings=ServerSettings(
                address=settings.listen,
                admissions_per_s=settings.admissions_per_s,
                admission_wait_s=settings.admission_wait_s,
                max_streams=settings.max_streams,
                max_connection_age_s=settings.max_connection_age_s or None,
                max_request_bytes=settings.max_request_bytes,
                write_deadline_s=settings.write_deadline_s,
                drain_s=settings.drain_s,
                stop_deadline_s=settings.stop_deadline_s,
                reuse_port=settings.reuse_port,
            ),
        )
        await server.run(self._started, self._stopping)

    def _reports(self) -> Reports | None:
        if self.probation is None:
            return None
        return Reported(self._settings.trust_domain, self.fleet.newest_stream, self.probation.traffic)

    def _started(self, port: int) -> None:
        log.info("proxies may connect", listen=self._settings.listen, port=port)
        self._health.active()

    def _stopping(self) -> None:
        """All else goes on while proxies leave: those that are left still get what changes."""
        log.info(
            "proxies are sent to other replicas", proxies=self.fleet.overview.size, within_s=self._settings.drain_s
        )
        self._health.standby("its last proxies to move to another replica")

    def _own_end_s(self) -> float | None:
        return None if self.own.held is None else self.own.held.chain.not_after_s

    def _identity(self) -> ServerIdentity:
        """What to show on a new connection; the last one for as long as there is no newer, though it be expired."""
        held, bundle = self.own.current, self.documents.bundle
        if held is not None and bundle is not None and (held, bundle) != self._shown_from:
            self._shown_from = (held, bundle)
            self._shown = ServerIdentity(
                chain_pem=held.chain.chain_pem.encode(),
                key_pem=held.key_pem().encode(),
                client_roots_pem="".join(bundle.roots_pem).encode(),
            )
        assert self._shown is not None, "served only after the first certificate and bundle are there"
        return self._shown


def _probation(settings: Settings) -> Probation | None:
    if not settings.canary_traffic_s:
        return None
    allowed = Allowed(margin=settings.canary_margin, requests=settings.canary_requests)
    return Probation(watch_s=settings.canary_traffic_s, allowed=allowed, traffic=Traffic(), objected=_objected)


def _objected(resources: tuple[Resource, ...], why: str) -> None:
    log.warning("traffic speaks against a change", resources=[one.name for one in resources], why=why)
