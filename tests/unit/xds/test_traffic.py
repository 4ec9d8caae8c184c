"""What is kept of proxies' reports: since a trial began, and as it was before."""

from services.xds.judgement import Load
from services.xds.traffic import HALF_LIFE_S, Traffic


def test_who_reports_nothing_is_not_there() -> None:
    traffic = Traffic()
    traffic.begin([1], keeps_reference=False)
    assert 1 not in traffic
    assert len(traffic) == 0
    assert traffic.since([1]) == Load()


def test_the_report_that_may_tell_of_the_time_before_is_not_counted() -> None:
    traffic = Traffic()
    traffic.report(1, Load(10, 0), 0.0)
    traffic.begin([1], keeps_reference=False)
    traffic.report(1, Load(10, 10), 1.0)
    assert traffic.since([1]) == Load()
    traffic.report(1, Load(10, 3), 2.0)
    traffic.report(1, Load(10, 4), 3.0)
    assert traffic.since([1]) == Load(20, 7)


def test_several_proxies_are_summed() -> None:
    traffic = Traffic()
    for now in (0.0, 1.0):
        for proxy in (1, 2, 3):
            traffic.report(proxy, Load(10, proxy), now)
    assert traffic.since([1, 3, 9]) == Load(20, 4)


def test_the_reference_is_the_traffic_before_and_older_traffic_fades() -> None:
    traffic = Traffic()
    traffic.report(1, Load(100, 100), 0.0)
    traffic.report(1, Load(50, 0), HALF_LIFE_S)
    traffic.begin([1], keeps_reference=False)
    traffic.report(1, Load(999, 999), HALF_LIFE_S + 1)
    assert traffic.before([1]) == Load(100, 50)


def test_traffic_fades_by_the_time_between_reports_however_often_they_come() -> None:
    traffic = Traffic()
    for now in (0.0, HALF_LIFE_S, 2 * HALF_LIFE_S):
        traffic.report(1, Load(100, 100), now)
    traffic.begin([1], keeps_reference=False)
    assert traffic.before([1]) == Load(175, 175)


def test_a_trial_that_begins_anew_keeps_its_reference() -> None:
    traffic = Traffic()
    traffic.report(1, Load(100, 0), 0.0)
    traffic.begin([1], keeps_reference=False)
    traffic.report(1, Load(100, 100), 0.0)
    traffic.begin([1], keeps_reference=True)
    assert traffic.before([1]) == Load(100, 0)
    traffic.begin([1], keeps_reference=False)
    assert traffic.before([1]) == Load(200, 100)


def test_a_proxy_that_left_is_forgotten() -> None:
    traffic = Traffic()
    traffic.report(1, Load(100, 0), 0.0)
    traffic.forget(1)
    assert len(traffic) == 0
