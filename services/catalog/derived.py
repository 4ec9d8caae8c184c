"""What is derived from the inputs: services, targets, splits, ways in and out, retries, in that order. Pure.

Each is derived from what the ones before came to, and marks what its own outcome makes stale. It refuses to look at
anything that is not stale, and to write: what is published of it is asked of it (`service_document`, ...).
"""

from collections.abc import Iterable

from msgspec import structs

from osm.contracts.catalog import Ingress, MeshService, Policy, ServiceRetry, ServiceSettings, Split, TlsIngress
from osm.contracts.egress import Egress
from osm.contracts.endpoints import MeshIdentity, Service, Workload
from osm.contracts.names import DnsLabel, Identity, ObjectRef, ServiceName
from osm.contracts.policy import IngressBackend, Mesh, TrafficTarget
from osm.contracts.problem import Problem
from osm.contracts.telemetry import AccessLog, ExtensionService, Telemetry
from services.catalog.access_logs import AccessLogs, unknown_collector
from services.catalog.egress import resolve_egress
from services.catalog.ingress import Opened, resolve_ingress
from services.catalog.inputs import Inputs, set_or_drop
from services.catalog.merge import Merged, merge
from services.catalog.reach import Reach
from services.catalog.reference_lookup import KINDS, Callers, Reading, account, callers, reference
from services.catalog.reference_lookup import service as service_ref
from services.catalog.resolve import policy, resolve_target
from services.catalog.retries import resolve_retry
from services.catalog.reverse_index import ReverseIndex
from services.catalog.splits import overruled, resolve_split
from services.catalog.traffic_settings import overruled as overruled_settings
from services.catalog.traffic_settings import resolve_settings
from services.catalog.ways_out import WaysOut


class Derived:
    """`derive` brings it up to date with the inputs; until then it is what followed from earlier ones."""

    def __init__(self, inputs: Inputs, home: DnsLabel) -> None:
        """`home` is the control plane's namespace."""
        self._inputs = inputs
        self._known = inputs.known
        self._reach = Reach()
        self._services: dict[ServiceName, Merged] = {}
        self._splits: dict[ServiceName, Split] = {}
        self._settings: dict[ServiceName, ServiceSettings] = {}
        self._retries: dict[Identity, tuple[ServiceRetry, ...]] = {}
        self._ways_out = WaysOut()
        self._access_logs = AccessLogs(home)
        self._ingress: dict[ObjectRef, Opened] = {}
        self._ingress_of: ReverseIndex[ObjectRef, ServiceName] = ReverseIndex()

    def derive(self) -> dict[ObjectRef, tuple[Problem, ...]]:
        """Everything stale but the documents; returns the problems of every object looked at."""
        stale = self._inputs.stale
        problems: dict[ObjectRef, tuple[Problem, ...]] = dict.fromkeys(
            stale.splits | stale.retries | stale.settings, ()
        )
        for name in stale.services:
            problems[service_ref(name)] = self._derive_service(name)
        for name in stale.services | stale.callers:
            self._derive_callers(name)
        for target in stale.targets:
            problems[target] = self._derive_target(target)
        for root in stale.roots:
            problems |= self._derive_split(root)
        for opening in stale.ingress:
            problems[opening] = self._derive_ingress(opening)
        problems |= self._derive_egress(stale.egress)
        for source in stale.retrying:
            problems |= self._derive_retries(source)
        problems |= self._derive_access_logs()
        for limited in stale.limited:
            problems |= self._derive_settings(limited)
        return problems

    def service_document(self, name: ServiceName) -> MeshService | None:
        merged = self._services.get(name)
        if merged is None:
            return None
        ingress = [each for ref in self._ingress_of.keys(name) for each in self._ingress[ref][name]]
        return MeshService(
            service=merged.service,
            split=self._splits.get(name),
            ingress=tuple(sorted(each for each in ingress if isinstance(each, Ingress))),
            endpoints=merged.endpoints,
            tls_ingress=tuple(sorted(each for each in ingress if isinstance(each, TlsIngress))),
            settings=self._settings.get(name),
        )

    def policy_document(self, identity: Identity) -> Policy | None:
        """Every account of the mesh has one, and every destination of a target; others have nothing to receive."""
        meshed = self._known.get(MeshIdentity, account(identity)) is not None
        if not meshed and not self._reach.is_destination(identity):
            return None
        return policy(
            identity,
            self._reach.granted_at(identity),
            self._reach.upstreams(identity),
            self._retries.get(identity, ()),
            self._ways_out.of(identity),
        )

    def mesh_document(self) -> Mesh:
        return structs.replace(self._inputs.mesh, telemetry=self._access_logs.mesh_wide)

    def workload_document(self, proxy_id: str) -> Workload | None:
        workload = self._inputs.workloads.get(proxy_id)
        if workload is None:
            return None
        return structs.replace(workload, labels=(), telemetry=self._access_logs.chosen(proxy_id))

    def access_log_document(self, telemetry: ObjectRef) -> AccessLog | None:
        log = self._access_logs.document(telemetry)
        asked = log.terms.open_telemetry if log else None
        if log is None or asked is None:
            return log
        ref = ObjectRef(KINDS[ExtensionService], asked.namespace, asked.name)
        return structs.replace(log, collector=self._known.get(ExtensionService, ref))

    def _derive_service(self, name: ServiceName) -> tuple[Problem, ...]:
        stale, merged = self._inputs.stale, merge(name, self._inputs.service(name))
        set_or_drop(self._services, name, merged)
        # Splits look at ports alone, so accounts and addresses may move without resolving them again.
        shape = Service(name=name, ports=merged.service.ports) if merged else None
        self._inputs.put(service_ref(name), shape)
        stale.identities |= self._reach.back(name, merged.service.accounts if merged else None)
        stale.documents.add(name)
        return merged.problems if merged else ()

    def _derive_callers(self, name: ServiceName) -> None:
        """Where calls of the service's pods come from: with a sidecar or without."""
        merged = self._services.get(name)
        addresses = {endpoint.address.host for endpoint in merged.endpoints} if merged else set()
        addresses |= self._inputs.bare_addresses(name)
        self._inputs.put(callers(name), Callers(tuple(sorted(addresses))) if addresses else None)

    def _derive_target(self, ref: ObjectRef) -> tuple[Problem, ...]:
        stale, target = self._inputs.stale, self._known.get(TrafficTarget, ref)
        if target is None:
            self._known.keep(ref, None)
            stale.identities |= self._reach.grant(ref, None)
            return ()
        reading = Reading(self._known)
        granted, problems = resolve_target(target, reading)
        self._known.keep(ref, reading)
        stale.identities |= self._reach.grant(ref, granted)
        return problems

    def _derive_split(self, root: ServiceName) -> dict[ObjectRef, tuple[Problem, ...]]:
        """The first split of the root by name is the one that counts; what the others would read does not matter."""
        stale, splits = self._inputs.stale, self._inputs.splits(root)
        problems = overruled(splits)
        split = None
        if splits:
            reading = Reading(self._known)
            split, problems[reference(splits[0])] = resolve_split(splits[0], reading)
            self._known.keep(reference(splits[0]), reading)
        if split != self._splits.get(root):
            set_or_drop(self._splits, root, split)
            stale.documents.add(root)
        stale.identities |= self._reach.split(root, (each.service for each in split.backends) if split else ())
        return problems

    def _derive_ingress(self, ref: ObjectRef) -> tuple[Problem, ...]:
        opening = self._known.get(IngressBackend, ref)
        reading = Reading(self._known) if opening else None
        opened, problems = resolve_ingress(opening, reading) if opening and reading else ({}, ())
        self._known.keep(ref, reading)
        before = self._ingress.get(ref, {})
        moved = {name for name in before.keys() | opened.keys() if before.get(name) != opened.get(name)}
        self._inputs.stale.documents |= moved
        self._ingress_of.put(ref, opened)
        set_or_drop(self._ingress, ref, opened or None)
        return problems

    def _derive_access_logs(self) -> dict[ObjectRef, tuple[Problem, ...]]:
        """Workloads that a Telemetry may concern are stale with it, and of all in a namespace it is told who counts."""
        stale, logs = self._inputs.stale, self._access_logs
        stale.workloads.update(logs.learn({ref: self._known.get(Telemetry, ref) for ref in stale.telemetries}))
        touched = {ref.namespace for ref in stale.telemetries}
        stale.mesh |= logs.home in touched
        touched.update(logs.place({proxy_id: self._inputs.workloads.get(proxy_id) for proxy_id in stale.workloads}))
        problems = dict.fromkeys(stale.telemetries, ()) | logs.problems(touched)
        return {ref: (*found, *self._derive_collector(ref)) for ref, found in problems.items()}

    def _derive_collector(self, ref: ObjectRef) -> tuple[Problem, ...]:
        """Where the Telemetry's entries are to go; looked up so that it is stale when that comes, changes or goes."""
        telemetry = self._known.get(Telemetry, ref)
        reading = Reading(self._known) if telemetry else None
        problems = unknown_collector(telemetry, reading) if telemetry and reading else ()
        self._known.keep(ref, reading)
        return problems

    def _derive_egress(self, stale: Iterable[ObjectRef]) -> dict[ObjectRef, tuple[Problem, ...]]:
        """All of them first: what one means beside the others is said when it is known of each."""
        problems: dict[ObjectRef, tuple[Problem, ...]] = dict.fromkeys(stale, ())
        moved: set[Identity] = set()
        for ref in problems:
            found = self._known.get(Egress, ref)
            reading = Reading(self._known) if found else None
            grants, wrong = resolve_egress(found, reading) if found and reading else ((), ())
            self._known.keep(ref, reading)
            moved |= self._ways_out.grant(ref, found, grants, wrong)
        self._inputs.stale.identities |= moved
        return problems | self._ways_out.problems(moved)

    def _derive_settings(self, name: ServiceName) -> dict[ObjectRef, tuple[Problem, ...]]:
        """The first by name is the one that counts; what the others would read does not matter."""
        stale, settings = self._inputs.stale, self._inputs.settings(name)
        problems = overruled_settings(settings)
        found = None
        if settings:
            reading = Reading(self._known)
            found, problems[reference(settings[0])] = resolve_settings(settings[0], reading)
            self._known.keep(reference(settings[0]), reading)
        if found != self._settings.get(name):
            set_or_drop(self._settings, name, found)
            stale.documents.add(name)
        return problems

    def _derive_retries(self, source: Identity) -> dict[ObjectRef, tuple[Problem, ...]]:
        """In the order of their names, so that each knows what those before it have taken."""
        problems: dict[ObjectRef, tuple[Problem, ...]] = {}
        found: list[ServiceRetry] = []
        for retry in self._inputs.retries(source):
            reading = Reading(self._known)
            more, problems[reference(retry)] = resolve_retry(retry, reading, found)
            self._known.keep(reference(retry), reading)
            found += more
        set_or_drop(self._retries, source, tuple(sorted(found, key=lambda each: each.service)) or None)
        self._inputs.stale.identities.add(source)
        return problems
