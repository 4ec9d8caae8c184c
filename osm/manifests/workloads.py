"""What runs, as users write it for Kubernetes: Namespace, ServiceAccount, Service, Deployment, StatefulSet, Pod.

Apart from the services that read them, because `local` and `endpoints` must understand the same text alike.
What a pod holds is in `pods`, and so is what its kinds of fields mean. Nothing is decided here.
"""

from collections.abc import Iterator
from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct, field

from osm.contracts.names import Port
from osm.manifests.convert import Fields, convert
from osm.manifests.document import Parsed, RawDocument
from osm.manifests.pods import ClusterOnly, Ignored, ObjectMeta, PodSpec, PodTemplate, PortRef


class Object(Fields, frozen=True, kw_only=True):
    """What every one of them has."""

    api_version: str
    kind: str
    metadata: ObjectMeta


class Namespace(Object, frozen=True, kw_only=True):
    """Where objects live; its labels say whether it is in the mesh."""

    spec: Ignored = None
    status: Ignored = None


class ServiceAccount(Object, frozen=True, kw_only=True):
    """Under which name workloads run; the other half of an identity."""

    automount_service_account_token: Ignored = None
    secrets: Ignored = None
    image_pull_secrets: Ignored = None


class ServicePort(Fields, frozen=True, kw_only=True):
    """A port of a Service; `target_port` absent means the same number."""

    port: Port
    name: str = ""
    protocol: str = "TCP"
    app_protocol: str | None = None
    target_port: PortRef | None = None
    node_port: Ignored = None


class ServiceSpec(Fields, frozen=True, kw_only=True):
    """What a Service selects and offers."""

    selector: dict[str, str] | None = None
    ports: tuple[ServicePort, ...] = ()
    type: str = "ClusterIP"
    external_name: str | None = None
    cluster_ip: Ignored = field(default=None, name="clusterIP")
    cluster_ips: Ignored = field(default=None, name="clusterIPs")
    ip_families: Ignored = None
    ip_family_policy: Ignored = None
    internal_traffic_policy: Ignored = None
    traffic_distribution: Ignored = None
    allocate_load_balancer_node_ports: Ignored = None
    publish_not_ready_addresses: ClusterOnly = None
    session_affinity: Ignored = None
    session_affinity_config: ClusterOnly = None
    external_ips: ClusterOnly = field(default=None, name="externalIPs")
    external_traffic_policy: ClusterOnly = None
    health_check_node_port: ClusterOnly = None
    load_balancer_class: ClusterOnly = None
    load_balancer_ip: ClusterOnly = field(default=None, name="loadBalancerIP")
    load_balancer_source_ranges: ClusterOnly = None


class Service(Object, frozen=True, kw_only=True):
    """A name that clients call, and the pods behind it."""

    spec: ServiceSpec = ServiceSpec()
    status: Ignored = None


class LabelSelector(Fields, frozen=True, kw_only=True):
    """Which pods belong to a workload."""

    match_labels: dict[str, str] = {}
    match_expressions: Ignored = None


Replicas = Annotated[int, Meta(ge=0, le=1000)]
"""A thousand processes of one workload on one machine is a slip of the finger."""


class Replicated(Fields, frozen=True, kw_only=True):
    """How many replicas of which template."""

    template: PodTemplate
    selector: LabelSelector
    replicas: Replicas = 1
    min_ready_seconds: Ignored = None
    revision_history_limit: Ignored = None


class DeploymentSpec(Replicated, frozen=True, kw_only=True):
    """And how a cluster would replace them; here a change replaces one after the other."""

    strategy: Ignored = None
    progress_deadline_seconds: Ignored = None
    paused: ClusterOnly = None


class Deployment(Object, frozen=True, kw_only=True):
    """Replicas without a memory of their own."""

    spec: DeploymentSpec
    status: Ignored = None


class StatefulSetSpec(Replicated, frozen=True, kw_only=True):
    """And what a cluster would keep for each, by its number."""

    service_name: Ignored = None
    pod_management_policy: Ignored = None
    update_strategy: Ignored = None
    persistent_volume_claim_retention_policy: ClusterOnly = None
    volume_claim_templates: ClusterOnly = None
    ordinals: ClusterOnly = None


class StatefulSet(Object, frozen=True, kw_only=True):
    """Numbered replicas. Here every replica is numbered, so it differs from a Deployment in name only."""

    spec: StatefulSetSpec
    status: Ignored = None


class Pod(Object, frozen=True, kw_only=True):
    """One replica of its own."""

    spec: PodSpec
    status: Ignored = None


Workload = Deployment | StatefulSet | Pod
"""What replicas are made from."""

KINDS: dict[str, type[Struct]] = {
    "Namespace": Namespace,
    "ServiceAccount": ServiceAccount,
    "Service": Service,
    "Deployment": Deployment,
    "StatefulSet": StatefulSet,
    "Pod": Pod,
}
GROUPS = {"Deployment": "apps", "StatefulSet": "apps"}
"""The API group of each kind that is not of Kubernetes' core."""


def parse(raw: RawDocument) -> Parsed[Struct] | None:
    """One document as its type; None if it is of another kind. Fields for a cluster only give one warning."""
    kind = KINDS.get(raw.kind)
    if kind is None or raw.group != GROUPS.get(raw.kind, ""):
        return None
    found = convert(raw, kind)
    if isinstance(found, tuple):
        return Parsed(object=None, problems=found)
    fields = list(cluster_only(found))
    if not fields:
        return Parsed(object=found)
    what = f"{', '.join(fields)}: of no effect here, only a cluster can honour {'it' if len(fields) == 1 else 'them'}"
    return Parsed(object=found, problems=(raw.problem(fields[0], what, "warning"),))


def cluster_only(value: object, path: str = "") -> Iterator[str]:
    """The paths of fields that are set and need a cluster, in the order of the types."""
    if isinstance(value, tuple):
        for index, item in enumerate(value):
            yield from cluster_only(item, f"{path}[{index}]")
    if not isinstance(value, Struct):
        return
    for info in msgspec.structs.fields(value):
        found = getattr(value, info.name)
        where = f"{path}.{info.encode_name}" if path else info.encode_name
        if _needs_cluster(info.type):
            if found is not None:
                yield where
        else:
            yield from cluster_only(found, where)


def _needs_cluster(kind: Any) -> bool:
    notes = getattr(kind, "__metadata__", ())
    return any(isinstance(note, Meta) and note.extra == {"needs": "cluster"} for note in notes)
