"""The two input buckets as last read, and what each update changed in them.

Apart from what is derived, because how a bucket speaks (full pictures, deletions, bodies that do not decode)
has nothing to do with policy. It refuses to look into the documents.
"""

from collections.abc import Iterator
from typing import NamedTuple

from msgspec import Struct

from osm.bus import Update

INPUTS = ("endpoints", "meshspec")
"""The buckets without which nothing is derived: half an input would read as deletions."""


class Change(NamedTuple):
    """A document that came, changed or went; equal values are no change."""

    key: str
    old: Struct | None
    new: Struct | None


class InputBuckets:
    """Bucket → key → last good value."""

    def __init__(self) -> None:
        self.revisions: dict[str, int] = {}
        self._buckets: dict[str, dict[str, Struct]] = {bucket: {} for bucket in INPUTS}

    @property
    def missing(self) -> tuple[str, ...]:
        """Buckets whose first full picture is still to come."""
        return tuple(bucket for bucket in INPUTS if bucket not in self.revisions)

    def take(self, update: Update) -> list[Change]:
        """A full picture is compared with what is known; a body that does not decode leaves its last good value."""
        values = self._buckets[update.bucket]
        self.revisions[update.bucket] = update.revision
        return list(_take(values, update))


def _take(values: dict[str, Struct], update: Update) -> Iterator[Change]:
    if update.full:
        for key in values.keys() - {document.key for document in update.documents}:
            yield Change(key, values.pop(key), None)
    for document in update.documents:
        old = values.get(document.key)
        if document.deleted:
            values.pop(document.key, None)
            if old is not None:
                yield Change(document.key, old, None)
        elif document.value is not None and document.value != old:
            values[document.key] = document.value
            yield Change(document.key, old, document.value)
