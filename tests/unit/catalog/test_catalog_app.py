"""The catalog as a service on a bus: what it reads, writes and reports."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
from msgspec import Struct, structs
from opentelemetry.sdk.trace import TracerProvider

from osm.bus import BusError, LeadershipLost, StatusWriter, Writer
from osm.bus.memory import MemoryBus, MemoryCore
from osm.contracts.catalog import MeshService, Policy
from osm.contracts.channels import (
    HTTP_ROUTE_GROUP,
    IDENTITY,
    MESH,
    MESH_CONFIG,
    MESH_SERVICE,
    OBJECT_STATUS,
    POLICY,
    PROGRESS,
    SERVICE,
    TRAFFIC_TARGET,
    State,
)
from osm.contracts.codec import decode
from osm.contracts.endpoints import Endpoint, MeshIdentity, Service, ServiceEndpoints, ServicePort
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.policy import HttpMatch, HttpRouteGroup, HttpRule, Mesh, TrafficTarget
from osm.contracts.status import ObjectStatus, Progress
from osm.runtime.health import Health
from services.catalog import report
from services.catalog.app import run
from services.catalog.settings import Settings

STORE, BUYER = Identity("shop", "store"), Identity("shop", "buyer")
BOOKS = HttpRouteGroup(namespace="shop", name="books", matches=(HttpMatch(name="buy"),))
TARGET = TrafficTarget(
    namespace="shop", name="t", destination=STORE, sources=(BUYER,), rules=(HttpRule(route_group="books"),)
)
POLICIES: dict[str, Struct] = {
    TRAFFIC_TARGET.key("shop", "t"): TARGET,
    HTTP_ROUTE_GROUP.key("shop", "books"): BOOKS,
    MESH_CONFIG.key(): Mesh(permissive=False),
}
ENDPOINTS: dict[str, Struct] = {
    IDENTITY.key("shop", account.account): MeshIdentity(identity=account) for account in (STORE, BUYER)
}


def service(number: int, endpoints: int) -> ServiceEndpoints:
    return ServiceEndpoints(
        service=Service(name=ServiceName("shop", f"web-{number}"), ports=(ServicePort(port=80),), accounts=(STORE,)),
        endpoints=tuple(
            Endpoint(port=80, address=Address(f"10.0.0.{at}", 80), identity=STORE) for at in range(endpoints)
        ),
    )


class Running:
    """One embedded mesh with a catalog in it, and the hands of its two neighbours."""

    def __init__(self, core: MemoryCore, meshspec: Writer, endpoints: Writer, health: Health) -> None:
        self.core = core
        self.meshspec = meshspec
        self.endpoints = endpoints
        self.health = health

    def read(self, kind: State[Any], *parts: str) -> Struct | None:
        body = self.core.buckets[kind.bucket].bodies.get(kind.key(*parts))
        return None if body is None else decode(kind.payload, body)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():
                await asyncio.sleep(0)

    async def settled(self) -> Progress:
        """The catalog's progress once it has worked in all that its inputs hold."""

        def revisions() -> tuple[tuple[str, int], ...]:
            return tuple((name, self.core.buckets[name].revision) for name in ("endpoints", "meshspec"))

        await self.until(lambda: self.progress is not None and self.progress.inputs == revisions())
        assert self.progress is not None
        return self.progress

    @property
    def progress(self) -> Progress | None:
        found = self.read(PROGRESS, "catalog", self.health.replica)
        assert found is None or isinstance(found, Progress)
        return found

    def policy(self, identity: Identity) -> Policy | None:
        found = self.read(POLICY, identity.namespace, identity.account)
        assert found is None or isinstance(found, Policy)
        return found

    def web(self, number: int) -> MeshService | None:
        found = self.read(MESH_SERVICE, "shop", f"web-{number}")
        assert found is None or isinstance(found, MeshService)
        return found

    def status(self, ref: ObjectRef) -> ObjectStatus | None:
        found = self.read(OBJECT_STATUS, "catalog", ref.kind, ref.namespace, ref.name)
        assert found is None or isinstance(found, ObjectStatus)
        return found


@asynccontextmanager
async def catalog_in(core: MemoryCore) -> AsyncIterator[Running]:
    health = Health("catalog", "catalog-0", "test", 0.0)
    async with (
        core.bus("meshspec").writer("meshspec") as meshspec,
        core.bus("endpoints").writer("endpoints") as endpoints,
    ):
        work = asyncio.create_task(run(core.bus("catalog"), Settings(), health))
        try:
            yield Running(core, meshspec, endpoints, health)
        finally:
            work.cancel()
            await asyncio.gather(work, return_exceptions=True)


@pytest.fixture
async def mesh() -> AsyncIterator[Running]:
    async with catalog_in(MemoryCore()) as running:
        yield running


async def test_it_waits_for_both_inputs_and_says_for_which(mesh: Running) -> None:
    await mesh.until(lambda: len(mesh.health.status.waiting_for) == 2)
    await mesh.endpoints.publish(ENDPOINTS)
    await mesh.until(lambda: len(mesh.health.status.waiting_for) == 1)
    assert mesh.health.status.waiting_for == ("the full picture of bucket meshspec",)
    assert not mesh.core.buckets["catalog"].synced
    assert not mesh.health.ready


async def test_it_publishes_a_full_picture_and_how_far_it_came(mesh: Running) -> None:
    await mesh.endpoints.publish(ENDPOINTS)
    await mesh.meshspec.publish(POLICIES)
    progress = await mesh.settled()
    assert mesh.health.ready
    assert mesh.core.buckets["catalog"].synced
    assert progress.output == mesh.core.buckets["catalog"].revision
    granted = mesh.policy(STORE)
    assert granted is not None
    assert granted.http[0].sources == (BUYER,)
    assert MESH.key() in mesh.core.buckets["catalog"].bodies


async def test_what_an_earlier_catalog_left_and_nobody_asks_for_goes(mesh: Running) -> None:
    mesh.core.put("catalog", POLICY.key("old", "old"), b'{"identity":{"namespace":"old","account":"old"}}')
    await mesh.endpoints.publish(ENDPOINTS)
    await mesh.meshspec.publish(POLICIES)
    await mesh.settled()
    assert mesh.policy(Identity("old", "old")) is None


async def test_a_problem_is_reported_and_taken_back_when_it_is_solved(mesh: Running) -> None:
    target = ObjectRef("TrafficTarget", "shop", "t")
    await mesh.endpoints.publish(ENDPOINTS)
    await mesh.meshspec.publish(POLICIES)
    await mesh.settled()
    assert mesh.status(target) is None
    await mesh.meshspec.apply({}, (HTTP_ROUTE_GROUP.key("shop", "books"),))
    broken = await mesh.settled()
    status = mesh.status(target)
    assert status is not None
    assert [problem.field for problem in status.problems] == ["spec.rules[0].name"]
    assert status.revision == dict(broken.inputs)["meshspec"]
    await mesh.meshspec.apply({HTTP_ROUTE_GROUP.key("shop", "books"): BOOKS})
    await mesh.settled()
    assert mesh.status(target) is None


async def test_a_change_without_consequences_is_progress_and_no_write(mesh: Running) -> None:
    await mesh.endpoints.publish(ENDPOINTS)
    await mesh.meshspec.publish(POLICIES)
    before = await mesh.settled()
    unused = HttpRouteGroup(namespace="shop", name="unused", matches=())
    await mesh.meshspec.apply({HTTP_ROUTE_GROUP.key("shop", "unused"): unused})
    after = await mesh.settled()
    assert dict(after.inputs)["meshspec"] > dict(before.inputs)["meshspec"]
    assert after.output == before.output == mesh.core.buckets["catalog"].revision


@pytest.mark.parametrize("when", ["first", "later"])
async def test_a_document_too_large_for_the_bus_is_a_problem_of_its_service_alone(when: str) -> None:
    async with catalog_in(MemoryCore(max_bytes=2_000)) as mesh:
        too_large = ObjectRef("Service", "shop", "web-1")
        # The two inputs are bounded as well, so a service grows too large by being on two platforms.
        services: dict[str, Struct] = {SERVICE.key("kubernetes", "shop", f"web-{n}"): service(n, 12) for n in (1, 2)}
        other = ServiceEndpoints(
            service=service(1, 0).service,
            endpoints=tuple(Endpoint(port=80, address=Address(f"10.0.1.{at}", 80), identity=STORE) for at in range(12)),
        )
        grown: dict[str, Struct] = {SERVICE.key("local", "shop", "web-1"): other}
        await mesh.meshspec.publish(POLICIES)
        await mesh.endpoints.publish(ENDPOINTS | services | (grown if when == "first" else {}))
        await mesh.settled()
        if when == "later":
            await mesh.endpoints.apply(grown)
            await mesh.settled()
        status = mesh.status(too_large)
        assert status is not None
        assert (
            "its last good form stays, without what was taken back; back the service with fewer endpoints"
            in status.problems[0].what
        )
        assert (mesh.web(1) is None) == (when == "first")
        assert mesh.web(2) is not None
        await mesh.endpoints.apply({}, tuple(grown))
        await mesh.settled()
        assert mesh.status(too_large) is None
        assert mesh.web(1) is not None


async def test_a_policy_too_large_for_the_bus_revokes_all_the_same() -> None:
    async with catalog_in(MemoryCore(max_bytes=1_500)) as mesh:
        await mesh.meshspec.publish(POLICIES)
        await mesh.endpoints.publish(ENDPOINTS)
        await mesh.settled()
        assert (before := mesh.policy(STORE)) is not None
        assert [grant.sources for grant in before.http] == [(BUYER,)]
        crowds: dict[str, Struct] = {
            TRAFFIC_TARGET.key("shop", name): structs.replace(
                TARGET, name=name, sources=tuple(Identity("shop", f"{name}-{at:02}") for at in range(20))
            )
            for name in ("many", "more")
        }
        await mesh.meshspec.apply(crowds, (TRAFFIC_TARGET.key("shop", "t"),))
        await mesh.settled()
        assert mesh.policy(STORE) == Policy(identity=STORE)
        await mesh.meshspec.apply({}, tuple(crowds)[1:])
        await mesh.settled()
        assert (after := mesh.policy(STORE)) is not None
        assert [grant.origin.name for grant in after.http] == ["many"]


async def test_a_write_carries_the_trace_of_the_change_it_answers(mesh: Running) -> None:
    await mesh.endpoints.publish(ENDPOINTS)
    await mesh.meshspec.publish(POLICIES)
    await mesh.settled()
    with TracerProvider().get_tracer("test").start_as_current_span("edit") as span:
        await mesh.meshspec.apply({MESH_CONFIG.key(): Mesh(permissive=True)})
    await mesh.settled()
    trace = mesh.core.buckets["catalog"].entries[MESH.key()].trace
    assert f"{span.get_span_context().trace_id:032x}" in trace


async def test_a_catalog_that_is_no_longer_the_writer_ends() -> None:
    core = MemoryCore()
    bus: MemoryBus = core.bus("catalog")
    started: Awaitable[None] = run(bus, Settings(), Health("catalog", "catalog-0", "test", 0.0))
    async with core.bus("meshspec").writer("meshspec") as meshspec, core.bus("endpoints").writer("endpoints") as more:
        await meshspec.publish(POLICIES)
        await more.publish(ENDPOINTS)
        work = asyncio.ensure_future(started)
        while not core.buckets["catalog"].synced:
            await asyncio.sleep(0)
        core.depose("catalog")
        await meshspec.apply({MESH_CONFIG.key(): Mesh(permissive=True)})
        with pytest.raises(ExceptionGroup) as ended:
            await asyncio.wait_for(work, 30)
    assert ended.group_contains(LeadershipLost)


class Flaky(StatusWriter):
    """A status bucket that is away for the first put."""

    def __init__(self) -> None:
        self.puts: list[str] = []

    async def put(self, key: str, value: Struct) -> None:
        self.puts.append(key)
        if len(self.puts) == 1:
            raise BusError("status: not connected")

    async def delete(self, key: str) -> None:
        raise BusError("status: not connected")


async def test_a_status_line_is_put_again_before_it_is_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    flaky, bus = Flaky(), MemoryCore().bus("catalog")
    monkeypatch.setattr(bus, "status", lambda: flaky)
    monkeypatch.setattr(report, "REFRESH_S", 0.001)
    lines = report.Report(bus, "catalog-0")
    await lines.progress({"meshspec": 1}, 1, 0.0)
    refreshing = asyncio.create_task(lines.refresh())
    try:
        async with asyncio.timeout(30):
            while len(flaky.puts) < 3:
                await asyncio.sleep(0.001)
    finally:
        refreshing.cancel()
        await asyncio.gather(refreshing, return_exceptions=True)
    assert set(flaky.puts) == {PROGRESS.key("catalog", "catalog-0")}
