"""Limits that a rate limit service counts for all sidecars together: who it is, and what it is asked.

Asked over gRPC in the clear, so it must be outside the mesh, or its port kept from its sidecar.
"""

from collections.abc import Iterable

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.core.v3.config_source_pb2 import ApiVersion
from envoy.config.core.v3.grpc_service_pb2 import GrpcService
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.config.ratelimit.v3.rls_pb2 import RateLimitServiceConfig
from envoy.config.route.v3.route_components_pb2 import HeaderMatcher
from envoy.config.route.v3.route_components_pb2 import RateLimit as Actions
from envoy.extensions.common.ratelimit.v3.ratelimit_pb2 import RateLimitDescriptor
from envoy.extensions.filters.http.ratelimit.v3.rate_limit_pb2 import RateLimit
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.filters.network.ratelimit.v3 import rate_limit_pb2 as network
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from envoy.type.v3.http_status_pb2 import HttpStatus, StatusCode
from google.protobuf.wrappers_pb2 import BoolValue

from osm.contracts.names import Address
from osm.contracts.traffic_settings import (
    Descriptor,
    GenericKey,
    GlobalHttpLimit,
    GlobalTcpLimit,
    HeaderCondition,
    HeaderValueMatch,
    LimitService,
    RemoteAddress,
    RequestHeader,
)
from services.xds.translate.cluster import grpc_cluster
from services.xds.translate.filters import network_filter
from services.xds.translate.messages import matching, milliseconds, packed


def limiter_name(service: LimitService) -> str:
    """OSM's name of the cluster. No service of the mesh has such a one: theirs hold a `/`."""
    return f"{service.host}|{service.port}"


def limiter_cluster(service: LimitService) -> Cluster:
    return grpc_cluster(limiter_name(service), Address(service.host, service.port))


def of_connections(limit: GlobalTcpLimit, stat_prefix: str) -> Filter:
    """Closes a connection that the service says no to. Counters: `ratelimit.<stat_prefix>.over_limit`, `.error`, …"""
    config = network.RateLimit(
        stat_prefix=stat_prefix,
        domain=limit.service.domain,
        descriptors=[
            RateLimitDescriptor(entries=[RateLimitDescriptor.Entry(key=key, value=value) for key, value in entries])
            for entries in limit.descriptors
        ],
        timeout=milliseconds(limit.service.timeout_ms),
        failure_mode_deny=not limit.service.fail_open,
        rate_limit_service=_asked(limit.service),
    )
    return network_filter("envoy.filters.network.ratelimit", config)


def filter_of_requests(limit: GlobalHttpLimit) -> HttpFilter:
    """Asks about what virtual hosts and routes say. Counters: `cluster.<of the app>.ratelimit.over_limit`, `.error`, …

    gRPC is told RESOURCE_EXHAUSTED, which its clients do not take for a server that is away.
    """
    config = RateLimit(
        domain=limit.service.domain,
        timeout=milliseconds(limit.service.timeout_ms),
        failure_mode_deny=not limit.service.fail_open,
        rate_limited_as_resource_exhausted=True,
        rate_limit_service=_asked(limit.service),
        rate_limited_status=HttpStatus(code=StatusCode.Name(limit.status)),
    )
    if limit.quota_headers:
        config.enable_x_ratelimit_headers = RateLimit.XRateLimitHeadersRFCVersion.DRAFT_VERSION_03
    return HttpFilter(name="envoy.filters.http.ratelimit", typed_config=packed(config))


def actions(descriptors: Iterable[Descriptor]) -> list[Actions]:
    """For a virtual host, or for a route: then the host's do not count."""
    return [Actions(actions=map(_action, descriptor)) for descriptor in descriptors]


def _asked(service: LimitService) -> RateLimitServiceConfig:
    """By a name that servers take for one: the cluster's own is none."""
    envoy = GrpcService.EnvoyGrpc(
        cluster_name=limiter_name(service), authority=str(Address(service.host, service.port))
    )
    return RateLimitServiceConfig(grpc_service=GrpcService(envoy_grpc=envoy), transport_api_version=ApiVersion.V3)


def _action(entry: GenericKey | RemoteAddress | RequestHeader | HeaderValueMatch) -> Actions.Action:
    match entry:
        case GenericKey(value=value, key=key):
            return Actions.Action(generic_key=Actions.Action.GenericKey(descriptor_value=value, descriptor_key=key))
        case RemoteAddress():
            return Actions.Action(remote_address=Actions.Action.RemoteAddress())
        case RequestHeader(name=name, key=key):
            return Actions.Action(request_headers=Actions.Action.RequestHeaders(header_name=name, descriptor_key=key))
        case HeaderValueMatch():
            return Actions.Action(
                header_value_match=Actions.Action.HeaderValueMatch(
                    descriptor_value=entry.value,
                    descriptor_key=entry.key,
                    expect_match=BoolValue(value=entry.expected),
                    headers=map(_matcher, entry.headers),
                )
            )


def _matcher(condition: HeaderCondition) -> HeaderMatcher:
    match condition.how:
        case "present" | "absent":
            return HeaderMatcher(name=condition.name, present_match=condition.how == "present")
        case "regex":
            return HeaderMatcher(name=condition.name, string_match=matching(condition.value))
        case how:
            return HeaderMatcher(name=condition.name, string_match=StringMatcher(**{how: condition.value}))
