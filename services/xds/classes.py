"""Classes of proxies: what a proxy's configuration depends on, and which change touches which class.

Pure. Configuration is built per class, never per proxy; a class is built when its first proxy connects
and forgotten with its last. Resources with equal content and of the same objects of users are one object, whichever
class they are in.
"""

from collections.abc import Collection, Hashable, Iterable, Iterator, Mapping
from weakref import WeakValueDictionary

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.endpoint.v3.endpoint_pb2 import ClusterLoadAssignment
from google.protobuf.message import Message
from msgspec import Struct

from osm.ads.resource import Resource
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE
from osm.contracts.endpoints import Backed, Explicit, Transparent, Workload
from osm.contracts.names import Identity, ServiceName
from services.xds.documents import Changes, Documents
from services.xds.translate import AssignmentKey, Part, Planned, View, load_assignment, translate


class ProxyClass(Struct, frozen=True, cache_hash=True):
    """Proxies with equal values here get equal configuration. Every answer of a proxy is looked up by it."""

    identity: Identity
    backs: tuple[Backed, ...]
    interception: Explicit | Transparent

    @classmethod
    def of(cls, workload: Workload) -> "ProxyClass":
        return cls(workload.identity, workload.backs, workload.interception)

    def member(self) -> Workload:
        """A workload of this class; its proxy id does not matter to translation."""
        return Workload(proxy_id="any", identity=self.identity, backs=self.backs, interception=self.interception)


class Configuration(Struct, frozen=True):
    """A class's resources by type and name, the plans they came of, and the names of the secrets they refer to.

    Load assignments are kept up to date in place: a copy of thousands for every endpoint that moves would cost more
    than all the rest, and whoever takes the configuration later (a proxy that joins the class) must find them fresh.
    """

    resources: Mapping[str, dict[str, Resource]]
    assignments: Mapping[ServiceName, tuple[AssignmentKey, ...]]
    secrets: tuple[str, ...]
    plans: Mapping[str, Mapping[str, Planned]] = {}


NOTHING = Configuration(resources={}, assignments={}, secrets=())


class Classes:
    """The classes in use, their configuration, and what to rebuild after a change."""

    def __init__(self, trust_domain: str, documents: Documents) -> None:
        self._trust_domain = trust_domain
        self._documents = documents
        self._built: dict[ProxyClass, Configuration] = {}
        self._ones: dict[ProxyClass, ProxyClass] = {}
        self._interned: WeakValueDictionary[tuple[Hashable, ...], Resource] = WeakValueDictionary()

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

        What comes of a plan that stays as it was is taken over, and so are assignments of untouched services.
        """
        touched = [proxy_class for proxy_class in self._built if self._touches(changes, proxy_class)]
        moved = changes.shapes | changes.endpoints
        for proxy_class in touched:
            self._built[proxy_class] = self._build(proxy_class, self._built[proxy_class], moved)
        return {proxy_class: self._built[proxy_class] for proxy_class in touched}

    def moved(self, changes: Changes) -> dict[ProxyClass, tuple[Resource, ...]]:
        """Load assignments of services of which nothing but endpoints changed, for each class that has them."""
        if not changes.endpoints:
            return {}
        moved = sorted(changes.endpoints)
        fresh: dict[AssignmentKey, Resource] = {}
        out: dict[ProxyClass, tuple[Resource, ...]] = {}
        for proxy_class, configuration in self._built.items():
            keys = [key for service in moved for key in configuration.assignments.get(service, ())]
            for key in keys:
                if key not in fresh:
                    fresh[key] = self._assignment(key)
            if keys:
                out[proxy_class] = tuple(fresh[key] for key in keys)
                configuration.resources[ENDPOINT].update({key.name: fresh[key] for key in keys})
        return out

    def assignment(self, name: str) -> Resource:
        """A load assignment by its name, for a cluster that is served though the newest has it no more."""
        key = AssignmentKey.parse(name)
        service = self._documents.services.get(key.service)
        if service is None:
            return self._intern(Resource.of(name, ClusterLoadAssignment(cluster_name=name)))
        return self._intern(Resource.of(name, load_assignment(key, service)))

    def _touches(self, changes: Changes, proxy_class: ProxyClass) -> bool:
        if changes.mesh or proxy_class.identity in changes.policies:
            return True
        if self._documents.mesh.permissive or not changes.shapes:
            return bool(changes.shapes)
        if any(backed.service in changes.shapes for backed in proxy_class.backs):
            return True  # it may be opened to callers from outside
        policy = self._documents.policies.get(proxy_class.identity)
        return policy is not None and any(upstream.service in changes.shapes for upstream in policy.upstreams)

    def _build(
        self, proxy_class: ProxyClass, before: Configuration = NOTHING, moved: Collection[ServiceName] = ()
    ) -> Configuration:
        documents = self._documents
        translation = translate(
            proxy_class.member(),
            View(
                trust_domain=self._trust_domain,
                mesh=documents.mesh,
                policy=documents.policies.get(proxy_class.identity),
                services=documents.services,
            ),
        )
        parts = {CLUSTER: translation.clusters, LISTENER: translation.listeners, ROUTE: translation.routes}
        known = before.resources.get(ENDPOINT, {})
        assignments = {key.name: key for key in translation.assignments}
        return Configuration(
            resources={
                **{type_url: self._encode(type_url, some, before) for type_url, some in parts.items()},
                ENDPOINT: {
                    name: known[name] if name in known and key.service not in moved else self._assignment(key)
                    for name, key in assignments.items()
                },
            },
            plans={
                type_url: {one.name: one for one in some if isinstance(one, Planned)}
                for type_url, some in parts.items()
            },
            assignments=_by_service(translation.assignments),
            secrets=translation.secrets,
        )

    def _encode(self, type_url: str, parts: Iterable[Part], before: Configuration) -> dict[str, Resource]:
        plans, resources = before.plans.get(type_url, {}), before.resources.get(type_url, {})
        return {
            one.name: resources[one.name] if one == plans.get(one.name) else self._intern(_resource(one))
            for one in parts
        }

    def _assignment(self, key: AssignmentKey) -> Resource:
        return self._intern(Resource.of(key.name, load_assignment(key, self._documents.services[key.service])))

    def _intern(self, resource: Resource) -> Resource:
        """Origins count too: two users' objects may ask for the same, and a rejection must name the right one."""
        key = resource.type_url, resource.name, resource.version, resource.origins
        return self._interned.setdefault(key, resource)


def _by_service(keys: Iterable[AssignmentKey]) -> Mapping[ServiceName, tuple[AssignmentKey, ...]]:
    """An endpoint that moves is looked up in every class: to go through all of each class's would cost most of it."""
    found: dict[ServiceName, list[AssignmentKey]] = {}
    for key in keys:
        found.setdefault(key.service, []).append(key)
    return {service: tuple(of_service) for service, of_service in found.items()}


def _resource(part: Part) -> Resource:
    message = part.message
    return Resource.of(part.name, message, companions=_companions(message), origins=part.origins)


def _companions(message: Message) -> tuple[tuple[str, str], ...]:
    """An EDS cluster takes its load assignment along whenever it is sent: Envoy warms it only then."""
    match message:
        case Cluster(type=Cluster.EDS, eds_cluster_config=config):
            return ((ENDPOINT, config.service_name),)
    return ()
