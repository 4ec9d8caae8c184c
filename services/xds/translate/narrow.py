"""An older resource without what the newest no longer allows: the last good configuration never grants it again.

Only access control is touched, and only ever made narrower: its rules become what the older and the newest both
allow, virtual host by virtual host and chain by chain; what has no counterpart in the newest allows nothing. So are the
ways out of the mesh (`narrow_egress`), and who has to be asked about requests now is asked (`narrow_authorization`).
Envoy has accepted everything else in the resource before.

Rules are compared as pairs of a permission and a principal, since a policy allows each of its permissions to each of
its principals. Sound whichever way policies are cut: a pair stays only if it is within a pair of the other side.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import product

from envoy.config.listener.v3.listener_components_pb2 import FilterChain
from envoy.config.listener.v3.listener_pb2 import Listener
from envoy.config.rbac.v3.rbac_pb2 import RBAC, Permission, Policy, Principal
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as http_rbac
from envoy.extensions.filters.network.rbac.v3 import rbac_pb2 as network_rbac
from google.protobuf.any_pb2 import Any
from google.protobuf.message import Message

from services.xds.translate.access import HTTP_FILTER, NETWORK_FILTER, named, per_route
from services.xds.translate.messages import packed
from services.xds.translate.narrow_authorization import ask_as_now
from services.xds.translate.narrow_egress import close_chains, close_hosts
from services.xds.translate.tls import accepting

NOTHING = RBAC(action=RBAC.Action.ALLOW)
"""Rules without a policy deny everything."""

Pair = tuple[bytes, bytes]
"""A permission and a principal, as bytes."""

_ANYTHING = Permission(any=True).SerializeToString(deterministic=True)


def narrowed(older: Message, newest: Message | None) -> Message:
    """`older` with no more access than `newest` grants; `older` itself if it grants no more."""
    narrower: Message = older
    match older:
        case RouteConfiguration():
            narrower = _routes(older, newest if isinstance(newest, RouteConfiguration) else RouteConfiguration())
        case Listener():
            narrower = _listener(older, newest if isinstance(newest, Listener) else Listener())
    return narrower


def both(older: RBAC, newest: RBAC) -> RBAC:
    """What both allow; one of the two as it is, if it is within the other."""
    if not _is_plain(older) or not _is_plain(newest):
        return NOTHING
    old, new = set(_pairs(older)), set(_pairs(newest))
    if all(_within(pair, new) for pair in old):
        return older
    if all(_within(pair, old) for pair in new):
        return newest
    return _allowing({pair for pair in old if _within(pair, new)} | {pair for pair in new if _within(pair, old)})


def _routes(older: RouteConfiguration, newest: RouteConfiguration) -> RouteConfiguration:
    now = {host.name: _host_rules(host.typed_per_filter_config) for host in newest.virtual_hosts}
    out = RouteConfiguration()
    out.CopyFrom(older)
    for host in out.virtual_hosts:
        rules = _host_rules(host.typed_per_filter_config)
        if rules is not None:
            allowed = both(rules, now.get(host.name) or NOTHING)
            host.typed_per_filter_config[HTTP_FILTER].CopyFrom(packed(per_route(allowed)))
    close_hosts(out, newest)
    return out


def _host_rules(filters: Mapping[str, Any]) -> RBAC | None:
    if HTTP_FILTER not in filters:
        return None
    return http_rbac.RBACPerRoute.FromString(filters[HTTP_FILTER].value).rbac.rules


def _listener(older: Listener, newest: Listener) -> Listener:
    now = {chain.name: dict(_chain_rules(chain)) for chain in newest.filter_chains}
    out = Listener()
    out.CopyFrom(older)
    for chain in out.filter_chains:
        for place, rules in _chain_rules(chain):
            allowed = both(rules.rules, now.get(chain.name, {}).get(place, network_rbac.RBAC(rules=NOTHING)).rules)
            if allowed == rules.rules:
                continue
            rules.rules.CopyFrom(allowed)
            chain.filters[place].typed_config.CopyFrom(packed(rules))
            if chain.HasField("transport_socket"):
                chain.transport_socket.CopyFrom(accepting(chain.transport_socket, named(allowed)))
    close_chains(out, newest)
    ask_as_now(out, newest)
    return out


def _chain_rules(chain: FilterChain) -> Iterator[tuple[int, network_rbac.RBAC]]:
    for place, each in enumerate(chain.filters):
        if each.name == NETWORK_FILTER:
            yield place, network_rbac.RBAC.FromString(each.typed_config.value)


def _is_plain(rules: RBAC) -> bool:
    """As `access` writes them; of rules of another kind nothing is known, so nothing is allowed."""
    return rules.action == RBAC.Action.ALLOW and not any(
        policy.HasField("condition") or policy.HasField("checked_condition") for policy in rules.policies.values()
    )


def _pairs(rules: RBAC) -> Iterator[Pair]:
    for policy in rules.policies.values():
        for permission in policy.permissions:
            for principal in (each for one in policy.principals for each in _apart(one)):
                yield permission.SerializeToString(deterministic=True), principal.SerializeToString(deterministic=True)


def _apart(principal: Principal) -> Iterator[Principal]:
    """One of several places and one of several names: a principal for each of both, or one that is gone would take
    the others along."""
    if not principal.HasField("and_ids"):
        yield principal
        return
    choices = [each.or_ids.ids if each.HasField("or_ids") else [each] for each in principal.and_ids.ids]
    for parts in product(*choices):
        yield Principal(and_ids=Principal.Set(ids=parts))


def _within(pair: Pair, others: Iterable[Pair]) -> bool:
    permission, principal = pair
    return any(
        other[0] in (permission, _ANYTHING) and (other[1] == principal or _includes(other[1], principal))
        for other in others
    )


def _includes(wider: bytes, principal: bytes) -> bool:
    """Whether a principal given by a pattern includes one given by its name."""
    pattern = Principal.FromString(wider).authenticated.principal_name.safe_regex.regex
    name = Principal.FromString(principal).authenticated.principal_name.exact
    return bool(pattern and name) and re.fullmatch(pattern, name) is not None


def _allowing(pairs: set[Pair]) -> RBAC:
    """A policy for each principal, numbered in the order of their bytes."""
    by_principal: dict[bytes, list[bytes]] = {}
    for permission, principal in sorted(pairs):
        by_principal.setdefault(principal, []).append(permission)
    policies = {
        f"still allowed #{number}": Policy(
            permissions=map(Permission.FromString, by_principal[principal]),
            principals=[Principal.FromString(principal)],
        )
        for number, principal in enumerate(sorted(by_principal), start=1)
    }
    return RBAC(action=RBAC.Action.ALLOW, policies=policies)
