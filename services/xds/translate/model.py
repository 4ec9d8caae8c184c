"""What the translator takes and gives.

Separate from the builders so that the rest of xds can name these types without knowing how Envoy is configured.
"""

from collections.abc import Callable, Mapping
from enum import Enum
from typing import Any, Final, Literal, TypeAlias

from google.protobuf.message import Message
from msgspec import Struct

from osm.contracts.catalog import MeshService, Policy, ServiceSettings
from osm.contracts.names import Identity, ObjectRef, Port, ServiceName
from osm.contracts.policy import Mesh
from osm.contracts.telemetry import AccessLog


class Accounts(Enum):
    """Stands where a list of accounts may stand."""

    ALL = "all"


ALL: Final = Accounts.ALL
"""Every account behind a service, whatever it is: what a permissive mesh allows."""


class View(Struct, frozen=True, kw_only=True):
    """All that one class of proxies may know.

    `policy` is that of the workload's identity; None means that nothing is allowed unless the mesh is permissive.
    `services` holds all services of the mesh, reachable or not.
    """

    trust_domain: str
    mesh: Mesh
    policy: Policy | None
    services: Mapping[ServiceName, MeshService]
    access_log: AccessLog | None = None

    def settings(self, service: ServiceName) -> ServiceSettings | None:
        found = self.services.get(service)
        return found.settings if found else None


class AssignmentKey(Struct, frozen=True, kw_only=True, cache_hash=True):
    """Which endpoints: those of a service port that run under one of `accounts` (sorted).

    Nothing of the asking proxy is in it, so all proxies that may reach the same accounts share one assignment.
    """

    service: ServiceName
    port: Port
    accounts: tuple[Identity, ...] | Literal[Accounts.ALL]

    @property
    def name(self) -> str:
        """The resource name: the cluster's, and whose endpoints unless it is everyone's."""
        cluster = cluster_name(self.service, self.port)
        if self.accounts is ALL:
            return cluster
        return f"{cluster}@{','.join(map(str, self.accounts))}"

    @classmethod
    def parse(cls, name: str) -> "AssignmentKey":
        """The key of this name. Raises ValueError if it is not one that `name` gives."""
        cluster, _, accounts = name.partition("@")
        service, _, port = cluster.rpartition("|")
        namespace, _, bare = service.partition("/")
        whose = tuple(Identity(*account.split("/", 1)) for account in accounts.split(",") if accounts)
        return cls(service=ServiceName(namespace, bare), port=int(port), accounts=whose or ALL)


class Built(Struct, frozen=True, kw_only=True):
    """One resource, and the users' objects it was made from. Nobody may change `message`: it may be shared."""

    name: str
    message: Message
    origins: tuple[ObjectRef, ...] = ()


class Planned(Struct, frozen=True, kw_only=True):
    """A resource that `build` makes of `of` when its message is asked for. Equal plans make equal resources, so whoever
    remembers what came of a plan need not build it again: of a thousand destinations a change concerns a few."""

    name: str
    build: Callable[..., Message]
    of: tuple[Any, ...]
    origins: tuple[ObjectRef, ...] = ()

    @property
    def message(self) -> Message:
        return self.build(*self.of)


Part: TypeAlias = Built | Planned


class Translation(Struct, frozen=True, kw_only=True):
    """Everything a class of proxies needs, each part sorted by name."""

    clusters: tuple[Part, ...]
    listeners: tuple[Part, ...]
    routes: tuple[Part, ...]
    assignments: tuple[AssignmentKey, ...]


def cluster_name(service: ServiceName, port: Port) -> str:
    """An upstream service port, as clusters, statistics and access logs call it."""
    return f"{service}|{port}"
