"""Certmgr, catalog and xds in this process, on any bus, once they have taken in a world's documents.

Wired as `osm up` wires them, but what meshspec and endpoints would publish is written by whoever measures, so that a
change begins at a known moment. What is measured then, and how, is not known here.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct

from bench.client_certificates import Passports, all_passports
from bench.timed_engine import WatchedEngine
from bench.world import Documents, World
from osm.bus import Bus, Writer
from osm.bus.memory import MemoryCore
from osm.runtime.health import Health
from osm.runtime.service import Run, run_service
from osm.runtime.settings import Common
from services.catalog import app as catalog
from services.catalog.settings import Settings as CatalogSettings
from services.certmgr import app as certmgr
from services.certmgr.settings import DAY_S
from services.certmgr.settings import Settings as CertmgrSettings
from services.xds import app as xds
from services.xds.settings import Settings as XdsSettings

USERS = ("meshspec", "endpoints", "certmgr", "catalog", "xds", "local")

Services = Mapping[str, tuple[Run[Any], Common]]

Open = Callable[[str], AbstractAsyncContextManager[Bus]]
"""A service's own bus, by its name."""


class Fed(Struct, frozen=True, kw_only=True):
    """The hands on what xds is fed with, and what its proxies need to connect."""

    meshspec: Writer
    endpoints: Writer
    passports: Passports


def before_xds(folder: Path, *, leaf_lifetime_s: int = DAY_S) -> Services:
    """`folder` gets the certificate authority."""
    authority = CertmgrSettings(
        ca_folder=str(folder / "ca"), leaf_lifetime_s=leaf_lifetime_s, allow_short_lifetimes=leaf_lifetime_s < DAY_S
    )
    return {"certmgr": (certmgr.run, authority), "catalog": (catalog.run, CatalogSettings())}


def with_xds(folder: Path, listen: str, engine: WatchedEngine, *, leaf_lifetime_s: int = DAY_S) -> Services:
    """At their end nobody is sent to another replica: there is none."""
    settings = XdsSettings(listen=listen, drain_s=0.0)
    return {
        **before_xds(folder, leaf_lifetime_s=leaf_lifetime_s),
        "xds": (partial(xds.run, engine=engine), settings),
    }


@asynccontextmanager
async def in_memory(_folder: Path) -> AsyncIterator[Open]:
    """A bus within this process; it needs no folder."""
    core = MemoryCore()

    @asynccontextmanager
    async def opened(name: str) -> AsyncIterator[Bus]:
        bus = core.bus(name)
        try:
            yield bus
        finally:
            bus.close()

    yield opened


@asynccontextmanager
async def fed(
    opened: Open, services: Services, world: World, *, endpoints: Documents | None = None
) -> AsyncIterator[Fed]:
    """Run the services, and end them. They serve when it is entered, and know the world; or so of `endpoints`."""
    healths = {name: Health.begin(name, "bench") for name in services}
    async with AsyncExitStack() as held:
        buses = {name: await held.enter_async_context(opened(name)) for name in USERS}
        policies = await held.enter_async_context(buses["meshspec"].writer("meshspec"))
        workloads = await held.enter_async_context(buses["endpoints"].writer("endpoints"))
        tasks = await held.enter_async_context(asyncio.TaskGroup())
        running = [
            tasks.create_task(run_service(name, serve, buses[name], own, healths[name]), name=name)
            for name, (serve, own) in services.items()
        ]
        await policies.publish(world.policies())
        await workloads.publish(world.endpoints() if endpoints is None else endpoints)
        for health in healths.values():
            await active(health)
        passports = await all_passports(buses["local"], buses["xds"], world)
        yield Fed(meshspec=policies, endpoints=workloads, passports=passports)
        for task in running:
            task.cancel()


async def active(health: Health) -> None:
    """Wait until a service serves; it does when everything it needs does."""
    active = asyncio.Event()
    health.on_change(lambda _: active.set() if health.ready else None)
    if not health.ready:
        await active.wait()
