"""What an engine and its server count: per type what went out and came back, and how streams ended."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3.discovery_pb2 import DeltaDiscoveryResponse

from osm.ads.delta import DeltaSubscription
from osm.ads.engine import Engine
from osm.ads.peer import Denied
from osm.ads.resource import Resource
from osm.ads.server import ServerSettings
from osm.ads.tally import OTHER
from osm.ads.types import CLUSTER, SHORT
from osm.ads.wire import Request, decode_delta
from osm.testing.ads_client import ads_client
from osm.testing.xds_server import xds_server


def cluster(name: str) -> Resource:
    return Resource.of(name, cluster_pb2.Cluster(name=name))


@pytest.fixture
def engine() -> Engine:
    made = Engine()
    made.replace("g", {CLUSTER: {"a": cluster("a")}}, revision=1)
    made.advance(1)
    return made


def counts(engine: Engine, type_url: str = CLUSTER) -> tuple[int, int, int, int]:
    """Pushed, its bytes, acknowledged, rejected."""
    passed = engine.tally.by_type[type_url]
    return passed.pushed, passed.pushed_bytes, passed.acknowledged, passed.rejected


def exchange(engine: Engine, *, error: str | None = None, type_url: str = CLUSTER) -> bytes:
    """A proxy comes, is sent one response, and answers it."""
    session = engine.open(DeltaSubscription, lambda: None)
    engine.move(session.id, "g")
    engine.receive(session, Request(type_url=type_url))
    response = engine.next_response(session, 0.0)
    assert response is not None
    nonce = DeltaDiscoveryResponse.FromString(response).nonce
    engine.receive(session, Request(type_url=type_url, nonce=nonce, error=error))
    return response


def test_a_push_is_counted_with_the_bytes_that_were_sent_and_its_acknowledgement_apart(engine: Engine) -> None:
    sent = exchange(engine)
    assert counts(engine) == (1, len(sent), 1, 0)


def test_a_push_that_many_proxies_share_counts_for_each_of_them(engine: Engine) -> None:
    sent = [exchange(engine) for _ in range(3)]
    assert counts(engine) == (3, sum(map(len, sent)), 3, 0)


def test_a_rejection_is_no_acknowledgement(engine: Engine) -> None:
    sent = exchange(engine, error="no")
    assert counts(engine) == (1, len(sent), 0, 1)


def test_a_first_request_answers_nothing(engine: Engine) -> None:
    engine.receive(engine.open(DeltaSubscription, lambda: None), decode_delta(b""))
    assert all(counts(engine, each) == (0, 0, 0, 0) for each in (*SHORT, OTHER))


def test_types_that_a_proxy_makes_up_share_one_count(engine: Engine) -> None:
    before = len(engine.tally.by_type)
    for number in range(5):
        exchange(engine, type_url=f"type.googleapis.com/made.up{number}")
    assert len(engine.tally.by_type) == before
    assert engine.tally.by_type[OTHER].acknowledged == 5


async def test_a_stream_that_its_proxy_ends_is_counted_as_ended_and_not_as_turned_away() -> None:
    async with xds_server() as xds:
        async with ads_client(f"127.0.0.1:{xds.port}", node_id="p"):
            await xds.until(lambda: bool(xds.streams))
        await xds.until(lambda: bool(xds.disconnections))
        assert sum(xds.engine.tally.ended.values()) == 1
        assert xds.engine.tally.ended["closed"] + xds.engine.tally.ended["cancelled"] == 1
        assert not any(xds.engine.tally.turned_away.values())


async def test_streams_that_the_server_ends_are_counted_by_why() -> None:
    async with xds_server() as xds:
        async with ads_client(f"127.0.0.1:{xds.port}", node_id="p") as client:
            await xds.until(lambda: bool(xds.streams))
            assert xds.server is not None
            await xds.server.stop()
            await client.end()
        assert xds.engine.tally.ended["stopping"] == 1


async def test_who_may_not_connect_and_who_finds_no_room_are_told_apart() -> None:
    def refuse(_peer: object, _node_id: str) -> None:
        raise Denied("not you")

    async with xds_server(authorize=refuse) as xds:
        async with ads_client(f"127.0.0.1:{xds.port}", node_id="p") as client:
            await client.end()
        assert xds.engine.tally.turned_away["denied"] == 1
        assert not any(xds.engine.tally.ended.values())
    async with xds_server(settings=ServerSettings(max_streams=0)) as xds:
        async with ads_client(f"127.0.0.1:{xds.port}", node_id="p") as client:
            await client.end()
        assert xds.engine.tally.turned_away["no_room"] == 1
