"""The inputs, and for each change of them what has to be derived again. Pure.

Apart from what is derived, so that forgetting to derive something again can only be a mistake made here. It refuses
to remember anything that the inputs do not say; what it cannot know by itself, it is told (`put`).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import Struct

from osm.contracts.channels import BARE, SERVICE
from osm.contracts.egress import Egress
from osm.contracts.endpoints import BareService, MeshIdentity, ServiceEndpoints, Workload
from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.policy import HttpRouteGroup, IngressBackend, Mesh, TcpRoute, TrafficSplit, TrafficTarget
from osm.contracts.telemetry import ExtensionService, Telemetry
from osm.contracts.traffic_settings import Retry, UpstreamTrafficSetting
from services.catalog.input_buckets import Change
from services.catalog.reference_lookup import KINDS, ReferenceLookup, account, reference
from services.catalog.reverse_index import ReverseIndex

KT = TypeVar("KT")
VT = TypeVar("VT")


@dataclass(slots=True)
class Stale:
    """What has to be derived again. At the start that is the mesh document, which is there without any input."""

    mesh: bool = True
    services: set[ServiceName] = field(default_factory=set)
    callers: set[ServiceName] = field(default_factory=set)
    targets: set[ObjectRef] = field(default_factory=set)
    splits: set[ObjectRef] = field(default_factory=set)
    roots: set[ServiceName] = field(default_factory=set)
    ingress: set[ObjectRef] = field(default_factory=set)
    egress: set[ObjectRef] = field(default_factory=set)
    retries: set[ObjectRef] = field(default_factory=set)
    retrying: set[Identity] = field(default_factory=set)
    settings: set[ObjectRef] = field(default_factory=set)
    limited: set[ServiceName] = field(default_factory=set)
    telemetries: set[ObjectRef] = field(default_factory=set)
    workloads: set[str] = field(default_factory=set)
    identities: set[Identity] = field(default_factory=set)
    documents: set[ServiceName] = field(default_factory=set)


class Inputs:
    """`stale` is what has come to be so since it was last replaced by an empty one."""

    def __init__(self) -> None:
        self.stale = Stale()
        self.known = ReferenceLookup()
        self.mesh = Mesh()
        self.workloads: dict[str, Workload] = {}
        self._services: dict[ServiceName, dict[str, ServiceEndpoints]] = {}
        self._bare: dict[ServiceName, dict[str, BareService]] = {}
        self._roots: ReverseIndex[ObjectRef, ServiceName] = ReverseIndex()
        self._retrying: ReverseIndex[ObjectRef, Identity] = ReverseIndex()
        self._limited: ReverseIndex[ObjectRef, ServiceName] = ReverseIndex()

    def learn(self, change: Change) -> None:
        """Enter one input document."""
        match change.new or change.old:
            case Mesh():
                self.mesh = change.new if isinstance(change.new, Mesh) else Mesh()
                self.stale.mesh = True
            case Workload(proxy_id=proxy_id):
                set_or_drop(self.workloads, proxy_id, change.new if isinstance(change.new, Workload) else None)
                self.stale.workloads.add(proxy_id)
            case MeshIdentity(identity=identity):
                self.stale.identities.add(identity)
                self.put(account(identity), change.new)
            case ServiceEndpoints() as said:
                platform = (SERVICE.parse(change.key) or (change.key,))[0]
                new = change.new if isinstance(change.new, ServiceEndpoints) else None
                _say(self._services, said.service.name, platform, new)
                self.stale.services.add(said.service.name)
            case BareService(name=name):
                platform = (BARE.parse(change.key) or (change.key,))[0]
                _say(self._bare, name, platform, change.new if isinstance(change.new, BareService) else None)
                self.stale.callers.add(name)
            case IngressBackend() as opening:
                self.stale.ingress.add(reference(opening))
                self.put(reference(opening), change.new)
            case Egress() as way_out:
                self.stale.egress.add(reference(way_out))
                self.put(reference(way_out), change.new)
            case TrafficSplit() as split:
                self._learn_split(reference(split), change.new)
            case Retry() as retry:
                self._learn_retry(reference(retry), change.new)
            case UpstreamTrafficSetting() as setting:
                self._learn_setting(reference(setting), change.new)
            case TrafficTarget() | Telemetry() as policy:
                stale = self.stale.targets if isinstance(policy, TrafficTarget) else self.stale.telemetries
                stale.add(reference(policy))
                self.put(reference(policy), change.new)
            case HttpRouteGroup() | TcpRoute() | ExtensionService() as named:
                self.put(reference(named), change.new)

    def put(self, ref: ObjectRef, value: Struct | None) -> None:
        """An object is now `value` (None: it is gone): what has looked it up is stale."""
        for reader in self.known.put(ref, value):
            if reader.kind == KINDS[TrafficTarget]:
                self.stale.targets.add(reader)
            elif reader.kind == KINDS[IngressBackend]:
                self.stale.ingress.add(reader)
            elif reader.kind == KINDS[Egress]:
                self.stale.egress.add(reader)
            elif reader.kind == KINDS[Telemetry]:
                self.stale.telemetries.add(reader)
            elif reader.kind == KINDS[Retry]:
                self.stale.retrying |= self._retrying.values(reader)
            elif reader.kind == KINDS[UpstreamTrafficSetting]:
                self.stale.limited |= self._limited.values(reader)
            else:
                self.stale.roots |= self._roots.values(reader)

    def service(self, name: ServiceName) -> Mapping[str, ServiceEndpoints]:
        """Platform → what it says of the service."""
        return self._services.get(name, {})

    def bare_addresses(self, name: ServiceName) -> set[str]:
        """Where the service's pods without a sidecar are, on any platform."""
        return {address for said in self._bare.get(name, {}).values() for address in said.addresses}

    def splits(self, root: ServiceName) -> list[TrafficSplit]:
        """Those of the root, by name."""
        found = (self.known.get(TrafficSplit, ref) for ref in sorted(self._roots.keys(root)))
        return [split for split in found if split is not None]

    def retries(self, source: Identity) -> list[Retry]:
        """Those of the source, by name."""
        found = (self.known.get(Retry, ref) for ref in sorted(self._retrying.keys(source)))
        return [retry for retry in found if retry is not None]

    def settings(self, service: ServiceName) -> list[UpstreamTrafficSetting]:
        """Those of the service, by name."""
        found = (self.known.get(UpstreamTrafficSetting, ref) for ref in sorted(self._limited.keys(service)))
        return [setting for setting in found if setting is not None]

    def _learn_split(self, ref: ObjectRef, new: Struct | None) -> None:
        root = ServiceName(new.namespace, new.service) if isinstance(new, TrafficSplit) else None
        self.stale.splits.add(ref)
        self.stale.roots |= self._roots.put(ref, (root,) if root else ())
        self.stale.roots |= self._roots.values(ref)
        self.known.keep(ref, None)  # the first split of its root reads again when that is derived
        self.put(ref, new)

    def _learn_retry(self, ref: ObjectRef, new: Struct | None) -> None:
        self.stale.retries.add(ref)
        self.stale.retrying |= self._retrying.put(ref, (new.source,) if isinstance(new, Retry) else ())
        self.stale.retrying |= self._retrying.values(ref)
        self.known.keep(ref, None)  # it reads again when those of its source are derived
        self.put(ref, new)

    def _learn_setting(self, ref: ObjectRef, new: Struct | None) -> None:
        meant = isinstance(new, UpstreamTrafficSetting) and new.service
        self.stale.settings.add(ref)
        self.stale.limited |= self._limited.put(ref, (ServiceName(ref.namespace, meant),) if meant else ())
        self.stale.limited |= self._limited.values(ref)
        self.known.keep(ref, None)  # the first of its service reads again when that is derived
        self.put(ref, new)


def set_or_drop(mapping: dict[KT, VT], key: KT, value: VT | None) -> None:
    """Absence is a value: None takes the key out."""
    if value is None:
        mapping.pop(key, None)
    else:
        mapping[key] = value


def _say(said: dict[ServiceName, dict[str, VT]], name: ServiceName, platform: str, new: VT | None) -> None:
    platforms = said.setdefault(name, {})
    set_or_drop(platforms, platform, new)
    if not platforms:
        del said[name]
