"""The delta variant, rule by rule: what a stream sees when its view changes, and what it may ask for."""

import pytest
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from osm.ads.resource import Resource
from osm.ads.stream import MAX_NAME_CHARACTERS, MAX_NAMES, MAX_TYPE_CHARACTERS, MAX_TYPES, LimitExceeded
from osm.ads.types import CLUSTER, ENDPOINT, ROUTE, SECRET
from tests.unit.ads.talk import resource, told


def test_a_stream_without_a_view_listens_but_says_nothing(talk):
    talk.have(CLUSTER, a="1")
    talk.stream.move(None, 1)
    talk.ask(CLUSTER)
    talk.ask(ENDPOINT, "a")
    assert talk.push() is None
    assert talk.stream.oldest_revision is None
    talk.stream.move(talk.view, 2)
    assert told(talk.push()) == {"a": "1"}


def test_a_stream_that_moves_is_sent_the_difference_only(talk):
    talk.have(CLUSTER, same="1", mine="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.stream.move({CLUSTER: {"same": resource(CLUSTER, "same"), "yours": resource(CLUSTER, "yours")}}, 2)
    assert talk.settle() == [{"yours": "1"}, {"mine": "-"}]


def test_a_stream_may_not_ask_for_types_without_end(talk):
    for i in range(MAX_TYPES):
        talk.ask(f"type{i}")
    with pytest.raises(LimitExceeded, match="resource types"):
        talk.ask("one too many")


def test_a_stream_may_not_subscribe_to_names_without_end(talk):
    with pytest.raises(LimitExceeded, match="names"):
        talk.ask(ENDPOINT, *(str(i) for i in range(MAX_NAMES + 1)))


def test_a_stream_may_not_fill_memory_with_a_few_names_that_are_long(talk):
    long = MAX_NAME_CHARACTERS // 4
    talk.ask(ENDPOINT, "a" * long, "b" * long)
    talk.ask(ROUTE, "c" * long)
    with pytest.raises(LimitExceeded, match="characters"):
        talk.ask(ROUTE, "d" * (long + 1))


def test_a_stream_may_not_fill_memory_with_a_type_that_is_long(talk):
    with pytest.raises(LimitExceeded, match="type"):
        talk.ask("t" * (MAX_TYPE_CHARACTERS + 1))


def test_a_stream_is_up_to_date_when_everything_is_answered(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    assert talk.stream.oldest_revision == 1
    push = talk.push()
    assert talk.stream.oldest_revision == 1
    talk.ack(push)
    assert talk.stream.oldest_revision is None


def test_real_messages_keep_their_type():
    made = (endpoint_pb2.ClusterLoadAssignment(cluster_name="a"), secret_pb2.Secret(name="s"))
    assert [Resource.of("x", message).type_url for message in made] == [ENDPOINT, SECRET]
