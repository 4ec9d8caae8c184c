"""Replicas of xds as they run in earnest, under real Envoys and light proxies.

What must hold: one that ends loses no proxy, and a proxy that moves between them, or back to one, is sent nothing it
has but the certificate that its new replica made.
"""

import asyncio

import pytest

from osm.ads.types import SECRET
from osm.envoy.bootstrap import XDS_CLUSTER
from services.xds.translate import LEAF
from tests.envoy.xds_proxies import envoy, light, names, stats
from tests.envoy.xds_world import until, world, xds

pytestmark = [pytest.mark.envoy, pytest.mark.nats, pytest.mark.timeout(300)]


async def test_a_replica_that_ends_loses_no_proxy_and_they_are_sent_nothing_but_their_certificate(tmp_path):
    everyone, real = names(30), ["envoy-0.shop", "envoy-1.shop"]
    async with world(tmp_path, everyone + real) as mesh, xds(mesh, "a", REUSE_PORT="true") as leaving:
        async with light(mesh, everyone) as proxies, envoy(mesh, real[0]) as one, envoy(mesh, real[1]) as two:
            await mesh.settled("a", proxies=32)
            before = [await stats(folder) for folder in (one, two)]
            async with xds(mesh, "b", REUSE_PORT="true") as staying:
                assert await leaving.end() == 0
                await mesh.settled("b", proxies=32)
                assert set(proxies.moves.values()) <= {1, 2}  # 2 if it first came to a port that was being closed
                for folder, then in zip((one, two), before, strict=True):
                    now = await stats(folder)
                    assert now["control_plane.connected_state"] == 1
                    for kind in ("cluster_manager.cds", "listener_manager.lds"):
                        assert now[f"{kind}.update_success"] == then[f"{kind}.update_success"], kind
                await mesh.move_endpoint()
                await mesh.settled("b", proxies=32)
                assert await staying.end() == 0
        assert all(again == [(SECRET, LEAF)] for again in proxies.again.values())


async def test_old_connections_move_on_and_envoy_is_sent_nothing_again(tmp_path):
    async with (
        world(tmp_path, ["envoy-0.shop"]) as mesh,
        xds(mesh, "a", MAX_CONNECTION_AGE_S=2),
        envoy(mesh, "envoy-0.shop") as folder,
    ):
        await mesh.settled("a", proxies=1)
        before = await stats(folder)

        async def has_come_back():
            now = await stats(folder)
            connections = f"cluster.{XDS_CLUSTER}.upstream_cx_total"
            return now[connections] >= before[connections] + 3 and now["control_plane.connected_state"] == 1

        await until(has_come_back)
        now = await stats(folder)
        counted = [name for name in now if name.endswith((".update_success", ".update_rejected"))]
        updates = [name for name in counted if XDS_CLUSTER not in name]  # that one counts its name's resolutions
        assert updates
        assert {name: now[name] for name in updates} == {name: before.get(name, 0) for name in updates}
        await mesh.move_endpoint()
        await mesh.settled("a", proxies=1)


async def test_an_envoy_that_found_no_room_comes_back_until_there_is(tmp_path):
    async with (
        world(tmp_path, ["web-0.shop", "envoy-0.shop"]) as mesh,
        xds(mesh, "a", MAX_STREAMS=1) as running,
        asyncio.TaskGroup() as tasks,
    ):
        occupied = asyncio.Event()

        async def occupy():
            async with light(mesh, ["web-0.shop"]):
                await mesh.settled("a", proxies=1)
                occupied.set()
                await until(lambda: _says(running, "a stream was turned away"))

        leaving = tasks.create_task(occupy())
        await occupied.wait()
        async with envoy(mesh, "envoy-0.shop") as folder:
            await leaving
            await mesh.settled("a", proxies=1)
            assert (await stats(folder))["control_plane.connected_state"] == 1


async def _says(running, what):
    return what in running.log.read_text()
