"""The whole mesh in one process: every service on the in-memory bus, wired here and nowhere else.

This is `osm up` and `osm demo`. Apart, each service is `python -m services.<name>` over NATS; nothing else changes.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

from osm.bus import Bus
from osm.bus.memory import MemoryCore
from osm.bus.socket_server import lend
from osm.cli.machine.run_folder import RunFolder
from osm.runtime import logging
from osm.runtime.health import Health
from osm.runtime.http import serve_http
from osm.runtime.process import Observed, observed
from osm.runtime.service import Run, run_service
from osm.runtime.settings import Common, LogLevel, read_service
from services.catalog import app as catalog
from services.catalog.settings import Settings as CatalogSettings
from services.certmgr import app as certmgr
from services.certmgr.settings import Settings as CertmgrSettings
from services.endpoints import app as endpoints
from services.endpoints.settings import Settings as EndpointsSettings
from services.local import app as local
from services.local.settings import Settings as LocalSettings
from services.meshspec import app as meshspec
from services.meshspec.settings import Settings as MeshspecSettings
from services.xds import app as xds
from services.xds.settings import Settings as XdsSettings

REPLICA = "embedded"

LOG = "mesh.log"
"""Where the services of an embedded mesh log, in its run folder: the terminal is the user's."""


@contextmanager
def observed_in(path: Path, log_level: LogLevel) -> Iterator[Observed]:
    """Metrics and traces of this process, its logs in a file of the run folder."""
    with observed("mesh", Common(log_level=log_level)) as eyes, (path / LOG).open("a") as log:
        logging.set_up(log_level, stream=log)
        yield eyes


@asynccontextmanager
async def embedded(
    folder: Path,
    run: RunFolder,
    eyes: Observed,
    *,
    ca_folder: Path,
    proxy_lifetime_s: int = 24 * 3600,
    authority: Mapping[str, str] | None = None,
) -> AsyncIterator[Bus]:
    """Run the folder's mesh while the context is open; yields a bus for looking at it, as the CLI does. `authority` are
    certmgr's variables that say who issues certificates.

    Raises BadSetting for those; ServiceFailed, in a group, when a service ends.
    """
    core = MemoryCore()
    services = _services(folder, run, ca_folder, proxy_lifetime_s, authority or {})
    healths = {name: Health.begin(name, REPLICA) for name in services}
    async with (
        lend(core.bus("cli"), run.socket),
        serve_http(f"unix:{run.path / 'http.sock'}", tuple(healths.values()), eyes.metrics.exposition),
        asyncio.TaskGroup() as tasks,
    ):
        running = [
            tasks.create_task(run_service(name, serve, core.bus(name), settings, healths[name]), name=name)
            for name, (serve, settings) in services.items()
        ]
        yield core.bus("cli")
        for task in running:
            task.cancel()


def _services(
    folder: Path, run: RunFolder, ca_folder: Path, proxy_lifetime_s: int, authority: Mapping[str, str]
) -> dict[str, tuple[Run[Any], Common]]:
    """Every service's own work and settings, by its name."""
    return {
        "meshspec": (meshspec.run, MeshspecSettings(folder=str(folder))),
        "endpoints": (endpoints.run, EndpointsSettings(folder=str(folder), isolated=run.isolated)),
        "catalog": (catalog.run, CatalogSettings()),
        "certmgr": (certmgr.run, _certmgr(ca_folder, proxy_lifetime_s, authority)),
        "xds": (xds.run, XdsSettings(listen=run.xds_listen, drain_s=0.0)),  # its proxies end with it
        "local": (
            local.run,
            LocalSettings(
                folder=str(folder),
                run_folder=str(run.path),
                block=run.block,
                isolated=run.isolated,
                xds=run.xds_listen,
                proxy_lifetime_s=proxy_lifetime_s,
                keep_running=False,  # nothing outlives this process
            ),
        ),
    }


def _certmgr(ca_folder: Path, proxy_lifetime_s: int, authority: Mapping[str, str]) -> CertmgrSettings:
    """Raises BadSetting."""
    own = {
        "OSM_CERTMGR_CA_FOLDER": str(ca_folder),
        "OSM_CERTMGR_ALLOW_SHORT_LIFETIMES": "true",
        "OSM_CERTMGR_PROXY_LIFETIME_S": str(proxy_lifetime_s),
    }
    return read_service(CertmgrSettings, {**authority, **own}, "certmgr")
