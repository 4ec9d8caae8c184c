"""The gRPC shell: what goes over real sockets, and what ends a stream."""

import asyncio
from contextlib import suppress

import grpc
import pytest
from envoy.config.listener.v3 import listener_pb2
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.any_pb2 import Any as PackedAny
from grpc import aio

from osm.ads import grpc_stream, server, stream
from osm.ads.server import ServerSettings
from osm.ads.stream import MAX_TYPES
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER
from osm.testing.ads_client import DELTA_METHOD, ads_client
from osm.testing.ads_status import ending
from osm.testing.xds_server import EVERYONE, resource_of, xds_server
from tests.unit.ads.over_grpc import cluster, endpoints, raw, request, target


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


def test_a_packed_resource_is_what_protobuf_would_pack():
    packed = PackedAny()
    packed.Pack(cluster("web"), deterministic=True)
    assert resource_of(cluster("web")).body == packed.SerializeToString(deterministic=True)
