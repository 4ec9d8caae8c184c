"""Ways out of the mesh while egress is off: as users ask for them, and as they are granted to one identity.

Apart from `policy` and `catalog`, since both ends of the way are one idea: what an Egress says is what its sources
get, with requests in the place of route groups' names. What the mesh itself serves is never meant here.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from osm.contracts.names import DnsLabel, DnsName, Identity, ObjectRef, Port
from osm.contracts.policy import HttpMatch

EgressHost = Annotated[str, Meta(min_length=1, max_length=255)]
"""A host name in lower case, or `*.` and a domain: any name below it, at any depth, but not itself."""

EgressProtocol = Literal["http", "https", "tcp", "tcp-server-first"]
"""`https`: TLS that is passed through by the server name it asks for, whatever is spoken inside."""


class EgressPort(Struct, frozen=True, kw_only=True, order=True, omit_defaults=True):
    """A port of destinations outside, and what is spoken there."""

    number: Port
    protocol: EgressProtocol


class Egress(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """OSM Egress: `sources` may reach these destinations outside of the mesh.

    Over `http` and `https` that is any of `hosts`, over `tcp` any address in `ranges` (CIDR); no ranges: any address.
    `https` with ranges: a host of `hosts` at an address in them. `route_groups` (of the policy's namespace) say which
    requests over `http`; none: any. `settings` names an UpstreamTrafficSetting.
    """

    namespace: DnsLabel
    name: DnsName
    sources: tuple[Identity, ...]
    ports: tuple[EgressPort, ...]
    hosts: tuple[EgressHost, ...] = ()
    ranges: tuple[str, ...] = ()
    route_groups: tuple[DnsName, ...] = ()
    settings: DnsName | None = None


class HttpEgress(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="http"):
    """Requests that match any of `matches`, to a host of `hosts`. Never empty of either."""

    origin: ObjectRef
    port: Port
    hosts: tuple[EgressHost, ...]
    matches: tuple[HttpMatch, ...]


class TlsEgress(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="https"):
    """TLS that asks for a server name of `hosts` (never empty); where there are `ranges`, at an address in them."""

    origin: ObjectRef
    port: Port
    hosts: tuple[EgressHost, ...]
    ranges: tuple[str, ...] = ()


class TcpEgress(Struct, frozen=True, kw_only=True, omit_defaults=True, tag="tcp"):
    """Connections to addresses in `ranges`; none: to any address."""

    origin: ObjectRef
    port: Port
    ranges: tuple[str, ...] = ()


EgressGrant = HttpEgress | TlsEgress | TcpEgress
