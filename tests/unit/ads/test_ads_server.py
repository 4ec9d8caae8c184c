"""The gRPC shell: what goes over real sockets, and what ends a stream."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.config.listener.v3 import listener_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.any_pb2 import Any as PackedAny
from grpc import aio

from osm.ads import grpc_stream, server, stream
from osm.ads.credentials import ServerIdentity
from osm.ads.peer import Denied
from osm.ads.server import ServerSettings
from osm.ads.stream import MAX_TYPES
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER
from osm.testing.ads_client import DELTA_METHOD, ClientIdentity, ads_client, channel
from osm.testing.ads_status import StreamEnded, ending
from osm.testing.xds_server import EVERYONE, resource_of, xds_server

PROXY = "spiffe://cluster.local/ns/shop/sa/web/proxy/1"


def cluster(name, seconds=1):
    message = cluster_pb2.Cluster(name=name, type=cluster_pb2.Cluster.EDS)
    message.connect_timeout.seconds = seconds
    message.eds_cluster_config.eds_config.ads.SetInParent()
    return message


def endpoints(name, priority=0):
    return endpoint_pb2.ClusterLoadAssignment(cluster_name=name, endpoints=[{"priority": priority}])


def target(xds):
    return f"127.0.0.1:{xds.port}"


class Authority:
    """A root, and certificates signed by it."""

    def __init__(self):
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._sign("root", self.key.public_key(), x509.BasicConstraints(True, None))
        self.identity = None
        self.pem = self.certificate.public_bytes(serialization.Encoding.PEM)

    def issue(self, *names, lifetime=timedelta(hours=1)):
        """Chain and key, both PEM, for DNS names or URIs."""
        key = ec.generate_private_key(ec.SECP256R1())
        sans = [x509.UniformResourceIdentifier(n) if "://" in n else x509.DNSName(n) for n in names]
        signed = self._sign("leaf", key.public_key(), x509.SubjectAlternativeName(sans), lifetime)
        private = key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return signed.public_bytes(serialization.Encoding.PEM), private

    def server(self):
        """Always the same, as a server's identity is."""
        if self.identity is None:
            chain, key = self.issue("xds.test")
            self.identity = ServerIdentity(chain_pem=chain, key_pem=key, client_roots_pem=self.pem)
        return self.identity

    def client(self, *names, lifetime=timedelta(hours=1)):
        chain, key = self.issue(*names, lifetime=lifetime)
        return ClientIdentity(chain_pem=chain, key_pem=key, roots_pem=self.pem, server_name="xds.test")

    def _sign(self, name, public_key, extension, lifetime=timedelta(hours=1)):
        now = datetime.now(UTC)
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
            .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "root")]))
            .public_key(public_key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(minutes=1))
            .not_valid_after(now + lifetime)
            .add_extension(extension, critical=isinstance(extension, x509.BasicConstraints))
        )
        if name != "root":
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        return builder.sign(self.key, hashes.SHA256())


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.mark.parametrize("delta", [True, False])
async def test_a_client_receives_clusters_then_endpoints_and_later_only_what_changed(delta):
    async with xds_server() as xds:
        xds.put(cluster("web"), endpoints("web"))
        async with ads_client(target(xds), delta=delta) as client:
            await client.version(ENDPOINT, "web")
            await xds.acked()
            before = client.pushes_received
            xds.put(endpoints("web", priority=1))
            await client.until(lambda: client.pushes_received > before)
            await xds.acked()
            assert client.messages[ENDPOINT]["web"].endpoints[0].priority == 1
            assert client.pushes_received == before + 1


@pytest.mark.parametrize("delta", [True, False])
async def test_what_is_removed_is_gone(delta):
    async with xds_server() as xds:
        xds.put(cluster("web"), endpoints("web"), cluster("old"), endpoints("old"))
        async with ads_client(target(xds), delta=delta) as client:
            await client.version(ENDPOINT, "old")
            xds.remove(CLUSTER, "old")
            xds.remove(ENDPOINT, "old")
            await client.gone(CLUSTER, "old")
            await client.gone(ENDPOINT, "old")
            await xds.acked()
            assert client.versions[CLUSTER].keys() == client.versions[ENDPOINT].keys() == {"web"}


async def test_a_client_that_comes_back_with_what_it_holds_is_sent_nothing_but_news():
    async with xds_server() as xds:
        xds.put(cluster("web"), endpoints("web"))
        async with ads_client(target(xds)) as client:
            await client.version(ENDPOINT, "web")
            await xds.acked()
            held = client.versions
        xds.put(cluster("more"), endpoints("more"))
        asking = {CLUSTER: (), ENDPOINT: ("web",)}
        async with ads_client(target(xds), subscribe=asking, initial_versions=held) as client:
            await client.version(ENDPOINT, "more")
            await xds.acked()
            assert [list(received.versions) for received in client.received] == [["more"], ["more"]]


async def test_five_thousand_initial_versions_fit_into_a_request():
    held = {f"outbound|{i}|{'n' * 120}": "0123456789abcdef" for i in range(5000)}
    async with (
        xds_server() as xds,
        ads_client(target(xds), subscribe={LISTENER: ()}, initial_versions={LISTENER: held}) as client,
    ):
        await client.until(lambda: client.pushes_received > 0)
        assert len(client.received[0].removed) == 5000


async def test_a_rejection_is_reported_with_its_names_and_words():
    async with xds_server() as xds:
        xds.put(cluster("bad"), cluster("fine"))
        async with ads_client(target(xds)) as client:
            client.reject = lambda got: "cluster(s) bad: no" if "bad" in got.versions else None
            await client.version(CLUSTER, "fine")
            await xds.acked()
            [rejection] = xds.rejections
            assert (rejection.type_url, rejection.names, rejection.detail) == (
                CLUSTER,
                ("bad",),
                "cluster(s) bad: no",
            )
            assert client.versions[CLUSTER].keys() == {"fine"}


async def test_nodes_get_the_resources_of_their_group_and_move_with_it():
    async with xds_server(group_of=lambda node: node[0]) as xds:
        xds.put(cluster("for-a"), group="a")
        xds.put(cluster("for-b"), group="b")
        async with ads_client(target(xds), node_id="a1") as client:
            await client.version(CLUSTER, "for-a")
            [stream] = xds.streams
            xds.engine.move(stream, "b")
            await client.version(CLUSTER, "for-b")
            await client.gone(CLUSTER, "for-a")


async def test_a_held_proxy_is_sent_nothing_until_it_is_released():
    async with xds_server(group_of=lambda _node: None) as xds:
        xds.put(cluster("web"))
        async with ads_client(target(xds)) as client:
            await xds.until(lambda: xds.streams)
            xds.put(cluster("more"))
            await asyncio.sleep(0.1)
            assert client.pushes_received == 0
            xds.engine.move(next(iter(xds.streams)), EVERYONE)
            await client.version(CLUSTER, "web")


async def test_a_type_has_a_service_of_its_own_and_need_not_be_named_there():
    method = "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters"
    async with xds_server() as xds, aio.insecure_channel(target(xds)) as channel:
        xds.put(cluster("web"), endpoints("web"))
        call = channel.stream_stream(method)()
        await call.write(discovery_pb2.DeltaDiscoveryRequest(node={"id": "n"}).SerializeToString())
        response = discovery_pb2.DeltaDiscoveryResponse.FromString(await call.read())
        assert (response.type_url, [r.name for r in response.resources]) == (CLUSTER, ["web"])
        call.cancel()


# What ends a stream


def raw(xds_channel, method=DELTA_METHOD):
    return xds_channel.stream_stream(method)()


async def status_after(xds, *messages, method=DELTA_METHOD):
    """The status with which the server ends a stream that says these bytes."""
    async with aio.insecure_channel(target(xds)) as channel:
        call = raw(channel, method)
        status = ending(call)
        with suppress(aio.AioRpcError, asyncio.InvalidStateError):  # the end may come while a write is under way
            for message in messages:
                await call.write(message)
        with suppress(aio.AioRpcError):
            while isinstance(await call.read(), bytes):
                continue
        ended = await status
        return ended.code, ended.details


def request(**fields):
    fields = {"node": {"id": "n"}, "type_url": CLUSTER} | fields
    return discovery_pb2.DeltaDiscoveryRequest(**fields).SerializeToString()


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (b"\xff\xff\xff", "not a DeltaDiscoveryRequest"),
        (request(node={}), "node.id is empty"),
        (request(type_url=""), "type_url is empty"),
    ],
)
async def test_nonsense_ends_its_own_stream_only_and_says_why(message, says):
    async with xds_server() as xds:
        xds.put(cluster("web"))
        async with ads_client(target(xds)) as bystander:
            await bystander.version(CLUSTER, "web")
            code, details = await status_after(xds, message)
            assert code is grpc.StatusCode.INVALID_ARGUMENT
            assert says in details
            xds.put(cluster("still"))
            await bystander.version(CLUSTER, "still")


async def test_a_type_asked_for_at_another_types_service_is_refused():
    method = "/envoy.service.endpoint.v3.EndpointDiscoveryService/DeltaEndpoints"
    async with xds_server() as xds:
        code, details = await status_after(xds, request(), method=method)
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert "serves" in details


async def test_a_request_over_the_limit_ends_the_stream():
    settings = ServerSettings(max_request_bytes=1000)
    async with xds_server(settings=settings) as xds:
        code, details = await status_after(xds, request(resource_names_subscribe=["n" * 2000]))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert "1000" in details


async def test_too_many_types_end_the_stream():
    async with xds_server() as xds:
        code, _ = await status_after(xds, *(request(type_url=f"t{i}") for i in range(MAX_TYPES + 1)))
        assert code is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_a_silent_stream_is_closed(monkeypatch):
    monkeypatch.setattr(grpc_stream, "FIRST_REQUEST_DEADLINE_S", 0.1)
    async with xds_server() as xds:
        code, _ = await status_after(xds)
        assert code is grpc.StatusCode.DEADLINE_EXCEEDED


async def test_a_stream_that_has_spoken_may_be_silent(monkeypatch):
    monkeypatch.setattr(grpc_stream, "FIRST_REQUEST_DEADLINE_S", 0.2)
    monkeypatch.setattr(server, "WATCH_INTERVAL_S", 0.02)
    async with xds_server() as xds:
        xds.put(cluster("web"))
        async with ads_client(target(xds)) as client:
            await client.version(CLUSTER, "web")
            await asyncio.sleep(0.5)
            assert xds.disconnections == []


async def test_what_waits_for_clusters_is_sent_in_time_though_nobody_says_a_word(monkeypatch):
    monkeypatch.setattr(stream, "WARMING_PATIENCE_S", 0.1)
    monkeypatch.setattr(server, "WATCH_INTERVAL_S", 0.02)
    async with xds_server() as xds:
        xds.put(cluster("web"), listener_pb2.Listener(name="in"))
        async with ads_client(target(xds)) as client:
            client.silent_types.add(CLUSTER)
            async with asyncio.timeout(30):
                await client.version(LISTENER, "in")


async def test_a_proxy_that_does_not_read_is_dropped_and_others_are_served(monkeypatch):
    monkeypatch.setattr(server, "WATCH_INTERVAL_S", 0.05)
    settings = ServerSettings(write_deadline_s=5.0)  # longer than who reads may take for 8 MB
    no_read_ahead = [("grpc.http2.bdp_probe", 0)]
    async with (
        xds_server(settings=settings) as xds,
        aio.insecure_channel(target(xds), options=no_read_ahead) as channel,
    ):
        big = cluster("big")
        big.alt_stat_name = "x" * 8_000_000
        xds.put(big)
        call = raw(channel)
        await call.write(request())
        await xds.until(lambda: xds.disconnections)
        assert xds.disconnections == [("n", "the proxy has not read a response for 5 s")]
        async with ads_client(target(xds)) as reader:
            await reader.version(CLUSTER, "big")
        call.cancel()


async def test_stopping_ends_streams_with_a_reason_and_in_time():
    async with xds_server() as xds:
        client_context = ads_client(target(xds))
        client = await client_context.__aenter__()
        await xds.until(lambda: xds.streams)
        ending = asyncio.ensure_future(client.end())
    ended = await ending
    await client_context.__aexit__(None, None, None)
    assert (ended.code, ended.details) == (grpc.StatusCode.UNAVAILABLE, "the server is stopping")


async def test_a_proxy_that_leaves_is_reported_and_owes_nothing():
    async with xds_server() as xds:
        xds.put(cluster("web"))
        async with ads_client(target(xds)) as client:
            client.silent_types.add(CLUSTER)
            await client.version(CLUSTER, "web")
            assert len(xds.engine.behind()) == 1
        await xds.until(lambda: xds.disconnections)
        await xds.acked()
        assert xds.streams == {}


# Mutual TLS


def only_proxy_one(peer, node_id):
    if PROXY not in peer.uris or node_id != "1":
        raise Denied(f"node.id is {node_id!r}; the certificate says {peer.uris[0]}")
    return EVERYONE


async def test_the_verified_certificate_decides_who_may_connect(authority):
    async with xds_server(identity=authority.server, authorize=only_proxy_one) as xds:
        xds.put(cluster("web"))
        async with ads_client(target(xds), node_id="1", identity=authority.client(PROXY)) as client:
            await client.version(CLUSTER, "web")
            [stream] = xds.streams.values()
            assert stream.peer.uris == (PROXY,)
        async with ads_client(target(xds), node_id="2", identity=authority.client(PROXY)) as client:
            ended = await client.end()
            assert ended.code is grpc.StatusCode.PERMISSION_DENIED
            assert ended.details == f"node.id is '2'; the certificate says {PROXY}"


async def test_a_certificate_of_another_root_is_refused(authority):
    stranger = Authority().client(PROXY)
    identity = ClientIdentity(
        chain_pem=stranger.chain_pem,
        key_pem=stranger.key_pem,
        roots_pem=authority.pem,
        server_name="xds.test",
    )
    async with (
        xds_server(identity=authority.server) as xds,
        ads_client(target(xds), identity=identity) as client,
    ):
        assert (await client.end()).code is grpc.StatusCode.UNAVAILABLE
        assert xds.streams == {}


# A proxy that comes back while its old stream is not noticed to be broken


@pytest.fixture
def impatient(monkeypatch):
    """An older stream that owes an answer is given up within a fraction of a second."""
    monkeypatch.setattr(server, "WATCH_INTERVAL_S", 0.02)
    monkeypatch.setattr(grpc_stream, "OLDER_STREAM_PATIENCE_S", 0.05)


GIVEN_UP_S = 0.5
"""Long after which that would have happened."""


@pytest.mark.parametrize("delta", [True, False])
async def test_an_older_stream_of_a_proxy_that_owes_an_answer_is_ended_with_a_reason(authority, impatient, delta):
    async with xds_server(identity=authority.server) as xds:
        xds.put(cluster("web"))
        async with ads_client(target(xds), node_id="1", identity=authority.client(PROXY), delta=delta) as old:
            old.silent_types.add(CLUSTER)
            await old.version(CLUSTER, "web")
            async with ads_client(target(xds), node_id="1", identity=authority.client(PROXY)) as new:
                ended = await old.end()
                assert ended.code is grpc.StatusCode.ABORTED
                assert "another stream" in ended.details
                await xds.acked()
                assert xds.disconnections == [("1", ended.details)]
                xds.put(cluster("more"))
                await new.version(CLUSTER, "more")


async def test_an_older_stream_that_answers_stays(authority, impatient):
    async with (
        xds_server(identity=authority.server) as xds,
        ads_client(target(xds), node_id="1", identity=authority.client(PROXY)) as one,
        ads_client(target(xds), node_id="1", identity=authority.client(PROXY)) as two,
    ):
        for name in ("web", "more"):
            xds.put(cluster(name))
            for client in (one, two):
                await client.version(CLUSTER, name)
            await asyncio.sleep(GIVEN_UP_S)
        assert xds.disconnections == []


async def test_a_stream_that_has_no_newer_one_may_take_its_time(authority, impatient):
    async with (
        xds_server(identity=authority.server) as xds,
        ads_client(target(xds), node_id="1", identity=authority.client(PROXY)) as only,
    ):
        only.silent_types.add(CLUSTER)
        xds.put(cluster("web"))
        await only.version(CLUSTER, "web")
        await asyncio.sleep(GIVEN_UP_S)
        assert xds.disconnections == []


class Wire:
    """Between a client and the server. Once cut it carries nothing either way, and tells neither of them."""

    def __init__(self, port):
        self._server_port = port
        self._is_cut = False
        self._tasks = []
        self._writers = []

    async def __aenter__(self):
        self._listener = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        host, port = self._listener.sockets[0].getsockname()
        return self, f"{host}:{port}"

    async def __aexit__(self, *_why):
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in self._writers:
            writer.transport.abort()
        self._listener.close()

    def cut(self):
        self._is_cut = True

    async def _connect(self, reader, writer):
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._server_port)
        self._writers += [writer, there_writer]
        ways = ((reader, there_writer), (there_reader, writer))
        self._tasks += [asyncio.ensure_future(self._carry(*way)) for way in ways]

    async def _carry(self, reader, writer):
        with suppress(OSError):
            while data := await reader.read(65536):
                if not self._is_cut:
                    writer.write(data)


async def test_a_stream_whose_peer_has_vanished_holds_nothing_back_once_its_proxy_is_here_again(authority, impatient):
    identity = authority.client(PROXY)
    async with (
        xds_server(identity=authority.server) as xds,
        Wire(xds.port) as (wire, address),
        ads_client(address, node_id="1", identity=identity) as vanished,
    ):
        xds.put(cluster("web"))
        await vanished.version(CLUSTER, "web")
        await xds.acked()
        wire.cut()
        async with ads_client(target(xds), node_id="1", identity=identity) as new:
            xds.put(cluster("web", seconds=2))
            await new.version(CLUSTER, "web", resource_of(cluster("web", seconds=2)).version)
            async with asyncio.timeout(30):
                await xds.acked()
                while xds.open_streams > 1:
                    await asyncio.sleep(0.01)
            assert len(xds.streams) == 1


@pytest.mark.parametrize(
    ("node_id", "uri"),
    [("2", PROXY), ("1", PROXY + "2")],
    ids=["another node id", "another certificate"],
)
async def test_another_proxy_takes_nobodys_place(authority, impatient, node_id, uri):
    async with (
        xds_server(identity=authority.server) as xds,
        ads_client(target(xds), node_id="1", identity=authority.client(PROXY)) as one,
        ads_client(target(xds), node_id=node_id, identity=authority.client(uri)) as two,
    ):
        await nobody_is_given_up(xds, one, two)


async def test_who_has_proven_nothing_takes_nobodys_place(impatient):
    async with xds_server() as xds, ads_client(target(xds)) as one, ads_client(target(xds)) as two:
        await nobody_is_given_up(xds, one, two)


async def test_who_has_a_certificate_without_a_name_takes_nobodys_place(authority, impatient):
    identity = authority.client("only.a.host")
    async with (
        xds_server(identity=authority.server) as xds,
        ads_client(target(xds), identity=identity) as one,
        ads_client(target(xds), identity=identity) as two,
    ):
        await nobody_is_given_up(xds, one, two)


async def nobody_is_given_up(xds, one, two):
    one.silent_types.add(CLUSTER)
    xds.put(cluster("web"))
    for client in (one, two):
        await client.version(CLUSTER, "web")
    await asyncio.sleep(GIVEN_UP_S)
    assert xds.disconnections == []


async def test_a_proxy_may_have_several_streams_of_one_type_beside_that_for_all(authority, impatient):
    identity = authority.client(PROXY)
    method = "/envoy.service.cluster.v3.ClusterDiscoveryService/DeltaClusters"
    async with (
        xds_server(identity=authority.server) as xds,
        ads_client(target(xds), node_id="1", identity=identity) as client,
        channel(target(xds), identity) as connection,
    ):
        client.silent_types.add(CLUSTER)
        calls = [raw(connection, method) for _ in range(2)]
        for call in calls:
            await call.write(request(node={"id": "1"}, type_url=""))
        await xds.until(lambda: len(xds.streams) == 3)
        xds.put(cluster("web"))
        await client.version(CLUSTER, "web")
        await asyncio.sleep(GIVEN_UP_S)
        assert len(xds.engine.behind()) == 3
        assert xds.disconnections == []
        for call in calls:
            call.cancel()


class InTwoHours(datetime):
    """The wall clock, when a certificate of an hour has long expired."""

    @classmethod
    def now(cls, tz=None):
        return super().now(tz) + timedelta(hours=2)


async def test_a_stream_ends_when_its_certificate_expires(authority, monkeypatch):
    monkeypatch.setattr(server, "WATCH_INTERVAL_S", 0.05)
    async with xds_server(identity=authority.server) as xds:
        xds.put(cluster("web"))
        async with ads_client(target(xds), identity=authority.client(PROXY, lifetime=timedelta(hours=1))) as client:
            await client.version(CLUSTER, "web")
            monkeypatch.setattr(server, "datetime", InTwoHours)
            ended = await client.end()
            assert ended.code is grpc.StatusCode.UNAUTHENTICATED
            assert "expired at" in ended.details


async def test_a_new_server_certificate_is_used_by_the_next_connection(authority):
    other = Authority()
    current = authority.server()
    async with xds_server(identity=lambda: current) as xds:
        xds.put(cluster("web"))
        async with ads_client(target(xds), node_id="old", identity=authority.client(PROXY)) as old:
            await old.version(CLUSTER, "web")
            current = other.server()
            async with ads_client(target(xds), identity=other.client(PROXY)) as new:
                await new.version(CLUSTER, "web")
            xds.put(cluster("more"))
            await old.version(CLUSTER, "more")


async def test_waiting_for_what_cannot_come_raises_when_the_stream_ends(authority):
    async with (
        xds_server(identity=authority.server, authorize=only_proxy_one) as xds,
        ads_client(target(xds), node_id="9", identity=authority.client(PROXY)) as client,
    ):
        with pytest.raises(StreamEnded, match="PERMISSION_DENIED"):
            await client.version(CLUSTER, "web")


def test_a_packed_resource_is_what_protobuf_would_pack():
    packed = PackedAny()
    packed.Pack(cluster("web"), deterministic=True)
    assert resource_of(cluster("web")).body == packed.SerializeToString(deterministic=True)
