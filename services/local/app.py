"""The shell of `local`: reads the folder, plans, runs workloads, and publishes their reports to the bus.

Nothing starts before the folder has been read once and the right to write bucket `local` is ours: a second agent
would fight with the first over addresses. What an agent before us has left running is taken over first, and what it
has published stays until it is known how that is: an endpoint must not flicker because its supervisor was away.
"""

import asyncio
import os
import socket
import sys
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import structlog

from osm.bus import Bus
from osm.contracts.channels import PROXY_ADMIN
from osm.contracts.endpoints import Explicit
from osm.contracts.names import Address
from osm.contracts.status import AdminQuery, AdminReply
from osm.envoy import admin, binary
from osm.envoy.plaintext_listener import LOOPBACK
from osm.envoy.ports import ADMIN
from osm.isolation import network
from osm.manifests.folder import watch
from osm.manifests.last_good import in_force
from osm.manifests.virtual_ips import assigned
from osm.manifests.workloads import parse
from osm.pki.files import private_folder
from osm.runtime.health import Health
from services.local import etc_hosts, logs, surviving_processes
from services.local.agent import Agent
from services.local.app_sockets import AppSockets, door
from services.local.bus_inputs import BusInputs
from services.local.environment import inherited
from services.local.instance import Machine
from services.local.placement import Isolated, OnMachine, Placement
from services.local.plan import Objects, Plan, going_on, plan
from services.local.plan_types import Planned
from services.local.publish import Publisher
from services.local.settings import Settings
from services.local.sidecar import EnvoySidecar
from services.local.sidecar_setup import WORKLOADS, SidecarSetup, admin_socket, home
from services.local.workload_lifecycle import WorkloadLifecycle
from services.local.workload_reports import WorkloadReports

log = structlog.get_logger()


async def run(bus: Bus, settings: Settings, health: Health) -> None:
    """Serve until cancelled; unless they are to go on, all processes have ended by then. Raises NoEnvoy, BadAddress."""
    setup = _setup(settings)
    board, inputs = WorkloadReports(), BusInputs.nothing(settings.trust_domain)
    machine_variables = inherited(os.environ, str(Path(sys.executable).parent))

    def begin(planned: Planned) -> WorkloadLifecycle:
        placement = _placement(setup, planned)
        return WorkloadLifecycle(
            planned,
            EnvoySidecar(bus, setup, inputs, planned.document, placement),
            board,
            folder=home(setup, planned.id),
            placement=placement,
            inherited=machine_variables,
            drain_s=settings.drain_s,
            keep_running=settings.keep_running,
        )

    health.standby("the right to write bucket local")
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(bus.writer("local"))
        going = surviving_processes.take(setup.folder.parent, keep=settings.keep_running)
        agent = Agent(begin, board, going)
        board.on_put(agent.stir)
        await stack.enter_async_context(bus.serve(PROXY_ADMIN, _answers(agent, setup)))
        publisher = Publisher(writer, bus.status(), board)
        tasks = await stack.enter_async_context(asyncio.TaskGroup())
        tasks.create_task(inputs.run(bus), name="local: inputs")
        tasks.create_task(logs.keep_bounded(setup.folder), name="local: logs")
        tasks.create_task(agent.run(), name="local: agent")
        health.starting("the workloads taken over")
        await agent.settled()
        await publisher.first()
        tasks.create_task(publisher.run(), name="local: publisher")
        log.info("workloads taken over", workloads=len(going))
        health.starting("the folder of manifests")
        await _follow(settings, going_on(going, settings.block), agent, publisher, health)


async def _follow(settings: Settings, current: Plan, agent: Agent, publisher: Publisher, health: Health) -> None:
    """Plan again after every edit; endless. `current` is the plan of what runs."""
    machine = Machine(
        block=settings.block, node=socket.gethostname(), lowest_port=_lowest_port(), isolated=settings.isolated
    )
    found: Objects | None = None
    async for scan in watch(settings.folder):
        found = in_force(scan, parse, found)
        current = plan(found, machine, current)
        if settings.isolated:
            _name_services(settings, current, found)
        agent.want(current.workloads)
        publisher.judge(found, current)
        log.info("workloads planned", workloads=len(current.workloads), problems=len(current.problems))
        health.active()


def _name_services(settings: Settings, current: Plan, found: Objects) -> None:
    namespaces = (each.document.identity.namespace for each in current.workloads.values())
    etc_hosts.write(Path(settings.run_folder).absolute(), namespaces, assigned(found.objects))


class BadAddress(ValueError):
    """A setting is no address; the message names it."""


def _setup(settings: Settings) -> SidecarSetup:
    host, _, port = settings.xds.rpartition(":")
    if not host or not port.isdecimal():
        raise BadAddress(f"xds: found {settings.xds!r}, expected host:port such as 127.0.0.1:15128")
    return SidecarSetup(
        program=binary.find(settings.envoy),
        folder=private_folder(Path(settings.run_folder).absolute() / WORKLOADS),
        xds=Address(host.strip("[]"), int(port)),
        trust_domain=settings.trust_domain,
        lifetime_s=settings.proxy_lifetime_s,
        keep_running=settings.keep_running,
        load_reports=settings.load_reports,
    )


def _placement(setup: SidecarSetup, planned: Planned) -> Placement:
    if isinstance(planned.document.interception, Explicit):
        return OnMachine()
    slot = network.slot_of(planned.document.host)
    if slot is None:
        raise BadAddress(f"{planned.id}: found {planned.document.host!r}, which is no address of the isolated network")
    known = etc_hosts.files(setup.run_folder, planned.document.identity.namespace)
    leads = {door(home(setup, planned.id), each.port): each for each in planned.listens}
    pages = {admin_socket(setup, planned.id): Address(LOOPBACK, ADMIN)}
    return Isolated(slot, known, AppSockets(leads | pages))


def _answers(agent: Agent, setup: SidecarSetup) -> Callable[[str, AdminQuery], Awaitable[AdminReply]]:
    async def answer(_caller: str, query: AdminQuery) -> AdminReply:
        if query.proxy_id not in agent.lives:
            known = ", ".join(sorted(agent.lives)) or "none"
            return AdminReply(why=f"no proxy {query.proxy_id} runs here; running are {known}")
        return await admin.read(admin_socket(setup, query.proxy_id), query.query, query.filter)

    return answer


def _lowest_port() -> int:
    """The lowest port that a program of this user may listen on."""
    if os.geteuid() == 0:
        return 1
    try:
        return int(Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").read_text())
    except OSError:
        return 1024
