"""A bookstore with sidecars, a buyer with one, and a thief who has a valid certificate and no sidecar at all.

Everything is real but the control plane: translations run as static configuration, each sidecar an Envoy of its own.
"""

import asyncio
import os
import signal
import ssl
import time
from collections.abc import Iterable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import hypercorn.asyncio
import hypercorn.config
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from google.protobuf.json_format import MessageToJson

from osm.contracts.catalog import HttpGrant, MeshService, Policy, Split, TcpGrant, Upstream, WeightedBackend
from osm.contracts.endpoints import Backed, Endpoint, Explicit, InboundPort, Service, ServicePort, Workload
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.policy import HttpMatch
from osm.contracts.trust import Gateway, MeshLeaf, ProxyClient
from osm.envoy.process import EnvoyProcess
from osm.pki.issuing import make_root, profile_of, sign
from osm.pki.keys import key_pem, make_key
from osm.testing.free_ports import free_port
from osm.testing.sidecar_folder import launch_of
from services.xds.translate import bundle_name, bundle_secret, leaf_secret
from tests.envoy.admin_page import PATIENCE_S
from tests.golden.translate.bootstrap import static
from tests.golden.translate.cases import Case

HOST = "127.0.0.1"
BUYER, THIEF, OPS = Identity("buyers", "buyer"), Identity("thieves", "thief"), Identity("ops", "admin")
STORE = Identity("books", "store")
SHOP = ServiceName("books", "shop")
HTTP, TCP = 14001, 3306
TRUST_DOMAIN = "cluster.local"
LONGEST_LINE = 2_000_000


async def _accepts(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(HOST, port)
    except ConnectionRefusedError:
        return False
    writer.close()
    return True


class Authority:
    """Signs whatever it is asked to."""

    def __init__(self) -> None:
        self._key = make_key()
        self.root = make_root(self._key, trust_domain=TRUST_DOMAIN, now_s=time.time(), lifetime_s=3600, serial=1)

    def leaf(self, subject: MeshLeaf | ProxyClient | Gateway) -> tuple[str, str]:
        """Chain and key, PEM."""
        key = make_key()
        certificate = sign(
            profile_of(subject, TRUST_DOMAIN),
            key.public_key(),
            issuer=self.root,
            issuer_key=self._key,
            now_s=time.time(),
            lifetime_s=600,
            serial=x509.random_serial_number(),
        )
        return certificate.public_bytes(Encoding.PEM).decode(), key_pem(key).decode()

    @property
    def root_pem(self) -> str:
        return self.root.public_bytes(Encoding.PEM).decode()


class World:
    """Starts apps and sidecars, and speaks to them."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self.folder = folder
        self.authority = Authority()
        self._stack = stack
        self._envoys: dict[str, EnvoyProcess] = {}

    async def app(self, name: str, port: int, *, also: Mapping[str, str] | None = None) -> web.AppRunner:
        """Says what it was asked, with the headers `also`; echoes web sockets."""

        async def answer(request: web.Request) -> web.StreamResponse:
            if request.headers.get("Upgrade", "").lower() == "websocket":
                sock = web.WebSocketResponse()
                await sock.prepare(request)
                async for message in sock:
                    await sock.send_str(f"{name} heard {message.data}")
                return sock
            seen = {"app": name, "path": request.raw_path, "host": request.host, "headers": dict(request.headers)}
            return web.json_response(seen, headers=also)

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        return await self._serve(application, port)

    async def failing(self, port: int, error: type[web.HTTPException], *, times: int) -> list[str]:
        """Says `error` this many times, then 200; what it returns grows by the path of each request."""
        seen: list[str] = []

        async def answer(request: web.Request) -> web.Response:
            seen.append(request.path)
            if len(seen) <= times:
                raise error
            return web.Response()

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        await self._serve(application, port)
        return seen

    async def waiting(self, port: int, let_go: asyncio.Event) -> asyncio.Event:
        """Answers when it is let go; what it returns is set by the first request."""
        arrived = asyncio.Event()

        async def answer(_request: web.Request) -> web.Response:
            arrived.set()
            await let_go.wait()
            return web.Response()

        application = web.Application()
        application.router.add_route("*", "/{path:.*}", answer)
        await self._serve(application, port)
        return arrived

    async def echo(self, port: int) -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.readline())
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, HOST, port, limit=LONGEST_LINE)
        self._stack.callback(server.close)

    async def greeter(self, port: int) -> list[None]:
        """Speaks first, as a database does; what it returns grows by one with each connection."""
        connections: list[None] = []

        async def serve(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append(None)
            writer.write(b"welcome\n")
            await writer.drain()
            writer.close()

        server = await asyncio.start_server(serve, HOST, port)
        self._stack.callback(server.close)
        return connections

    async def h2c_app(self, port: int) -> None:
        """Says which version of HTTP it was spoken to in."""

        async def answer(scope: Any, _receive: Any, send: Any) -> None:
            if scope["type"] == "http":
                await send({"type": "http.response.start", "status": 200, "headers": []})
                await send({"type": "http.response.body", "body": scope["http_version"].encode()})

        config = hypercorn.config.Config()
        config.bind = [f"{HOST}:{port}"]
        ended = asyncio.Event()
        serving = asyncio.create_task(hypercorn.asyncio.serve(answer, config, shutdown_trigger=ended.wait))
        self._stack.push_async_callback(asyncio.wait, [serving])
        self._stack.callback(ended.set)
        async with asyncio.timeout(PATIENCE_S):
            while not await _accepts(port):
                await asyncio.sleep(0.02)

    async def _serve(self, application: web.Application, port: int) -> web.AppRunner:
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, HOST, port).start()
        self._stack.push_async_callback(runner.cleanup)
        return runner

    async def sidecar(self, case: Case) -> Path:
        """Starts it and returns its admin socket."""
        workload = case.workload
        folder = self.folder / workload.proxy_id
        folder.mkdir()
        translation = case.translate()
        secrets = [
            leaf_secret(*self.authority.leaf(MeshLeaf(identity=workload.identity))),
            bundle_secret(bundle_name(TRUST_DOMAIN), (self.authority.root_pem,)),
        ]
        bootstrap = static(translation, case.assignments(translation), secrets)
        bootstrap.admin.address.pipe.path = str(folder / "admin.sock")
        (folder / "bootstrap.json").write_text(MessageToJson(bootstrap, preserving_proto_field_name=True))
        envoy = EnvoyProcess(launch_of(folder))
        self._stack.push_async_callback(envoy.stop)
        self._envoys[workload.proxy_id] = envoy
        async with asyncio.timeout(PATIENCE_S):
            await envoy.live()
        return folder / "admin.sock"

    async def kill(self, case: Case) -> None:
        """Ends a sidecar as a power cut would, and returns when it is gone."""
        envoy = self._envoys[case.workload.proxy_id]
        os.kill(envoy.pid, signal.SIGKILL)
        await envoy.ended()

    def tls(self, subject: MeshLeaf | ProxyClient) -> ssl.SSLContext:
        """A client that holds `subject`'s certificate and verifies the other's against our root."""
        chain, key = self.authority.leaf(subject)
        pem = self.folder / f"{subject.identity.account}-{type(subject).__name__}.pem"
        pem.write_text(chain + key)
        context = ssl.create_default_context(cadata=self.authority.root_pem)
        context.check_hostname = False
        context.load_cert_chain(pem)
        context.set_alpn_protocols(["osm"])
        return context

    async def ask(self, port: int, who: Identity, line: str, *headers: str) -> tuple[int, str]:
        """One request, its line sent as it is, straight to a sidecar's inbound port: status and body."""
        reply = await self.whole(port, who, line, *headers)
        return int(reply.split(" ", 2)[1]), reply.partition("\r\n\r\n")[2]

    async def whole(self, port: int, who: Identity, line: str, *headers: str) -> str:
        """The answer with its headers."""
        context = self.tls(MeshLeaf(identity=who))
        reader, writer = await asyncio.open_connection(HOST, port, ssl=context, server_hostname=SHOP.fqdn)
        head = (f"{line} HTTP/1.1", "Host: shop", "Connection: close", *headers, "", "")
        try:
            writer.write("\r\n".join(head).encode())
            return (await reader.read()).decode()
        finally:
            writer.transport.abort()  # the polite end of TLS may last longer than the test


def origin(name: str) -> ObjectRef:
    return ObjectRef("TrafficTarget", "books", name)


class Store:
    """A replica of the shop: where its app and its sidecar listen."""

    def __init__(self, number: int) -> None:
        self.name = f"store-{number}"
        self.app, self.tcp_app, self.inbound, self.tcp_inbound, self.proxy = (free_port() for _ in range(5))

    def endpoints(self) -> tuple[Endpoint, ...]:
        return (
            Endpoint(port=HTTP, address=Address(HOST, self.inbound), identity=STORE),
            Endpoint(port=TCP, address=Address(HOST, self.tcp_inbound), identity=STORE),
        )

    def case(self) -> Case:
        books = HttpMatch(name="books", path_regex="/books/.*", methods=("GET", "POST"))
        http = (
            HttpGrant(origin=origin("buyers"), sources=(BUYER,), matches=(books,)),
            HttpGrant(origin=origin("ops"), sources=(OPS,), matches=(HttpMatch(name="a", path_regex="/admin"), books)),
        )
        tcp = (TcpGrant(origin=origin("tcp"), sources=(BUYER,), ports=(self.tcp_app,)),)
        return Case(
            about="a replica of the shop",
            workload=Workload(
                proxy_id=f"{self.name}.books",
                identity=STORE,
                backs=(
                    Backed(service=SHOP, port=HTTP, target_port=self.app),
                    Backed(service=SHOP, port=TCP, target_port=self.tcp_app, protocol="tcp"),
                ),
                interception=Explicit(
                    http_proxy=Address(HOST, self.proxy),
                    outbound_host=HOST,
                    inbound=(
                        InboundPort(
                            target_port=self.app, listen=Address(HOST, self.inbound), app=Address(HOST, self.app)
                        ),
                        InboundPort(
                            target_port=self.tcp_app,
                            listen=Address(HOST, self.tcp_inbound),
                            app=Address(HOST, self.tcp_app),
                        ),
                    ),
                ),
            ),
            policy=Policy(identity=STORE, http=http, tcp=tcp),
        )


def _split(backends: tuple[tuple[str, int], ...]) -> Split:
    return Split(
        origin=ObjectRef("TrafficSplit", "books", "shop"),
        backends=tuple(WeightedBackend(service=ServiceName("books", name), weight=weight) for name, weight in backends),
    )


class Client:
    """The buyer's sidecar: its HTTP proxy and its ports for the shop."""

    def __init__(self, stores: Iterable[Store]) -> None:
        self.proxy_port, self.http_port, self.tcp_port = (free_port() for _ in range(3))
        self.stores = tuple(stores)

    def case(self, split: tuple[tuple[str, int], ...] = ()) -> Case:
        """With `split`, the shop's calls go to these services, of the same endpoints, by weight."""
        ports = (
            ServicePort(port=HTTP, explicit_port=self.http_port),
            ServicePort(port=TCP, name="tcp", protocol="tcp", explicit_port=self.tcp_port),
        )
        endpoints = tuple(endpoint for store in self.stores for endpoint in store.endpoints())
        backends = tuple((ServiceName("books", name), (ServicePort(port=HTTP),), None) for name, _ in split)
        services = ((SHOP, ports, _split(split) if split else None), *backends)
        return Case(
            about="the buyer",
            workload=Workload(
                proxy_id="buyer-0.buyers",
                identity=BUYER,
                interception=Explicit(http_proxy=Address(HOST, self.proxy_port), outbound_host=HOST),
            ),
            policy=Policy(
                identity=BUYER, upstreams=tuple(Upstream(service=name, accounts=(STORE,)) for name, _, _ in services)
            ),
            services=tuple(
                MeshService(
                    service=Service(name=name, ports=offered, accounts=(STORE,)), split=divided, endpoints=endpoints
                )
                for name, offered, divided in services
            ),
        )

    @property
    def proxy(self) -> str:
        return f"http://{HOST}:{self.proxy_port}"
