"""TrafficTarget (SMI Traffic Access v1alpha3): who may do what at whose workloads.

v1alpha2 has the same shape and a port besides, which is refused: dropping it would allow more than was written.
Admission follows OSM: the object stands in its destination's namespace, and has a rule and a source.
"""

from collections.abc import Iterator
from typing import Literal

from osm.contracts.names import DnsLabel, DnsName, Identity, Port
from osm.contracts.policy import HttpRule, TcpRule, TrafficTarget
from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.smi.shape import Object


class Account(Fields, frozen=True, kw_only=True):
    """A service account, as source or destination."""

    kind: Literal["ServiceAccount"]
    name: DnsName
    namespace: DnsLabel | None = None
    port: Port | None = None


class Rule(Fields, frozen=True, kw_only=True):
    """A reference to routes; `matches` absent means all matches of the group."""

    kind: Literal["HTTPRouteGroup", "TCPRoute"]
    name: DnsName
    matches: tuple[str, ...] | None = None


class Spec(Fields, frozen=True, kw_only=True):
    """What a TrafficTarget says."""

    destination: Account
    sources: tuple[Account, ...] = ()
    rules: tuple[Rule, ...] = ()


class Document(Object, frozen=True, kw_only=True):
    """A TrafficTarget as written."""

    spec: Spec


def traffic_target(raw: RawDocument, spec: Spec) -> tuple[TrafficTarget, tuple[Problem, ...]]:
    """The contract; to be used only if no error is among the problems."""
    target = TrafficTarget(
        namespace=raw.namespace,
        name=raw.name,
        destination=Identity(raw.namespace, spec.destination.name),
        sources=tuple(sorted({Identity(source.namespace or "", source.name) for source in spec.sources})),
        rules=tuple(_rule(rule) for rule in spec.rules),
    )
    return target, (*_accounts(raw, spec), *_rules(raw, spec))


def _rule(rule: Rule) -> HttpRule | TcpRule:
    if rule.kind == "TCPRoute":
        return TcpRule(route=rule.name)
    return HttpRule(route_group=rule.name, matches=rule.matches or ())


def _accounts(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    if spec.destination.namespace != raw.namespace:
        found = f'"{spec.destination.namespace}"' if spec.destination.namespace else "nothing"
        what = f'expected "{raw.namespace}", the TrafficTarget\'s own namespace, found {found}'
        yield raw.problem("spec.destination.namespace", what)
    if spec.destination.port is not None:
        what = "a destination has no port since v1alpha3; name the port in a TCPRoute and refer to it in rules"
        yield raw.problem("spec.destination.port", what)
    if not spec.sources:
        yield raw.problem("spec.sources", "expected at least one source, found none: nobody would be allowed anything")
    for index, source in enumerate(spec.sources):
        field = f"spec.sources[{index}]"
        if source.namespace is None:
            yield raw.problem(f"{field}.namespace", "this field is required and not there")
        if source.port is not None:
            yield raw.problem(f"{field}.port", "a source has no port")


def _rules(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    if not spec.rules:
        what = "expected at least one rule, found none: refer to an HTTPRouteGroup or a TCPRoute"
        yield raw.problem("spec.rules", what)
    for index, rule in enumerate(spec.rules):
        field = f"spec.rules[{index}].matches"
        if rule.kind == "TCPRoute" and rule.matches is not None:
            yield raw.problem(field, "a TCPRoute has no named matches: this is ignored", "warning")
        elif rule.matches == ():
            what = f"an empty list allows every match of {rule.name}, as if the field were not there"
            yield raw.problem(field, what, "warning")
