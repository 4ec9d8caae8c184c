"""The rules of Envoy's xDS protocol page once more, over real gRPC streams: what a client says and what it is sent.

The machine alone is tested rule by rule in `test_ads_delta_*` and `test_ads_protocol_sotw`; here nothing between it and
the client is left out.
"""

import asyncio
from contextlib import asynccontextmanager

import grpc
import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import Secret
from envoy.service.discovery.v3.discovery_pb2 import (
    DeltaDiscoveryRequest,
    DeltaDiscoveryResponse,
    DiscoveryRequest,
    DiscoveryResponse,
)
from grpc import aio

from osm.ads.methods import METHODS
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, WILDCARD
from osm.testing.ads_client import DELTA_METHOD, SOTW_METHOD
from osm.testing.ads_references import unpack
from osm.testing.xds_server import xds_server

UNKNOWN = "type.googleapis.com/envoy.service.runtime.v3.Runtime"
PATIENCE_S = 30
MADE = {
    CLUSTER: Cluster(name="a"),
    ENDPOINT: ClusterLoadAssignment(cluster_name="a"),
    LISTENER: Listener(name="a"),
    ROUTE: RouteConfiguration(name="a"),
    SECRET: Secret(name="a"),
}


def cluster(name, seconds=1):
    made = Cluster(name=name)
    made.connect_timeout.seconds = seconds
    return made


class Delta:
    """One stream. The node is named in its first message only."""

    request, response = DeltaDiscoveryRequest, DeltaDiscoveryResponse

    def __init__(self, call):
        self.call = call
        self._node = {"id": "n"}

    async def say(self, **fields):
        if self._node is not None:
            fields["node"], self._node = self._node, None
        await self.call.write(self.request(**fields).SerializeToString())

    async def ask(self, type_url, *names, leave=(), held=None, nonce=""):
        await self.say(
            type_url=type_url,
            resource_names_subscribe=names,
            resource_names_unsubscribe=leave,
            initial_resource_versions=held or {},
            response_nonce=nonce,
        )

    async def receive(self):
        async with asyncio.timeout(PATIENCE_S):
            data = await self.call.read()
        assert isinstance(data, bytes), f"the stream has ended: {await self.call.code()}"
        return self.response.FromString(data)

    async def ack(self, got, error=None):
        about = {} if error is None else {"error_detail": {"code": 3, "message": error}}
        await self.say(type_url=got.type_url, response_nonce=got.nonce, **about)

    async def told(self):
        """The next response, acknowledged: names that came and names that went."""
        got = await self.receive()
        await self.ack(got)
        return [each.name for each in got.resources], list(got.removed_resources)


class Sotw(Delta):
    request, response = DiscoveryRequest, DiscoveryResponse

    async def ask(self, type_url, *names, nonce="", version=""):
        await self.say(type_url=type_url, resource_names=names, response_nonce=nonce, version_info=version)

    def names(self, got):
        return [message.name for message in map(unpack, got.resources)]


@asynccontextmanager
async def talking(*resources, method=DELTA_METHOD, kind=Delta):
    async with xds_server() as xds, aio.insecure_channel(f"127.0.0.1:{xds.port}") as channel:
        xds.put(*resources)
        call = channel.stream_stream(method)()
        try:
            yield xds, kind(call)
        finally:
            call.cancel()


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
async def test_every_method_serves_its_types(method):
    kind = Delta if method.is_delta else Sotw
    async with talking(*MADE.values(), method=f"/{method.service}/{method.name}", kind=kind) as (_, stream):
        for type_url in MADE if method.only_type is None else (method.only_type,):
            await stream.ask("" if method.only_type else type_url, "a")
            got = await stream.receive()
            assert got.type_url == type_url
            packed = got.resources[0].resource if method.is_delta else got.resources[0]
            assert unpack(packed) == MADE[type_url]
            if method.is_delta:
                await stream.ack(got)
            else:
                await stream.ask(type_url, "a", nonce=got.nonce, version=got.version_info)


@pytest.mark.parametrize("names", [(), (WILDCARD,)], ids=["nothing", "star"])
async def test_a_wildcard_is_asked_for_by_naming_nothing_or_a_star(names):
    async with talking(cluster("a"), cluster("b")) as (_, stream):
        await stream.ask(CLUSTER, *names)
        assert await stream.told() == (["a", "b"], [])


async def test_a_wildcard_is_left_names_beside_it_stay_and_it_can_be_joined_again():
    async with talking(cluster("a"), cluster("b")) as (xds, stream):
        await stream.ask(CLUSTER, WILDCARD, "a")
        assert await stream.told() == (["a", "b"], [])
        await stream.ask(CLUSTER, leave=[WILDCARD])
        await stream.ask(ENDPOINT, "ghost")  # answered: the server has read what was said before
        assert await stream.told() == ([], ["ghost"])
        xds.put(cluster("a", 2), cluster("b", 2))
        assert await stream.told() == (["a"], [])
        await stream.ask(CLUSTER, WILDCARD)
        assert await stream.told() == (["b"], [])


async def test_names_are_subscribed_to_and_left_and_may_come_into_being_later():
    async with talking(ClusterLoadAssignment(cluster_name="a")) as (xds, stream):
        await stream.ask(ENDPOINT, "a")
        assert await stream.told() == (["a"], [])
        await stream.ask(ENDPOINT, "late", leave=["a"])
        assert await stream.told() == ([], ["late"])
        xds.put(
            ClusterLoadAssignment(cluster_name="a", endpoints=[{"priority": 1}]),
            ClusterLoadAssignment(cluster_name="late"),
        )
        assert await stream.told() == (["late"], [])


async def test_what_is_gone_is_removed_by_name():
    async with talking(cluster("a"), cluster("b")) as (xds, stream):
        await stream.ask(CLUSTER)
        await stream.told()
        xds.remove(CLUSTER, "b")
        assert await stream.told() == ([], ["b"])


async def test_a_stale_and_an_unknown_nonce_are_no_answer():
    async with talking(cluster("a")) as (xds, stream):
        await stream.ask(CLUSTER)
        first = await stream.receive()
        for nonce in ("stale", ""):
            await stream.ask(CLUSTER, nonce=nonce)
        await stream.ask(ENDPOINT, "ghost")
        assert await stream.told() == ([], ["ghost"])
        [behind] = xds.engine.behind()
        assert CLUSTER in behind.in_flight
        await stream.ack(first)
        await xds.acked()


async def test_a_rejection_comes_with_its_words_and_is_not_repeated_until_something_changes():
    async with talking(cluster("a")) as (xds, stream):
        await stream.ask(CLUSTER)
        await stream.ack(await stream.receive(), error="a: no")
        await xds.acked()
        assert [(each.names, each.detail) for each in xds.rejections] == [(("a",), "a: no")]
        xds.put(cluster("b"))
        assert await stream.told() == (["b"], [])


async def test_who_reconnects_is_sent_what_differs_and_nothing_else():
    async with talking(cluster("same"), cluster("changed")) as (xds, stream):
        await stream.ask(CLUSTER)
        got = await stream.receive()
        held = {each.name: each.version for each in got.resources}
        xds.put(cluster("changed", 2))
        async with aio.insecure_channel(f"127.0.0.1:{xds.port}") as channel:
            again = Delta(channel.stream_stream(DELTA_METHOD)())
            await again.ask(CLUSTER, held=held | {"gone": "1"})
            assert await again.told() == (["changed"], [])
            assert await again.told() == ([], ["gone"])
            again.call.cancel()


async def test_two_types_are_in_flight_at_once_and_listeners_wait_for_clusters(monkeypatch):
    monkeypatch.setattr("osm.ads.stream.WARMING_PATIENCE_S", 600.0)
    async with talking(*MADE.values()) as (_, stream):
        for type_url in (CLUSTER, LISTENER, ENDPOINT):
            await stream.ask(type_url, "a")
        clusters, endpoints = await stream.receive(), await stream.receive()
        assert (clusters.type_url, endpoints.type_url) == (CLUSTER, ENDPOINT)
        await stream.ack(clusters)
        assert (await stream.receive()).type_url == LISTENER


async def test_an_unknown_type_is_answered_and_the_stream_goes_on():
    async with talking(cluster("a")) as (_, stream):
        await stream.ask(UNKNOWN)
        assert await stream.told() == ([], [])
        await stream.ask(CLUSTER)
        assert await stream.told() == (["a"], [])


@pytest.mark.parametrize(("method", "kind"), [(DELTA_METHOD, Delta), (SOTW_METHOD, Sotw)])
async def test_a_stream_that_is_half_closed_ends_in_peace(method, kind):
    async with talking(cluster("a"), method=method, kind=kind) as (xds, stream):
        await stream.ask(CLUSTER)
        await stream.receive()
        await stream.call.done_writing()
        async with asyncio.timeout(PATIENCE_S):
            assert await stream.call.code() is grpc.StatusCode.OK
        assert xds.disconnections == [("n", "the proxy closed the stream")]
        await xds.acked()


async def test_in_state_of_the_world_absence_removes_clusters_and_never_endpoints():
    resources = (cluster("a"), cluster("b"), *(ClusterLoadAssignment(cluster_name=name) for name in "ab"))
    async with talking(*resources, method=SOTW_METHOD, kind=Sotw) as (xds, stream):
        for type_url, names in ((CLUSTER, ()), (ENDPOINT, ("a", "b"))):
            await stream.ask(type_url, *names)
            got = await stream.receive()
            await stream.ask(type_url, *names, nonce=got.nonce, version=got.version_info)
        await xds.acked()
        xds.remove(ENDPOINT, "b")
        xds.remove(CLUSTER, "b")
        got = await stream.receive()
        assert (got.type_url, stream.names(got)) == (CLUSTER, ["a"])
        await stream.ask(CLUSTER, nonce=got.nonce, version=got.version_info)
        await xds.acked()
        assert len(xds.acks) == 3, "nothing was said of endpoints"
