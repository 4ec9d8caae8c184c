"""Egress (OSM v1alpha1): who may reach what outside of the mesh, by host, server name or address.

Hosts are what `http` and `https` ports are allowed by, ranges what `tcp` ports are. What is written and changes
nothing is warned about, above all where a reader would take it for a limit that is not there.
"""

import re
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv4Network, IPv6Network, ip_network
from typing import Literal, get_args

from osm.contracts.egress import Egress, EgressPort, EgressProtocol
from osm.contracts.names import DnsLabel, DnsName, Identity, Port
from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.wording import shown
from osm.smi.shape import Object, ordered, repeated

PROTOCOLS: tuple[str, ...] = get_args(EgressProtocol)
BY_HOST = frozenset({"http", "https"})

SIDECARS_OWN_PORT = 15001
"""Where connections are redirected to: one that is sent on to it would come back for ever."""

_LABEL = r"[a-z0-9_]([-a-z0-9_]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(\*\.)?(?=.{{1,253}}$){_LABEL}(\.{_LABEL})*")

_GROUPS = {
    "HTTPRouteGroup": "specs.smi-spec.io/v1alpha4",
    "UpstreamTrafficSetting": "policy.openservicemesh.io/v1alpha1",
}
"""What a match may refer to, and which API group says so."""


class Account(Fields, frozen=True, kw_only=True):
    """A service account."""

    kind: Literal["ServiceAccount"]
    name: DnsName
    namespace: DnsLabel


class PortSpec(Fields, frozen=True, kw_only=True):
    """A port outside, and what is spoken there."""

    number: Port
    protocol: str


class MatchRef(Fields, frozen=True, kw_only=True):
    """A reference to an object of the policy's namespace."""

    kind: str
    name: DnsName
    api_group: str | None = None


class Spec(Fields, frozen=True, kw_only=True):
    """What an Egress says."""

    sources: tuple[Account, ...] = ()
    hosts: tuple[str, ...] = ()
    ip_addresses: tuple[str, ...] = ()
    ports: tuple[PortSpec, ...] = ()
    matches: tuple[MatchRef, ...] = ()


class Document(Object, frozen=True, kw_only=True):
    """An Egress as written."""

    spec: Spec


def egress(raw: RawDocument, spec: Spec) -> tuple[Egress, tuple[Problem, ...]]:
    """The contract; to be used only if no error is among the problems."""
    ports = {
        EgressPort(number=port.number, protocol=protocol)
        for port in spec.ports
        if (protocol := _protocol(port.protocol)) is not None
    }
    ranges = {str(found) for found in map(_range, spec.ip_addresses) if found is not None}
    settings = [match.name for match in spec.matches if match.kind == "UpstreamTrafficSetting"]
    found = Egress(
        namespace=raw.namespace,
        name=raw.name,
        sources=tuple(sorted({Identity(source.namespace, source.name) for source in spec.sources})),
        ports=tuple(sorted(ports)),
        hosts=tuple(sorted({host.lower() for host in spec.hosts})),
        ranges=tuple(sorted(ranges)),
        route_groups=ordered(match.name for match in spec.matches if match.kind == "HTTPRouteGroup"),
        settings=settings[0] if settings else None,
    )
    problems = (_lists(raw, spec), _ports(raw, spec), _hosts(raw, spec), _ranges(raw, spec), _matches(raw, spec))
    return found, tuple(problem for some in problems for problem in some)


def _lists(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    if not spec.sources:
        yield raw.problem("spec.sources", "expected at least one source, found none: nobody would be let out")
    if not spec.ports:
        yield raw.problem("spec.ports", "expected at least one port, found none: nothing would be reached")


def _ports(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    for index, port in enumerate(spec.ports):
        field, protocol = f"spec.ports[{index}]", port.protocol.lower()
        if protocol not in PROTOCOLS:
            what = f"expected one of {', '.join(PROTOCOLS)}, found {shown(port.protocol)}"
            yield raw.problem(f"{field}.protocol", what)
        elif protocol in BY_HOST and not spec.hosts:
            what = f"port {port.number} is {protocol}, which is allowed by host, and spec.hosts is empty"
            yield raw.problem(f"{field}.protocol", f"{what}; for any host at an address use protocol tcp")
        if port.number == SIDECARS_OWN_PORT:
            yield raw.problem(f"{field}.number", f"{SIDECARS_OWN_PORT} is the sidecar's own port and leads nowhere")
    named = ((f"spec.ports[{at}]", f"{port.number}/{port.protocol.lower()}") for at, port in enumerate(spec.ports))
    yield from repeated(raw, named)


def _hosts(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    spoken = _spoken(spec)
    for index, host in enumerate(spec.hosts):
        field = f"spec.hosts[{index}]"
        if not _HOST.fullmatch(host.lower()):
            what = f"expected a host name such as api.example.com, or *.example.com, found {shown(host)}"
            yield raw.problem(field, what)
        elif "https" in spoken and _is_address(host):
            what = f"TLS asks for no server name where {host} is called by its address: use protocol tcp for it"
            yield raw.problem(field, what, "warning")
    if spec.hosts and spoken and not spoken & BY_HOST:
        reached = "an address in spec.ipAddresses" if spec.ip_addresses else "any address"
        what = f"hosts have no effect over tcp: {reached} is reached, whatever it is called"
        yield raw.problem("spec.hosts", what, "warning")
    yield from repeated(raw, ((f"spec.hosts[{at}]", host.lower()) for at, host in enumerate(spec.hosts)))


def _ranges(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    for index, given in enumerate(spec.ip_addresses):
        field, found = f"spec.ipAddresses[{index}]", _range(given)
        if found is None:
            yield raw.problem(field, f"expected an address range such as 10.0.0.0/8, found {shown(given)}")
        elif isinstance(found, IPv6Network):
            yield raw.problem(field, f"{given} changes nothing: only IPv4 is redirected to the sidecar", "warning")
    if spec.ip_addresses and "http" in _spoken(spec):
        what = "ranges have no effect over http: a request goes to the address that its host has in the DNS"
        yield raw.problem("spec.ipAddresses", what, "warning")


def _matches(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    for index, match in enumerate(spec.matches):
        field, group = f"spec.matches[{index}]", _GROUPS.get(match.kind)
        if group is None:
            yield raw.problem(f"{field}.kind", f"expected one of {', '.join(_GROUPS)}, found {shown(match.kind)}")
        elif match.api_group not in (None, group):
            what = f"{match.kind} is of {group}, found {shown(match.api_group)}"
            yield raw.problem(f"{field}.apiGroup", what)
        elif match.kind == "UpstreamTrafficSetting":
            what = "an UpstreamTrafficSetting has no effect on egress yet"
            yield raw.problem(field, what, "warning")
        elif "http" not in _spoken(spec):
            what = f"HTTPRouteGroup {match.name} has no effect: none of spec.ports is http"
            yield raw.problem(field, what, "warning")
    settings = [at for at, match in enumerate(spec.matches) if match.kind == "UpstreamTrafficSetting"]
    for index in settings[1:]:
        yield raw.problem(f"spec.matches[{index}]", "expected at most one UpstreamTrafficSetting")


def _spoken(spec: Spec) -> frozenset[str]:
    return frozenset(port.protocol.lower() for port in spec.ports)


def _protocol(text: str) -> EgressProtocol | None:
    match text.lower():
        case "http" | "https" | "tcp" | "tcp-server-first" as protocol:
            return protocol
    return None


def _range(text: str) -> IPv4Network | IPv6Network | None:
    """Without a zone (RFC 4007): an interface of one machine means nothing to another."""
    try:
        return ip_network(text, strict=False) if "/" in text and "%" not in text else None
    except ValueError:
        return None


def _is_address(host: str) -> bool:
    try:
        IPv4Address(host)
    except ValueError:
        return False
    return True
