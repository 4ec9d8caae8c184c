"""A workload's Envoy: its certificate, its bootstrap, its process; started again when it ends.

Live means that it has its configuration from xds and serves it. Whether the app behind it is ready is not its matter.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from msgspec import structs

from osm.bus import Bus
from osm.contracts.endpoints import Explicit, LocalWorkload, Transparent
from osm.contracts.trust import ProxyClient
from osm.envoy.bootstrap import Sidecar, bootstrap, text
from osm.envoy.cleanup import SUFFIX
from osm.envoy.pod import pod_bootstrap
from osm.envoy.process import EnvoyProcess, Launch
from osm.isolation.network import MARK
from osm.pki.files import private_folder
from services.local.bus_inputs import BusInputs
from services.local.certificates import Certificates
from services.local.placement import Placement
from services.local.sidecar_setup import SidecarSetup, admin_socket, home
from services.local.supervise import Backoff


class RunsBeside(Protocol):
    """What a workload's life needs of a sidecar; tests have one without an Envoy.

    `settled`: it is known how the one is that was taken over. `outdated`: that one was started for other settings than
    ours, so it must be replaced.
    """

    live: asyncio.Event
    settled: asyncio.Event
    why: str
    outdated: bool

    @property
    def pid(self) -> int | None: ...

    def take_over(self) -> None:
        """Go on with the one that an agent before us left. Before `run`."""

    async def run(self, changed: Callable[[], None]) -> None:
        """Keep it running until cancelled; `changed` is called after every change of `live`, `pid` or `why`."""

    async def stop(self) -> None:
        """End it for good: its workload leaves."""


class EnvoySidecar:
    """The real one."""

    def __init__(
        self, bus: Bus, setup: SidecarSetup, inputs: BusInputs, workload: LocalWorkload, placement: Placement
    ) -> None:
        self.live = asyncio.Event()
        self.settled = asyncio.Event()
        self.settled.set()
        self.outdated = False
        self.why = "waiting for its account to be in the mesh"
        self._setup = setup
        self._workload = workload
        self._placement = placement
        self._inputs = inputs
        self._home = home(setup, workload.id)
        self._certificates = Certificates(
            bus,
            ProxyClient(identity=workload.identity, proxy_id=workload.id),
            inputs.roots,
            self._home,
            trust_domain=setup.trust_domain,
            lifetime_s=setup.lifetime_s,
        )
        self._bootstrap = self._home / "bootstrap.json"
        self._envoy: EnvoyProcess | None = None
        self._left: EnvoyProcess | None = None
        self._inherits = False
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        running = self._envoy or self._left
        return running.pid if running is not None else None

    def take_over(self) -> None:
        self._inherits = True
        self._left = EnvoyProcess.found(self._launch())
        if self._left is not None:
            self.settled.clear()
            self.outdated = self._bootstrap.read_text() != self._bootstrap_text()

    async def run(self, changed: Callable[[], None]) -> None:
        if self._left is None:
            self._prepare()
            await self._inputs.meshed.wait(self._workload.identity)
            self._say(changed, "waiting for its certificate")
        try:
            async with asyncio.TaskGroup() as tasks:
                certifying = tasks.create_task(self._certificates.run(), name=f"{self._workload.id}: certificate")
                await self._keep_running(changed)
                certifying.cancel()
        finally:
            if self._stopping.is_set() or not self._setup.keep_running:
                self._certificates.remove()

    async def stop(self) -> None:
        self._stopping.set()
        running = self._envoy or self._left
        if running is not None:
            await running.stop()

    def _prepare(self) -> None:
        private_folder(self._home)
        if not self._inherits:
            self._certificates.remove()
        self._bootstrap.write_text(self._bootstrap_text())

    def _bootstrap_text(self) -> str:
        sidecar = Sidecar(
            proxy_id=self._workload.id,
            identity=self._workload.identity,
            trust_domain=self._setup.trust_domain,
            xds=self._setup.xds,
            admin=admin_socket(self._setup, self._workload.id),
            certificate_sds=self._certificates.certificate,
            roots_sds=self._certificates.roots,
            load_reports=self._setup.load_reports,
        )
        if isinstance(self._workload.interception, Transparent):
            return text(pod_bootstrap(structs.replace(sidecar, mark=MARK), metrics=True))
        return text(bootstrap(sidecar))

    def _launch(self, log_level: str = "") -> Launch:
        return Launch(
            program=self._setup.program,
            bootstrap=self._bootstrap,
            admin=admin_socket(self._setup, self._workload.id),
            log=self._home / "envoy.log",
            log_level=log_level,
            record=self._home / f"envoy{SUFFIX}" if self._setup.keep_running else None,
            entered=self._placement.for_sidecar,
            opens_admin=isinstance(self._workload.interception, Explicit),  # else a door leads to its loopback
        )

    async def _keep_running(self, changed: Callable[[], None]) -> None:
        """Until `stop`."""
        backoff, crashes = Backoff(), 0
        loop = asyncio.get_running_loop()
        while not self._stopping.is_set():
            began_s = loop.time()
            why = await self._once(changed)
            if self._stopping.is_set():
                return
            crashes = 1 if loop.time() - began_s >= backoff.steady_s else crashes + 1
            self._say(changed, f"its Envoy ended: {why}; its log is {self._home / 'envoy.log'}")
            await asyncio.sleep(backoff.pause_s(crashes))

    async def _once(self, changed: Callable[[], None]) -> str:
        """From start to end of one Envoy process; why it ended."""
        envoy, self._left = self._left, None
        if envoy is None:
            await self._certificates.written.wait()
            envoy = EnvoyProcess(self._launch(await self._inputs.level.now()))
        self._envoy = envoy
        self._say(changed, "its Envoy waits for configuration from xds")
        try:
            async with asyncio.TaskGroup() as tasks:
                living = tasks.create_task(self._live(envoy, changed))
                status = await envoy.ended()
                living.cancel()
            return envoy.last_words() or f"status {status}"
        finally:
            self.live.clear()
            self._envoy = None
            self.settled.set()
            if self._setup.keep_running and envoy.alive and not self._stopping.is_set():
                envoy.release()
            else:
                await envoy.stop()

    async def _live(self, envoy: EnvoyProcess, changed: Callable[[], None]) -> None:
        await envoy.live()
        self.live.set()
        self._say(changed, "")
        self.settled.set()

    def _say(self, changed: Callable[[], None], why: str) -> None:
        self.why = why
        changed()
