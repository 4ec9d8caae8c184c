"""TrafficSplit (SMI v1alpha2, v1alpha3, v1alpha4): how calls to a service are divided among others.

The service may be spelled as clients do (`shop`, `shop.ns`, `shop.ns.svc`, `shop.ns.svc.cluster.local`), as in OSM's
published examples; it is the bare name from here on. All of a split lives in its own namespace.
"""

from collections.abc import Iterator
from typing import Annotated, Literal

from msgspec import Meta

from osm.contracts.names import DnsLabel, DnsName
from osm.contracts.policy import SplitBackend, TrafficSplit
from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.convert import Fields
from osm.manifests.naming import pattern
from osm.manifests.wording import shown
from osm.smi.shape import Object, repeated

MAX_TOTAL_WEIGHT = 2**32 - 1
"""Envoy adds weights up in 32 bits."""

_LABEL = pattern(DnsLabel)
_DOMAINS = ("", "svc", "svc.cluster", "svc.cluster.local")


class Backend(Fields, frozen=True, kw_only=True):
    """A service and its share."""

    service: str
    weight: Annotated[int, Meta(ge=0, le=2**31 - 1)]


class MatchRef(Fields, frozen=True, kw_only=True):
    """An HTTPRouteGroup: only requests that match are divided."""

    kind: Literal["HTTPRouteGroup"]
    name: DnsName
    api_group: str | None = None


class Spec(Fields, frozen=True, kw_only=True):
    """What a TrafficSplit says."""

    service: str
    backends: tuple[Backend, ...] = ()
    matches: tuple[MatchRef, ...] = ()


class Document(Object, frozen=True, kw_only=True):
    """A TrafficSplit as written."""

    spec: Spec


def traffic_split(raw: RawDocument, spec: Spec) -> tuple[TrafficSplit, tuple[Problem, ...]]:
    """The contract; to be used only if no error is among the problems."""
    split = TrafficSplit(
        namespace=raw.namespace,
        name=raw.name,
        service=_bare(spec.service),
        backends=tuple(SplitBackend(service=_bare(each.service), weight=each.weight) for each in spec.backends),
        matches=tuple(match.name for match in spec.matches),
    )
    return split, (*_service_problems(raw, spec), *_weight_problems(raw, spec, split), *_match_problems(raw, spec))


def _bare(spelled: str) -> str:
    return spelled.partition(".")[0]


def _service_problems(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    spelled = [("spec.service", spec.service)]
    spelled += [(f"spec.backends[{index}].service", each.service) for index, each in enumerate(spec.backends)]
    for field, service in spelled:
        name, _, rest = service.partition(".")
        namespace, _, domain = rest.partition(".")
        is_label = _LABEL.fullmatch(name) is not None
        if namespace and namespace != raw.namespace:
            what = f'{shown(service)} is in another namespace; a split is for services of its own, "{raw.namespace}"'
            yield raw.problem(field, what)
        elif not is_label or domain not in _DOMAINS or (service != name and not namespace):
            full = f"{name if is_label else 'name'}.{raw.namespace}.svc.cluster.local"
            yield raw.problem(field, f"{shown(service)} is no service name; write the bare name or {full}")
    yield from repeated(raw, ((field, _bare(service)) for field, service in spelled[1:]))
    for field, service in spelled[1:]:
        if _bare(service) == _bare(spec.service):
            what = f"{shown(service)} is the split's own service: its share goes to what that service selects"
            yield raw.problem(field, what, "warning")


def _weight_problems(raw: RawDocument, spec: Spec, split: TrafficSplit) -> Iterator[Problem]:
    total = sum(backend.weight for backend in split.backends)
    if not spec.backends:
        yield raw.problem("spec.backends", "expected at least one backend, found none")
    elif total == 0:
        yield raw.problem("spec.backends", "expected a weight above 0, found none: no backend would get traffic")
    elif total > MAX_TOTAL_WEIGHT:
        yield raw.problem("spec.backends", f"expected weights of at most {MAX_TOTAL_WEIGHT} in all, found {total}")


def _match_problems(raw: RawDocument, spec: Spec) -> Iterator[Problem]:
    if spec.matches and raw.version == "v1alpha2":
        what = "v1alpha2 has no matches; write apiVersion: split.smi-spec.io/v1alpha4"
        yield raw.problem("spec.matches", what)
    for index, match in enumerate(spec.matches):
        if match.api_group not in (None, "", "specs.smi-spec.io"):
            what = f"expected specs.smi-spec.io, found {shown(match.api_group)}"
            yield raw.problem(f"spec.matches[{index}].apiGroup", what)
