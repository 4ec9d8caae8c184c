"""Envoy's no stands as long as what it refused is offered, whatever else is acknowledged."""

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.listener.v3.listener_pb2 import Listener

from osm.ads.resource import Resource
from osm.ads.types import CLUSTER, LISTENER
from osm.contracts.names import ObjectRef
from osm.contracts.status import Rejection
from services.xds.refusals import refused, standing, told

MESH = ObjectRef("MeshConfig", "osm-system", "osm-mesh-config")
TARGET = ObjectRef("TrafficTarget", "shop", "web")


def cluster(name: str, alt: str = "", *origins: ObjectRef) -> Resource:
    return Resource.of(name, Cluster(name=name, alt_stat_name=alt), origins=origins)


BAD = cluster("a", "bad")


def test_a_refusal_stands_while_the_same_is_offered() -> None:
    refusals = refused({}, [BAD], "no")
    assert standing(refusals, {CLUSTER: {"a": BAD, "b": cluster("b")}}) == refusals


def test_a_refusal_tells_of_the_objects_that_make_the_resource_now() -> None:
    refusals = refused({}, [cluster("a", "bad", TARGET)], "no")
    (rejection,) = told(standing(refusals, {CLUSTER: {"a": cluster("a", "bad", MESH)}}))
    assert (rejection.reason, rejection.origins) == ("no", (MESH,))


def test_a_refusal_ends_when_something_else_or_nothing_is_offered() -> None:
    refusals = refused({}, [BAD], "no")
    assert standing(refusals, {CLUSTER: {"a": cluster("a", "good")}}) == {}
    assert standing(refusals, {CLUSTER: {}}) == {}
    assert standing(refusals, {}) == {}


def test_what_is_refused_later_stands_beside_what_was_refused_before() -> None:
    listener = Resource.of("a", Listener(name="a"))
    refusals = refused(refused({}, [BAD], "no"), [listener], "nor that")
    assert [(each.type_url, each.reason) for each in told(refusals)] == [(CLUSTER, "no"), (LISTENER, "nor that")]


def test_one_reason_is_told_once_with_all_it_is_about() -> None:
    refusals = refused({}, [cluster("b", "", TARGET), cluster("a", "", TARGET, MESH)], "no")
    assert told(refusals) == (Rejection(type_url=CLUSTER, resources=("a", "b"), reason="no", origins=(MESH, TARGET)),)


def test_the_newest_words_about_a_resource_count() -> None:
    refusals = refused(refused({}, [BAD], "no"), [cluster("a", "worse")], "no, again")
    assert [each.reason for each in told(refusals)] == ["no, again"]
