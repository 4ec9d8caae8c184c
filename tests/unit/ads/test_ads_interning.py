"""What many streams know alike is one object."""

import gc

from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment

from osm.ads.delta import DeltaSubscription
from osm.ads.interning import NO_NAMES, NO_VERSIONS, Versions, grown, one_set, shrunk
from osm.ads.push import Issued
from osm.ads.resource import Resource
from osm.ads.types import ENDPOINT
from osm.ads.wire import Request


def test_streams_that_acknowledge_the_same_hold_one_object() -> None:
    first, second = subscribed("web", "db"), subscribed("db", "web")
    view = {name: Resource.of(name, ClusterLoadAssignment(cluster_name=name)) for name in ("web", "db")}
    for stream in (first, second):
        acknowledge(stream, view)
    assert first.held == {"web": view["web"].version, "db": view["db"].version}
    assert first.held is second.held
    assert first.names is second.names


def test_a_change_keeps_streams_together_that_heard_of_it_in_other_steps() -> None:
    steps, at_once = NO_VERSIONS, NO_VERSIONS.but((("a", "2"), ("b", "1")))
    for change in (("b", "1"), ("a", "1"), ("a", "2")):
        steps = steps.but((change,))
    assert steps is at_once


def test_a_name_that_is_forgotten_leaves_what_was_before() -> None:
    before = NO_VERSIONS.but((("a", "1"),))
    after = before.but((("b", "1"),))
    assert after.but((("b", None), ("never", None))) is before
    assert before.but((("a", None),)) is NO_VERSIONS


def test_what_one_stream_holds_is_not_changed_by_another() -> None:
    before = NO_VERSIONS.but((("a", "1"),))
    after = before.but((("a", "2"),))
    assert (before, after) == ({"a": "1"}, {"a": "2"})


def test_contents_that_share_a_fingerprint_are_kept_apart() -> None:
    kept = NO_VERSIONS.but((("a", "1"),))
    forged = Versions({}, hash(("a", "1")) ^ hash(("b", "2")))
    assert forged.but((("b", "2"),)) == {"b": "2"}
    assert kept == {"a": "1"}


def test_what_no_stream_holds_any_more_is_let_go() -> None:
    before = len([one for one in gc.get_objects() if isinstance(one, Versions)])
    held = NO_VERSIONS
    for version in map(str, range(100)):
        held = held.but((("a", version),))
    after = len([one for one in gc.get_objects() if isinstance(one, Versions)])
    assert after <= before + 1


def test_equal_sets_of_names_are_one() -> None:
    assert one_set(["a", "b"]) is one_set(["b", "a"])
    assert one_set([]) is NO_NAMES


def test_an_empty_set_takes_no_room() -> None:
    assert grown(NO_NAMES, ()) is NO_NAMES
    assert shrunk({"a", "b"}, ["b", "a"]) is NO_NAMES
    assert shrunk({"a", "b"}, ["b"]) == {"a"}
    assert grown(NO_NAMES, ["a"]) == {"a"}
    assert frozenset() == NO_NAMES


def subscribed(*names: str) -> DeltaSubscription:
    subscription = DeltaSubscription(ENDPOINT)
    subscription.receive(Request(type_url=ENDPOINT, subscribe=names), 1)
    return subscription


def acknowledge(subscription: DeltaSubscription, view: dict[str, Resource]) -> None:
    push = subscription.draft(view, Issued(), 0, may_remove=False)
    assert push is not None
    subscription.receive(Request(type_url=ENDPOINT, nonce=push.nonce), 1)
