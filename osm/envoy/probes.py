"""kubelet's probes of a pod whose ports ask for mutual TLS: taken in by the sidecar, each on a path of its own.

Apart from the bootstrap, because this is the whole of it: which path a probe is sent to, and what answers there.
Nothing else of the app can be reached this way: a listener knows its probes' exact paths and lets GET alone through.

    http, https   the request goes on to the app's own port and path (Envoy speaks TLS to it, and verifies nothing:
                  neither does kubelet)
    tcp, grpc     Envoy asks the app itself, twice in the time between two probes, and says how that went
"""

from collections.abc import Iterable, Iterator
from typing import Annotated, Literal
from urllib.parse import quote

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.address_pb2 import Address as EnvoyAddress
from envoy.config.core.v3.address_pb2 import SocketAddress
from envoy.config.core.v3.base_pb2 import TransportSocket
from envoy.config.core.v3.health_check_pb2 import HealthCheck
from envoy.config.core.v3.protocol_pb2 import Http2ProtocolOptions
from envoy.config.endpoint.v3.endpoint_components_pb2 import Endpoint, LbEndpoint, LocalityLbEndpoints
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher, Route, RouteAction, RouteMatch
from envoy.extensions.filters.http.health_check.v3.health_check_pb2 import HealthCheck as HealthCheckFilter
from envoy.extensions.transport_sockets.tls.v3.common_pb2 import TlsParameters
from envoy.extensions.transport_sockets.tls.v3.tls_pb2 import CommonTlsContext, UpstreamTlsContext
from envoy.extensions.upstreams.http.v3.http_protocol_options_pb2 import HttpProtocolOptions as UpstreamHttpOptions
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.v3.percent_pb2 import Percent
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.wrappers_pb2 import BoolValue, UInt32Value
from msgspec import Meta, Struct

from osm.contracts.names import DnsLabel, Port
from osm.envoy import ports
from osm.envoy.plaintext_listener import HTTP_OPTIONS, listener

Kind = Literal["liveness", "readiness", "startup"]

KINDS: tuple[Kind, ...] = ("liveness", "readiness", "startup")
PORTS: dict[Kind, int] = {"liveness": ports.LIVENESS, "readiness": ports.READINESS, "startup": ports.STARTUP}

APP_HOST = "127.0.0.1"
"""Where the inbound listener reaches the app too; in PodIP mode the redirect rules lead it to the pod's address."""

_IN_A_PATH = "/%:@!$&'()*+,;=~"
"""What stands in a path as it is (RFC 3986 §3.3); kubelet would have encoded the rest."""

LEAST_INTERVAL_S = 1
"""Between two of Envoy's own checks, however often kubelet asks."""


class HttpCheck(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="http"):
    """GET `path` (its query included); any status from 200 to 399 is well."""

    port: Port
    path: str = "/"
    tls: bool = False


class TcpCheck(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="tcp"):
    """A connection is accepted."""

    port: Port


class GrpcCheck(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="grpc"):
    """`grpc.health.v1.Health/Check` of `service` says SERVING."""

    port: Port
    service: str = ""


Seconds = Annotated[int, Meta(ge=1, le=2**31 - 1)]
"""As the API server takes them (int32); what is read from a pod's annotation has passed no API server's check."""


class Probe(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One probe of one container, as it was before it was sent through the sidecar. Times as kubelet's defaults."""

    container: DnsLabel
    kind: Kind
    check: HttpCheck | TcpCheck | GrpcCheck
    timeout_s: Seconds = 1
    period_s: Seconds = 10


def path_of(probe: Probe) -> str:
    """What kubelet asks the sidecar for. The query is the app's own, for it stays when the path is rewritten."""
    check = probe.check
    query = check.path.partition("?")[1:] if isinstance(check, HttpCheck) else ()
    return f"/osm-{probe.kind}-probe/{probe.container}{''.join(query)}"


def listeners(probes: Iterable[Probe]) -> Iterator[Listener]:
    """One for each kind that there is."""
    by_kind = [(kind, [probe for probe in probes if probe.kind == kind]) for kind in KINDS]
    for kind, some in by_kind:
        if some:
            routes = [_route(probe) for probe in some if isinstance(probe.check, HttpCheck)]
            answers = [_answer(probe) for probe in some if not isinstance(probe.check, HttpCheck)]
            yield listener(f"osm-{kind}-probes", PORTS[kind], routes, before_routing=answers)


def clusters(probes: Iterable[Probe]) -> Iterator[Cluster]:
    """One for each probe."""
    for probe in probes:
        match probe.check:
            case HttpCheck(tls=tls):
                yield _http_cluster(probe, tls=tls)
            case TcpCheck():
                yield _checked_cluster(probe, HealthCheck(tcp_health_check=HealthCheck.TcpHealthCheck()))
            case GrpcCheck(service=service):
                asked = HealthCheck.GrpcHealthCheck(service_name=service, authority=APP_HOST)
                yield _http2(_checked_cluster(probe, HealthCheck(grpc_health_check=asked)))


def is_probe(cluster: str) -> bool:
    """Whether a cluster is one of these; names of the mesh's services have a slash before their port."""
    service, _, _ = cluster.partition("|")
    return service.startswith("osm-") and service.endswith("-probe") and "/" not in service


def _name(probe: Probe) -> str:
    return f"osm-{probe.kind}-probe|{probe.container}"


def _only_get(path: str) -> list[HeaderMatcher]:
    """`path` with its query, to the letter: a probe's listener is open to the whole cluster."""
    return [
        HeaderMatcher(name=":method", string_match=StringMatcher(exact="GET")),
        HeaderMatcher(name=":path", string_match=StringMatcher(exact=path)),
    ]


def _route(probe: Probe) -> Route:
    """A redirect is well and is not followed: kubelet would follow it to this listener, which knows no other path."""
    assert isinstance(probe.check, HttpCheck)
    asked, app = path_of(probe), quote(probe.check.path.partition("?")[0] or "/", safe=_IN_A_PATH)
    forward = RouteAction(cluster=_name(probe), prefix_rewrite=app, timeout=Duration(seconds=probe.timeout_s))
    return Route(
        match=RouteMatch(path=asked.partition("?")[0], headers=_only_get(asked)),
        route=forward,
        response_headers_to_remove=["location"],
    )


def _answer(probe: Probe) -> HealthCheckFilter:
    return HealthCheckFilter(
        pass_through_mode=BoolValue(value=False),
        headers=_only_get(path_of(probe)),
        cluster_min_healthy_percentages={_name(probe): Percent(value=100)},
    )


def _cluster(probe: Probe) -> Cluster:
    at = EnvoyAddress(socket_address=SocketAddress(address=APP_HOST, port_value=probe.check.port))
    return Cluster(
        name=_name(probe),
        type=Cluster.STATIC,
        connect_timeout=Duration(seconds=probe.timeout_s),
        load_assignment=ClusterLoadAssignment(
            cluster_name=_name(probe),
            endpoints=[LocalityLbEndpoints(lb_endpoints=[LbEndpoint(endpoint=Endpoint(address=at))])],
        ),
    )


def _http_cluster(probe: Probe, *, tls: bool) -> Cluster:
    cluster = _cluster(probe)
    if tls:
        up_to_1_3 = TlsParameters(tls_maximum_protocol_version=TlsParameters.TLSv1_3)
        context = UpstreamTlsContext(common_tls_context=CommonTlsContext(tls_params=up_to_1_3))
        socket = TransportSocket(name="envoy.transport_sockets.tls", typed_config=_any(context))
        cluster.transport_socket.CopyFrom(socket)
    return cluster


def _checked_cluster(probe: Probe, check: HealthCheck) -> Cluster:
    """One answer counts: how many make a verdict is kubelet's to say. No connection outlives its check."""
    interval = Duration(seconds=max(LEAST_INTERVAL_S, probe.period_s // 2))
    check.timeout.CopyFrom(Duration(seconds=probe.timeout_s))
    check.interval.CopyFrom(interval)
    check.no_traffic_interval.CopyFrom(interval)  # there never is any: 60 s unless it is said
    check.healthy_threshold.CopyFrom(UInt32Value(value=1))
    check.unhealthy_threshold.CopyFrom(UInt32Value(value=1))
    check.reuse_connection.CopyFrom(BoolValue(value=False))
    cluster = _cluster(probe)
    cluster.health_checks.append(check)
    return cluster


def _http2(cluster: Cluster) -> Cluster:
    options = UpstreamHttpOptions(
        explicit_http_config=UpstreamHttpOptions.ExplicitHttpConfig(http2_protocol_options=Http2ProtocolOptions())
    )
    cluster.typed_extension_protocol_options[HTTP_OPTIONS].CopyFrom(_any(options))
    return cluster


def _any(message: Message) -> Any:
    packed = Any()
    packed.Pack(message)
    return packed
