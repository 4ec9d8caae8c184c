"""The lanes when canaries say nothing: who takes their place, and when a change stops for it."""

import pytest

from osm.ads.canaries import MOST_SILENT
from osm.ads.types import LISTENER
from tests.unit.xds.lanes_world import CLASS, EDS, Fleet, settled, three_proxies, versions


@pytest.fixture
def fleet() -> Fleet:
    return three_proxies()


def test_a_silent_canary_is_replaced_and_gets_the_last_good_one_should_it_wake(fleet: Fleet) -> None:
    fleet.offer(a="2")
    silent = fleet.push(1)
    assert versions(silent) == {"a": "2"}
    fleet.now += 4.9
    fleet.lanes.look()
    assert fleet.push(2) is None
    fleet.now += 0.1
    fleet.lanes.look()
    assert versions(fleet.push(2)) == {"a": "2"}
    assert fleet.push(3) is None


def test_a_change_that_silences_canary_after_canary_stops() -> None:
    fleet = Fleet()
    fleet.offer(a="1")
    everyone = [fleet.join() for _ in range(8)]
    for proxy in everyone:
        fleet.take(proxy)
    fleet.offer(a="2")
    asked = set()
    for _ in range(8):
        asked |= {proxy for proxy in everyone if versions(fleet.push(proxy)).get("a") == "2"}
        fleet.now += 5.0
        fleet.lanes.look()
    assert len(asked) == MOST_SILENT + 1
    [rollout] = fleet.lanes.rollouts().values()
    assert rollout.is_stalled


def test_a_canary_that_has_answered_is_not_silent_while_another_is() -> None:
    fleet = Fleet(share=0.5)
    everyone = settled(fleet, 8)
    [rollout] = fleet.lanes.rollouts().values()
    silent, *answering = rollout.group.canaries
    fleet.offer(a="2")
    for proxy in answering:
        fleet.take(proxy)
    fleet.now += 5.0
    fleet.lanes.look()
    assert set(answering) < set(rollout.group.canaries)
    assert silent not in rollout.group.canaries
    for proxy in everyone:
        if proxy != silent:
            fleet.take(proxy)
    assert not rollout.pending


def test_a_change_that_silences_many_canaries_at_once_stops_as_soon() -> None:
    fleet = Fleet(share=0.5)
    everyone = settled(fleet, 20)
    fleet.offer(a="2")
    asked = set()
    for _ in range(8):
        asked |= {proxy for proxy in everyone if versions(fleet.push(proxy)).get("a") == "2"}
        fleet.now += 5.0
        fleet.lanes.look()
    assert len(asked) == 10 + MOST_SILENT


def test_a_silent_canary_is_replaced_though_something_else_changes_all_the_time(fleet: Fleet) -> None:
    for step in range(4):
        fleet.offer(a="2", b=str(step))
        fleet.now += 2.0
        fleet.lanes.look()
    assert versions(fleet.push(2))["a"] == "2"


def test_a_change_that_silences_canaries_is_stopped_though_something_else_changes_all_the_time() -> None:
    fleet = Fleet()
    everyone = settled(fleet, 12)
    asked = set()
    for step in range(12):
        fleet.offer(a="2", b=str(step))
        asked |= {proxy for proxy in everyone if versions(fleet.push(proxy)).get("a") == "2"}
        fleet.now += 5.0
        fleet.lanes.look()
    assert len(asked) == MOST_SILENT + 1


def test_a_newer_form_of_what_silenced_canaries_is_tried_from_the_beginning() -> None:
    fleet = Fleet()
    everyone = settled(fleet, 8)
    fleet.offer(a="2")
    for _ in range(8):
        fleet.now += 5.0
        fleet.lanes.look()
    fleet.offer(a="3")
    [rollout] = fleet.lanes.rollouts().values()
    assert not rollout.is_stalled
    for _ in range(2):
        for proxy in everyone:
            fleet.take(proxy)
    assert not rollout.pending


def test_nothing_changes_while_nobody_is_left_to_take_a_silent_canarys_place() -> None:
    fleet = Fleet()
    settled(fleet, 2)
    fleet.offer(a="2")
    looks = []
    for _ in range(4):
        fleet.now += 5.0
        looks.append(fleet.lanes.look())
    assert looks == [True, False, False, False]


def test_a_silent_canary_too_many_of_a_class_that_has_shrunk_is_none_any_more() -> None:
    fleet = Fleet(share=0.5)
    everyone = settled(fleet, 8)
    [rollout] = fleet.lanes.rollouts().values()
    silent, *_ = rollout.group.canaries
    for proxy in [each for each in everyone if each not in rollout.group.canaries]:
        fleet.leave(proxy)
    late = fleet.join()
    fleet.take(late)
    fleet.offer(a="2")
    for _ in range(2):
        for proxy in rollout.group.members:
            if proxy != silent:
                fleet.take(proxy)
        fleet.now += 5.0
        fleet.lanes.look()
    assert not rollout.pending


def test_an_answer_about_something_else_is_none_about_the_change(fleet: Fleet) -> None:
    fleet.offer(a="2")
    fleet.now += 3.0
    fleet.lanes.answered(CLASS, 1, EDS)
    fleet.now += 2.0
    fleet.lanes.look()
    assert versions(fleet.push(2)) == {"a": "2"}


def test_an_answer_about_a_part_of_the_change_gives_a_canary_its_time_once_more(fleet: Fleet) -> None:
    fleet.offer(a="2")
    fleet.now += 3.0
    fleet.lanes.answered(CLASS, 1, LISTENER)
    fleet.now += 4.9
    fleet.lanes.look()
    assert fleet.push(2) is None
    fleet.now += 0.1
    fleet.lanes.look()
    assert versions(fleet.push(2)) == {"a": "2"}


def test_a_canary_that_leaves_is_replaced_at_once(fleet: Fleet) -> None:
    fleet.offer(a="2")
    fleet.push(1)
    fleet.leave(1)
    assert versions(fleet.push(2)) == {"a": "2"}
