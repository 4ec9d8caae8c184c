"""The secrets that are there already: what the fleet needs to know of certificates, and no more."""

from osm.ads.resource import Resource


class Secrets:
    """By name. A class whose secrets are not all here is not served: half of a configuration would not warm."""

    def __init__(self) -> None:
        self.ready: dict[str, Resource] = {}

    def of(self, names: tuple[str, ...]) -> dict[str, Resource] | None:
        """All of them by name, or None while one is missing."""
        if any(name not in self.ready for name in names):
            return None
        return {name: self.ready[name] for name in names}
