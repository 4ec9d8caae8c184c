"""The rate limits of an UpstreamTrafficSetting: all of its service, and of some paths. Those that a rate limit service
is asked about (global) are here, `locallimit` has those that a sidecar counts itself.

Apart from `trafficsetting`, because this is the larger half of it. Everything that Envoy would refuse is refused here,
where it can be said in the user's words.
"""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Annotated

from msgspec import Meta, field

from osm.contracts.names import DnsName, Port
from osm.contracts.problem import Problem
from osm.contracts.traffic_settings import (
    Descriptor,
    GlobalHttpLimit,
    GlobalTcpLimit,
    LimitService,
    RouteLimit,
)
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.naming import pattern
from osm.manifests.wording import NAME, shown
from osm.smi import locallimit
from osm.smi.descriptors import MAX, Several, TcpDescriptor, Text, descriptor, pairs
from osm.smi.descriptors import problems as descriptor_problems
from osm.smi.durations import wait_problems, whole_ms
from osm.smi.locallimit import Local, LocalHttp
from osm.smi.regex import complaint
from osm.smi.shape import repeated

MAX_ROUTES = 100
"""Each is tried in turn for each request."""


class Limiter(Fields, frozen=True, kw_only=True):
    """Where the rate limit service is."""

    host: str
    port: Port


class GlobalTcp(Fields, frozen=True, kw_only=True):
    """New connections."""

    rate_limit_service: Limiter
    domain: Text
    descriptors: Annotated[tuple[TcpDescriptor, ...], Meta(min_length=1, max_length=MAX)]
    timeout: str | None = None
    fail_open: bool = True


class GlobalHttp(Fields, frozen=True, kw_only=True):
    """Requests."""

    rate_limit_service: Limiter
    domain: Text
    descriptors: Several = ()
    timeout: str | None = None
    fail_open: bool = True
    enable_x_rate_limit_headers: bool = field(name="enableXRateLimitHeaders", default=False)
    response_status_code: int = 429


class Global(Fields, frozen=True, kw_only=True):
    """Counted by a rate limit service, for all sidecars together."""

    tcp: GlobalTcp | None = None
    http: GlobalHttp | None = None


class RateLimit(Fields, frozen=True, kw_only=True):
    """Of all of the service's traffic."""

    local: Local = Local()
    everywhere: Global = field(name="global", default=Global())


class RouteGlobal(Fields, frozen=True, kw_only=True):
    """Asked of the service's own rate limit service."""

    descriptors: Several


class RouteRateLimit(Fields, frozen=True, kw_only=True):
    """Instead of the service's own limits."""

    local: LocalHttp | None = None
    everywhere: RouteGlobal | None = field(name="global", default=None)


class HttpRoute(Fields, frozen=True, kw_only=True):
    """Of requests whose path matches."""

    path: Text
    rate_limit: RouteRateLimit = RouteRateLimit()


def asked_about_connections(said: GlobalTcp | None) -> GlobalTcpLimit | None:
    if said is None:
        return None
    return GlobalTcpLimit(service=_limiter(said), descriptors=tuple(map(pairs, said.descriptors)))


def asked_about_requests(said: GlobalHttp | None) -> GlobalHttpLimit | None:
    if said is None:
        return None
    return GlobalHttpLimit(
        service=_limiter(said),
        descriptors=_descriptors(said.descriptors),
        status=said.response_status_code if said.response_status_code in locallimit.STATUSES else 429,
        quota_headers=said.enable_x_rate_limit_headers,
    )


def limited_route(said: HttpRoute) -> RouteLimit:
    asked = said.rate_limit.everywhere
    return RouteLimit(
        path_regex=said.path,
        local=locallimit.allowed_requests(said.rate_limit.local),
        descriptors=_descriptors(asked.descriptors) if asked else (),
    )


def problems(raw: RawDocument, limits: RateLimit, routes: tuple[HttpRoute, ...]) -> Iterator[Problem]:
    """Everything that the types allow and Envoy, or sense, does not."""
    place, asked = "spec.rateLimit", limits.everywhere
    yield from locallimit.problems(raw, f"{place}.local.http", limits.local.http)
    for field_, said in ((f"{place}.global.tcp", asked.tcp), (f"{place}.global.http", asked.http)):
        if said is not None:
            yield from _limiter_problems(raw, field_, said)
    if asked.http is not None:
        yield from locallimit.status_problems(raw, f"{place}.global.http", asked.http.response_status_code)
        yield from descriptor_problems(raw, f"{place}.global.http.descriptors", asked.http.descriptors)
    yield from _route_problems(raw, routes, asked=asked.http is not None)


def _limiter(said: GlobalTcp | GlobalHttp) -> LimitService:
    service = said.rate_limit_service
    return LimitService(
        host=service.host.lower(),
        port=service.port,
        domain=said.domain,
        timeout_ms=whole_ms(said.timeout) or 20,
        fail_open=said.fail_open,
    )


def _descriptors(said: Several) -> tuple[Descriptor, ...]:
    return tuple(map(descriptor, said))


def _limiter_problems(raw: RawDocument, place: str, said: GlobalTcp | GlobalHttp) -> Iterator[Problem]:
    host = said.rate_limit_service.host
    if not pattern(DnsName).fullmatch(host.lower()) and not _is_address(host):
        what = f"expected an IP address or {NAME}, found {shown(host)}"
        yield raw.problem(f"{place}.rateLimitService.host", what)
    yield from wait_problems(raw, f"{place}.timeout", said.timeout)


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return "%" not in text


def _route_problems(raw: RawDocument, routes: tuple[HttpRoute, ...], *, asked: bool) -> Iterator[Problem]:
    if len(routes) > MAX_ROUTES:
        yield raw.problem("spec.httpRoutes", f"expected at most {MAX_ROUTES} routes, found {len(routes)}")
    yield from repeated(raw, ((f"spec.httpRoutes[{at}].path", each.path) for at, each in enumerate(routes)))
    for at, route in enumerate(routes):
        place = f"spec.httpRoutes[{at}]"
        why = complaint(route.path)
        if why:
            yield raw.problem(f"{place}.path", f"{shown(route.path)} is no regular expression for Envoy: {why}")
        limit = route.rate_limit
        yield from locallimit.problems(raw, f"{place}.rateLimit.local", limit.local)
        if limit.everywhere is not None:
            yield from descriptor_problems(raw, f"{place}.rateLimit.global.descriptors", limit.everywhere.descriptors)
            if not asked:
                what = "no rate limit service is asked: spec.rateLimit.global.http, which says which, is not there"
                yield raw.problem(f"{place}.rateLimit.global", what)
