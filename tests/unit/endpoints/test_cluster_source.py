import asyncio

import msgspec

from osm.k8s import objects
from osm.k8s.follow import Seen
from osm.testing.cluster_objects import account, endpoint_slice, namespace, pod, service, spot
from services.endpoints.cluster import Watched

THERE = {
    "namespaces": (objects.Namespace, [namespace("town")]),
    "serviceaccounts": (objects.ServiceAccount, [account("town", "default")]),
    "services": (objects.Service, [service("town", "shop", ports=[{"port": 8080}])]),
    "endpointslices": (
        objects.EndpointSlice,
        [endpoint_slice("town", "shop", spot("10.1.0.1", "shop-a"), ports=[{"port": 8080}])],
    ),
    "pods": (objects.Pod, [pod("town", "shop-a", labels={"app": "shop"}, sidecar="a1")]),
}
LINE = "object.endpoints.Service.town.shop"


def tell(source, plural, *things, full=False):
    (lane,) = [lane for lane in source.lanes if lane.what.plural == plural]
    kind, _ = THERE[plural]
    seen = [msgspec.convert(each, kind) for each in things]
    lane.take(Seen(full=full, objects={each.metadata.key: each for each in seen}))


def told():
    source = Watched("osm", "osm-system")
    for plural, (_, things) in THERE.items():
        tell(source, plural, *things, full=True)
    return source


def test_it_says_which_kinds_it_has_not_read_yet():
    source = Watched("osm", "osm-system")
    tell(source, "pods", full=True)
    assert source.missing == tuple(
        f"the full picture of {what}"
        for what in ("namespaces", "serviceaccounts", "services", "endpointslices.discovery.k8s.io")
    )
    assert told().missing == ()


def test_an_empty_cluster_is_a_picture_too():
    source = Watched("osm", "osm-system")
    for plural in THERE:
        tell(source, plural, full=True)
    assert source.missing == ()
    assert source.take().puts == {}


def test_what_came_in_parts_is_taken_as_one_step():
    source = told()
    assert sorted(source.take().puts) == ["identity.town.default", "service.kubernetes.town.shop", "workload.a1_town"]
    assert source.take().puts == {}


async def test_every_change_is_heard_at_once_and_none_twice():
    source = told()
    await source.change()
    source.take()
    waiting = asyncio.create_task(source.change())
    await asyncio.sleep(0)
    assert not waiting.done()
    tell(source, "pods", pod("town", "shop-b", labels={}))
    await asyncio.wait_for(waiting, 30)


def test_of_many_changes_of_one_object_the_newest_counts():
    source = told()
    source.take()
    for ready in (False, True, False):
        body = endpoint_slice("town", "shop", spot("10.1.0.1", "shop-a", ready=ready), ports=[{"port": 8080}])
        tell(source, "endpointslices", body)
    step = source.take()
    assert [len(each.endpoints) for each in step.puts.values()] == [0]


def test_a_line_keeps_the_revision_at_which_its_service_got_its_meaning():
    source = told()
    source.take()
    assert source.report(7)[LINE].revision == 7
    tell(source, "pods", pod("town", "shop-b", labels={"app": "shop"}))
    source.take()
    line = source.report(8)[LINE]
    assert (line.revision, len(line.problems)) == (7, 1)
    tell(source, "services", service("town", "shop", ports=[{"port": 9090}]))
    source.take()
    assert source.report(9)[LINE].revision == 9
    assert source.report(10) == {}


def test_the_line_of_a_service_that_is_gone_is_taken_back():
    source = told()
    source.take()
    source.report(7)
    tell(source, "services", full=True)
    source.take()
    assert source.report(8) == {LINE: None}
