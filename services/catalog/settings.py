"""What an operator may set of the catalog."""

from osm.contracts.names import ROOT_NAMESPACE
from osm.runtime.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    """Read from `OSM_CATALOG_…`, else `OSM_…`."""

    namespace: str = ROOT_NAMESPACE
    """The control plane's own namespace: a Telemetry without a selector there is for the whole mesh."""
