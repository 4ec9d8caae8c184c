"""From an Egress to what its sources may reach outside of the mesh, and what several of them come to together.

Policies add up: what any of them allows is allowed, so addresses that overlap are no conflict here. Two things follow
from it that their authors may not see: a port that is open to any address by one policy asks no other for hosts, and a
port at which TLS is told by its first bytes is slow for servers that speak first. Both are said, and neither takes
anything away. A route group that does not exist grants nothing, as in a TrafficTarget. Pure.
"""

from collections.abc import Iterable, Iterator

from osm.contracts.egress import Egress, EgressGrant, EgressPort, HttpEgress, TcpEgress, TlsEgress
from osm.contracts.endpoints import MeshIdentity
from osm.contracts.names import Port
from osm.contracts.policy import HttpMatch, HttpRouteGroup
from osm.contracts.problem import Problem, Severity
from services.catalog.reference_lookup import Reading, reference
from services.catalog.references import missing, unmeshed

ANY_REQUEST = HttpMatch(name="any")
"""What a policy without route groups lets through."""


def resolve_egress(policy: Egress, read: Reading) -> tuple[tuple[EgressGrant, ...], tuple[Problem, ...]]:
    """What each of the policy's sources is granted, by port; and why that is less than it says."""
    matches, problems = _matches(policy, read)
    problems += [
        _problem(policy, "spec.sources", unmeshed(who, read), "warning")
        for who in policy.sources
        if read.find(MeshIdentity, who.namespace, who.account) is None
    ]
    grants = (_grant(policy, port, matches) for port in _by_meaning(policy))
    return tuple(grant for grant in grants if grant is not None), tuple(problems)


def crossing(policy: Egress, together: Iterable[Egress]) -> tuple[Problem, ...]:
    """What `together`, the policies that share a source with it, itself among them, change in what `policy` means."""
    by_name = sorted(together, key=reference)
    return tuple(problem for port in policy.ports for problem in _crossing(policy, port, by_name))


def _crossing(policy: Egress, port: EgressPort, together: Iterable[Egress]) -> Iterator[Problem]:
    for other in together:
        spoken = {each.protocol for each in other.ports if each.number == port.number}
        if port.protocol in ("http", "https") and spoken & {"tcp", "tcp-server-first"} and not other.ranges:
            what = f"opens port {port.number} to any address, so hosts are not asked for there"
        elif port.protocol == "tcp-server-first" and "https" in spoken:
            what = f"has TLS looked for at port {port.number}: what a server there says first is heard after 15 s"
        else:
            continue
        yield _problem(policy, "spec.ports", f"{reference(other)} {what}", "warning")
        return


def _by_meaning(policy: Egress) -> list[EgressPort]:
    """`tcp-server-first` grants what `tcp` does, once."""
    found: dict[tuple[Port, str], EgressPort] = {}
    for port in policy.ports:
        found.setdefault((port.number, port.protocol.removesuffix("-server-first")), port)
    return list(found.values())


def _grant(policy: Egress, port: EgressPort, matches: tuple[HttpMatch, ...]) -> EgressGrant | None:
    origin = reference(policy)
    match port.protocol:
        case "http" if policy.hosts and matches:
            return HttpEgress(origin=origin, port=port.number, hosts=policy.hosts, matches=matches)
        case "https" if policy.hosts:
            return TlsEgress(origin=origin, port=port.number, hosts=policy.hosts, ranges=policy.ranges)
        case "tcp" | "tcp-server-first":
            return TcpEgress(origin=origin, port=port.number, ranges=policy.ranges)
    return None


def _matches(policy: Egress, read: Reading) -> tuple[tuple[HttpMatch, ...], list[Problem]]:
    """Of all groups named: a request that meets any of them may pass."""
    if not policy.route_groups:
        return (ANY_REQUEST,), []
    found: set[HttpMatch] = set()
    problems: list[Problem] = []
    for name in policy.route_groups:
        group = read.find(HttpRouteGroup, policy.namespace, name)
        if group is None:
            what = f"{missing(HttpRouteGroup, policy.namespace, name, read)}; it lets no request through"
            problems.append(_problem(policy, "spec.matches", what))
        else:
            found.update(group.matches)
    return tuple(sorted(found)), problems


def _problem(policy: Egress, field: str, what: str, severity: Severity = "error") -> Problem:
    return Problem(subject=reference(policy), field=field, what=what, severity=severity)
