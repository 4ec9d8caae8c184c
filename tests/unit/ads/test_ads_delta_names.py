"""The delta variant, rule by rule: wildcards, names, and what a reconnecting proxy holds."""

import pytest

from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, WILDCARD
from tests.unit.ads.talk import told

UNKNOWN = "type.googleapis.com/envoy.service.runtime.v3.Runtime"


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


def test_a_first_request_that_only_leaves_names_is_no_wildcard(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER, leave=["a"])
    assert talk.settle() == []


def test_a_wildcard_joined_later_over_nothing_is_answered_so_that_the_proxy_goes_on(talk):
    talk.ask(LISTENER, "a")
    assert talk.settle() == [{"a": "-"}]
    talk.ask(LISTENER, WILDCARD)
    assert talk.settle() == [{}]


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
    talk.stream.move(talk.view, 2)
    assert talk.settle() == []


def test_a_name_that_does_not_exist_is_answered_at_once_though_something_is_under_way(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    talk.push()
    talk.ask(ENDPOINT, "ghost")
    assert told(talk.push()) == {"ghost": "-"}


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
