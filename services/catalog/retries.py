"""From the Retries of one source to when its requests are sent again, service by service.

Of two that speak of the same source and service, the first by name counts. A destination that does not exist takes
itself out, not those named beside it. Pure.
"""

from collections.abc import Collection

from osm.contracts.catalog import ServiceRetry
from osm.contracts.endpoints import MeshIdentity, Service
from osm.contracts.names import ObjectRef, ServiceName
from osm.contracts.problem import Problem, Severity
from osm.contracts.traffic_settings import Retry
from services.catalog.reference_lookup import Reading, reference
from services.catalog.references import missing, unmeshed


def resolve_retry(
    retry: Retry, read: Reading, taken: Collection[ServiceRetry]
) -> tuple[tuple[ServiceRetry, ...], tuple[Problem, ...]]:
    """What the Retry comes to beside those that count before it, which have `taken` their services."""
    problems: list[Problem] = []
    if read.find(MeshIdentity, retry.source.namespace, retry.source.account) is None:
        problems.append(_problem(retry, "spec.source", unmeshed(retry.source, read), "warning"))
    before = {each.service: each.origin for each in taken}
    found: list[ServiceRetry] = []
    for at, service in enumerate(retry.destinations):
        why = _why_not(service, read, before)
        if why:
            problems.append(_problem(retry, f"spec.destinations[{at}]", why))
        else:
            found.append(ServiceRetry(origin=reference(retry), service=service, terms=retry.terms))
    return tuple(found), tuple(problems)


def _why_not(service: ServiceName, read: Reading, before: dict[ServiceName, ObjectRef]) -> str:
    """Why the Retry does not count for the service; empty if it does."""
    if read.find(Service, service.namespace, service.name) is None:
        return f"{missing(Service, service.namespace, service.name, read)}; the Retry does nothing for it"
    if service in before:
        first = f"{before[service]} speaks of requests to service {service} already, and comes first by name"
        return f"{first}; this one does nothing for it"
    return ""


def _problem(retry: Retry, field: str, what: str, severity: Severity = "error") -> Problem:
    return Problem(subject=reference(retry), field=field, what=what, severity=severity)
