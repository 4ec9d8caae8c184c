"""Which Telemetry a workload logs by: the narrowest that is meant for it. Pure.

That is one of its namespace whose selector its labels hold, else one of its namespace without a selector, else one
without a selector in the control plane's namespace, which is for all of the mesh. Of several alike the first by name
counts, and the others are told. A selector matches in its own namespace only (OSM's matched in every one).

Labels end here: what a proxy is told changes when another Telemetry counts for it, and with no label besides.
"""

from collections.abc import Collection, Iterable, Mapping

from osm.contracts.endpoints import Workload
from osm.contracts.names import DnsLabel, ObjectRef
from osm.contracts.problem import Problem, Severity
from osm.contracts.telemetry import AccessLog, ExtensionService, Telemetry
from services.catalog.inputs import set_or_drop
from services.catalog.reference_lookup import Reading, reference
from services.catalog.references import missing
from services.catalog.reverse_index import ReverseIndex


class AccessLogs:
    """`home` is the control plane's namespace."""

    def __init__(self, home: DnsLabel) -> None:
        self.home = home
        self._telemetries: dict[DnsLabel, dict[ObjectRef, Telemetry]] = {}
        self._workloads: dict[DnsLabel, dict[str, Workload]] = {}
        self._namespaces: dict[str, DnsLabel] = {}
        self._selected_by: ReverseIndex[str, ObjectRef] = ReverseIndex()
        """Proxy id → the Telemetries whose selector its labels hold."""

    @property
    def mesh_wide(self) -> ObjectRef | None:
        """For every workload that no Telemetry of its own namespace is meant for."""
        return self._first_for_all(self.home)

    def learn(self, changed: Mapping[ObjectRef, Telemetry | None]) -> Collection[str]:
        """Take Telemetries in; returns the proxies that these may concern."""
        for ref, telemetry in changed.items():
            here = self._telemetries.setdefault(ref.namespace, {})
            set_or_drop(here, ref, telemetry)
            if not here:
                del self._telemetries[ref.namespace]
        return [proxy_id for each in {ref.namespace for ref in changed} for proxy_id in self._workloads.get(each, ())]

    def place(self, workloads: Mapping[str, Workload | None]) -> Collection[DnsLabel]:
        """Take workloads in, or look at them again; returns the namespaces where they are or were."""
        touched = {self._namespaces[proxy_id] for proxy_id in workloads if proxy_id in self._namespaces}
        for proxy_id, workload in workloads.items():
            before = self._namespaces.pop(proxy_id, None)
            if before is not None:
                del self._workloads[before][proxy_id]
            if workload is not None:
                namespace = workload.identity.namespace
                self._namespaces[proxy_id] = namespace
                self._workloads.setdefault(namespace, {})[proxy_id] = workload
                touched.add(namespace)
            self._selected_by.put(proxy_id, self._selecting(workload) if workload is not None else ())
        return touched

    def chosen(self, proxy_id: str) -> ObjectRef | None:
        """None if no Telemetry of its namespace is meant for it: the mesh's is, if there is one."""
        selecting = self._selected_by.values(proxy_id)
        return min(selecting) if selecting else self._first_for_all(self._namespaces.get(proxy_id, self.home))

    def document(self, ref: ObjectRef) -> AccessLog | None:
        """None if there is no such Telemetry, or if it says that nothing is logged."""
        telemetry = self._telemetries.get(ref.namespace, {}).get(ref)
        if telemetry is None or telemetry.access_log is None:
            return None
        return AccessLog(origin=ref, terms=telemetry.access_log)

    def problems(self, namespaces: Iterable[DnsLabel]) -> dict[ObjectRef, tuple[Problem, ...]]:
        """Of every Telemetry in these."""
        return {ref: tuple(self._wrong(ref)) for each in namespaces for ref in self._telemetries.get(each, ())}

    def _selecting(self, workload: Workload) -> list[ObjectRef]:
        there = self._telemetries.get(workload.identity.namespace)
        if not there:
            return []
        labels = set(workload.labels)
        return [ref for ref, each in there.items() if each.selector and labels.issuperset(each.selector)]

    def _first_for_all(self, namespace: DnsLabel) -> ObjectRef | None:
        there = self._telemetries.get(namespace, {})
        return min((ref for ref, each in there.items() if not each.selector), default=None)

    def _wrong(self, ref: ObjectRef) -> list[Problem]:
        if not self._telemetries[ref.namespace][ref].selector:
            first = self._first_for_all(ref.namespace)
            if first is None or first == ref:
                return []
            what = f"{first} has no selector either, and of several the first by name counts; remove this one or that"
            return [_problem(ref, "spec.selector", what)]
        if ref.namespace == self.home:
            what = (
                f"a selector is for pods of its own namespace, and {self.home}, the control plane's, has none "
                "in the mesh; leave it out to mean the whole mesh"
            )
            return [_problem(ref, "spec.selector", what)]
        return self._outdone(ref)

    def _outdone(self, ref: ObjectRef) -> list[Problem]:
        selected = self._selected_by.keys(ref)
        if not selected:
            pairs = ", ".join(f"{key}={value}" for key, value in self._telemetries[ref.namespace][ref].selector)
            what = f"no workload with a sidecar in namespace {ref.namespace} has {pairs}; it changes nothing"
            return [_problem(ref, "spec.selector", what, "warning")]
        lost = sorted(proxy_id for proxy_id in selected if min(self._selected_by.values(proxy_id)) != ref)
        if not lost:
            return []
        winner = min(self._selected_by.values(lost[0]))
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        what = f"it selects {lost[0]}{more} as {winner} does, and of several the first by name counts"
        return [_problem(ref, "spec.selector", what, "warning")]


def unknown_collector(telemetry: Telemetry, read: Reading) -> tuple[Problem, ...]:
    """If it asks for one that is not there."""
    asked = telemetry.access_log.open_telemetry if telemetry.access_log else None
    if asked is None or read.find(ExtensionService, asked.namespace, asked.name) is not None:
        return ()
    what = f"{missing(ExtensionService, asked.namespace, asked.name, read)}; entries go to standard output alone"
    return (_problem(reference(telemetry), "spec.accessLog.openTelemetry.extensionService", what),)


def _problem(ref: ObjectRef, field: str, what: str, severity: Severity = "error") -> Problem:
    return Problem(subject=ref, field=field, what=what, severity=severity)
