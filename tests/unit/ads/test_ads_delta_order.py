"""The delta variant, rule by rule: in which order types go out, and what waits for what."""

from osm.ads.subscription import Acked
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from tests.unit.ads.talk import resource, told


def everything(talk, version):
    for type_url in (ROUTE, LISTENER, ENDPOINT, SECRET, CLUSTER):
        talk.have(type_url, x=version)


def ask_everything(talk):
    for type_url in (ROUTE, LISTENER, ENDPOINT, SECRET, CLUSTER):
        talk.ask(type_url, *([] if type_url in (CLUSTER, LISTENER) else ["x"]))


def drain(talk):
    pushes = []
    while (push := talk.push()) is not None:
        pushes.append(push)
    return pushes


def types(pushes):
    return [push.type_url for push in pushes]


def test_clusters_secrets_and_endpoints_go_out_together_and_listeners_and_routes_after_the_clusters_ack(talk):
    everything(talk, "1")
    ask_everything(talk)
    first = drain(talk)
    assert types(first) == [CLUSTER, SECRET, ENDPOINT]
    talk.ack(first[0])
    assert types(drain(talk)) == [LISTENER, ROUTE]


def test_listeners_and_routes_do_not_wait_for_ever_for_clusters_that_cannot_warm(talk):
    everything(talk, "1")
    ask_everything(talk)
    drain(talk)
    assert talk.stream.is_waiting
    talk.now = 60.0
    assert types(drain(talk)) == [LISTENER, ROUTE]
    assert not talk.stream.is_waiting


def test_listeners_wait_for_each_change_of_clusters_as_long_as_for_the_first(talk):
    talk.have(CLUSTER, a="1")
    talk.have(LISTENER, l="1")
    talk.ask(CLUSTER)
    talk.ask(LISTENER)
    clusters = talk.push()
    assert talk.push() is None
    talk.ack(clusters)
    talk.ack(talk.push())
    assert not talk.stream.is_waiting
    talk.now = 1.0
    talk.have(CLUSTER, a="2")
    talk.have(LISTENER, l="2")
    assert told(talk.push()) == {"a": "2"}
    talk.now = 2.9
    assert talk.push() is None


def test_clusters_never_answered_are_given_up_for_newer_ones(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER)
    stuck = talk.push()
    talk.now = 60.0
    assert talk.push() is None
    talk.have(CLUSTER, a="2", b=None)
    push = talk.push()
    assert told(push) == {"a": "2", "b": "-"}
    assert talk.nack(stuck, "a: no, at last") is None
    talk.ack(push)
    assert talk.settle() == []
    assert talk.stream.oldest_revision is None


def test_clusters_never_answered_are_given_up_for_a_removal_that_waits(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.have(CLUSTER, a="2", b=None)
    assert told(talk.push()) == {"a": "2"}
    talk.now = 60.0
    assert talk.settle() == [{"a": "2"}, {"b": "-"}]


def test_removals_that_were_given_up_are_said_again(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.have(CLUSTER, a=None)
    assert told(talk.push()) == {"a": "-"}
    talk.now = 60.0
    talk.have(CLUSTER, b="2")
    assert talk.settle() == [{"b": "2"}, {"a": "-"}]


def test_clusters_are_not_given_up_before_envoys_own_patience_ends(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    talk.push()
    talk.now = 14.0
    talk.have(CLUSTER, a="2")
    assert talk.push() is None
    assert talk.stream.is_waiting


def test_endpoints_do_not_wait_for_the_clusters_ack(talk):
    talk.have(CLUSTER, a="1")
    talk.have(ENDPOINT, a="1")
    talk.ask(CLUSTER)
    clusters = talk.push()
    talk.ask(ENDPOINT, "a")
    assert told(talk.push()) == {"a": "1"}
    assert isinstance(talk.ack(clusters), Acked)


def test_a_cluster_and_its_endpoints_are_removed_last_and_in_this_order(talk):
    everything(talk, "1")
    ask_everything(talk)
    for push in drain(talk):
        talk.ack(push)
    for push in drain(talk):
        talk.ack(push)
    talk.have(CLUSTER, x=None, y="1")
    talk.have(ENDPOINT, x=None)
    talk.have(ROUTE, x="2")
    clusters = talk.push()
    assert told(clusters) == {"y": "1"}
    talk.ack(clusters)
    routes = talk.push()
    assert (routes.type_url, told(routes)) == (ROUTE, {"x": "2"})
    assert talk.push() is None
    talk.ack(routes)
    clusters = talk.push()
    assert (clusters.type_url, told(clusters)) == (CLUSTER, {"x": "-"})
    assert talk.push() is None
    talk.ack(clusters)
    endpoints = talk.push()
    assert (endpoints.type_url, told(endpoints)) == (ENDPOINT, {"x": "-"})


def test_a_cluster_that_comes_back_before_its_removal_was_sent_is_not_removed(talk):
    everything(talk, "1")
    ask_everything(talk)
    talk.settle()
    talk.have(CLUSTER, x=None)
    talk.have(ROUTE, x="2")
    routes = talk.push()
    talk.have(CLUSTER, x="1")
    talk.ack(routes)
    assert talk.settle() == []


def with_companion(talk, version):
    talk.view.setdefault(CLUSTER, {})["a"] = resource(CLUSTER, "a", version, companions=((ENDPOINT, "a"),))
    talk.stream.touch(CLUSTER, ("a",), 1)


def test_a_changed_cluster_is_followed_by_its_load_assignment_equal_bytes_included(talk):
    with_companion(talk, "1")
    talk.have(ENDPOINT, a="1")
    talk.ask(CLUSTER)
    clusters = talk.push()
    talk.ask(ENDPOINT, "a")
    talk.ack(talk.push())
    talk.ack(clusters)
    assert talk.push() is None
    with_companion(talk, "2")
    assert [(p.type_url, told(p)) for p in drain(talk)] == [(CLUSTER, {"a": "2"}), (ENDPOINT, {"a": "1"})]


def test_a_load_assignment_under_way_when_its_cluster_changes_is_sent_once_more(talk):
    with_companion(talk, "1")
    talk.have(ENDPOINT, a="1")
    talk.ask(CLUSTER)
    talk.ask(ENDPOINT, "a")
    talk.settle()
    talk.have(ENDPOINT, a="2")
    endpoints = talk.push()
    with_companion(talk, "2")
    assert talk.push().type_url == CLUSTER
    talk.ack(endpoints)
    assert told(talk.push()) == {"a": "2"}


def test_on_reconnect_a_changed_cluster_is_followed_by_endpoints_that_are_asked_for_only_later(talk):
    with_companion(talk, "2")
    talk.have(ENDPOINT, a="1")
    talk.ask(CLUSTER, initial={"a": "1"})
    assert told(talk.push()) == {"a": "2"}
    talk.ask(ENDPOINT, "a", initial={"a": "1"})
    assert told(talk.push()) == {"a": "1"}
