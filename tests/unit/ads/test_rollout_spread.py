"""However changes, answers, silence, arrivals and departures fall: what a rollout promises holds at every push.

A resource here is its grants, whether Envoy takes it, and which cluster it needs; proxies take what their lane offers
and answer in their own time.
"""

from typing import NamedTuple

from envoy.config.cluster.v3.cluster_pb2 import Cluster
from envoy.config.route.v3.route_components_pb2 import Route, RouteAction, RouteMatch, VirtualHost
from envoy.config.route.v3.route_pb2 import RouteConfiguration
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from osm.ads.canaries import MOST_SILENT, Terms
from osm.ads.last_good import flat, nested
from osm.ads.references import message_of, needs
from osm.ads.resource import Resource
from osm.ads.rollout import Rollout
from osm.ads.types import CLUSTER, ROUTE

CLUSTERS = ("c1", "c2")
ROUTES = ("r1", "r2")
EVERYONE = frozenset("abc")


class Facts(NamedTuple):
    grants: frozenset[str]
    is_bad: bool
    cut: bool = False
    """Whether it was made by `older`."""


FACTS: dict[str, Facts] = {}


def made(type_url, name, number, facts, cluster=""):
    version = f"{name}-{number}-{''.join(sorted(facts.grants))}-{'bad' if facts.is_bad else 'fine'}-{cluster}"
    FACTS.setdefault(version, facts)
    if type_url == CLUSTER:
        return Resource.of(name, Cluster(name=name), version=version)
    routes = [Route(match=RouteMatch(prefix="/"), route=RouteAction(cluster=cluster))] if cluster else []
    host = VirtualHost(name="all", domains=["*"], routes=routes)
    return Resource.of(name, RouteConfiguration(name=name, virtual_hosts=[host]), version=version)


def cut(good, grants):
    """The same with fewer grants: Envoy takes it, since it took the original."""
    version = f"{good.version}/{''.join(sorted(grants))}"
    FACTS.setdefault(version, Facts(grants, is_bad=False, cut=True))
    return Resource.of(good.name, message_of(good), version=version)


class Court:
    """The verdicts: what was rejected, and forms with fewer grants."""

    def __init__(self):
        self.rejected = set()

    def is_rejected(self, resource):
        return resource.version in self.rejected

    def older(self, good, newest):
        allowed = FACTS[newest.version].grants if newest else frozenset()
        had = FACTS[good.version].grants
        return good if had <= allowed else cut(good, had & allowed)


class Proxy:
    def __init__(self):
        self.held = {}
        self.received = set()
        self.unanswered = {}
        self.is_silent = False


class Spread(RuleBasedStateMachine):
    @initialize(count=st.integers(1, 2), share=st.sampled_from([0.0, 0.4]))
    def begin(self, count, share):
        self.terms = Terms(count=count, share=share)
        self.court = Court()
        self.rollout = Rollout(self.terms, self.court)
        self.proxies = {}
        self.next_id = 0
        self.now = 0.0
        self.changes = 0
        self.newest = {}
        self.since = {}
        self.made_at = {}
        self.accepted = set()
        self.seen_by = {}
        self.had_a_proof = False
        self.replaced = 0
        self.change({(ROUTE, "r1"): (EVERYONE, False, "")})

    # What happens

    @rule(
        edits=st.dictionaries(
            st.one_of(
                st.tuples(st.just(CLUSTER), st.sampled_from(CLUSTERS)),
                st.tuples(st.just(ROUTE), st.sampled_from(ROUTES)),
            ),
            st.one_of(
                st.none(),
                st.tuples(st.frozensets(st.sampled_from("abc")), st.booleans(), st.sampled_from(["", *CLUSTERS])),
            ),
            min_size=1,
            max_size=3,
        )
    )
    def change(self, edits):
        self.changes += 1
        for (type_url, name), edit in edits.items():
            if edit is None:
                self.newest.pop((type_url, name), None)
                self.since.pop((type_url, name), None)
            else:
                grants, is_bad, cluster = edit
                grants = frozenset() if type_url == CLUSTER else grants
                resource = made(type_url, name, self.changes, Facts(grants, is_bad), cluster)
                self.newest[type_url, name] = resource
                self.since.setdefault((type_url, name), self.changes)
                self.made_at[resource.version] = self.changes
        self.replaced = 0
        self.rollout.offer(nested(dict(self.newest)), revision=self.changes, now=self.now)
        self.settle()

    @rule()
    def back_to_the_same(self):
        self.replaced = 0
        self.rollout.offer(nested(dict(self.newest)), revision=self.changes, now=self.now)

    @precondition(lambda self: len(self.proxies) < 8)
    @rule()
    def join(self):
        self.next_id += 1
        self.proxies[self.next_id] = Proxy()
        self.rollout.group.join(self.next_id, self.now)

    @precondition(lambda self: self.proxies)
    @rule(data=st.data())
    def leave(self, data):
        gone = data.draw(st.sampled_from(sorted(self.proxies)))
        del self.proxies[gone]
        self.rollout.group.leave(gone, self.now)
        self.settle()

    @precondition(lambda self: self.proxies)
    @rule(data=st.data())
    def push(self, data):
        self.push_to(data.draw(st.sampled_from(sorted(self.proxies))))

    @precondition(lambda self: self.proxies)
    @rule(data=st.data())
    def answer(self, data):
        self.answer_of(data.draw(st.sampled_from(sorted(self.proxies))))

    @precondition(lambda self: self.proxies)
    @rule(data=st.data(), is_silent=st.booleans())
    def fall_silent_or_wake(self, data, is_silent):
        self.proxies[data.draw(st.sampled_from(sorted(self.proxies)))].is_silent = is_silent

    @rule(seconds=st.sampled_from([1.0, 5.0]))
    def time_passes(self, seconds):
        self.now += seconds
        before = set(self.rollout.group.canaries)
        self.rollout.tick(self.held_of, self.now)
        self.replaced += len(before - set(self.rollout.group.canaries))
        self.settle()

    # How

    def settle(self):
        self.rollout.settle(self.held_of)
        self.had_a_proof = self.had_a_proof or not self.rollout.pending

    def held_of(self, member, type_url):
        return {name: version for (url, name), version in self.proxies[member].held.items() if url == type_url}

    def lane(self, number):
        if number in self.rollout.group.canaries:
            return flat(self.rollout.canary)
        return None if self.rollout.is_held else flat(self.rollout.rest)

    def push_to(self, number):
        """Whatever the proxy does not hold, and has not refused."""
        proxy, offered = self.proxies[number], self.lane(number)
        if offered is None:
            return False
        for key in proxy.held.keys() - offered.keys():
            del proxy.held[key]
        fresh = {
            key: resource
            for key, resource in offered.items()
            if proxy.held.get(key) != resource.version
            and key not in proxy.unanswered
            and not (resource.version in proxy.received and FACTS[resource.version].is_bad)
        }
        for key, resource in fresh.items():
            self.check_push(number, key, resource)
            proxy.received.add(resource.version)
            self.seen_by.setdefault(resource.version, set()).add(number)
            proxy.unanswered[key] = resource
        return bool(fresh)

    def answer_of(self, number):
        proxy = self.proxies[number]
        if proxy.is_silent or not proxy.unanswered:
            return False
        answered, proxy.unanswered = proxy.unanswered, {}
        self.rollout.group.answered(number, self.now)
        for key, resource in answered.items():
            if not FACTS[resource.version].is_bad:
                proxy.held[key] = resource.version
                self.accepted.add(resource.version)
            elif not self.rollout.is_proven(resource):
                self.court.rejected.add(resource.version)
        self.rollout.reconsider(revision=self.changes)
        self.settle()
        return True

    # What is promised

    def check_push(self, number, key, resource):
        if resource.version in self.court.rejected:
            assert resource.version in self.proxies[number].received, "a rejected version to one who never had it"
        newest = self.newest.get(key)
        allowed = FACTS[newest.version].grants if newest else frozenset()
        assert FACTS[resource.version].grants <= allowed, "what was revoked is granted"
        if number not in self.rollout.group.canaries and self.had_a_proof and not FACTS[resource.version].cut:
            assert resource.version in self.accepted, "an unproven version to one who is no canary"

    @invariant()
    def canaries_are_few(self):
        if hasattr(self, "rollout") and self.proxies:
            assert len(self.rollout.group.canaries) <= max(self.terms.canaries(8), 1)
            assert len(self.rollout.group.canaries) >= self.terms.canaries(len(self.proxies)) or self.replaced

    @invariant()
    def few_are_lost_to_one_change(self):
        if hasattr(self, "rollout"):
            assert self.replaced <= MOST_SILENT

    @invariant()
    def nothing_is_offered_that_was_revoked(self):
        """At once, in both lanes: not only when a proxy happens to be pushed to."""
        if not hasattr(self, "rollout"):
            return
        lanes = [self.rollout.canary] if self.rollout.is_held else [self.rollout.canary, self.rollout.rest]
        for offered in map(flat, lanes):
            for key, resource in offered.items():
                newest = self.newest.get(key)
                assert FACTS[resource.version].grants <= (FACTS[newest.version].grants if newest else frozenset())

    @invariant()
    def what_a_lane_offers_is_whole(self):
        """Whoever refers to a cluster of the mesh has it, unless it was there before the cluster was."""
        if not hasattr(self, "rollout") or self.rollout.is_held:
            return
        for offered in map(flat, (self.rollout.canary, self.rollout.rest)):
            for resource in offered.values():
                for key in needs(resource):
                    made_at = self.made_at[resource.version.partition("/")[0]]
                    assert key in offered or self.since.get(key, made_at + 1) > made_at

    def teardown(self):
        if not hasattr(self, "rollout"):
            return
        for proxy in self.proxies.values():
            proxy.is_silent = False
        for _ in range(200):
            moved = [self.push_to(number) for number in sorted(self.proxies)]
            moved += [self.answer_of(number) for number in sorted(self.proxies)]
            if not any(moved):
                if not self.rollout.pending or self.rollout.tick(self.held_of, self.now + 1000):
                    break
                self.now += 6.0
                self.rollout.tick(self.held_of, self.now)
        if not self.proxies:
            return
        assert not self.rollout.pending
        offered = flat(self.rollout.canary)
        assert offered == flat(self.rollout.rest)
        for proxy in self.proxies.values():
            assert proxy.held == {key: resource.version for key, resource in offered.items()}
        for key, resource in self.newest.items():
            in_the_way = [each for each in (resource, *self.needed(resource)) if FACTS[each.version].is_bad]
            if not in_the_way:
                assert offered[key].version == resource.version

    def needed(self, resource):
        return [self.newest[key] for key in needs(resource) if key in self.newest]


TestSpread = Spread.TestCase
TestSpread.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
