"""Limits that a sidecar counts for itself: a bucket of tokens for each of a service's ports, one for each route with a
limit of its own.

A sidecar counts alone: two replicas of a service let twice as much through. Its workers count together.
"""

from envoy.config.core.v3.base_pb2 import HeaderValue, HeaderValueOption, RuntimeFractionalPercent
from envoy.config.listener.v3.listener_components_pb2 import Filter
from envoy.extensions.filters.http.local_ratelimit.v3.local_rate_limit_pb2 import LocalRateLimit
from envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2 import HttpFilter
from envoy.extensions.filters.network.local_ratelimit.v3 import local_rate_limit_pb2 as network
from envoy.type.v3.http_status_pb2 import HttpStatus, StatusCode
from envoy.type.v3.percent_pb2 import FractionalPercent
from envoy.type.v3.token_bucket_pb2 import TokenBucket
from google.protobuf.wrappers_pb2 import UInt32Value

from osm.contracts.traffic_settings import Allowance, LocalHttpLimit, Unit
from services.xds.translate.filters import network_filter
from services.xds.translate.messages import packed, seconds

FILTER = "envoy.filters.http.local_ratelimit"

UNIT_S: dict[Unit, int] = {"second": 1, "minute": 60, "hour": 3600}

_ALWAYS = RuntimeFractionalPercent(
    default_value=FractionalPercent(numerator=100, denominator=FractionalPercent.DenominatorType.HUNDRED)
)


def of_connections(allowance: Allowance, stat_prefix: str) -> Filter:
    """Closes a connection beyond the allowance. Counter: `local_rate_limit.<stat_prefix>.rate_limited`."""
    config = network.LocalRateLimit(stat_prefix=stat_prefix, token_bucket=_bucket(allowance))
    return network_filter("envoy.filters.network.local_ratelimit", config)


def filter_of_requests(stat_prefix: str) -> HttpFilter:
    """Limits nothing by itself: virtual hosts and routes bring their limits."""
    return HttpFilter(name=FILTER, typed_config=packed(LocalRateLimit(stat_prefix=stat_prefix)))


def of_requests(limit: LocalHttpLimit, stat_prefix: str) -> LocalRateLimit:
    """For a virtual host or a route; the route's counts. Counter: `<stat_prefix>.http_local_rate_limit.rate_limited`.

    gRPC is told RESOURCE_EXHAUSTED, which its clients do not take for a server that is away.
    """
    return LocalRateLimit(
        stat_prefix=stat_prefix,
        status=HttpStatus(code=StatusCode.Name(limit.status)),
        token_bucket=_bucket(limit.allowance),
        filter_enabled=_ALWAYS,
        filter_enforced=_ALWAYS,
        response_headers_to_add=[_header(name, value) for name, value in limit.headers],
        rate_limited_as_resource_exhausted=True,
    )


def _bucket(allowance: Allowance) -> TokenBucket:
    """Filled once in a unit, as OSM's is, so that nothing is let through until the unit is over."""
    return TokenBucket(
        max_tokens=allowance.count + allowance.burst,
        tokens_per_fill=UInt32Value(value=allowance.count),
        fill_interval=seconds(UNIT_S[allowance.unit]),
    )


def _header(name: str, value: str) -> HeaderValueOption:
    """As written: to Envoy, a percent sign begins a command unless it is doubled."""
    return HeaderValueOption(
        header=HeaderValue(key=name, value=value.replace("%", "%%")),
        append_action=HeaderValueOption.HeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD,
    )
