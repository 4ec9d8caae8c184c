"""What is written into a bucket follows from what it should hold and what was read of it, whoever else wrote there."""

from osm.bus import documents
from osm.bus.nats_content import Content
from osm.bus.nats_wire import LEADER, SYNCED, Entry, Forgery, Step

NOW = 1000.0


def entry(key: str, body: bytes | None, revision: int) -> Entry:
    return Entry(key=key, body=body, revision=revision, writer="", trace="", at_s=0.0)


def change(puts: dict[str, bytes], *deletes: str) -> documents.Change:
    return documents.Change(puts=puts, deletes=deletes)


def filled(*keys: str) -> Content:
    """A full bucket that holds these."""
    content = Content(frozenset())
    content.whole = True
    for sequence, (key, body) in enumerate(content.framed(content.want(change(dict.fromkeys(keys, b"1"))), "x"), 1):
        content.wrote(key, body, sequence, NOW)
    return content


def keys(steps: list[Step]) -> list[str]:
    return [key for key, _ in steps]


def test_a_bucket_without_a_complete_mark_is_filled_between_two_marks() -> None:
    content = Content(frozenset())
    content.whole = True
    assert keys(content.framed([("mesh", b"1")], "x")) == [SYNCED, "mesh", SYNCED]
    assert keys(filled("mesh").framed([("mesh", b"2")], "y")) == ["mesh"]


def test_a_bucket_emptied_by_another_hand_is_missing_everything() -> None:
    content = filled("a", "b")
    content.read([], NOW)
    assert content.missing() == [("a", b"1"), ("b", b"1")]
    assert not content.is_of(3)


def test_what_nobody_has_signed_is_overwritten_or_taken_away() -> None:
    content = filled("a")
    content.read([Forgery("a", 7, "not signed"), Forgery("b", 8, "not signed")], NOW)
    assert content.doubtful
    assert content.missing() == [("a", b"1"), ("b", None)]


def test_leases_are_counted_and_move_no_reader_s_revision() -> None:
    content = filled("a")
    before = content.revision
    content.wrote(LEADER, b"{}", 9, NOW)
    assert content.revision == before
    assert content.is_of(3)  # the mark, the document, the lease


def test_a_writer_of_some_kinds_leaves_the_others_alone() -> None:
    content = Content(frozenset({"policy"}))
    content.whole = True
    content.read([entry("service.a", b"1", 1), entry("policy.a", b"1", 2)], NOW)
    assert content.missing() == [("policy.a", None)]
    assert content.is_of(5)


def test_a_deletion_is_a_tombstone_from_when_it_was_made_until_it_is_swept() -> None:
    """A reader that has not come to it yet would never hear of it: what it revokes would stay."""
    content = filled("old", "young")
    content.wrote("old", None, 10, NOW)
    content.wrote("young", None, 11, NOW + 50)
    assert content.tombstones(before=NOW + 1) == {"old": 10}
    content.swept("old")
    assert content.tombstones(before=NOW + 100) == {"young": 11}
    assert content.is_of(2)  # the mark, the other tombstone


def test_a_key_put_again_has_no_tombstone() -> None:
    content = filled("a")
    content.wrote("a", None, 10, NOW)
    content.wrote("a", b"2", 11, NOW)
    assert content.tombstones(before=NOW + 1) == {}
