"""The delta variant, rule by rule, on the pure machine of one stream."""

import pytest
from envoy.config.cluster.v3 import cluster_pb2
from envoy.config.endpoint.v3 import endpoint_pb2
from envoy.extensions.transport_sockets.tls.v3 import secret_pb2

from osm.ads.delta import DeltaSubscription
from osm.ads.resource import Resource
from osm.ads.stream import (
    MAX_NAME_CHARACTERS,
    MAX_NAMES,
    MAX_TYPE_CHARACTERS,
    MAX_TYPES,
    LimitExceeded,
    Stream,
)
from osm.ads.subscription import Acked, Rejected
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, WILDCARD
from osm.ads.wire import Request

UNKNOWN = "type.googleapis.com/envoy.service.runtime.v3.Runtime"


def resource(type_url, name, version="1", companions=()):
    made = Resource.of(name, cluster_pb2.Cluster(name=name), version=version, companions=companions)
    return Resource(**{f: getattr(made, f) for f in made.__struct_fields__} | {"type_url": type_url})


class Talk:
    """A stream and the resources it sees; plays the proxy's part in few words."""

    def __init__(self, **types):
        self.view = {}
        self.stream = Stream(DeltaSubscription)
        self.now = 0.0
        self.stream.move(self.view, 0)

    def have(self, type_url, **versions):
        """Set these names to these versions; None removes."""
        for name, version in versions.items():
            if version is None:
                self.view[type_url].pop(name)
            else:
                self.view.setdefault(type_url, {})[name] = resource(type_url, name, version)
            self.stream.touch(type_url, (name,), 1)

    def ask(self, type_url, *names, leave=(), initial=None, nonce="", error=None):
        return self.stream.receive(
            Request(
                type_url=type_url,
                subscribe=names,
                unsubscribe=tuple(leave),
                initial_versions=initial or {},
                nonce=nonce,
                error=error,
            ),
            1,
        )

    def push(self):
        return self.stream.next_push(self.now)

    def ack(self, push, *names, leave=()):
        return self.ask(push.type_url, *names, leave=leave, nonce=push.nonce)

    def nack(self, push, detail):
        return self.ask(push.type_url, nonce=push.nonce, error=detail)

    def settle(self):
        """Push and acknowledge until there is nothing left; what was sent."""
        said = []
        while (push := self.push()) is not None:
            said.append(told(push))
            self.ack(push)
        return said


def told(push):
    """What a push says: versions by name, and "-" for a removal."""
    return {r.name: r.version for r in push.resources} | dict.fromkeys(push.removed, "-")


@pytest.fixture
def talk():
    return Talk()


# Wildcards


@pytest.mark.parametrize("names", [(), (WILDCARD,)])
def test_an_empty_first_request_and_a_star_both_ask_for_everything(talk, names):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER, *names)
    assert talk.settle() == [{"a": "1", "b": "1"}]


def test_an_empty_first_request_asks_for_nothing_where_a_wildcard_is_not_defined(talk):
    talk.have(ENDPOINT, a="1")
    talk.ask(ENDPOINT)
    assert talk.settle() == []


def test_a_wildcard_over_nothing_is_answered_once_so_that_the_proxy_starts(talk):
    talk.ask(LISTENER)
    push = talk.push()
    assert told(push) == {}
    talk.ack(push)
    assert talk.settle() == []


def test_the_empty_answer_is_not_given_to_a_proxy_that_already_started(talk):
    talk.have(LISTENER, a="1")
    talk.ask(LISTENER, initial={"a": "1"})
    assert talk.settle() == []


def test_an_acknowledgement_without_names_is_no_wildcard(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER, "a")
    assert talk.settle() == [{"a": "1"}]


def test_a_wildcard_is_left_and_names_stay(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.ask(CLUSTER, "a")
    talk.settle()
    talk.ask(CLUSTER, leave=[WILDCARD])
    talk.have(CLUSTER, a="2", b="2")
    assert talk.settle() == [{"a": "2"}]


def test_a_wildcard_left_can_be_joined_again(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER, WILDCARD, "a")
    talk.settle()
    talk.ask(CLUSTER, leave=[WILDCARD])
    talk.settle()
    talk.ask(CLUSTER, WILDCARD)
    assert talk.settle() == [{"b": "1"}]


def test_a_wildcard_asked_for_twice_is_answered_twice(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER, WILDCARD)
    talk.settle()
    talk.ask(CLUSTER, WILDCARD)
    assert talk.settle() == [{"a": "1"}]


def test_leaving_a_name_beside_a_wildcard_tells_whether_the_wildcard_includes_it(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER, WILDCARD, "a", "ghost")
    talk.settle()
    talk.ask(CLUSTER, leave=["a", "ghost"])
    assert talk.settle() == [{"a": "1", "ghost": "-"}]


# Names


def test_only_what_was_asked_for_is_sent(talk):
    talk.have(ENDPOINT, a="1", b="1")
    talk.ask(ENDPOINT, "a")
    assert talk.settle() == [{"a": "1"}]
    talk.have(ENDPOINT, b="2")
    assert talk.settle() == []


def test_a_name_asked_for_again_is_sent_again(talk):
    talk.have(ENDPOINT, a="1")
    talk.ask(ENDPOINT, "a")
    talk.settle()
    talk.ask(ENDPOINT, "a")
    assert talk.settle() == [{"a": "1"}]


def test_a_name_that_does_not_exist_is_answered_as_removed_once(talk):
    talk.ask(ROUTE, "ghost")
    assert talk.settle() == [{"ghost": "-"}]
    talk.have(ROUTE, other="1")
    assert talk.settle() == []


def test_a_name_that_comes_later_is_sent_when_it_comes(talk):
    talk.ask(ROUTE, "late")
    talk.settle()
    talk.have(ROUTE, late="1")
    assert talk.settle() == [{"late": "1"}]


def test_a_name_left_is_not_sent_any_more(talk):
    talk.have(ENDPOINT, a="1")
    talk.ask(ENDPOINT, "a")
    talk.settle()
    talk.ask(ENDPOINT, leave=["a"])
    talk.have(ENDPOINT, a="2")
    assert talk.settle() == []


def test_a_name_left_while_its_push_is_under_way_is_sent_when_asked_for_again(talk):
    talk.have(ENDPOINT, a="1")
    talk.ask(ENDPOINT, "a")
    push = talk.push()
    talk.ask(ENDPOINT, leave=["a"])
    talk.ack(push)
    talk.ask(ENDPOINT, "a")
    assert talk.settle() == [{"a": "1"}]


def test_leaving_a_name_never_asked_for_is_ignored(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.ask(CLUSTER, leave=["phantom"])
    assert talk.settle() == []


def test_an_equal_version_is_not_sent(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.have(CLUSTER, a="1")
    assert talk.settle() == []


def test_a_secret_that_is_not_made_yet_is_not_answered_and_never_removed(talk):
    talk.ask(SECRET, "cert")
    assert talk.settle() == []
    talk.have(SECRET, cert="1")
    assert talk.settle() == [{"cert": "1"}]
    talk.have(SECRET, cert=None)
    assert talk.settle() == []


def test_an_unknown_type_is_answered_empty(talk):
    talk.ask(UNKNOWN)
    assert talk.settle() == [{}]


def test_names_of_an_unknown_type_are_answered_as_removed(talk):
    talk.ask(UNKNOWN, "layer")
    assert talk.settle() == [{"layer": "-"}]


# Answers


def test_at_most_one_push_of_a_type_is_outstanding_and_newer_state_replaces_older(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    first = talk.push()
    talk.have(CLUSTER, a="2")
    talk.have(CLUSTER, a="3")
    assert talk.push() is None
    talk.ack(first)
    assert talk.settle() == [{"a": "3"}]


def test_a_change_undone_while_the_proxy_was_busy_is_not_sent(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    first = talk.push()
    talk.have(CLUSTER, a="2")
    talk.have(CLUSTER, a="1")
    talk.ack(first)
    assert talk.settle() == []


@pytest.mark.parametrize("nonce", ["", "0", "no such nonce"])
def test_an_answer_with_another_nonce_does_not_count_but_its_names_do(talk, nonce):
    talk.have(ENDPOINT, a="1", b="1")
    talk.ask(ENDPOINT, "a")
    push = talk.push()
    assert talk.ask(ENDPOINT, "b", nonce=nonce, error="too late") is None
    assert talk.push() is None
    assert isinstance(talk.ack(push), Acked)
    assert talk.settle() == [{"b": "1"}]


def test_an_answer_given_twice_counts_once(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    push = talk.push()
    assert isinstance(talk.ack(push), Acked)
    assert talk.nack(push, "changed my mind") is None


def test_nonces_differ_on_one_stream(talk):
    talk.have(CLUSTER, a="1")
    talk.have(ENDPOINT, a="1")
    talk.ask(CLUSTER)
    talk.ask(ENDPOINT, "a")
    assert talk.push().nonce != talk.push().nonce


# Rejections


def test_a_rejected_resource_is_not_sent_again_until_it_changes(talk):
    talk.have(CLUSTER, bad="1")
    talk.ask(CLUSTER)
    answer = talk.nack(talk.push(), "Error adding/updating cluster(s) bad: no")
    assert isinstance(answer, Rejected)
    assert [r.name for r in answer.guilty] == ["bad"]
    assert talk.settle() == []
    talk.have(CLUSTER, bad="2")
    assert talk.settle() == [{"bad": "2"}]


@pytest.mark.parametrize("meanwhile", ["1", None])
def test_a_rejected_version_that_comes_back_after_something_else_is_tried_once_more(talk, meanwhile):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.have(CLUSTER, a="2")
    talk.nack(talk.push(), "a: no")
    talk.have(CLUSTER, a=meanwhile)
    talk.settle()
    talk.have(CLUSTER, a="2")
    assert talk.settle() == [{"a": "2"}]


def test_a_rejection_stands_while_other_names_change(talk):
    talk.have(CLUSTER, bad="1")
    talk.ask(CLUSTER)
    talk.nack(talk.push(), "bad: no")
    talk.have(CLUSTER, other="1")
    assert talk.settle() == [{"other": "1"}]


def test_the_innocent_of_a_rejected_push_are_sent_again(talk):
    talk.have(CLUSTER, bad="1", fine="1", good="1")
    talk.ask(CLUSTER)
    talk.nack(talk.push(), "Error adding/updating cluster(s) bad: no")
    assert talk.settle() == [{"fine": "1", "good": "1"}]


def test_when_the_proxy_names_nobody_the_push_is_halved_until_the_culprit_is_found(talk):
    names = {f"r{i}": "1" for i in range(8)}
    talk.have(ROUTE, **names)
    talk.ask(ROUTE, *names)
    guilty, accepted, pushes = [], {}, 0
    while (push := talk.push()) is not None:
        pushes += 1
        if any(r.name == "r5" for r in push.resources):
            guilty += [r.name for r in talk.nack(push, "invalid route").guilty]
        else:
            accepted |= told(push)
            talk.ack(push)
    assert guilty == ["r5"]
    assert accepted == {name: "1" for name in names if name != "r5"}
    assert pushes <= 7


def test_a_rejected_resource_that_was_never_held_is_not_removed_when_it_goes(talk):
    talk.have(ENDPOINT, bad="1")
    talk.ask(ENDPOINT, "bad")
    talk.nack(talk.push(), "no")
    assert talk.stream.oldest_revision is None


def test_the_old_version_of_a_rejected_resource_is_still_held_and_removed_when_it_goes(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.have(CLUSTER, a="2")
    talk.nack(talk.push(), "a: no")
    talk.have(CLUSTER, a=None)
    assert talk.settle() == [{"a": "-"}]


def test_what_may_have_been_applied_from_a_rejected_push_is_removed_by_name(talk):
    talk.have(CLUSTER, bad="1", good="1")
    talk.ask(CLUSTER)
    push = talk.push()
    talk.have(CLUSTER, good=None)
    talk.nack(push, "bad: no")
    assert talk.settle() == [{"good": "-"}]


def test_going_back_to_the_version_that_is_held_sends_nothing(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.have(CLUSTER, a="2")
    talk.nack(talk.push(), "a: no")
    talk.have(CLUSTER, a="1")
    assert talk.settle() == []


def test_a_rejected_removal_is_not_repeated_for_ever(talk):
    talk.have(LISTENER, a="1")
    talk.ask(LISTENER)
    talk.settle()
    talk.have(LISTENER, a=None)
    talk.nack(talk.push(), "will not")
    assert talk.settle() == []


# Reconnecting


def test_what_a_reconnecting_proxy_holds_is_not_sent_what_differs_is_and_what_is_gone_is_removed(talk):
    talk.have(CLUSTER, same="1", changed="2", new="1")
    talk.ask(CLUSTER, initial={"same": "1", "changed": "1", "gone": "1"})
    assert talk.settle() == [{"changed": "2", "new": "1"}, {"gone": "-"}]


def test_held_names_asked_for_by_name_on_reconnect_are_not_sent(talk):
    talk.have(ENDPOINT, same="1", changed="2")
    talk.ask(ENDPOINT, "same", "changed", initial={"same": "1", "changed": "1"})
    assert talk.settle() == [{"changed": "2"}]


def test_initial_versions_of_names_not_asked_for_are_ignored(talk):
    talk.ask(ENDPOINT, "a", initial={"a": "1", "stranger": "1"})
    assert talk.settle() == [{"a": "-"}]


def test_initial_versions_count_in_the_first_request_only(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.have(CLUSTER, a="2")
    talk.ask(CLUSTER, initial={"a": "2"})
    assert talk.settle() == [{"a": "2"}]


# Order among types


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


# Groups and limits


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
