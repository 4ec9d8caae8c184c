"""The lanes over a real engine: who is offered what, in which order, and when it counts as acknowledged."""

import pytest
from msgspec import structs

from osm.ads.canaries import MOST_SILENT, Terms
from osm.ads.delta import DeltaSubscription
from osm.ads.engine import Engine, Session
from osm.ads.push import Push
from osm.ads.resource import Resource
from osm.ads.subscription import Acked
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from osm.ads.wire import Request
from osm.contracts.catalog import MeshService
from osm.contracts.endpoints import Endpoint, Service, ServicePort, Transparent
from osm.contracts.names import Address, Identity, ServiceName
from services.xds.classes import Classes, Configuration, ProxyClass
from services.xds.documents import Changes, Documents
from services.xds.lanes import Lanes
from services.xds.probation import Probation
from services.xds.quarantine import Quarantine
from services.xds.timeline import Timeline
from services.xds.translate import AssignmentKey

CLASS = ProxyClass(Identity("shop", "web"), (), Transparent())
CDS, EDS, SDS = CLUSTER, ENDPOINT, SECRET
SERVICE = ServiceName("shop", "web")


def resource(type_url: str, name: str, version: str) -> Resource:
    return Resource(type_url=type_url, name=name, version=version, delta_head=b"", sotw_head=b"", body=b"")


class Fleet:
    """Lanes, an engine, and proxies that a test moves by hand."""

    def __init__(self, count: int = 1, share: float = 0.0, probation: Probation | None = None) -> None:
        self.now = 100.0
        self.engine, self.timeline = Engine(), Timeline()
        self.unsaved = 0
        self.documents = Documents()
        self.classes = Classes("cluster.local", self.documents)
        self.quarantine = Quarantine(self._unsaved)
        self.lanes = Lanes(
            engine=self.engine,
            classes=self.classes,
            quarantine=self.quarantine,
            timeline=self.timeline,
            terms=Terms(count=count, share=share),
            clock=lambda: self.now,
            wall=lambda: 1e9 + self.now,
            probation=probation,
        )
        self.revision = 0
        self.proxies: dict[int, Session] = {}

    def _unsaved(self) -> None:
        self.unsaved += 1

    def offer(self, **clusters: str) -> None:
        """A new revision of the catalog, in which the class has these clusters in these versions."""
        made = {name: resource(CDS, name, version) for name, version in clusters.items()}
        self.assigned = {name: resource(EDS, name, "first") for name in clusters}
        self.offer_all({CDS: made, EDS: self.assigned})

    def offer_all(self, resources: dict[str, dict[str, Resource]], **secrets: str) -> None:
        """The same of these resources, and of secrets in these versions."""
        self.revision += 10
        batch = self.timeline.advance(self.revision)
        configuration = Configuration(resources={LISTENER: {}, ROUTE: {}, **resources}, assignments={})
        self.lanes.offer(CLASS, configuration, {name: resource(SDS, name, each) for name, each in secrets.items()})
        self.engine.advance(batch)

    def move_endpoints(self, name: str, version: str) -> None:
        """As classes and fleet do it together."""
        self.timeline.advance(self.revision)
        self.assigned[name] = resource(EDS, name, version)
        self.lanes.put(CLASS, self.assigned[name])

    def join(self, **held: str) -> int:
        session = self.engine.open(DeltaSubscription, lambda: None)
        lane = self.lanes.join(CLASS, session.id)
        self.engine.move(session.id, lane)
        self.engine.receive(session, Request(type_url=CDS, initial_versions=held))
        self.proxies[session.id] = session
        return session.id

    def leave(self, proxy: int) -> None:
        self.engine.close(self.proxies.pop(proxy))
        self.lanes.leave(CLASS, proxy)

    def push(self, proxy: int) -> Push | None:
        return self.engine.next_push(self.proxies[proxy], self.now)

    def answer(self, proxy: int, push: Push, error: str | None = None) -> None:
        answer = self.engine.receive(
            self.proxies[proxy], Request(type_url=push.type_url, nonce=push.nonce, error=error)
        )
        if isinstance(answer, Acked):
            self.lanes.answered(CLASS, proxy, push.type_url)
        elif answer is not None:
            for guilty in answer.guilty:
                self.lanes.rejected(CLASS, proxy, guilty, proxy_id=f"p{proxy}", reason=answer.detail)

    def take(self, proxy: int) -> dict[str, str]:
        """Accept everything that is offered now; what that was."""
        took: dict[str, str] = {}
        while (push := self.push(proxy)) is not None:
            took |= versions(push)
            self.answer(proxy, push)
        return took

    def acked(self) -> int:
        return self.timeline.revision_of(self.engine.acked_revision())


def versions(push: Push | None) -> dict[str, str]:
    return {} if push is None else {each.name: each.version for each in push.resources}


@pytest.fixture
def fleet() -> Fleet:
    """Three proxies that hold `a` in version 1; the first is the canary."""
    made = Fleet()
    made.offer(a="1")
    for _ in range(3):
        made.join()
    for proxy in (1, 2, 3):
        made.take(proxy)
    assert made.acked() == 10
    return made


def settled(fleet: Fleet, count: int) -> list[int]:
    """So many proxies that hold `a` in version 1."""
    fleet.offer(a="1")
    everyone = [fleet.join() for _ in range(count)]
    for _ in range(2):
        for proxy in everyone:
            fleet.take(proxy)
    return everyone


def test_the_rest_follows_when_the_canary_has_acknowledged(fleet: Fleet) -> None:
    fleet.offer(a="2")
    assert fleet.push(2) is None
    assert fleet.take(1) == {"a": "2"}
    assert fleet.take(2) == {"a": "2"}
    assert fleet.take(3) == {"a": "2"}


def test_nothing_counts_as_acknowledged_while_the_rest_waits_or_is_under_way(fleet: Fleet) -> None:
    fleet.offer(a="2")
    assert fleet.acked() == 10
    fleet.take(1)
    assert fleet.acked() == 10, "the rest has been given it and has not answered"
    fleet.take(2)
    assert fleet.acked() == 10
    fleet.take(3)
    assert fleet.acked() == 20


def test_what_the_rest_is_given_late_is_owed_since_the_canary_was_asked(fleet: Fleet) -> None:
    fleet.offer(a="2")
    fleet.move_endpoints("a", "9")
    fleet.take(1)
    assert fleet.acked() == 10
    for proxy in (2, 3):
        fleet.take(proxy)
    assert fleet.acked() == 20


def test_a_single_proxy_waits_for_nobody() -> None:
    fleet = Fleet()
    fleet.offer(a="1")
    alone = fleet.join()
    assert fleet.take(alone) == {"a": "1"}
    fleet.offer(a="2")
    assert fleet.take(alone) == {"a": "2"}
    assert fleet.acked() == 20


def test_the_rest_of_a_new_class_is_held_until_the_first_has_answered() -> None:
    fleet = Fleet()
    fleet.offer(a="1")
    first, second = fleet.join(), fleet.join()
    assert fleet.push(second) is None
    fleet.take(first)
    assert fleet.take(second) == {"a": "1"}


def test_the_second_of_a_class_is_given_what_the_first_has_proven() -> None:
    fleet = Fleet()
    fleet.offer(a="1")
    fleet.take(fleet.join())
    assert fleet.take(fleet.join()) == {"a": "1"}


def test_but_not_for_longer_than_the_silence_that_is_allowed() -> None:
    fleet = Fleet()
    fleet.offer(a="1")
    _, second = fleet.join(), fleet.join()
    fleet.now += 5.0
    assert fleet.lanes.look()
    assert fleet.take(second) == {"a": "1"}


def test_proxies_that_come_back_with_what_is_newest_prove_it_without_a_push() -> None:
    fleet = Fleet()
    fleet.offer(a="1")
    first, second = fleet.join(a="1"), fleet.join(a="0")
    assert fleet.push(first) is None
    assert fleet.push(second) is None, "it is held"
    fleet.lanes.look()
    assert fleet.take(second) == {"a": "1"}


def test_what_a_canary_rejects_goes_to_nobody_else_and_the_others_of_the_change_do(fleet: Fleet) -> None:
    fleet.offer(a="2", b="1")
    push = fleet.push(1)
    assert versions(push) == {"a": "2", "b": "1"}
    assert push is not None
    fleet.answer(1, push, error="Error adding/updating cluster(s) a: no")
    assert fleet.take(1) == {"b": "1"}
    assert fleet.take(2) == {"b": "1"}
    late = fleet.join()
    assert fleet.take(late) == {"a": "1", "b": "1"}
    assert [each.name for each in fleet.quarantine.standing()] == ["a"]


def test_what_all_get_at_once_is_not_quarantined(fleet: Fleet) -> None:
    """There is no last good form of an endpoint: it moves, or it is gone."""
    for type_url in (EDS, SDS):
        refused = resource(type_url, "a", "9")
        fleet.lanes.rejected(CLASS, 1, refused, proxy_id="p1", reason="no")
        assert not fleet.quarantine.is_rejected(refused)


def test_a_rejected_change_counts_as_answered(fleet: Fleet) -> None:
    fleet.offer(a="2")
    push = fleet.push(1)
    assert push is not None
    fleet.answer(1, push, error="no")
    assert [fleet.push(proxy) for proxy in (1, 2, 3)] == [None, None, None]
    assert fleet.acked() == 20


def test_a_canary_that_restarts_gets_the_last_good_one_too(fleet: Fleet) -> None:
    fleet.offer(a="2")
    push = fleet.push(1)
    assert push is not None
    fleet.answer(1, push, error="no")
    fleet.leave(1)
    assert fleet.take(fleet.join()) == {"a": "1"}


def test_a_later_good_version_lifts_it(fleet: Fleet) -> None:
    fleet.offer(a="2")
    push = fleet.push(1)
    assert push is not None
    fleet.answer(1, push, error="no")
    fleet.offer(a="3")
    assert fleet.quarantine.standing() == ()
    for proxy in (1, 2, 3):
        assert fleet.take(proxy) == {"a": "3"}


def test_what_was_rejected_taken_back_and_applied_again_is_judged_anew() -> None:
    fleet = Fleet()
    fleet.offer(a="1")
    alone = fleet.join()
    fleet.take(alone)
    for revision in (20, 40):
        fleet.offer(a="2")
        push = fleet.push(alone)
        assert push is not None, "it would count as live, and no proxy would have it"
        fleet.answer(alone, push, error="no")
        assert fleet.take(alone) == {}
        assert [each.version for each in fleet.quarantine.standing()] == ["2"]
        assert fleet.acked() == revision
        fleet.offer(a="1")
        assert fleet.quarantine.standing() == ()


def test_a_proxy_that_rejects_what_others_have_accepted_is_alone_with_it(fleet: Fleet) -> None:
    odd = fleet.join()
    push = fleet.push(odd)
    assert push is not None
    fleet.answer(odd, push, error="no")
    assert fleet.quarantine.standing() == ()
    assert fleet.take(fleet.join()) == {"a": "1"}


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


def test_a_share_of_a_large_class_is_asked() -> None:
    fleet = Fleet(share=0.25)
    fleet.offer(a="1")
    everyone = [fleet.join() for _ in range(8)]
    for _ in range(2):
        for proxy in everyone:
            fleet.take(proxy)
    fleet.offer(a="2")
    assert [versions(fleet.push(proxy)) for proxy in everyone].count({"a": "2"}) == 2


def test_secrets_skip_the_canary(fleet: Fleet) -> None:
    for proxy in (1, 2, 3):
        fleet.engine.receive(fleet.proxies[proxy], Request(type_url=SDS, subscribe=("leaf",)))
    fleet.timeline.advance(20)
    fleet.lanes.put(CLASS, resource(SDS, "leaf", "1"))
    assert [versions(fleet.push(proxy)) for proxy in (1, 2, 3)] == [{"leaf": "1"}] * 3


def test_endpoints_skip_the_canary_even_while_it_is_asked(fleet: Fleet) -> None:
    for proxy in (1, 2, 3):
        fleet.engine.receive(fleet.proxies[proxy], Request(type_url=EDS, subscribe=("a",)))
        fleet.take(proxy)
    fleet.offer(a="2")
    fleet.move_endpoints("a", "9")
    assert versions(fleet.push(3)) == {"a": "9"}


def test_endpoints_that_moved_meanwhile_are_not_moved_back_when_the_rest_follows(fleet: Fleet) -> None:
    for proxy in (1, 2, 3):
        fleet.engine.receive(fleet.proxies[proxy], Request(type_url=EDS, subscribe=("a",)))
        fleet.take(proxy)
    fleet.offer(a="2")
    fleet.move_endpoints("a", "moved")
    fleet.take(1)
    seen = []
    while (push := fleet.push(3)) is not None:
        seen += [(each.type_url, each.version) for each in push.resources]
        fleet.answer(3, push)
    assert sorted(seen) == sorted([(CDS, "2"), (EDS, "moved")])


def test_a_secret_that_came_meanwhile_is_not_taken_back_when_the_rest_follows(fleet: Fleet) -> None:
    clusters = {EDS: {}, CDS: {"a": resource(CDS, "a", "1")}}
    fleet.offer_all(clusters, leaf="1")
    for proxy in (1, 2, 3):
        fleet.engine.receive(fleet.proxies[proxy], Request(type_url=SDS, subscribe=("leaf",)))
        assert fleet.take(proxy) == {"leaf": "1"}
    fleet.offer_all({**clusters, CDS: {"a": resource(CDS, "a", "2")}}, leaf="1")
    fleet.lanes.put(CLASS, resource(SDS, "leaf", "2"))
    assert fleet.take(1) == {"a": "2", "leaf": "2"}
    assert fleet.take(3) == {"a": "2", "leaf": "2"}


def test_a_cluster_in_its_older_form_keeps_its_endpoints_up_to_date(fleet: Fleet) -> None:
    """The newest asks for those of other accounts, by another name."""
    before, after = (AssignmentKey(service=SERVICE, port=80, accounts=(Identity("shop", each),)) for each in "ab")
    for key, version in ((before, "1"), (after, "2")):
        needing = structs.replace(resource(CDS, "c", version), companions=((EDS, key.name),))
        fleet.offer_all({CDS: {"c": needing}, EDS: {key.name: fleet.classes.assignment(key.name)}})
        if version == "1":
            for proxy in (1, 2, 3):
                fleet.take(proxy)
    fleet.engine.receive(fleet.proxies[3], Request(type_url=EDS, subscribe=(before.name,)))
    fleet.take(3)
    endpoint = Endpoint(port=80, address=Address("10.0.0.1", 80), identity=Identity("shop", "a"))
    service = Service(name=SERVICE, ports=(ServicePort(port=80),), accounts=(endpoint.identity,))
    fleet.documents.services[SERVICE] = MeshService(service=service, endpoints=(endpoint,))
    fleet.timeline.advance(fleet.revision)
    fleet.classes.moved(Changes(endpoints={SERVICE}))
    fleet.lanes.endpoints_moved({SERVICE})
    push = fleet.push(3)
    assert push is not None
    assert push.resources == (fleet.classes.assignment(before.name),)
    assert b"10.0.0.1" in push.resources[0].body


def test_what_another_replica_has_seen_rejected_is_not_tried_here(fleet: Fleet) -> None:
    fleet.quarantine.reject(resource(CDS, "a", "2"), None, reason="no", proxy_id="elsewhere", now_s=1e9)
    fleet.offer(a="2")
    assert [fleet.push(proxy) for proxy in (1, 2, 3)] == [None, None, None]


def test_a_class_whose_proxies_have_all_left_holds_nothing_back_and_is_told_of_no_more(fleet: Fleet) -> None:
    fleet.offer(a="2")
    push = fleet.push(1)
    assert push is not None
    fleet.answer(1, push, error="no")
    fleet.offer(a="2", b="1")
    assert [each.name for each in fleet.quarantine.standing()] == ["a"]
    assert fleet.acked() < 30
    for proxy in (1, 2, 3):
        fleet.leave(proxy)
    fleet.lanes.forget(CLASS)
    assert fleet.quarantine.standing() == ()
    assert fleet.acked() == 30


def test_the_last_proxy_takes_its_class_along(fleet: Fleet) -> None:
    for proxy in (1, 2, 3):
        fleet.leave(proxy)
    assert not fleet.lanes.has_members(CLASS)
    fleet.lanes.forget(CLASS)
    assert fleet.engine.groups() == ()
