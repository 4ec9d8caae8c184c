"""What a sidecar must know before it has asked xds: who it is, where xds is, how to trust it.

Pure: values in, Envoy's messages out. Shared by `local`, which puts them into files, and `injector`, which puts them
into a Secret. Everything else an Envoy does comes from xds; nothing of it belongs here.

The two SDS files hold the secrets themselves and are replaced whole: an Envoy that watched certificate files beside
them would take 4 of its user's inotify instances, of which Linux grants 128; so it takes 2. A platform that replaces
files by moving a link above them (a mounted Secret: decisions 27) names the folder of that link as `watched`.
"""

from pathlib import PurePath

import msgspec
from envoy.config.bootstrap.v3.bootstrap_pb2 import Bootstrap
from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address as EnvoyAddress
from envoy.config.core.v3.address_pb2 import Pipe, SocketAddress
from envoy.config.core.v3.backoff_pb2 import BackoffStrategy
from envoy.config.core.v3.base_pb2 import DataSource, Node, RetryPolicy, TransportSocket
from envoy.config.core.v3.config_source_pb2 import (
    AggregatedConfigSource,
    ApiConfigSource,
    ApiVersion,
    ConfigSource,
    PathConfigSource,
)
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions, HttpProtocolOptions, KeepaliveSettings
from envoy.config.core.v3.socket_option_pb2 import SocketOption
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import (
    CertificateValidationContext,
    SubjectAltNameMatcher,
    TlsCertificate,
    TlsParameters,
)
from envoy.extensions.transport_sockets.tls.v3.secret_pb2 import SdsSecretConfig, Secret
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions as UpstreamHttpOptions
from envoy.service.discovery.v3.discovery_pb2 import DiscoveryResponse
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import UInt32Value
from msgspec import Struct

from osm.contracts.names import XDS_IDENTITY, Address, Identity

XDS_CLUSTER = "osm-xds"
CERTIFICATE_SECRET = "xds-client-certificate"  # noqa: S105  # a resource's name
ROOTS_SECRET = "xds-roots"  # noqa: S105  # a resource's name

CONNECT_TIMEOUT_S = 5
KEEPALIVE_INTERVAL_S = 30
"""A replica whose machine vanished is noticed within this and `KEEPALIVE_TIMEOUT_S`; nobody closes for less."""
KEEPALIVE_TIMEOUT_S = 5
SOL_SOCKET = 1
SO_MARK = 36
"""As Linux numbers them wherever Envoy runs (asm-generic/socket.h); Python names the second on Linux only."""
RECONNECT_MOST_S = 10
"""Envoy's own limit of 30 s would leave a proxy without news for that long after a short outage."""


class Sidecar(Struct, frozen=True, kw_only=True):
    """All that differs from one bootstrap to the next.

    `xds` may be a DNS name: every address behind it is one to connect to. `admin` is the path of a Unix socket;
    without one, there is no admin interface.
    The SDS files are read again when they are replaced, or when a link in `watched` is.
    """

    proxy_id: str
    identity: Identity
    trust_domain: str
    xds: Address
    admin: PurePath | None = None
    certificate_sds: PurePath
    roots_sds: PurePath
    watched: PurePath | None = None
    mark: int | None = None
    """For redirect rules that know the sidecar by its mark: put on every connection it opens (SO_MARK). It must have
    CAP_NET_ADMIN for that."""
    load_reports: bool = False
    """Whether it tells xds of its traffic, if xds wants to know: over a second stream, and so a second connection."""


def bootstrap(sidecar: Sidecar) -> Bootstrap:
    """The bootstrap of one sidecar."""
    made = Bootstrap(
        node=Node(id=sidecar.proxy_id, cluster=f"{sidecar.identity.account}.{sidecar.identity.namespace}"),
    )
    if sidecar.admin is not None:
        made.admin.address.pipe.CopyFrom(Pipe(path=str(sidecar.admin), mode=0o600))
    if sidecar.mark is not None:
        made.cluster_manager.upstream_bind_config.socket_options.append(_marked(sidecar.mark))
    if sidecar.load_reports:
        made.cluster_manager.load_stats_config.CopyFrom(_to_xds(ApiConfigSource.GRPC))
    made.static_resources.clusters.append(_xds_cluster(sidecar))
    made.dynamic_resources.ads_config.CopyFrom(_to_xds(ApiConfigSource.DELTA_GRPC))
    made.dynamic_resources.cds_config.CopyFrom(_from_ads())
    made.dynamic_resources.lds_config.CopyFrom(_from_ads())
    return made


def certificate_sds(*, key_pem: str, chain_pem: str) -> DiscoveryResponse:
    """The SDS file with the sidecar's own certificate towards xds. Its text is a secret: mode 0600."""
    certificate = TlsCertificate(
        certificate_chain=DataSource(inline_string=chain_pem), private_key=DataSource(inline_string=key_pem)
    )
    return _secret(Secret(name=CERTIFICATE_SECRET, tls_certificate=certificate))


def roots_sds(roots_pem: str) -> DiscoveryResponse:
    """The SDS file with the roots that the sidecar accepts from xds."""
    roots = CertificateValidationContext(trusted_ca=DataSource(inline_string=roots_pem))
    return _secret(Secret(name=ROOTS_SECRET, validation_context=roots))


def text(message: Message) -> str:
    """A message as Envoy reads it from a file: JSON, keys sorted."""
    body = msgspec.json.encode(MessageToDict(message, preserving_proto_field_name=True), order="sorted")
    return msgspec.json.format(body, indent=1).decode()


def _marked(mark: int) -> SocketOption:
    return SocketOption(
        description="whose traffic it is",
        level=SOL_SOCKET,
        name=SO_MARK,
        int_value=mark,
        state=SocketOption.STATE_PREBIND,
    )


def _to_xds(api_type: "ApiConfigSource.ApiType.ValueType") -> ApiConfigSource:
    backoff = BackoffStrategy(
        base_interval=Duration(nanos=500_000_000), max_interval=Duration(seconds=RECONNECT_MOST_S)
    )
    xds = GrpcService.EnvoyGrpc(cluster_name=XDS_CLUSTER, retry_policy=RetryPolicy(retry_back_off=backoff))
    return ApiConfigSource(
        api_type=api_type,
        transport_api_version=ApiVersion.V3,
        set_node_on_first_message_only=True,
        grpc_services=[GrpcService(envoy_grpc=xds)],
    )


def _from_ads() -> ConfigSource:
    """Waits for xds without limit: an Envoy that gave up would call itself ready and serve nothing."""
    return ConfigSource(
        ads=AggregatedConfigSource(), resource_api_version=ApiVersion.V3, initial_fetch_timeout=Duration(seconds=0)
    )


def _xds_cluster(sidecar: Sidecar) -> Cluster:
    at = SocketAddress(address=sidecar.xds.host, port_value=sidecar.xds.port)
    endpoint = LbEndpoint(endpoint=Endpoint(address=EnvoyAddress(socket_address=at)))
    cluster = Cluster(
        name=XDS_CLUSTER,
        type=Cluster.STRICT_DNS,  # takes an IP address as well
        connect_timeout=Duration(seconds=CONNECT_TIMEOUT_S),
        load_assignment=ClusterLoadAssignment(
            cluster_name=XDS_CLUSTER, endpoints=[LocalityLbEndpoints(lb_endpoints=[endpoint])]
        ),
        transport_socket=TransportSocket(name="envoy.transport_sockets.tls", typed_config=_any(_tls(sidecar))),
    )
    options = _any(_http_options())
    cluster.typed_extension_protocol_options["envoy.extensions.upstreams.http.v3.HttpProtocolOptions"].CopyFrom(options)
    return cluster


def _http_options() -> UpstreamHttpOptions:
    """HTTP/2 with keepalive, and a connection per stream.

    Envoy would open the stream after a closed one on the same connection, so with the certificate of before
    its renewal and to the replica that asked it to leave (decisions 2).
    """
    keepalive = KeepaliveSettings(
        interval=Duration(seconds=KEEPALIVE_INTERVAL_S), timeout=Duration(seconds=KEEPALIVE_TIMEOUT_S)
    )
    return UpstreamHttpOptions(
        common_http_protocol_options=HttpProtocolOptions(max_requests_per_connection=UInt32Value(value=1)),
        explicit_http_config=UpstreamHttpOptions.ExplicitHttpConfig(
            http2_protocol_options=Http2ProtocolOptions(connection_keepalive=keepalive)
        ),
    )


def _tls(sidecar: Sidecar) -> UpstreamTlsContext:
    xds = StringMatcher(exact=XDS_IDENTITY.spiffe(sidecar.trust_domain))
    pinned = SubjectAltNameMatcher(san_type=SubjectAltNameMatcher.URI, matcher=xds)
    validation = CommonTlsContext.CombinedCertificateValidationContext(
        default_validation_context=CertificateValidationContext(match_typed_subject_alt_names=[pinned]),
        validation_context_sds_secret_config=_from_file(ROOTS_SECRET, sidecar.roots_sds, sidecar.watched),
    )
    return UpstreamTlsContext(
        common_tls_context=CommonTlsContext(
            tls_params=TlsParameters(  # both: Envoy's maximum for a client is 1.2 unless it is told
                tls_minimum_protocol_version=TlsParameters.TLSv1_3, tls_maximum_protocol_version=TlsParameters.TLSv1_3
            ),
            tls_certificate_sds_secret_configs=[
                _from_file(CERTIFICATE_SECRET, sidecar.certificate_sds, sidecar.watched)
            ],
            combined_validation_context=validation,
        )
    )


def _from_file(name: str, path: PurePath, watched: PurePath | None) -> SdsSecretConfig:
    where = PathConfigSource(path=str(path))
    if watched is not None:
        where.watched_directory.path = str(watched)
    source = ConfigSource(path_config_source=where, resource_api_version=ApiVersion.V3)
    return SdsSecretConfig(name=name, sds_config=source)


def _secret(secret: Secret) -> DiscoveryResponse:
    return DiscoveryResponse(version_info="1", resources=[_any(secret)])


def _any(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
