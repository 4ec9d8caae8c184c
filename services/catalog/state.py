"""What the catalog currently believes, and what each update of its inputs changes in what it publishes.

Pure. Incremental, and equal to a build from nothing: an update marks what it touches as stale, then services,
targets, splits and policies are derived in that order, each from what the ones before came to, stale ones only.
It refuses to remember anything that the inputs do not say.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from msgspec import Struct

from osm.bus import Update
from osm.contracts.catalog import MeshService, Split
from osm.contracts.channels import BARE, MESH, MESH_SERVICE, MESH_WORKLOAD, POLICY, SERVICE
from osm.contracts.endpoints import BareService, MeshIdentity, Service, ServiceEndpoints, Workload
from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.policy import HttpRouteGroup, IngressBackend, Mesh, TcpRoute, TrafficSplit, TrafficTarget
from osm.contracts.problem import Problem
from services.catalog.index import Index
from services.catalog.ingress import Opened, resolve_ingress
from services.catalog.known import KINDS, Callers, Known, Reading, account, callers, reference
from services.catalog.known import service as service_ref
from services.catalog.merge import Merged, merge
from services.catalog.picture import Change, Picture
from services.catalog.reach import Reach
from services.catalog.resolve import policy, resolve_target
from services.catalog.splits import overruled, resolve_split

KT = TypeVar("KT")
VT = TypeVar("VT")

ORDER = {
    entity: rank for rank, entity in enumerate((MESH.entity, MESH_SERVICE.entity, MESH_WORKLOAD.entity, POLICY.entity))
}
"""Dependencies first: a policy names services, so they are there before it, and go after it."""


class Changes(Struct, frozen=True, kw_only=True):
    """What to write, in this order, then delete. `problems` are those of objects whose problems changed."""

    puts: Mapping[str, Struct]
    deletes: tuple[str, ...] = ()
    problems: Mapping[ObjectRef, tuple[Problem, ...]]


@dataclass(slots=True)
class Stale:
    """What has to be derived again. At the start that is the mesh document, which is there without any input."""

    mesh: bool = True
    services: set[ServiceName] = field(default_factory=set)
    targets: set[ObjectRef] = field(default_factory=set)
    splits: set[ObjectRef] = field(default_factory=set)
    roots: set[ServiceName] = field(default_factory=set)
    ingress: set[ObjectRef] = field(default_factory=set)
    workloads: set[str] = field(default_factory=set)
    identities: set[Identity] = field(default_factory=set)
    documents: set[ServiceName] = field(default_factory=set)


class Catalog:
    """`documents` is what is published, by key; `problems` what is wrong, by object (none: not in it)."""

    def __init__(self) -> None:
        self.documents: dict[str, Struct] = {}
        self.problems: dict[ObjectRef, tuple[Problem, ...]] = {}
        self._picture = Picture()
        self._known = Known()
        self._reach = Reach()
        self._mesh = Mesh()
        self._workloads: dict[str, Workload] = {}
        self._platforms: dict[ServiceName, dict[str, ServiceEndpoints]] = {}
        self._services: dict[ServiceName, Merged] = {}
        self._roots: Index[ObjectRef, ServiceName] = Index()
        self._splits: dict[ServiceName, Split] = {}
        self._bare: dict[ServiceName, dict[str, BareService]] = {}
        self._ingress: dict[ObjectRef, Opened] = {}
        self._ingress_of: Index[ObjectRef, ServiceName] = Index()
        self._stale = Stale()

    @property
    def missing(self) -> tuple[str, ...]:
        """Inputs that have not been read in full yet; until there are none, nothing is derived."""
        return self._picture.missing

    @property
    def revisions(self) -> Mapping[str, int]:
        """Input bucket → revision worked in."""
        return self._picture.revisions

    def apply(self, *updates: Update) -> Changes:
        """Take updates in and say what they change. No change before every input was read in full once."""
        for update in updates:
            for change in self._picture.take(update):
                self._learn(change)
        if self._picture.missing:
            return Changes(puts={}, problems={})
        stale, self._stale = self._stale, Stale(mesh=False)
        problems = self._derive(stale)
        puts, deletes = self._write(stale)
        return Changes(puts=puts, deletes=deletes, problems=self._report(problems))

    def _learn(self, change: Change) -> None:
        """Enter one input document; what may follow from it becomes stale."""
        stale = self._stale
        match change.new or change.old:
            case Mesh():
                self._mesh = change.new if isinstance(change.new, Mesh) else Mesh()
                stale.mesh = True
            case Workload(proxy_id=proxy_id):
                _set(self._workloads, proxy_id, change.new if isinstance(change.new, Workload) else None)
                stale.workloads.add(proxy_id)
            case MeshIdentity(identity=identity):
                stale.identities.add(identity)
                self._put(account(identity), change.new)
            case ServiceEndpoints() as said:
                self._learn_service(change.key, said.service.name, change.new)
            case BareService(name=name):
                self._learn_bare(change.key, name, change.new)
            case IngressBackend() as opening:
                stale.ingress.add(reference(opening))
                self._put(reference(opening), change.new)
            case TrafficSplit() as split:
                self._learn_split(reference(split), change.new)
            case TrafficTarget() as target:
                stale.targets.add(reference(target))
                self._put(reference(target), change.new)
            case HttpRouteGroup() | TcpRoute() as routes:
                self._put(reference(routes), change.new)

    def _learn_service(self, key: str, name: ServiceName, said: Struct | None) -> None:
        platform = (SERVICE.parse(key) or (key,))[0]
        platforms = self._platforms.setdefault(name, {})
        _set(platforms, platform, said if isinstance(said, ServiceEndpoints) else None)
        if not platforms:
            del self._platforms[name]
        self._stale.services.add(name)

    def _learn_bare(self, key: str, name: ServiceName, said: Struct | None) -> None:
        platform = (BARE.parse(key) or (key,))[0]
        platforms = self._bare.setdefault(name, {})
        _set(platforms, platform, said if isinstance(said, BareService) else None)
        if not platforms:
            del self._bare[name]
        self._put_callers(self._stale, name)

    def _put_callers(self, stale: Stale, name: ServiceName) -> None:
        """Where calls of the service's pods come from: with a sidecar or without."""
        merged = self._services.get(name)
        addresses = {endpoint.address.host for endpoint in merged.endpoints} if merged else set()
        addresses |= {address for said in self._bare.get(name, {}).values() for address in said.addresses}
        found = Callers(tuple(sorted(addresses))) if addresses else None
        self._mark(stale, self._known.put(callers(name), found))

    def _learn_split(self, ref: ObjectRef, new: Struct | None) -> None:
        root = ServiceName(new.namespace, new.service) if isinstance(new, TrafficSplit) else None
        self._stale.splits.add(ref)
        self._stale.roots |= self._roots.put(ref, (root,) if root else ())
        self._stale.roots |= self._roots.values(ref)
        self._known.keep(ref, None)  # the first split of its root reads again when that is derived
        self._put(ref, new)

    def _put(self, ref: ObjectRef, value: Struct | None) -> None:
        self._mark(self._stale, self._known.put(ref, value))

    def _mark(self, stale: Stale, readers: Iterable[ObjectRef]) -> None:
        for reader in readers:
            if reader.kind == KINDS[TrafficTarget]:
                stale.targets.add(reader)
            elif reader.kind == KINDS[IngressBackend]:
                stale.ingress.add(reader)
            else:
                stale.roots |= self._roots.values(reader)

    def _derive(self, stale: Stale) -> dict[ObjectRef, tuple[Problem, ...]]:
        """Everything stale but the documents; returns the problems of every object looked at."""
        problems: dict[ObjectRef, tuple[Problem, ...]] = dict.fromkeys(stale.splits, ())
        for name in stale.services:
            problems[service_ref(name)] = self._derive_service(name, stale)
        for target in stale.targets:
            problems[target] = self._derive_target(target, stale)
        for root in stale.roots:
            problems |= self._derive_split(root, stale)
        for opening in stale.ingress:
            problems[opening] = self._derive_ingress(opening, stale)
        return problems

    def _derive_service(self, name: ServiceName, stale: Stale) -> tuple[Problem, ...]:
        merged = merge(name, self._platforms.get(name, {}))
        _set(self._services, name, merged)
        # Splits look at ports alone, so accounts and addresses may move without resolving them again.
        shape = Service(name=name, ports=merged.service.ports) if merged else None
        self._mark(stale, self._known.put(service_ref(name), shape))
        stale.identities |= self._reach.back(name, merged.service.accounts if merged else None)
        stale.documents.add(name)
        self._put_callers(stale, name)
        return merged.problems if merged else ()

    def _derive_target(self, ref: ObjectRef, stale: Stale) -> tuple[Problem, ...]:
        target = self._known.get(TrafficTarget, ref)
        if target is None:
            self._known.keep(ref, None)
            stale.identities |= self._reach.grant(ref, None)
            return ()
        reading = Reading(self._known)
        granted, problems = resolve_target(target, reading)
        self._known.keep(ref, reading)
        stale.identities |= self._reach.grant(ref, granted)
        return problems

    def _derive_split(self, root: ServiceName, stale: Stale) -> dict[ObjectRef, tuple[Problem, ...]]:
        """The first split of the root by name is the one that counts; what the others would read does not matter."""
        found = (self._known.get(TrafficSplit, ref) for ref in sorted(self._roots.keys(root)))
        splits = [split for split in found if split is not None]
        problems = overruled(splits)
        split = None
        if splits:
            reading = Reading(self._known)
            split, problems[reference(splits[0])] = resolve_split(splits[0], reading)
            self._known.keep(reference(splits[0]), reading)
        if split != self._splits.get(root):
            _set(self._splits, root, split)
            stale.documents.add(root)
        stale.identities |= self._reach.split(root, (each.service for each in split.backends) if split else ())
        return problems

    def _derive_ingress(self, ref: ObjectRef, stale: Stale) -> tuple[Problem, ...]:
        policy = self._known.get(IngressBackend, ref)
        reading = Reading(self._known) if policy else None
        opened, problems = resolve_ingress(policy, reading) if policy and reading else ({}, ())
        self._known.keep(ref, reading)
        before = self._ingress.get(ref, {})
        stale.documents |= {name for name in before.keys() | opened.keys() if before.get(name) != opened.get(name)}
        self._ingress_of.put(ref, opened)
        _set(self._ingress, ref, opened or None)
        return problems

    def _write(self, stale: Stale) -> tuple[dict[str, Struct], tuple[str, ...]]:
        """The documents of everything stale, as far as they differ from what is published."""
        fresh: dict[str, Struct | None] = {}
        if stale.mesh:
            fresh[MESH.key()] = self._mesh
        for name in stale.documents:
            fresh[MESH_SERVICE.key(name.namespace, name.name)] = self._service_document(name)
        for proxy_id in stale.workloads:
            fresh[MESH_WORKLOAD.key(proxy_id)] = self._workloads.get(proxy_id)
        for identity in stale.identities:
            fresh[POLICY.key(identity.namespace, identity.account)] = self._policy_document(identity)
        changed = {key: value for key, value in fresh.items() if value != self.documents.get(key)}
        for key, value in changed.items():
            _set(self.documents, key, value)
        keys = sorted(changed, key=_order)
        puts = {key: value for key in keys if (value := changed[key]) is not None}
        return puts, tuple(key for key in reversed(keys) if changed[key] is None)

    def _service_document(self, name: ServiceName) -> MeshService | None:
        merged = self._services.get(name)
        if merged is None:
            return None
        ingress = sorted(each for ref in self._ingress_of.keys(name) for each in self._ingress[ref][name])
        return MeshService(
            service=merged.service,
            split=self._splits.get(name),
            ingress=tuple(ingress),
            endpoints=merged.endpoints,
        )

    def _policy_document(self, identity: Identity) -> Struct | None:
        """Every account of the mesh has one, and every destination of a target; others have nothing to receive."""
        meshed = self._known.get(MeshIdentity, account(identity)) is not None
        if not meshed and not self._reach.is_destination(identity):
            return None
        return policy(identity, self._reach.granted_at(identity), self._reach.upstreams(identity))

    def _report(self, problems: Mapping[ObjectRef, tuple[Problem, ...]]) -> dict[ObjectRef, tuple[Problem, ...]]:
        """Those that changed; objects that are gone or in order again have none."""
        changed = {ref: problems[ref] for ref in sorted(problems) if problems[ref] != self.problems.get(ref, ())}
        for ref, found in changed.items():
            _set(self.problems, ref, found or None)
        return changed


def _order(key: str) -> tuple[int, str]:
    return ORDER[key.partition(".")[0]], key


def _set(mapping: dict[KT, VT], key: KT, value: VT | None) -> None:
    """Absence is a value: None takes the key out."""
    if value is None:
        mapping.pop(key, None)
    else:
        mapping[key] = value
