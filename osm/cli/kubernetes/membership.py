"""What it takes for a namespace to be in a mesh, what forbids it, and what a user should know of it.

Pure: namespaces and pods in, patches and sentences out. A patch is a JSON merge patch (RFC 7396): null removes.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from osm.cli.command_error import CommandError
from osm.cli.kubernetes.kubernetes_objects import Pod, Workload
from osm.contracts import labels
from osm.k8s.objects import Namespace


class Membership(Struct, frozen=True, kw_only=True, order=True):
    """A namespace of a mesh. `injection`: enabled, disabled, or `-` if nobody said so (then it is off)."""

    namespace: str
    mesh: str
    injection: str


class Said(Struct, frozen=True, kw_only=True):
    """Why a namespace is not added; `status` 0 if that is in order."""

    what: str
    remedy: str = ""
    status: int = 1

    def error(self) -> CommandError:
        return CommandError(self.what, remedy=self.remedy, status=self.status)


def memberships(namespaces: Iterable[Namespace]) -> tuple[Membership, ...]:
    return tuple(
        sorted(
            Membership(
                namespace=each.metadata.name,
                mesh=each.metadata.labels.get(labels.MONITORED_BY, ""),
                injection=injection(each),
            )
            for each in namespaces
        )
    )


def injection(namespace: Namespace) -> str:
    """`enabled`, `disabled`, `-` for nothing said, or what was said if it is none of the allowed words."""
    said = namespace.metadata.annotations.get(labels.INJECTION, "")
    wished = labels.switched(said)
    return (said or "-") if wished is None else "enabled" if wished else "disabled"


def joined(mesh: str, *, inject: bool) -> Mapping[str, Any]:
    """The patch that adds a namespace; an annotation of before is set right either way."""
    return {
        "metadata": {
            "labels": {labels.MONITORED_BY: mesh},
            "annotations": {labels.INJECTION: "enabled" if inject else "disabled"},
        }
    }


def left() -> Mapping[str, Any]:
    """The patch that removes a namespace from whatever mesh it is in."""
    return {
        "metadata": {
            "labels": {labels.MONITORED_BY: None},
            "annotations": {labels.INJECTION: None, labels.METRICS: None},
        }
    }


def refusal(namespace: Namespace, mesh: str, controls: Iterable[Workload], *, inject: bool) -> Said | None:
    """Why the namespace is not to be added; None if it may be. `controls`: the control plane's parts in it.

    A member with another word on injection is added again: that is how the word is changed.
    """
    name, found = namespace.metadata.name, namespace.metadata.labels
    controller = next(iter(sorted(each.metadata.name for each in controls)), "")
    if controller:
        return Said(
            what=f"Namespace [{name}] already has [{controller}] installed and cannot be added to mesh [{mesh}]",
            status=0,
        )
    if labels.IGNORE in found:
        remedy = f"kubectl label namespace {name} {labels.IGNORE}-"
        return Said(what=f"Cannot add ignored namespace [{name}] to mesh [{mesh}]", remedy=remedy)
    owner = found.get(labels.MONITORED_BY)
    if owner == mesh and injection(namespace) == ("enabled" if inject else "disabled"):
        return Said(what=f"Namespace [{name}] has already been added to mesh [{mesh}]", status=0)
    if owner not in (None, mesh):
        remedy = f"osm namespace remove {name} --mesh-name {owner}"
        return Said(
            what=f"Namespace [{name}] belongs to mesh [{owner}] and cannot be added to mesh [{mesh}]", remedy=remedy
        )
    return None


def warnings(namespace: Namespace, pods: Iterable[Pod], *, inject: bool) -> Iterator[str]:
    """What a user should do or know after adding the namespace."""
    name = namespace.metadata.name
    level = namespace.metadata.labels.get(labels.POD_SECURITY, "")
    if inject and level in labels.TOO_STRICT:
        yield (
            f"pod security level {level!r} forbids the sidecar's init container (NET_ADMIN): "
            f"kubectl label namespace {name} {labels.POD_SECURITY}=privileged --overwrite"
        )
    if labels.CONTROL_PLANE in namespace.metadata.labels:
        undo = f"kubectl label namespace {name} {labels.CONTROL_PLANE}-"
        yield f"label {labels.CONTROL_PLANE} keeps the injector away: {undo}"
    bare = [pod for pod in pods if is_bare(pod)]
    if inject and bare:
        yield f"{pods_in_words(len(bare))} without a sidecar until: kubectl rollout restart deployment -n {name}"


def pods_in_words(count: int) -> str:
    """`1 pod runs`, `2 pods run`."""
    return "1 pod runs" if count == 1 else f"{count} pods run"


def is_bare(pod: Pod) -> bool:
    """Whether a running pod has no sidecar though nothing of its own says it must not have one."""
    told = labels.switched(pod.metadata.annotations.get(labels.INJECTION, ""))
    return not (pod.meshed or pod.spec.host_network or told is False or pod.over)
