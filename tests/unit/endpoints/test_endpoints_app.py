import asyncio
from contextlib import asynccontextmanager

from msgspec import structs
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from osm.bus.memory import MemoryCore
from osm.contracts.channels import LOCAL_WORKLOAD
from osm.contracts.endpoints import Explicit, InboundPort, LocalWorkload
from osm.contracts.names import Address, Identity
from osm.runtime.health import Health
from osm.testing.picture import values_when
from services.endpoints.app import run
from services.endpoints.settings import Settings
from tests.served import served

MANIFESTS = """
apiVersion: v1
kind: Service
metadata: {name: shop, namespace: town}
spec:
  selector: {app: shop}
  ports: [{port: 8080}]
"""


def shop(*, ready):
    listen, app = Address("127.9.0.3", 8080), Address("127.9.0.2", 8080)
    return LocalWorkload(
        id="shop-0.town",
        identity=Identity("town", "shop"),
        labels=(("app", "shop"),),
        interception=Explicit(
            http_proxy=Address("127.9.0.3", 15001),
            outbound_host="127.9.0.3",
            inbound=(InboundPort(target_port=8080, listen=listen, app=app),),
        ),
        ready=ready,
    )


@asynccontextmanager
async def serving(core, folder):
    health = Health("endpoints", "one", "test", 0.0)
    async with served(run, core.bus("endpoints"), Settings(folder=str(folder)), health):
        yield health


async def until(core, bucket, condition, who="catalog"):
    """The bucket's values by key, as soon as the condition holds of them."""
    return await values_when(core.bus(who).watch(bucket), condition)


async def test_folder_and_workloads_become_documents(tmp_path):
    (tmp_path / "shop.yaml").write_text(MANIFESTS)
    core = MemoryCore()
    async with core.bus("local").writer("local") as local, serving(core, tmp_path):
        await local.publish({LOCAL_WORKLOAD.key("shop-0.town"): shop(ready=True)})
        seen = await until(core, "endpoints", lambda seen: "service.local.town.shop" in seen)
        assert sorted(seen) == ["identity.town.shop", "service.local.town.shop", "workload.shop-0_town"]
        await local.apply({LOCAL_WORKLOAD.key("shop-0.town"): shop(ready=False)})
        await until(core, "endpoints", lambda seen: seen["service.local.town.shop"].endpoints == ())


async def test_nothing_is_published_before_both_inputs_are_read(tmp_path):
    core = MemoryCore()
    async with serving(core, tmp_path) as health:
        async with asyncio.timeout(30):
            while "the full picture of bucket local" not in health.status.waiting_for:
                await asyncio.sleep(0.01)
        assert core.buckets["endpoints"].bodies == {}
        async with core.bus("local").writer("local") as local:
            await local.publish({})
            await until(core, "endpoints", lambda seen: seen == {})
            assert health.ready


async def test_an_edit_reaches_the_bus_and_the_users_object_its_verdict(tmp_path):
    core = MemoryCore()
    async with core.bus("local").writer("local") as local, serving(core, tmp_path):
        await local.publish({})
        (tmp_path / "shop.yaml").write_text(MANIFESTS)
        await until(core, "endpoints", lambda seen: "service.local.town.shop" in seen)
        (tmp_path / "shop.yaml").write_text(MANIFESTS.replace("8080", "x"))
        key = "object.endpoints.Service.town.shop"
        seen = await until(core, "status", lambda seen: key in seen and seen[key].problems, who="cli")
        assert seen[key].problems[0].field == "spec.ports[0].port"
        assert "service.local.town.shop" in core.buckets["endpoints"].bodies


async def test_what_an_unreadable_file_may_hold_is_not_taken_back(tmp_path):
    core = MemoryCore()
    async with core.bus("local").writer("local") as local:
        await local.publish({})
        (tmp_path / "shop.yaml").write_text(MANIFESTS)
        async with serving(core, tmp_path):
            await until(core, "endpoints", lambda seen: "service.local.town.shop" in seen)
        (tmp_path / "shop.yaml").write_text("kind: [")
        async with serving(core, tmp_path) as health:
            async with asyncio.timeout(30):
                while "progress.endpoints.one" not in core.buckets["status"].bodies or not health.ready:
                    await asyncio.sleep(0.01)
            assert "service.local.town.shop" in core.buckets["endpoints"].bodies
            (tmp_path / "shop.yaml").write_text("# nothing is offered any more")
            await until(core, "endpoints", lambda seen: seen == {})


async def test_a_workload_that_cannot_be_read_stays_as_it_was_last(tmp_path):
    """A mesh's bus was lost, and a newer agent fills it again: what it says of one workload is not understood."""
    (tmp_path / "shop.yaml").write_text(MANIFESTS)
    core = MemoryCore()
    key, other = LOCAL_WORKLOAD.key("shop-0.town"), LOCAL_WORKLOAD.key("late-0.town")
    async with core.bus("local").writer("local") as local, serving(core, tmp_path):
        await local.publish({key: shop(ready=True)})
        await until(core, "endpoints", lambda seen: "workload.shop-0_town" in seen)
        core.lose("local")
        core.put("local", key, b'{"id": 5}')
        await local.publish({other: structs.replace(shop(ready=True), id="late-0.town")}, keep=[key])
        seen = await until(core, "endpoints", lambda seen: "workload.late-0_town" in seen)
        assert "workload.shop-0_town" in seen
        await local.apply({}, [key])
        await until(core, "endpoints", lambda seen: "workload.shop-0_town" not in seen)


async def test_what_it_writes_begins_a_trace(tmp_path, monkeypatch):
    monkeypatch.setattr(trace, "get_tracer", TracerProvider().get_tracer)
    core = MemoryCore()
    async with core.bus("local").writer("local") as local, serving(core, tmp_path):
        await local.publish({})
        (tmp_path / "shop.yaml").write_text(MANIFESTS)
        await until(core, "endpoints", lambda seen: "service.local.town.shop" in seen)
        first = core.buckets["endpoints"].entries["service.local.town.shop"].trace
        await local.apply({LOCAL_WORKLOAD.key("shop-0.town"): shop(ready=True)})
        await until(core, "endpoints", lambda seen: seen["service.local.town.shop"].endpoints)
        second = core.buckets["endpoints"].entries["service.local.town.shop"].trace
    assert first
    assert second
    assert first.split("-")[1] != second.split("-")[1]
