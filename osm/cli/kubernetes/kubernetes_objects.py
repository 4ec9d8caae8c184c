"""The fields of Kubernetes' own objects that only the CLI reads: states, reasons and messages.

Apart from `osm.k8s.objects`, because only a person asks why a pod does not start.
"""

from datetime import datetime
from typing import Any

from msgspec import Struct

from osm.contracts import labels
from osm.k8s import objects
from osm.k8s.objects import Condition, Object, ObjectReference


class Waiting(Struct, frozen=True, kw_only=True, rename="camel"):
    """Why a container does not run yet."""

    reason: str = ""
    message: str = ""


class Terminated(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a container ended."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""


class ContainerState(Struct, frozen=True, kw_only=True, rename="camel"):
    """One of three; of a running one nobody asks here since when."""

    waiting: Waiting | None = None
    terminated: Terminated | None = None
    running: dict[str, Any] | None = None


class ContainerStatus(objects.ContainerStatus, frozen=True, kw_only=True, rename="camel"):
    """How a container is, and how it was before."""

    image: str = ""
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()


class PodStatus(objects.PodStatus, frozen=True, kw_only=True, rename="camel"):
    """How a pod is, its containers' states included."""

    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()


class Pod(objects.Pod, frozen=True, kw_only=True, rename="camel"):
    """A pod as a person asks about it."""

    status: PodStatus = PodStatus()

    @property
    def id(self) -> str:
        return f"{self.metadata.namespace}/{self.metadata.name}"

    @property
    def meshed(self) -> bool:
        """Whether it has a sidecar."""
        return labels.PROXY_UUID in self.metadata.labels

    @property
    def over(self) -> bool:
        """Whether it is done, or on its way out."""
        return self.metadata.going or self.status.phase in ("Succeeded", "Failed")


class Template(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a workload makes pods from."""

    spec: objects.PodSpec = objects.PodSpec()


class WorkloadSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """A Deployment's or StatefulSet's."""

    replicas: int = 1
    template: Template = Template()


class WorkloadStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """A Deployment's, StatefulSet's or ReplicaSet's. `replicas`: pods that were made, ready or not."""

    replicas: int = 0
    ready_replicas: int = 0
    updated_replicas: int = 0
    observed_generation: int = 0
    conditions: tuple[Condition, ...] = ()


class Workload(Object, frozen=True, kw_only=True, rename="camel"):
    """A Deployment or StatefulSet."""

    spec: WorkloadSpec = WorkloadSpec()
    status: WorkloadStatus = WorkloadStatus()

    @property
    def ready(self) -> bool:
        """Whether all that is asked for is there, in its newest form."""
        done = self.status.observed_generation >= self.metadata.generation
        return done and min(self.status.ready_replicas, self.status.updated_replicas) >= self.spec.replicas


class Event(Object, frozen=True, kw_only=True, rename="camel"):
    """What a part of Kubernetes said about an object."""

    involved_object: ObjectReference = ObjectReference()
    type: str = ""
    reason: str = ""
    message: str = ""
    last_timestamp: datetime | None = None

    @property
    def at(self) -> float:
        """Seconds since the epoch; 0 if nobody says when."""
        when = self.last_timestamp or self.metadata.creation_timestamp
        return when.timestamp() if when is not None else 0.0
