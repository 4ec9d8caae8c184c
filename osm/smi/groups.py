"""Which API groups, kinds and versions policies come in, and what to say of one that is not among them.

Apart from the parsing, because this table is what a cluster's CRDs declare, and what a reader asks
before it looks into a document at all.
"""

from collections.abc import Mapping

from msgspec import Struct

from osm.contracts.problem import Problem
from osm.manifests import RawDocument
from osm.manifests.wording import nearest


class Kind(Struct, frozen=True):
    """A kind, the versions of it that are read, and whether the mesh does what it says."""

    versions: tuple[str, ...]
    enforced: bool = True


_POLICY = Kind(("v1alpha1",), enforced=False)
_CONFIG = Kind(("v1alpha1", "v1alpha2"), enforced=False)

GROUPS: Mapping[str, Mapping[str, Kind]] = {
    "access.smi-spec.io": {"TrafficTarget": Kind(("v1alpha2", "v1alpha3"))},
    "specs.smi-spec.io": {"HTTPRouteGroup": Kind(("v1alpha4",)), "TCPRoute": Kind(("v1alpha4",))},
    "split.smi-spec.io": {"TrafficSplit": Kind(("v1alpha2", "v1alpha3", "v1alpha4"))},
    "config.openservicemesh.io": {
        "MeshConfig": Kind(("v1alpha1", "v1alpha2")),
        "MeshRootCertificate": _CONFIG,
        "ExtensionService": Kind(("v1alpha1", "v1alpha2")),
    },
    "policy.openservicemesh.io": {
        "Egress": Kind(("v1alpha1",)),
        "IngressBackend": Kind(("v1alpha1",)),
        "Retry": Kind(("v1alpha1",)),
        "UpstreamTrafficSetting": Kind(("v1alpha1",)),
        "Telemetry": Kind(("v1alpha1",)),
    },
}

POLICY_KINDS = frozenset(kind for kinds in GROUPS.values() for kind in kinds)

_OURS_IN_ANY_GROUP = frozenset({"TrafficTarget", "HTTPRouteGroup", "TrafficSplit", "MeshConfig"})
"""Kinds that nobody else has, so that a misspelt group is seen; others have a TCPRoute or a Telemetry too."""


def is_policy(raw: RawDocument) -> bool:
    """Whether the document is, or was meant to be, one that `parse` reads."""
    domain = ".".join(raw.group.split(".")[-2:])
    return raw.kind in _OURS_IN_ANY_GROUP or domain in ("smi-spec.io", "openservicemesh.io")


def known(raw: RawDocument) -> tuple[Problem, ...]:
    """Why the document's group, kind or version is not read, or that it is read and not enforced."""
    kinds = GROUPS.get(raw.group)
    if kinds is None:
        group = next((group for group, kinds in GROUPS.items() if raw.kind in kinds), None)
        where = f"{raw.kind} is of {group}" if group else nearest(raw.group, list(GROUPS))
        return (raw.problem("apiVersion", f'unknown group "{raw.group}"; {where}'),)
    kind = kinds.get(raw.kind)
    if kind is None:
        return (raw.problem("kind", f'"{raw.kind}" is no kind of {raw.group}; {nearest(raw.kind, list(kinds))}'),)
    if raw.version not in kind.versions:
        served = ", ".join(f"{raw.group}/{version}" for version in kind.versions)
        return (raw.problem("apiVersion", f'version "{raw.version}" of {raw.kind} is not served; served are {served}'),)
    if not kind.enforced:
        return (raw.problem("kind", f"{raw.kind} is accepted and not enforced yet: it changes nothing", "warning"),)
    return ()
