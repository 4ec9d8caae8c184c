"""The interface of a source: where policies come from, a folder or a cluster.

A source reads in the background; whoever holds it takes the newest of all it has read, when it has time. What comes
meanwhile is one change.
"""

from typing import NoReturn, Protocol

from osm.bus import Bus
from osm.manifests import Scan
from services.meshspec.state import Picture


class Source(Protocol):
    """One platform."""

    @property
    def missing(self) -> tuple[str, ...]:
        """What has not been read in full yet, as phrases."""

    async def change(self) -> None:
        """Wait until there is something to take."""

    def take(self) -> Scan:
        """All policies as they were read last. Only once nothing is missing."""

    def told(self, picture: Picture) -> None:
        """What came of the policies, for the platform to show to their authors."""

    async def tell(self, bus: Bus) -> NoReturn:
        """Show it, beside the forward path and never in its way. Ended by cancellation."""
