"""Deployment, StatefulSet and Pod as one thing: so many replicas of a template. Pure."""

from collections.abc import Mapping

from msgspec import Struct

from osm.contracts.endpoints import workload_id
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.problem import Problem, Severity
from osm.manifests.last_good import Kept
from osm.manifests.pods import ObjectMeta, PodSpec
from osm.manifests.verdicts import problem
from osm.manifests.workloads import Deployment, Pod, StatefulSet

DEFAULT_ACCOUNT = "default"
"""Every namespace has it, in Kubernetes as here."""


class Replicas(Struct, frozen=True, kw_only=True):
    """A workload as its user wrote it. `path` is where the pod's spec stands in the manifest."""

    ref: ObjectRef
    kept: Kept[Struct]
    names: tuple[str, ...]
    metadata: ObjectMeta
    spec: PodSpec
    path: str
    match_labels: Mapping[str, str]

    @property
    def account(self) -> str:
        return self.spec.service_account_name or self.spec.service_account or DEFAULT_ACCOUNT

    @property
    def identity(self) -> Identity:
        return Identity(self.ref.namespace, self.account)

    def ids(self) -> tuple[str, ...]:
        return tuple(workload_id(self.ref.namespace, name) for name in self.names)

    def problem(self, field: str, what: str, severity: Severity = "error") -> Problem:
        return problem(self.ref, self.kept, field, what, severity)


def replicas(ref: ObjectRef, kept: Kept[Struct]) -> Replicas | None:
    """None if the object is not a workload, or never was valid."""
    good = kept.good
    if isinstance(good, Deployment | StatefulSet):
        return Replicas(
            ref=ref,
            kept=kept,
            names=tuple(f"{ref.name}-{ordinal}" for ordinal in range(good.spec.replicas)),
            metadata=good.spec.template.metadata,
            spec=good.spec.template.spec,
            path="spec.template.spec",
            match_labels=good.spec.selector.match_labels,
        )
    if isinstance(good, Pod):
        return Replicas(
            ref=ref, kept=kept, names=(ref.name,), metadata=good.metadata, spec=good.spec, path="spec", match_labels={}
        )
    return None
