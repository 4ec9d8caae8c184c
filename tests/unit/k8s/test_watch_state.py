"""What a follower makes of lists and events."""

import msgspec
from msgspec import Raw

from osm.k8s.objects import ConfigMap, ObjectMeta
from osm.k8s.watch_state import ABSENT_TIMES, Seen, Told, WatchState


def item(name: str, version: str, **data: object) -> Raw:
    body = {"metadata": {"name": name, "namespace": "ns", "resourceVersion": version}, "data": data}
    return Raw(msgspec.json.encode(body))


def event(kind: str, body: object) -> bytes:
    return msgspec.json.encode({"type": kind, "object": body})


def config_map(name: str, version: str, **data: str) -> ConfigMap:
    return ConfigMap(metadata=ObjectMeta(name=name, namespace="ns", resource_version=version), data=data)


def known(*items: Raw, version: str = "10") -> WatchState[ConfigMap]:
    follower = WatchState(ConfigMap)
    follower.listed(items, version)
    return follower


def test_the_first_list_is_the_full_picture() -> None:
    told = WatchState(ConfigMap).listed([item("b", "2"), item("a", "1")], "10")
    assert told == Told(
        seen=Seen(full=True, objects={("ns", "a"): config_map("a", "1"), ("ns", "b"): config_map("b", "2")})
    )


def test_the_first_list_is_told_even_if_it_is_empty() -> None:
    assert WatchState(ConfigMap).listed([], "10").seen == Seen(full=True, objects={})


def test_a_second_list_tells_what_differs() -> None:
    follower = known(item("same", "1"), item("changed", "2"), item("gone", "3"))
    told = follower.listed([item("same", "1"), item("changed", "11"), item("new", "12")], "20")
    assert told.seen == Seen(
        full=False,
        objects={
            ("ns", "changed"): config_map("changed", "11"),
            ("ns", "gone"): None,
            ("ns", "new"): config_map("new", "12"),
        },
    )
    assert follower.version == "20"


def test_a_second_list_that_is_equal_tells_nothing() -> None:
    assert known(item("a", "1")).listed([item("a", "1")], "20") == Told()


def test_events_of_one_object_are_told_as_its_newest() -> None:
    follower = known(item("a", "1"))
    told = follower.happened(
        [
            event("MODIFIED", item("a", "11", k="1")),
            event("MODIFIED", item("a", "12", k="2")),
            event("ADDED", item("b", "13")),
            event("DELETED", item("b", "14")),
        ]
    )
    assert told.seen == Seen(full=False, objects={("ns", "a"): config_map("a", "12", k="2"), ("ns", "b"): None})
    assert follower.version == "14"


def test_bookmarks_are_ignored() -> None:
    follower = known(item("a", "1"))
    bookmark = {"kind": "ConfigMap", "metadata": {"resourceVersion": "99", "creationTimestamp": None}}
    assert follower.happened([event("BOOKMARK", bookmark)]) == Told()
    assert follower.version == "99"


def test_a_version_that_is_too_old_asks_for_a_list() -> None:
    follower = known(item("a", "1"))
    gone = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (9)"}
    assert follower.happened([event("ERROR", gone)]) == Told(relist="Expired")
    assert follower.version == ""


def test_what_came_before_an_error_is_told() -> None:
    told = known().happened([event("ADDED", item("a", "11")), event("ERROR", {"code": 500})])
    assert told.seen == Seen(full=False, objects={("ns", "a"): config_map("a", "11")})
    assert told.relist == "500"


def test_words_that_are_not_kubernetes_ask_for_a_list() -> None:
    assert known().happened([b"<html>gateway timeout</html>"]).relist == "Unread"


def test_an_object_that_cannot_be_read_is_neither_changed_nor_gone() -> None:
    follower = known(item("a", "1"))
    told = follower.happened([event("MODIFIED", item("a", "11", k=1))])
    assert told.seen is None
    assert [key for key, _ in told.unread] == [("ns", "a")]
    assert follower.listed([item("a", "11", k=1)], "20") == Told()


def test_a_missing_kind_is_empty_once_it_was_missing_often_enough() -> None:
    follower = WatchState(ConfigMap)
    told = [follower.absent().seen for _ in range(ABSENT_TIMES)]
    assert told == [None] * (ABSENT_TIMES - 1) + [Seen(full=True, objects={})]
    assert follower.absent() == Told()


def test_a_kind_that_is_denied_for_a_moment_keeps_its_objects() -> None:
    follower = known(item("a", "1"))
    assert [follower.absent() for _ in range(ABSENT_TIMES - 1)] == [Told()] * (ABSENT_TIMES - 1)
    assert follower.listed([item("a", "1")], "20") == Told()
    assert follower.absent() == Told()


def test_a_kind_that_is_taken_away_takes_its_objects_with_it() -> None:
    follower = known(item("a", "1"))
    told = [follower.absent().seen for _ in range(ABSENT_TIMES)]
    assert told[-1] == Seen(full=False, objects={("ns", "a"): None})
