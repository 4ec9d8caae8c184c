"""`endpoints` beside a real API server: objects written by hand, since no kubelet and no controllers run."""

import asyncio
import itertools
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from osm.bus.memory import MemoryCore
from osm.contracts.names import Identity
from osm.k8s import resource
from osm.k8s.client import connected
from osm.runtime.health import Health
from osm.testing import cluster_objects as made
from osm.testing.kubernetes import api_server
from osm.testing.picture import values_when
from services.endpoints.app import run
from services.endpoints.settings import Settings
from tests.served import served

_names = itertools.count(1)
PORTS = [{"name": "http", "port": 80, "targetPort": 8080}]
AT_8080 = [{"name": "http", "port": 8080}]


class Town:
    """A mesh of its own with one namespace, on a shared API server."""

    def __init__(self, cluster):
        number = next(_names)
        self.mesh = f"mesh-{number}"
        self.name = f"endpoints-{number}"
        self.cluster = cluster
        self.shop = f"service.kubernetes.{self.name}.shop"

    async def found(self):
        labels = {"openservicemesh.io/monitored-by": self.mesh}
        await self.cluster.create(resource.NAMESPACES, made.namespace(self.name, labels=labels))
        await self.write(resource.SERVICE_ACCOUNTS, made.account(self.name, "shop"))
        await self.write(resource.SERVICES, made.service(self.name, "shop", ports=PORTS))

    async def write(self, what, body):
        await self.cluster.create(what, body, self.name)

    async def run_pod(self, name, ip, *, sidecar):
        """A pod as the kubelet would have it: its status is written apart from it."""
        body = made.pod(self.name, name, labels={"app": "shop"}, sidecar=sidecar, account="shop", ip=ip)
        await self.write(resource.PODS, body)
        await self.cluster.patch(resource.PODS, name, {"status": body["status"]}, self.name, subresource="status")

    async def serve(self, *spots):
        """The slice of the service, new or instead of the one there is."""
        body = made.endpoint_slice(self.name, "shop", *spots, ports=AT_8080)
        there = await self.cluster.list(resource.ENDPOINT_SLICES, self.name, as_=dict)
        if there:
            await self.cluster.patch(resource.ENDPOINT_SLICES, "shop-1", {"endpoints": body["endpoints"]}, self.name)
        else:
            await self.write(resource.ENDPOINT_SLICES, body)


@asynccontextmanager
async def town_of(kubeconfig):
    async with connected(str(kubeconfig)) as cluster:
        town = Town(cluster)
        await town.found()
        yield town


@pytest.fixture
async def town(api, monkeypatch):
    monkeypatch.setenv("KUBECONFIG", str(api))
    async with town_of(api) as town:
        yield town


@asynccontextmanager
async def serving(core, town):
    health = Health("endpoints", "one", "test", 0.0)
    settings = Settings(platform="kubernetes", mesh_name=town.mesh)
    async with served(run, core.bus("endpoints"), settings, health):
        yield health


async def until(core, bucket, condition, who="catalog"):
    """The bucket's values by key, as soon as the condition holds of them."""
    return await values_when(core.bus(who).watch(bucket), condition, patience_s=60.0)


def addresses(seen, town):
    return [str(each.address) for each in seen[town.shop].endpoints] if town.shop in seen else None


async def test_what_is_there_at_the_start_is_published_whole(town):
    await town.run_pod("shop-a", "10.1.0.1", sidecar="a1")
    await town.serve(made.spot("10.1.0.1", "shop-a"))
    core = MemoryCore()
    async with serving(core, town):
        seen = await until(core, "endpoints", lambda seen: seen)
    ours = {key: each for key, each in seen.items() if town.name in key}
    workload = f"workload.a1_{town.name}"
    assert sorted(ours) == [f"identity.{town.name}.shop", town.shop, workload]
    shop = ours[town.shop]
    assert shop.service.accounts == (Identity(town.name, "shop"),)
    assert len(shop.service.virtual_ips) == 1
    assert addresses(seen, town) == ["10.1.0.1:8080"]
    assert [each.target_port for each in ours[workload].backs] == [8080]


async def test_a_pod_goes_in_and_out_of_service(town):
    core = MemoryCore()
    async with serving(core, town):
        await until(core, "endpoints", lambda seen: addresses(seen, town) == [])
        await town.run_pod("shop-a", "10.1.0.1", sidecar="a1")
        await until(core, "endpoints", lambda seen: f"workload.a1_{town.name}" in seen)
        await town.serve(made.spot("10.1.0.1", "shop-a"))
        await until(core, "endpoints", lambda seen: addresses(seen, town) == ["10.1.0.1:8080"])
        await town.serve(made.spot("10.1.0.1", "shop-a", ready=False))
        await until(core, "endpoints", lambda seen: addresses(seen, town) == [])
        await town.cluster.delete(resource.PODS, "shop-a", town.name)
        await until(core, "endpoints", lambda seen: f"workload.a1_{town.name}" not in seen)


async def test_a_label_on_the_namespace_takes_it_in_and_out(town):
    label = {"metadata": {"labels": {"openservicemesh.io/ignore": "true"}}}
    unlabel = {"metadata": {"labels": {"openservicemesh.io/ignore": None}}}
    core = MemoryCore()
    async with serving(core, town):
        await until(core, "endpoints", lambda seen: town.shop in seen)
        await town.cluster.patch(resource.NAMESPACES, town.name, label)
        await until(core, "endpoints", lambda seen: not any(town.name in key for key in seen))
        await town.cluster.patch(resource.NAMESPACES, town.name, unlabel)
        await until(core, "endpoints", lambda seen: town.shop in seen)


async def test_a_pod_without_a_sidecar_is_told_in_the_services_line(town):
    await town.run_pod("shop-bare", "10.1.0.1", sidecar="")
    core = MemoryCore()
    key = f"object.endpoints.Service.{town.name}.shop"
    async with serving(core, town):
        seen = await until(core, "status", lambda seen: key in seen and seen[key].problems, who="cli")
        assert "Pod shop-bare runs without a sidecar" in seen[key].problems[0].what
        await town.cluster.delete(resource.PODS, "shop-bare", town.name)
        await until(core, "status", lambda seen: key in seen and not seen[key].problems, who="cli")


async def test_a_standby_takes_over_with_what_has_happened_meanwhile(town):
    await town.run_pod("shop-a", "10.1.0.1", sidecar="a1")
    await town.serve(made.spot("10.1.0.1", "shop-a"))
    core = MemoryCore()
    async with AsyncExitStack() as leading:
        await leading.enter_async_context(serving(core, town))
        await until(core, "endpoints", lambda seen: addresses(seen, town) == ["10.1.0.1:8080"])
        async with serving(core, town) as standby:
            async with asyncio.timeout(60):
                while standby.status.state != "standby":
                    await asyncio.sleep(0.02)
            await town.serve(made.spot("10.1.0.1", "shop-a", ready=False))
            await until(core, "endpoints", lambda seen: addresses(seen, town) == [])
            await leading.aclose()
            await town.serve(made.spot("10.1.0.1", "shop-a"))
            await until(core, "endpoints", lambda seen: addresses(seen, town) == ["10.1.0.1:8080"])
            assert standby.ready


async def test_a_restart_of_the_api_server_loses_nothing(programs, monkeypatch):
    with api_server(programs) as server:
        monkeypatch.setenv("KUBECONFIG", str(server.kubeconfig))
        core = MemoryCore()
        async with town_of(server.kubeconfig) as town:
            await town.run_pod("shop-a", "10.1.0.1", sidecar="a1")
            await town.run_pod("shop-b", "10.1.0.2", sidecar="b2")
            await town.serve(made.spot("10.1.0.1", "shop-a"))
            async with serving(core, town):
                await until(core, "endpoints", lambda seen: addresses(seen, town) == ["10.1.0.1:8080"])
                deleted = asyncio.create_task(first_deletion(core))
                await asyncio.to_thread(server.stop_api, kill=True)
                await asyncio.to_thread(server.start)
                await town.serve(made.spot("10.1.0.2", "shop-b"))
                await until(core, "endpoints", lambda seen: addresses(seen, town) == ["10.1.0.2:8080"])
                assert not deleted.done()
                deleted.cancel()


async def first_deletion(core):
    async for update in core.bus("catalog").watch("endpoints"):
        for document in update.documents:
            if document.deleted:
                return document.key
    raise AssertionError("a watch does not end")
