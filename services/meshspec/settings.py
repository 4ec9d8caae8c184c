"""What an operator may set of `meshspec`."""

from osm.runtime.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    """Read from `OSM_MESHSPEC_…`, else `OSM_…`."""

    folder: str = "."
    """The folder of manifests (or one file); policies are read, kinds of other services are left to them."""
