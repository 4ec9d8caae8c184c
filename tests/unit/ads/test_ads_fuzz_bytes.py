"""Raw bytes at the port, and strangers at the door: they get nothing, and nothing of them stays."""

import asyncio
import random
import ssl
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from grpc import aio

from osm.ads.types import CLUSTER
from osm.contracts.names import Identity
from osm.testing.ads_client import ClientIdentity, ads_client
from osm.testing.authority import HOUR_S, SERVER_NAME, Authority
from osm.testing.xds_server import EVERYONE, xds_server
from services.xds.admission import admit

WEB = Identity("shop", "web")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
EMPTY_SETTINGS = bytes.fromhex("000000040000000000")
CLIENT_HELLO = bytes.fromhex("16030100c8010000c40303")
BEGINNINGS = (b"", PREFACE, PREFACE + EMPTY_SETTINGS, CLIENT_HELLO, b"GET / HTTP/1.1\r\n\r\n")
ROUNDS = 200


def junk(seed):
    """The same for the same seed."""
    chance = random.Random(seed)
    return chance.choice(BEGINNINGS) + chance.randbytes(chance.choice((0, 1, 9, 100, 5000, 70_000)))


def frame(chance):
    """An HTTP/2 frame with a right length and a wrong everything."""
    body = chance.randbytes(chance.choice((0, 4, 8, 200)))
    kind, flags, stream = chance.randrange(12), chance.randrange(256), chance.randrange(6)
    return len(body).to_bytes(3) + bytes((kind, flags)) + stream.to_bytes(4) + body


async def shout(port, data, context=None):
    """Say it, read what comes for a moment, and go."""
    with suppress(OSError, ssl.SSLError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
        try:
            writer.write(data)
            with suppress(TimeoutError):
                async with asyncio.timeout(0.05):
                    await reader.read()
        finally:
            writer.transport.abort()


def descriptors():
    return len(list(Path("/dev/fd").iterdir()))


async def until(predicate):
    async with asyncio.timeout(30):
        while not predicate():
            await asyncio.sleep(0.02)


def only_proxies(peer, node_id):
    admit(peer.uris, node_id, "cluster.local")
    return EVERYONE


@pytest.mark.parametrize("secured", [False, True])
async def test_random_bytes_at_the_port_leave_nothing_and_disturb_nobody(secured):
    authority = Authority()
    shown = authority.server()
    proxy = authority.proxy("p-1", WEB)
    async with xds_server(identity=(lambda: shown) if secured else None) as xds:
        xds.put(cluster_pb2.Cluster(name="web"))
        where, identity = f"127.0.0.1:{xds.port}", proxy if secured else None
        async with ads_client(where, identity=identity) as bystander:
            await bystander.version(CLUSTER, "web")
            await shout(xds.port, b"")
            before, tasks = descriptors(), len(asyncio.all_tasks())
            for start in range(0, ROUNDS, 20):
                await asyncio.gather(*(shout(xds.port, junk(seed)) for seed in range(start, start + 20)))
            await until(lambda: descriptors() <= before)
            await until(lambda: xds.open_streams == 1)
            await until(lambda: len(asyncio.all_tasks()) <= tasks)
            xds.put(cluster_pb2.Cluster(name="still"))
            await bystander.version(CLUSTER, "still")


async def test_random_frames_from_one_with_a_valid_certificate_disturb_nobody(tmp_path):
    authority = Authority()
    shown = authority.server()
    proxy = authority.proxy("p-1", WEB)
    context = tls_context(tmp_path, proxy)
    async with xds_server(identity=lambda: shown) as xds:
        xds.put(cluster_pb2.Cluster(name="web"))
        async with ads_client(f"127.0.0.1:{xds.port}", identity=proxy) as bystander:
            await bystander.version(CLUSTER, "web")
            before = descriptors()
            for start in range(0, 100, 10):
                talks = []
                for seed in range(start, start + 10):
                    chance = random.Random(seed)
                    frames = b"".join(frame(chance) for _ in range(chance.randrange(1, 20)))
                    talks.append(shout(xds.port, PREFACE + EMPTY_SETTINGS + frames, context))
                await asyncio.gather(*talks)
            await until(lambda: descriptors() <= before)
            await until(lambda: xds.open_streams == 1)
            xds.put(cluster_pb2.Cluster(name="still"))
            await bystander.version(CLUSTER, "still")


def tls_context(folder, identity):
    (folder / "pair.pem").write_bytes(identity.chain_pem + identity.key_pem)
    context = ssl.create_default_context(cadata=identity.roots_pem.decode())
    context.check_hostname = False
    context.load_cert_chain(folder / "pair.pem")
    context.set_alpn_protocols(["h2"])
    return context


def strangers(home):
    """Who must get nothing, by why."""
    elsewhere, known = Authority(), home.proxy("p-1", WEB)
    foreign = elsewhere.proxy("p-1", WEB)
    return {
        "expired": home.proxy("p-1", WEB, lifetime_s=60, age_s=HOUR_S),
        "of another root": ClientIdentity(
            chain_pem=foreign.chain_pem, key_pem=foreign.key_pem, roots_pem=known.roots_pem, server_name=SERVER_NAME
        ),
        "a workload's": home.workload(WEB),
        "another proxy's": home.proxy("p-2", WEB),
    }


@pytest.mark.parametrize("why", ["expired", "of another root", "a workload's", "another proxy's"])
async def test_a_certificate_that_is_not_this_proxys_gets_nothing(why):
    authority = Authority()
    shown = authority.server()
    identity = strangers(authority)[why]
    async with xds_server(identity=lambda: shown, authorize=only_proxies) as xds:
        xds.put(cluster_pb2.Cluster(name="web"))
        async with ads_client(f"127.0.0.1:{xds.port}", node_id="p-1", identity=identity) as client:
            ended = await client.end()
        assert ended.code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.PERMISSION_DENIED)
        assert client.pushes_received == 0
        assert not xds.streams
        await until(lambda: xds.open_streams == 0)
        async with ads_client(f"127.0.0.1:{xds.port}", node_id="p-1", identity=authority.proxy("p-1", WEB)) as client:
            await client.version(CLUSTER, "web")


async def test_a_proxy_of_another_mesh_with_the_same_root_gets_nothing():
    """Where meshes share an outer root: the trust domain in the certificate decides."""
    authority = Authority("other.mesh")
    shown = authority.server()
    identity = authority.proxy("p-1", WEB)
    async with xds_server(identity=lambda: shown, authorize=only_proxies) as xds:
        xds.put(cluster_pb2.Cluster(name="web"))
        async with ads_client(f"127.0.0.1:{xds.port}", node_id="p-1", identity=identity) as client:
            ended = await client.end()
        assert ended.code is grpc.StatusCode.PERMISSION_DENIED
        assert "'other.mesh'" in ended.details
        assert client.pushes_received == 0


async def test_a_client_without_a_certificate_gets_nothing():
    authority = Authority()
    shown = authority.server()
    credentials = grpc.ssl_channel_credentials(authority.roots_pem)
    options = [("grpc.ssl_target_name_override", SERVER_NAME)]
    async with xds_server(identity=lambda: shown, authorize=only_proxies) as xds:
        xds.put(cluster_pb2.Cluster(name="web"))
        async with aio.secure_channel(f"127.0.0.1:{xds.port}", credentials, options=options) as connection:
            call = connection.stream_stream(
                "/envoy.service.discovery.v3.AggregatedDiscoveryService/DeltaAggregatedResources"
            )()
            with pytest.raises(aio.AioRpcError):
                await call.read()
            assert await call.code() is grpc.StatusCode.UNAVAILABLE
        assert xds.open_streams == 0
