"""What `osm verify` knows when it judges."""

from msgspec import Struct

from osm.cli.kubernetes.kubernetes_objects import Pod
from osm.cli.kubernetes.verify.config_dump import Believed
from osm.contracts.names import Identity
from osm.contracts.policy import TrafficTarget
from osm.k8s.objects import Namespace, Service


class End(Struct, frozen=True, kw_only=True):
    """A pod with its namespace and what its sidecar has; `why` if the sidecar could not be asked."""

    pod: Pod
    namespace: Namespace
    believed: Believed = Believed()
    why: str = ""

    @property
    def name(self) -> str:
        return self.pod.id

    @property
    def identity(self) -> Identity:
        return Identity(self.pod.metadata.namespace, self.pod.spec.service_account_name or "default")


class World(Struct, frozen=True, kw_only=True):
    """What is the same for every pod of the mesh."""

    mesh: str
    permissive: bool
    egress: bool
    targets: tuple[TrafficTarget, ...] = ()


class Called(Struct, frozen=True, kw_only=True):
    """The service by which a pod is called; `found` is None if there is none of that name."""

    namespace: str
    name: str
    found: Service | None = None

    def __str__(self) -> str:
        return f"{self.namespace}/{self.name}"
