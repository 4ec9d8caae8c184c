"""The Go program that plays the benchmark's proxies, before a real server of ours over mutual TLS."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from pathlib import Path

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.config_source_pb2 import AggregatedConfigSource, ConfigSource
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext

from bench.child import Child, ChildFailed, child
from bench.client_certificates import save
from bench.peers.istio_passports import issue
from bench.proxies import Answered, Configured, Cpu, Received
from bench.world import World
from osm.ads.credentials import ServerIdentity
from osm.ads.server import ServerSettings
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER
from osm.testing.xds_server import XdsServer, xds_server

STREAMS = 3
ADS = ConfigSource(ads=AggregatedConfigSource())

Play = Callable[..., AbstractAsyncContextManager[Child]]


@pytest.fixture
def play(proxies: Path, tmp_path: Path) -> Play:
    return lambda xds, *options: child(proxies, *options, tmp_path, f"127.0.0.1:{xds.port}", STREAMS)


@pytest.fixture
def shown(tmp_path: Path) -> ServerIdentity:
    """What a server shows that the proxies trust; their passports are in the folder."""
    passports = issue(World(streams=STREAMS))
    save(tmp_path, passports)
    return ServerIdentity(
        chain_pem=passports.server.chain_pem.encode(),
        key_pem=passports.server.key_pem.encode(),
        client_roots_pem=passports.roots_pem.encode(),
    )


@pytest.fixture
async def xds(shown: ServerIdentity) -> AsyncIterator[XdsServer]:
    async with xds_server(identity=lambda: shown) as xds:
        yield xds


def cluster(*, tls: UpstreamTlsContext | None = None) -> Cluster:
    made = Cluster(name="web", type=Cluster.EDS)
    made.eds_cluster_config.eds_config.CopyFrom(ADS)
    if tls is not None:
        made.transport_socket.name = "tls"
        made.transport_socket.typed_config.Pack(tls)
    return made


def load(*hosts: str) -> ClusterLoadAssignment:
    made = ClusterLoadAssignment(cluster_name="web")
    for host in hosts:
        made.endpoints.add().lb_endpoints.add().endpoint.address.socket_address.address = host
    return made


async def test_every_proxy_asks_under_its_own_name_and_acknowledges_all(play: Play, xds: XdsServer) -> None:
    xds.put(cluster(), load("10.0.0.1"), Listener(name="in"))
    async with play(xds) as clients:
        configured = await clients.answer(Configured)
        await xds.acked()
        assert {stream.node_id for stream in xds.streams.values()} == {f"proxy-{at}.bench" for at in range(STREAMS)}
        assert sorted(set(xds.acks)) == sorted(
            (f"proxy-{at}.bench", type_url) for at in range(STREAMS) for type_url in (CLUSTER, ENDPOINT, LISTENER)
        )
        assert configured.began_s < configured.done_s <= time.monotonic()
        assert (await clients.ask(Cpu, "cpu")).cpu_s > 0


async def test_a_proxy_is_configured_when_what_a_cluster_refers_to_has_come(play: Play, xds: XdsServer) -> None:
    xds.put(cluster(), Listener(name="in"))
    async with play(xds) as clients:
        await xds.until(lambda: xds.acks.count(("proxy-0.bench", CLUSTER)) == 1)
        given_s = time.monotonic()
        xds.put(load("10.0.0.1"))
        assert (await clients.answer(Configured)).done_s > given_s


async def test_what_is_sought_is_answered_when_the_last_has_acknowledged_it(play: Play, xds: XdsServer) -> None:
    xds.put(cluster(), load("10.0.0.1"), Listener(name="in"))
    async with play(xds) as clients:
        await clients.answer(Configured)
        await xds.acked()
        before = await clients.ask(Received, "arm", sought="10.0.0.3")
        xds.put(load("10.0.0.2"))
        await xds.acked()
        given_s = time.monotonic()
        xds.put(load("10.0.0.3"))
        after = await clients.ask(Answered, "answered")
        assert after.answered_s > given_s
        assert after.pushes >= before.pushes + 2 * STREAMS
        assert after.bytes > before.bytes


async def test_more_may_come_than_a_server_may_send_ahead(play: Play, xds: XdsServer) -> None:
    xds.put(cluster(), load("10.0.0.1"), Listener(name="in"))
    async with play(xds) as clients:
        await clients.answer(Configured)
        for at in range(20):
            xds.put(load(*(f"10.{at}.{number // 256}.{number % 256}" for number in range(40_000))))
            await xds.acked()
        received = await clients.ask(Received, "received")
        assert received.bytes > STREAMS * 16 * 2**20


async def test_istios_proxies_say_who_they_are_and_ask_for_no_secret(play: Play, xds: XdsServer) -> None:
    own = SdsSecretConfig(name="default", sds_config=ADS)
    tls = UpstreamTlsContext(common_tls_context=CommonTlsContext(tls_certificate_sds_secret_configs=[own]))
    xds.put(cluster(tls=tls), load("10.0.0.1"), Listener(name="in"))
    async with play(xds, "-istio", "-a-second", 50) as clients:
        await clients.answer(Configured)
        assert {stream.node_id for stream in xds.streams.values()} == {
            f"sidecar~10.250.0.{at}~proxy-{at}.bench~bench.svc.cluster.local" for at in range(STREAMS)
        }


async def test_a_configured_proxy_that_loses_its_stream_ends_the_program(play: Play, shown: ServerIdentity) -> None:
    async with AsyncExitStack() as held:
        async with xds_server(identity=lambda: shown) as xds:
            xds.put(cluster(), load("10.0.0.1"), Listener(name="in"))
            clients = await held.enter_async_context(play(xds))
            await clients.answer(Configured)
        with pytest.raises(ChildFailed, match="with code 1"):
            await clients.answer(Cpu)


async def test_a_proxy_that_is_not_configured_comes_back(play: Play, shown: ServerIdentity) -> None:
    async with AsyncExitStack() as held:
        async with xds_server(identity=lambda: shown) as xds:
            xds.put(cluster(), Listener(name="in"))
            clients = await held.enter_async_context(play(xds))
            await xds.until(lambda: len(xds.acks) >= STREAMS)
        settings = ServerSettings(address=f"127.0.0.1:{xds.port}")
        async with xds_server(identity=lambda: shown, settings=settings) as again:
            again.put(cluster(), load("10.0.0.1"), Listener(name="in"))
            await clients.answer(Configured)


async def test_a_server_that_no_root_vouches_for_is_told_nothing(play: Play, shown: ServerIdentity) -> None:
    stranger = issue(World(streams=0)).server
    asked: list[ServerIdentity] = []

    def posing() -> ServerIdentity:
        """A stranger's until everybody has been there; the server itself asks first."""
        own = ServerIdentity(
            chain_pem=stranger.chain_pem.encode(),
            key_pem=stranger.key_pem.encode(),
            client_roots_pem=shown.client_roots_pem,
        )
        asked.append(own if len(asked) <= STREAMS else shown)
        return asked[-1]

    async with xds_server(identity=posing) as xds, play(xds) as clients:
        await clients.answer(Configured)
        assert len(asked) > 2 * STREAMS
        assert len(xds.streams) == STREAMS
