"""HTTPS from outside the mesh at a real sidecar: who is let in by certificate, server name and address, and who not."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from osm.contracts.catalog import MeshService, TlsIngress
from osm.contracts.endpoints import Backed, Service, ServicePort
from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.policy import Mesh
from osm.contracts.trust import Gateway, MeshLeaf, ProxyClient
from tests.envoy.translate_world import BUYER, HOST, HTTP, SHOP, STORE, THIEF, TRUST_DOMAIN, Authority, Store, World

pytestmark = pytest.mark.envoy

GATEWAY, ENVOY = Identity("edge", "gateway"), Identity("edge", "envoy")
ANYWHERE = ("0.0.0.0/0", "::/0")
LISTED = (GATEWAY.dns(TRUST_DOMAIN), ENVOY.spiffe(TRUST_DOMAIN))
REFUSED = "refused"


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(tmp_path, stack)


def entry(store: Store, name: str = "edge", **terms: Any) -> TlsIngress:
    terms = {"ranges": ANYWHERE, "principals": LISTED} | terms
    return TlsIngress(origin=ObjectRef("IngressBackend", "books", name), target_port=store.app, **terms)


async def opened(
    world: World, *entries: TlsIngress, store: Store, mesh: Mesh | None = None, grpc: bool = False
) -> None:
    """The store's app and its sidecar, with these openings of the shop."""
    await world.app("one", store.app)
    shop = Service(name=SHOP, ports=(ServicePort(port=HTTP),), accounts=(STORE,))
    case = replace(store.case(), services=(MeshService(service=shop, tls_ingress=entries),))
    if grpc:
        backs = (Backed(service=SHOP, port=HTTP, target_port=store.app, protocol="grpc"),)
        case = replace(case, workload=replace(case.workload, backs=backs))
    await world.sidecar(replace(case, mesh=mesh) if mesh else case)


def anonymous(world: World, *alpn: str) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=world.authority.root_pem)
    context.check_hostname = False
    if alpn:
        context.set_alpn_protocols(alpn)
    return context


def holding(
    world: World, subject: MeshLeaf | ProxyClient | Gateway, *alpn: str, of: Authority | None = None
) -> ssl.SSLContext:
    """A client that shows `subject`'s certificate, of the mesh's authority or of another, and offers `alpn`."""
    context = anonymous(world, *alpn)
    pem = world.folder / f"{len(list(world.folder.iterdir()))}.pem"
    pem.write_text("".join((of or world.authority).leaf(subject)))
    context.load_cert_chain(pem)
    return context


async def asked(store: Store, context: ssl.SSLContext, name: str = "", path: str = "/books/1") -> int | str:
    """The status of a request under this server name; `REFUSED` if TLS does not come about."""
    try:
        reader, writer = await asyncio.open_connection(HOST, store.inbound, ssl=context, server_hostname=name)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
            reply = await reader.read()
        finally:
            writer.transport.abort()
    except (ssl.SSLError, ConnectionError):
        return REFUSED
    return int(reply.split(b" ", 2)[1]) if reply else REFUSED


def leaf(identity: Identity) -> MeshLeaf:
    return MeshLeaf(identity=identity)


@pytest.mark.parametrize("mesh", [Mesh(permissive=False), Mesh(permissive=True)])
async def test_who_shows_a_listed_name_of_the_meshs_roots_is_let_in_and_nobody_else(world: World, mesh: Mesh) -> None:
    store = Store(1)
    await opened(world, entry(store), store=store, mesh=mesh)
    stranger = Authority()
    expected = {
        "listed by its DNS name": (holding(world, leaf(GATEWAY)), 200),
        "listed by its URI": (holding(world, leaf(ENVOY)), 200),
        "of the mesh and not listed": (holding(world, leaf(THIEF)), 403),
        "no certificate": (anonymous(world), REFUSED),
        "the right name of other roots": (holding(world, leaf(GATEWAY), of=stranger), REFUSED),
        "the certificate of a proxy": (holding(world, ProxyClient(identity=ENVOY, proxy_id="e-0.edge")), REFUSED),
    }
    found = {who: await asked(store, context) for who, (context, _) in expected.items()}
    assert found == {who: status for who, (_, status) in expected.items()}


async def test_a_gateways_certificate_is_good_for_the_entrance_and_for_nothing_between_workloads(world: World) -> None:
    """Though it bears the name that a workload's would have: there, only URIs count."""
    store = Store(1)
    await opened(world, entry(store), store=store, mesh=Mesh(permissive=True))
    gateway = Gateway(dns_names=("other.example.com", GATEWAY.dns(TRUST_DOMAIN)))
    assert await asked(store, holding(world, gateway)) == 200
    assert await asked(store, holding(world, gateway, "osm"), SHOP.fqdn) == REFUSED
    assert await asked(store, holding(world, Gateway(dns_names=("other.example.com",)))) == 403
    buyers = Gateway(dns_names=(BUYER.dns(TRUST_DOMAIN), "spiffe.example.com"))
    assert await asked(store, holding(world, buyers, "osm"), SHOP.fqdn) == REFUSED


async def test_no_workload_comes_past_the_rules_of_the_mesh_through_the_entrance(world: World) -> None:
    """Whatever server name and protocol it says that it speaks."""
    store = Store(1)
    await opened(world, entry(store), entry(store, "named", hosts=("shop.example", "*.cluster.local")), store=store)
    names = ("", SHOP.fqdn, "shop.example", "elsewhere.example", f"other.{SHOP.namespace}.svc.cluster.local")
    thief = {
        (name, alpn): await asked(store, holding(world, leaf(THIEF), *alpn), name)
        for name in names
        for alpn in ((), ("osm",), ("http/1.1",))
    }
    assert set(thief.values()) == {403}
    assert (await world.ask(store.inbound, BUYER, "GET /books/1"))[0] == 200, "the mesh's own chain is as it was"
    assert (await world.ask(store.inbound, GATEWAY, "GET /books/1"))[0] == 403, "what is listed counts outside only"


@pytest.mark.parametrize("name", ["", SHOP.fqdn, "elsewhere.example"])
async def test_without_names_of_its_own_an_entrance_answers_to_any(world: World, name: str) -> None:
    """To the service's, too, which the mesh's own chain has."""
    store = Store(1)
    await opened(world, entry(store), store=store)
    assert await asked(store, holding(world, leaf(GATEWAY)), name) == 200


async def test_an_entrance_with_names_answers_to_no_other(world: World) -> None:
    store = Store(1)
    await opened(world, entry(store, hosts=("shop.example", "*.shops.example")), store=store)
    gateway = holding(world, leaf(GATEWAY))
    names = ("shop.example", "SHOP.example", "a.shops.example", "shops.example", "other.example", SHOP.fqdn, "")
    found = [await asked(store, gateway, name) for name in names]
    assert found == [200, 200, 200, REFUSED, REFUSED, REFUSED, REFUSED]


async def test_where_no_certificate_is_asked_for_addresses_alone_decide(world: World) -> None:
    store = Store(1)
    here = entry(store, hosts=("here.example",), ranges=("127.0.0.0/8",), any_client=True, principals=())
    there = entry(store, "there", hosts=("there.example",), ranges=("10.0.0.0/8",), any_client=True, principals=())
    await opened(world, here, there, store=store)
    for context in (anonymous(world), holding(world, leaf(THIEF), of=Authority())):
        assert await asked(store, context, "here.example") == 200
        assert await asked(store, context, "there.example") == 403


async def test_a_listed_name_at_the_wrong_address_is_not_let_in(world: World) -> None:
    store = Store(1)
    await opened(world, entry(store, ranges=("10.0.0.0/8",)), store=store)
    assert await asked(store, holding(world, leaf(GATEWAY))) == 403


async def test_of_entries_that_disagree_the_one_that_asks_for_certificates_stands(world: World) -> None:
    store = Store(1)
    lax = entry(store, "lax", hosts=("shop.example",), any_client=True, principals=())
    await opened(world, lax, entry(store, hosts=("shop.example",)), store=store)
    assert await asked(store, anonymous(world), "shop.example") == REFUSED
    assert await asked(store, holding(world, leaf(THIEF)), "shop.example") == 403
    assert await asked(store, holding(world, leaf(GATEWAY)), "shop.example") == 200


@pytest.mark.parametrize(("grpc", "agreed"), [(True, "h2"), (False, None)])
async def test_http_2_is_agreed_on_for_grpc_alone(world: World, grpc: bool, agreed: str | None) -> None:
    store = Store(1)
    await opened(world, entry(store), store=store, grpc=grpc)
    context = holding(world, leaf(GATEWAY), "h2", "http/1.1")
    _, writer = await asyncio.open_connection(HOST, store.inbound, ssl=context, server_hostname="shop.example")
    try:
        assert writer.get_extra_info("ssl_object").selected_alpn_protocol() == agreed
    finally:
        writer.transport.abort()


async def test_two_services_of_one_port_keep_their_chains(world: World) -> None:
    """The mesh's own chain of each, and the entrance under both names."""
    store = Store(1)
    await world.app("one", store.app)
    other = ServiceName("books", "other")
    case = store.case()
    backs = (*case.workload.backs, Backed(service=other, port=HTTP, target_port=store.app))
    services = tuple(
        MeshService(
            service=Service(name=name, ports=(ServicePort(port=HTTP),), accounts=(STORE,)), tls_ingress=(entry(store),)
        )
        for name in (SHOP, other)
    )
    await world.sidecar(replace(case, workload=replace(case.workload, backs=backs), services=services))
    gateway = holding(world, leaf(GATEWAY))
    assert [await asked(store, gateway, name.fqdn) for name in (SHOP, other)] == [200, 200]
    buyer = holding(world, leaf(BUYER), "osm")
    assert [await asked(store, buyer, name.fqdn) for name in (SHOP, other)] == [200, 200]
