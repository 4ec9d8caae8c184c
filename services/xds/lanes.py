"""Between the classes of proxies and the engine: each class has two groups there, its canaries and its rest.

A `Rollout` decides which proxy is in which, and what of clusters, listeners and routes each is offered; this puts the
engine into that state. Where traffic is watched, what speaks against a change is a rejection like Envoy's.
Endpoints and secrets are offered to both at once: Envoy finds nothing to refuse in them, and a dying endpoint does not
wait. A cluster that is served in an older form keeps its load assignment up to date.
"""

from collections.abc import Callable, Collection, Mapping

from msgspec import Struct

from osm.ads.canaries import Terms
from osm.ads.engine import Engine
from osm.ads.last_good import Table
from osm.ads.references import Key
from osm.ads.resource import Resource
from osm.ads.rollout import Rollout
from osm.ads.types import CLUSTER, ENDPOINT, LISTENER, ROUTE, SECRET
from osm.contracts.names import ServiceName
from osm.contracts.quarantine import BY_TRAFFIC
from services.xds.classes import Classes, Configuration, ProxyClass
from services.xds.probation import Probation
from services.xds.quarantine import Quarantine
from services.xds.timeline import Timeline
from services.xds.translate import AssignmentKey

TRIED_FIRST = (CLUSTER, LISTENER, ROUTE)
"""What goes to canaries first."""


class Lane(Struct, frozen=True, cache_hash=True):
    """A group of the engine."""

    proxy_class: ProxyClass
    is_canary: bool


class _Served:
    """One class: its rollout, and what the engine has been told of it."""

    def __init__(self, rollout: Rollout) -> None:
        self.rollout = rollout
        self.assignments: Mapping[str, Resource] = {}  # the class's own, which keeps them up to date in place
        self.secrets: dict[str, Resource] = {}
        self.canaries: frozenset[int] = frozenset()
        self.offered: dict[bool, Table] = {}
        self.extras: dict[bool, frozenset[str]] = {}  # by lane: assignments that only older clusters need
        self.since: int | None = None


class Lanes:
    """The classes that are served. `clock`: seconds of a monotonic clock; `wall`: seconds since the epoch."""

    def __init__(
        self,
        *,
        engine: Engine,
        classes: Classes,
        quarantine: Quarantine,
        timeline: Timeline,
        terms: Terms,
        clock: Callable[[], float],
        wall: Callable[[], float],
        probation: Probation | None = None,
    ) -> None:
        self._engine = engine
        self._classes = classes
        self._quarantine = quarantine
        self._timeline = timeline
        self._terms = terms
        self._clock = clock
        self._wall = wall
        self._probation = probation
        self._served: dict[ProxyClass, _Served] = {}

    def __contains__(self, proxy_class: ProxyClass) -> bool:
        return proxy_class in self._served

    def rollouts(self) -> Mapping[ProxyClass, Rollout]:
        return {proxy_class: served.rollout for proxy_class, served in self._served.items()}

    # Proxies

    def next_lane(self, proxy_class: ProxyClass) -> Lane:
        """Where the next who joins a served class will be."""
        return Lane(proxy_class, self._served[proxy_class].rollout.group.is_next_canary())

    def join(self, proxy_class: ProxyClass, stream_id: int) -> Lane:
        served = self._served[proxy_class]
        lane = self.next_lane(proxy_class)
        served.rollout.group.join(stream_id, self._clock())
        served.canaries = frozenset(served.rollout.group.canaries)
        self._put_in_force(proxy_class)
        return lane

    def leave(self, proxy_class: ProxyClass, stream_id: int) -> None:
        """The last to leave takes the class along: it is built anew for the next."""
        served = self._served.get(proxy_class)
        if served is None:
            return
        served.rollout.group.leave(stream_id, self._clock())
        if served.rollout.group.size:
            self._settle(proxy_class)
            self._put_in_force(proxy_class)

    def forget(self, proxy_class: ProxyClass) -> None:
        if self._served.pop(proxy_class, None) is not None:
            self._quarantine.forget(proxy_class)
            self._engine.hold_back(proxy_class, None)
            for is_canary in (True, False):
                self._engine.drop(Lane(proxy_class, is_canary))

    def has_members(self, proxy_class: ProxyClass) -> bool:
        served = self._served.get(proxy_class)
        return served is not None and served.rollout.group.size > 0

    # Resources

    def offer(self, proxy_class: ProxyClass, configuration: Configuration, secrets: Mapping[str, Resource]) -> None:
        """Make this the newest of a class, which is served from now on if it was not."""
        served = self._served.get(proxy_class)
        if served is None:
            trial = None if self._probation is None else self._probation.trial()
            rollout = Rollout(self._terms, self._quarantine, self._quarantine.good_of(proxy_class), trial)
            served = self._served[proxy_class] = _Served(rollout)
        served.assignments = configuration.resources[ENDPOINT]
        served.secrets = dict(secrets)
        served.offered.clear()
        newest = {type_url: configuration.resources[type_url] for type_url in TRIED_FIRST}
        served.rollout.offer(newest, revision=self._timeline.batch, now=self._clock())
        self._settle(proxy_class)
        self._put_in_force(proxy_class)

    def put(self, proxy_class: ProxyClass, resource: Resource) -> None:
        """An endpoint or secret, to all at once."""
        served = self._served.get(proxy_class)
        if served is None:
            return
        if resource.type_url == SECRET:
            served.secrets[resource.name] = resource
        for is_canary in served.offered:
            self._engine.put(Lane(proxy_class, is_canary), resource, revision=self._timeline.batch)

    def endpoints_moved(self, services: set[ServiceName]) -> None:
        """Load assignments that the newest has no more, for clusters that are still served."""
        for proxy_class, served in self._served.items():
            for name in sorted({name for extras in served.extras.values() for name in extras}):
                if AssignmentKey.parse(name).service in services:
                    self.put(proxy_class, self._classes.assignment(name))

    # Answers

    def answered(self, proxy_class: ProxyClass, stream_id: int, type_url: str) -> None:
        """A proxy has accepted something."""
        served = self._served.get(proxy_class)
        if served is None or type_url not in TRIED_FIRST or not served.rollout.pending:
            return
        served.rollout.group.answered(stream_id, self._clock())
        if self._settle(proxy_class):
            self._put_in_force(proxy_class)

    def rejected(
        self, proxy_class: ProxyClass, stream_id: int, resource: Resource, *, proxy_id: str, reason: str
    ) -> None:
        """A proxy has rejected a resource. What others of its class have accepted is its own trouble."""
        served = self._served.get(proxy_class)
        if served is None or resource.type_url not in TRIED_FIRST:
            return
        served.rollout.group.answered(stream_id, self._clock())
        if served.rollout.is_proven(resource):
            return
        self._reject(served, resource, proxy_id=proxy_id, reason=reason)
        self.reconsider({(resource.type_url, resource.name)})

    def reconsider(self, names: Collection[Key]) -> None:
        """The quarantine of resources with these names has changed."""
        for proxy_class, served in self._served.items():
            if any(served.rollout.knows(key) for key in names):
                served.rollout.reconsider(revision=self._timeline.batch)
                self._settle(proxy_class)
                self._put_in_force(proxy_class)

    def look(self) -> bool:
        """See what proxies said they had when they came, and which canaries have been silent for too long.

        True if anything came of it.
        """
        changed = False
        for proxy_class, served in self._served.items():
            if served.rollout.pending:
                changed |= self._object(served)
                news = self._settle(proxy_class)
                if served.rollout.tick(self._engine.held, self._clock()) or news:
                    self._settle(proxy_class)
                    self._put_in_force(proxy_class)
                    changed = True
        return changed

    # Inside

    def _object(self, served: _Served) -> bool:
        """Whether the traffic of a class's canaries speaks against what they have accepted, which is rejected then."""
        if self._probation is None or (why := self._probation.objection(served.rollout)) is None:
            return False
        suspects = served.rollout.suspects()
        for resource in suspects:
            self._reject(served, resource, proxy_id=BY_TRAFFIC, reason=why)
        self._probation.objected(suspects, why)
        self.reconsider({(resource.type_url, resource.name) for resource in suspects})
        return True

    def _reject(self, served: _Served, resource: Resource, *, proxy_id: str, reason: str) -> None:
        good = served.rollout.good(resource.type_url, resource.name)
        self._quarantine.reject(resource, good, reason=reason, proxy_id=proxy_id, now_s=self._wall())

    def _settle(self, proxy_class: ProxyClass) -> bool:
        return self._served[proxy_class].rollout.settle(self._engine.held, self._clock())

    def _put_in_force(self, proxy_class: ProxyClass) -> None:
        """Give the engine what the rollout says now. What has not changed costs nothing."""
        served = self._served[proxy_class]
        rollout = served.rollout
        oldest = min(rollout.pending.values(), default=None) if rollout.group.others else None
        since, served.since = served.since, oldest
        self._offer_lane(proxy_class, served, is_canary=True, since=None)
        if not rollout.group.others:
            self._drop_rest(proxy_class, served)
        elif not rollout.is_held:
            self._offer_lane(proxy_class, served, is_canary=False, since=since)
        self._move(proxy_class, served)
        self._engine.hold_back(proxy_class, served.since)
        self._quarantine.stand(proxy_class, rollout.wants, rollout.fallbacks, now_s=self._wall())

    def _offer_lane(self, proxy_class: ProxyClass, served: _Served, *, is_canary: bool, since: int | None) -> None:
        table = served.rollout.canary if is_canary else served.rollout.rest
        if served.offered.get(is_canary) is table:
            return
        served.offered[is_canary] = table
        served.extras[is_canary] = extras = _needed(table) - served.assignments.keys()
        assignments = {**served.assignments, **{name: self._classes.assignment(name) for name in extras}}
        resources = {**table, ENDPOINT: assignments, SECRET: served.secrets}
        self._engine.replace(Lane(proxy_class, is_canary), resources, revision=self._timeline.batch, since=since)

    def _drop_rest(self, proxy_class: ProxyClass, served: _Served) -> None:
        served.extras.pop(False, None)
        if served.offered.pop(False, None) is not None:
            self._engine.drop(Lane(proxy_class, is_canary=False))

    def _move(self, proxy_class: ProxyClass, served: _Served) -> None:
        before, served.canaries = served.canaries, frozenset(served.rollout.group.canaries)
        for stream_id in sorted(before ^ served.canaries):
            if stream_id in served.rollout.group.members:
                self._engine.move(stream_id, Lane(proxy_class, stream_id in served.canaries))


def _needed(table: Table) -> frozenset[str]:
    """The load assignments of these clusters."""
    return frozenset(name for cluster in table.get(CLUSTER, {}).values() for _, name in cluster.companions)
