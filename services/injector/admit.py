"""The answer to the review of a new pod, with its log line. Pure.

The review is not proof of anything: no one presents a certificate here, so anyone in the cluster may ask. Therefore an
answer has no effect. It is a patch made from what was sent, from the namespace as the API server shows it, and from
mesh-wide settings; nothing is stored, signed or made for it, and nothing in it is secret. The sidecar's key and Secret
are made when the pod itself is seen, which the API server has let in under its account (see `secret_chores`); so there
is also nothing left over of a pod that was refused by somebody else, and a dry run needs no exception.
"""

from msgspec import Struct

from osm.contracts import labels
from osm.contracts.policy import Injection, Mesh
from services.injector.decide import Facts, Inject, Leave, Ours, Refuse, Rename, decide
from services.injector.patch import House, Injected, patch, renamed
from services.injector.pod import Pod
from services.injector.pod_annotations import Unreadable, redirect, switch
from services.injector.probes import rewrites, warnings
from services.injector.review import Answer


class Outcome(Struct, frozen=True, kw_only=True):
    """The answer, what was done (`injected`, `left`, `refused`), why, and the new proxy's id if there is one."""

    answer: Answer
    did: str
    why: str
    uuid: str = ""


def admit(pod: Pod, namespace: Facts, mesh: Mesh, *, uuid: str, ours: Ours, house: House) -> Outcome:
    """`uuid` is what the proxy will be called if there is to be one."""
    verdict = decide(pod, namespace, ours)
    match verdict:
        case Refuse(why):
            return _refused(why)
        case Leave(why, said):
            return Outcome(answer=Answer(allowed=True, warnings=said), did="left", why=why)
        case Rename(why, volume):
            answer = Answer(allowed=True, patch=renamed(pod, volume, uuid, ours.mesh))
            return Outcome(answer=answer, did="injected", why=why, uuid=uuid)
        case Inject(why):
            try:
                wanted = _wanted(pod, namespace, mesh, uuid=uuid, ours=ours, house=house)
            except Unreadable as error:
                return _refused(str(error))
            steps = patch(pod, wanted, mesh, house)
            answer = Answer(allowed=True, patch=steps, warnings=tuple(warnings(pod)))
            return Outcome(answer=answer, did="injected", why=why, uuid=uuid)


def _wanted(pod: Pod, namespace: Facts, mesh: Mesh, *, uuid: str, ours: Ours, house: House) -> Injected:
    """Raises Unreadable."""
    where = f"pod {pod.called}"
    metrics = switch(where, pod.annotations, labels.METRICS)
    if metrics is None:
        metrics = switch(f"namespace {namespace.name}", namespace.annotations, labels.METRICS)
    native = switch(where, pod.annotations, labels.NATIVE_SIDECAR)
    return Injected(
        uuid=uuid,
        mesh=ours.mesh,
        namespace=namespace.name,
        redirect=redirect(where, pod.annotations, mesh.injection or Injection()),
        rewrites=rewrites(pod),
        metrics=bool(metrics),
        native=house.native if native is None else native,
    )


def _refused(why: str) -> Outcome:
    return Outcome(answer=Answer(allowed=False, why=why), did="refused", why=why)
