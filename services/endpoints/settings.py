"""What an operator may set of `endpoints`."""

from osm.runtime.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    """Read from `OSM_ENDPOINTS_…`, else `OSM_…`."""

    folder: str = "."
    """The folder of manifests (or one file), the same that `local` and `meshspec` read."""
    isolated: bool = False
    """Whether workloads have a network of their own, without root (`osm up --isolated`): then every Service has an
    address in it."""
