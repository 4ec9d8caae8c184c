"""Whether namespaces and pods are in the mesh as their labels and annotations say, and as users mean. Pure."""

from collections.abc import Iterator

from osm.cli.kubernetes.checks.facts import After
from osm.cli.kubernetes.checks.line import Line, error, ok, warning
from osm.cli.kubernetes.membership import injection, is_bare, pods_in_words
from osm.contracts import labels
from osm.k8s.objects import Namespace

MEMBERS = "namespaces"


def members(facts: After) -> Iterator[Line]:
    own = [each for each in facts.namespaces if each.metadata.labels.get(labels.MONITORED_BY) == facts.mesh.name]
    for namespace in own:
        found = [*_marks(namespace), *_pod_security(namespace), *_pods(facts, namespace), *_refused(facts, namespace)]
        yield from found or [ok(MEMBERS, f"namespace [{namespace.metadata.name}]: {_counted(facts, namespace)}")]
    yield from _strangers(facts)
    if not own:
        yield warning(MEMBERS, f"no namespace is in mesh [{facts.mesh.name}]", "osm namespace add NAMESPACE")


def _marks(namespace: Namespace) -> Iterator[Line]:
    name, marks = namespace.metadata.name, namespace.metadata.labels
    word = injection(namespace)
    if labels.IGNORE in marks:
        undo = f"kubectl label namespace {name} {labels.IGNORE}-"
        yield warning(MEMBERS, f"namespace [{name}] is in the mesh and ignored at once: it is ignored", undo)
    elif labels.CONTROL_PLANE in marks:
        undo = f"kubectl label namespace {name} {labels.CONTROL_PLANE}-"
        yield warning(
            MEMBERS, f"namespace [{name}] has the label {labels.CONTROL_PLANE}: its pods get no sidecar", undo
        )
    elif word == "-":
        what = f"namespace [{name}] has the label of the mesh and no annotation {labels.INJECTION}: pods get no sidecar"
        yield warning(MEMBERS, what, f"osm namespace add {name}")
    elif word not in ("enabled", "disabled"):
        what = f"namespace [{name}]: annotation {labels.INJECTION} is {word!r}, allowed are enabled and disabled"
        yield error(MEMBERS, f"{what}; no pod can be made there", f"osm namespace add {name}")


def _pod_security(namespace: Namespace) -> Iterator[Line]:
    name, level = namespace.metadata.name, namespace.metadata.labels.get(labels.POD_SECURITY, "")
    if level in labels.TOO_STRICT and injection(namespace) == "enabled":
        what = f"namespace [{name}] enforces pod security {level!r}, which forbids the init container (NET_ADMIN)"
        yield error(MEMBERS, what, f"kubectl label namespace {name} {labels.POD_SECURITY}=privileged --overwrite")


def _pods(facts: After, namespace: Namespace) -> Iterator[Line]:
    name = namespace.metadata.name
    bare = [pod.metadata.name for pod in facts.pods if pod.metadata.namespace == name and is_bare(pod)]
    if bare and injection(namespace) == "enabled":
        some = ", ".join(sorted(bare)[:3]) + (" …" if len(bare) > 3 else "")
        what = f"namespace [{name}]: {pods_in_words(len(bare))} without a sidecar ({some})"
        yield warning(MEMBERS, what, f"kubectl rollout restart deployment -n {name}")


def _refused(facts: After, namespace: Namespace) -> Iterator[Line]:
    """Pods that the API server would not make, by the newest event of each owner.

    An event outlives what it tells of by an hour: a ReplicaSet that has all its pods by now is well, or is gone.
    """
    name = namespace.metadata.name
    lacking = {
        each.metadata.name
        for each in facts.replica_sets
        if each.metadata.namespace == name and each.status.replicas < each.spec.replicas
    }
    refused = {
        each.involved_object.name: each.message
        for each in sorted(facts.events, key=lambda each: each.at)
        if each.reason == "FailedCreate"
        and each.involved_object.namespace == name
        and (each.involved_object.kind != "ReplicaSet" or each.involved_object.name in lacking)
    }
    for owner, message in sorted(refused.items()):
        remedy = f"kubectl describe replicaset -n {name} {owner}"
        if "osm-inject.k8s.io" in message:
            remedy = f"kubectl logs -n {facts.mesh.namespace} deploy/osm-injector"
        yield error(MEMBERS, f"namespace [{name}]: no pod of {owner} can be made: {message}", remedy)


def _counted(facts: After, namespace: Namespace) -> str:
    own = [pod for pod in facts.pods if pod.metadata.namespace == namespace.metadata.name and not pod.over]
    return f"{sum(pod.meshed for pod in own)} of {len(own)} pods have a sidecar (injection {injection(namespace)})"


def _strangers(facts: After) -> Iterator[Line]:
    """Namespaces of meshes that are not there, and annotations without a mesh."""
    known = {each.name for each in facts.meshes}
    for namespace in facts.namespaces:
        name, owner = namespace.metadata.name, namespace.metadata.labels.get(labels.MONITORED_BY, "")
        if owner and owner not in known:
            remedy = f"osm namespace remove {name} --mesh-name {owner}, then osm namespace add {name}"
            yield error(MEMBERS, f"namespace [{name}] belongs to mesh [{owner}], which is not there", remedy)
        elif not owner and labels.INJECTION in namespace.metadata.annotations:
            what = f"namespace [{name}] has the annotation {labels.INJECTION} and is in no mesh"
            yield warning(MEMBERS, what, f"osm namespace add {name}")
