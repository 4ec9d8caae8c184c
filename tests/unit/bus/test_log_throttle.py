from osm.bus.log_throttle import AGAIN_S, LogThrottle


def test_what_stays_so_is_said_at_once_and_then_seldom() -> None:
    repeats = LogThrottle()
    times = [0.0, 1.0, AGAIN_S - 1, AGAIN_S, AGAIN_S + 1]
    assert [repeats.due("refused", now) for now in times] == [True, False, False, True, False]


def test_two_ways_of_failing_by_turns_are_said_once_each() -> None:
    repeats = LogThrottle()
    said = [words for now in range(10) for words in ("refused", "no address") if repeats.due(words, float(now))]
    assert said == ["refused", "no address"]


def test_what_comes_back_after_it_was_over_is_news() -> None:
    repeats = LogThrottle()
    assert repeats.due("refused", 0.0)
    repeats.over()
    assert repeats.due("refused", 1.0)
