"""What is said of those who are turned away does not grow with how many there are."""

from structlog.testing import capture_logs

from services.xds.turned_away import LOG_GAP_S, TurnedAway


def test_the_first_is_told_at_once_and_the_next_line_says_how_many_were_not():
    turned_away = TurnedAway()
    with capture_logs() as lines:
        for number in range(1000):
            turned_away.note("ipv4:127.0.0.1:1", f"reason {number}", number / 1000)
        turned_away.note("ipv4:127.0.0.1:2", "the last", LOG_GAP_S + 1)
    assert [(line["why"], line["others_since_the_last_line"]) for line in lines] == [("reason 0", 0), ("the last", 999)]
