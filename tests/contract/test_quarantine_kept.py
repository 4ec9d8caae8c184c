"""Quarantine over every carrier: two replicas of xds take turns at one bucket, and a third finds what they left."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from envoy.config.cluster.v3.cluster_pb2 import Cluster

from osm.ads.resource import Resource
from osm.bus import Bus
from osm.contracts.channels import GOOD, REJECTED
from osm.contracts.endpoints import Transparent
from osm.contracts.names import Identity
from osm.testing.picture import PATIENCE_S
from services.xds.classes import ProxyClass
from services.xds.keeper import keep
from services.xds.quarantine import Quarantine
from tests.contract.conftest import Carrier

CLASS = ProxyClass(Identity("shop", "web"), (), Transparent())
GOOD_ONE = Resource.of("a", Cluster(name="a"))


def bad(number: int) -> Resource:
    return Resource.of(f"bad-{number}", Cluster(name=f"bad-{number}"))


def reject(quarantine: Quarantine, resource: Resource) -> None:
    quarantine.reject(resource, None, reason="no", proxy_id="web-0.shop", now_s=1.0)
    quarantine.stand(
        CLASS, lambda _url, name: resource if name == resource.name else None, lambda: (GOOD_ONE,), now_s=1.0
    )


@asynccontextmanager
async def replica(carrier: Carrier) -> AsyncIterator[Quarantine]:
    async with carrier.bus("xds") as bus, asyncio.TaskGroup() as tasks:
        unsaved = asyncio.Event()
        quarantine = Quarantine(unsaved.set)
        running = [
            tasks.create_task(keep(bus, quarantine, unsaved)),
            tasks.create_task(_follow(bus, quarantine)),
        ]
        try:
            yield quarantine
        finally:
            for task in running:
                task.cancel()


async def _follow(bus: Bus, quarantine: Quarantine) -> None:
    async for update in bus.watch("xds", states=(REJECTED, GOOD)):
        quarantine.apply(update)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0.02)


async def test_replicas_take_turns_and_a_later_one_finds_what_they_left(carrier: Carrier) -> None:
    async with replica(carrier) as one, replica(carrier) as two:
        reject(one, bad(1))
        reject(two, bad(2))
        await until(lambda: one.is_rejected(bad(2)) and two.is_rejected(bad(1)))
    async with replica(carrier) as three:
        await until(lambda: three.is_rejected(bad(1)) and three.is_rejected(bad(2)))
        await until(lambda: three.good_of(CLASS) == (GOOD_ONE,))


async def test_what_is_lifted_is_lifted_everywhere(carrier: Carrier) -> None:
    async with replica(carrier) as one, replica(carrier) as two:
        reject(one, bad(1))
        await until(lambda: two.is_rejected(bad(1)))
        one.stand(CLASS, lambda _url, _name: None, tuple, now_s=2.0)
        await until(lambda: not two.is_rejected(bad(1)) and two.good_of(CLASS) == ())
