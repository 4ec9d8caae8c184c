"""From an IngressBackend to who may call which container port, in plain HTTP or over TLS.

Its backends and sources have lost the user's order by now, so problems name them and not their places.
It opens services of its own namespace only: whoever may write there decides (OSM 1.3 lost that check). A source that
has no address right now admits nobody, and is followed as its addresses change.

Policies of one port add up. Over TLS they cannot where one asks callers for a certificate and another does not: then
the one that asks stands, and the other admits nobody there. Pure.
"""

from collections.abc import Mapping
from ipaddress import ip_address

from osm.contracts.catalog import Ingress, TlsIngress
from osm.contracts.endpoints import Service
from osm.contracts.names import ServiceName
from osm.contracts.policy import IngressBackend, IngressPort, IngressTls, SourceRange, SourceService
from osm.contracts.problem import Problem, Severity
from services.catalog.reference_lookup import Callers, Reading, reference
from services.catalog.references import missing

Opened = Mapping[ServiceName, tuple[Ingress | TlsIngress, ...]]

ANYWHERE = ("0.0.0.0/0", "::/0")
"""Said and not left out: no range is nobody."""


def resolve_ingress(policy: IngressBackend, read: Reading) -> tuple[Opened, tuple[Problem, ...]]:
    """What the policy opens, by service; and why it opens less than it says."""
    ranges, problems = _ranges(policy, read)
    opened: dict[ServiceName, tuple[Ingress | TlsIngress, ...]] = {}
    backends: tuple[IngressPort | IngressTls, ...] = (*policy.backends, *policy.tls_backends)
    for backend in backends:
        name = ServiceName(policy.namespace, backend.service)
        if read.find(Service, name.namespace, name.name) is None:
            what = f"{missing(Service, name.namespace, name.name, read)}; nobody is admitted to it"
            problems.append(_problem(policy, "spec.backends", what))
        elif isinstance(backend, IngressTls) and (stricter := _stricter(policy, backend, read)) is not None:
            what = (
                f"{backend.service}:{backend.target_port} asks for client certificates in {reference(stricter)}, which "
                "serves the same sniHosts; nobody is admitted to it without one"
            )
            problems.append(_problem(policy, "spec.backends", what))
        elif (entry := _entry(policy, backend, ranges)) is not None:
            opened[name] = (*opened.get(name, ()), entry)
    return opened, tuple(problems)


def _entry(
    policy: IngressBackend, backend: IngressPort | IngressTls, ranges: tuple[str, ...]
) -> Ingress | TlsIngress | None:
    """None if it is open to nobody."""
    if isinstance(backend, IngressPort):
        return Ingress(origin=reference(policy), target_port=backend.target_port, ranges=ranges) if ranges else None
    where = ranges if policy.sources else ANYWHERE
    if not where or not (backend.any_client or policy.principals):
        return None
    return TlsIngress(
        origin=reference(policy),
        target_port=backend.target_port,
        ranges=where,
        hosts=backend.hosts,
        any_client=backend.any_client,
        principals=() if backend.any_client else policy.principals,
    )


def _stricter(policy: IngressBackend, backend: IngressTls, read: Reading) -> IngressBackend | None:
    """Another policy that asks for certificates where this one does not."""
    if not backend.any_client:
        return None
    others = (
        read.find(IngressBackend, policy.namespace, name)
        for name in sorted(read.names(IngressBackend, policy.namespace))
        if name != policy.name
    )
    return next(
        (other for other in others if other and any(_asks_instead(each, backend) for each in other.tls_backends)), None
    )


def _asks_instead(other: IngressTls, backend: IngressTls) -> bool:
    """Whether it is the same port under a name of both. One of several names is chosen by the longest match, so a name
    and a pattern around it are two."""
    same = (other.service, other.target_port) == (backend.service, backend.target_port)
    shared = not {*other.hosts}.isdisjoint(backend.hosts) or not (other.hosts or backend.hosts)
    return same and shared and not other.any_client


def _ranges(policy: IngressBackend, read: Reading) -> tuple[tuple[str, ...], list[Problem]]:
    ranges: set[str] = set()
    problems: list[Problem] = []
    for source in policy.sources:
        match source:
            case SourceRange(cidr=cidr):
                ranges.add(cidr)
            case SourceService(service=service):
                found = read.find(Callers, service.namespace, service.name)
                ranges.update(_host(address) for address in (found.addresses if found else ()))
                if found is None or not found.addresses:
                    what = f"endpoints not found for service {service}; it admits nobody"
                    problems.append(_problem(policy, "spec.sources", what, "warning"))
    return tuple(sorted(ranges)), problems


def _host(address: str) -> str:
    return f"{address}/{ip_address(address).max_prefixlen}"


def _problem(policy: IngressBackend, field: str, what: str, severity: Severity = "error") -> Problem:
    return Problem(subject=reference(policy), field=field, what=what, severity=severity)
