"""Groups, revisions and the watermark, without gRPC."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.service.discovery.v3 import discovery_pb2

from osm.ads.delta import DeltaSubscription
from osm.ads.engine import Engine, UnknownGroup
from osm.ads.resource import Resource
from osm.ads.types import CLUSTER, ENDPOINT
from osm.ads.wire import Request


def cluster(name, seconds=1, origins=()):
    message = cluster_pb2.Cluster(name=name)
    message.connect_timeout.seconds = seconds
    return Resource.of(name, message, origins=origins)


def endpoints(name):
    return Resource.of(name, endpoint_pb2.ClusterLoadAssignment(cluster_name=name))


def clusters(*resources):
    return {CLUSTER: {resource.name: resource for resource in resources}}


class Proxy:
    """A session that notes its wake-ups and answers by hand."""

    def __init__(self, engine, group):
        self.engine = engine
        self.wakes = 0
        self.session = engine.open(DeltaSubscription, self.wake)
        engine.move(self.session.id, group)
        engine.receive(self.session, Request(type_url=CLUSTER))

    def wake(self):
        self.wakes += 1

    def next(self):
        data = self.engine.next_response(self.session, 0.0)
        return None if data is None else discovery_pb2.DeltaDiscoveryResponse.FromString(data)

    def answer(self, response, error=None):
        return self.engine.receive(self.session, Request(type_url=CLUSTER, nonce=response.nonce, error=error))

    def settle(self):
        while (response := self.next()) is not None:
            self.answer(response)


@pytest.fixture
def engine():
    engine = Engine()
    engine.replace("g", clusters(cluster("a"), cluster("b")), revision=1)
    engine.advance(1)
    return engine


def test_a_response_decodes_to_the_resources_put_in(engine):
    response = Proxy(engine, "g").next()
    assert response.type_url == CLUSTER
    assert [r.name for r in response.resources] == ["a", "b"]
    unpacked = cluster_pb2.Cluster()
    assert response.resources[0].resource.Unpack(unpacked)
    assert unpacked.connect_timeout.seconds == 1
    assert [r.version for r in response.resources] == [cluster("a").version, cluster("b").version]


def test_equal_resources_wake_nobody(engine):
    proxy = Proxy(engine, "g")
    proxy.settle()
    proxy.wakes = 0
    engine.replace("g", clusters(cluster("a"), cluster("b")), revision=2)
    engine.put("g", cluster("a"), revision=3)
    engine.remove("g", CLUSTER, "never there", revision=4)
    engine.advance(4)
    assert proxy.wakes == 0
    assert engine.acked_revision() == 4


def test_new_origins_are_kept_though_the_version_is_equal(engine):
    engine.put("g", cluster("a", origins=("later",)), revision=2)
    assert engine.resources("g")[CLUSTER]["a"].origins == ("later",)


def test_only_the_group_that_changed_is_touched(engine):
    engine.replace("other", clusters(cluster("a")), revision=2)
    proxy = Proxy(engine, "g")
    proxy.settle()
    proxy.wakes = 0
    engine.put("other", cluster("a", 9), revision=3)
    assert proxy.wakes == 0


def test_who_did_not_ask_for_what_changes_is_not_woken_and_owes_nothing(engine):
    proxy = Proxy(engine, "g")
    proxy.settle()
    engine.receive(proxy.session, Request(type_url=ENDPOINT, subscribe=("a",)))
    engine.receive(proxy.session, Request(type_url=ENDPOINT, nonce=proxy.next().nonce))
    proxy.wakes = 0
    engine.put("g", endpoints("b"), revision=2)
    assert (proxy.wakes, engine.is_behind(proxy.session.id)) == (0, False)


def test_what_replace_leaves_out_is_removed(engine):
    proxy = Proxy(engine, "g")
    proxy.settle()
    engine.replace("g", clusters(cluster("b")), revision=2)
    assert list(proxy.next().removed_resources) == ["a"]


def test_a_group_never_given_holds_its_streams_and_may_not_be_changed_in_part():
    engine = Engine()
    proxy = Proxy(engine, "new")
    assert proxy.next() is None
    with pytest.raises(UnknownGroup, match="replace first"):
        engine.put("new", cluster("a"), revision=1)
    engine.replace("new", clusters(cluster("a")), revision=1)
    assert [r.name for r in proxy.next().resources] == ["a"]


def test_a_dropped_group_removes_nothing_from_its_proxies(engine):
    proxy = Proxy(engine, "g")
    proxy.settle()
    engine.drop("g")
    assert proxy.next() is None
    engine.receive(proxy.session, Request(type_url=ENDPOINT, subscribe=("a",)))
    assert proxy.next() is None, "it is held"
    assert not engine.is_behind(proxy.session.id)
    engine.receive(proxy.session, Request(type_url=ENDPOINT, unsubscribe=("a",)))
    engine.replace("g", clusters(cluster("a")), revision=2)
    response = proxy.next()
    assert (list(response.resources), list(response.removed_resources)) == ([], ["b"])


def test_a_stream_in_no_group_is_not_behind(engine):
    Proxy(engine, None)
    engine.put("g", cluster("a", 2), revision=2)
    engine.advance(2)
    assert engine.acked_revision() == 2


def test_a_revision_counts_only_when_it_has_been_given_completely(engine):
    proxy = Proxy(engine, "g")
    proxy.settle()
    engine.put("g", cluster("a", 2), revision=2)
    proxy.settle()
    assert engine.acked_revision() == 1
    engine.advance(2)
    assert engine.acked_revision() == 2


def test_the_slowest_stream_holds_the_watermark_and_is_named(engine):
    quick, slow = Proxy(engine, "g"), Proxy(engine, "g")
    quick.settle()
    slow.settle()
    for revision in (2, 3, 4):
        engine.put("g", cluster("a", revision), revision=revision)
        engine.advance(revision)
        quick.settle()
    first = slow.next()
    assert engine.acked_revision() == 1
    assert [(b.stream_id, b.revision, b.in_flight) for b in engine.behind()] == [(slow.session.id, 2, (CLUSTER,))]
    assert (engine.is_behind(slow.session.id), engine.is_behind(quick.session.id)) == (True, False)
    slow.answer(first)
    assert engine.acked_revision() == 4
    assert engine.behind() == ()


def test_no_more_laggards_are_named_than_asked_for(engine):
    proxies = [Proxy(engine, "g") for _ in range(3)]
    for proxy in proxies:
        proxy.settle()
    engine.put("g", cluster("a", 2), revision=2)
    assert [line.stream_id for line in engine.behind(2)] == [proxy.session.id for proxy in proxies[:2]]


def test_the_watermark_moves_while_newer_changes_are_under_way(engine):
    proxy = Proxy(engine, "g")
    proxy.settle()
    engine.put("g", cluster("a", 2), revision=2)
    first = proxy.next()
    engine.put("g", cluster("a", 3), revision=3)
    engine.advance(3)
    proxy.answer(first)
    assert engine.acked_revision() == 2
    proxy.settle()
    assert engine.acked_revision() == 3


def test_what_was_given_up_for_something_newer_is_owed_since_it_was_first_sent(engine):
    proxy = Proxy(engine, "g")
    proxy.settle()
    engine.put("g", cluster("a", 2), revision=2)
    assert proxy.next() is not None
    engine.put("g", cluster("a", 3), revision=3)
    engine.advance(3)
    newer = engine.next_push(proxy.session, 60.0)
    assert newer is not None
    engine.receive(proxy.session, Request(type_url=CLUSTER, nonce="stale"))
    assert engine.acked_revision() == 1
    engine.receive(proxy.session, Request(type_url=CLUSTER, nonce=newer.nonce))
    assert engine.acked_revision() == 3


@pytest.mark.parametrize("error", [None, "a: no"])
def test_what_was_held_back_is_owed_since_then_though_something_newer_is_under_way(engine, error):
    proxy = Proxy(engine, "g")
    proxy.settle()
    engine.put("g", cluster("a", 2), revision=5)
    newer = proxy.next()
    engine.replace("g", clusters(cluster("a", 2), cluster("b", 2)), revision=6, since=3)
    engine.advance(6)
    assert engine.acked_revision() == 2
    engine.receive(proxy.session, Request(type_url=CLUSTER, nonce="stale"))
    assert engine.acked_revision() == 2
    proxy.answer(newer, error)
    assert engine.acked_revision() == 2
    proxy.settle()
    assert engine.acked_revision() == 6


def test_what_is_kept_from_some_does_not_count_though_everybody_has_answered(engine):
    proxy = Proxy(engine, "g")
    proxy.settle()
    engine.advance(3)
    engine.hold_back("what", 2)
    assert engine.acked_revision() == 1
    engine.hold_back("what", None)
    assert engine.acked_revision() == 3


def test_what_is_said_twice_to_a_proxy_has_two_nonces(engine):
    proxy = Proxy(engine, "g")
    first = proxy.next()
    proxy.answer(first)
    engine.receive(proxy.session, Request(type_url=CLUSTER, subscribe=("*",)))
    again = proxy.next()
    assert [each.name for each in again.resources] == [each.name for each in first.resources]
    assert again.nonce != first.nonce


def test_a_rejection_counts_as_an_answer(engine):
    proxy = Proxy(engine, "g")
    proxy.settle()
    engine.put("g", cluster("a", 2), revision=2)
    engine.advance(2)
    proxy.answer(proxy.next(), error="a: no")
    assert engine.acked_revision() == 2


def test_a_rejection_brings_back_where_the_resource_came_from(engine):
    proxy = Proxy(engine, "g")
    proxy.settle()
    engine.put("g", cluster("a", 2, origins=(("TrafficSplit", "ns/name"),)), revision=2)
    answer = proxy.answer(proxy.next(), error="a: no")
    assert [(r.name, r.origins) for r in answer.guilty] == [("a", (("TrafficSplit", "ns/name"),))]


def test_a_stream_that_ends_owes_nothing(engine):
    proxy = Proxy(engine, "g")
    assert engine.acked_revision() == 0
    engine.close(proxy.session)
    assert engine.acked_revision() == 1
    engine.put("g", cluster("a", 5), revision=2)
    assert proxy.wakes <= 2


def test_moving_a_stream_that_ended_is_without_effect(engine):
    proxy = Proxy(engine, "g")
    engine.close(proxy.session)
    engine.move(proxy.session.id, "g")
    assert engine.members("g") == ()


def test_a_stream_that_is_moved_is_woken_unless_it_is_there_already(engine):
    engine.replace("other", clusters(cluster("a", 9)), revision=2)
    proxy = Proxy(engine, "g")
    proxy.settle()
    proxy.wakes = 0
    engine.move(proxy.session.id, "g")
    assert (proxy.wakes, engine.is_behind(proxy.session.id)) == (0, False)
    engine.move(proxy.session.id, "other")
    assert (proxy.wakes, engine.is_behind(proxy.session.id)) == (1, True)


def test_what_has_not_been_given_completely_does_not_count_though_something_later_is_owed(engine):
    proxy = Proxy(engine, "g")
    proxy.settle()
    engine.put("g", cluster("a", 2), revision=5)
    assert engine.acked_revision() == 1


def test_revisions_do_not_go_back(engine):
    with pytest.raises(ValueError, match="older than 1"):
        engine.put("g", cluster("a", 2), revision=0)


def test_a_version_is_the_hash_of_the_content_unless_given():
    assert cluster("a", 1).version == cluster("a", 1).version != cluster("a", 2).version
    assert Resource.of("s", cluster_pb2.Cluster(name="s"), version="issuer-1").version == "issuer-1"
