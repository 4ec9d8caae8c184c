"""Mutual TLS: whose certificate counts for what, and for how long."""

from datetime import datetime, timedelta

import grpc
import pytest

from osm.ads import server
from osm.ads.peer import Denied
from osm.ads.types import CLUSTER
from osm.testing.ads_client import ClientIdentity, ads_client
from osm.testing.ads_status import StreamEnded
from osm.testing.xds_server import EVERYONE, xds_server
from tests.unit.ads.over_grpc import PROXY, Authority, cluster, target


@pytest.fixture(scope="module")
def authority():
    return Authority()


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
