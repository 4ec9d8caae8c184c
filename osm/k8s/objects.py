"""Kubernetes' own objects, the fields that we read of them and no others. Pure.

Tolerant: what is unknown is passed over, what a server leaves out has its default. What users write is not read with
these: `osm.smi` reads policies and `osm.manifests` workloads, strictly, since there an unknown field is a mistake.
"""

from collections.abc import Mapping
from datetime import datetime

from msgspec import Struct, field


class OwnerReference(Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose part an object is."""

    api_version: str = ""
    kind: str = ""
    name: str = ""
    uid: str = ""
    controller: bool = False


class ObjectMeta(Struct, frozen=True, kw_only=True, rename="camel"):
    """What every object has."""

    name: str = ""
    namespace: str = ""
    generate_name: str = ""
    uid: str = ""
    resource_version: str = ""
    generation: int = 0
    labels: Mapping[str, str] = {}
    annotations: Mapping[str, str] = {}
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    owner_references: tuple[OwnerReference, ...] = ()

    @property
    def key(self) -> tuple[str, str]:
        """As `follow` names it."""
        return self.namespace, self.name

    @property
    def going(self) -> bool:
        """Whether its deletion has begun."""
        return self.deletion_timestamp is not None


class ObjectReference(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which object is meant: what an Event is about, what an endpoint stands for."""

    api_version: str = ""
    kind: str = ""
    namespace: str = ""
    name: str = ""
    uid: str = ""
    resource_version: str = ""
    field_path: str = ""


class Object(Struct, frozen=True, kw_only=True, rename="camel"):
    """Any object, for whoever needs its name, labels and versions alone."""

    metadata: ObjectMeta = ObjectMeta()


class Namespace(Object, frozen=True, kw_only=True, rename="camel"):
    """A namespace: its labels say whether it is in the mesh."""


class ServiceAccount(Object, frozen=True, kw_only=True, rename="camel"):
    """Who pods run as."""


class ConfigMap(Object, frozen=True, kw_only=True, rename="camel"):
    """Texts by name."""

    data: Mapping[str, str] = {}


class Secret(Object, frozen=True, kw_only=True, rename="camel"):
    """Bytes by name."""

    type: str = "Opaque"
    data: Mapping[str, bytes] = {}


class Condition(Struct, frozen=True, kw_only=True, rename="camel"):
    """One of the answers that a status gives: `status` is True, False or Unknown."""

    type: str = ""
    status: str = "Unknown"
    reason: str = ""
    message: str = ""


class ContainerPort(Struct, frozen=True, kw_only=True, rename="camel"):
    """A port that a container names; it may listen at others too."""

    container_port: int
    name: str = ""
    protocol: str = "TCP"


class Container(Struct, frozen=True, kw_only=True, rename="camel"):
    """A container of a pod; an init container that is restarted `Always` is a sidecar."""

    name: str = ""
    image: str = ""
    ports: tuple[ContainerPort, ...] = ()
    restart_policy: str = ""


class ContainerStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a container is."""

    name: str = ""
    ready: bool = False
    restart_count: int = 0
    started: bool | None = None


class PodSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a pod is to run."""

    service_account_name: str = ""
    host_network: bool = False
    containers: tuple[Container, ...] = ()
    init_containers: tuple[Container, ...] = ()


class PodAddress(Struct, frozen=True, kw_only=True):
    """One of a pod's addresses."""

    ip: str = ""


class PodStatus(Struct, frozen=True, kw_only=True, rename="camel"):
    """How a pod is."""

    phase: str = ""
    pod_ip: str = field(name="podIP", default="")
    pod_ips: tuple[PodAddress, ...] = field(name="podIPs", default=())
    conditions: tuple[Condition, ...] = ()
    container_statuses: tuple[ContainerStatus, ...] = ()
    init_container_statuses: tuple[ContainerStatus, ...] = ()
    reason: str = ""
    message: str = ""


class Pod(Object, frozen=True, kw_only=True, rename="camel"):
    """A workload."""

    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def ready(self) -> bool:
        """Whether its probes say so."""
        return any(each.type == "Ready" and each.status == "True" for each in self.status.conditions)


class ServicePort(Struct, frozen=True, kw_only=True, rename="camel"):
    """A port of a service; `target_port` is a number, a container port's name, or 0 for the same as `port`."""

    port: int
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str = ""
    target_port: int | str = 0


class ServiceSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """What a service stands for; `cluster_ip` is `None` as text if it is headless."""

    type: str = "ClusterIP"
    cluster_ip: str = field(name="clusterIP", default="")
    cluster_ips: tuple[str, ...] = field(name="clusterIPs", default=())
    ports: tuple[ServicePort, ...] = ()
    selector: Mapping[str, str] = {}


class Service(Object, frozen=True, kw_only=True, rename="camel"):
    """A name for some pods."""

    spec: ServiceSpec = ServiceSpec()


class EndpointConditions(Struct, frozen=True, kw_only=True, rename="camel"):
    """None means that nobody has said: taken for ready (discovery/v1)."""

    ready: bool | None = None
    serving: bool | None = None
    terminating: bool | None = None


class SliceEndpoint(Struct, frozen=True, kw_only=True, rename="camel"):
    """One endpoint: addresses of one family that mean the same."""

    addresses: tuple[str, ...] = ()
    conditions: EndpointConditions = EndpointConditions()
    zone: str = ""
    target_ref: ObjectReference | None = None


class SlicePort(Struct, frozen=True, kw_only=True, rename="camel"):
    """A port of every endpoint of the slice."""

    name: str = ""
    port: int = 0
    protocol: str = "TCP"
    app_protocol: str = ""


class EndpointSlice(Object, frozen=True, kw_only=True, rename="camel"):
    """Some of a service's endpoints; the label `kubernetes.io/service-name` says whose."""

    address_type: str = "IPv4"
    endpoints_or_null: tuple[SliceEndpoint, ...] | None = field(name="endpoints", default=None)
    ports_or_null: tuple[SlicePort, ...] | None = field(name="ports", default=None)

    @property
    def endpoints(self) -> tuple[SliceEndpoint, ...]:
        """A controller writes null for none."""
        return self.endpoints_or_null or ()

    @property
    def ports(self) -> tuple[SlicePort, ...]:
        return self.ports_or_null or ()


class LeaseSpec(Struct, frozen=True, kw_only=True, rename="camel"):
    """Who holds a lease; empty or None for nobody. Times are the holder's clock, which nobody else goes by."""

    holder_identity: str | None = None
    lease_duration_seconds: int | None = None
    acquire_time: str | None = None
    renew_time: str | None = None
    lease_transitions: int | None = None


class Lease(Object, frozen=True, kw_only=True, rename="camel"):
    """The right to do something alone, for a while."""

    spec: LeaseSpec = LeaseSpec()
