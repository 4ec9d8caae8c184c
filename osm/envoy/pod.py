"""The bootstrap of a sidecar in a pod: that of any sidecar, and what others than its app may ask it in the clear.

The admin interface can stop an Envoy and change its log level, so it is a Unix socket in a volume that no other
container mounts; of what it shows, a listener on loopback passes on what only reads.

    15000 (loopback)  the admin interface's pages that change nothing, for `osm proxy get`
    15010             its measures alone, for Prometheus; only if that is wanted
    15021             whether the sidecar has its configuration, for kubelet
    15901, 2, 3       the app's probes
"""

from pathlib import PurePath

from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address as EnvoyAddress
from envoy.config.core.v3.address_pb2 import Pipe
from envoy.config.core.v3.base_pb2 import DataSource
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import (
    DirectResponseAction,
    HeaderMatcher,
    Route,
    RouteAction,
    RouteMatch,
)
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.duration_pb2 import Duration

from osm.envoy import ports, probes
from osm.envoy.bootstrap import Sidecar, bootstrap
from osm.envoy.plain import LOOPBACK, listener
from osm.envoy.probes import Probe

ADMIN_CLUSTER = "osm-admin"

READ_ONLY = (
    "certs",
    "clusters",
    "config_dump",
    "init_dump",
    "listeners",
    "memory",
    "ready",
    "server_info",
    "stats",
    "stats/prometheus",
)
"""Envoy's admin pages that change nothing (its documentation, "Administration interface")."""

PAGE_WITHIN_S = 30
"""A dump of thousands of clusters takes Envoy a second."""

_REFUSAL = f"only GET of these is served here: /{', /'.join(READ_ONLY)}\n"


def pod_bootstrap(sidecar: Sidecar, *, checks: tuple[Probe, ...] = (), metrics: bool = False) -> Bootstrap:
    """`checks` are the app's probes, which kubelet has been told to send to the sidecar."""
    made = bootstrap(sidecar)
    made.static_resources.clusters.append(_admin_cluster(sidecar.admin))
    made.static_resources.clusters.extend(probes.clusters(checks))
    made.static_resources.listeners.append(_admin_pages())
    if metrics:
        made.static_resources.listeners.append(_page("osm-metrics", ports.METRICS, "/stats/prometheus"))
    made.static_resources.listeners.append(_page("osm-ready", ports.READY, "/ready"))
    made.static_resources.listeners.extend(probes.listeners(checks))
    return made


def _admin_cluster(socket: PurePath) -> Cluster:
    endpoint = LbEndpoint(endpoint=Endpoint(address=EnvoyAddress(pipe=Pipe(path=str(socket)))))
    return Cluster(
        name=ADMIN_CLUSTER,
        type=Cluster.STATIC,
        connect_timeout=Duration(seconds=1),
        load_assignment=ClusterLoadAssignment(
            cluster_name=ADMIN_CLUSTER, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
    )


def _admin_pages() -> Listener:
    pages = RouteMatch(safe_regex=RegexMatcher(regex=f"/({'|'.join(READ_ONLY)})"), headers=[_GET])
    refusal = DirectResponseAction(status=403, body=DataSource(inline_string=_REFUSAL))
    everything_else = Route(match=RouteMatch(prefix="/"), direct_response=refusal)
    return listener("osm-admin-pages", ports.ADMIN, [_to_admin(pages), everything_else], host=LOOPBACK)


def _page(name: str, port: int, path: str) -> Listener:
    """Without its query, by which a page could be made to say more."""
    whole = HeaderMatcher(name=":path", string_match=StringMatcher(exact=path))
    return listener(name, port, [_to_admin(RouteMatch(path=path, headers=[_GET, whole]))])


def _to_admin(match: RouteMatch) -> Route:
    return Route(match=match, route=RouteAction(cluster=ADMIN_CLUSTER, timeout=Duration(seconds=PAGE_WITHIN_S)))


_GET = HeaderMatcher(name=":method", string_match=StringMatcher(exact="GET"))
