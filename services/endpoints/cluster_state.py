"""All that `endpoints` knows of a cluster, and the documents that follow, kept current change by change. Pure.

Each namespace has its `namespace_documents`; here is only what spans them: who is in the mesh, what a full picture
takes away, and which documents are different from those before.
"""

from collections.abc import Callable, Mapping
from typing import TypeVar

from msgspec import Struct

from osm.contracts.status import ObjectStatus
from services.endpoints.diff import Change, ordered
from services.endpoints.facts import Namespace, Pod, Service, Slice
from services.endpoints.namespace_documents import NamespaceDocuments

T = TypeVar("T")

Key = tuple[str, str]
"""Namespace and name; a Namespace's own namespace is empty."""

Changed = Mapping[Key, T | None]
"""Objects that came, changed, or went (None)."""


class ClusterState:
    """`documents` and `lines` are what holds now, by key; changed in place by `take`."""

    def __init__(self) -> None:
        self.documents: dict[str, Struct] = {}
        self.lines: dict[str, ObjectStatus] = {}
        self._rooms: dict[str, NamespaceDocuments] = {}
        self._namespaces: set[Key] = set()
        self._touched: set[str] = set()
        self._spoken: set[str] = set()

    def put_namespaces(self, changed: Changed[Namespace], *, full: bool = False) -> None:
        """`full`, here and below: there are no others."""
        gone = self._namespaces - changed.keys() if full else set()
        for key, namespace in {**changed, **dict.fromkeys(gone)}.items():
            self._namespaces.discard(key)
            if namespace is not None:
                self._namespaces.add(key)
            self._room(key[1]).put_namespace(namespace)

    def put_accounts(self, changed: Changed[object], *, full: bool = False) -> None:
        present = {
            (name, account)
            for name, room in self._rooms.items()
            for account, vouchers in room.relations.vouchers.items()
            if full and "" in vouchers
        }
        for (namespace, name), account in {**changed, **dict.fromkeys(present - changed.keys())}.items():
            self._room(namespace).relations.put_account(name, present=account is not None)

    def put_services(self, changed: Changed[Service], *, full: bool = False) -> None:
        self._put(changed, full, lambda room: room.relations.services, lambda room: room.relations.put_service)

    def put_slices(self, changed: Changed[Slice], *, full: bool = False) -> None:
        self._put(changed, full, lambda room: room.relations.slices_by_name, lambda room: room.relations.put_slice)

    def put_pods(self, changed: Changed[Pod], *, full: bool = False) -> None:
        self._put(changed, full, lambda room: room.relations.pods, lambda room: room.relations.put_pod)

    def take(self) -> Change:
        """The documents that differ from those at the last call."""
        puts: dict[str, Struct] = {}
        deletes: list[str] = []
        for name in sorted(self._touched):
            outcome = self._rooms[name].take()
            for key, document in outcome.documents.items():
                old = self.documents.get(key)
                if document is None and old is not None:
                    deletes.append(key)
                elif document is not None and document != old:
                    puts[key] = document
            self._hear(outcome.lines)
            if self._rooms[name].empty:
                del self._rooms[name]
        self._touched.clear()
        self.documents.update(puts)
        for key in deletes:
            del self.documents[key]
        return Change(puts={key: puts[key] for key in ordered(puts)}, deletes=tuple(reversed(ordered(deletes))))

    def take_lines(self) -> Mapping[str, ObjectStatus | None]:
        """The status lines that differ from those at the last call; None where one is gone."""
        spoken, self._spoken = self._spoken, set()
        return {key: self.lines.get(key) for key in sorted(spoken)}

    def _hear(self, lines: Mapping[str, ObjectStatus | None]) -> None:
        for key, line in lines.items():
            if self.lines.get(key) == line:
                continue
            self._spoken.add(key)
            if line is None:
                del self.lines[key]
            else:
                self.lines[key] = line

    def _put(
        self,
        changed: Changed[T],
        full: bool,  # noqa: FBT001  # passed on
        held: Callable[[NamespaceDocuments], Mapping[str, T]],
        put: Callable[[NamespaceDocuments], Callable[[str, T | None], None]],
    ) -> None:
        """Equal ones are not put: most of what a cluster says of its pods changes nothing here."""
        before = {(name, each) for name, room in self._rooms.items() for each in held(room)} if full else set()
        for (namespace, name), new in {**changed, **dict.fromkeys(before - changed.keys())}.items():
            room = self._room(namespace)
            if held(room).get(name) != new:
                put(room)(name, new)

    def _room(self, namespace: str) -> NamespaceDocuments:
        """To be changed."""
        self._touched.add(namespace)
        return self._rooms.setdefault(namespace, NamespaceDocuments(namespace))
