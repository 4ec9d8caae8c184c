"""What `osm bus check` makes of pictures and progress lines."""

import pytest

from osm.bus import Document, Update
from osm.cli.bus_state import Reader, bucket_states
from osm.contracts.channels import BUCKETS
from osm.contracts.status import Progress


def picture(bucket: str, *documents: Document, revision: int = 9, incarnation: str = "i") -> dict[str, Update]:
    return {bucket: Update(bucket=bucket, full=True, documents=documents, revision=revision, incarnation=incarnation)}


def document(revision: int, *, why: str = "", body: bytes = b"{}", writer: str = "catalog") -> Document:
    return Document(
        bucket="catalog", key=f"k.{revision}", value=None, revision=revision, writer=writer, why=why, body=body
    )


def test_every_bucket_has_a_line_and_one_without_a_picture_is_not_synced() -> None:
    states = bucket_states(picture("catalog"), [])
    assert [state.bucket for state in states] == sorted(BUCKETS)
    assert [state.bucket for state in states if state.synced] == ["catalog"]


def test_a_line_says_who_wrote_last_how_much_and_what_cannot_be_decoded() -> None:
    told = picture("catalog", document(3, writer="older"), document(8, why="not a Policy", body=b"12345"))
    (state,) = (each for each in bucket_states(told, []) if each.synced)
    assert (state.writer, state.revision, state.documents, state.undecodable, state.size_bytes, state.incarnation) == (
        ("catalog", 9, 2, 1, 7, "i")
    )


@pytest.mark.parametrize(("told", "shown"), [("a,a", "a"), ("a,b,a", "a,b"), ("a", "a"), ("", "")])
def test_an_incarnation_that_several_kinds_of_documents_share_is_shown_once(told: str, shown: str) -> None:
    (state,) = (each for each in bucket_states(picture("xds", incarnation=told), []) if each.synced)
    assert state.incarnation == shown


def test_a_reader_is_behind_by_the_documents_it_has_not_worked_in() -> None:
    told = picture("meshspec", document(3), document(5), document(8))
    line = Progress(service="catalog", replica="catalog-0", inputs=(("meshspec", 4),), output=1, at_s=1.0)
    (state,) = (each for each in bucket_states(told, [line]) if each.synced)
    assert state.readers == (Reader(service="catalog", replica="catalog-0", behind=2),)


def test_xds_has_read_what_its_proxies_have_acknowledged() -> None:
    told = picture("catalog", document(3), document(8))
    line = Progress(service="xds", replica="xds-0", output=8, at_s=1.0)
    (state,) = (each for each in bucket_states(told, [line]) if each.synced)
    assert state.readers == (Reader(service="xds", replica="xds-0", behind=0),)
