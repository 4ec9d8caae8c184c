"""What of a document's last good form is still allowed, for when the newest form cannot be published.

A revocation is never held back, not even by a document that has grown too large for the bus. So what is left here is
in both forms, and the outcome is never larger than the last good one. It refuses to add anything. Pure.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from msgspec import structs

from osm.contracts.catalog import HttpGrant, Ingress, MeshService, Policy, TcpGrant, TlsIngress, Upstream
from osm.contracts.egress import EgressGrant, HttpEgress, TcpEgress, TlsEgress
from osm.contracts.names import ObjectRef, Port

T = TypeVar("T")
G = TypeVar("G", HttpGrant, TcpGrant)


def narrowed_policy(last: Policy, now: Policy) -> Policy:
    """Grant by grant of the same object: a source, a match, a port that either form does not have is out."""
    http = (_http(grant, allowed) for grant, allowed in _pairs(last.http, now.http))
    tcp = (_tcp(grant, allowed) for grant, allowed in _pairs(last.tcp, now.tcp))
    return Policy(
        identity=now.identity,
        http=tuple(grant for grant in http if grant.sources and grant.matches),
        tcp=tuple(grant for grant in tcp if grant is not None and grant.sources),
        upstreams=_upstreams(last.upstreams, now.upstreams),
        retries=last.retries,
        egress=tuple(_egress(last.egress, now.egress)),
    )


def narrowed_service(last: MeshService, now: MeshService) -> MeshService:
    """Its openings and endpoints; the rest of it allows nothing by itself."""
    return structs.replace(
        last,
        ingress=_ingress(last.ingress, now.ingress),
        endpoints=_both(last.endpoints, now.endpoints),
        tls_ingress=_tls_ingress(last.tls_ingress, now.tls_ingress),
    )


def _both(last: tuple[T, ...], now: Iterable[T]) -> tuple[T, ...]:
    allowed = set(now)
    return tuple(each for each in last if each in allowed)


def _pairs(last: tuple[G, ...], now: tuple[G, ...]) -> Iterable[tuple[G, G]]:
    by_origin: Mapping[ObjectRef, G] = {grant.origin: grant for grant in now}
    return ((grant, by_origin[grant.origin]) for grant in last if grant.origin in by_origin)


def _http(last: HttpGrant, now: HttpGrant) -> HttpGrant:
    return structs.replace(last, sources=_both(last.sources, now.sources), matches=_both(last.matches, now.matches))


def _tcp(last: TcpGrant, now: TcpGrant) -> TcpGrant | None:
    """No ports means any port, so a grant that is left without one is none."""
    ports: tuple[Port, ...] = _both(last.ports, now.ports) if last.ports and now.ports else last.ports or now.ports
    if (last.ports or now.ports) and not ports:
        return None
    return structs.replace(last, sources=_both(last.sources, now.sources), ports=ports)


def _upstreams(last: tuple[Upstream, ...], now: tuple[Upstream, ...]) -> tuple[Upstream, ...]:
    reachable = {upstream.service: upstream.accounts for upstream in now}
    return tuple(
        structs.replace(upstream, accounts=_both(upstream.accounts, reachable[upstream.service]))
        for upstream in last
        if upstream.service in reachable
    )


def _egress(last: Iterable[EgressGrant], now: Iterable[EgressGrant]) -> Iterator[EgressGrant]:
    """No ranges means any address, so a grant that is left without one is none."""
    by_place = {(type(grant), grant.origin, grant.port): grant for grant in now}
    for grant in last:
        match grant, by_place.get((type(grant), grant.origin, grant.port)):
            case HttpEgress(), HttpEgress() as allowed:
                hosts, matches = _both(grant.hosts, allowed.hosts), _both(grant.matches, allowed.matches)
                if hosts and matches:
                    yield structs.replace(grant, hosts=hosts, matches=matches)
            case TlsEgress(), TlsEgress() as allowed:
                hosts, ranges = _both(grant.hosts, allowed.hosts), _ranges(grant.ranges, allowed.ranges)
                if hosts and ranges is not None:
                    yield structs.replace(grant, hosts=hosts, ranges=ranges)
            case TcpEgress(), TcpEgress() as allowed:
                ranges = _ranges(grant.ranges, allowed.ranges)
                if ranges is not None:
                    yield structs.replace(grant, ranges=ranges)


def _ranges(last: tuple[str, ...], now: tuple[str, ...]) -> tuple[str, ...] | None:
    if not last or not now:
        return last or now
    return _both(last, now) or None


def _ingress(last: tuple[Ingress, ...], now: tuple[Ingress, ...]) -> tuple[Ingress, ...]:
    opened = {(each.origin, each.target_port): each.ranges for each in now}
    kept = (
        structs.replace(each, ranges=_both(each.ranges, opened.get((each.origin, each.target_port), ())))
        for each in last
    )
    return tuple(each for each in kept if each.ranges)


def _tls_ingress(last: tuple[TlsIngress, ...], now: tuple[TlsIngress, ...]) -> tuple[TlsIngress, ...]:
    """One whose names or demands have changed is another."""
    opened = {_tls_terms(each): each for each in now}
    pairs = ((each, opened[_tls_terms(each)]) for each in last if _tls_terms(each) in opened)
    kept = (
        structs.replace(
            each,
            ranges=_both(each.ranges, allowed.ranges),
            principals=_both(each.principals, allowed.principals),
        )
        for each, allowed in pairs
    )
    return tuple(each for each in kept if each.ranges and (each.any_client or each.principals))


def _tls_terms(entry: TlsIngress) -> tuple[ObjectRef, Port, tuple[str, ...], bool]:
    return entry.origin, entry.target_port, entry.hosts, entry.any_client
