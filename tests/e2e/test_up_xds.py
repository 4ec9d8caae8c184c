"""The running mesh's xDS port, spoken to over the wire: who is let in, what it is told, and how much."""

import asyncio
import os
import random
import signal
import ssl
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import pytest
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.message import Message

from osm.ads.peer import Peer
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from osm.cli.client import of_kind, picture
from osm.cli.demo.stolen_certificate import shown_to_xds, steal
from osm.contracts.channels import BUNDLE, OBJECT_STATUS
from osm.contracts.names import Identity
from osm.contracts.trust import ProxyClient
from osm.pki.issuing import make_root, profile_of, sign
from osm.pki.keys import key_pem, load_key, make_key
from osm.pki.reading import chain_pem, load_chain
from osm.testing.ads_client import AdsClient, ClientIdentity, ads_client
from osm.testing.ads_status import StreamEnded
from osm.testing.manifests import documents, http, mesh_config, route_group, service, target, workload
from osm.testing.mesh import MeshProcess, mesh_process
from services.xds.app import SERVER_NAME
from services.xds.translate import LEAF
from tests.e2e.outside import PATIENCE_S, Outside, outside

WEB, OTHER = "web-0.front", "other-0.front"
WEB_IDENTITY, OTHER_IDENTITY = Identity("front", "web"), Identity("front", "other")
API, HIDDEN = "shop/api|8080", "shop/hidden|8080"
URL = "http://api.shop:8080/good"
WORKLOADS = 5

POLICIES = documents(
    route_group(("shop", "paths"), a={"pathRegex": "/good"}),
    target(("shop", "web"), http("paths"), to="api", sources=[("front", "web")]),
    target(("shop", "hidden"), http("paths"), to="hidden", sources=[("shop", "api")]),
)


@pytest.fixture(scope="module")
def mesh(home: Path) -> Iterator[MeshProcess]:
    folder = home / "manifests"
    folder.mkdir()
    (folder / "base.yaml").write_text(
        documents(
            workload(("shop", "api"), "8080", replicas=2),
            service(("shop", "api"), "8080"),
            workload(("shop", "hidden"), "8080"),
            service(("shop", "hidden"), "8080"),
            workload(("front", "web"), "8080"),
            workload(("front", "other"), "8080"),
        )
    )
    (folder / "mesh.yaml").write_text(mesh_config())
    (folder / "policies.yaml").write_text(POLICIES)
    arguments = ("up", "-f", str(folder), "--ca-folder", str(home / "ca"))
    with mesh_process(*arguments, name="xds", home=home, folder=folder) as running:
        running.until(lambda: running.output().count("ready ") >= WORKLOADS, "all workloads ready")
        yield running
    assert not running.leftovers()


def xds(mesh: MeshProcess) -> str:
    return f"{mesh.block}0.1:15128"


async def roots(it: Outside) -> bytes:
    (bundle,) = of_kind(await picture(it.bus, "certmgr"), BUNDLE)
    return "".join(bundle.roots_pem).encode()


async def proof(it: Outside, proxy_id: str) -> ClientIdentity:
    """The certificate that the proxy's own Envoy shows to xds."""
    shown = shown_to_xds(it.mesh.run_folder / "workloads" / proxy_id)
    return ClientIdentity(
        chain_pem=shown.chain_pem,
        key_pem=shown.key_pem,
        roots_pem=await roots(it),
        server_name=SERVER_NAME,
    )


def is_whole(stream: AdsClient) -> bool:
    """Whether it holds everything that it has asked for by name."""
    return {CLUSTER, LISTENER} <= stream.versions.keys() and all(
        stream.names.get(type_url, set()) <= stream.versions.get(type_url, {}).keys()
        for type_url in (ENDPOINT, ROUTE, SECRET)
    )


@asynccontextmanager
async def second_stream(it: Outside, proxy_id: str) -> AsyncIterator[AdsClient]:
    """Another stream of a proxy that is connected already, with all its configuration."""
    async with (
        asyncio.timeout(PATIENCE_S),
        ads_client(xds(it.mesh), node_id=proxy_id, identity=await proof(it, proxy_id)) as stream,
    ):
        await stream.until(lambda: is_whole(stream))
        yield stream


@pytest.mark.parametrize(("proxy_id", "identity"), [(WEB, WEB_IDENTITY), (OTHER, OTHER_IDENTITY)])
async def test_a_proxy_is_given_the_certificate_of_its_own_identity(
    mesh: MeshProcess, proxy_id: str, identity: Identity
) -> None:
    async with outside(mesh) as it:
        await it.in_service(WORKLOADS)
        leaf = await steal(xds(mesh), proxy_id, mesh.run_folder / "workloads" / proxy_id, await roots(it))
    assert Peer.from_pem(leaf.chain_pem).uris == (identity.spiffe("cluster.local"),)


async def ended(it: Outside, node_id: str, identity: ClientIdentity | None) -> StreamEnded:
    """How a stream that is not welcome ends. It must not be told anything before that."""
    async with asyncio.timeout(PATIENCE_S), ads_client(xds(it.mesh), node_id=node_id, identity=identity) as stream:
        end = await stream.end()
        assert stream.received == []
        return end


async def test_a_proxy_is_told_what_its_identity_may_see_and_nothing_else(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        await it.in_service(WORKLOADS)
        async with second_stream(it, WEB) as web, second_stream(it, OTHER) as other:
            assert {name for name in web.versions[CLUSTER] if name.startswith("shop/")} == {API}
            assert {name for name in other.versions[CLUSTER] if name.startswith("shop/")} == set()
            curious = {
                CLUSTER: (API, HIDDEN),
                ENDPOINT: (*web.versions[ENDPOINT], API),
                ROUTE: ("rds-inbound.shop/api|8080",),
                SECRET: (LEAF, f"{LEAF}:{WEB_IDENTITY}"),
            }
            async with ads_client(
                xds(mesh), node_id=OTHER, identity=await proof(it, OTHER), follow=False, subscribe=curious
            ) as asking:
                await asking.version(SECRET, LEAF)
                await asking.until(lambda: asking.pushes_received >= 2)
                asking.subscribe(ROUTE, ["rds-outbound.http-proxy"])
                await asking.version(ROUTE, "rds-outbound.http-proxy")
                held = {type_url: set(names) for type_url, names in asking.versions.items() if names}
            assert held == {SECRET: {LEAF}, ROUTE: {"rds-outbound.http-proxy"}}


async def test_an_app_that_dies_costs_each_client_one_load_assignment(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        await it.in_service(WORKLOADS)
        async with second_stream(it, WEB) as stream:
            (assignment,) = stream.versions[ENDPOINT]

            def endpoints(messages: Mapping[str, Message]) -> int:
                message = messages[assignment]
                assert isinstance(message, ClusterLoadAssignment)
                return sum(len(group.lb_endpoints) for group in message.endpoints)

            await stream.until(lambda: endpoints(stream.messages[ENDPOINT]) == 2)
            received = len(stream.received)
            pid = it.board.processes()["api-1.shop"].app_pid
            assert pid is not None
            os.kill(pid, signal.SIGKILL)
            await stream.until(lambda: len(stream.received) >= received + 2)  # it ends, and is started again
            pushes = stream.received[received:]
            assert [(each.type_url, set(each.versions)) for each in pushes] == [(ENDPOINT, {assignment})] * 2
            assert [endpoints(each.messages) for each in pushes] == [1, 2]
            assert all(0 < each.size < 1000 for each in pushes)
        await it.in_service(WORKLOADS)


async def test_an_edit_that_means_nothing_sends_nothing(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        await it.in_service(WORKLOADS)

        def line() -> int:
            return min(dict(each.lines)[""] for each in it.board.lines(OBJECT_STATUS) if each.file.endswith("s.yaml"))

        async with second_stream(it, WEB) as stream:
            before, first_line = stream.bytes_received, line()
            mesh.put("policies.yaml", POLICIES)
            (mesh.folder / "policies.yaml").touch()
            mesh.put("policies.yaml", f"\n\n# a remark\n{POLICIES.replace('kind:', 'kind:    ')}")
            await it.board.until(lambda: line() > first_line, "the edit to be read", PATIENCE_S)
            await asyncio.to_thread(mesh.osm, "status")
            assert stream.bytes_received == before
            await it.change(lambda: mesh.put("policies.yaml", POLICIES.replace("name: hidden", "name: concealed", 1)))
            assert stream.bytes_received == before  # what does not concern this client is not sent to it either
            more = target(("shop", "more"), http("paths"), to="hidden", sources=[("front", "web")])
            await it.change(lambda: mesh.put("more.yaml", more))
            await stream.until(lambda: HIDDEN in stream.versions[CLUSTER])
            assert stream.bytes_received > before
            await it.change(lambda: mesh.remove("more.yaml"))
            await stream.until(lambda: HIDDEN not in stream.versions[CLUSTER])
        await it.change(lambda: mesh.put("policies.yaml", POLICIES))


async def test_the_node_id_must_be_the_certificates(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        end = await ended(it, OTHER, await proof(it, WEB))
    assert end.code is grpc.StatusCode.PERMISSION_DENIED
    assert f"node.id is '{OTHER}' but the client certificate is of proxy '{WEB}'" in str(end.details)


async def test_a_workloads_own_certificate_is_not_a_proxys(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        leaf = await steal(xds(mesh), WEB, mesh.run_folder / "workloads" / WEB, await roots(it))
        identity = ClientIdentity(
            chain_pem=leaf.chain_pem, key_pem=leaf.key_pem, roots_pem=await roots(it), server_name=SERVER_NAME
        )
        end = await ended(it, WEB, identity)
    assert end.code is grpc.StatusCode.PERMISSION_DENIED
    assert "a proxy's certificate is needed" in str(end.details)


async def forged(it: Outside, *, own_root: bool, age_s: float = 0.0, lifetime_s: int = 3600) -> ClientIdentity:
    """The web proxy's certificate, by the mesh's own root or by another of the same name."""
    now_s, key = time.time() - age_s, make_key()
    if own_root:
        body = (it.mesh.home / "ca" / "root.pem").read_bytes()
        root_key, root = load_key(body), load_chain(body)[0]
    else:
        root_key = make_key()
        root = make_root(root_key, trust_domain="cluster.local", now_s=now_s, lifetime_s=lifetime_s, serial=1)
    profile = profile_of(ProxyClient(identity=WEB_IDENTITY, proxy_id=WEB), "cluster.local")
    certificate = sign(
        profile,
        key.public_key(),
        issuer=root,
        issuer_key=root_key,
        now_s=now_s,
        lifetime_s=lifetime_s,
        serial=random.getrandbits(100),
    )
    return ClientIdentity(
        chain_pem=chain_pem([certificate]).encode(),
        key_pem=key_pem(key),
        roots_pem=await roots(it),
        server_name=SERVER_NAME,
    )


async def test_only_certificates_of_this_mesh_that_are_valid_now_are_taken(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        good = await forged(it, own_root=True)
        async with asyncio.timeout(PATIENCE_S), ads_client(xds(mesh), node_id=WEB, identity=good) as stream:
            await stream.version(CLUSTER, API)  # so it is the root and the time that matter below, and nothing else
        other_root = await ended(it, WEB, await forged(it, own_root=False))
        expired = await ended(it, WEB, await forged(it, own_root=True, age_s=30.0, lifetime_s=20))
        plain = await ended(it, WEB, None)
    assert {other_root.code, expired.code, plain.code} == {grpc.StatusCode.UNAVAILABLE}


async def test_a_certificate_that_expires_ends_its_stream(mesh: MeshProcess) -> None:
    async with outside(mesh) as it:
        short = await forged(it, own_root=True, lifetime_s=8)
        async with asyncio.timeout(PATIENCE_S), ads_client(xds(mesh), node_id=WEB, identity=short) as stream:
            await stream.version(CLUSTER, API)
            end = await stream.end()
    assert end.code is grpc.StatusCode.UNAUTHENTICATED
    assert "expired" in str(end.details)


async def test_without_a_certificate_there_is_no_handshake(mesh: MeshProcess) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    host, _, port = xds(mesh).rpartition(":")
    heard = b""
    try:
        async with asyncio.timeout(30.0):
            reader, writer = await asyncio.open_connection(host, int(port), ssl=context)
            try:
                heard = await reader.read(1)
            finally:
                writer.transport.abort()  # the polite end of TLS may last longer than the test
    except (ssl.SSLError, ConnectionError):
        heard += b""  # refused in so many words: as good as closed without one
    assert heard == b""


async def test_hostile_bytes_harm_nobody(mesh: MeshProcess) -> None:
    """Garbage, half a handshake, requests without measure: the mesh goes on, and its proxies stay connected."""
    async with outside(mesh) as it:
        await it.in_service(WORKLOADS)
        connected = {each.proxy_id: each.connected_at_s for each in it.board.proxies()}
        host, _, port = xds(mesh).rpartition(":")
        chance = random.Random(4)
        for words in (
            chance.randbytes(4096),
            b"GET / HTTP/1.1\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01",
            b"PRI * HTTP/2.0\r\n",
        ):
            for _ in range(10):
                _, writer = await asyncio.open_connection(host, int(port))
                writer.write(words)
                writer.close()
        identity = await proof(it, OTHER)
        names = [f"no-such-cluster-{number:0100}" for number in range(12_000)]
        async with (
            asyncio.timeout(PATIENCE_S),
            ads_client(xds(mesh), node_id=OTHER, identity=identity, subscribe={CLUSTER: names}) as stream,
        ):
            too_large = await stream.end()
        assert too_large.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert await it.status(WEB, URL) == 200
        await it.in_service(WORKLOADS)
        now = {each.proxy_id: each.connected_at_s for each in it.board.proxies()}
        assert {proxy for proxy in now if now[proxy] != connected[proxy]} <= {OTHER}  # whose name the hostile one bore
        assert (await asyncio.to_thread(mesh.osm, "status")).status == 0
        await it.change(lambda: mesh.put("policies.yaml", POLICIES.replace("/good", "/new")))
        assert await it.status(WEB, URL.replace("/good", "/new")) == 200
        await it.change(lambda: mesh.put("policies.yaml", POLICIES))
