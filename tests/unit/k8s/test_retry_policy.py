"""How long a follower waits, and what it says of trouble."""

import pytest
from structlog.testing import capture_logs

from osm.k8s.errors import Forbidden, Gone, Unreachable
from osm.k8s.retry_policy import Pace, RetryPolicy

AWAY = Unreachable("watch pods: no answer")
NO = Forbidden("list pods: forbidden", status=403, reason="Forbidden")
OLD = Gone("watch pods: too old", status=410, reason="Expired")
PACE = Pace(first_retry_s=1.0, longest_retry_s=8.0, denied_s=30.0)
FIFTH = 0.21
"""Waits differ by a fifth, so that what began together does not go on together."""


def test_waits_for_a_server_that_is_away_double_up_to_the_longest() -> None:
    patience = RetryPolicy("pods", PACE)
    waits = [patience.after(AWAY) for _ in range(6)]
    assert waits == [pytest.approx(wait, rel=FIFTH) for wait in (1, 2, 4, 8, 8, 8)]
    patience.answered()
    assert patience.after(AWAY) == pytest.approx(1, rel=FIFTH)


def test_a_watch_that_begins_and_fails_again_is_no_reason_to_hurry() -> None:
    patience = RetryPolicy("pods", PACE)
    for wait_s in (1, 2, 4):
        patience.begun()
        assert patience.after(AWAY) == pytest.approx(wait_s, rel=FIFTH)


def test_a_version_that_is_too_old_is_no_reason_to_wait() -> None:
    assert RetryPolicy("pods", PACE).after(OLD) == 0


def test_a_server_that_knows_its_roles_only_in_a_moment_is_asked_again_soon_and_a_person_slowly() -> None:
    patience = RetryPolicy("pods", PACE)
    waits = [patience.after(NO) for _ in range(7)]
    assert waits == [pytest.approx(wait, rel=FIFTH) for wait in (1, 2, 4, 8, 16, 30, 30)]
    patience.begun()
    assert patience.after(NO) == pytest.approx(1, rel=FIFTH)


def test_where_we_may_list_but_not_watch_lists_do_not_hurry_us() -> None:
    patience = RetryPolicy("pods", PACE)
    for wait_s in (1, 2, 4):
        assert patience.after(NO) == pytest.approx(wait_s, rel=FIFTH)
        patience.answered()


def test_one_broken_connection_is_no_news() -> None:
    patience = RetryPolicy("pods", PACE)
    with capture_logs() as said:
        patience.after(AWAY)
        patience.answered()
    assert said == []


def test_trouble_is_told_once_and_so_is_its_end() -> None:
    patience = RetryPolicy("pods", PACE)
    with capture_logs() as said:
        for _ in range(5):
            patience.after(AWAY)
        patience.answered()
        patience.answered()
    assert [(each["event"], each["kind"]) for each in said] == [
        ("API server away, what is known stands", "pods"),
        ("kind followed again", "pods"),
    ]


def test_trouble_of_another_kind_is_told_too() -> None:
    patience = RetryPolicy("pods", PACE)
    with capture_logs() as said:
        for error in (AWAY, AWAY, NO, NO):
            patience.after(error)
    assert [each["event"] for each in said] == [
        "API server away, what is known stands",
        "kind not readable, grant list and watch",
    ]
