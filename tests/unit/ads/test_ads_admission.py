"""Who may start a stream, and when; and what is told to those who may not."""

import asyncio

import grpc
import pytest
from envoy.config.cluster.v3 import cluster_pb2

from osm.ads.admission import Admission, NoRoom
from osm.ads.server import ServerSettings
from osm.ads.types import CLUSTER
from osm.testing.ads_client import ads_client
from osm.testing.ads_status import StreamEnded
from osm.testing.xds_server import EVERYONE, xds_server


def admission(*, per_second=1000.0, max_streams=10, max_wait_s=10.0):
    return Admission(per_second=per_second, max_streams=max_streams, max_wait_s=max_wait_s)


def target(xds):
    return f"127.0.0.1:{xds.port}"


async def until(predicate):
    while not predicate():
        await asyncio.sleep(0.01)


async def test_streams_start_at_a_bounded_rate():
    door, clock = admission(per_second=100), asyncio.get_running_loop().time
    start = clock()
    await asyncio.gather(*(door.turn() for _ in range(11)))
    assert clock() - start >= 0.09


async def test_turns_are_given_in_the_order_of_asking():
    door, order = admission(per_second=1000), []

    async def ask(number):
        await door.turn()
        order.append(number)

    await asyncio.gather(*map(ask, range(20)))
    assert order == list(range(20))


async def test_who_leaves_while_waiting_takes_no_turn():
    door, clock = admission(per_second=10), asyncio.get_running_loop().time
    await door.turn()
    start = clock()
    hasty = [asyncio.ensure_future(door.turn()) for _ in range(50)]
    patient = asyncio.ensure_future(door.turn())
    await asyncio.sleep(0)
    for one in hasty:
        one.cancel()
    await patient
    assert clock() - start < 4.0  # fifty turns are five seconds
    assert door.waiting == 0


async def test_no_more_wait_than_can_start_within_the_bound():
    door = admission(per_second=10, max_wait_s=0.5)
    await door.turn()
    waiting = [asyncio.ensure_future(door.turn()) for _ in range(5)]
    await asyncio.sleep(0)
    with pytest.raises(NoRoom, match=r"5 streams wait to start, as many as start in 0\.5 s; come back later"):
        await door.turn()
    await asyncio.gather(*waiting)
    await door.turn()


async def test_places_are_bounded_and_come_free():
    door = admission(max_streams=2)
    with door.place(), door.place(), pytest.raises(NoRoom, match="2 streams are open"), door.place():
        pass
    with door.place():
        assert door.streams == 1


async def test_who_waits_goes_on_at_once_when_no_more_turns_are_given():
    door = admission(per_second=0.001, max_wait_s=10_000)
    await door.turn()
    late = [asyncio.ensure_future(door.turn()) for _ in range(3)]
    await asyncio.sleep(0)
    door.close()
    await asyncio.gather(*late)


async def test_a_stream_too_many_is_told_so_and_finds_room_later():
    async with xds_server(settings=ServerSettings(max_streams=2)) as xds:
        xds.put(cluster_pb2.Cluster(name="web"))
        async with ads_client(target(xds)) as one:
            await one.version(CLUSTER, "web")
            async with ads_client(target(xds)) as two:
                await two.version(CLUSTER, "web")
                async with ads_client(target(xds)) as three:
                    ended = await three.end()
                assert ended.code is grpc.StatusCode.RESOURCE_EXHAUSTED
                assert ended.details == "2 streams are open, which is all that max_streams allows here; come back"
                assert xds.turned_away == [ended.details]
            await until(lambda: xds.open_streams == 1)
            async with ads_client(target(xds)) as four:
                await four.version(CLUSTER, "web")


async def test_a_stream_that_would_wait_too_long_is_told_so_and_the_others_are_served():
    settings = ServerSettings(admissions_per_s=5, admission_wait_s=0.4)
    async with xds_server(settings=settings) as xds, asyncio.TaskGroup() as tasks:
        xds.put(cluster_pb2.Cluster(name="web"))

        async def come():
            async with ads_client(target(xds)) as client:
                await client.until(lambda: client.pushes_received > 0)

        coming = [tasks.create_task(outcome(come())) for _ in range(40)]  # more than start while they all connect
        said = [await one for one in coming]
        served, refused = said.count("served"), [text for text in said if text != "served"]
        assert served >= 2
        assert refused
        assert all("RESOURCE_EXHAUSTED" in text and "come back later" in text for text in refused)


async def outcome(coming):
    try:
        await coming
    except ExceptionGroup as group:
        return str(group.exceptions[0])
    except StreamEnded as ended:
        return str(ended)
    return "served"


async def test_an_owner_who_has_no_room_for_a_proxy_tells_it_to_come_back():
    room = []

    def authorize(_peer, _node_id):
        if not room:
            raise NoRoom("no room for proxies today")
        return EVERYONE

    async with xds_server(authorize=authorize) as xds:
        xds.put(cluster_pb2.Cluster(name="web"))
        async with ads_client(target(xds)) as client:
            ended = await client.end()
            assert (ended.code, ended.details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "no room for proxies today")
            assert xds.turned_away == [ended.details]
        room.append("yes")
        async with ads_client(target(xds)) as client:
            await client.version(CLUSTER, "web")
