"""One namespace's objects, who refers to whom among them, and so what a change of one touches. Pure.

Apart from `namespace_documents`, so that the question "what has to be made anew?" is answered in one place.
A service is related to the pods it selects; one without a selector to the pods that its slices name.
"""

from collections.abc import Iterable
from collections.abc import Set as AbstractSet

from msgspec import Struct, field

from services.endpoints import endpoint_slices
from services.endpoints.facts import Pod, Service, Slice
from services.endpoints.selector_index import Labelled, Selectors

Names = dict[str, set[str]]


class Touched(Struct, kw_only=True):
    """What has to be made anew, by name. `shapes` are services as a whole, `places` only where they are served."""

    shapes: set[str] = field(default_factory=set)
    places: set[str] = field(default_factory=set)
    sidecars: set[str] = field(default_factory=set)
    accounts: set[str] = field(default_factory=set)


class Relations:
    """Objects are put (None: gone); `take` gives what was touched since."""

    def __init__(self) -> None:
        self.pods: dict[str, Pod] = {}
        self.services: dict[str, Service] = {}
        self.slices_by_name: dict[str, Slice] = {}
        self.slices: dict[str, dict[str, Slice]] = {}
        """Service → name of a slice → slice."""
        self.carriers: Names = {}
        """Unique part of a proxy id → pods that carry it: one, unless somebody copied a label."""
        self.vouchers: Names = {}
        """Account → what says that it is in use: pods with a sidecar, and "" for the account's own object."""
        self._named_by: Names = {}
        """Pod → services whose slices name it."""
        self._labelled = Labelled()
        self._selectors = Selectors()
        self._touched = Touched()

    @property
    def empty(self) -> bool:
        return not (self.pods or self.services or self.slices_by_name or self.vouchers)

    def take(self) -> Touched:
        touched, self._touched = self._touched, Touched()
        return touched

    def touch_all(self) -> None:
        self._touched = Touched(
            shapes=self._touched.shapes | self.services.keys(),
            places=self._touched.places | self.slices.keys(),
            sidecars=self._touched.sidecars | self.carriers.keys(),
            accounts=self._touched.accounts | self.vouchers.keys(),
        )

    def put_account(self, name: str, *, present: bool) -> None:
        _relate(self.vouchers, name, "", holds=present)
        self._touched.accounts.add(name)

    def put_service(self, name: str, service: Service | None) -> None:
        self._touch_sidecars(self.services.pop(name, None))
        self._selectors.put(name, service.selector if service else None)
        if service is not None:
            self.services[name] = service
        self._touch_sidecars(service)
        self._touched.shapes.add(name)

    def put_pod(self, name: str, pod: Pod | None) -> None:
        old = self.pods.pop(name, None)
        for each, holds in ((old, False), (pod, True)):
            if each is None:
                continue
            if holds:
                self.pods[name] = each
            self._labelled.put(name, each.labels if holds else None)
            self._touched.shapes |= self.behind(each) | self._named_by.get(name, set())
            if each.sidecar:
                _relate(self.carriers, each.sidecar, name, holds=holds)
                _relate(self.vouchers, each.identity.account, name, holds=holds)
                self._touched.sidecars.add(each.sidecar)
                self._touched.accounts.add(each.identity.account)

    def put_slice(self, name: str, new: Slice | None) -> None:
        old = self.slices_by_name.pop(name, None)
        if old is not None and (new is None or new.service != old.service):
            self._put_slice(old.service, name, None)
        if new is not None:
            self.slices_by_name[name] = new
            self._put_slice(new.service, name, new)

    def behind(self, pod: Pod) -> set[str]:
        """Names of the services that the pod is behind."""
        named = {
            name
            for name in self._named_by.get(pod.name, ())
            if name in self.services and not self.services[name].selector
        }
        return self._selectors.matching(pod.labels) | named

    def pods_behind(self, service: Service) -> list[Pod]:
        """By name."""
        if service.selector:
            names: AbstractSet[str] = self._labelled.selected(service.selector)
        else:
            names = endpoint_slices.named(self.slices.get(service.name, {}).values()) & self.pods.keys()
        return [self.pods[name] for name in sorted(names)]

    def _put_slice(self, service: str, name: str, new: Slice | None) -> None:
        there = self.slices.setdefault(service, {})
        before = endpoint_slices.named(there.values())
        there.pop(name, None)
        if new is not None:
            there[name] = new
        after = endpoint_slices.named(there.values())
        if not there:
            del self.slices[service]
        self._touched.places.add(service)
        for pod in before ^ after:
            _relate(self._named_by, pod, service, holds=pod in after)
        written = self.services.get(service)
        if written is not None and not written.selector and before != after:
            self._touched.shapes.add(service)
            self._touch(self.pods[pod] for pod in (before ^ after) & self.pods.keys())

    def _touch_sidecars(self, service: Service | None) -> None:
        if service is not None:
            self._touch(self.pods_behind(service))

    def _touch(self, pods: Iterable[Pod]) -> None:
        self._touched.sidecars |= {pod.sidecar for pod in pods if pod.sidecar}


def _relate(names: Names, key: str, value: str, *, holds: bool) -> None:
    values = names.setdefault(key, set())
    if holds:
        values.add(value)
    else:
        values.discard(value)
    if not values:
        del names[key]
