"""Whether pods are in the mesh, their sidecars run, and a policy allows the call. Pure."""

from osm.cli import allowed
from osm.cli.kubernetes.membership import injection
from osm.cli.kubernetes.pod_problems import of_pod
from osm.cli.kubernetes.verify.facts import Called, End, World
from osm.cli.kubernetes.verify.result import Result, failed
from osm.contracts import labels

SIDECAR = "envoy"


def monitored(end: End, mesh: str) -> Result:
    name = end.namespace.metadata.name
    context = f'Verify if namespace "{name}" is monitored'
    owner = end.namespace.metadata.labels.get(labels.MONITORED_BY)
    if owner != mesh:
        found = f'belongs to mesh "{owner}"' if owner else "has no label of a mesh"
        return failed(context, f'Namespace "{name}" {found}', f"osm namespace add {name} --mesh-name {mesh}")
    if labels.IGNORE in end.namespace.metadata.labels:
        return failed(context, f'Namespace "{name}" is ignored', f"kubectl label namespace {name} {labels.IGNORE}-")
    if injection(end.namespace) != "enabled" and not end.pod.meshed:
        reason = f'Sidecar injection is not enabled for namespace "{name}" (found "{injection(end.namespace)}")'
        return failed(context, reason, f"osm namespace add {name} --mesh-name {mesh}")
    return Result(context=context)


def sidecar(end: End) -> Result:
    context = f'Verify Envoy sidecar on pod "{end.name}"'
    namespace, pod = end.pod.metadata.namespace, end.pod.metadata.name
    if end.pod.spec.host_network:
        return failed(context, f'Pod "{end.name}" is on the network of its node', "such pods cannot be in a mesh")
    if not end.pod.meshed:
        again = f"kubectl delete pod -n {namespace} {pod}, once its namespace is in the mesh: its owner makes it again"
        return failed(context, f'Pod "{end.name}" has no sidecar', again)
    statuses = (*end.pod.status.init_container_statuses, *end.pod.status.container_statuses)
    own = next((each for each in statuses if each.name == SIDECAR), None)
    if own is None or not (own.ready or own.started):
        trouble = of_pod(end.pod)
        why = trouble.why if trouble is not None else "its container is not ready"
        return failed(
            context,
            f'The sidecar of pod "{end.name}" does not run: {why}',
            f"kubectl logs -n {namespace} {pod} -c {SIDECAR}",
        )
    return Result(context=context)


def allowed_by_policy(source: End, destination: End, world: World) -> Result:
    context = f'Verify if a policy allows "{source.name}" to call "{destination.name}"'
    judged = allowed.judge(
        allowed.End(name=source.name, identity=source.identity),
        allowed.End(name=destination.name, identity=destination.identity),
        world.targets,
        permissive=world.permissive,
    )
    if judged.allowed:
        return Result(context=context)
    reason = f"Policies are enforced, and no TrafficTarget allows {source.identity} to call {destination.identity}"
    namespace = destination.pod.metadata.namespace
    return failed(context, reason, f"write a TrafficTarget in namespace {namespace}, or set permissive mode")


def selects(called: Called, destination: End) -> Result:
    context = f'Verify if service "{called}" is served by pod "{destination.name}"'
    if called.found is None:
        return failed(context, f'Service "{called}" does not exist', f"kubectl get services -n {called.namespace}")
    selector = called.found.spec.selector
    marks = destination.pod.metadata.labels
    missing = [f"{key}={value}" for key, value in sorted(selector.items()) if marks.get(key) != value]
    if not selector or missing or called.namespace != destination.pod.metadata.namespace:
        wants = ", ".join(missing) or "a selector, which it does not have"
        return failed(
            context,
            f'Service "{called}" does not select the pod: it wants {wants}',
            "correct the selector or the labels",
        )
    if not destination.pod.ready:
        logs = f"kubectl describe pod -n {destination.pod.metadata.namespace} {destination.pod.metadata.name}"
        return failed(context, f'Pod "{destination.name}" is not ready, so nobody is sent to it', logs)
    return Result(context=context)
