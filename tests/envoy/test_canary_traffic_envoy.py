"""Changes that Envoy takes and traffic does not, before three real Envoys of one class that report their traffic.

The three share their ports, so that one client's requests go to all of them in turn. What one sends out comes in at
any of them and goes to the app, which listens on the same port of another loopback address.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from osm.contracts.catalog import MeshService, Split, WeightedBackend
from osm.contracts.channels import MESH, MESH_SERVICE
from osm.contracts.endpoints import Backed, Endpoint, Service, ServicePort
from osm.contracts.names import Address, ObjectRef, ServiceName
from osm.contracts.policy import Mesh
from osm.testing.free_ports import free_port
from services.xds.translate import transparent
from tests.envoy.canary_world import DB, STORE, WEB, SidecarEnvoy, World, until, world

pytestmark = [pytest.mark.envoy, pytest.mark.timeout(300)]

HOST, APP_HOST = "127.0.0.1", "127.0.0.2"
SPLIT = ObjectRef("TrafficSplit", "shop", "web")
WATCHED = {"canary_traffic_s": 15.0, "canary_requests": 10}
"""Long enough for so many requests on any machine; a bad change is stopped as soon as there are as many."""


class Shop:
    """The mesh's world with a client that never stops asking."""

    def __init__(self, mesh: World, *, reports: bool) -> None:
        self.mesh = mesh
        self.reports = reports
        self.inbound, self.outbound = transparent.INBOUND_ADDRESS.port, transparent.OUTBOUND_ADDRESS.port
        self.dead = free_port()
        self.answers: Counter[int] = Counter()

    async def envoys(self, count: int, *, load_reports: bool) -> list[SidecarEnvoy]:
        backs = tuple(Backed(service=each, port=self.outbound, target_port=self.inbound) for each in (DB, WEB))
        made = [
            await self.mesh.envoy(number, backs=backs, app_host=APP_HOST, load_reports=load_reports)
            for number in range(count)
        ]
        await until("all are configured", lambda: not self.mesh.progress().rollouts)
        if load_reports and self.reports:

            async def all_report() -> bool:
                return all([(await each.stats("load_reporter")).get("load_reporter.responses", 0) > 3 for each in made])

            await until("all report their traffic", all_report)
        return made

    async def offer(self, *backends: tuple[ServiceName, int]) -> None:
        """Calls to the shop go to these services; without any, to itself."""
        parts = tuple(WeightedBackend(service=name, weight=weight) for name, weight in backends)
        split = Split(origin=SPLIT, backends=parts) if parts else None
        await self.mesh.put(
            {
                MESH.key(): Mesh(permissive=True, egress=False),
                MESH_SERVICE.key("shop", "web"): self._service(WEB, (HOST,), self.inbound, split),
                MESH_SERVICE.key("shop", "db"): self._service(DB, (), self.dead),
            }
        )

    def _service(self, name: ServiceName, ips: tuple[str, ...], port: int, split: Split | None = None) -> MeshService:
        ports = (ServicePort(port=self.outbound),)
        endpoints = (Endpoint(port=self.outbound, address=Address(HOST, port), identity=STORE),)
        service = Service(name=name, ports=ports, accounts=(STORE,), virtual_ips=ips)
        return MeshService(service=service, split=split, endpoints=endpoints)

    async def ask(self) -> None:
        """Each request on a connection of its own, so that the kernel spreads them; until cancelled."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with aiohttp.ClientSession(connector=connector) as session:
            while True:
                try:
                    async with session.get(f"http://{HOST}:{self.outbound}/") as answer:
                        self.answers[answer.status] += 1
                except aiohttp.ClientConnectionError:
                    self.answers[0] += 1
                await asyncio.sleep(0.01)


async def leads_to(envoy: SidecarEnvoy, name: ServiceName) -> bool:
    """Whether any route of this Envoy's calls that service for the shop."""
    dump = await envoy.dump("RoutesConfigDump")
    configs = [each["route_config"] for each in dump.get("dynamic_route_configs", ())]
    return any(f"{name}|" in str(each) for each in configs if each["name"].startswith(f"rds-outbound.{WEB}|"))


async def those_that_lead_to(name: ServiceName, envoys: list[SidecarEnvoy]) -> list[str]:
    return [each.proxy_id for each in envoys if await leads_to(each, name)]


@asynccontextmanager
async def shop(folder: Path, monkeypatch: pytest.MonkeyPatch, **settings: Any) -> AsyncIterator[Shop]:
    async def greet(_request: web.Request) -> web.Response:
        return web.Response(text="books")

    async with world(folder, monkeypatch) as mesh:
        made = Shop(mesh, reports="canary_traffic_s" in settings)
        await made.offer()
        await mesh.xds(**settings)
        app = web.Application()
        app.router.add_get("/", greet)
        runner = web.AppRunner(app)
        await runner.setup()
        await web.TCPSite(runner, APP_HOST, made.inbound).start()
        asking = asyncio.create_task(made.ask())
        try:
            yield made
        finally:
            asking.cancel()
            await asyncio.wait([asking])
            await runner.cleanup()


async def served(one: Shop, requests: int) -> Counter[int]:
    """The answers to the next requests; the one that is under way was sent before."""
    sent = one.answers.total()
    await until("what is under way is answered", lambda: one.answers.total() > sent)
    before = Counter(one.answers)
    await until("more is asked", lambda: one.answers.total() - before.total() >= requests)
    return Counter(one.answers) - before


async def test_a_change_that_makes_5xx_stops_at_the_canary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shop(tmp_path / "w", monkeypatch, **WATCHED) as one:
        envoys = await one.envoys(3, load_reports=True)
        assert set(await served(one, 100)) == {200}

        await one.offer((DB, 100))
        seen: set[str] = set()

        async def told() -> bool:
            seen.update(await those_that_lead_to(DB, envoys))
            return one.mesh.word_on(SPLIT) is not None

        await until("the object is told", told)
        assert len(seen) == 1, "the canary alone was asked"
        word = one.mesh.word_on(SPLIT)
        assert word is not None
        assert "1 canary answered 5xx to" in word.problems[0].what
        assert "the other 2 proxies of the class to 0 % of" in word.problems[0].what
        assert word.problems[0].field == "spec.backends"

        async def nobody_leads_there() -> bool:
            return await those_that_lead_to(DB, envoys) == []

        await until("the canary has the last good one back", nobody_leads_there)
        assert set(await served(one, 100)) == {200}
        [rollout] = one.mesh.progress().rollouts
        assert rollout.rejections[0].reason.startswith("1 canary answered 5xx to")

        await one.offer()
        await until("the quarantine is lifted", lambda: one.mesh.word_on(SPLIT) is None)


async def test_a_good_change_goes_on_after_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with shop(tmp_path / "w", monkeypatch, canary_traffic_s=3.0, canary_requests=10) as one:
        envoys = await one.envoys(3, load_reports=True)
        await served(one, 100)
        one.dead = one.inbound  # so it lives
        await one.offer((DB, 100))
        seen: list[int] = []

        async def everywhere() -> bool:
            seen.append(len(await those_that_lead_to(DB, envoys)))
            return seen[-1] == 3

        await until("all have it", everywhere)
        assert 1 in seen, "it was with the canary alone for a while"
        assert set(await served(one, 100)) == {200}
        assert one.mesh.quarantined() == []


async def test_the_only_proxy_of_a_class_is_compared_with_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(tmp_path / "w", monkeypatch, **WATCHED) as one:
        [only] = await one.envoys(1, load_reports=True)
        await served(one, 100)
        await one.offer((DB, 100))
        await until("the object is told", lambda: one.mesh.word_on(SPLIT) is not None)
        word = one.mesh.word_on(SPLIT)
        assert word is not None
        assert "before the change to 0 % of" in word.problems[0].what

        async def is_back() -> bool:
            return not await leads_to(only, DB)

        await until("it has the last good one back", is_back)
        assert set(await served(one, 100)) == {200}


@pytest.mark.parametrize(("load_reports", "settings"), [(False, WATCHED), (True, {})])
async def test_where_one_side_is_off_a_change_waits_for_nobody(
    load_reports: bool, settings: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with shop(tmp_path / "w", monkeypatch, **settings) as one:
        envoys = await one.envoys(3, load_reports=load_reports)
        assert set(await served(one, 100)) == {200}
        await one.offer((DB, 100))

        async def everywhere() -> bool:
            return len(await those_that_lead_to(DB, envoys)) == 3

        await until("all have it", everywhere)
        assert one.mesh.quarantined() == []
        for each in envoys:
            stats = await each.stats("load_reporter")
            assert stats.get("load_reporter.requests", 0) == 0
