"""What xds can be told, from OSM_XDS_… variables."""

from osm.runtime.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    """Settings of xds."""

    listen: str = "127.0.0.1:15128"
    """Where proxies connect: `host:port`."""
    admissions_per_s: float = 1000.0
    """Streams that may start in a second; more wait for their turn, so that all are served steadily."""
    max_connection_age_s: float = 1800.0
    """Connections older than this, give or take a tenth, move to another replica; 0 never."""
    max_request_bytes: int = 1024 * 1024
    """Larger requests end their stream."""
    write_deadline_s: float = 20.0
    """A proxy that does not read for so long is dropped."""
    stop_deadline_s: float = 2.0
    """How long stopping may take before streams are cut off."""
    reuse_port: bool = False
    """Whether several processes share the port."""
