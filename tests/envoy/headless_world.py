"""A headless service with two pods, and a client, in a network of their own: `test_headless_envoy` runs it as its root.

Real Envoys with what was translated, real redirection; each pod's listener is on the pod's address, since one network
holds them all. Prints what was seen, as JSON.
"""

import asyncio
import json
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from envoy.config.core.v3.socket_option_pb2 import SocketOption
from google.protobuf.json_format import MessageToJson

from osm.contracts.catalog import HttpGrant, MeshService, Policy, TcpGrant, Upstream
from osm.contracts.endpoints import Backed, Endpoint, Service, ServicePort, Transparent, Workload
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.policy import HttpMatch, Mesh
from osm.contracts.trust import MeshLeaf
from osm.envoy.bootstrap import SO_MARK, SOL_SOCKET
from osm.envoy.process import EnvoyProcess
from osm.isolation.network import MARK
from osm.testing.sidecar_folder import launch_of
from services.xds.translate import bundle_name, bundle_secret, leaf_secret
from tests.envoy.admin_page import PATIENCE_S
from tests.envoy.translate_world import TRUST_DOMAIN, Authority
from tests.golden.translate.bootstrap import static
from tests.golden.translate.cases import Case

DB, BUYER, STRANGER = Identity("shop", "db"), Identity("shop", "buyer"), Identity("shop", "stranger")
SERVICE = ServiceName("shop", "db")
HTTP, TCP = 8080, 5432
PODS = {"db-0": ("10.1.0.7", "127.0.0.7"), "db-1": ("10.1.0.8", "127.0.0.8")}
"""Pod → its address, and where its app listens."""

ALIEN = "10.1.0.9"
"""A pod that is in the mesh and no part of the service."""

OUTSIDE = "10.1.0.20"
"""Somebody without a sidecar, who listens on the ports of the service too."""

ROAMER = "127.0.0.2"
"""Where the sidecar of a client is that may leave the mesh: what goes outside goes through this one."""

ADDRESSES = {**PODS, "alien": (ALIEN, "127.0.0.9")}
MARKED = SocketOption(level=SOL_SOCKET, name=SO_MARK, int_value=MARK, state=SocketOption.STATE_PREBIND)
ORIGIN = ObjectRef("TrafficTarget", "shop", "db")


def network() -> None:
    """What a sidecar sends goes to the other's sidecar, what an app sends to its own."""
    run("ip", "link", "set", "lo", "up")
    for address, _ in ADDRESSES.values():
        run("ip", "address", "add", f"{address}/32", "dev", "lo")
        nat("-d", address, "-m", "mark", "--mark", str(MARK), "-j", "DNAT", "--to-destination", f"{address}:15003")
    run("ip", "address", "add", f"{OUTSIDE}/32", "dev", "lo")
    nat("-d", OUTSIDE, "-m", "mark", "!", "--mark", str(MARK), "-j", "DNAT", "--to-destination", f"{ROAMER}:15001")
    nat("-d", OUTSIDE, "-j", "ACCEPT")
    nat("-d", "10.1.0.0/24", "-m", "mark", "!", "--mark", str(MARK), "-j", "REDIRECT", "--to-ports", "15001")


def run(*command: str) -> None:
    subprocess.run(command, check=True)


def nat(*rule: str) -> None:
    run("iptables", "-t", "nat", "-A", "OUTPUT", "-p", "tcp", *rule)


def server(pod: str, identity: Identity) -> Case:
    grants = HttpGrant(origin=ORIGIN, sources=(BUYER,), matches=(HttpMatch(name="all"),))
    return Case(
        about=pod,
        workload=Workload(
            proxy_id=f"{pod}.shop",
            identity=identity,
            backs=(
                Backed(service=SERVICE, port=HTTP, target_port=HTTP),
                Backed(service=SERVICE, port=TCP, target_port=TCP, protocol="tcp"),
            ),
            interception=Transparent(app_host=ADDRESSES[pod][1]),
        ),
        policy=Policy(identity=identity, http=(grants,), tcp=(TcpGrant(origin=ORIGIN, sources=(BUYER,)),)),
    )


def client(name: str = "buyer", *, egress: bool = False) -> Case:
    """Of the pods only the first is an endpoint: the second is not ready."""
    service = Service(
        name=SERVICE,
        ports=(ServicePort(port=TCP, protocol="tcp"), ServicePort(port=HTTP)),
        accounts=(DB,),
        pod_ips=tuple(sorted(address for address, _ in ADDRESSES.values())),
    )
    ready = tuple(Endpoint(port=port, address=Address(PODS["db-0"][0], port), identity=DB) for port in (TCP, HTTP))
    return Case(
        about=f"the {name}",
        workload=Workload(proxy_id=f"{name}.shop", identity=BUYER, interception=Transparent()),
        mesh=Mesh(permissive=False, egress=egress),
        policy=Policy(identity=BUYER, upstreams=(Upstream(service=SERVICE, accounts=(DB,)),)),
        services=(MeshService(service=service, endpoints=ready),),
    )


async def sidecar(case: Case, listen: str, folder: Path, authority: Authority, stack: AsyncExitStack) -> None:
    workload, translation = case.workload, case.translate()
    folder = folder / workload.proxy_id
    folder.mkdir()
    secrets = [
        leaf_secret(*authority.leaf(MeshLeaf(identity=workload.identity))),
        bundle_secret(bundle_name(TRUST_DOMAIN), (authority.root_pem,)),
    ]
    bootstrap = static(translation, case.assignments(translation), secrets)
    bootstrap.admin.address.pipe.path = str(folder / "admin.sock")
    bootstrap.cluster_manager.upstream_bind_config.socket_options.append(MARKED)
    for listener in bootstrap.static_resources.listeners:
        listener.address.socket_address.address = listen
    (folder / "bootstrap.json").write_text(MessageToJson(bootstrap, preserving_proto_field_name=True))
    envoy = EnvoyProcess(launch_of(folder))
    stack.push_async_callback(envoy.stop)
    async with asyncio.timeout(PATIENCE_S):
        await envoy.live()


async def apps(stack: AsyncExitStack) -> None:
    for pod, (_, host) in ADDRESSES.items():

        async def answer(_: web.Request, pod: str = pod) -> web.Response:
            return web.Response(text=pod)

        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pod: str = pod) -> None:
            await reader.read(1)  # who closes with bytes unread resets the connection, and what was written is lost
            writer.write(pod.encode())
            await writer.drain()
            writer.close()

        application = web.Application()
        application.router.add_get("/{path:.*}", answer)
        runner = web.AppRunner(application)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        await web.TCPSite(runner, host, HTTP).start()
        stack.callback((await asyncio.start_server(echo, host, TCP)).close)


async def outside(stack: AsyncExitStack) -> None:
    """Answers HTTP, and says what it heard to whoever speaks anything else."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard = await reader.readline()
        writer.write(b"HTTP/1.1 204 heard\r\n\r\n" if b"HTTP/1." in heard else b"heard " + heard)
        await writer.drain()
        writer.close()

    stack.callback((await asyncio.start_server(serve, OUTSIDE, HTTP)).close)


async def say(words: bytes) -> str:
    """What somebody outside says to a connection that begins so."""
    reader, writer = await asyncio.open_connection(OUTSIDE, HTTP)
    writer.write(words)
    try:
        async with asyncio.timeout(20):
            return (await reader.readline()).decode("latin-1").strip() or "closed"
    except ConnectionError:
        return "closed"
    finally:
        writer.close()


async def by_name(name: str, address: str) -> str:
    """What a client that looked `name` up, and found `address`, hears over HTTP: a status, or which pod it was."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session:
        url = f"http://{address}:{HTTP}/"
        async with session.get(url, headers={"Host": f"{name}:{HTTP}"}) as response:
            return await response.text() if response.status == 200 else str(response.status)


async def by_address(address: str) -> str:
    reader, writer = await asyncio.open_connection(address, TCP)
    writer.write(b"?")
    try:
        async with asyncio.timeout(20):
            return (await reader.read()).decode() or "closed"
    except ConnectionError:
        return "closed"
    finally:
        writer.close()


async def main(folder: Path) -> dict[str, Any]:
    network()
    authority = Authority()
    async with AsyncExitStack() as stack:
        await apps(stack)
        for pod, (address, _) in ADDRESSES.items():
            identity = DB if pod in PODS else STRANGER
            await sidecar(server(pod, identity), address, folder, authority, stack)
        await sidecar(client(), "127.0.0.1", folder, authority, stack)
        await sidecar(client("roamer", egress=True), ROAMER, folder, authority, stack)
        await outside(stack)
        first, second = (address for address, _ in PODS.values())
        return {
            "http service": await by_name("db.shop.svc.cluster.local", second),
            "http first": await by_name("db-0.db.shop.svc.cluster.local", first),
            "http second": await by_name("db-1.db", second),
            "http alien": await by_name("db-2.db", ALIEN),
            "http other": await by_name("elsewhere.example", second),
            "tcp first": await by_address(first),
            "tcp second": await by_address(second),
            "tcp alien": await by_address(ALIEN),
            "outside not http": await say(b"\x00\x01binary\r\n"),
            "outside tls": await say(b"\x16\x03\x01\x00\x05hello\r\n"),
            "shared port, service": await say(b"GET / HTTP/1.1\r\nHost: db.shop\r\n\r\n"),
            "outside http": await say(b"GET / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n"),
            "outside propfind": await say(b"PROPFIND / HTTP/1.1\r\nHost: elsewhere.example\r\n\r\n"),
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
