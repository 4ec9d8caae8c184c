"""The state of the catalog, and what each update of its inputs changes in what it publishes.

Pure. Incremental, and equal to a build from nothing: an update is taken in, which marks what it touches as stale
(`inputs`); what is stale is derived again (`derived`); what came out differently is written, here.
"""

from collections.abc import Mapping

from msgspec import Struct

from osm.bus import Update
from osm.contracts.channels import ACCESS_LOG, MESH, MESH_SERVICE, MESH_WORKLOAD, POLICY
from osm.contracts.names import ROOT_NAMESPACE, DnsLabel, ObjectRef
from osm.contracts.problem import Problem, first
from services.catalog.derived import Derived
from services.catalog.input_buckets import InputBuckets
from services.catalog.inputs import Inputs, Stale, set_or_drop

ORDER = {
    entity: rank
    for rank, entity in enumerate(
        (ACCESS_LOG.entity, MESH.entity, MESH_SERVICE.entity, MESH_WORKLOAD.entity, POLICY.entity)
    )
}
"""Dependencies first: a policy names services, so they are there before it, and go after it."""


class Changes(Struct, frozen=True, kw_only=True):
    """What to write, in this order, then delete. `problems` are those of objects whose problems changed."""

    puts: Mapping[str, Struct]
    deletes: tuple[str, ...] = ()
    problems: Mapping[ObjectRef, tuple[Problem, ...]]


class Catalog:
    """`documents` is what is published, by key; `problems` what is wrong, by object (none: not in it).

    `home` is the control plane's namespace: what is said of it there, some policies say of the whole mesh.
    """

    def __init__(self, home: DnsLabel = ROOT_NAMESPACE) -> None:
        self.documents: dict[str, Struct] = {}
        self.problems: dict[ObjectRef, tuple[Problem, ...]] = {}
        self._picture = InputBuckets()
        self._inputs = Inputs()
        self._derived = Derived(self._inputs, home)

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
                self._inputs.learn(change)
        if self._picture.missing:
            return Changes(puts={}, problems={})
        problems = self._derived.derive()
        stale, self._inputs.stale = self._inputs.stale, Stale(mesh=False)
        puts, deletes = self._write(stale)
        return Changes(puts=puts, deletes=deletes, problems=self._report(problems))

    def _write(self, stale: Stale) -> tuple[dict[str, Struct], tuple[str, ...]]:
        """The documents of everything stale, as far as they differ from what is published."""
        derived = self._derived
        fresh: dict[str, Struct | None] = {}
        if stale.mesh:
            fresh[MESH.key()] = derived.mesh_document()
        for ref in stale.telemetries:
            fresh[ACCESS_LOG.key(ref.namespace, ref.name)] = derived.access_log_document(ref)
        for name in stale.documents:
            fresh[MESH_SERVICE.key(name.namespace, name.name)] = derived.service_document(name)
        for proxy_id in stale.workloads:
            fresh[MESH_WORKLOAD.key(proxy_id)] = derived.workload_document(proxy_id)
        for identity in stale.identities:
            fresh[POLICY.key(identity.namespace, identity.account)] = derived.policy_document(identity)
        changed = {key: value for key, value in fresh.items() if value != self.documents.get(key)}
        for key, value in changed.items():
            set_or_drop(self.documents, key, value)
        keys = sorted(changed, key=_order)
        puts = {key: value for key in keys if (value := changed[key]) is not None}
        return puts, tuple(key for key in reversed(keys) if changed[key] is None)

    def _report(self, problems: Mapping[ObjectRef, tuple[Problem, ...]]) -> dict[ObjectRef, tuple[Problem, ...]]:
        """Those that changed; objects that are gone or in order again have none."""
        told = {ref: first(problems[ref]) for ref in sorted(problems)}
        changed = {ref: found for ref, found in told.items() if found != self.problems.get(ref, ())}
        for ref, found in changed.items():
            set_or_drop(self.problems, ref, found or None)
        return changed


def _order(key: str) -> tuple[int, str]:
    return ORDER[key.partition(".")[0]], key
