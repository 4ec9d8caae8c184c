"""From a TrafficTarget to what it grants, and from grants to the policy of one identity.

HTTP rules grant requests and TCP rules grant connections, never the other way round. All targets of a destination
count, each for itself (SMI Traffic Access v1alpha3: additive, deny by default).

A dangling reference grants nothing, at once, and is an error that names what exists. No last good form is held:
a route group says what may come in, so deleting one revokes, and a revocation is never held back. It also keeps
access a function of what the cluster holds now: a restart, a rebuild and `osm policy check` give the same answer,
and no access lives on that nobody can find an object for. Against mistakes there are three other guards, all
before this point: an object edited into nonsense keeps its last good form in `meshspec`; a bucket that is lost or
emptied is not a deletion; and a group deleted and made again within one update has never been away.
"""

from collections.abc import Iterable

from msgspec import Struct

from osm.contracts.catalog import HttpGrant, Policy, ServiceRetry, TcpGrant, Upstream
from osm.contracts.egress import EgressGrant
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Identity, Port
from osm.contracts.policy import HttpMatch, HttpRouteGroup, HttpRule, TcpRoute, TcpRule, TrafficTarget
from osm.contracts.problem import Problem, Severity
from services.catalog.reference_lookup import Reading, reference
from services.catalog.references import known_names, missing, missing_match, unmeshed


class Granted(Struct, frozen=True, kw_only=True):
    """What one target gives to its destination's policy; without `http` and `tcp` it grants nothing."""

    destination: Identity
    http: HttpGrant | None = None
    tcp: TcpGrant | None = None

    @property
    def sources(self) -> tuple[Identity, ...]:
        """Who can reach the destination by it; nobody if it grants nothing."""
        grant = self.http or self.tcp
        return grant.sources if grant else ()


def resolve_target(target: TrafficTarget, read: Reading) -> tuple[Granted, tuple[Problem, ...]]:
    origin = reference(target)
    sources = tuple(sorted(set(target.sources)))
    problems = _unknown_identities(target, read)
    matches: set[HttpMatch] = set()
    ports: list[tuple[Port, ...]] = []
    for at, rule in enumerate(target.rules):
        match rule:
            case HttpRule():
                found, wrong = _matches(target, at, rule, read)
                matches.update(found)
            case TcpRule():
                routes, wrong = _ports(target, at, rule, read)
                ports += routes
        problems += wrong
    http = HttpGrant(origin=origin, sources=sources, matches=tuple(sorted(matches))) if matches else None
    tcp = TcpGrant(origin=origin, sources=sources, ports=_union(ports)) if ports else None
    if not sources:
        return Granted(destination=target.destination), tuple(problems)
    return Granted(destination=target.destination, http=http, tcp=tcp), tuple(problems)


def policy(
    identity: Identity,
    grants: Iterable[Granted],
    upstreams: tuple[Upstream, ...],
    retries: tuple[ServiceRetry, ...] = (),
    egress: tuple[EgressGrant, ...] = (),
) -> Policy:
    """The policy of an identity that receives `grants`. None of them: deny."""
    granted = tuple(grants)
    return Policy(
        identity=identity,
        http=tuple(sorted((one.http for one in granted if one.http), key=lambda grant: grant.origin)),
        tcp=tuple(sorted((one.tcp for one in granted if one.tcp), key=lambda grant: grant.origin)),
        upstreams=upstreams,
        retries=retries,
        egress=egress,
    )


def _matches(
    target: TrafficTarget, at: int, rule: HttpRule, read: Reading
) -> tuple[tuple[HttpMatch, ...], list[Problem]]:
    """What an HTTP rule allows. A match that does not exist takes itself out, not those named beside it."""
    group = read.find(HttpRouteGroup, target.namespace, rule.route_group)
    if group is None:
        what = missing(HttpRouteGroup, target.namespace, rule.route_group, read)
        return (), [_problem(target, f"spec.rules[{at}].name", f"{what}; the rule grants nothing")]
    if not rule.matches:
        return group.matches, []
    names = {match.name for match in group.matches}
    there = known_names(names)
    problems = [
        _problem(
            target,
            f"spec.rules[{at}].matches[{number}]",
            f"{missing_match(group.name, name, there)}; it grants nothing",
        )
        for number, name in enumerate(rule.matches)
        if name not in names
    ]
    wanted = set(rule.matches)
    return tuple(match for match in group.matches if match.name in wanted), problems


def _ports(
    target: TrafficTarget, at: int, rule: TcpRule, read: Reading
) -> tuple[list[tuple[Port, ...]], list[Problem]]:
    route = read.find(TcpRoute, target.namespace, rule.route)
    if route is None:
        what = missing(TcpRoute, target.namespace, rule.route, read)
        return [], [_problem(target, f"spec.rules[{at}].name", f"{what}; the rule grants nothing")]
    return [route.ports], []


def _union(ports: list[tuple[Port, ...]]) -> tuple[Port, ...]:
    """Ports of all routes together; a route without ports means any, and any with some is any."""
    return tuple(sorted({port for some in ports for port in some})) if all(ports) else ()


def _unknown_identities(target: TrafficTarget, read: Reading) -> list[Problem]:
    """Warnings: an account may well come after the policy that names it. (Sources have lost their order by now.)"""
    named = [("spec.destination", target.destination)]
    named += [("spec.sources", source) for source in sorted(set(target.sources))]
    return [
        _problem(target, field, unmeshed(who, read), "warning")
        for field, who in named
        if read.find(MeshIdentity, who.namespace, who.account) is None
    ]


def _problem(target: TrafficTarget, field: str, what: str, severity: Severity = "error") -> Problem:
    return Problem(subject=reference(target), field=field, what=what, severity=severity)
