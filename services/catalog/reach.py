"""Who can reach what: grants, the accounts behind services, and the splits that lead to other services.

Every change returns the identities whose policy it may alter; nobody else's has to be looked at again.
Readiness is not part of it: a service is where its accounts are, whether a workload is ready or not.
"""

from collections.abc import Iterable, Iterator

from osm.contracts.catalog import Upstream
from osm.contracts.names import Identity, ObjectRef, ServiceName
from services.catalog.resolve import Granted
from services.catalog.reverse_index import ReverseIndex


class Reach:
    """The relations between identities, targets, services and split roots."""

    def __init__(self) -> None:
        self._granted: dict[ObjectRef, Granted] = {}
        self._sources: ReverseIndex[ObjectRef, Identity] = ReverseIndex()
        self._destinations: ReverseIndex[ObjectRef, Identity] = ReverseIndex()
        self._accounts: ReverseIndex[ServiceName, Identity] = ReverseIndex()
        self._backends: ReverseIndex[ServiceName, ServiceName] = ReverseIndex()
        self._whole: dict[ServiceName, Upstream] = {}

    def grant(self, target: ObjectRef, granted: Granted | None) -> set[Identity]:
        """A target now grants this; None if the target is gone."""
        old = self._granted.get(target)
        if old == granted:
            return set()
        if granted is None:
            del self._granted[target]
        else:
            self._granted[target] = granted
        ends = {one.destination for one in (old, granted) if one}
        sources = self._sources.values(target)
        moved = self._sources.put(target, granted.sources if granted else ())
        if self._destinations.put(target, (granted.destination,) if granted else ()):
            moved |= sources
        return ends | moved

    def back(self, service: ServiceName, accounts: tuple[Identity, ...] | None) -> set[Identity]:
        """A service is now backed by these accounts; None if it is gone."""
        if accounts is None:
            self._whole.pop(service, None)
        else:
            self._whole[service] = Upstream(service=service, accounts=tuple(sorted(set(accounts))))
        return self._reaching(self._accounts.put(service, accounts or ()))

    def split(self, root: ServiceName, backends: Iterable[ServiceName]) -> set[Identity]:
        """Calls to `root` are now divided among these; none if it serves itself."""
        moved = self._backends.put(root, backends)
        return self._reaching(account for backend in moved for account in self._accounts.values(backend))

    def is_destination(self, identity: Identity) -> bool:
        """Whether a target names it, granting or not."""
        return bool(self._destinations.keys(identity))

    def granted_at(self, destination: Identity) -> Iterator[Granted]:
        """What the destination receives, in no order."""
        return (self._granted[target] for target in self._destinations.keys(destination))

    def upstreams(self, source: Identity) -> tuple[Upstream, ...]:
        """The services that `source` may reach, and the roots that lead to one of them."""
        accounts = {self._granted[target].destination for target in self._sources.keys(source)}
        services = {service for account in accounts for service in self._accounts.keys(account)}
        services |= {root for service in services for root in self._backends.keys(service)}
        return tuple(self._upstream(service, accounts) for service in sorted(services))

    def _upstream(self, service: ServiceName, reachable: set[Identity]) -> Upstream:
        """Who reaches all accounts of a service shares one value with all who do: that is nearly everyone."""
        accounts = self._accounts.values(service)
        if accounts <= reachable:
            return self._whole[service]
        return Upstream(service=service, accounts=tuple(sorted(accounts & reachable)))

    def _reaching(self, accounts: Iterable[Identity]) -> set[Identity]:
        return {
            source
            for account in accounts
            for target in self._destinations.keys(account)
            for source in self._sources.values(target)
        }
