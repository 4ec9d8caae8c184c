"""What an injector hears on the bus: the newest settings and roots, and what is missing until then."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from msgspec import Struct

from osm.bus.memory import MemoryCore
from osm.contracts.channels import BUNDLE, MESH_CONFIG
from osm.contracts.policy import Injection, Mesh
from osm.contracts.trust import Bundle
from services.injector.bus_inputs import BusInputs

SAID = Mesh(injection=Injection(envoy_image="mirror/envoy:1"))
DOMAIN = "cluster.local"


def bundle(*roots: str) -> Mapping[str, Struct]:
    return {BUNDLE.key(DOMAIN): Bundle(trust_domain=DOMAIN, roots_pem=roots)}


@asynccontextmanager
async def hearing(core: MemoryCore) -> AsyncIterator[BusInputs]:
    heard = BusInputs(DOMAIN)
    task = asyncio.create_task(heard.run(core.bus("injector")))
    try:
        yield heard
    finally:
        task.cancel()
        await asyncio.wait([task])


async def until_mesh(heard: BusInputs, mesh: Mesh) -> None:
    async with asyncio.timeout(30):
        while heard.mesh != mesh:
            await asyncio.sleep(0)


async def test_nothing_is_decided_before_settings_and_roots_are_known() -> None:
    core = MemoryCore()
    async with hearing(core) as heard, core.bus("meshspec").writer("meshspec") as meshspec:
        assert heard.missing == ("the full picture of bucket certmgr", "the full picture of bucket meshspec")
        await meshspec.publish({MESH_CONFIG.key(): SAID})
        await until_mesh(heard, SAID)
        assert heard.missing == ("the full picture of bucket certmgr",)
        async with core.bus("certmgr").writer("certmgr") as certmgr:
            await certmgr.publish(bundle("A", "B"))
            async with asyncio.timeout(30):
                await heard.complete()
    assert (heard.missing, heard.roots_pem) == ((), "AB")


async def test_settings_that_are_deleted_are_the_defaults_again_and_roots_are_kept() -> None:
    core = MemoryCore()
    async with (
        hearing(core) as heard,
        core.bus("meshspec").writer("meshspec") as meshspec,
        core.bus("certmgr").writer("certmgr") as certmgr,
    ):
        await meshspec.publish({MESH_CONFIG.key(): SAID})
        await certmgr.publish(bundle("A"))
        async with asyncio.timeout(30):
            await heard.complete()
        await until_mesh(heard, SAID)
        await certmgr.publish({})
        await meshspec.publish({})
        await until_mesh(heard, Mesh())
        assert heard.roots_pem == "A"


async def test_whoever_waits_for_other_roots_gets_the_newest() -> None:
    core = MemoryCore()
    async with hearing(core) as heard, core.bus("certmgr").writer("certmgr") as certmgr:
        await certmgr.publish(bundle("A"))
        async with asyncio.timeout(30):
            assert await heard.other_roots("") == "A"
            waiting = asyncio.create_task(heard.other_roots("A"))
            await certmgr.apply(bundle("A", "B"))
            assert await waiting == "AB"
