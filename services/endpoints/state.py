"""The state of `endpoints` for a folder, and the documents that follow from it. Pure.

A change of workloads recomputes the namespaces it touches and nothing else; what comes out equal is not a change.
"""

from collections.abc import Collection, Iterable, Mapping

from msgspec import Struct

from osm.contracts.channels import IDENTITY, SERVICE, WORKLOAD
from osm.contracts.endpoints import LocalWorkload, MeshIdentity
from osm.contracts.names import ROOT_NAMESPACE, Identity, ServiceName
from osm.contracts.problem import Problem
from services.endpoints.declared_services import DeclaredService, DeclaredServices
from services.endpoints.diff import ordered
from services.endpoints.join import join, workload

PLATFORM = "local"


class State:
    """The picture. `documents` is what follows from it, by key of bucket `endpoints`; replaced, never changed."""

    def __init__(self) -> None:
        self.documents: dict[str, Struct] = {}
        self._offers = DeclaredServices()
        self._by_namespace: dict[str, list[DeclaredService]] = {}
        self._workloads: dict[str, LocalWorkload] = {}
        self._problems: dict[ServiceName, tuple[Problem, ...]] = {}

    @property
    def problems(self) -> list[Problem]:
        """All that is wrong with the objects, given what runs."""
        return [*self._offers.problems, *(each for found in self._problems.values() for each in found)]

    def offer(self, offers: DeclaredServices) -> None:
        """Take in what the manifests say now."""
        before = self._by_namespace
        self._offers = offers
        self._by_namespace = {}
        for each in offers.services.values():
            self._by_namespace.setdefault(each.name.namespace, []).append(each)
        running = {each.identity.namespace for each in self._workloads.values()}
        self._recompute({*before, *self._by_namespace, *running})

    def run(self, changed: Mapping[str, LocalWorkload | None], *, full: bool, unclear: Collection[str] = ()) -> None:
        """Take in workloads that came, changed or went (None); `full`: there are no others but the `unclear`."""
        gone = {id_: None for id_ in self._workloads if full and id_ not in changed and id_ not in unclear}
        touched: set[str] = set()
        for id_, new in {**changed, **gone}.items():
            old = self._workloads.pop(id_, None)
            if new is not None:
                self._workloads[id_] = new
            touched |= {each.identity.namespace for each in (old, new) if each is not None}
        self._recompute(touched)

    def _recompute(self, namespaces: set[str]) -> None:
        """Make the documents of these namespaces, and the identities, anew."""
        new = {key: document for key, document in self.documents.items() if not _in(key, namespaces)}
        for namespace in sorted(namespaces):
            new.update(self._namespace(namespace))
        new.update(self._identities())
        self._problems = {name: found for name, found in self._problems.items() if name in self._offers.services}
        self.documents = {key: new[key] for key in ordered(new)}

    def _namespace(self, namespace: str) -> dict[str, Struct]:
        if namespace in self._offers.ignored:
            return {}
        offers = self._by_namespace.get(namespace, [])
        running = [each for each in self._workloads.values() if each.identity.namespace == namespace]
        documents: dict[str, Struct] = {}
        for offer in offers:
            joined = join(offer, running)
            documents[SERVICE.key(PLATFORM, namespace, offer.name.name)] = joined.document
            self._problems[offer.name] = joined.problems
        for each in running:
            documents[WORKLOAD.key(each.id)] = workload(each, offers)
        return documents

    def _identities(self) -> dict[str, Struct]:
        running = {each.identity for each in self._workloads.values()}
        meshed: Iterable[Identity] = (
            each
            for each in running | self._offers.identities
            if each.namespace not in self._offers.ignored and each.namespace != ROOT_NAMESPACE
        )
        return {IDENTITY.key(each.namespace, each.account): MeshIdentity(identity=each) for each in meshed}


def _in(key: str, namespaces: set[str]) -> bool:
    """Whether the document is one that these namespaces decide; identities are decided as a whole."""
    if (service := SERVICE.parse(key)) is not None:
        return service[1] in namespaces
    if (proxy := WORKLOAD.parse(key)) is not None:
        return proxy[0].rpartition(".")[2] in namespaces
    return True
