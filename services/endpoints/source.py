"""The interface of a source: what a platform delivers, and what the publisher takes from it.

A source reads in the background; whoever holds it takes what came in, in one step, when it has time. What comes
meanwhile is coalesced.
"""

from collections.abc import Collection, Iterable, Mapping
from typing import Protocol

from msgspec import Struct

from osm.contracts.status import ObjectStatus
from services.endpoints.diff import Change


class Source(Protocol):
    """One platform."""

    @property
    def inputs(self) -> tuple[tuple[str, int], ...]:
        """Buckets it reads, with the revision that is worked in."""

    @property
    def documents(self) -> Mapping[str, Struct]:
        """All that follows from what was taken, in the order in which it may be written."""

    @property
    def missing(self) -> tuple[str, ...]:
        """Inputs of which there was no full picture yet, as phrases."""

    async def change(self) -> None:
        """Wait until there is something to take."""

    def take(self) -> Change:
        """Take in what came; what is different now."""

    @property
    def certain(self) -> bool:
        """Whether all of the inputs can be read, so that what they do not hold is not there."""

    def unsure(self, held: Iterable[str]) -> Collection[str]:
        """Of keys that an earlier run has published: those whose origin cannot be read now, so they stay."""

    def report(self, revision: int) -> Mapping[str, ObjectStatus | None]:
        """Status lines to write since the last call (None: to delete); `revision` is that of our documents now."""
