"""How calls of a service are to fare: when they are tried again, and how many of them there may be.

Written by `meshspec` as users ask for it (OSM's Retry and UpstreamTrafficSetting), read by `catalog`, which passes the
parts that are in force on to `xds`. Apart from `policy`, because nothing here allows or forbids anybody anything: it
speaks of load. Times are whole milliseconds, as Envoy counts them.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from osm.contracts.names import DnsLabel, DnsName, Identity, Port, ServiceName

MAX_WAIT_MS = 3_600_000
"""An hour: of a time limit, or of a pause, nothing longer helps anybody who waits."""

MAX_RETRIES = 100
"""Of one request. Each is another one for a service that is in trouble already."""

Milliseconds = Annotated[int, Meta(ge=1, le=MAX_WAIT_MS)]

Count = Annotated[int, Meta(ge=0, le=2**31 - 1)]
Some = Annotated[int, Meta(ge=1, le=2**31 - 1)]
"""Envoy's numbers have 32 bits; two of these add up to one of them."""

RefusalStatus = Annotated[int, Meta(ge=400, le=599)]

Unit = Literal["second", "minute", "hour"]


class RetryTerms(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """`on` are Envoy's conditions, sorted. An absent field leaves what sidecars do by themselves."""

    on: tuple[str, ...]
    retries: Annotated[int, Meta(ge=0, le=MAX_RETRIES)] | None = None
    try_timeout_ms: Milliseconds | None = None
    """Of each try, the first included."""
    back_off_ms: Milliseconds | None = None
    """Before the second try at most; it doubles with each further one."""


class Retry(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """OSM Retry: what workloads of `source` ask any of `destinations`, and fails, is asked again.

    The source is of the object's own namespace. Destinations are without repetition, in the user's order.
    """

    namespace: DnsLabel
    name: DnsName
    source: Identity
    destinations: tuple[ServiceName, ...]
    terms: RetryTerms


class ConnectionSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What each client's sidecar allows itself towards the service, port by port; absent is without a limit."""

    max_connections: Count | None = None
    connect_timeout_ms: Milliseconds | None = None
    max_requests: Count | None = None
    """At a time."""
    max_requests_per_connection: Count | None = None
    """0 is without a limit, as in Envoy."""
    max_pending_requests: Count | None = None
    """That wait for a connection."""
    max_retries: Count | None = None
    """At a time."""


class Allowance(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """So many in a unit of time, and `burst` more that were saved up."""

    count: Some
    unit: Unit
    burst: Count = 0


class LocalHttpLimit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What each of the service's sidecars lets through, and how it answers the rest."""

    allowance: Allowance
    status: RefusalStatus = 429
    headers: tuple[tuple[str, str], ...] = ()


class GenericKey(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="generic-key"):
    """Always there."""

    value: str
    key: str = "generic_key"


class RemoteAddress(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="remote-address"):
    """The caller's address, key `remote_address`."""


class RequestHeader(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="request-header"):
    """What the request's header says; without that header there is no descriptor."""

    name: str
    key: str


class HeaderCondition(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A header that is there and whose value is as said, or that is only there, or absent."""

    name: str
    how: Literal["exact", "prefix", "suffix", "regex", "contains", "present", "absent"]
    value: str = ""


class HeaderValueMatch(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="header-value-match"):
    """There if all of `headers` hold; with `expected` false, if they do not."""

    value: str
    key: str = "header_match"
    headers: tuple[HeaderCondition, ...]
    expected: bool = True


Descriptor = tuple[GenericKey | RemoteAddress | RequestHeader | HeaderValueMatch, ...]
"""What the rate limit service is asked about one request. If one of its entries is not there, nor is the whole."""


class LimitService(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A server of Envoy's rate limit protocol (gRPC), and what it is asked. `host` is a name or an IP address."""

    host: str
    port: Port
    domain: str
    timeout_ms: Milliseconds = 20
    fail_open: bool = True
    """Without an answer everything is let through."""


class GlobalTcpLimit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Asked about each connection; each descriptor is its entries' keys and values."""

    service: LimitService
    descriptors: tuple[tuple[tuple[str, str], ...], ...]


class GlobalHttpLimit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Asked about each request that no route of its own speaks of."""

    service: LimitService
    descriptors: tuple[Descriptor, ...] = ()
    status: RefusalStatus = 429
    quota_headers: bool = False
    """Answers say what is left (x-ratelimit-limit, -remaining, -reset)."""


class RouteLimit(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """For requests whose whole path matches `path_regex` (RE2), instead of the limits for all of the service."""

    path_regex: str
    local: LocalHttpLimit | None = None
    descriptors: tuple[Descriptor, ...] = ()


class TrafficSettings(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """All that an UpstreamTrafficSetting says of its service. The first route that matches counts."""

    connections: ConnectionSettings | None = None
    local_tcp: Allowance | None = None
    local_http: LocalHttpLimit | None = None
    global_tcp: GlobalTcpLimit | None = None
    global_http: GlobalHttpLimit | None = None
    routes: tuple[RouteLimit, ...] = ()


class UpstreamTrafficSetting(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """OSM UpstreamTrafficSetting: limits of the traffic towards `service`, which is of the object's own namespace.

    No service: it speaks of a host outside the mesh, of which nothing is enforced.
    """

    namespace: DnsLabel
    name: DnsName
    service: DnsLabel | None = None
    settings: TrafficSettings = TrafficSettings()
