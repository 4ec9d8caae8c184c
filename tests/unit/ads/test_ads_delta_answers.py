"""The delta variant, rule by rule: acknowledgements, rejections, and who is blamed for one."""

import pytest

from osm.ads.subscription import Acked, Rejected
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE
from tests.unit.ads.talk import resource, told

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


def test_a_rejected_version_is_not_sent_again_because_another_group_has_it_too(talk):
    talk.have(CLUSTER, bad="1")
    talk.ask(CLUSTER)
    talk.nack(talk.push(), "bad: no")
    talk.stream.move({CLUSTER: dict(talk.view[CLUSTER])}, 2)
    assert talk.settle() == []


def test_a_rejected_version_is_sent_to_who_leaves_the_name_and_asks_for_it_again(talk):
    talk.have(ENDPOINT, bad="1")
    talk.ask(ENDPOINT, "bad")
    talk.nack(talk.push(), "bad: no")
    talk.ask(ENDPOINT, leave=["bad"])
    talk.ask(ENDPOINT, "bad")
    assert talk.settle() == [{"bad": "1"}]


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


def test_a_rejected_resource_is_owed_no_longer(talk):
    talk.have(ENDPOINT, bad="1")
    talk.ask(ENDPOINT, "bad")
    talk.nack(talk.push(), "no")
    assert talk.stream.oldest_revision is None


@pytest.mark.parametrize("names", [(), ("bad",)])
def test_a_rejected_resource_may_have_been_applied_and_is_removed_once_when_it_goes(talk, names):
    talk.have(CLUSTER, bad="1")
    talk.ask(CLUSTER, *names)
    talk.nack(talk.push(), "no")
    talk.have(CLUSTER, bad=None)
    assert talk.settle() == [{"bad": "-"}]
    talk.stream.move(talk.view, 2)
    assert talk.settle() == []


def test_what_was_removed_by_a_rejected_push_is_removed_once_more(talk):
    talk.have(LISTENER, a="1", b="1")
    talk.ask(LISTENER)
    talk.settle()
    talk.have(LISTENER, a="2", b=None)
    talk.nack(talk.push(), "a: no")
    assert talk.settle() == [{"b": "-"}]


def test_a_rejected_version_is_tried_once_more_after_another_was_accepted_in_another_group(talk):
    first, second = talk.view, {CLUSTER: {"a": resource(CLUSTER, "a", "1")}}
    talk.have(CLUSTER, a="2")
    talk.ask(CLUSTER)
    talk.nack(talk.push(), "a: no")
    talk.stream.move(second, 2)
    assert talk.settle() == [{"a": "1"}]
    talk.stream.move(first, 3)
    assert talk.settle() == [{"a": "2"}]


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
    talk.have(LISTENER, a="1")
    assert talk.settle() == [{"a": "1"}]
