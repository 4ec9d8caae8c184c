"""The split of one root service: which TrafficSplit is in force, and what it comes to.

SMI Traffic Split v1alpha4: not hierarchical, so a backend's own split is not followed, and a backend that is the
root itself means the root's own endpoints. A split that cannot be in force leaves the root to serve itself.
"""

from collections.abc import Sequence

from osm.contracts.catalog import Split, WeightedBackend
from osm.contracts.endpoints import Service
from osm.contracts.names import ObjectRef, ServiceName
from osm.contracts.policy import HttpMatch, HttpRouteGroup, SplitBackend, TrafficSplit
from osm.contracts.problem import Problem, Severity
from services.catalog.reference_lookup import Reading, reference
from services.catalog.references import missing

NOT_IN_FORCE = "the split is not in force"


def resolve_split(split: TrafficSplit, read: Reading) -> tuple[Split | None, tuple[Problem, ...]]:
    """What the split comes to; None if it is not in force, with the reason among the problems."""
    root = read.find(Service, split.namespace, split.service)
    if root is None:
        what = f"{missing(Service, split.namespace, split.service, read)}; {NOT_IN_FORCE}"
        return None, (_problem(split, "spec.service", what),)
    weights, problems = _weights(split, root, read)
    matches, wrong = _matches(split, read)
    problems += wrong
    if weights and not any(weights.values()):
        what = f"no existing backend has a weight above 0; {NOT_IN_FORCE}, {split.service} serves itself"
        problems.append(_problem(split, "spec.backends", what))
    if not weights:
        what = f"none of the backends exists; {NOT_IN_FORCE}, {split.service} serves itself"
        problems.append(_problem(split, "spec.backends", what))
    if split.matches and not matches:
        what = f"no request can match, since none of these has a match; {NOT_IN_FORCE}, {split.service} serves itself"
        problems.append(_problem(split, "spec.matches", what))
    if not any(weights.values()) or (split.matches and not matches):
        return None, tuple(problems)
    backends = tuple(
        WeightedBackend(service=ServiceName(split.namespace, name), weight=weight)
        for name, weight in sorted(weights.items())
    )
    return Split(origin=reference(split), backends=backends, matches=matches), tuple(problems)


def overruled(splits: Sequence[TrafficSplit]) -> dict[ObjectRef, tuple[Problem, ...]]:
    """Of several splits of one root, sorted by name, the first counts; the others are told so."""
    return {
        reference(split): (
            _problem(
                split,
                "spec.service",
                f'service "{split.service}" is split by {reference(splits[0])} already, '
                f"which comes first by name; {NOT_IN_FORCE}",
            ),
        )
        for split in splits[1:]
    }


def _weights(split: TrafficSplit, root: Service, read: Reading) -> tuple[dict[str, int], list[Problem]]:
    """Weight by backend that exists; the share of one that does not goes to nobody, the others keep their ratio."""
    weights: dict[str, int] = {}
    problems = []
    for at, backend in enumerate(split.backends):
        field = f"spec.backends[{at}].service"
        service = read.find(Service, split.namespace, backend.service)
        if service is None:
            what = missing(Service, split.namespace, backend.service, read)
            problems.append(_problem(split, field, f"{what}; its share is left out, the others keep their ratio"))
            continue
        weights[backend.service] = weights.get(backend.service, 0) + backend.weight
        problems += _lacking_ports(split, field, backend, root, service)
    return weights, problems


def _lacking_ports(
    split: TrafficSplit, field: str, backend: SplitBackend, root: Service, service: Service
) -> list[Problem]:
    """SMI: a backend has the root's ports by number, or it gets none of the calls to that port."""
    has = {port.port for port in service.ports}
    return [
        _problem(
            split,
            field,
            f'service "{backend.service}" has no port {port.port}, which "{split.service}" has'
            f"; it gets no share of calls to that port",
            "warning",
        )
        for port in sorted(root.ports)
        if port.port not in has
    ]


def _matches(split: TrafficSplit, read: Reading) -> tuple[tuple[HttpMatch, ...], list[Problem]]:
    """All matches of all groups named: a request that meets any of them is split."""
    found: set[HttpMatch] = set()
    problems = []
    for at, name in enumerate(split.matches):
        group = read.find(HttpRouteGroup, split.namespace, name)
        if group is None:
            what = missing(HttpRouteGroup, split.namespace, name, read)
            problems.append(_problem(split, f"spec.matches[{at}].name", f"{what}; it matches no request"))
        else:
            found.update(group.matches)
    return tuple(sorted(found)), problems


def _problem(split: TrafficSplit, field: str, what: str, severity: Severity = "error") -> Problem:
    return Problem(subject=reference(split), field=field, what=what, severity=severity)
