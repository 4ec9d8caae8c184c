"""A proxy that comes back while its old stream is not noticed to be broken."""

import asyncio
from contextlib import suppress

import grpc
import pytest

from osm.ads import grpc_stream, server
from osm.ads.types import CLUSTER
from osm.testing.ads_client import ads_client, channel
from osm.testing.xds_server import resource_of, xds_server
from tests.unit.ads.over_grpc import PROXY, Authority, cluster, raw, request, target


@pytest.fixture(scope="module")
def authority():
    return Authority()


@pytest.fixture
def impatient(monkeypatch):
    """An older stream that owes an answer is given up within a second."""
    monkeypatch.setattr(server, "WATCH_INTERVAL_S", 0.02)
    monkeypatch.setattr(grpc_stream, "OLDER_STREAM_PATIENCE_S", 0.5)


GIVEN_UP_S = 1.5
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
