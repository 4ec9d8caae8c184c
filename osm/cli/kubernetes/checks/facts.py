"""What `osm check` knows of a cluster when it judges: read once, never asked for again."""

from msgspec import Struct

from osm.cli.bus_state import BucketState
from osm.cli.kubernetes.control_plane_state import ControlPlaneState
from osm.cli.kubernetes.definitions import Definition
from osm.cli.kubernetes.kubernetes_objects import Event, Pod, Workload
from osm.cli.kubernetes.meshes import Mesh
from osm.cli.kubernetes.mode import MeshConfig
from osm.contracts.problem import Problem
from osm.contracts.status import ProxyStatus, ServiceStatus
from osm.k8s.objects import Namespace, Object


class HookService(Struct, frozen=True, kw_only=True):
    """Whom the API server calls."""

    namespace: str = ""
    name: str = ""


class HookClient(Struct, frozen=True, kw_only=True, rename="camel"):
    """How it calls, and which roots it trusts there."""

    service: HookService | None = None
    ca_bundle: bytes = b""


class Hook(Struct, frozen=True, kw_only=True, rename="camel"):
    """One webhook."""

    name: str = ""
    client_config: HookClient = HookClient()


class HookConfiguration(Object, frozen=True, kw_only=True, rename="camel"):
    """A mutating or validating configuration."""

    webhooks: tuple[Hook, ...] = ()


class Permission(Struct, frozen=True, kw_only=True):
    """Whether we may do something, by the API server's word."""

    verb: str
    what: str
    allowed: bool


class Cert(Struct, frozen=True, kw_only=True):
    """A certificate where it is kept. `why` is set, and the times are 0, if it cannot be read."""

    where: str
    not_before_s: float = 0.0
    not_after_s: float = 0.0
    why: str = ""


class Tool(Struct, frozen=True, kw_only=True):
    """A program that has to be on the user's PATH: what for, and where to get it.

    `oldest`: the first version that will do, if not every one does; `version` is None if the program does not say it.
    """

    name: str
    needed: str
    remedy: str
    is_there: bool
    version: tuple[int, int] | None = None
    oldest: tuple[int, int] | None = None


class Before(Struct, frozen=True, kw_only=True):
    """What matters before a mesh is installed."""

    version: tuple[int, int]
    tools: tuple[Tool, ...] = ()
    permissions: tuple[Permission, ...] = ()
    meshes: tuple[Mesh, ...] = ()
    definitions: tuple[Definition, ...] = ()
    wanted: tuple[Definition, ...] = ()
    mutating: tuple[HookConfiguration, ...] = ()
    name: str = "osm"
    namespace: str = "osm-system"


class Bus(Struct, frozen=True, kw_only=True):
    """What the mesh says of itself. `why` is set, and all else empty, if it cannot be asked."""

    buckets: tuple[BucketState, ...] = ()
    services: tuple[ServiceStatus, ...] = ()
    proxies: tuple[ProxyStatus, ...] = ()
    problems: tuple[Problem, ...] = ()
    roots_pem: str = ""
    why: str = ""


class After(Struct, frozen=True, kw_only=True):
    """What matters once a mesh is installed.

    `pods` are those of member namespaces, `replica_sets` those of namespaces where `events` tell of one.
    """

    now_s: float
    cli_version: str
    mesh: Mesh
    meshes: tuple[Mesh, ...] = ()
    standing: ControlPlaneState = ControlPlaneState()
    config: MeshConfig | None = None
    definitions: tuple[Definition, ...] = ()
    wanted: tuple[Definition, ...] = ()
    mutating: tuple[HookConfiguration, ...] = ()
    validating: tuple[HookConfiguration, ...] = ()
    roots_pem: bytes = b""
    certificates: tuple[Cert, ...] = ()
    namespaces: tuple[Namespace, ...] = ()
    pods: tuple[Pod, ...] = ()
    events: tuple[Event, ...] = ()
    replica_sets: tuple[Workload, ...] = ()
    bus: Bus = Bus()
