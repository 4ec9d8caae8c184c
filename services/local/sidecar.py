"""A workload's Envoy: its certificate, its bootstrap, its process; started again when it ends.

Live means that it has its configuration from xds and serves it. Whether the app behind it is ready is not its matter.
"""

import asyncio
import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from osm.bus import Bus
from osm.contracts.endpoints import LocalWorkload
from osm.contracts.names import Address
from osm.contracts.trust import ProxyClient
from osm.envoy.bootstrap import Sidecar, bootstrap, certificate_sds, roots_sds, text
from osm.envoy.process import EnvoyProcess, Launch
from osm.pki.files import private_folder
from osm.pki.holder import Holder
from services.local.certificates import CertificateFolder
from services.local.meshed import Meshed
from services.local.roots import Roots
from services.local.supervise import Backoff

SOCKET_PATH_MAX_BYTES = 107
"""Of a Unix socket's path in Linux (unix(7): 108 with the final zero)."""


class RunsBeside(Protocol):
    """What a workload's life needs of a sidecar; tests have one without an Envoy."""

    live: asyncio.Event
    why: str

    @property
    def pid(self) -> int | None: ...

    async def run(self, changed: Callable[[], None]) -> None:
        """Keep it running until cancelled; `changed` is called after every change of `live`, `pid` or `why`."""


class Ground(Struct, frozen=True, kw_only=True):
    """What all sidecars of the agent share."""

    program: Path
    folder: Path
    xds: Address
    trust_domain: str
    lifetime_s: int | None = None


def home(ground: Ground, id_: str) -> Path:
    """The folder of one workload."""
    return ground.folder / id_


def admin_socket(ground: Ground, id_: str) -> Path:
    """Where the workload's Envoy answers: beside its other files, or under a short name if the path is too long."""
    path = home(ground, id_) / "admin.sock"
    if len(bytes(path)) <= SOCKET_PATH_MAX_BYTES:
        return path
    return ground.folder / f"{hashlib.sha256(id_.encode()).hexdigest()[:12]}.sock"


class EnvoySidecar:
    """The real one."""

    def __init__(self, bus: Bus, ground: Ground, workload: LocalWorkload, roots: Roots, meshed: Meshed) -> None:
        self.live = asyncio.Event()
        self.why = "waiting for its account to be in the mesh"
        self._ground = ground
        self._workload = workload
        self._roots = roots
        self._meshed = meshed
        self._home = home(ground, workload.id)
        self._certificates = CertificateFolder(self._home / "certificates")
        subject = ProxyClient(identity=workload.identity, proxy_id=workload.id)
        self._holder = Holder(bus, subject, lifetime_s=ground.lifetime_s)
        self._certified = asyncio.Event()
        self._envoy: EnvoyProcess | None = None

    @property
    def pid(self) -> int | None:
        return self._envoy.pid if self._envoy is not None else None

    async def run(self, changed: Callable[[], None]) -> None:
        self._prepare()
        await self._meshed.wait(self._workload.identity)
        self._say(changed, "waiting for its certificate")
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._holder.run(), name=f"{self._workload.id}: certificate")
                tasks.create_task(self._renewed(), name=f"{self._workload.id}: renewed")
                tasks.create_task(self._re_rooted(), name=f"{self._workload.id}: roots")
                await self._keep_running(changed)
        finally:
            self._certificates.remove()

    def _prepare(self) -> None:
        private_folder(self._home)
        self._certificates.remove()
        files = self._certificates.files
        sidecar = Sidecar(
            proxy_id=self._workload.id,
            identity=self._workload.identity,
            trust_domain=self._ground.trust_domain,
            xds=self._ground.xds,
            admin=admin_socket(self._ground, self._workload.id),
            certificate_sds=self._home / "certificate.json",
            roots_sds=self._home / "roots.json",
        )
        (self._home / "bootstrap.json").write_text(text(bootstrap(sidecar)))
        (self._home / "certificate.json").write_text(text(certificate_sds(files)))
        (self._home / "roots.json").write_text(text(roots_sds(files)))

    async def _renewed(self) -> None:
        async for _ in self._holder.changes():
            self._write()

    async def _re_rooted(self) -> None:
        async for _ in self._roots.changes():
            self._write()

    def _write(self) -> None:
        """As soon as there are both, and again when one of them changes."""
        held, roots = self._holder.current, self._roots.pem
        if held is not None and roots is not None:
            self._certificates.write(key_pem=held.key_pem(), chain_pem=held.chain.chain_pem, roots_pem=roots)
            self._certified.set()

    async def _keep_running(self, changed: Callable[[], None]) -> None:
        await self._certified.wait()
        backoff, crashes = Backoff(), 0
        loop = asyncio.get_running_loop()
        while True:
            began_s = loop.time()
            why = await self._once(changed)
            crashes = 1 if loop.time() - began_s >= backoff.steady_s else crashes + 1
            self._say(changed, f"its Envoy ended: {why}; its log is {self._home / 'envoy.log'}")
            await asyncio.sleep(backoff.pause_s(crashes))

    async def _once(self, changed: Callable[[], None]) -> str:
        """From start to end of one Envoy process; why it ended."""
        launch = Launch(
            program=self._ground.program,
            bootstrap=self._home / "bootstrap.json",
            admin=admin_socket(self._ground, self._workload.id),
            log=self._home / "envoy.log",
        )
        envoy = self._envoy = EnvoyProcess(launch)
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
            await envoy.stop()

    async def _live(self, envoy: EnvoyProcess, changed: Callable[[], None]) -> None:
        await envoy.live()
        self.live.set()
        self._say(changed, "")

    def _say(self, changed: Callable[[], None], why: str) -> None:
        self.why = why
        changed()
