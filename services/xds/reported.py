"""What proxies report of their traffic, brought to where it is judged: who may report, and what of it counts.

A proxy may tell of itself alone, and here alone where its configuration comes from: its reports take a connection of
their own, which may have found another replica, or another process behind the same port. Both connections begin at
once, so who greets early is not sent away; its first report, a second later, is.
"""

import time
from collections.abc import Callable, Iterable

from osm.ads.load_reports import ClusterLoad, Elsewhere
from osm.ads.peer import Denied, Peer
from osm.envoy.bootstrap import XDS_CLUSTER
from osm.envoy.pod import ADMIN_CLUSTER
from osm.envoy.probes import is_probe
from services.xds.admission import admit
from services.xds.judgement import Load
from services.xds.traffic import Traffic
from services.xds.translate.cluster import TRACING
from services.xds.translate.log_collector import COLLECTOR

OWN = frozenset({XDS_CLUSTER, ADMIN_CLUSTER, TRACING, COLLECTOR})
"""Clusters that serve a sidecar and not its app."""


class Reported:
    """`newest_stream`: a proxy's stream of configuration, if it is connected here."""

    def __init__(self, trust_domain: str, newest_stream: Callable[[str], int | None], traffic: Traffic) -> None:
        self._trust_domain = trust_domain
        self._newest_stream = newest_stream
        self._traffic = traffic

    def greet(self, peer: Peer | None, node_id: str) -> str:
        """Raises Denied."""
        if peer is None:
            raise Denied("a client certificate is needed")
        return admit(peer.uris, node_id, self._trust_domain).id

    def take(self, proxy_id: str, loads: tuple[ClusterLoad, ...]) -> None:
        """Raises Elsewhere."""
        stream_id = self._newest_stream(proxy_id)
        if stream_id is None:
            raise Elsewhere(f"proxy {proxy_id} has its configuration from another replica; come back")
        self._traffic.report(stream_id, load_of(loads), time.monotonic())


def load_of(loads: Iterable[ClusterLoad]) -> Load:
    """All that an app has asked or been asked."""
    apps = [each for each in loads if each.cluster not in OWN and not is_probe(each.cluster)]
    errors = sum(each.errors for each in apps)
    return Load(errors + sum(each.successes for each in apps), errors)
