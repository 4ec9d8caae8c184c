"""Whether a pod gets a sidecar, and why: one answer of four, each with its reason. Pure.

Refused is what could only fail later, and then without a word of us: a wish that cannot be read, an app that runs as
the sidecar's user (the kernel would not redirect it), a namespace that forbids what osm-init needs.
"""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from osm.contracts import labels
from osm.envoy.ports import PROXY_UID
from services.injector import names
from services.injector.pod import Container, Pod
from services.injector.pod_annotations import Unreadable, switch

NEVER_IN = ("kube-system", "kube-public", "kube-node-lease")
"""A cluster that cannot start its own parts cannot start us."""


class Facts(Struct, frozen=True, kw_only=True):
    """What is known of the pod's namespace."""

    name: str
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}


class Ours(Struct, frozen=True, kw_only=True):
    """Which mesh we are, and where its control plane is."""

    mesh: str
    namespace: str


class Inject(Struct, frozen=True):
    """It gets one."""

    why: str


class Rename(Struct, frozen=True):
    """It is a copy of a pod with a sidecar (`kubectl debug --copy-to`, a backup): it needs an id of its own.

    Two proxies of one id would be one to xds. `volume` is the index of the volume that shows the original's Secret.
    """

    why: str
    volume: int


class Leave(Struct, frozen=True):
    """It stays as it is."""

    why: str
    warnings: tuple[str, ...] = ()


class Refuse(Struct, frozen=True):
    """It is not made; `why` is what its maker reads."""

    why: str


Verdict = Inject | Rename | Leave | Refuse


def decide(pod: Pod, namespace: Facts, ours: Ours) -> Verdict:
    """The whole rule; the first thing that settles it is the reason."""
    if (outside := _outside(namespace, ours)) is not None:
        return outside
    try:
        wished = _wished(pod, namespace)
    except Unreadable as error:
        return Refuse(str(error))
    if isinstance(wished, Leave):
        return wished
    return _unfit(pod) or _obstacle(pod, namespace) or _copied(pod) or wished


def _outside(namespace: Facts, ours: Ours) -> Leave | None:
    if namespace.name in NEVER_IN:
        return Leave(f"nothing in {namespace.name} gets a sidecar")
    if namespace.name == ours.namespace:
        return Leave(f"{namespace.name} is the control plane's own namespace")
    if labels.IGNORE in namespace.labels:
        return Leave(f"namespace {namespace.name} has the label {labels.IGNORE}")
    mesh = namespace.labels.get(labels.MONITORED_BY)
    if mesh != ours.mesh:
        belongs = f"is in mesh {mesh}" if mesh else "is in no mesh"
        return Leave(f"namespace {namespace.name} {belongs}")
    return None


def _wished(pod: Pod, namespace: Facts) -> Inject | Leave:
    """The pod's word comes before its namespace's. Raises Unreadable, of either."""
    of_pod = switch(f"pod {pod.called}", pod.annotations, labels.INJECTION)
    of_namespace = switch(f"namespace {namespace.name}", namespace.annotations, labels.INJECTION)
    if of_pod is not None:
        why = f"the pod says {labels.INJECTION}: {pod.annotations[labels.INJECTION]}"
        return Inject(why) if of_pod else Leave(why)
    if of_namespace is not None:
        why = f"the namespace says {labels.INJECTION}: {namespace.annotations[labels.INJECTION]}"
        return Inject(why) if of_namespace else Leave(why)
    why = f"neither pod nor namespace says {labels.INJECTION}"
    remedy = f"osm namespace add {namespace.name}"
    warning = f"namespace {namespace.name} is in the mesh, but the pod gets no sidecar: {why}; run: {remedy}"
    return Leave(why, (warning,))


def _unfit(pod: Pod) -> Leave | None:
    """What a sidecar cannot serve."""
    if not pod.spec.containers:
        return Leave("a pod without containers is none, which the API server says better")
    if pod.spec.host_network:
        why = "a pod in its node's network has no traffic of its own to redirect"
        return Leave(why, (f"no sidecar: {why}",))
    if pod.spec.os.name == "windows" or pod.spec.node_selector.get("kubernetes.io/os") == "windows":
        why = "a Windows pod gets no sidecar from this mesh"
        return Leave(why, (why,))
    return None


def _copied(pod: Pod) -> Rename | None:
    """Whether it carries all that an injection adds. A copy need not have the original's labels."""
    if not {names.SIDECAR, names.INIT} <= {container.name for container in _containers(pod)}:
        return None
    for index, volume in enumerate(pod.spec.volumes):
        secret = volume.secret.secret_name if volume.secret is not None else ""
        if volume.name == names.BOOTSTRAP_VOLUME and secret.startswith(labels.BOOTSTRAP_PREFIX):
            return Rename("it has a sidecar already, as a copy of another pod has", index)
    return None


def _obstacle(pod: Pod, namespace: Facts) -> Refuse | None:
    level = namespace.labels.get(labels.POD_SECURITY, "")
    if level in labels.TOO_STRICT:
        remedy = f"kubectl label namespace {namespace.name} {labels.POD_SECURITY}=privileged --overwrite"
        return Refuse(
            f"namespace {namespace.name} enforces Pod Security level {level}, which forbids the capability NET_ADMIN "
            f"that {names.INIT} needs to redirect traffic; allowed is privileged: {remedy}"
        )
    copied = _copied(pod) is not None
    for container in _containers(pod):
        if copied and container.name in (names.SIDECAR, names.INIT):
            continue
        if container.name in (names.SIDECAR, names.INIT):
            return Refuse(f"container {container.name}: the name is taken by the mesh's own; give it another")
        if _user(pod, container) == PROXY_UID:
            return Refuse(
                f"container {container.name}: runAsUser {PROXY_UID} is the sidecar's, whose traffic is not "
                f"redirected; allowed is any other"
            )
    ours = (names.BOOTSTRAP_VOLUME, names.RUN_VOLUME)
    taken = next((name for name in _volumes(pod, copied=copied) if name in ours), None)
    if taken is not None:
        return Refuse(f"volume {taken}: the name is taken by the mesh's own; give it another")
    return None


def _containers(pod: Pod) -> tuple[Container, ...]:
    return (*pod.spec.init_containers, *(pod.spec.containers or ()))


def _volumes(pod: Pod, *, copied: bool) -> Iterator[str]:
    """Mounts too: a pod is checked only after us, so it may mount what we are about to add. A copy's own are right."""
    if not copied:
        yield from (volume.name for volume in pod.spec.volumes)
    for container in _containers(pod):
        if not (copied and container.name in (names.SIDECAR, names.INIT)):
            yield from (mount.name for mount in container.volume_mounts)


def _user(pod: Pod, container: Container) -> int | None:
    for context in (container.security_context, pod.spec.security_context):
        if context is not None and context.run_as_user is not None:
            return context.run_as_user
    return None
