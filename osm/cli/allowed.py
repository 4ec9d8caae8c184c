"""Whether one identity may talk to another: permissive mode, or the TrafficTargets that say so.

Pure. As in OSM, accounts are compared, not routes: what of a service may be called is in the answer's rules.
"""

from collections.abc import Iterable

from msgspec import Struct

from osm.contracts.names import Identity
from osm.contracts.policy import HttpRule, TcpRule, TrafficTarget


class End(Struct, frozen=True, kw_only=True):
    """One end of a call: what the user calls it (`pod`), and as whom it runs."""

    name: str
    identity: Identity


class Judgement(Struct, frozen=True, kw_only=True):
    """The answer, in OSM's words; `rules`: what exactly may be called."""

    allowed: bool
    lines: tuple[str, ...]
    targets: tuple[str, ...] = ()


def judge(source: End, destination: End, targets: Iterable[TrafficTarget], *, permissive: bool) -> Judgement:
    if permissive:
        line = f"[+] Permissive mode enabled for mesh: {_may(source, destination)}"
        return Judgement(allowed=True, lines=(line,))
    found = [each for each in targets if each.destination == destination.identity and source.identity in each.sources]
    if not found:
        line = (
            f"[+] Pod '{source.name}' is not allowed to communicate to pod '{destination.name}', "
            "missing SMI TrafficTarget policy"
        )
        who = f"    it takes one from service account {source.identity} to {destination.identity}"
        return Judgement(allowed=False, lines=(line, who))
    lines = []
    for target in sorted(found, key=lambda each: (each.namespace, each.name)):
        lines.append(
            f"[+] Pod '{source.name}' is allowed to communicate to pod '{destination.name}' "
            f'via the SMI TrafficTarget policy "{target.name}" in namespace {target.namespace}'
        )
        lines += [f"    {_rule(rule)}" for rule in target.rules]
    return Judgement(
        allowed=True, lines=tuple(lines), targets=tuple(sorted(f"{each.namespace}/{each.name}" for each in found))
    )


def _may(source: End, destination: End) -> str:
    return f"Pod '{source.name}' is allowed to communicate to pod '{destination.name}'"


def _rule(rule: HttpRule | TcpRule) -> str:
    match rule:
        case HttpRule(route_group=group, matches=matches):
            return f"requests of HTTPRouteGroup {group}: {', '.join(matches) or 'all of its matches'}"
        case TcpRule(route=route):
            return f"connections of TCPRoute {route}"
