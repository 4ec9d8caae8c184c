"""The secrets that are there already: what the fleet needs to know of certificates, and no more."""

from osm.ads.resource import Resource
from osm.contracts.names import Identity


class Secrets:
    """The trust bundle, and a leaf for each identity that has one. A class without both is not served: half of a
    configuration would not warm."""

    def __init__(self) -> None:
        self.bundle: Resource | None = None
        self.leaves: dict[Identity, Resource] = {}

    def of(self, identity: Identity) -> dict[str, Resource] | None:
        """Both by name, or None while one is missing."""
        leaf = self.leaves.get(identity)
        if leaf is None or self.bundle is None:
            return None
        return {each.name: each for each in (leaf, self.bundle)}
