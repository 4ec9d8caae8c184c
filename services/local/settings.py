"""What an operator may set of `local`."""

from typing import Annotated

from msgspec import Meta

from osm.runtime.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    """Read from `OSM_LOCAL_…`, else `OSM_…`."""

    folder: str = "."
    """The folder of manifests (or one file), the same that `endpoints` and `meshspec` read."""
    run_folder: str = "run"
    """Where sockets, certificates, logs and working directories go; mode 0700. Keep it short: a Unix socket's path
    has 108 bytes."""
    block: Annotated[int, Meta(ge=1, le=254)] = 77
    """The second number of the mesh's loopback addresses, 127.<block>.0.0/16; two meshes on a machine need two."""
    isolated: bool = False
    """Whether each workload has a network namespace of its own, with redirection. This process must be where such can
    be made: see `osm up --isolated`."""
    xds: str = "127.0.0.1:15128"
    """Where Envoys find xds: `host:port`."""
    envoy: str = ""
    """The Envoy program; empty takes the one installed with this package, else the one on PATH."""
    proxy_lifetime_s: Annotated[int, Meta(ge=10)] | None = None
    """How long a proxy's certificate towards xds shall live, in seconds; certmgr's own answer if not given."""
    drain_s: Annotated[float, Meta(ge=0)] = 0.5
    """How long a workload that leaves serves on after its endpoint is gone, in seconds: clients on one machine
    hear of it within milliseconds."""
    keep_running: bool = True
    """Whether apps and Envoys go on when this process ends, for the next one to take over; traffic never stops for a
    restart. To end them too: `echo end | python -m osm.envoy.cleanup RUN_FOLDER`."""
    load_reports: bool = False
    """Whether sidecars tell xds how many of their requests fail, for `OSM_XDS_CANARY_TRAFFIC_S`; a connection each."""
