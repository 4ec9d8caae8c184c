"""An UpstreamTrafficSetting, kept by real Envoys: breakers at the client, rate limits at the server."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from msgspec.structs import replace

from osm.contracts.catalog import MeshService, ServiceSettings
from osm.contracts.endpoints import Service, ServicePort
from osm.contracts.names import ObjectRef
from osm.contracts.traffic_settings import (
    Allowance,
    ConnectionSettings,
    GenericKey,
    GlobalHttpLimit,
    GlobalTcpLimit,
    HeaderCondition,
    HeaderValueMatch,
    LimitService,
    LocalHttpLimit,
    RemoteAddress,
    RequestHeader,
    RouteLimit,
    TrafficSettings,
)
from osm.testing.free_ports import free_port
from tests.envoy.admin_page import PATIENCE_S, counter, page
from tests.envoy.limiter import Limiter, serving
from tests.envoy.translate_world import BUYER, HOST, HTTP, SHOP, STORE, TCP, THIEF, Client, Store, World
from tests.golden.translate.cases import Case

pytestmark = pytest.mark.envoy

HOUR = "hour"
"""No token comes back while a test runs."""


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(tmp_path, stack)


def with_settings(case: Case, settings: TrafficSettings) -> Case:
    """The shop has these; a server's case gets the shop's document for them."""
    origin = ObjectRef("UpstreamTrafficSetting", SHOP.namespace, "few")
    ports = (ServicePort(port=HTTP), ServicePort(port=TCP, name="tcp", protocol="tcp"))
    known = case.services or (MeshService(service=Service(name=SHOP, ports=ports, accounts=(STORE,))),)
    found = ServiceSettings(origin=origin, settings=settings)
    return replace(case, services=tuple(replace(each, settings=found) for each in known))


def requests(count: int, **more: object) -> LocalHttpLimit:
    return LocalHttpLimit(allowance=Allowance(count=count, unit="hour"), **more)  # type: ignore[arg-type]  # as named


async def statuses(world: World, store: Store, *lines: str, headers: tuple[str, ...] = ()) -> list[int]:
    return [(await world.ask(store.inbound, BUYER, f"GET {line}", *headers))[0] for line in lines]


async def test_a_request_beyond_the_breaker_is_refused_at_once(world: World) -> None:
    store = Store(1)
    client = Client([store])
    let_go = asyncio.Event()
    arrived = await world.waiting(store.app, let_go)
    limits = ConnectionSettings(max_connections=1, max_pending_requests=1)
    await world.sidecar(store.case())
    admin = await world.sidecar(with_settings(client.case(), TrafficSettings(connections=limits)))

    async def ask(session: aiohttp.ClientSession) -> int:
        async with session.get(f"http://{HOST}:{client.http_port}/books/1") as response:
            return response.status

    async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as tasks:
        first = tasks.create_task(ask(session))
        await arrived.wait()
        pair = [tasks.create_task(ask(session)) for _ in range(2)]
        (refused,), _ = await asyncio.wait(pair, return_when=asyncio.FIRST_COMPLETED)
        assert refused.result() == 503
        let_go.set()
    assert first.result() == 200
    assert sorted(each.result() for each in pair) == [200, 503]
    assert await counter(admin, f"cluster.{SHOP}|{HTTP}.upstream_rq_pending_overflow") == 1


async def test_a_connection_is_made_anew_after_so_many_requests(world: World) -> None:
    store = Store(1)
    client = Client([store])
    await world.app("one", store.app)
    await world.sidecar(store.case())
    limits = ConnectionSettings(max_requests_per_connection=2)
    admin = await world.sidecar(with_settings(client.case(), TrafficSettings(connections=limits)))
    async with aiohttp.ClientSession() as session:
        for _ in range(6):
            async with session.get(f"http://{HOST}:{client.http_port}/books/1") as response:
                assert response.status == 200
    assert await counter(admin, f"cluster.{SHOP}|{HTTP}.upstream_cx_total") == 3
    assert await counter(admin, f"cluster.{SHOP}|{HTTP}.upstream_cx_max_requests") == 3


async def test_a_tcp_connection_beyond_the_breaker_is_closed(world: World) -> None:
    store = Store(1)
    client = Client([store])
    await world.echo(store.tcp_app)
    await world.sidecar(store.case())
    limits = ConnectionSettings(max_connections=1)
    admin = await world.sidecar(with_settings(client.case(), TrafficSettings(connections=limits)))
    reader, writer = await asyncio.open_connection(HOST, client.tcp_port)
    writer.write(b"pi")
    await one(admin, f"cluster.{SHOP}|{TCP}.upstream_cx_active")
    assert await spoken(client.tcp_port) == b""
    writer.write(b"ng\n")
    assert await reader.read() == b"ping\n"
    writer.close()
    assert await counter(admin, f"cluster.{SHOP}|{TCP}.upstream_cx_overflow") > 0


async def test_requests_beyond_the_allowance_are_answered_429(world: World) -> None:
    store = Store(1)
    await world.app("one", store.app)
    limit = LocalHttpLimit(allowance=Allowance(count=2, unit=HOUR, burst=1))
    admin = await world.sidecar(with_settings(store.case(), TrafficSettings(local_http=limit)))
    assert await statuses(world, store, *["/books/1"] * 5) == [200, 200, 200, 429, 429]
    assert await counter(admin, f"inbound.{SHOP}|{HTTP}.http_local_rate_limit.rate_limited") == 2


async def test_grpc_is_told_in_its_own_words_that_it_is_too_much(world: World) -> None:
    store = Store(1)
    await world.app("one", store.app)
    await world.sidecar(with_settings(store.case(), TrafficSettings(local_http=requests(1))))
    content_type = "Content-Type: application/grpc"
    assert await statuses(world, store, "/books/1", headers=(content_type,)) == [200]
    assert "grpc-status: 8\r\n" in await reply(world, store, "GET /books/1", content_type)


async def test_who_is_turned_away_uses_up_nobodys_allowance(world: World) -> None:
    store = Store(1)
    await world.app("one", store.app)
    await world.sidecar(with_settings(store.case(), TrafficSettings(local_http=requests(1))))
    assert [(await world.ask(store.inbound, THIEF, "GET /books/1"))[0] for _ in range(3)] == [403] * 3
    assert await statuses(world, store, "/books/1", "/books/1") == [200, 429]


async def test_a_path_has_a_limit_of_its_own_and_opens_nothing(world: World) -> None:
    store = Store(1)
    await world.app("one", store.app)
    routes = (
        RouteLimit(path_regex="/books/buy", local=requests(1, status=503, headers=(("x-why", "100% sold"),))),
        RouteLimit(path_regex="/admin", local=requests(9)),
    )
    await world.sidecar(with_settings(store.case(), TrafficSettings(local_http=requests(2), routes=routes)))
    paths = ("/books/buy?a=b", "/books/buy", "/books/1", "/books/buy", "/books/1", "/books/1", "/admin")
    assert await statuses(world, store, *paths) == [200, 503, 200, 503, 200, 429, 403]
    assert "x-why: 100% sold" in await reply(world, store, "GET /books/buy")


async def test_a_connection_beyond_the_allowance_is_closed(world: World) -> None:
    store = Store(1)
    client = Client([store])
    await world.echo(store.tcp_app)
    settings = TrafficSettings(local_tcp=Allowance(count=1, unit=HOUR))
    admin = await world.sidecar(with_settings(store.case(), settings))
    await world.sidecar(client.case())
    assert await spoken(client.tcp_port) == b"ping\n"
    assert await spoken(client.tcp_port) == b""
    assert await counter(admin, f"local_rate_limit.inbound.{SHOP}|{TCP}.rate_limited") > 0


async def test_the_rate_limit_service_is_asked_about_requests(world: World) -> None:
    store = Store(1)
    await world.app("one", store.app)
    ours, everyone, buy = (("generic_key", "ours"), ("user", "ann")), (("remote_address", HOST),), (("path", "buy"),)
    limiter = Limiter({ours: 1, buy: 1})
    async with serving(limiter, HOST) as port:
        service = LimitService(host=HOST, port=port, domain="shop", timeout_ms=10_000)
        new = HeaderValueMatch(value="new", headers=(HeaderCondition(name="x-beta", how="present"),))
        limit = GlobalHttpLimit(
            service=service,
            descriptors=(
                (GenericKey(value="ours"), RequestHeader(name="x-user", key="user")),
                (RemoteAddress(),),
                (new,),
            ),
            quota_headers=True,
        )
        routes = (RouteLimit(path_regex="/books/buy", descriptors=((GenericKey(value="buy", key="path"),),)),)
        await world.sidecar(with_settings(store.case(), TrafficSettings(global_http=limit, routes=routes)))
        assert await statuses(world, store, *["/books/1"] * 2, headers=("X-User: ann",)) == [200, 429]
        assert await statuses(world, store, *["/books/1"] * 2, headers=("X-User: bob", "X-Beta: 1")) == [200, 200]
        assert await statuses(world, store, "/books/buy", "/books/buy") == [200, 429]
        assert "x-ratelimit-limit: 1, 1;w=3600" in await reply(world, store, "GET /books/buy")
    assert limiter.asked == {
        ("shop", ours): 2,
        ("shop", (("generic_key", "ours"), ("user", "bob"))): 2,
        ("shop", everyone): 4,
        ("shop", (("header_match", "new"),)): 2,
        ("shop", buy): 3,
    }


async def test_a_caller_may_say_its_address(world: World) -> None:
    store = Store(1)
    await world.app("one", store.app)
    limiter = Limiter({})
    async with serving(limiter, HOST) as port:
        limit = GlobalHttpLimit(
            service=LimitService(host=HOST, port=port, domain="shop", timeout_ms=10_000),
            descriptors=((RemoteAddress(),),),
        )
        await world.sidecar(with_settings(store.case(), TrafficSettings(global_http=limit)))
        assert await statuses(world, store, "/books/1", headers=("X-Forwarded-For: 192.0.2.7",)) == [200]
    assert limiter.asked == {("shop", (("remote_address", "192.0.2.7"),)): 1}


@pytest.mark.parametrize(("fail_open", "status"), [(True, 200), (False, 500)])
async def test_without_an_answer_requests_pass_or_do_not_as_the_user_says(
    world: World, *, fail_open: bool, status: int
) -> None:
    store = Store(1)
    await world.app("one", store.app)
    service = LimitService(host=HOST, port=free_port(), domain="shop", fail_open=fail_open)
    limit = GlobalHttpLimit(service=service, descriptors=((RemoteAddress(),),))
    await world.sidecar(with_settings(store.case(), TrafficSettings(global_http=limit)))
    assert await statuses(world, store, "/books/1") == [status]


async def test_the_rate_limit_service_is_asked_about_connections(world: World) -> None:
    store = Store(1)
    client = Client([store])
    await world.echo(store.tcp_app)
    ours = (("what", "connections"),)
    limiter = Limiter({ours: 1})
    async with serving(limiter, HOST) as port:
        service = LimitService(host=HOST, port=port, domain="shop", timeout_ms=10_000)
        limit = GlobalTcpLimit(service=service, descriptors=(ours,))
        await world.sidecar(with_settings(store.case(), TrafficSettings(global_tcp=limit)))
        await world.sidecar(client.case())
        assert await spoken(client.tcp_port) == b"ping\n"
        assert await spoken(client.tcp_port) == b""
    assert limiter.asked["shop", ours] > 1


@pytest.mark.parametrize(("fail_open", "heard"), [(True, b"ping\n"), (False, b"")])
async def test_without_an_answer_connections_pass_or_do_not_as_the_user_says(
    world: World, *, fail_open: bool, heard: bytes
) -> None:
    store = Store(1)
    client = Client([store])
    await world.echo(store.tcp_app)
    service = LimitService(host=HOST, port=free_port(), domain="shop", fail_open=fail_open)
    limit = GlobalTcpLimit(service=service, descriptors=((("a", "b"),),))
    await world.sidecar(with_settings(store.case(), TrafficSettings(global_tcp=limit)))
    await world.sidecar(client.case())
    assert await spoken(client.tcp_port) == heard


async def one(admin: Path, gauge: str) -> None:
    """Until it is."""
    async with asyncio.timeout(PATIENCE_S):
        while f"{gauge}: 1" not in (await page(admin, "stats")).splitlines():
            await asyncio.sleep(0.02)


async def spoken(port: int) -> bytes:
    """What an echo answers; nothing if the connection is closed."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(b"ping\n")
        return await reader.read()
    except ConnectionResetError:
        return b""
    finally:
        writer.close()


async def reply(world: World, store: Store, line: str, *headers: str) -> str:
    """All of an answer, in lower-case."""
    return (await world.whole(store.inbound, BUYER, line, *headers)).lower()
