"""The whole mesh with every service in a process of its own, over NATS: `osm demo --bus nats`, `osm up --nats URL`.

The counterpart of `mesh.embedded`: the same settings, the same run folder, and whoever reads the mesh gets a bus
from either. Each process is restarted here when it ends, as kubelet would. Workloads go on while `local` is away,
and end with this process, however it ends: `osm.envoy.cleanup` sees to that.
"""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

from msgspec import Struct

from osm.bus import Bus
from osm.bus.background_tasks import background_tasks
from osm.bus.connect import connect
from osm.bus.socket_server import lend
from osm.cli.machine.own_nats import own_nats
from osm.cli.machine.process_specs import ProcessSpec, Wanted, process_specs
from osm.cli.machine.run_folder import RunFolder
from osm.cli.machine.supervised_process import SupervisedProcess
from osm.cli.nats_access import NatsAccess
from osm.envoy.cleanup import guarded
from osm.runtime import logging

SERVER = "nats-server"

GRACE_S = 12.0
"""Between SIGTERM and SIGKILL: xds lets its proxies move first."""


LOG = "mesh.log"
"""Where this process says what became of the processes; each has a log of its own beside it."""


@contextmanager
def logged_in(path: Path, log_level: str) -> Iterator[None]:
    """Logs of this process in a file of the run folder: the terminal is the user's."""
    with (path / LOG).open("a") as log:
        logging.set_up(log_level, stream=log)
        yield


class SeparateMesh(Struct, frozen=True, kw_only=True):
    """A running mesh: the CLI's view of its bus, how to reach it, and its processes by name."""

    bus: Bus
    reach: NatsAccess
    processes: Mapping[str, SupervisedProcess]


@asynccontextmanager
async def separate_processes(reach: NatsAccess | None, wanted: Wanted, run: RunFolder) -> AsyncIterator[SeparateMesh]:
    """Run the folder's mesh while the context is open, over a server that runs or (None) one of its own.

    Raises CommandError, ServiceFailed if a process's settings are wrong, BusError if the server refuses us.
    """
    async with AsyncExitStack() as stack:
        stack.enter_context(guarded(run.path))
        processes: dict[str, SupervisedProcess] = {}
        if reach is None:
            server = await stack.enter_async_context(own_nats(run))
            processes[SERVER], reach = server.process, server.reach
        bus = await stack.enter_async_context(connect(reach.url, "cli", reach.settings("cli")))
        await stack.enter_async_context(lend(bus, run.socket))
        specs = process_specs(wanted, run, reach, os.environ)
        supervised = [_supervised(spec, run) for spec in specs]
        processes |= {process.name: process for process in supervised}
        await stack.enter_async_context(background_tasks(*(process.run() for process in supervised)))
        yield SeparateMesh(bus=bus, reach=reach, processes=processes)


def _supervised(spec: ProcessSpec, run: RunFolder) -> SupervisedProcess:
    return SupervisedProcess(spec.name, spec.command, environment=spec.environment, folder=run.path, grace_s=GRACE_S)
