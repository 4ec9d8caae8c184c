"""The table of all channels on the bus. Nothing else can be sent.

From it come the typing of writers and readers, buckets, NATS permissions per service, and the AsyncAPI page.
A key is `<entity>.<part>.<part>…`; a `.` inside a part becomes `_` (names of ours never hold `_`).
"""

from collections.abc import Mapping
from typing import Any, Generic, Literal, TypeVar

from msgspec import Struct

from osm.contracts.catalog import MeshService, Policy
from osm.contracts.egress import Egress
from osm.contracts.endpoints import BareService, LocalWorkload, MeshIdentity, ServiceEndpoints, Workload
from osm.contracts.policy import HttpRouteGroup, IngressBackend, Mesh, TcpRoute, TrafficSplit, TrafficTarget
from osm.contracts.quarantine import GoodResource, RejectedResource
from osm.contracts.status import (
    AdminQuery,
    AdminReply,
    FileStatus,
    ObjectStatus,
    ProcessStatus,
    Progress,
    ProxyStatus,
    ServiceStatus,
)
from osm.contracts.telemetry import AccessLog, ExtensionService, Telemetry
from osm.contracts.traffic_settings import Retry, UpstreamTrafficSetting
from osm.contracts.trust import Bundle, SignReply, SignRequest

T = TypeVar("T", bound=Struct)
Q = TypeVar("Q", bound=Struct)

Owner = Literal["meshspec", "local", "endpoints", "catalog", "certmgr", "xds", "injector", "status"]

STATUS_MAX_AGE_S = 60.0
"""A status line not refreshed for this long is no longer true; writers refresh at a third of it."""


class State(Generic[T]):
    """A kind of document in a bucket: the whole current value of one key; absence is a value too.

    `writers` may put it; the owner alone for `state`, any of several services for `status`.
    """

    def __init__(
        self,
        bucket: Owner,
        entity: str,
        parts: tuple[str, ...],
        payload: type[T],
        says: str,
        *,
        writers: tuple[Owner, ...] = (),
    ) -> None:
        self.bucket = bucket
        self.entity = entity
        self.parts = parts
        self.payload = payload
        self.says = says
        self.writers: tuple[Owner, ...] = writers or (bucket,)

    def key(self, *parts: str) -> str:
        """The key for these parts, in the table's order. Raises ValueError on a wrong number or an empty part."""
        if len(parts) != len(self.parts) or not all(parts):
            raise ValueError(f"{self.entity}: expected parts {self.parts}, found {parts}")
        return ".".join([self.entity, *(part.replace(".", "_") for part in parts)])

    def parse(self, key: str) -> tuple[str, ...] | None:
        """The parts of a key of this kind; None if the key is of another kind."""
        entity, *parts = key.split(".")
        if entity != self.entity or len(parts) != len(self.parts):
            return None
        return tuple(part.replace("_", ".") for part in parts)


class Rpc(Generic[Q, T]):
    """A question to whichever replica of `owner` is free. The caller is part of the subject: nothing else proves it."""

    def __init__(
        self,
        owner: Owner,
        verb: str,
        request: type[Q],
        reply: type[T],
        says: str,
        *,
        callers: tuple[str, ...],
    ) -> None:
        self.owner = owner
        self.verb = verb
        self.request = request
        self.reply = reply
        self.says = says
        self.callers = callers

    def subject(self, caller: str) -> str:
        return f"osm.v1.rpc.{self.owner}.{self.verb}.{caller}"


TRAFFIC_TARGET = State("meshspec", "traffic-target", ("namespace", "name"), TrafficTarget, "who may call whom")
TRAFFIC_SPLIT = State(
    "meshspec", "traffic-split", ("namespace", "name"), TrafficSplit, "how a service's calls are divided"
)
HTTP_ROUTE_GROUP = State(
    "meshspec", "http-route-group", ("namespace", "name"), HttpRouteGroup, "named kinds of requests"
)
TCP_ROUTE = State("meshspec", "tcp-route", ("namespace", "name"), TcpRoute, "named kinds of connections")
INGRESS_BACKEND = State(
    "meshspec", "ingress-backend", ("namespace", "name"), IngressBackend, "who may call a service from outside the mesh"
)
RETRY = State("meshspec", "retry", ("namespace", "name"), Retry, "which failed requests are sent again")
EGRESS = State("meshspec", "egress", ("namespace", "name"), Egress, "who may reach what outside the mesh")
UPSTREAM_TRAFFIC_SETTING = State(
    "meshspec",
    "upstream-traffic-setting",
    ("namespace", "name"),
    UpstreamTrafficSetting,
    "limits of the traffic towards a service",
)
TELEMETRY = State("meshspec", "telemetry", ("namespace", "name"), Telemetry, "what sidecars write down of requests")
EXTENSION_SERVICE = State(
    "meshspec", "extension-service", ("namespace", "name"), ExtensionService, "a server that sidecars speak to"
)
MESH_CONFIG = State("meshspec", "mesh", (), Mesh, "mesh-wide settings; absence means the defaults")

LOCAL_WORKLOAD = State("local", "workload", ("id",), LocalWorkload, "a process with its sidecar on this machine")

IDENTITY = State(
    "endpoints",
    "identity",
    ("namespace", "account"),
    MeshIdentity,
    "a meshed account; certmgr signs for no other",
)
SERVICE = State(
    "endpoints",
    "service",
    ("platform", "namespace", "name"),
    ServiceEndpoints,
    "a service and its ready endpoints on one platform",
)
BARE = State(
    "endpoints",
    "bare",
    ("platform", "namespace", "name"),
    BareService,
    "the ready addresses of a service that have no sidecar; absence means there are none",
)
WORKLOAD = State("endpoints", "workload", ("proxy-id",), Workload, "a workload with a sidecar, ready or not")

POLICY = State(
    "catalog",
    "policy",
    ("namespace", "account"),
    Policy,
    "what an identity may receive and reach; absence means deny all",
)
MESH_SERVICE = State(
    "catalog",
    "service",
    ("namespace", "name"),
    MeshService,
    "a service, platforms merged, its split resolved",
)
MESH_WORKLOAD = State("catalog", "workload", ("proxy-id",), Workload, "what xds needs to know of a proxy")
ACCESS_LOG = State(
    "catalog",
    "access-log",
    ("namespace", "name"),
    AccessLog,
    "how the workloads log that this Telemetry counts for; absence means not at all",
)
MESH = State("catalog", "mesh", (), Mesh, "mesh-wide settings in force; always present")

BUNDLE = State(
    "certmgr",
    "bundle",
    ("trust-domain",),
    Bundle,
    "roots that the trust domain accepts; absence means trust nobody",
)

REJECTED = State(
    "xds",
    "rejected",
    ("resource",),
    RejectedResource,
    "a version of a resource that a proxy has rejected, by the hash of type, name and version",
)
GOOD = State(
    "xds",
    "good",
    ("class", "resource"),
    GoodResource,
    "what stands in for a rejected resource in a class of proxies, while the rejection stands",
)

OBJECT_STATUS = State(
    "status",
    "object",
    ("service", "kind", "namespace", "name"),
    ObjectStatus,
    "one service's word on a user's object; namespace `-` if it has none",
    writers=("meshspec", "endpoints", "local", "catalog", "xds"),
)
FILE_STATUS = State(
    "status",
    "file",
    ("service", "hash"),
    FileStatus,
    "a file that cannot be read as manifests",
    writers=("meshspec", "endpoints", "local"),
)
PROXY_STATUS = State(
    "status", "proxy", ("proxy-id",), ProxyStatus, "a proxy as its xds replica sees it", writers=("xds",)
)
PROGRESS = State(
    "status",
    "progress",
    ("service", "replica"),
    Progress,
    "how far a service has come, in bucket revisions",
    writers=("meshspec", "endpoints", "catalog", "xds"),
)
SERVICE_STATUS = State(
    "status",
    "service",
    ("service", "replica"),
    ServiceStatus,
    "a running service process",
    writers=("meshspec", "local", "endpoints", "catalog", "certmgr", "xds", "injector"),
)
PROCESS_STATUS = State(
    "status",
    "process",
    ("workload",),
    ProcessStatus,
    "a workload's process and its Envoy",
    writers=("local",),
)

SIGN = Rpc(
    "certmgr", "sign", SignRequest, SignReply, "sign a certificate request", callers=("xds", "injector", "local")
)
PROXY_ADMIN = Rpc("local", "proxy-admin", AdminQuery, AdminReply, "read one Envoy's admin interface", callers=("cli",))

STATES: tuple[State[Any], ...] = (
    TRAFFIC_TARGET,
    TRAFFIC_SPLIT,
    HTTP_ROUTE_GROUP,
    TCP_ROUTE,
    INGRESS_BACKEND,
    EGRESS,
    RETRY,
    UPSTREAM_TRAFFIC_SETTING,
    TELEMETRY,
    EXTENSION_SERVICE,
    MESH_CONFIG,
    LOCAL_WORKLOAD,
    IDENTITY,
    SERVICE,
    BARE,
    WORKLOAD,
    POLICY,
    MESH_SERVICE,
    MESH_WORKLOAD,
    ACCESS_LOG,
    MESH,
    BUNDLE,
    REJECTED,
    GOOD,
    OBJECT_STATUS,
    FILE_STATUS,
    PROXY_STATUS,
    PROGRESS,
    SERVICE_STATUS,
    PROCESS_STATUS,
)
RPCS: tuple[Rpc[Any, Any], ...] = (SIGN, PROXY_ADMIN)

BUCKETS: Mapping[str, tuple[State[Any], ...]] = {
    bucket: tuple(state for state in STATES if state.bucket == bucket)
    for bucket in sorted({state.bucket for state in STATES})
}


def kind_of(bucket: str, key: str) -> State[Any] | None:
    """The channel a key belongs to; None for a key of a newer writer."""
    return next((state for state in BUCKETS.get(bucket, ()) if state.parse(key) is not None), None)
