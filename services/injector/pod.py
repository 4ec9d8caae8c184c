"""A pod as its maker has written it, the fields that an injector reads. Pure.

Apart from `osm.k8s.objects`, which is about pods that run: here are the parts that only matter before one does, and
an absent mapping is told from an empty one, since a patch must make the first before it can add to it.
"""

from collections.abc import Mapping

from msgspec import Struct, field

MOST_NAME_CHARS = 253


class Meta(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the pod is called; `name` is empty while it is only a prefix (`generateName`)."""

    name: str = ""
    generate_name: str = ""
    labels: Mapping[str, str] | None = None
    annotations: Mapping[str, str] | None = None


class SecurityContext(Struct, frozen=True, kw_only=True, rename="camel"):
    """Of a pod or of one container."""

    run_as_user: int | None = None


class HttpGet(Struct, frozen=True, kw_only=True, rename="camel"):
    """`host` is where kubelet asks, if not at the pod."""

    port: int | str
    path: str = ""
    host: str = ""
    scheme: str = "HTTP"


class TcpSocket(Struct, frozen=True, kw_only=True):
    """Whether a connection is accepted."""

    port: int | str
    host: str = ""


class Grpc(Struct, frozen=True, kw_only=True):
    """`service` null and empty mean the same."""

    port: int
    service: str | None = None


class Probing(Struct, frozen=True, kw_only=True, rename="camel"):
    """A probe; one that runs a command has none of the three."""

    http_get: HttpGet | None = None
    tcp_socket: TcpSocket | None = None
    grpc: Grpc | None = None
    timeout_seconds: int = 1
    period_seconds: int = 10


class Hook(Struct, frozen=True, kw_only=True, rename="camel"):
    """What is done at a container's start or end."""

    http_get: HttpGet | None = None


class Lifecycle(Struct, frozen=True, kw_only=True, rename="camel"):
    """The two hooks."""

    post_start: Hook | None = None
    pre_stop: Hook | None = None


class NamedPort(Struct, frozen=True, kw_only=True, rename="camel"):
    """A port of a container."""

    container_port: int
    name: str = ""


class Mount(Struct, frozen=True, kw_only=True):
    """A volume in a container; `name` is the volume's."""

    name: str


class Container(Struct, frozen=True, kw_only=True, rename="camel"):
    """A container, or an init container."""

    name: str
    ports: tuple[NamedPort, ...] = ()
    security_context: SecurityContext | None = None
    volume_mounts: tuple[Mount, ...] = ()
    liveness_probe: Probing | None = None
    readiness_probe: Probing | None = None
    startup_probe: Probing | None = None
    lifecycle: Lifecycle | None = None


class SecretSource(Struct, frozen=True, kw_only=True, rename="camel"):
    """A volume that shows a Secret."""

    secret_name: str = ""


class Volume(Struct, frozen=True, kw_only=True):
    """A volume of the pod."""

    name: str
    secret: SecretSource | None = None


class System(Struct, frozen=True, kw_only=True):
    """The operating system that the pod is for."""

    name: str = "linux"


class Spec(Struct, frozen=True, kw_only=True, rename="camel"):
    """What the pod is to run."""

    containers: tuple[Container, ...] | None = ()
    """The API server writes null for none; that there must be some it says only after us."""
    init_containers: tuple[Container, ...] = ()
    volumes: tuple[Volume, ...] = ()
    host_network: bool = False
    service_account_name: str = "default"
    node_selector: Mapping[str, str] = {}
    os: System = System()
    security_context: SecurityContext | None = None
    termination_grace_period_seconds: int | None = None


class Pod(Struct, frozen=True, kw_only=True):
    """A pod before it is stored."""

    metadata: Meta = Meta()
    spec: Spec = field(default_factory=Spec)

    @property
    def labels(self) -> Mapping[str, str]:
        return self.metadata.labels or {}

    @property
    def annotations(self) -> Mapping[str, str]:
        return self.metadata.annotations or {}

    @property
    def account(self) -> str:
        return self.spec.service_account_name or "default"

    @property
    def called(self) -> str:
        """Its name, or how that will begin; no longer than a name may be, which nobody has checked yet."""
        return (self.metadata.name or f"{self.metadata.generate_name}*")[:MOST_NAME_CHARS]
