"""External authorization by real Envoys: who is asked, what about, and what becomes of a request nobody judges."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import grpc
import pytest
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.service.auth.v3.external_auth_pb2 import CheckRequest, CheckResponse, DeniedHttpResponse
from envoy.service.auth.v3.external_auth_pb2_grpc import AuthorizationServicer, add_AuthorizationServicer_to_server
from envoy.type.v3.http_status_pb2 import HttpStatus, StatusCode
from google.rpc.code_pb2 import OK, PERMISSION_DENIED
from google.rpc.status_pb2 import Status
from msgspec import structs
from msgspec.structs import replace

from osm.contracts.catalog import Ingress, MeshService
from osm.contracts.endpoints import Service, ServicePort
from osm.contracts.names import ObjectRef
from osm.contracts.policy import ExternalAuthorization, Mesh
from osm.testing.free_ports import free_port
from services.xds.translate import Built, Translation, narrowed, translate
from services.xds.translate.authorization import AUTHORIZER
from tests.envoy.translate_world import BUYER, HOST, HTTP, SHOP, STORE, THIEF, TRUST_DOMAIN, Store, World
from tests.golden.translate.cases import Case

pytestmark = pytest.mark.envoy

OPEN, CLOSED = "/books/open", "/books/closed"


class Judge(AuthorizationServicer):  # type: ignore[misc]  # the stubs of xds-protos have no types
    """Lets pass what is no `CLOSED`; remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[CheckRequest] = []
        self.silent = False

    async def Check(self, request: CheckRequest, _context: object) -> CheckResponse:  # noqa: N802  # gRPC's name
        self.asked.append(request)
        if self.silent:
            await asyncio.Event().wait()
        if request.attributes.request.http.path != CLOSED:
            return CheckResponse(status=Status(code=OK))
        reason = HeaderValueOption(header=HeaderValue(key="x-reason", value="closed"))
        denied = DeniedHttpResponse(
            status=HttpStatus(code=StatusCode.PaymentRequired), body="not today", headers=[reason]
        )
        return CheckResponse(status=Status(code=PERMISSION_DENIED), denied_response=denied)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(tmp_path, stack)


@pytest.fixture
async def judge() -> AsyncIterator[tuple[Judge, int]]:
    """And the port where it is asked."""
    server, one = grpc.aio.server(), Judge()
    add_AuthorizationServicer_to_server(one, server)
    port = server.add_insecure_port(f"{HOST}:0")
    await server.start()
    yield one, port
    await server.stop(0)


def asking(store: Store, port: int, *, address: str = HOST, allow: bool = False, timeout_ms: int = 20_000) -> Case:
    """The store, whose sidecar asks at `port`; callers from this machine come in without a certificate."""
    origin = ObjectRef("MeshConfig", "osm-system", "osm-mesh-config")
    authorization = ExternalAuthorization(
        origin=origin, address=address, port=port, failure_mode_allow=allow, timeout_ms=timeout_ms
    )
    entry = Ingress(origin=ObjectRef("IngressBackend", "books", "edge"), target_port=store.app, ranges=("127.0.0.0/8",))
    shop = Service(name=SHOP, ports=(ServicePort(port=HTTP),), accounts=(STORE,))
    return replace(
        store.case(),
        mesh=Mesh(permissive=False, egress=False, external_authorization=authorization),
        services=(MeshService(service=shop, ingress=(entry,)),),
    )


async def plain(port: int, path: str) -> tuple[int, str]:
    """A caller from outside, in the clear: status and the whole of the answer."""
    reader, writer = await asyncio.open_connection(HOST, port)
    try:
        writer.write(f"GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n".encode())
        reply = (await reader.read()).decode()
    finally:
        writer.close()
    return int(reply.split(" ", 2)[1]), reply


async def test_a_request_passes_or_ends_as_the_authorizer_says(world: World, judge: tuple[Judge, int]) -> None:
    asked, port = judge
    store = Store(1)
    await world.app("one", store.app)
    await world.sidecar(asking(store, port))
    assert (await world.ask(store.inbound, BUYER, f"GET {OPEN}"))[0] == 200
    assert await world.ask(store.inbound, BUYER, f"GET {CLOSED}") == (402, "not today")
    assert (await plain(store.inbound, OPEN))[0] == 200
    status, reply = await plain(store.inbound, CLOSED)
    assert status == 402
    assert "x-reason: closed" in reply
    assert reply.endswith("not today")
    first = asked.asked[0].attributes
    assert first.source.principal == BUYER.spiffe(TRUST_DOMAIN)
    assert first.request.http.path == OPEN


async def test_nobody_is_asked_about_who_is_not_let_in_anyway(world: World, judge: tuple[Judge, int]) -> None:
    asked, port = judge
    store = Store(1)
    await world.sidecar(asking(store, port))
    assert (await world.ask(store.inbound, THIEF, f"GET {OPEN}"))[0] == 403
    assert asked.asked == []


async def test_the_beginning_of_a_body_is_shown(world: World, judge: tuple[Judge, int]) -> None:
    asked, port = judge
    store = Store(1)
    await world.app("one", store.app)
    await world.sidecar(asking(store, port))
    body = "x" * 10_000
    line = f"POST {OPEN} HTTP/1.1\r\nContent-Length: {len(body)}"
    reader, writer = await asyncio.open_connection(HOST, store.inbound)
    try:
        writer.write(f"{line}\r\nHost: shop\r\nConnection: close\r\n\r\n{body}".encode())
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
    finally:
        writer.close()
    (check,) = asked.asked
    assert check.attributes.request.http.body == body[:8192]


@pytest.mark.parametrize(("allow", "status"), [(True, 200), (False, 403)])
async def test_an_authorizer_that_is_away_costs_what_the_user_has_said(world: World, allow: bool, status: int) -> None:
    store = Store(1)
    await world.app("one", store.app)
    await world.sidecar(asking(store, free_port(), allow=allow))
    assert (await world.ask(store.inbound, BUYER, f"GET {OPEN}"))[0] == status
    assert (await plain(store.inbound, OPEN))[0] == status


@pytest.mark.parametrize(("allow", "status"), [(True, 200), (False, 403)])
async def test_so_does_one_that_does_not_answer_in_time(
    world: World, judge: tuple[Judge, int], allow: bool, status: int
) -> None:
    asked, port = judge
    asked.silent = True
    store = Store(1)
    await world.app("one", store.app)
    await world.sidecar(asking(store, port, allow=allow, timeout_ms=300))
    assert (await world.ask(store.inbound, BUYER, f"GET {OPEN}"))[0] == status


async def test_an_authorizer_is_found_by_its_name(world: World, judge: tuple[Judge, int]) -> None:
    _, port = judge
    store = Store(1)
    await world.app("one", store.app)
    await world.sidecar(asking(store, port, address="localhost"))
    assert (await world.ask(store.inbound, BUYER, f"GET {OPEN}"))[0] == 200


class Older(Case, frozen=True, kw_only=True):
    """Listeners as they were before anybody was asked, in the form in which they may stand in for the newest."""

    def translate(self) -> Translation:
        newest = super().translate()
        before = translate(self.workload, replace(self.view, mesh=Mesh(permissive=False, egress=False)))
        pairs = zip(before.listeners, newest.listeners, strict=True)
        stand_ins = tuple(Built(name=old.name, message=narrowed(old.message, new.message)) for old, new in pairs)
        return replace(newest, listeners=stand_ins)


async def test_an_older_form_asks_whom_the_newest_asks(world: World, judge: tuple[Judge, int]) -> None:
    """What is served while the newest must not be, or waits for its canaries."""
    _, port = judge
    store = Store(1)
    await world.app("one", store.app)
    await world.sidecar(Older(**structs.asdict(asking(store, port))))
    assert (await world.ask(store.inbound, BUYER, f"GET {OPEN}"))[0] == 200
    assert await world.ask(store.inbound, BUYER, f"GET {CLOSED}") == (402, "not today")
    assert (await plain(store.inbound, CLOSED))[0] == 402


@pytest.mark.parametrize("allow", [True, False])
async def test_an_older_form_that_cannot_ask_is_taken_and_answers_as_if_nobody_had_judged(
    world: World, allow: bool
) -> None:
    """The authorizer's cluster may be what Envoy rejects."""
    store = Store(1)
    await world.app("one", store.app)
    case = asking(store, 1, allow=allow)
    await world.sidecar(WithoutAuthorizer(**structs.asdict(case)))
    assert (await world.ask(store.inbound, BUYER, f"GET {OPEN}"))[0] == (200 if allow else 403)


class WithoutAuthorizer(Case, frozen=True, kw_only=True):
    def translate(self) -> Translation:
        whole = super().translate()
        return replace(whole, clusters=tuple(each for each in whole.clusters if each.name != AUTHORIZER))
