"""How calls of a service are to fare: when they are tried again, and how many of them there may be.

Written by `meshspec` as users ask for it (OSM's Retry and UpstreamTrafficSetting), read by `catalog`, which passes the
parts that are in force on to `xds`. Apart from `policy`, because nothing here allows or forbids anybody anything: it
speaks of load. Times are whole milliseconds, as Envoy counts them.
"""

from typing import Annotated

from msgspec import Meta, Struct

from osm.contracts.names import DnsLabel, DnsName, Identity, ServiceName

MAX_WAIT_MS = 3_600_000
"""An hour: of a time limit, or of a pause, nothing longer helps anybody who waits."""

MAX_RETRIES = 100
"""Of one request. Each is another one for a service that is in trouble already."""

Milliseconds = Annotated[int, Meta(ge=1, le=MAX_WAIT_MS)]


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
