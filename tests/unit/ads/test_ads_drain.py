"""How streams end when it is the server that wants it: stopping, old age; and peers that do not cooperate."""

import asyncio
import random
from contextlib import suppress
from pathlib import Path

import grpc
import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import discovery_pb2
from grpc import aio

from osm.ads import server
from osm.ads.server import ServerSettings
from osm.ads.types import CLUSTER
from osm.testing.ads_client import DELTA_METHOD, ads_client
from osm.testing.ads_status import StreamEnded
from osm.testing.xds_server import xds_server

NO_READ_AHEAD = [("grpc.http2.bdp_probe", 0), ("grpc.use_local_subchannel_pool", 1)]


def target(xds):
    return f"127.0.0.1:{xds.port}"


def cluster(name, seconds=1):
    message = cluster_pb2.Cluster(name=name)
    message.connect_timeout.seconds = seconds
    return message


def big(name, seconds=1):
    message = cluster(name, seconds)
    message.alt_stat_name = "x" * 8_000_000
    return message


def first_request(node_id):
    return discovery_pb2.DeltaDiscoveryRequest(node={"id": node_id}, type_url=CLUSTER).SerializeToString()


async def until(predicate):
    while not predicate():
        await asyncio.sleep(0.01)


# Stopping


async def test_a_server_that_stops_takes_no_one_in_and_sends_its_proxies_away_one_after_the_other(monkeypatch):
    monkeypatch.setattr(server, "LONGEST_PAUSE_S", 0.4)
    clock, ended_at = asyncio.get_running_loop().time, []
    async with xds_server(settings=ServerSettings(drain_s=4.0)) as xds, asyncio.TaskGroup() as tasks:
        xds.put(cluster("web"))

        async def stay():
            async with ads_client(target(xds)) as client:
                await client.version(CLUSTER, "web")
                ended = await client.end()
                ended_at.append(clock())
                assert (ended.code, ended.details) == (grpc.StatusCode.UNAVAILABLE, "the server is stopping")

        for _ in range(10):
            tasks.create_task(stay())
        await until(lambda: len(xds.acks) == 20)  # clusters and listeners
        stopping = tasks.create_task(xds.server.stop())
        await until(lambda: ended_at)
        async with ads_client(target(xds)) as late:
            assert (await late.end()).code is grpc.StatusCode.UNAVAILABLE
        assert len(ended_at) < 10
        await stopping
        assert ended_at[-1] - ended_at[0] >= 2.0


async def test_proxies_that_have_not_been_sent_away_yet_still_get_what_changes(monkeypatch):
    monkeypatch.setattr(server, "LONGEST_PAUSE_S", 2.0)
    async with xds_server(settings=ServerSettings(drain_s=4.0)) as xds, asyncio.TaskGroup() as tasks:
        xds.put(cluster("web"))
        async with ads_client(target(xds)) as first:
            await first.version(CLUSTER, "web")
            async with ads_client(target(xds)) as last:
                await last.version(CLUSTER, "web")
                tasks.create_task(xds.server.stop())
                await first.end()
                xds.put(cluster("news"))
                await last.version(CLUSTER, "news")


async def test_proxies_of_a_server_that_stops_are_taken_in_by_the_other_at_the_same_address():
    shared = ServerSettings(reuse_port=True, drain_s=0.5)
    async with xds_server(settings=shared) as leaving:
        same = ServerSettings(address=target(leaving), reuse_port=True)
        async with xds_server(settings=same) as staying, asyncio.TaskGroup() as tasks:
            for xds in (leaving, staying):
                xds.put(cluster("web"))
            done = asyncio.Event()
            lives = [tasks.create_task(live_on(target(leaving), f"p{i}", done)) for i in range(40)]
            await until(lambda: len(leaving.streams) + len(staying.streams) == 40)
            assert leaving.streams  # the kernel spreads forty
            assert staying.streams
            await leaving.server.stop()
            await until(lambda: len(staying.streams) == 40)
            for xds in (leaving, staying):
                xds.put(cluster("after"))
            await until(lambda: len({node for node, _ in staying.acks}) == 40)
            await staying.acked()
            done.set()
            assert all([await one for one in lives])
            assert leaving.open_streams == 0


async def live_on(where, node_id, done):
    """As a proxy does: come back whenever the stream ends, with what is held. Whether `after` was received."""
    held = {}
    while not done.is_set():
        try:
            async with ads_client(where, node_id=node_id, subscribe={CLUSTER: ()}, initial_versions=held) as client:
                try:
                    await client.version(CLUSTER, "after")
                    await done.wait()
                finally:
                    held = {**held, CLUSTER: {**held.get(CLUSTER, {}), **client.versions.get(CLUSTER, {})}}
        except* StreamEnded:
            await asyncio.sleep(random.uniform(0.01, 0.1))
    return "after" in held[CLUSTER]


async def test_stopping_ends_though_a_peer_does_not_read():
    settings = ServerSettings(drain_s=0.2, stop_deadline_s=0.3)
    async with (
        xds_server(settings=settings) as xds,
        aio.insecure_channel(target(xds), options=NO_READ_AHEAD) as channel,
    ):
        xds.put(big("web"))
        call = channel.stream_stream(DELTA_METHOD)()
        await call.write(first_request("stuck"))
        await until(xds.engine.behind)
        await xds.server.stop()
        assert xds.streams == {}
        call.cancel()


# Age


async def test_a_stream_that_is_old_ends_with_a_reason_and_nothing_is_sent_again(monkeypatch):
    monkeypatch.setattr(server, "WATCH_INTERVAL_S", 0.05)
    async with xds_server(settings=ServerSettings(max_connection_age_s=3.0)) as xds:
        xds.put(cluster("web"))
        async with ads_client(target(xds)) as client:
            await client.version(CLUSTER, "web")
            ended = await client.end()
        assert (ended.code, ended.details) == (
            grpc.StatusCode.UNAVAILABLE,
            "the stream has reached its age; come back, to any replica",
        )
        async with ads_client(target(xds), subscribe={CLUSTER: ()}, initial_versions=client.versions) as back:
            await until(lambda: xds.streams)
            await xds.acked()
            assert back.pushes_received == 0


async def test_streams_that_began_together_do_not_end_together(monkeypatch):
    monkeypatch.setattr(server, "WATCH_INTERVAL_S", 0.01)
    clock, ended_at = asyncio.get_running_loop().time, []
    async with xds_server(settings=ServerSettings(max_connection_age_s=3.0)) as xds:
        xds.put(cluster("web"))

        async def grow_old():
            async with ads_client(target(xds)) as client:
                await client.end()
                ended_at.append(clock())

        await asyncio.gather(*(grow_old() for _ in range(30)))
        assert max(ended_at) - min(ended_at) > 0.1


# Peers that do not cooperate


@pytest.fixture
def _eager_watch(monkeypatch):
    monkeypatch.setattr(server, "WATCH_INTERVAL_S", 0.05)


@pytest.mark.usefixtures("_eager_watch")
async def test_one_that_stops_reading_among_two_hundred_delays_nobody_and_is_cut_off():
    settings = ServerSettings(write_deadline_s=10.0)  # longer than two hundred clients in one process may take
    async with (
        xds_server(settings=settings, group_of=lambda node: "stuck" if node == "stuck" else "all") as xds,
        aio.insecure_channel(target(xds), options=NO_READ_AHEAD) as channel,
        asyncio.TaskGroup() as tasks,
    ):
        xds.put(big("web"), group="stuck")
        xds.put(cluster("web"), group="all")
        done = asyncio.Event()
        lives = [tasks.create_task(follow(target(xds), f"p{i}", done)) for i in range(200)]
        await until(lambda: len(xds.acks) == 200)
        call = channel.stream_stream(DELTA_METHOD)()
        await call.write(first_request("stuck"))
        await until(xds.engine.behind)
        [stuck] = [stream.id for stream in xds.streams.values() if stream.node_id == "stuck"]
        seconds = 1
        while any(stream.node_id == "stuck" for stream in xds.streams.values()):
            seconds += 1
            xds.put(big("web", seconds), group="stuck")
            xds.put(cluster("web", seconds), group="all")
            await until(lambda: {line.stream_id for line in xds.engine.behind()} <= {stuck})
        assert seconds > 2  # the others have had every change meanwhile
        assert xds.disconnections == [("stuck", "the proxy has not read a response for 10 s")]
        await until(lambda: xds.open_streams == 200)  # the call is over too, though its peer never answers
        done.set()
        assert {await one for one in lives} == {True}
        with suppress(aio.AioRpcError):
            while isinstance(await call.read(), bytes):
                continue
        assert await call.code() is grpc.StatusCode.UNAVAILABLE


async def test_one_that_does_not_read_costs_one_response_however_much_changes():
    async with (
        xds_server() as xds,
        aio.insecure_channel(target(xds), options=NO_READ_AHEAD) as channel,
    ):
        xds.put(big("web"))
        call = channel.stream_stream(DELTA_METHOD)()
        await call.write(first_request("stuck"))
        await until(xds.engine.behind)
        before = resident_mib()
        for seconds in range(2, 52):  # 400 MB in all
            xds.put(big("web", seconds))
            await asyncio.sleep(0)
        assert resident_mib() - before < 100
        assert [line.in_flight for line in xds.engine.behind()] == [(CLUSTER,)]
        call.cancel()
        await until(lambda: xds.open_streams == 0)


def resident_mib():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096 / 2**20


async def follow(where, node_id, done):
    """Stay connected until `done`; whether the stream never ended."""
    async with ads_client(where, node_id=node_id, follow=False, subscribe={CLUSTER: ()}) as client:
        ended = asyncio.ensure_future(client.end())
        finished = asyncio.ensure_future(done.wait())
        await asyncio.wait([ended, finished], return_when=asyncio.FIRST_COMPLETED)
        stayed = not ended.done()
        ended.cancel()
        finished.cancel()
        return stayed


async def test_one_that_rejects_everything_does_not_matter_to_the_others():
    async with xds_server() as xds, ads_client(target(xds), node_id="no") as rejecting:
        rejecting.reject = lambda got: f"I do not like {', '.join(got.versions)}"
        async with ads_client(target(xds), node_id="yes") as accepting:
            await until(lambda: len(xds.streams) == 2)
            for round_ in range(1, 20):
                xds.put(*(cluster(f"c{i}", round_) for i in range(8)))
                await xds.acked()
            assert accepting.versions[CLUSTER].keys() == {f"c{i}" for i in range(8)}
            assert all(one.connect_timeout.seconds == 19 for one in accepting.messages[CLUSTER].values())
        assert rejecting.versions.get(CLUSTER, {}) == {}
        assert {rejection.node_id for rejection in xds.rejections} == {"no"}
        assert rejecting.pushes_received < 19 * 16  # nothing is sent for ever
