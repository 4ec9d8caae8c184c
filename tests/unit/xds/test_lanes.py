"""The lanes over a real engine: who is offered what, in which order, and when it counts as acknowledged."""

import pytest
from msgspec import structs

from osm.ads.wire import Request
from osm.contracts.catalog import MeshService
from osm.contracts.endpoints import Endpoint, Service, ServicePort
from osm.contracts.names import Address, Identity
from services.xds.documents import Changes
from services.xds.translate import AssignmentKey
from tests.unit.xds.lanes_world import CDS, CLASS, EDS, SDS, SERVICE, Fleet, resource, three_proxies, versions


@pytest.fixture
def fleet() -> Fleet:
    return three_proxies()


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
