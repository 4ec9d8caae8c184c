"""What outlives a restart, and how replicas agree on it."""

import asyncio

import pytest
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from msgspec import structs

from osm.ads.resource import Resource
from osm.bus import Document, Update
from osm.bus.memory import MemoryCore
from osm.contracts.channels import GOOD, REJECTED
from osm.contracts.endpoints import Transparent
from osm.contracts.names import Identity, ObjectRef
from services.xds.classes import ProxyClass
from services.xds.keeper import keep
from services.xds.quarantine import KEPT_S, Quarantine, class_hash

CLASS = ProxyClass(Identity("shop", "web"), (), Transparent())
OTHER = ProxyClass(Identity("shop", "other"), (), Transparent())
OLD, JOINED = ObjectRef("TrafficTarget", "shop", "old"), ObjectRef("TrafficTarget", "shop", "joined")


def cluster(name: str, **fields: str) -> Resource:
    return Resource.of(name, Cluster(name=name, **fields), companions=(("t", name),), origins=(OLD,))


BAD, GOOD_ONE = cluster("a", alt_stat_name="bad"), cluster("a", alt_stat_name="good")


def quarantine() -> Quarantine:
    return Quarantine(lambda: None)


def reject(at: Quarantine, now_s: float = 1000.0) -> None:
    at.reject(BAD, GOOD_ONE, reason="no", proxy_id="web-0.shop", now_s=now_s)
    at.stand(CLASS, lambda _url, name: BAD if name == "a" else None, lambda: (GOOD_ONE,), now_s=now_s)


def lift(at: Quarantine) -> None:
    at.stand(CLASS, lambda _url, _name: GOOD_ONE, tuple, now_s=2000.0)


class Replica:
    """A quarantine on a bus, kept by the real keeper."""

    def __init__(self, core: MemoryCore, tasks: asyncio.TaskGroup) -> None:
        self.unsaved = asyncio.Event()
        self.quarantine = Quarantine(self.unsaved.set)
        self._bus = core.bus("xds")
        self.running = [
            tasks.create_task(keep(self._bus, self.quarantine, self.unsaved)),
            tasks.create_task(self._follow()),
        ]

    async def _follow(self) -> None:
        async for update in self._bus.watch("xds", states=(REJECTED, GOOD)):
            self.quarantine.apply(update)

    def end(self) -> None:
        for task in self.running:
            task.cancel()


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_a_rejection_and_what_stands_in_for_it_are_known_after_a_restart() -> None:
    core = MemoryCore()
    async with asyncio.TaskGroup() as tasks:
        before = Replica(core, tasks)
        await settle()
        reject(before.quarantine)
        await settle()
        before.end()
        after = Replica(core, tasks)
        await settle()
        assert after.quarantine.is_rejected(BAD)
        assert after.quarantine.good_of(CLASS) == (GOOD_ONE,)
        assert after.quarantine.good_of(OTHER) == ()
        after.end()


def test_what_has_stood_for_long_is_known_after_a_restart_before_its_proxies_are_back() -> None:
    before, after = quarantine(), quarantine()
    reject(before, now_s=0.0)
    documents = tuple(
        Document(bucket="xds", key=key, value=value, revision=1) for key, value in before.changes(()).puts.items()
    )
    after.apply(Update(bucket="xds", full=True, revision=1, documents=documents))
    after.sweep(KEPT_S * 2)
    assert after.is_rejected(BAD)
    assert after.good_of(CLASS) == (GOOD_ONE,)


async def test_replicas_hear_of_each_other_and_lift_for_each_other() -> None:
    core = MemoryCore()
    async with asyncio.TaskGroup() as tasks:
        one, two = Replica(core, tasks), Replica(core, tasks)
        await settle()
        reject(one.quarantine)
        await settle()
        assert two.quarantine.is_rejected(BAD)
        lift(one.quarantine)
        await settle()
        assert not two.quarantine.is_rejected(BAD)
        assert core.buckets["xds"].bodies == {}
        one.end()
        two.end()


async def test_what_one_lifts_and_another_still_wants_is_put_again() -> None:
    core = MemoryCore()
    async with asyncio.TaskGroup() as tasks:
        one, two = Replica(core, tasks), Replica(core, tasks)
        await settle()
        reject(one.quarantine)
        reject(two.quarantine)
        await settle()
        lift(one.quarantine)
        await settle()
        assert len(core.buckets["xds"].bodies) == 2
        lift(two.quarantine)
        await settle()
        assert core.buckets["xds"].bodies == {}
        one.end()
        two.end()


async def test_an_empty_bucket_is_marked_as_filled() -> None:
    core = MemoryCore()
    async with asyncio.TaskGroup() as tasks:
        replica = Replica(core, tasks)
        await settle()
        assert core.buckets["xds"].is_full(frozenset({"rejected", "good"}))
        replica.end()


def test_of_the_objects_that_made_it_those_that_joined_since_the_last_good_one_are_told() -> None:
    kept = quarantine()
    joined = Resource.of("a", Cluster(name="a", alt_stat_name="bad"), origins=(JOINED, OLD))
    kept.reject(joined, GOOD_ONE, reason="no", proxy_id="p", now_s=1.0)
    kept.stand(CLASS, lambda _url, _name: joined, tuple, now_s=1.0)
    assert kept.standing()[0].origins == (JOINED,)


def test_all_objects_are_told_if_none_has_joined() -> None:
    kept = quarantine()
    reject(kept)
    assert kept.standing()[0].origins == (OLD,)


def test_an_object_that_took_over_from_the_one_that_was_accused_is_told_of_instead() -> None:
    kept = quarantine()
    reject(kept)
    renamed = structs.replace(BAD, origins=(JOINED,))
    kept.stand(CLASS, lambda _url, _name: renamed, tuple, now_s=2.0)
    assert [each.origins for each in kept.standing()] == [(JOINED,)]
    assert kept.is_rejected(renamed)


def test_each_class_is_told_of_its_own_object_though_both_ask_for_the_same() -> None:
    kept = quarantine()
    reject(kept)
    of_other = structs.replace(BAD, origins=(JOINED,))
    kept.stand(OTHER, lambda _url, _name: of_other, tuple, now_s=2.0)
    assert [each.origins for each in kept.standing_of(CLASS)] == [(OLD,)]
    assert [each.origins for each in kept.standing_of(OTHER)] == [(JOINED,)]
    assert [each.origins for each in kept.standing()] == [(JOINED, OLD)]


def test_an_object_that_had_a_part_in_the_last_good_one_too_is_not_told_of_though_it_still_has_one() -> None:
    kept = quarantine()
    both = structs.replace(BAD, origins=(JOINED, OLD))
    kept.reject(both, GOOD_ONE, reason="no", proxy_id="p", now_s=1.0)
    kept.stand(CLASS, lambda _url, _name: both, tuple, now_s=1.0)
    assert [each.origins for each in kept.standing_of(CLASS)] == [(JOINED,)]


def test_a_class_without_proxies_lifts_nothing_until_it_is_forgotten_for_good() -> None:
    kept = quarantine()
    reject(kept)
    kept.forget(CLASS)
    kept.sweep(1000.0)
    kept.sweep(1000.0 + KEPT_S)
    assert kept.is_rejected(BAD)
    kept.sweep(1001.0 + KEPT_S)
    assert not kept.is_rejected(BAD)
    assert kept.good_of(CLASS) == ()


def test_a_class_that_has_come_back_meanwhile_has_as_long_once_more() -> None:
    kept = quarantine()
    reject(kept)
    kept.forget(CLASS)
    kept.sweep(1000.0)
    reject(kept)
    kept.sweep(1000.0 + KEPT_S / 2)
    kept.forget(CLASS)
    kept.sweep(1001.0 + KEPT_S)
    assert kept.is_rejected(BAD)


async def test_the_keeper_lifts_what_nobody_wants_any_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.xds.quarantine.KEPT_S", -1.0)
    core = MemoryCore()
    async with asyncio.TaskGroup() as tasks:
        replica = Replica(core, tasks)
        await settle()
        reject(replica.quarantine)
        await settle()
        assert len(core.buckets["xds"].bodies) == 2
        replica.quarantine.forget(CLASS)
        replica.unsaved.set()
        await settle()
        assert core.buckets["xds"].bodies == {}
        replica.end()


def test_what_stands_is_not_swept() -> None:
    kept = quarantine()
    reject(kept, now_s=0.0)
    kept.sweep(KEPT_S * 2)
    assert kept.is_rejected(BAD)


def test_a_rejection_stands_as_long_as_one_class_wants_the_version() -> None:
    kept = quarantine()
    reject(kept)
    kept.stand(OTHER, lambda _url, _name: BAD, tuple, now_s=1.0)
    lift(kept)
    assert kept.is_rejected(BAD)
    kept.stand(OTHER, lambda _url, _name: None, tuple, now_s=1.0)
    assert not kept.is_rejected(BAD)


def update_of(kept: Quarantine, *, full: bool = True) -> Update:
    """What the bucket would tell after this one's first writing."""
    puts = kept.changes(()).puts
    return Update(
        bucket="xds",
        full=full,
        revision=1,
        documents=tuple(Document(bucket="xds", key=key, value=value, revision=1) for key, value in puts.items()),
    )


def gone(written: Update) -> Update:
    deleted = tuple(structs.replace(each, value=None, deleted=True) for each in written.documents)
    return Update(bucket="xds", full=False, revision=2, documents=deleted)


def keys(written: Update) -> tuple[str, ...]:
    return tuple(each.key for each in written.documents)


def test_what_the_bucket_has_already_is_not_written_again() -> None:
    kept = quarantine()
    reject(kept)
    assert kept.changes(keys(update_of(kept))).puts == {}


def test_what_stands_in_is_said_once_however_often_the_class_is_looked_at() -> None:
    told: list[None] = []
    kept = Quarantine(lambda: told.append(None))
    reject(kept)
    said = len(told)
    kept.stand(CLASS, lambda _url, _name: BAD, lambda: (GOOD_ONE,), now_s=2000.0)
    assert len(told) == said


def test_what_is_lifted_here_does_not_come_back_from_a_bucket_that_has_not_been_told_yet() -> None:
    kept = quarantine()
    reject(kept)
    written = update_of(kept)
    lift(kept)
    kept.apply(written)
    assert not kept.is_rejected(BAD)
    assert kept.changes(keys(written)).deletes == tuple(sorted(keys(written)))


def test_what_is_rejected_again_before_its_lifting_is_written_stays() -> None:
    kept = quarantine()
    reject(kept)
    written = update_of(kept)
    lift(kept)
    reject(kept)
    assert kept.changes(keys(written)).deletes == ()
    kept.apply(written)
    assert kept.is_rejected(BAD)


@pytest.mark.parametrize("how", ["read", "written"])
def test_what_was_lifted_here_can_be_rejected_elsewhere_again(how: str) -> None:
    kept = quarantine()
    reject(kept)
    written = update_of(kept)
    lift(kept)
    if how == "read":
        kept.apply(gone(written))
    else:
        kept.settle(())
    kept.apply(written)
    assert kept.is_rejected(BAD)


def test_what_a_full_picture_lacks_is_forgotten_unless_it_stands_here() -> None:
    written = quarantine()
    reject(written)
    empty = Update(bucket="xds", full=True, revision=2, documents=())
    elsewhere, here = quarantine(), quarantine()
    for each in (elsewhere, here):
        each.apply(update_of(written))
    here.stand(CLASS, lambda _url, _name: BAD, lambda: (GOOD_ONE,), now_s=1.0)
    for each in (elsewhere, here):
        each.apply(empty)
    assert not elsewhere.is_rejected(BAD)
    assert here.is_rejected(BAD)
    assert here.changes(()).puts.keys() == set(keys(update_of(written))), "it is put again"


def test_what_is_written_is_small_and_in_the_table() -> None:
    kept = quarantine()
    reject(kept)
    changes = kept.changes(())
    assert changes.deletes == ()
    parts = [GOOD.parse(key) or REJECTED.parse(key) for key in changes.puts]
    assert all(parts)
    assert class_hash(CLASS) in {part for found in parts if found for part in found}
