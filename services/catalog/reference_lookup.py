"""The objects that users' policies refer to, by name, and who has looked which of them up.

A resolver gets a `Reading` and asks it; what it asked for is kept. So when an object comes, changes or goes,
the resolutions that may now end differently are known, and none can forget to declare what it depends on.
It refuses to know what is resolved.
"""

from collections.abc import Iterator
from typing import TypeVar

from msgspec import Struct

from osm.contracts.egress import Egress
from osm.contracts.endpoints import MeshIdentity, Service
from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.policy import HttpRouteGroup, IngressBackend, TcpRoute, TrafficSplit, TrafficTarget
from osm.contracts.telemetry import ExtensionService, Telemetry
from osm.contracts.traffic_settings import Retry, UpstreamTrafficSetting
from services.catalog.reverse_index import ReverseIndex

T = TypeVar("T", bound=Struct)


class Callers(Struct, frozen=True):
    """The addresses that calls of a service's pods come from, sorted."""

    addresses: tuple[str, ...] = ()


KINDS: dict[type[Struct], str] = {
    Callers: "Endpoints",
    Egress: "Egress",
    ExtensionService: "ExtensionService",
    HttpRouteGroup: "HTTPRouteGroup",
    IngressBackend: "IngressBackend",
    MeshIdentity: "ServiceAccount",
    Retry: "Retry",
    Service: "Service",
    TcpRoute: "TCPRoute",
    Telemetry: "Telemetry",
    TrafficSplit: "TrafficSplit",
    TrafficTarget: "TrafficTarget",
    UpstreamTrafficSetting: "UpstreamTrafficSetting",
}
"""What users call the things that the contracts hold."""

ANY = ""
"""As a name: the set of names of a kind in a namespace, which a sentence about a missing one lists."""

Named = (
    Egress
    | ExtensionService
    | HttpRouteGroup
    | TcpRoute
    | IngressBackend
    | Retry
    | Telemetry
    | TrafficSplit
    | TrafficTarget
    | UpstreamTrafficSetting
)


def reference(value: Named) -> ObjectRef:
    return ObjectRef(KINDS[type(value)], value.namespace, value.name)


def account(identity: Identity) -> ObjectRef:
    return ObjectRef(KINDS[MeshIdentity], identity.namespace, identity.account)


def service(name: ServiceName) -> ObjectRef:
    return ObjectRef(KINDS[Service], name.namespace, name.name)


def callers(name: ServiceName) -> ObjectRef:
    return ObjectRef(KINDS[Callers], name.namespace, name.name)


class ReferenceLookup:
    """What exists. `readers` are the objects whose resolution looked something up here."""

    def __init__(self) -> None:
        self._objects: dict[ObjectRef, Struct] = {}
        self._names: dict[ObjectRef, set[str]] = {}
        self._readers: ReverseIndex[ObjectRef, ObjectRef] = ReverseIndex()

    def put(self, ref: ObjectRef, value: Struct | None) -> frozenset[ObjectRef]:
        """An object is now `value` (None: it is gone); returns the readers that this may concern."""
        old = self._objects.get(ref)
        if value == old:
            return frozenset()
        readers = frozenset(self._readers.keys(ref))
        if value is None:
            del self._objects[ref]
        else:
            self._objects[ref] = value
        if value is not None and old is not None:
            return readers
        every = ObjectRef(ref.kind, ref.namespace, ANY)
        self._names.setdefault(every, set()).symmetric_difference_update((ref.name,))
        return readers | self._readers.keys(every)

    def get(self, kind: type[T], ref: ObjectRef) -> T | None:
        found = self._objects.get(ref)
        return found if isinstance(found, kind) else None

    def names(self, every: ObjectRef) -> Iterator[str]:
        return iter(self._names.get(every, ()))

    def keep(self, reader: ObjectRef, reading: "Reading | None") -> None:
        """Remember what the reader's latest resolution looked up; None if the reader is gone."""
        self._readers.put(reader, reading.asked if reading else ())


class Reading:
    """One resolution's view of what is known; `asked` is what its outcome depends on."""

    def __init__(self, known: ReferenceLookup) -> None:
        self.asked: set[ObjectRef] = set()
        self.said: dict[ObjectRef, str] = {}
        """What sentences say of a set of names, made once: a thousand wrong names are one walk over the right ones."""
        self._known = known

    def find(self, kind: type[T], namespace: str, name: str) -> T | None:
        ref = ObjectRef(KINDS[kind], namespace, name)
        self.asked.add(ref)
        return self._known.get(kind, ref)

    def names(self, kind: type[Struct], namespace: str) -> Iterator[str]:
        """The names of that kind in the namespace, in no order."""
        every = ObjectRef(KINDS[kind], namespace, ANY)
        self.asked.add(every)
        return self._known.names(every)
