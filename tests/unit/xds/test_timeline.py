from hypothesis import given
from hypothesis import strategies as st

from services.xds.timeline import Timeline


def test_a_batch_brings_the_catalog_to_its_revision() -> None:
    timeline = Timeline()
    first, second = timeline.advance(7), timeline.advance(9)
    assert timeline.revision_of(first - 1) == 0
    assert timeline.revision_of(first) == 7
    assert timeline.revision_of(second) == 9


def test_a_batch_without_a_new_revision_still_has_a_number_of_its_own() -> None:
    timeline = Timeline()
    first, second = timeline.advance(7), timeline.advance(7)
    assert second > first
    assert timeline.revision_of(second) == 7


def test_a_bucket_made_anew_counts_from_one_and_batches_go_on() -> None:
    timeline = Timeline()
    before, after = timeline.advance(900), timeline.advance(3)
    assert after > before
    assert timeline.revision_of(after) == 3


@given(st.lists(st.integers(0, 50), max_size=30))
def test_what_was_reached_is_what_was_given(revisions: list[int]) -> None:
    timeline = Timeline()
    batches = [timeline.advance(revision) for revision in revisions]
    assert [timeline.revision_of(batch) for batch in batches] == revisions
