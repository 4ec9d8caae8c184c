"""Clusters: upstream services over mutual TLS, the own app, and the few others.

What is chosen here so that a dying endpoint costs as little as possible (the other half is the retry policy of
`route`): connecting may take 2 s, not 5; an address that refuses three connections in a row is passed over for a
while, unless that would leave too few; connections are renewed hourly, so that none outlives a rotation for long.
Responses of the app never eject it: a 500 is the app's answer, not the network's.
"""

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster, UpstreamConnectionOptions
from envoy.config.cluster.v3.outlier_detection_pb2 import OutlierDetection
from envoy.config.core.v3.address_pb2 import TcpKeepalive
from envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions, Http2ProtocolOptions, KeepaliveSettings
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf.wrappers_pb2 import UInt32Value

from osm.contracts.names import Address
from osm.contracts.policy import Tracing
from osm.contracts.traffic_settings import ConnectionSettings
from services.xds.translate.messages import from_ads, milliseconds, packed, seconds, socket_address
from services.xds.translate.reach import Destination
from services.xds.translate.tls import MeshTls, upstream_tls

PASSTHROUGH = "passthrough-outbound"
"""To wherever the app wanted to go, as it is."""

TRACING = "envoy-tracing-cluster"
"""The Zipkin collector."""

CONNECT_TIMEOUT_S = 2
"""TCP and TLS handshake. Inside one cluster both take milliseconds; what takes longer is better tried elsewhere."""

MAX_CONNECTION_S = 3600
"""When an upstream connection is drained and made anew, streams in flight excepted: the shortest root overlap."""

UPSTREAM_IDLE_S = 300
"""Well under the hour after which Envoy's server side closes, so that no request meets a closing connection."""

FAILURES_BEFORE_EJECTION = 3
EJECTION_S = 5
"""Times the number of ejections so far. Short: removal is the control plane's work, this bridges until it came."""

MAX_EJECTED_PERCENT = 50
"""With fewer than half left Envoy would panic and use them all anyway."""

UNLIMITED = 2**32 - 1
"""Circuit breakers are the user's to set; Envoy's own default of 1,024 surprises under load."""

WITHOUT_LIMITS = ConnectionSettings()

PING_EVERY_S = 10
PING_TIMEOUT_S = 5
"""A server of gRPC that has gone without a word (a node lost) costs so long, and not until TCP gives up."""

KEEPALIVE_S = 60
"""Idle TCP connections notice a vanished peer within a few minutes, not two hours."""


def upstream_cluster(to: Destination, mesh_tls: MeshTls, limits: ConnectionSettings) -> Cluster:
    """Endpoints come by EDS, under the assignment's name. `to` must have accounts."""
    cluster = _towards(to, mesh_tls, limits)
    cluster.name = to.name
    cluster.type = Cluster.DiscoveryType.EDS
    cluster.eds_cluster_config.eds_config.CopyFrom(from_ads())
    cluster.eds_cluster_config.service_name = to.assignment.name
    cluster.lb_policy = Cluster.LbPolicy.ROUND_ROBIN
    cluster.outlier_detection.CopyFrom(_unreachable_only())
    return cluster


def direct_cluster(to: Destination, mesh_tls: MeshTls, limits: ConnectionSettings) -> Cluster:
    """To the address that the app has dialled, if a workload of the service is there: it must prove one of `accounts`.

    So nothing about single pods has to be known here, and none that is not ready yet is out of reach of its peers.
    """
    cluster = _towards(to, mesh_tls, limits)
    cluster.name = to.direct
    cluster.type = Cluster.DiscoveryType.ORIGINAL_DST
    cluster.lb_policy = Cluster.LbPolicy.CLUSTER_PROVIDED
    return cluster


def _towards(to: Destination, mesh_tls: MeshTls, limits: ConnectionSettings) -> Cluster:
    cluster = Cluster(
        connect_timeout=milliseconds(limits.connect_timeout_ms or CONNECT_TIMEOUT_S * 1000),
        circuit_breakers=_breakers(limits),
        transport_socket=upstream_tls(mesh_tls, to.service, to.accounts),
        upstream_connection_options=UpstreamConnectionOptions(
            tcp_keepalive=TcpKeepalive(keepalive_time=UInt32Value(value=KEEPALIVE_S))
        ),
    )
    if to.http:
        cluster.typed_extension_protocol_options[_HTTP].CopyFrom(packed(_to_sidecar(limits)))
    return cluster


def local_cluster(name: str, app: Address, *, http: bool) -> Cluster:
    """The own app, in the clear, on this machine."""
    cluster = _at(name, Cluster.DiscoveryType.STATIC, app)
    if http:
        cluster.typed_extension_protocol_options[_HTTP].CopyFrom(packed(_as_it_came()))
    return cluster


def passthrough_cluster() -> Cluster:
    cluster = Cluster(
        name=PASSTHROUGH,
        type=Cluster.DiscoveryType.ORIGINAL_DST,
        lb_policy=Cluster.LbPolicy.CLUSTER_PROVIDED,
        connect_timeout=seconds(CONNECT_TIMEOUT_S),
        circuit_breakers=_breakers(),
    )
    cluster.typed_extension_protocol_options[_HTTP].CopyFrom(packed(_as_it_came()))
    return cluster


def tracing_cluster(tracing: Tracing) -> Cluster:
    return _at(TRACING, Cluster.DiscoveryType.STRICT_DNS, Address(tracing.address, tracing.port))


def grpc_cluster(name: str, address: Address) -> Cluster:
    """A server that Envoy itself asks, in the clear, as often as requests come: by Envoy's own limit of 1,024 questions
    at a time some of a busy app's would stay unanswered."""
    cluster = _at(name, Cluster.DiscoveryType.STRICT_DNS, address)
    cluster.dns_lookup_family = Cluster.DnsLookupFamily.V4_PREFERRED
    http2 = Http2ProtocolOptions(
        connection_keepalive=KeepaliveSettings(interval=seconds(PING_EVERY_S), timeout=seconds(PING_TIMEOUT_S))
    )
    options = HttpProtocolOptions(
        explicit_http_config=HttpProtocolOptions.ExplicitHttpConfig(http2_protocol_options=http2)
    )
    cluster.typed_extension_protocol_options[_HTTP].CopyFrom(packed(options))
    return cluster


def _at(name: str, kind: "Cluster.DiscoveryType.ValueType", address: Address) -> Cluster:
    endpoint = LbEndpoint(endpoint=Endpoint(address=socket_address(address)))
    return Cluster(
        name=name,
        type=kind,
        connect_timeout=seconds(CONNECT_TIMEOUT_S),
        circuit_breakers=_breakers(),
        load_assignment=ClusterLoadAssignment(
            cluster_name=name, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
    )


_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"


def _as_it_came() -> HttpProtocolOptions:
    """HTTP/1.1 stays HTTP/1.1 and HTTP/2 stays HTTP/2, all the way from app to app."""
    return HttpProtocolOptions(
        use_downstream_protocol_config=HttpProtocolOptions.UseDownstreamHttpConfig(
            http_protocol_options=Http1ProtocolOptions(),
            http2_protocol_options=Http2ProtocolOptions(allow_connect=True),
        )
    )


def _to_sidecar(limits: ConnectionSettings) -> HttpProtocolOptions:
    options = _as_it_came()
    common = options.common_http_protocol_options
    common.idle_timeout.CopyFrom(seconds(UPSTREAM_IDLE_S))
    common.max_connection_duration.CopyFrom(seconds(MAX_CONNECTION_S))
    if limits.max_requests_per_connection:
        common.max_requests_per_connection.value = limits.max_requests_per_connection
    return options


def _breakers(limits: ConnectionSettings = WITHOUT_LIMITS) -> CircuitBreakers:
    return CircuitBreakers(
        thresholds=[
            CircuitBreakers.Thresholds(
                max_connections=_at_most(limits.max_connections),
                max_pending_requests=_at_most(limits.max_pending_requests),
                max_requests=_at_most(limits.max_requests),
                max_retries=_at_most(limits.max_retries),
                track_remaining=True,
            )
        ]
    )


def _at_most(count: int | None) -> UInt32Value:
    return UInt32Value(value=UNLIMITED if count is None else count)


def _unreachable_only() -> OutlierDetection:
    """Only what Envoy itself could not do counts (connect, reset, time out), never what the app answered."""
    never = UInt32Value(value=0)
    return OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=UInt32Value(value=FAILURES_BEFORE_EJECTION),
        base_ejection_time=seconds(EJECTION_S),
        max_ejection_percent=UInt32Value(value=MAX_EJECTED_PERCENT),
        enforcing_consecutive_5xx=never,
        enforcing_consecutive_gateway_failure=never,
        enforcing_success_rate=never,
        enforcing_local_origin_success_rate=never,
        enforcing_failure_percentage=never,
        enforcing_failure_percentage_local_origin=never,
    )
