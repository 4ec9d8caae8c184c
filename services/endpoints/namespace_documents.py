"""One namespace of a cluster: the documents and status lines that follow from its objects. Pure.

What a change touches (`relations`) is made anew and nothing else: a pod that becomes ready costs its services'
endpoints, whatever else the namespace holds. Objects are kept while the namespace is outside the mesh, so that a label
brings it in at once.
"""

from msgspec import Struct, field

from osm.contracts import endpoints as contracts
from osm.contracts.channels import BARE, IDENTITY, OBJECT_STATUS, SERVICE, WORKLOAD
from osm.contracts.endpoints import BareService, MeshIdentity, ServiceEndpoints, Workload, workload_id
from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.problem import Problem
from osm.contracts.status import ObjectStatus
from services.endpoints import endpoint_slices, shape
from services.endpoints.facts import Namespace, Pod
from services.endpoints.relations import Relations

PLATFORM = "kubernetes"


class Outcome(Struct, kw_only=True):
    """What was made anew, by key; None where there is nothing (any more)."""

    documents: dict[str, Struct | None] = field(default_factory=dict)
    lines: dict[str, ObjectStatus | None] = field(default_factory=dict)


class NamespaceDocuments:
    """Objects are put into `relations`; `take` says what follows from what was touched since."""

    def __init__(self, namespace: str) -> None:
        self.relations = Relations()
        self._name = namespace
        self._where = Namespace(name=namespace, meshed=False)
        self._shapes: dict[str, contracts.Service] = {}
        self._told: dict[str, list[str]] = {}
        """Proxy id → pods that were told that they are not the one."""

    @property
    def empty(self) -> bool:
        """Whether a new one would be the same: namespaces come and go for years."""
        return self._where == Namespace(name=self._name, meshed=False) and self.relations.empty

    def put_namespace(self, where: Namespace | None) -> None:
        """Everything in it comes, goes, or is judged anew, unless nothing that concerns us has changed."""
        where = where or Namespace(name=self._name, meshed=False)
        if where != self._where:
            self._where = where
            self.relations.touch_all()

    def take(self) -> Outcome:
        touched = self.relations.take()
        out = Outcome()
        for account in sorted(touched.accounts):
            out.documents[IDENTITY.key(self._name, account)] = self._identity(account)
        for service in sorted(touched.shapes):
            self._shape(service, out)
        for service in sorted(touched.shapes | touched.places):
            self._places(service, out)
        for sidecar in sorted(touched.sidecars):
            self._sidecar(sidecar, out)
        return out

    def _identity(self, account: str) -> MeshIdentity | None:
        if not self._where.meshed or account not in self.relations.vouchers:
            return None
        return MeshIdentity(identity=Identity(self._name, account))

    def _shape(self, name: str, out: Outcome) -> None:
        service = self.relations.services.get(name)
        key = OBJECT_STATUS.key("endpoints", "Service", self._name, name)
        if service is None or not self._where.meshed:
            self._shapes.pop(name, None)
            out.lines[key] = None
            return
        behind = self.relations.pods_behind(service)
        self._shapes[name] = shape.shape(self._name, service, behind)
        out.lines[key] = ObjectStatus(
            subject=ObjectRef("Service", self._name, name),
            generation=service.generation,
            problems=tuple(sorted(shape.problems(self._where, service, behind), key=_place)),
        )

    def _places(self, name: str, out: Outcome) -> None:
        """Addresses without a sidecar are told of every namespace: they may call in from outside the mesh."""
        service, shaped = self.relations.services.get(name), self._shapes.get(name)
        there = self.relations.slices.get(name, {}).values()
        pods = self.relations.pods if self._where.meshed else {}
        document: ServiceEndpoints | None = None
        if service is not None and shaped is not None:
            found = endpoint_slices.endpoints(service.ports, there, pods)
            document = ServiceEndpoints(service=shaped, endpoints=found)
        plain = endpoint_slices.bare(there, pods) if service is not None else ()
        out.documents[SERVICE.key(PLATFORM, self._name, name)] = document
        out.documents[BARE.key(PLATFORM, self._name, name)] = (
            BareService(name=ServiceName(self._name, name), addresses=plain) if plain else None
        )

    def _sidecar(self, sidecar: str, out: Outcome) -> None:
        """Of several pods with one id the first by name is the one; the others are told."""
        carriers = sorted(self.relations.carriers.get(sidecar, ())) if self._where.meshed else []
        proxy = workload_id(self._name, sidecar)
        out.documents[WORKLOAD.key(proxy)] = self._workload(self.relations.pods[carriers[0]]) if carriers else None
        for pod in self._told.pop(sidecar, ()):
            out.lines[self._pod_key(pod)] = None
        for pod in carriers[1:]:
            self._told.setdefault(sidecar, []).append(pod)
            out.lines[self._pod_key(pod)] = self._copied(pod, carriers[0])

    def _workload(self, pod: Pod) -> Workload:
        services = [self.relations.services[name] for name in sorted(self.relations.behind(pod))]
        return shape.workload(self._name, pod, services)

    def _copied(self, pod: str, owner: str) -> ObjectStatus:
        what = f"Pod {owner} has the same, and it counts; remove the label from what you have written and restart"
        ref = ObjectRef("Pod", self._name, pod)
        return ObjectStatus(
            subject=ref, problems=(Problem(subject=ref, field="metadata.labels.osm-proxy-uuid", what=what),)
        )

    def _pod_key(self, pod: str) -> str:
        return OBJECT_STATUS.key("endpoints", "Pod", self._name, pod)


def _place(problem: Problem) -> tuple[str, str]:
    return problem.field, problem.what
