"""What xds can be told, from OSM_XDS_… variables."""

from osm.contracts.names import ROOT_NAMESPACE
from osm.runtime.settings import Common

LONGEST_END_S = 12.0
"""Of the 15 s that a process has for its end; the rest is for its last words to the bus."""


class Settings(Common, frozen=True, kw_only=True):
    """Settings of xds."""

    listen: str = "127.0.0.1:15128"
    """Where proxies connect: `host:port`."""
    namespace: str = ROOT_NAMESPACE
    """The namespace of the control plane: our certificate names the Service osm-xds in it."""
    admissions_per_s: float = 1000.0
    """Streams that may start in a second; more wait for their turn, so that all are served steadily."""
    admission_wait_s: float = 10.0
    """How long a stream may have to wait for its turn; when more come, they are told to come back."""
    max_streams: int = 10_000
    """Streams that one process serves, 140 KB each; more are told to come back (`RESOURCE_EXHAUSTED`)."""
    max_connection_age_s: float = 1800.0
    """Connections older than this, give or take a tenth, move to another replica; 0 never."""
    max_request_bytes: int = 1024 * 1024
    """Larger requests end their stream."""
    write_deadline_s: float = 20.0
    """A proxy that does not read for so long is dropped."""
    drain_s: float = 5.0
    """Over how long, at most, a process that ends sends its proxies to other replicas, one after the other."""
    stop_deadline_s: float = 2.0
    """How long stopping may take after that before streams are cut off."""
    reuse_port: bool = False
    """Whether several processes share the port."""
    canary_count: int = 1
    """Proxies of a class that get a new version of its configuration first; all others after their acknowledgement."""
    canary_share: float = 0.01
    """The same as a share of the class, from 0 to 1; whichever is more counts."""
    canary_silence_s: float = 5.0
    """A canary that says nothing for so long is replaced by another proxy."""
    canary_traffic_s: float = 0.0
    """For how long canaries carry traffic with a change before it goes to all, if their sidecars report it
    (`OSM_INJECTOR_LOAD_REPORTS`, `OSM_LOCAL_LOAD_REPORTS`); 0 is off."""
    canary_margin: float = 0.1
    """By how much their share of 5xx (0 to 1) may be above that of the rest of their class meanwhile."""
    canary_requests: int = 20
    """The fewest requests that say something; a change whose canaries get fewer in that time goes on."""
    workers: int = 1
    """Processes that share the port and the work on this machine, over NATS only: a replica each (`<replica>-0`, …).
    `OSM_HTTP` shows them as one: ready while any of them is, and the measures of all with a label `worker`."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.canary_share <= 1:
            raise ValueError(f"canary_share: found {self.canary_share:g}, allowed are 0 to 1")
        if self.canary_count < 1:
            raise ValueError(f"canary_count: found {self.canary_count}, allowed are 1 and more")
        if self.canary_traffic_s < 0:
            raise ValueError(f"canary_traffic_s: found {self.canary_traffic_s:g}, allowed are 0 and more seconds")
        if not 0 <= self.canary_margin <= 1:
            raise ValueError(f"canary_margin: found {self.canary_margin:g}, allowed are 0 to 1")
        if self.canary_requests < 1:
            raise ValueError(f"canary_requests: found {self.canary_requests}, allowed are 1 and more")
        if self.workers < 1:
            raise ValueError(f"workers: found {self.workers}, allowed are 1 and more; one for each core is sensible")
        if self.drain_s < 0 or self.drain_s + self.stop_deadline_s > LONGEST_END_S:
            raise ValueError(
                f"drain_s: found {self.drain_s:g} and {self.stop_deadline_s:g} for stop_deadline_s, allowed are "
                f"{LONGEST_END_S:g} for both together: a process ends by force soon after"
            )
