"""Several processes of xds that share one port and the work: a parent that starts them, and starts them again.

Python uses one core for each process, so a machine's cores are used by processes. The kernel spreads connections over
all that listen at the port (SO_REUSEPORT). A worker is an ordinary xds process and a replica of its own towards the bus
(`<replica>-0`, `<replica>-1`, …): own keys, own leaves, own progress line. They share nothing but the bus.
The parent loads no gRPC, opens no bus and serves no proxy; it passes SIGTERM on and ends when they have.
"""

import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

import structlog

from osm.envoy.child import Child
from osm.envoy.end_with_parent import tied_to_parent
from osm.runtime import logging
from osm.runtime.health import Health, replica_name
from osm.runtime.http import UNIX, serve_http
from osm.runtime.process import run_until_stopped
from osm.runtime.restarts import Restarts
from osm.runtime.service import ServiceFailed
from osm.runtime.settings import BadSetting
from services.xds.settings import LONGEST_END_S, Settings
from services.xds.worker_pages import Pages

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
"""Before a dead worker is started again: at once after a crash, rarely when it crashes for good."""

STEADY_S = 30.0
"""Having run for so long, its next crash is a first one."""

GRACE_S = LONGEST_END_S + 1.0
"""Between SIGTERM and SIGKILL; a worker that keeps to its settings needs less."""

BAD_SETTING = 2
"""The exit status of a worker that starting again does not help."""

log = structlog.get_logger()


class Worker:
    """One process, kept running."""

    def __init__(self, number: int, settings: Settings, environment: Mapping[str, str], folder: Path) -> None:
        self.number = number
        self.socket = folder / f"{number}.http"
        self._environment = {
            **environment,
            "OSM_XDS_WORKERS": "1",
            "OSM_XDS_REUSE_PORT": "true",
            "OSM_XDS_REPLICA": f"{replica_name(settings.replica)}-{number}",
            "OSM_XDS_HTTP": f"{UNIX}{self.socket}",
        }

    async def run(self) -> NoReturn:
        """Until cancelled; it has ended by then. Raises BadSetting, and ServiceFailed if it does not end as asked."""
        clock = asyncio.get_running_loop().time
        restarts = Restarts(first_s=FIRST_PAUSE_S, longest_s=LONGEST_PAUSE_S, steady_s=STEADY_S)
        while True:
            began_s = clock()
            status = await self._once()
            if status == BAD_SETTING:
                raise BadSetting(f"worker {self.number} refuses its settings and has said why")
            pause_s = restarts.pause_s(clock() - began_s)
            log.warning("a worker has ended and is started again", worker=self.number, status=status, in_s=pause_s)
            await asyncio.sleep(pause_s)

    async def _once(self) -> int:
        """Start it and wait for its end."""
        child = self._start()
        log.info("a worker starts", worker=self.number, pid=child.pid)
        try:
            return await child.ended()
        except asyncio.CancelledError:
            await child.stop(GRACE_S)
            if child.status != 0:
                raise ServiceFailed(f"xds worker {self.number}", f"ended with status {child.status}") from None
            raise

    def _start(self) -> Child:
        """Its output is this process's; in a session of its own, a Ctrl-C reaches it through us alone."""
        return Child(
            subprocess.Popen(
                tied_to_parent(sys.executable, "-m", "services.xds"),
                stdin=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
            )
        )


def serve_workers(settings: Settings, environment: Mapping[str, str]) -> None:
    """Serve with `settings.workers` processes until this one is asked to end. Raises BadSetting, ServiceFailed."""
    _require_shareable(settings)
    logging.set_up(settings.log_level)
    with tempfile.TemporaryDirectory(prefix="osm-xds-") as folder:
        run_until_stopped(lambda: _run(settings, environment, Path(folder)))


def _require_shareable(settings: Settings) -> None:
    if settings.bus.startswith("memory:"):
        raise BadSetting(
            f"OSM_XDS_WORKERS: found {settings.workers}, but OSM_BUS is memory:, which reaches one process only; "
            "allowed are one worker, or nats://host:port and tls://host:port in OSM_BUS"
        )
    if settings.listen.endswith(":0"):
        raise BadSetting(
            f"OSM_XDS_LISTEN: found {settings.listen!r}, allowed is a port by its number: {settings.workers} workers "
            "share it"
        )


async def _run(settings: Settings, environment: Mapping[str, str], folder: Path) -> None:
    workers = [Worker(number, settings, environment, folder) for number in range(settings.workers)]
    pages = Pages(Health.begin("xds", settings.replica), {str(worker.number): worker.socket for worker in workers})
    token = settings.metrics_token_file
    async with (
        serve_http(settings.http, [pages.health], pages.exposition, metrics_token_file=token),
        asyncio.TaskGroup() as tasks,
    ):
        for worker in workers:
            tasks.create_task(worker.run(), name=f"xds worker {worker.number}")
        tasks.create_task(pages.refresh(), name="xds: pages of the workers")
