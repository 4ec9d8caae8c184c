"""The lanes where canaries are watched: what they have accepted goes on later, unless traffic speaks against it."""

import pytest

from osm.ads.canaries import Terms
from osm.ads.types import ENDPOINT
from osm.ads.wire import Request
from services.xds.judgement import Allowed, Load
from services.xds.probation import Probation
from services.xds.traffic import Traffic
from tests.unit.xds.lanes_world import CLASS, Fleet

WATCH_S = 10.0
FINE, BAD = Load(10, 0), Load(10, 10)


class Watched(Fleet):
    """Three proxies that hold `a` in version 1, the first is the canary; all report once a second if they do."""

    def __init__(self) -> None:
        self.traffic = Traffic()
        allowed = Allowed(margin=0.1, requests=20)
        self.told: list[str] = []
        super().__init__(
            probation=Probation(
                watch_s=WATCH_S,
                allowed=allowed,
                traffic=self.traffic,
                objected=lambda resources, _why: self.told.extend(each.name for each in resources),
            )
        )
        self.offer(a="1")
        for _ in range(3):
            self.join()
        for proxy in (1, 2, 3):
            self.take(proxy)
        assert self.acked() == 10

    def second(self, **load: Load) -> None:
        """One second passes, in which `p1` and so on have had this traffic."""
        self.now += 1.0
        for proxy in (1, 2, 3):
            self.traffic.report(proxy, load.get(f"p{proxy}", FINE), self.now)
        self.lanes.look()


@pytest.fixture
def fleet() -> Watched:
    made = Watched()
    made.second()
    return made


def reasons(fleet: Fleet) -> list[str]:
    return [each.reason for each in fleet.quarantine.standing()]


def test_what_is_accepted_goes_on_after_its_time(fleet: Watched) -> None:
    fleet.offer(a="2")
    assert fleet.take(1) == {"a": "2"}
    for _ in range(int(WATCH_S) - 1):
        fleet.second()
        assert fleet.push(2) is None
    assert fleet.acked() == 10
    fleet.second()
    assert fleet.take(2) == {"a": "2"}
    assert fleet.take(3) == {"a": "2"}
    assert fleet.acked() == 20
    assert reasons(fleet) == []


def test_traffic_speaks_against_nothing_while_nothing_is_on_trial(fleet: Watched) -> None:
    fleet.offer(a="2", b="1")
    fleet.second(p1=BAD)
    for _ in range(int(WATCH_S)):
        fleet.second(p1=BAD)
    assert fleet.told == []
    assert reasons(fleet) == []


def test_a_change_that_traffic_speaks_against_goes_to_nobody_else(fleet: Watched) -> None:
    fleet.offer(a="2")
    fleet.take(1)
    for _ in range(3):
        fleet.second(p1=BAD)
    assert reasons(fleet) == [
        "1 canary answered 5xx to 100 % of 20 requests, the other 2 proxies of the class to 0 % of 40"
    ]
    assert fleet.told == ["a"]
    assert fleet.take(1) == {"a": "1"}
    assert fleet.push(2) is None
    assert fleet.acked() == 20


def test_a_later_version_lifts_it(fleet: Watched) -> None:
    fleet.offer(a="2")
    fleet.take(1)
    for _ in range(3):
        fleet.second(p1=BAD)
    fleet.take(1)
    fleet.offer(a="3")
    assert reasons(fleet) == []
    assert fleet.take(1) == {"a": "3"}
    for _ in range(int(WATCH_S)):
        fleet.second()
    assert fleet.take(2) == {"a": "3"}


def test_errors_that_all_have_stop_nothing(fleet: Watched) -> None:
    fleet.offer(a="2")
    fleet.take(1)
    for _ in range(int(WATCH_S)):
        fleet.second(p1=BAD, p2=BAD, p3=BAD)
    assert fleet.take(2) == {"a": "2"}


def test_errors_that_came_before_the_change_do_not_count(fleet: Watched) -> None:
    for _ in range(5):
        fleet.second(p1=BAD)
    fleet.offer(a="2")
    fleet.take(1)
    for _ in range(int(WATCH_S)):
        fleet.second()
    assert reasons(fleet) == []
    assert fleet.take(2) == {"a": "2"}


def test_what_is_new_is_not_suspected_beside_what_has_changed(fleet: Watched) -> None:
    fleet.offer(a="2", b="1")
    fleet.take(1)
    for _ in range(3):
        fleet.second(p1=BAD)
    assert [each.name for each in fleet.quarantine.standing()] == ["a"]
    for _ in range(int(WATCH_S) + 1):
        fleet.second()
    assert fleet.take(2) == {"b": "1"}


def test_a_watched_canary_is_not_replaced_for_its_silence(fleet: Watched) -> None:
    assert Terms().silence_s < WATCH_S
    fleet.offer(a="2")
    fleet.take(1)
    for _ in range(int(WATCH_S) - 1):
        fleet.second()
    assert fleet.lanes.rollouts()[CLASS].group.canaries == (1,)


def test_endpoints_do_not_wait(fleet: Watched) -> None:
    fleet.offer(a="2")
    fleet.take(1)
    fleet.second()
    fleet.engine.receive(fleet.proxies[2], Request(type_url=ENDPOINT, subscribe=("a",)))
    assert fleet.take(2) == {"a": "first"}
    fleet.move_endpoints("a", "second")
    assert fleet.take(2) == {"a": "second"}


def test_without_reports_nobody_waits() -> None:
    fleet = Watched()
    fleet.offer(a="2")
    fleet.take(1)
    assert fleet.take(2) == {"a": "2"}


def test_the_only_proxy_is_compared_with_itself() -> None:
    fleet = Watched()
    for gone in (2, 3):
        fleet.leave(gone)
    for _ in range(5):
        fleet.second()
    fleet.offer(a="2")
    fleet.take(1)
    for _ in range(3):
        fleet.second(p1=BAD)
    (why,) = reasons(fleet)
    assert why.startswith("1 canary answered 5xx to 100 % of 20 requests, before the change to 0 % of ")
    assert fleet.take(1) == {"a": "1"}
