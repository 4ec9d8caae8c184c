"""What xds currently believes: the catalog's documents and the trust bundle, and what each update changed in them.

Pure. It separates a service whose endpoints moved from a service whose shape changed, since the first
touches load assignments alone.
"""

from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct

from osm.bus import Document, Update
from osm.contracts.catalog import MeshService, Policy
from osm.contracts.channels import ACCESS_LOG, BUNDLE, MESH, MESH_SERVICE, MESH_WORKLOAD, POLICY, State
from osm.contracts.endpoints import Workload
from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.policy import Mesh
from osm.contracts.telemetry import AccessLog
from osm.contracts.trust import Bundle


@dataclass(slots=True)
class Changes:
    """What an update changed; a deleted document is a change too."""

    mesh: bool = False
    bundle: bool = False
    policies: set[Identity] = field(default_factory=set)
    workloads: set[str] = field(default_factory=set)
    access_logs: set[ObjectRef] = field(default_factory=set)
    """By the Telemetry that they came of."""
    shapes: set[ServiceName] = field(default_factory=set)
    """Services whose ports, accounts, addresses, split, ingress or settings changed, or that came or went."""
    endpoints: set[ServiceName] = field(default_factory=set)
    """Services of which nothing but endpoints changed."""


class Documents:
    """The picture, by name. `complete` once both buckets have been read in full."""

    def __init__(self) -> None:
        self.mesh = Mesh()
        self.bundle: Bundle | None = None
        self.policies: dict[Identity, Policy] = {}
        self.workloads: dict[str, Workload] = {}
        self.services: dict[ServiceName, MeshService] = {}
        self.access_logs: dict[ObjectRef, AccessLog] = {}
        self.revisions: dict[str, int] = {}
        self._values: dict[tuple[str, str], Struct] = {}

    @property
    def complete(self) -> bool:
        return self.revisions.keys() >= {"catalog", "certmgr"} and self.bundle is not None

    def apply(self, update: Update) -> Changes:
        """Take an update in. A body that does not decode leaves the last good value; so does an unknown kind."""
        changes = Changes()
        if update.full:
            here = {document.key for document in update.documents}
            for bucket, key in [known for known in self._values if known[0] == update.bucket]:
                if key not in here:
                    self._forget(bucket, key, changes)
        for document in update.documents:
            if document.deleted:
                self._forget(document.bucket, document.key, changes)
            elif document.value is not None:
                self._learn(document, document.value, changes)
        self.revisions[update.bucket] = update.revision
        return changes

    def _learn(self, document: Document, value: Struct, changes: Changes) -> None:
        old = self._values.get((document.bucket, document.key))
        if old == value:
            return
        self._values[document.bucket, document.key] = value
        match value:
            case Policy():
                self.policies[value.identity] = value
                changes.policies.add(value.identity)
            case MeshService():
                name = value.service.name
                self.services[name] = value
                same_shape = isinstance(old, MeshService) and _shape(old) == _shape(value)
                (changes.endpoints if same_shape else changes.shapes).add(name)
            case Workload():
                self.workloads[value.proxy_id] = value
                changes.workloads.add(value.proxy_id)
            case AccessLog(origin=telemetry):
                self.access_logs[telemetry] = value
                changes.access_logs.add(telemetry)
            case Mesh():
                self.mesh = value
                changes.mesh = True
            case Bundle():
                self.bundle = value
                changes.bundle = True

    def _forget(self, bucket: str, key: str, changes: Changes) -> None:
        match self._values.pop((bucket, key), None):
            case Policy(identity=identity):
                del self.policies[identity]
                changes.policies.add(identity)
            case MeshService(service=service):
                del self.services[service.name]
                changes.shapes.add(service.name)
            case Workload(proxy_id=proxy_id):
                del self.workloads[proxy_id]
                changes.workloads.add(proxy_id)
            case AccessLog(origin=telemetry):
                del self.access_logs[telemetry]
                changes.access_logs.add(telemetry)
            case Mesh():
                self.mesh = Mesh()
                changes.mesh = True
            case Bundle():
                # No trust is not a trust to serve: the last bundle stays until there is another.
                changes.bundle = False


def _shape(service: MeshService) -> tuple[Any, ...]:
    return service.service, service.split, service.ingress, service.tls_ingress, service.settings


READS: tuple[State[Any], ...] = (POLICY, MESH_SERVICE, MESH_WORKLOAD, ACCESS_LOG, MESH, BUNDLE)
"""The channels this service listens to."""
