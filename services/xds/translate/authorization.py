"""External authorization: somebody else is asked about each request that access control has let pass.

The authorizer is one for the mesh, asked over gRPC in the clear by the sidecar of the app that is called. A request
passes if it says so; unless the user has said otherwise, one that it does not judge in time ends as 403.
"""

from envoy.config.cluster.v3.circuit_breaker_pb2 import CircuitBreakers
from envoy.config.cluster.v3.cluster_pb2 import Cluster, UpstreamConnectionOptions
from envoy.config.core.v3.address_pb2 import TcpKeepalive
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions, KeepaliveSettings
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.extensions.filters.http.ext_authz.v3.ext_authz_pb2 import BufferSettings, ExtAuthz
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions
from google.protobuf.wrappers_pb2 import UInt32Value

from osm.contracts.endpoints import Protocol
from osm.contracts.names import Address, ObjectRef
from osm.contracts.policy import ExternalAuthorization, Mesh
from services.xds.translate.cluster import CONNECT_TIMEOUT_S, KEEPALIVE_S, UNLIMITED
from services.xds.translate.messages import milliseconds, packed, seconds, socket_address

AUTHORIZER = "external-authorizer"
"""The cluster."""

FILTER = "envoy.filters.http.ext_authz"

BODY_BYTES = 8 * 1024
"""Of a request, shown to the authorizer; OSM's. A longer one is shown so far."""

PING_EVERY_S = 10
PING_TIMEOUT_S = 5
"""An authorizer that has gone without a word (a node lost) costs so long, and not until TCP gives up."""

_ANY_NUMBER = CircuitBreakers.Thresholds(
    max_pending_requests=UInt32Value(value=UNLIMITED), max_requests=UInt32Value(value=UNLIMITED)
)
"""Of questions at a time: with Envoy's 1,024 a busy app's requests would end as 403."""


def authorization(mesh: Mesh, protocol: Protocol) -> tuple[HttpFilter, ...]:
    """Of an HTTP connection manager, behind access control; empty if nobody is to be asked.

    To show the beginning of a body is to wait for it. A stream of gRPC may wait for an answer first, so there none is
    shown.
    """
    asked = mesh.external_authorization
    if asked is None:
        return ()
    config = ExtAuthz(
        grpc_service=GrpcService(
            envoy_grpc=GrpcService.EnvoyGrpc(cluster_name=AUTHORIZER), timeout=milliseconds(asked.timeout_ms)
        ),
        transport_api_version=ApiVersion.V3,
        failure_mode_allow=asked.failure_mode_allow,
        stat_prefix=asked.stat_prefix,
    )
    if protocol != "grpc":
        config.with_request_body.CopyFrom(BufferSettings(max_request_bytes=BODY_BYTES, allow_partial_message=True))
    return (HttpFilter(name=FILTER, typed_config=packed(config)),)


def authorization_origins(mesh: Mesh) -> tuple[ObjectRef, ...]:
    """Who has said that somebody is asked."""
    return (mesh.external_authorization.origin,) if mesh.external_authorization else ()


def authorizer_cluster(asked: ExternalAuthorization) -> Cluster:
    endpoint = LbEndpoint(endpoint=Endpoint(address=socket_address(Address(asked.address, asked.port))))
    cluster = Cluster(
        name=AUTHORIZER,
        type=Cluster.DiscoveryType.STRICT_DNS,
        dns_lookup_family=Cluster.DnsLookupFamily.V4_PREFERRED,
        connect_timeout=seconds(CONNECT_TIMEOUT_S),
        circuit_breakers=CircuitBreakers(thresholds=[_ANY_NUMBER]),
        load_assignment=ClusterLoadAssignment(
            cluster_name=AUTHORIZER, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
        upstream_connection_options=UpstreamConnectionOptions(
            tcp_keepalive=TcpKeepalive(keepalive_time=UInt32Value(value=KEEPALIVE_S))
        ),
    )
    http2 = Http2ProtocolOptions(
        connection_keepalive=KeepaliveSettings(interval=seconds(PING_EVERY_S), timeout=seconds(PING_TIMEOUT_S))
    )
    options = HttpProtocolOptions(
        explicit_http_config=HttpProtocolOptions.ExplicitHttpConfig(http2_protocol_options=http2)
    )
    cluster.typed_extension_protocol_options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].CopyFrom(
        packed(options)
    )
    return cluster
