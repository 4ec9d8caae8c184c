"""The state-of-the-world variant, rule by rule, on the pure machine of one stream."""

import pytest

from osm.ads.stream import MAX_NAMES, LimitExceeded
from osm.ads.subscription import Rejected
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET, WILDCARD
from tests.unit.ads.talk import SotwTalk


@pytest.fixture
def talk():
    return SotwTalk()


def test_no_names_at_first_and_a_star_both_ask_for_everything(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.have(LISTENER, a="1", b="1")
    talk.ask(CLUSTER)
    talk.ask(LISTENER, WILDCARD)
    assert talk.settle() == [{"a": "1", "b": "1"}] * 2


def test_no_names_after_names_asks_for_nothing(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER, "a")
    assert talk.settle() == [{"a": "1"}]
    talk.ask(CLUSTER)
    talk.have(CLUSTER, a="2")
    assert talk.settle() == []


def test_a_wildcard_is_left_by_naming_names(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER, WILDCARD, "a")
    talk.settle()
    talk.ask(CLUSTER, "a")
    talk.have(CLUSTER, b="2")
    assert talk.settle() == []
    talk.ask(CLUSTER, WILDCARD)
    assert talk.settle() == [{"a": "1", "b": "2"}]


def test_a_wildcard_over_nothing_is_answered_empty_once(talk):
    talk.ask(LISTENER)
    assert talk.settle() == [{}]
    assert talk.settle() == []


def test_a_changed_cluster_comes_with_all_the_others(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.have(CLUSTER, b="2")
    assert talk.settle() == [{"a": "1", "b": "2"}]


def test_a_changed_load_assignment_comes_alone(talk):
    talk.have(ENDPOINT, a="1", b="1")
    talk.ask(ENDPOINT, "a", "b")
    talk.settle()
    talk.have(ENDPOINT, b="2")
    assert talk.settle() == [{"b": "2"}]


def test_a_listener_is_removed_by_its_absence(talk):
    talk.have(LISTENER, a="1", b="1")
    talk.ask(LISTENER)
    talk.settle()
    talk.have(LISTENER, b=None)
    assert talk.settle() == [{"a": "1"}]


def test_the_last_listener_is_removed_by_an_empty_response(talk):
    talk.have(LISTENER, a="1")
    talk.ask(LISTENER)
    talk.settle()
    talk.have(LISTENER, a=None)
    assert talk.settle() == [{}]


@pytest.mark.parametrize("type_url", [ENDPOINT, ROUTE, SECRET])
def test_other_types_have_no_removal(talk, type_url):
    talk.have(type_url, a="1", b="1")
    talk.ask(type_url, "a", "b")
    talk.settle()
    talk.have(type_url, b=None)
    assert talk.settle() == []
    talk.have(type_url, b="1")
    assert talk.settle() == [{"b": "1"}]


def test_a_cluster_stays_in_responses_until_nothing_is_under_way_that_may_point_at_it(talk):
    talk.have(CLUSTER, old="1")
    talk.have(ROUTE, r="1")
    talk.ask(CLUSTER)
    talk.ask(ROUTE, "r")
    talk.settle()
    talk.have(CLUSTER, old=None, new="1")
    talk.have(ROUTE, r="2")
    assert talk.settle() == [{"new": "1", "old": "1"}, {"r": "2"}, {"new": "1"}]


def test_names_that_come_later_are_sent_when_they_come(talk):
    talk.ask(ROUTE, "late")
    assert talk.settle() == []
    talk.have(ROUTE, late="1")
    assert talk.settle() == [{"late": "1"}]


def test_a_name_added_is_sent_even_if_it_was_there_before(talk):
    talk.have(ENDPOINT, a="1", b="1")
    talk.ask(ENDPOINT, "a")
    talk.settle()
    talk.ask(ENDPOINT, "a", "b")
    assert talk.settle() == [{"b": "1"}]
    talk.ask(ENDPOINT, "b")
    assert talk.settle() == []
    talk.ask(ENDPOINT, "a", "b")
    assert talk.settle() == [{"a": "1"}]


@pytest.mark.parametrize("nonce", ["", "unknown"])
def test_a_request_with_a_stale_nonce_is_ignored_and_the_push_stays_outstanding(talk, nonce):
    talk.have(ENDPOINT, a="1", b="1")
    talk.ask(ENDPOINT, "a")
    push = talk.push()
    assert talk.ask(ENDPOINT, "b", nonce=nonce) is None
    talk.have(ENDPOINT, a="2")
    assert talk.push() is None
    talk.names[ENDPOINT] = ("a",)
    talk.ack(push)
    assert talk.settle() == [{"a": "2"}]


def test_a_nonce_from_an_earlier_stream_does_not_matter_in_the_first_request(talk):
    talk.have(ENDPOINT, a="1")
    talk.ask(ENDPOINT, "a", nonce="from before", version="whatever")
    assert talk.settle() == [{"a": "1"}]


def test_a_rejected_cluster_is_replaced_by_its_last_good_version_in_later_responses(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.have(CLUSTER, a="2")
    answer = talk.nack(talk.push(), "Error adding/updating cluster(s) a: no")
    assert isinstance(answer, Rejected)
    assert [r.name for r in answer.guilty] == ["a"]
    assert talk.settle() == []
    talk.have(CLUSTER, b="2")
    assert talk.settle() == [{"a": "1", "b": "2"}]
    talk.have(CLUSTER, a="3")
    assert talk.settle() == [{"a": "3", "b": "2"}]


def test_a_rejected_listener_is_replaced_by_its_last_good_version_in_later_responses(talk):
    """Where absence is removal, it would be gone."""
    talk.have(LISTENER, a="1", b="1")
    talk.ask(LISTENER)
    talk.settle()
    talk.have(LISTENER, a="2")
    talk.nack(talk.push(), "Error adding/updating listener(s) a: no")
    talk.have(LISTENER, b="2")
    assert talk.settle() == [{"a": "1", "b": "2"}]


def test_what_may_have_been_applied_from_a_rejected_response_is_removed_by_its_absence(talk):
    talk.have(LISTENER, bad="1", fine="1")
    talk.ask(LISTENER)
    push = talk.push()
    talk.have(LISTENER, fine=None)
    talk.nack(push, "bad: no")
    assert talk.settle() == [{}]


def test_a_cluster_that_is_named_no_more_is_in_no_later_response(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER, "a", "b")
    talk.settle()
    talk.ask(CLUSTER, "b")
    talk.have(CLUSTER, b="2")
    assert talk.settle() == [{"b": "2"}]


def test_a_rejected_cluster_that_was_never_good_is_left_out(talk):
    talk.have(CLUSTER, bad="1", fine="1")
    talk.ask(CLUSTER)
    talk.nack(talk.push(), "bad: no")
    assert talk.settle() == [{"fine": "1"}]


def test_a_rejected_version_that_comes_back_after_another_is_tried_once_more(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.have(CLUSTER, a="2")
    talk.nack(talk.push(), "a: no")
    talk.have(CLUSTER, a="1")
    assert talk.settle() == []
    talk.have(CLUSTER, a="2")
    assert talk.settle() == [{"a": "2", "b": "1"}]


def test_without_a_name_everything_new_in_a_rejected_response_is_guilty(talk):
    talk.have(CLUSTER, a="1")
    talk.ask(CLUSTER)
    talk.settle()
    talk.have(CLUSTER, b="1", c="1")
    answer = talk.nack(talk.push(), "no")
    assert [r.name for r in answer.guilty] == ["b", "c"]
    assert talk.settle() == []


def test_a_proxy_that_comes_back_with_the_version_of_this_very_set_is_sent_nothing(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER)
    push = talk.push()
    again = SotwTalk()
    again.view.update(talk.view)
    again.ask(CLUSTER, version=push.version)
    assert again.settle() == []
    again.have(CLUSTER, a="2")
    assert again.settle() == [{"a": "2", "b": "1"}]


def test_a_proxy_that_comes_back_with_nothing_is_told_that_there_is_nothing_so_that_it_starts(talk):
    talk.ask(LISTENER)
    push = talk.push()
    again = SotwTalk()
    again.ask(LISTENER, version=push.version)
    assert again.settle() == [{}]


def test_a_proxy_that_comes_back_with_another_version_is_sent_everything(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER, version="0123")
    assert talk.settle() == [{"a": "1", "b": "1"}]


def test_an_unknown_type_is_answered_empty(talk):
    talk.ask("type.googleapis.com/envoy.service.runtime.v3.Runtime", "layer")
    assert talk.settle() == [{}]


def test_a_stream_may_not_name_names_without_end(talk):
    with pytest.raises(LimitExceeded, match="names"):
        talk.ask(ENDPOINT, *(str(i) for i in range(MAX_NAMES + 1)))


def test_an_explicitly_named_cluster_that_goes_is_absent_from_the_next_response(talk):
    talk.have(CLUSTER, a="1", b="1")
    talk.ask(CLUSTER, "a", "b")
    talk.settle()
    talk.have(CLUSTER, b=None)
    assert talk.settle() == [{"a": "1"}]
