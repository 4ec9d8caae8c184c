"""A client with Egress policies, and servers outside of the mesh, in a network of their own: `test_egress_envoy` runs
it as its root.

Real Envoys with what was translated, real redirection, real names (of a hosts file). Each server says at which address
it was reached. Prints what was heard, as JSON.
"""

import asyncio
import json
import ssl
import subprocess
import sys
from contextlib import AsyncExitStack
from pathlib import Path

from google.protobuf.json_format import MessageToJson

from osm.contracts.catalog import MeshService, Policy, Upstream
from osm.contracts.egress import EgressGrant, HttpEgress, TcpEgress, TlsEgress
from osm.contracts.endpoints import Explicit, Service, ServicePort, Transparent, Workload
from osm.contracts.names import Address, Identity, ObjectRef, ServiceName
from osm.contracts.policy import HttpMatch
from osm.contracts.trust import MeshLeaf
from osm.envoy.process import EnvoyProcess
from osm.isolation.network import MARK
from osm.testing.sidecar_folder import launch_of
from services.xds.translate import bundle_name, bundle_secret, leaf_secret
from tests.envoy.admin_page import PATIENCE_S
from tests.envoy.headless_world import MARKED, nat, run
from tests.envoy.translate_world import TRUST_DOMAIN, Authority
from tests.golden.translate.bootstrap import static
from tests.golden.translate.cases import Case

BUYER = Identity("shop", "buyer")
API, WILD, LEGACY, EVIL = "10.2.0.1", "10.2.0.2", "10.2.0.3", "10.2.0.9"
NAMES = {
    "api.example": API,
    "a.wild.example": WILD,
    "b.c.wild.example": WILD,
    "legacy.example": LEGACY,
    "evil.example": EVIL,
}
PROXY = "127.0.0.1:20001"
FIRST_WORDS = b"welcome to "

PLAIN, PATHS, TLS, TLS_AT_ADDRESS, RANGE, FIRST, CLOSED = 80, 8080, 443, 8443, 5432, 3306, 81
DB = ServiceName("shop", "db")
"""A headless service at the port of `RANGE`, so that HTTP is told from the rest there."""

ANY = (HttpMatch(name="any"),)
OPEN = (HttpMatch(name="open", path_regex="/open(/.*)?", methods=("GET",)),)
ORIGIN = ObjectRef("Egress", "shop", "out")

GRANTS: tuple[EgressGrant, ...] = (
    HttpEgress(origin=ORIGIN, port=PLAIN, hosts=("api.example", "*.wild.example"), matches=ANY),
    HttpEgress(origin=ORIGIN, port=PATHS, hosts=("api.example",), matches=OPEN),
    TlsEgress(origin=ORIGIN, port=TLS, hosts=("api.example", "*.wild.example")),
    TlsEgress(origin=ORIGIN, port=TLS_AT_ADDRESS, hosts=("legacy.example",), ranges=("10.2.0.2/31",)),
    TcpEgress(origin=ORIGIN, port=RANGE, ranges=("10.2.0.0/30",)),
    TcpEgress(origin=ORIGIN, port=FIRST),
)


def network(hosts: Path) -> None:
    """What apps send outside goes to the sidecar, what the sidecar sends goes there."""
    hosts.write_text("".join(f"{address} {name}\n" for name, address in {"localhost": "127.0.0.1", **NAMES}.items()))
    run("mount", "--bind", str(hosts), "/etc/hosts")
    run("ip", "link", "set", "lo", "up")
    for address in sorted({*NAMES.values()}):
        run("ip", "address", "add", f"{address}/32", "dev", "lo")
    nat("-d", "10.2.0.0/24", "-m", "mark", "!", "--mark", str(MARK), "-j", "REDIRECT", "--to-ports", "15001")


def transparent() -> Case:
    service = Service(name=DB, ports=(ServicePort(port=RANGE),), accounts=(Identity("shop", "db"),))
    return Case(
        about="an app that knows of nothing",
        workload=Workload(proxy_id="buyer.shop", identity=BUYER, interception=Transparent()),
        policy=Policy(
            identity=BUYER, egress=GRANTS, upstreams=(Upstream(service=DB, accounts=(Identity("shop", "db"),)),)
        ),
        services=(MeshService(service=service),),
    )


def explicit() -> Case:
    return Case(
        about="an app that asks its sidecar as a proxy",
        workload=Workload(
            proxy_id="proxied.shop",
            identity=BUYER,
            interception=Explicit(http_proxy=Address("127.0.0.1", 20001), outbound_host="127.0.0.1"),
        ),
        policy=Policy(identity=BUYER, egress=GRANTS),
    )


async def sidecar(case: Case, folder: Path, authority: Authority, stack: AsyncExitStack) -> None:
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
    (folder / "bootstrap.json").write_text(MessageToJson(bootstrap, preserving_proto_field_name=True))
    envoy = EnvoyProcess(launch_of(folder))
    stack.push_async_callback(envoy.stop)
    async with asyncio.timeout(PATIENCE_S):
        await envoy.live()


async def servers(folder: Path, authority: Authority, stack: AsyncExitStack) -> None:
    """At every address and every port of these, also where nothing is allowed."""
    certificate, key = folder / "chain.pem", folder / "key.pem"
    chain, secret = authority.leaf(MeshLeaf(identity=BUYER))
    certificate.write_text(chain)
    key.write_text(secret)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate, key)
    for address in sorted({*NAMES.values()}):

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str = address) -> None:
            """HTTP or not, whoever asks in a line is told."""
            heard = await reader.readline()
            path = heard.split(b" ")[1].decode() if b"HTTP/1." in heard else ""
            said = f"{address}{path}"
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(said)}\r\nconnection: close\r\n\r\n" if path else ""
            writer.write(f"{head}{said}".encode())
            await writer.drain()
            writer.close()

        async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter, address: str = address) -> None:
            writer.write(FIRST_WORDS + address.encode())
            await writer.drain()
            writer.close()

        for port in (PLAIN, PATHS, RANGE, CLOSED):
            stack.callback((await asyncio.start_server(answer, address, port)).close)
        for port in (TLS, TLS_AT_ADDRESS):
            stack.callback((await asyncio.start_server(answer, address, port, ssl=tls)).close)
        stack.callback((await asyncio.start_server(greet, address, FIRST)).close)


def curl(url: str, *arguments: str) -> str:
    """What was said, or the status, or that there was no answer."""
    words = ("curl", "--silent", "--insecure", "--max-time", "20", "--noproxy", "*", "--path-as-is", *arguments)
    done = subprocess.run(
        [*words, "--write-out", "\n%{http_code} %{http_connect}", url], capture_output=True, text=True, check=False
    )
    said, _, codes = done.stdout.rpartition("\n")
    status, _, connect = codes.partition(" ")
    if status == "200":
        return said
    return "refused by the proxy" if connect not in ("000", "200") else "closed" if status == "000" else status


def dialled(address: str, port: int, host: str, path: str = "/", scheme: str = "http") -> str:
    """Of an app that calls `host` and dials `address`, whatever the name leads to."""
    return curl(f"{scheme}://{host}:{port}{path}", "--resolve", f"{host}:{port}:{address}")


def proxied(url: str) -> str:
    return curl(url, "--noproxy", "", "--proxy", f"http://{PROXY}")


async def raw(address: str, port: int, words: bytes = b"hello\n") -> str:
    """Over TCP; without words, what the server says first."""
    try:
        reader, writer = await asyncio.open_connection(address, port)
        writer.write(words)
        async with asyncio.timeout(20):
            return (await reader.read()).decode() or "closed"
    except ConnectionError:
        return "closed"


def heard_by_curl() -> dict[str, str]:
    bare = ("--header", "Host: api.example")
    return {
        "http": dialled(API, PLAIN, "api.example"),
        "http wildcard": dialled(WILD, PLAIN, "b.c.wild.example"),
        "http posing": dialled(EVIL, PLAIN, "api.example"),
        "http another host": dialled(EVIL, PLAIN, "evil.example"),
        "http another port in the host": curl(f"http://{API}:{PLAIN}/", "--header", f"Host: api.example:{CLOSED}"),
        "http path": dialled(API, PATHS, "api.example", "/open/one"),
        "http path, no port in the host": curl(f"http://{API}:{PATHS}/open", *bare),
        "http another path": dialled(API, PATHS, "api.example", "/closed"),
        "http dotted path": dialled(API, PATHS, "api.example", "/open/../closed"),
        "http escaped path": dialled(API, PATHS, "api.example", "/open%2f..%2fclosed"),
        "http closed port": dialled(API, CLOSED, "api.example"),
        "tls": dialled(API, TLS, "api.example", scheme="https"),
        "tls wildcard": dialled(WILD, TLS, "a.wild.example", scheme="https"),
        "tls posing": dialled(EVIL, TLS, "api.example", scheme="https"),
        "tls another name": dialled(EVIL, TLS, "evil.example", scheme="https"),
        "tls no name": curl(f"https://{API}:{TLS}/"),
        "tls none": dialled(API, TLS, "api.example"),
        "tls at address": dialled(LEGACY, TLS_AT_ADDRESS, "legacy.example", scheme="https"),
        "tls posing at address": dialled(WILD, TLS_AT_ADDRESS, "legacy.example", scheme="https"),
        "tls elsewhere": dialled(EVIL, TLS_AT_ADDRESS, "legacy.example", scheme="https"),
        "range, http": dialled(LEGACY, RANGE, "anything.example"),
        "range, http elsewhere": dialled(EVIL, RANGE, "anything.example"),
        "range, http of the service": dialled(API, RANGE, "db.shop"),
        "proxy": proxied("http://api.example/"),
        "proxy wildcard": proxied("http://a.wild.example/"),
        "proxy path": proxied(f"http://api.example:{PATHS}/open"),
        "proxy another path": proxied(f"http://api.example:{PATHS}/closed"),
        "proxy another host": proxied("http://evil.example/"),
        "proxy tls": proxied("https://api.example/"),
        "proxy tls wildcard": proxied("https://a.wild.example/"),
        "proxy tls another host": proxied("https://evil.example/"),
        "proxy tls where only an address is allowed": proxied(f"https://legacy.example:{TLS_AT_ADDRESS}/"),
    }


async def main(folder: Path) -> dict[str, str]:
    network(folder / "hosts")
    authority = Authority()
    async with AsyncExitStack() as stack:
        await servers(folder, authority, stack)
        await sidecar(transparent(), folder, authority, stack)
        await sidecar(explicit(), folder, authority, stack)
        return {
            **await asyncio.to_thread(heard_by_curl),
            "range": await raw(API, RANGE),
            "range elsewhere": await raw(EVIL, RANGE),
            "server first": await raw(EVIL, FIRST, b""),
        }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(asyncio.run(main(Path(sys.argv[1])))))
