"""Access control: who may do what at the own app, as Envoy's RBAC.

Each grant is a policy and any of them may let a request in, so overlapping TrafficTargets add up. No policy at all
denies everything: rules are always present, they are never left out for want of content.
"""

from collections.abc import Iterable
from ipaddress import ip_network

from envoy.config.core.v3.address_pb2 import CidrRange
from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac
from envoy.type.matcher.v3.string_pb2 import StringMatcher
from google.protobuf.wrappers_pb2 import UInt32Value

from osm.contracts.catalog import HttpGrant, Ingress, TcpGrant, TlsIngress
from osm.contracts.names import Identity, ObjectRef, Port
from services.xds.translate.messages import exactly, matching
from services.xds.translate.request_match import permission, shapes
from services.xds.translate.tls import mesh_leaf_regex

HTTP_FILTER = "envoy.filters.http.rbac"
NETWORK_FILTER = "envoy.filters.network.rbac"


def http_rules(grants: Iterable[HttpGrant], trust_domain: str) -> RBAC:
    """OR over all grants."""
    return _allowing(
        (g.origin, Policy(permissions=map(permission, shapes(g.matches)), principals=_all(g.sources, trust_domain)))
        for g in grants
    )


def tcp_rules(grants: Iterable[TcpGrant], target_port: Port, trust_domain: str) -> RBAC:
    """Grants that speak of `target_port` or of any port.

    Decided here and not by Envoy, which in explicit mode sees the port of the sidecar's listener instead.
    """
    return _allowing(
        (grant.origin, Policy(permissions=[Permission(any=True)], principals=_all(grant.sources, trust_domain)))
        for grant in tcp_grants(grants, target_port)
    )


def tcp_grants(grants: Iterable[TcpGrant], target_port: Port) -> tuple[TcpGrant, ...]:
    return tuple(grant for grant in grants if not grant.ports or target_port in grant.ports)


def anyone_rules(trust_domain: str) -> RBAC:
    """Any identity of the mesh may do anything: a permissive mesh."""
    anyone = _who(matching(mesh_leaf_regex(trust_domain)))
    return RBAC(
        action=RBAC.Action.ALLOW,
        policies={"permissive": Policy(permissions=[Permission(any=True)], principals=[anyone])},
    )


def ingress_rules(entries: Iterable[Ingress]) -> RBAC:
    """Callers at these addresses may ask for anything: the address of the connection itself, no header's."""
    return _allowing(
        (entry.origin, Policy(permissions=[Permission(any=True)], principals=[_at(each) for each in entry.ranges]))
        for entry in entries
    )


def tls_ingress_rules(entries: Iterable[TlsIngress]) -> RBAC:
    """Callers at the entry's addresses, and unless it takes any, with one of its names in their certificate."""
    return _allowing(
        (entry.origin, Policy(permissions=[Permission(any=True)], principals=callers))
        for entry in entries
        if (callers := _tls_callers(entry))
    )


def _tls_callers(entry: TlsIngress) -> list[Principal]:
    places = [_at(each) for each in entry.ranges]
    if entry.any_client or not (places and entry.principals):
        return places if entry.any_client else []
    names = [_who(exactly(name)) for name in entry.principals]
    return [Principal(and_ids=Principal.Set(ids=[_any_of(places), _any_of(names)]))]


def _any_of(principals: list[Principal]) -> Principal:
    return Principal(or_ids=Principal.Set(ids=principals))


def per_route(rules: RBAC) -> http_rbac.RBACPerRoute:
    """For a virtual host. Counters are `http.<connection manager>.rbac.allowed` and `.denied`.

    Seen: a `rules_stat_prefix` in the rules of a route changes nothing in them (Envoy 1.40).
    """
    return http_rbac.RBACPerRoute(rbac=http_rbac.RBAC(rules=rules))


def per_connection(rules: RBAC, stat_prefix: str) -> network_rbac.RBAC:
    """For a connection. Counters are `<stat_prefix>.rbac.allowed` and `.denied`."""
    return network_rbac.RBAC(rules=rules, stat_prefix=f"{stat_prefix}.")


def named(rules: RBAC) -> tuple[StringMatcher, ...]:
    """Everybody whom rules for connections speak of, and so lets in.

    For TLS to turn all others away. The filter would too late: it asks at a caller's first bytes (Envoy 1.40), when a
    server that speaks first has been connected and has said its part.
    """
    found = {
        principal.authenticated.principal_name.SerializeToString(deterministic=True)
        for policy in rules.policies.values()
        for principal in policy.principals
    }
    return tuple(StringMatcher.FromString(name) for name in sorted(found))


def _allowing(found: Iterable[tuple[ObjectRef, Policy]]) -> RBAC:
    """Policies named for the object; its second, third … part is numbered, in the order of their bytes."""
    parts: dict[str, set[bytes]] = {}
    for origin, policy in found:
        parts.setdefault(str(origin), set()).add(policy.SerializeToString(deterministic=True))
    named = {
        origin if number == 1 else f"{origin} #{number}": Policy.FromString(part)
        for origin in sorted(parts)
        for number, part in enumerate(sorted(parts[origin]), start=1)
    }
    return RBAC(action=RBAC.Action.ALLOW, policies=named)


def _all(sources: Iterable[Identity], trust_domain: str) -> list[Principal]:
    return [_who(exactly(source.spiffe(trust_domain))) for source in sorted(set(sources))]


def _at(cidr: str) -> Principal:
    network = ip_network(cidr)
    length = UInt32Value(value=network.prefixlen)
    return Principal(direct_remote_ip=CidrRange(address_prefix=str(network.network_address), prefix_len=length))


def _who(name: StringMatcher) -> Principal:
    return Principal(authenticated=Principal.Authenticated(principal_name=name))
