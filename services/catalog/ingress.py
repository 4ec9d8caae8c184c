"""From an IngressBackend to who may call which container port in plain HTTP.

Its backends and sources have lost the user's order by now, so problems name them and not their places.
It opens services of its own namespace only: whoever may write there decides (OSM 1.3 lost that check). A source that
has no address right now admits nobody, and is followed as its addresses change. Pure.
"""

from collections.abc import Mapping
from ipaddress import ip_address

from osm.contracts.catalog import Ingress
from osm.contracts.endpoints import Service
from osm.contracts.names import ServiceName
from osm.contracts.policy import IngressBackend, SourceRange, SourceService
from osm.contracts.problem import Problem, Severity
from services.catalog.reference_lookup import Callers, Reading, reference
from services.catalog.references import missing

Opened = Mapping[ServiceName, tuple[Ingress, ...]]


def resolve_ingress(policy: IngressBackend, read: Reading) -> tuple[Opened, tuple[Problem, ...]]:
    """What the policy opens, by service; and why it opens less than it says."""
    ranges, problems = _ranges(policy, read)
    opened: dict[ServiceName, tuple[Ingress, ...]] = {}
    for backend in policy.backends:
        name = ServiceName(policy.namespace, backend.service)
        if read.find(Service, name.namespace, name.name) is None:
            what = f"{missing(Service, name.namespace, name.name, read)}; nobody is admitted to it"
            problems.append(_problem(policy, "spec.backends", what))
        elif ranges:
            entry = Ingress(origin=reference(policy), target_port=backend.target_port, ranges=ranges)
            opened[name] = tuple(sorted((*opened.get(name, ()), entry)))
    return opened, tuple(problems)


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
