"""Classes of proxies: what a proxy's configuration depends on, and which change touches which class.

Pure. Configuration is built per class, never per proxy; a class is built when its first proxy connects
and forgotten with its last. What several classes have in common is made once (`made`).
"""

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from osm.ads.resource import Resource
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE
from osm.contracts.catalog import Upstream
from osm.contracts.endpoints import Backed, Explicit, Transparent, Workload
from osm.contracts.names import Identity, ObjectRef, ServiceName
from osm.contracts.telemetry import AccessLog
from services.xds.documents import Changes, Documents
from services.xds.made import Made
from services.xds.translate import AssignmentKey, Destination, View, destinations, translate


class ProxyClass(Struct, frozen=True, cache_hash=True, omit_defaults=True):
    """Proxies with equal values here get equal configuration. Every answer of a proxy is looked up by it."""

    identity: Identity
    backs: tuple[Backed, ...]
    interception: Explicit | Transparent
    telemetry: ObjectRef | None = None
    """By name: what it says may change, and is then tried on a few of the class first."""

    @classmethod
    def of(cls, workload: Workload) -> "ProxyClass":
        return cls(workload.identity, workload.backs, workload.interception, workload.telemetry)

    def member(self) -> Workload:
        """A workload of this class; its proxy id does not matter to translation."""
        return Workload(proxy_id="any", identity=self.identity, backs=self.backs, interception=self.interception)


class Configuration(Struct, frozen=True):
    """A class's resources by type and name; their secrets are its identity's leaf and the bundle.

    Load assignments are kept up to date in place: a copy of thousands for every endpoint that moves would cost more
    than all the rest, and whoever takes the configuration later (a proxy that joins the class) must find them fresh.
    """

    resources: Mapping[str, dict[str, Resource]]
    assignments: Mapping[ServiceName, tuple[AssignmentKey, ...]]


class Reach(Struct, frozen=True, kw_only=True):
    """What an identity may call, and the load assignments of that by service."""

    destinations: tuple[Destination, ...]
    assignments: Mapping[ServiceName, tuple[AssignmentKey, ...]]


class Classes:
    """The classes in use, their configuration, and what to rebuild after a change."""

    def __init__(self, trust_domain: str, documents: Documents) -> None:
        self._trust_domain = trust_domain
        self._documents = documents
        self._built: dict[ProxyClass, Configuration] = {}
        self._ones: dict[ProxyClass, ProxyClass] = {}
        self._made = Made(documents)
        self._reached: tuple[tuple[Upstream, ...] | None, Reach] | None = None

    def __iter__(self) -> Iterator[ProxyClass]:
        return iter(self._built)

    def of(self, workload: Workload) -> ProxyClass:
        """The one object of a workload's class: to compare those of thousands of proxies field by field is dear."""
        proxy_class = ProxyClass.of(workload)
        return self._ones.setdefault(proxy_class, proxy_class)

    def configuration(self, proxy_class: ProxyClass) -> Configuration:
        """Built on first use."""
        if proxy_class not in self._built:
            self._built[proxy_class] = self._build(proxy_class)
        return self._built[proxy_class]

    def forget(self, proxy_class: ProxyClass) -> None:
        """The last proxy of the class has left."""
        self._built.pop(proxy_class, None)
        self._ones.pop(proxy_class, None)

    def rebuild(self, changes: Changes) -> dict[ProxyClass, Configuration]:
        """Every class whose clusters, listeners or routes may have changed, built anew.

        Nothing that stays as it was is made anew.
        """
        self._made.forget_endpoints(changes.shapes | changes.endpoints)
        if changes.mesh or changes.shapes:
            self._reached = None
        touched = [proxy_class for proxy_class in self._built if self._touches(changes, proxy_class)]
        for proxy_class in touched:
            self._built[proxy_class] = self._build(proxy_class)
        return {proxy_class: self._built[proxy_class] for proxy_class in touched}

    def moved(self, changes: Changes) -> dict[ProxyClass, tuple[Resource, ...]]:
        """Load assignments of services of which nothing but endpoints changed, for each class that has them."""
        if not changes.endpoints:
            return {}
        self._made.forget_endpoints(changes.endpoints)
        moved = sorted(changes.endpoints)
        out: dict[ProxyClass, tuple[Resource, ...]] = {}
        for proxy_class, configuration in self._built.items():
            keys = [key for service in moved for key in configuration.assignments.get(service, ())]
            if keys:
                fresh = out[proxy_class] = tuple(map(self._made.assignment, keys))
                configuration.resources[ENDPOINT].update((each.name, each) for each in fresh)
        return out

    def assignment(self, name: str) -> Resource:
        """A load assignment by its name, for a cluster that is served though the newest has it no more."""
        return self._made.assignment(AssignmentKey.parse(name))

    def _touches(self, changes: Changes, proxy_class: ProxyClass) -> bool:
        if (
            changes.mesh
            or proxy_class.identity in changes.policies
            or self._telemetry(proxy_class) in changes.access_logs
        ):
            return True
        if self._documents.mesh.permissive or not changes.shapes:
            return bool(changes.shapes)
        if any(backed.service in changes.shapes for backed in proxy_class.backs):
            return True  # it may be opened to callers from outside
        policy = self._documents.policies.get(proxy_class.identity)
        return policy is not None and any(upstream.service in changes.shapes for upstream in policy.upstreams)

    def _telemetry(self, proxy_class: ProxyClass) -> ObjectRef | None:
        return proxy_class.telemetry or self._documents.mesh.telemetry

    def _access_log(self, proxy_class: ProxyClass) -> AccessLog | None:
        telemetry = self._telemetry(proxy_class)
        return self._documents.access_logs.get(telemetry) if telemetry else None

    def _build(self, proxy_class: ProxyClass) -> Configuration:
        view = View(
            trust_domain=self._trust_domain,
            mesh=self._documents.mesh,
            policy=self._documents.policies.get(proxy_class.identity),
            services=self._documents.services,
            access_log=self._access_log(proxy_class),
        )
        reach = self._reach(view)
        translation = translate(proxy_class.member(), view, reach.destinations)
        parts = {CLUSTER: translation.clusters, LISTENER: translation.listeners, ROUTE: translation.routes}
        return Configuration(
            resources={
                **{type_url: {one.name: self._made.of(one) for one in some} for type_url, some in parts.items()},
                ENDPOINT: {key.name: self._made.assignment(key) for key in translation.assignments},
            },
            assignments=reach.assignments,
        )

    def _reach(self, view: View) -> Reach:
        """In a permissive mesh it is everybody's."""
        upstreams = None if view.mesh.permissive else view.policy.upstreams if view.policy else ()
        if self._reached is None or self._reached[0] != upstreams:
            found = destinations(view)
            by_service = _by_service(to.assignment for to in found if to.accounts)
            self._reached = upstreams, Reach(destinations=found, assignments=by_service)
        return self._reached[1]


def _by_service(keys: Iterable[AssignmentKey]) -> Mapping[ServiceName, tuple[AssignmentKey, ...]]:
    """An endpoint that moves is looked up in every class: to go through all of each class's would cost most of it."""
    found: dict[ServiceName, list[AssignmentKey]] = {}
    for key in keys:
        found.setdefault(key.service, []).append(key)
    return {service: tuple(of_service) for service, of_service in found.items()}
