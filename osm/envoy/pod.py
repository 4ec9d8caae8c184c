"""The bootstrap of a sidecar in a pod: that of any sidecar, and what others than its app may ask it in the clear.

The admin interface can end an Envoy and change its log level, and everything in a pod reaches its loopback: so it
serves nothing but pages that only read. It is the interface itself and not a listener before it, because listeners
wait until xds has answered, and a sidecar that waits is the one that people want to look into.

    15000 (loopback)  the admin interface's pages that change nothing, for `osm proxy get`
    15010             its measures alone, for Prometheus; only if that is wanted
    15021             whether the sidecar has its configuration, for kubelet
    15901, 2, 3       the app's probes
"""

from envoy.config.bootstrap.v3.bootstrap_pb2 import Admin, Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address as EnvoyAddress
from envoy.config.core.v3.address_pb2 import SocketAddress
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, Route, RouteAction, RouteMatch
from envoy.type.matcher.v3.regex_pb2 import RegexMatcher
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.duration_pb2 import Duration

from osm.envoy import ports, probes
from osm.envoy.bootstrap import Sidecar, bootstrap
from osm.envoy.plaintext_listener import LOOPBACK, listener
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
"""Envoy's admin pages that change nothing, by whatever method (its documentation, "Administration interface")."""

PAGE_WITHIN_S = 30
"""A dump of thousands of clusters takes Envoy a second."""


def pod_bootstrap(sidecar: Sidecar, *, checks: tuple[Probe, ...] = (), metrics: bool = False) -> Bootstrap:
    """`checks` are the app's probes, which kubelet has been told to send to the sidecar."""
    made = bootstrap(sidecar)
    made.admin.CopyFrom(Admin(address=_ADMIN, allow_paths=[_read_only()]))
    made.static_resources.clusters.append(_admin_cluster())
    made.static_resources.clusters.extend(probes.clusters(checks))
    if metrics:
        made.static_resources.listeners.append(_page("osm-metrics", ports.METRICS, "/stats/prometheus"))
    made.static_resources.listeners.append(_page("osm-ready", ports.READY, "/ready"))
    made.static_resources.listeners.extend(probes.listeners(checks))
    return made


def _read_only() -> StringMatcher:
    """The whole of a request's path, its query included; everything else is answered 403."""
    return StringMatcher(safe_regex=RegexMatcher(regex=rf"/({'|'.join(READ_ONLY)})(\?.*)?"))


def _admin_cluster() -> Cluster:
    endpoint = LbEndpoint(endpoint=Endpoint(address=_ADMIN))
    return Cluster(
        name=ADMIN_CLUSTER,
        type=Cluster.STATIC,
        connect_timeout=Duration(seconds=1),
        load_assignment=ClusterLoadAssignment(
            cluster_name=ADMIN_CLUSTER, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
    )


def _page(name: str, port: int, path: str) -> Listener:
    """Without its query, by which a page could be made to say more."""
    whole = HeaderMatcher(name=":path", string_match=StringMatcher(exact=path))
    return listener(name, port, [_to_admin(RouteMatch(path=path, headers=[_GET, whole]))])


def _to_admin(match: RouteMatch) -> Route:
    return Route(match=match, route=RouteAction(cluster=ADMIN_CLUSTER, timeout=Duration(seconds=PAGE_WITHIN_S)))


_ADMIN = EnvoyAddress(socket_address=SocketAddress(address=LOOPBACK, port_value=ports.ADMIN))
_GET = HeaderMatcher(name=":method", string_match=StringMatcher(exact="GET"))
