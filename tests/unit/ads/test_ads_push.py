"""Pushes are shared between streams that are told the same, and never told twice to one."""

from envoy.config.cluster.v3 import cluster_pb2
from envoy.service.discovery.v3 import discovery_pb2

from osm.ads.delta import DeltaSubscription
from osm.ads.engine import Engine, Session
from osm.ads.push import Issued
from osm.ads.resource import Resource
from osm.ads.sotw import SotwSubscription
from osm.ads.types import CLUSTER, LISTENER
from osm.ads.wire import LONGEST_DETAIL, SHORT_BYTES, Request, decode_delta, decode_sotw

WEB = Resource.of("web", cluster_pb2.Cluster(name="web"))
DB = Resource.of("db", cluster_pb2.Cluster(name="db"))


def test_who_is_told_the_same_is_given_the_same_push_in_the_same_bytes() -> None:
    issued = Issued()
    first = issued.push(CLUSTER, resources=(WEB,), revision=1, after=0)
    second = issued.push(CLUSTER, resources=(WEB,), revision=1, after=0)
    assert second is first
    assert issued.encoded(second) is issued.encoded(first)


def test_a_stream_is_never_given_a_number_it_has_seen() -> None:
    issued = Issued()
    first = issued.push(CLUSTER, resources=(WEB,), revision=1, after=0)
    again = issued.push(CLUSTER, resources=(WEB,), revision=1, after=first.number)
    assert again.number > first.number
    assert again.nonce != first.nonce


def test_whatever_differs_makes_another_push() -> None:
    issued = Issued()
    made = {
        issued.push(CLUSTER, resources=(WEB,), revision=1, after=0).nonce,
        issued.push(CLUSTER, resources=(DB,), revision=1, after=0).nonce,
        issued.push(CLUSTER, resources=(DB,), revision=2, after=0).nonce,
        issued.push(CLUSTER, resources=(DB,), removed=("web",), revision=2, after=0).nonce,
        issued.push(CLUSTER, resources=(DB,), version="v", revision=2, after=0).nonce,
        issued.push(LISTENER, resources=(DB,), version="v", revision=2, after=0).nonce,
    }
    assert len(made) == 6


def test_nothing_is_kept_of_types_that_a_proxy_makes_up() -> None:
    issued = Issued()
    made_up = "type.googleapis.com/" + "a" * 1000
    first = issued.push(made_up, resources=(), removed=("b" * 1000,), revision=1, after=0)
    assert issued.push(made_up, resources=(), removed=("b" * 1000,), revision=1, after=0) is not first


def test_the_bytes_of_one_push_are_not_taken_for_those_of_another() -> None:
    issued = Issued()
    web = issued.push(CLUSTER, resources=(WEB,), revision=1, after=0)
    issued.encoded(web)
    db = issued.push(CLUSTER, resources=(DB,), revision=1, after=0)
    told = discovery_pb2.DeltaDiscoveryResponse.FromString(issued.encoded(db))
    assert [resource.name for resource in told.resources] == ["db"]
    assert told.nonce == db.nonce


def asked(engine: Engine, variant: type[DeltaSubscription | SotwSubscription]) -> Session:
    session = engine.open(variant, lambda: None)
    engine.move(session.id, "g")
    engine.receive(session, Request(type_url=CLUSTER))
    return session


def test_both_variants_are_told_in_their_own_words() -> None:
    engine = Engine()
    engine.replace("g", {CLUSTER: {"web": WEB}}, revision=1)
    delta, sotw = asked(engine, DeltaSubscription), asked(engine, SotwSubscription)
    in_delta, in_sotw = engine.next_response(delta, 0.0), engine.next_response(sotw, 0.0)
    assert in_delta is not None
    assert in_sotw is not None
    assert discovery_pb2.DeltaDiscoveryResponse.FromString(in_delta).resources[0].name == "web"
    assert discovery_pb2.DiscoveryResponse.FromString(in_sotw).resources[0] == cluster_any()


def cluster_any() -> object:
    message = discovery_pb2.DiscoveryResponse().resources.add()
    message.Pack(cluster_pb2.Cluster(name="web"))
    return message


def test_an_answer_given_before_is_read_as_before() -> None:
    said = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce="7").SerializeToString()
    assert len(said) < SHORT_BYTES
    assert decode_delta(said) == decode_delta(said) == Request(type_url=CLUSTER, nonce="7")


def test_long_requests_are_read_whole() -> None:
    names = [f"service-{number}" for number in range(SHORT_BYTES)]
    said = discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, resource_names_subscribe=names).SerializeToString()
    assert decode_delta(said).subscribe == tuple(names)


def test_of_a_rejections_words_no_more_is_read_than_envoy_would_write() -> None:
    for message, decode in (
        (discovery_pb2.DeltaDiscoveryRequest(type_url=CLUSTER, response_nonce="7"), decode_delta),
        (discovery_pb2.DiscoveryRequest(type_url=CLUSTER, response_nonce="7"), decode_sotw),
    ):
        message.error_detail.message = "web: no" + " " * 1_000_000
        error = decode(message.SerializeToString()).error
        assert error is not None
        assert (error[:7], len(error)) == ("web: no", LONGEST_DETAIL)
