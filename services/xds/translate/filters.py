"""What is done with an accepted connection: HTTP connection managers, TCP proxies, and the chains they stand in.

Separate from listeners because both interception modes use the same chains and differ only in how traffic arrives.
"""

from collections.abc import Collection, Iterable

from envoy.config.accesslog.v3.accesslog_pb2 import AccessLogFilter, ResponseFlagFilter
from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption
from envoy.config.core.v3.protocol_pb2 import Http1ProtocolOptions, Http2ProtocolOptions
from envoy.config.listener.v3.listener_components_pb2 import (
    Filter,
    FilterChain,
    ListenerFilter,
    ListenerFilterChainMatchPredicate,
)
from envoy.config.trace.v3.http_tracer_pb2 import Tracing as TracingConfig
from envoy.config.trace.v3.zipkin_pb2 import ZipkinConfig
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac
from envoy.extensions.filters.http.router.v3.router_pb2 import Router
from envoy.extensions.filters.listener.http_inspector.v3.http_inspector_pb2 import HttpInspector
from envoy.extensions.filters.listener.tls_inspector.v3.tls_inspector_pb2 import TlsInspector
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import (
    HttpConnectionManager,
    HttpFilter,
    LocalReplyConfig,
    Rds,
    ResponseMapper,
)
from envoy.extensions.filters.network.tcp_proxy.v3.tcp_proxy_pb2 import TcpProxy, UpstreamConnectMode
from envoy.type.v3.range_pb2 import Int32Range
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value

from osm.contracts.names import Port
from osm.contracts.policy import Tracing
from services.xds.translate.access import HTTP_FILTER
from services.xds.translate.cluster import TRACING
from services.xds.translate.messages import from_ads, packed, seconds
from services.xds.translate.reach import Share
from services.xds.translate.retry import NOT_DELIVERED
from services.xds.translate.route import bounded

HTTP_MANAGER = "envoy.filters.network.http_connection_manager"

SILENT_STREAM_S = 3600
"""WebSocket and gRPC streams may be silent for long; Envoy's five minutes would cut them."""

SILENT_CONNECTION_S = 24 * 3600
"""A TCP connection, such as one in a database pool, may rest over a night; Envoy's hour would cut it."""

CONNECT_ATTEMPTS = 3
"""Of a TCP proxy, each at the endpoint whose turn it is. Nothing has been sent before one succeeds."""

EARLY_DATA_BYTES = 16 * 1024
"""Of a caller, kept until its connection to the app stands: one record of TLS. More waits in the kernel."""

HTTP_AS_SEEN = ("http/1.0", "http/1.1", "h2c")
"""What `http_inspector` calls the versions of HTTP in the clear."""

_CONNECTION_FAILED = "UF"
"""Envoy's response flag for "could not connect to the upstream"."""


def outbound_http(
    stat_prefix: str,
    routes: str,
    tracing: Tracing | None,
    *,
    filters: tuple[HttpFilter, ...] = (),
    one_spelling_of_paths: bool = False,
) -> Filter:
    """Requests of the own app. `one_spelling_of_paths` where a path is allowed or not, and nobody further on asks."""
    manager = _manager(stat_prefix, routes, tracing, filters=filters)
    if one_spelling_of_paths:
        _make_paths_unambiguous(manager)
    return _http_filter(manager)


def inbound_http(stat_prefix: str, routes: str, tracing: Tracing | None, more: tuple[HttpFilter, ...] = ()) -> Filter:
    """Requests to the own app, with paths made unambiguous before any rule reads them. What access control lets pass
    goes through `more`.

    The access control filter has no rules of its own: each virtual host brings them. A request that no route takes
    passes it and ends as 404; nothing is reached by it.
    """
    access = HttpFilter(name=HTTP_FILTER, typed_config=packed(http_rbac.RBAC()))
    manager = _manager(stat_prefix, routes, tracing, filters=(access, *more))
    _make_paths_unambiguous(manager)
    manager.forward_client_cert_details = HttpConnectionManager.ForwardClientCertDetails.SANITIZE_SET
    manager.set_current_client_cert_details.uri = True
    manager.local_reply_config.CopyFrom(_say_not_delivered())
    return _http_filter(manager)


def tcp(stat_prefix: str, shares: Iterable[Share]) -> Filter:
    """To one cluster, or to several by weight. A share of 0 is left out: Envoy takes none in a TCP proxy."""
    proxy = _tcp_proxy(stat_prefix)
    match [share for share in bounded(shares) if share.weight]:
        case [only]:
            proxy.cluster = only.cluster
        case several:
            weighted = (
                TcpProxy.WeightedCluster.ClusterWeight(name=share.cluster, weight=share.weight) for share in several
            )
            proxy.weighted_clusters.clusters.extend(weighted)
    return network_filter("envoy.filters.network.tcp_proxy", proxy)


def tcp_to_app(stat_prefix: str, cluster: str, *, behind_wait: bool = False) -> Filter:
    """The app is connected once TLS has named the caller: it counts connections that come to nothing (MySQL shuts out
    a host for them), and all of them come from its own.

    `behind_wait`: a filter before it may keep a new connection waiting. The handshake may then be over before the proxy
    hears of the connection, and to Envoy (1.40) that is one without a route; so it does not ask for the handshake.
    """
    proxy = _tcp_proxy(stat_prefix)
    proxy.cluster = cluster
    if behind_wait:
        return network_filter("envoy.filters.network.tcp_proxy", proxy)
    proxy.upstream_connect_mode = UpstreamConnectMode.ON_DOWNSTREAM_TLS_HANDSHAKE
    proxy.max_early_data_bytes.value = EARLY_DATA_BYTES
    return network_filter("envoy.filters.network.tcp_proxy", proxy)


def _tcp_proxy(stat_prefix: str) -> TcpProxy:
    return TcpProxy(
        stat_prefix=stat_prefix,
        max_connect_attempts=UInt32Value(value=CONNECT_ATTEMPTS),
        idle_timeout=seconds(SILENT_CONNECTION_S),
    )


def network_filter(name: str, config: Message) -> Filter:
    return Filter(name=name, typed_config=packed(config))


def plain_chain(name: str, last: Filter) -> FilterChain:
    """Traffic of the own app, which speaks in the clear."""
    return FilterChain(name=name, filters=[last])


def tls_inspector(ports: Collection[Port] = ()) -> ListenerFilter:
    """Reads the server name and protocol that chains are chosen by, at these ports; none: at every port.

    At one where the server may speak first Envoy waits for 15 s before it goes on.
    """
    return ListenerFilter(
        name="envoy.filters.listener.tls_inspector",
        typed_config=packed(TlsInspector()),
        filter_disabled=_elsewhere(ports) if ports else None,
    )


def http_inspector(ports: Collection[Port]) -> ListenerFilter:
    """Says by a connection's first bytes whether it is HTTP (`HTTP_AS_SEEN`), at these ports, of which there is one.

    Where the server speaks first there are none: Envoy then waits for 15 s before it goes on without an answer.
    """
    return ListenerFilter(
        name="envoy.filters.listener.http_inspector",
        typed_config=packed(HttpInspector()),
        filter_disabled=_elsewhere(ports),
    )


def _elsewhere(ports: Collection[Port]) -> ListenerFilterChainMatchPredicate:
    """At any port but these, of which there is one."""
    here = [
        ListenerFilterChainMatchPredicate(destination_port_range=Int32Range(start=port, end=port + 1))
        for port in sorted(ports)
    ]
    wanted = here[0] if len(here) == 1 else ListenerFilterChainMatchPredicate(or_match={"rules": here})
    return ListenerFilterChainMatchPredicate(not_match=wanted)


def _make_paths_unambiguous(manager: HttpConnectionManager) -> None:
    manager.normalize_path.value = True
    manager.merge_slashes = True
    manager.path_with_escaped_slashes_action = HttpConnectionManager.PathWithEscapedSlashesAction.REJECT_REQUEST


def _manager(
    stat_prefix: str, routes: str, tracing: Tracing | None, filters: tuple[HttpFilter, ...]
) -> HttpConnectionManager:
    """Leaves what apps say to each other as it is, the Server header included. HTTP/1.0 with a Host is taken too: it is
    what nginx speaks to whom it passes requests on to, unless it is told otherwise."""
    router = HttpFilter(name="envoy.filters.http.router", typed_config=packed(Router()))
    return HttpConnectionManager(
        stat_prefix=stat_prefix,
        rds=Rds(config_source=from_ads(), route_config_name=routes),
        http_filters=[*filters, router],
        http_protocol_options=Http1ProtocolOptions(accept_http_10=True),
        http2_protocol_options=Http2ProtocolOptions(allow_connect=True),
        server_header_transformation=HttpConnectionManager.ServerHeaderTransformation.PASS_THROUGH,
        stream_idle_timeout=seconds(SILENT_STREAM_S),
        strip_trailing_host_dot=True,
        upgrade_configs=[HttpConnectionManager.UpgradeConfig(upgrade_type="websocket")],
        tracing=_spans(tracing) if tracing else None,
    )


def _spans(tracing: Tracing) -> HttpConnectionManager.Tracing:
    zipkin = ZipkinConfig(
        collector_cluster=TRACING,
        collector_endpoint=tracing.endpoint,
        collector_endpoint_version=ZipkinConfig.CollectorEndpointVersion.HTTP_JSON,
        collector_hostname=tracing.address,
        shared_span_context=BoolValue(value=False),
    )
    return HttpConnectionManager.Tracing(
        provider=TracingConfig.Http(name="envoy.tracers.zipkin", typed_config=packed(zipkin))
    )


def _say_not_delivered() -> LocalReplyConfig:
    """Tells the caller's sidecar that the app has not seen the request, so that it may be tried elsewhere."""
    return LocalReplyConfig(
        mappers=[
            ResponseMapper(
                filter=AccessLogFilter(response_flag_filter=ResponseFlagFilter(flags=[_CONNECTION_FAILED])),
                headers_to_add=[
                    HeaderValueOption(
                        header=HeaderValue(key=NOT_DELIVERED, value="1"),
                        append_action=HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
                    )
                ],
            )
        ]
    )


def _http_filter(manager: HttpConnectionManager) -> Filter:
    return network_filter(HTTP_MANAGER, manager)
