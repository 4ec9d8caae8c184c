"""A pod as users write it: its containers, their variables, ports and probes.

Apart from the kinds that make pods (`workloads`), since all of them hold the same text. Three kinds of fields: those
that the process platform honours have a type of their own; `ClusterOnly` ones mean something that only a cluster
can give, and are tolerated with a warning; `Ignored` ones lose nothing by being ignored. Whatever else stands in an
object is a mistake, found by `convert`. Nothing is decided here.
"""

from typing import Annotated, Any

from msgspec import Meta, field

from osm.contracts.names import DnsLabel, DnsName, Port
from osm.manifests.convert import Fields

ClusterOnly = Annotated[Any, Meta(extra={"needs": "cluster"})]
"""Tolerated with a warning: on this platform the field has no effect."""

Ignored = Any
"""Tolerated silently: this platform gives what the field asks for, or nobody misses it."""

PortRef = Annotated[int, Meta(ge=1, le=65535)] | str
"""A port's number or its name."""


class ObjectMeta(Fields, frozen=True, kw_only=True):
    """What an object is called and marked with. Fields that a cluster writes itself (uid, …) are of no interest."""

    name: DnsName = ""
    namespace: DnsLabel = "default"
    labels: dict[str, str] = {}
    annotations: dict[str, str] = {}
    generate_name: Ignored = None
    owner_references: Ignored = None
    finalizers: Ignored = None
    managed_fields: Ignored = None
    creation_timestamp: Ignored = None
    deletion_timestamp: Ignored = None
    deletion_grace_period_seconds: Ignored = None
    resource_version: Ignored = None
    generation: Ignored = None
    self_link: Ignored = None
    uid: Ignored = None


class FieldRef(Fields, frozen=True, kw_only=True):
    """A fact about the pod itself (Kubernetes' downward API)."""

    field_path: str
    api_version: Ignored = None


class EnvSource(Fields, frozen=True, kw_only=True):
    """Where a variable's value comes from."""

    field_ref: FieldRef | None = None
    config_map_key_ref: ClusterOnly = None
    secret_key_ref: ClusterOnly = None
    resource_field_ref: ClusterOnly = None
    file_key_ref: ClusterOnly = None


class EnvVar(Fields, frozen=True, kw_only=True):
    """A variable of a container; `$(NAME)` in `value` refers to one defined before it."""

    name: str
    value: str | None = None
    value_from: EnvSource | None = None


class ContainerPort(Fields, frozen=True, kw_only=True):
    """Where a container listens."""

    container_port: Port
    name: str = ""
    protocol: str = "TCP"
    host_port: ClusterOnly = None
    host_ip: ClusterOnly = field(default=None, name="hostIP")


class HttpHeader(Fields, frozen=True, kw_only=True):
    """A header that a probe sends."""

    name: str
    value: str


class HttpGet(Fields, frozen=True, kw_only=True):
    """Ready when a GET answers 200 to 399."""

    port: PortRef
    path: str = "/"
    scheme: str = "HTTP"
    host: Ignored = None
    http_headers: tuple[HttpHeader, ...] = ()


class TcpSocket(Fields, frozen=True, kw_only=True):
    """Ready when a connection opens."""

    port: PortRef
    host: Ignored = None


Seconds = Annotated[int, Meta(ge=0)]
Count = Annotated[int, Meta(ge=1)]


class Probe(Fields, frozen=True, kw_only=True):
    """How to see that a container is ready; the defaults are Kubernetes'."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    initial_delay_seconds: Seconds = 0
    period_seconds: Count = 10
    timeout_seconds: Count = 1
    success_threshold: Count = 1
    failure_threshold: Count = 3
    termination_grace_period_seconds: Ignored = None
    exec: ClusterOnly = None
    grpc: ClusterOnly = None


class Container(Fields, frozen=True, kw_only=True):
    """One program of a pod. The process platform runs `command` with `args`; it has no use for the image."""

    name: DnsLabel
    image: Ignored = None
    image_pull_policy: Ignored = None
    command: tuple[str, ...] = ()
    args: tuple[str, ...] = ()
    env: tuple[EnvVar, ...] = ()
    ports: tuple[ContainerPort, ...] = ()
    readiness_probe: Probe | None = None
    env_from: ClusterOnly = None
    lifecycle: ClusterOnly = None
    liveness_probe: ClusterOnly = None
    startup_probe: ClusterOnly = None
    resources: ClusterOnly = None
    resize_policy: ClusterOnly = None
    restart_policy: ClusterOnly = None
    restart_policy_rules: ClusterOnly = None
    security_context: ClusterOnly = None
    volume_devices: ClusterOnly = None
    volume_mounts: ClusterOnly = None
    working_dir: ClusterOnly = None
    stdin: Ignored = None
    stdin_once: Ignored = None
    tty: Ignored = None
    termination_message_path: Ignored = None
    termination_message_policy: Ignored = None


class PodSpec(Fields, frozen=True, kw_only=True):
    """The programs of a pod, and the account they run under."""

    containers: tuple[Container, ...]
    service_account_name: DnsName | None = None
    service_account: DnsName | None = None
    """The old spelling of `service_account_name`, still valid in Kubernetes."""
    termination_grace_period_seconds: Seconds = 30
    automount_service_account_token: Ignored = None
    dns_policy: Ignored = None
    enable_service_links: Ignored = None
    image_pull_secrets: Ignored = None
    os: Ignored = None
    restart_policy: Ignored = None
    scheduler_name: Ignored = None
    active_deadline_seconds: ClusterOnly = None
    affinity: ClusterOnly = None
    dns_config: ClusterOnly = None
    ephemeral_containers: ClusterOnly = None
    host_aliases: ClusterOnly = None
    host_ipc: ClusterOnly = field(default=None, name="hostIPC")
    host_network: ClusterOnly = None
    host_pid: ClusterOnly = field(default=None, name="hostPID")
    host_users: ClusterOnly = None
    hostname: ClusterOnly = None
    init_containers: ClusterOnly = None
    node_name: ClusterOnly = None
    node_selector: ClusterOnly = None
    overhead: ClusterOnly = None
    preemption_policy: ClusterOnly = None
    priority: ClusterOnly = None
    priority_class_name: ClusterOnly = None
    readiness_gates: ClusterOnly = None
    resource_claims: ClusterOnly = None
    resources: ClusterOnly = None
    runtime_class_name: ClusterOnly = None
    scheduling_gates: ClusterOnly = None
    security_context: ClusterOnly = None
    set_hostname_as_fqdn: ClusterOnly = field(default=None, name="setHostnameAsFQDN")
    share_process_namespace: ClusterOnly = None
    subdomain: ClusterOnly = None
    tolerations: ClusterOnly = None
    topology_spread_constraints: ClusterOnly = None
    volumes: ClusterOnly = None


class PodTemplate(Fields, frozen=True, kw_only=True):
    """What each replica is made from."""

    metadata: ObjectMeta = ObjectMeta()
    spec: PodSpec
