"""What translation promises, kept by real Envoys: who gets through, who does not, and what a dying endpoint costs."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import httpx
import pytest
from msgspec.structs import replace

from osm.contracts.endpoints import Backed
from osm.contracts.names import ServiceName
from osm.contracts.policy import Mesh
from osm.contracts.trust import MeshLeaf, ProxyClient
from services.xds.translate.retry import NOT_DELIVERED
from tests.envoy.admin_page import counter
from tests.envoy.translate_world import BUYER, HOST, HTTP, OPS, SHOP, THIEF, TRUST_DOMAIN, Client, Store, World

pytestmark = pytest.mark.envoy


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(folder, stack)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with opened(tmp_path) as opened_world:
        yield opened_world


async def test_a_buyer_gets_through_by_proxy_and_by_port(world: World) -> None:
    store = Store(1)
    client = Client([store])
    await world.app("one", store.app)
    await world.echo(store.tcp_app)
    await world.sidecar(store.case())
    await world.sidecar(client.case())
    async with aiohttp.ClientSession() as session:
        async with session.get(f"http://shop.books:{HTTP}/books/1?a=b", proxy=client.proxy) as response:
            assert response.status == 200, await response.text()
            seen = json.loads(await response.text())
        assert (seen["path"], seen["host"]) == ("/books/1?a=b", f"shop.books:{HTTP}")
        assert BUYER.spiffe(TRUST_DOMAIN) in seen["headers"]["x-forwarded-client-cert"]

        async with session.get(f"http://{HOST}:{client.http_port}/books/2") as response:
            assert (await response.json())["host"] == f"{SHOP.fqdn}:{HTTP}"

        async with session.ws_connect(f"http://{HOST}:{client.http_port}/books/live") as sock:
            await sock.send_str("hello")
            assert await sock.receive_str() == "one heard hello"

        async with session.get("http://elsewhere.example/x", proxy=client.proxy) as response:
            assert response.status == 403
            assert "no policy lets buyers/buyer reach elsewhere.example" in await response.text()

    reader, writer = await asyncio.open_connection(HOST, client.tcp_port)
    writer.write(b"ping\n")
    assert await reader.read() == b"ping\n"
    writer.close()


async def test_http2_stays_http2_all_the_way(world: World) -> None:
    store = Store(1)
    client = Client([store])
    await world.h2c_app(store.app)
    await world.sidecar(store.case())
    await world.sidecar(client.case())
    async with httpx.AsyncClient(http1=False, http2=True, trust_env=False, timeout=30) as session:
        response = await session.get(f"http://{HOST}:{client.http_port}/books/1")
    assert (response.status_code, response.http_version, response.text) == (200, "HTTP/2", "2")
    async with httpx.AsyncClient(http1=True, http2=False, trust_env=False, timeout=30) as session:
        response = await session.get(f"http://{HOST}:{client.http_port}/books/1")
    assert (response.status_code, response.http_version, response.text) == (200, "HTTP/1.1", "1.1")


async def test_http_1_0_gets_through_both_sidecars_and_is_judged_like_any_other(world: World) -> None:
    """It is what nginx speaks to whom it passes requests on to, unless it is told otherwise."""
    store = Store(1)
    client = Client([store])
    await world.app("one", store.app)
    await world.sidecar(store.case())
    await world.sidecar(client.case())
    answers = {}
    for path in ("/books/1", "/admin"):
        reader, writer = await asyncio.open_connection(HOST, client.http_port)
        writer.write(f"GET {path} HTTP/1.0\r\nHost: shop\r\n\r\n".encode())
        answers[path] = (await reader.read()).split()[1]
        writer.close()
    assert answers == {"/books/1": b"200", "/admin": b"403"}


async def test_access_is_decided_at_the_server_whatever_the_path_is_written_like(world: World) -> None:
    store = Store(1)
    await world.app("one", store.app)
    admin_socket = await world.sidecar(store.case())
    expected = {
        (BUYER, "GET /books/1"): 200,
        (OPS, "GET /books/1"): 200,
        (OPS, "GET /admin"): 200,
        (THIEF, "GET /books/1"): 403,
        (BUYER, "GET /admin"): 403,
        (BUYER, "GET /nowhere"): 404,
        (BUYER, "DELETE /books/1"): 404,
        (BUYER, "PROPFIND /books/1"): 404,
        (BUYER, "get /books/1"): 400,
        (BUYER, "GET //books///1"): 200,
        (BUYER, "GET /books/../admin"): 403,
        (BUYER, "GET /books/./../admin"): 403,
        (BUYER, "GET /books/%2e%2e/admin"): 403,
        (BUYER, "GET /books/..%2fadmin"): 400,
        (BUYER, "GET /books/..%5Cadmin"): 400,
        (BUYER, "GET /books\\..\\admin"): 403,
        (BUYER, "GET /admin?/books/1"): 403,
        (BUYER, "GET /books/1?/admin"): 200,
        (THIEF, "GET /books/1;/../../admin"): 403,
    }
    replies = await asyncio.gather(*(world.ask(store.inbound, who, line) for who, line in expected))
    assert dict(zip(expected, (status for status, _ in replies), strict=True)) == expected
    denied = sum(status == 403 for status in expected.values())
    assert await counter(admin_socket, f"http.inbound.{SHOP}|{HTTP}.rbac.denied") == denied


async def test_a_permissive_mesh_lets_every_workload_in_and_no_one_else(world: World) -> None:
    store = Store(1)
    await world.app("one", store.app)
    await world.sidecar(replace(store.case(), mesh=Mesh(permissive=True)))
    assert (await world.ask(store.inbound, THIEF, "GET /anything"))[0] == 200
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await _first_byte(store.inbound, world.tls(ProxyClient(identity=BUYER, proxy_id="buyer-0.buyers")))


async def test_a_path_reaches_the_app_as_it_was_judged(world: World) -> None:
    store = Store(1)
    await world.app("one", store.app)
    await world.sidecar(store.case())
    status, body = await world.ask(store.inbound, BUYER, "GET /admin/..//books/./1")
    assert status == 200
    assert '"path": "/books/1"' in body


async def test_no_spelling_of_a_header_tells_the_app_that_somebody_else_calls(world: World) -> None:
    """To an app behind WSGI or CGI an underscore in a header's name is a hyphen."""
    store = Store(1)
    await world.app("one", store.app)
    await world.sidecar(store.case())
    spellings = [
        f"{name}: URI={OPS.spiffe(TRUST_DOMAIN)}"
        for name in ("x-forwarded-client-cert", "X_Forwarded_Client_Cert", "x-forwarded_client-cert")
    ]
    status, body = await world.ask(store.inbound, BUYER, "GET /books/1", *spellings, "x_of_ours: stays")
    seen = {name.lower().replace("-", "_"): value for name, value in json.loads(body)["headers"].items()}
    assert status == 200
    assert OPS.spiffe(TRUST_DOMAIN) not in body
    assert seen["x_forwarded_client_cert"].endswith(f"URI={BUYER.spiffe(TRUST_DOMAIN)}")
    assert seen["x_of_ours"] == "stays"


async def test_only_a_workloads_certificate_opens_an_inbound_port(world: World) -> None:
    store = Store(1)
    await world.sidecar(store.case())
    proxys = world.tls(ProxyClient(identity=BUYER, proxy_id="buyer-0.buyers"))
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await _first_byte(store.inbound, proxys)
    nobodys = ssl.create_default_context(cadata=world.authority.root_pem)
    nobodys.check_hostname = False
    nobodys.set_alpn_protocols(["osm"])
    with pytest.raises((ssl.SSLError, ConnectionError)):
        await _first_byte(store.inbound, nobodys)


async def _first_byte(port: int, context: ssl.SSLContext) -> None:
    """Raises what TLS 1.3 says of the client's certificate, which it says only when something is read."""
    reader, writer = await asyncio.open_connection(HOST, port, ssl=context, server_hostname=SHOP.fqdn)
    try:
        writer.write(b"GET /books/1 HTTP/1.1\r\nHost: shop\r\n\r\n")
        if not await reader.read(1):
            raise ConnectionError("closed without a word")
    finally:
        writer.transport.abort()


async def test_a_tcp_port_closes_on_who_has_no_grant(world: World) -> None:
    store = Store(1)
    await world.echo(store.tcp_app)
    admin_socket = await world.sidecar(store.case())
    answers = {}
    for who in (BUYER, THIEF):
        context = world.tls(MeshLeaf(identity=who))
        reader, writer = await asyncio.open_connection(HOST, store.tcp_inbound, ssl=context, server_hostname=SHOP.fqdn)
        writer.write(b"ping\n")
        try:
            answers[who] = await reader.read()
        except (ssl.SSLError, ConnectionError):  # told why, or closed before what we had said was read
            answers[who] = b""
        finally:
            writer.transport.abort()
    assert answers == {BUYER: b"ping\n", THIEF: b""}
    assert await counter(admin_socket, f"listener.{HOST}_{store.tcp_inbound}.ssl.fail_verify_san") == 1


async def test_a_server_that_speaks_first_says_nothing_to_who_has_no_grant_and_is_not_even_connected(
    world: World,
) -> None:
    """Not to a workload that was granted nothing, and not to somebody who has no certificate at all."""
    store = Store(1)
    connections = await world.greeter(store.tcp_app)
    await world.sidecar(store.case())
    stranger = ssl.create_default_context(cadata=world.authority.root_pem)
    stranger.check_hostname = False
    stranger.set_alpn_protocols(["osm"])
    for context in (world.tls(MeshLeaf(identity=THIEF)), stranger):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await _greeting(store.tcp_inbound, context)
    assert await _greeting(store.tcp_inbound, world.tls(MeshLeaf(identity=BUYER))) == b"welcome\n"
    assert len(connections) == 1


async def test_all_that_is_sent_before_the_app_is_connected_reaches_it(world: World) -> None:
    store = Store(1)
    await world.echo(store.tcp_app)
    await world.sidecar(store.case())
    line = b"x" * 1_000_000 + b"\n"
    reader, writer = await asyncio.open_connection(
        HOST, store.tcp_inbound, ssl=world.tls(MeshLeaf(identity=BUYER)), server_hostname=SHOP.fqdn
    )
    try:
        writer.write(line)
        assert await reader.readexactly(len(line)) == line
    finally:
        writer.transport.abort()


async def _greeting(port: int, context: ssl.SSLContext) -> bytes:
    """What a server says unasked; raises what TLS or the connection's end says instead."""
    reader, writer = await asyncio.open_connection(HOST, port, ssl=context, server_hostname=SHOP.fqdn)
    try:
        said = await reader.readline()
    finally:
        writer.transport.abort()
    if not said:
        raise ConnectionError("closed without a word")
    return said


async def test_a_split_sends_calls_to_its_backends_and_none_to_weight_0(world: World) -> None:
    """Both backends are the same replica, which tells them apart by the server name it is asked for."""
    store = Store(1)
    client = Client([store])
    await world.app("one", store.app)
    server = store.case()
    for name in ("next", "never"):
        backed = Backed(service=ServiceName("books", name), port=HTTP, target_port=store.app)
        server = replace(server, workload=replace(server.workload, backs=(*server.workload.backs, backed)))
    server_admin = await world.sidecar(server)
    await world.sidecar(client.case(split=(("next", 1), ("never", 0))))
    assert await _answers(client, 10) == ["one"] * 10
    assert await counter(server_admin, f"http.inbound.books/next|{HTTP}.downstream_rq_2xx") == 10


async def test_a_dead_endpoint_costs_no_request(world: World) -> None:
    alive, dead = Store(1), Store(2)
    client = Client([alive, dead])
    await world.app("alive", alive.app)
    await world.sidecar(alive.case())
    await world.sidecar(client.case())
    assert await _answers(client, 30) == ["alive"] * 30


async def test_a_sidecar_whose_app_is_down_costs_no_request(world: World) -> None:
    alive, headless = Store(1), Store(2)
    client = Client([alive, headless])
    await world.app("alive", alive.app)
    await world.sidecar(alive.case())
    await world.sidecar(headless.case())
    await world.sidecar(client.case())
    assert await _answers(client, 30) == ["alive"] * 30


async def test_an_app_that_has_answered_is_not_asked_again_whatever_its_headers_say(world: World) -> None:
    store = Store(1)
    client = Client([store])
    await world.app("one", store.app, also={NOT_DELIVERED: "1"})
    server_admin = await world.sidecar(store.case())
    await world.sidecar(client.case())
    assert await _answers(client, 1) == ["one"]
    assert await counter(server_admin, f"http.inbound.{SHOP}|{HTTP}.downstream_rq_2xx") == 1


async def test_a_killed_endpoint_costs_no_request_but_those_it_was_answering(world: World) -> None:
    alive, killed = Store(1), Store(2)
    client = Client([alive, killed])
    await world.app("alive", alive.app)
    await world.app("killed", killed.app)
    for case in (alive.case(), killed.case(), client.case()):
        await world.sidecar(case)
    assert set(await _answers(client, 10)) == {"alive", "killed"}
    await world.kill(killed.case())
    assert await _answers(client, 30) == ["alive"] * 30


async def test_a_service_that_is_down_altogether_says_503_and_nothing_of_ours(world: World) -> None:
    store = Store(1)
    client = Client([store])
    await world.sidecar(store.case())
    await world.sidecar(client.case())
    async with aiohttp.ClientSession() as session, session.get(f"http://{HOST}:{client.http_port}/books/1") as response:
        assert response.status == 503
        assert "x-osm-not-delivered" not in response.headers


async def _answers(client: Client, count: int) -> list[str]:
    """Who answered each of `count` posts: requests that may not be repeated once the app has seen them."""
    async with aiohttp.ClientSession() as session:
        found = []
        for number in range(count):
            url = f"http://{HOST}:{client.http_port}/books/{number}"
            async with session.post(url, data=b"a book" * 100) as response:
                body = await response.text()
                found.append(json.loads(body)["app"] if response.status == 200 else f"{response.status} {body}")
        return found
