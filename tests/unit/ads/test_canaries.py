"""Who is tried first, how many of them, and who takes the place of one that says nothing."""

import pytest

from osm.ads.canaries import MOST_SILENT, Group, Terms

SILENCE_S = Terms().silence_s


@pytest.mark.parametrize(
    ("count", "share", "members", "canaries"),
    [
        (1, 0.0, 0, 0),
        (1, 0.01, 1, 1),
        (1, 0.01, 100, 1),
        (1, 0.01, 101, 2),
        (1, 0.01, 1000, 10),
        (5, 0.01, 100, 5),
        (5, 0.01, 3, 3),
        (0, 0.0, 10, 1),
    ],
)
def test_there_are_as_many_canaries_as_the_greater_of_number_and_share_says(
    count: int, share: float, members: int, canaries: int
) -> None:
    assert Terms(count=count, share=share).canaries(members) == canaries


def group(members: int, *, count: int = 1, share: float = 0.0) -> Group:
    """Members 1, 2, … that came at 0 s."""
    made = Group(Terms(count=count, share=share))
    for member in range(1, members + 1):
        made.join(member, 0.0)
    return made


def test_the_oldest_are_the_canaries() -> None:
    assert group(4, count=2).canaries == (1, 2)
    assert group(8, share=0.25).canaries == (1, 5)


def test_whether_the_next_becomes_a_canary_is_told_before_it_joins() -> None:
    made = group(4, share=0.25)
    told = made.is_next_canary()
    made.join(5, 0.0)
    assert (told, made.canaries) == (True, (1, 5))
    assert not made.is_next_canary()


def test_who_was_quiet_for_long_has_its_time_from_when_it_is_asked() -> None:
    made = group(2)
    assert not made.replace_silent(1000.0, 1000.0 + SILENCE_S - 0.1)
    assert made.replace_silent(1000.0, 1000.0 + SILENCE_S)
    assert made.canaries == (2,)


def test_who_joins_as_a_canary_has_its_time_from_then_on() -> None:
    made = Group(Terms())
    made.join(1, 100.0)
    made.join(2, 100.0)
    assert not made.replace_silent(0.0, 100.0 + SILENCE_S - 0.1)
    assert made.replace_silent(0.0, 100.0 + SILENCE_S)


def test_who_takes_a_silent_ones_place_has_its_time_from_then_on() -> None:
    made = group(3)
    assert made.replace_silent(0.0, SILENCE_S)
    assert not made.replace_silent(0.0, 2 * SILENCE_S - 0.1)
    assert made.replace_silent(0.0, 2 * SILENCE_S)
    assert made.canaries == (3,)


def test_an_answer_gives_a_canary_its_time_once_more() -> None:
    made = group(2)
    made.answered(1, 3.0)
    assert not made.replace_silent(0.0, SILENCE_S)
    assert made.replace_silent(0.0, 3.0 + SILENCE_S)


def test_an_answer_of_one_who_has_left_brings_nobody_back() -> None:
    made = group(2)
    made.leave(1, 0.0)
    made.answered(1, 1.0)
    assert made.members == (2,)


def test_who_leaves_is_replaced_by_one_that_was_not_tried() -> None:
    made = group(4)
    made.replace_silent(0.0, SILENCE_S)
    made.leave(2, SILENCE_S)
    assert made.canaries == (3,)


def test_who_leaves_is_replaced_by_a_silent_one_if_there_is_no_other() -> None:
    made = group(2)
    made.replace_silent(0.0, SILENCE_S)
    made.leave(2, SILENCE_S)
    assert made.canaries == (1,)


def test_a_silent_canary_keeps_its_place_if_nobody_can_take_it() -> None:
    made = group(1)
    assert not made.replace_silent(0.0, SILENCE_S)
    assert made.canaries == (1,)


def test_no_more_than_a_few_are_lost_to_one_change_and_the_next_may_be_tried_again() -> None:
    made, now = group(9), 0.0
    for _ in range(9):
        now += SILENCE_S
        made.replace_silent(0.0, now)
    assert made.canaries == (1 + MOST_SILENT,)
    silent_before = made.is_silent
    made.begin(now)
    assert (silent_before, made.is_silent) == (True, False)
    assert made.replace_silent(now, now + SILENCE_S)
