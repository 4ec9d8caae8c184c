"""How a change spreads, step by step: what each lane is offered, and what is waited for."""

from collections.abc import Mapping

from osm.ads.canaries import Terms
from osm.ads.last_good import Table, flat, nested
from osm.ads.resource import Resource
from osm.ads.rollout import Rollout
from osm.ads.types import CLUSTER, ROUTE
from tests.unit.ads.test_last_good import cluster, routes

SILENCE_S = Terms().silence_s


class Court:
    """Rejects what it is told to; the last good form always stands in."""

    def __init__(self) -> None:
        self.rejected: set[tuple[str, str]] = set()

    def is_rejected(self, resource: Resource) -> bool:
        return (resource.name, resource.version) in self.rejected

    def older(self, good: Resource, newest: Resource | None) -> Resource | None:
        del newest
        return good


class Spread:
    """Three members, the first the canary. What the canaries hold is set by the test."""

    def __init__(self, *, count: int = 1) -> None:
        self.court = Court()
        self.rollout = Rollout(Terms(count=count), self.court)
        self.held: dict[int, dict[str, str]] = {1: {}, 2: {}, 3: {}}
        self.revision = 0
        for member in self.held:
            self.rollout.group.join(member, 0.0)

    def offer(self, *resources: Resource, now: float = 0.0) -> None:
        self.revision += 10
        newest = nested({(each.type_url, each.name): each for each in resources})
        self.rollout.offer(newest, revision=self.revision, now=now)

    def hold(self, member: int, **versions: str) -> bool:
        """A member has accepted these; whether that proved anything."""
        self.held[member].update(versions)
        return self.rollout.settle(self.held_of)

    def held_of(self, member: int, type_url: str) -> Mapping[str, str]:
        del type_url  # names differ in these tests
        return self.held[member]

    def reject(self, name: str, version: str) -> None:
        self.court.rejected.add((name, version))
        self.rollout.reconsider(revision=self.revision)

    @property
    def canary(self) -> dict[str, str]:
        return told(self.rollout.canary)

    @property
    def rest(self) -> dict[str, str]:
        return told(self.rollout.rest)


def told(table: Table) -> dict[str, str]:
    return {name: each.version for (_, name), each in flat(table).items()}


def proven(*, count: int = 1) -> Spread:
    """Clusters `a` and `b` in version 1 are everywhere."""
    made = Spread(count=count)
    made.offer(cluster("a"), cluster("b"))
    for member in made.held:
        made.hold(member, a="1", b="1")
    assert not made.rollout.pending
    return made


def test_each_resource_goes_on_as_soon_as_the_canary_has_it() -> None:
    spread = proven()
    spread.offer(cluster("a", "2"), cluster("b", "2"))
    assert spread.rest == {"a": "1", "b": "1"}
    spread.hold(1, a="2")
    assert spread.rest == {"a": "2", "b": "1"}
    spread.hold(1, b="2")
    assert spread.rest == {"a": "2", "b": "2"}


def test_all_canaries_must_have_it() -> None:
    spread = proven(count=2)
    spread.offer(cluster("a", "2"), cluster("b"))
    assert not spread.hold(1, a="2")
    assert spread.rest == {"a": "1", "b": "1"}
    assert spread.hold(2, a="2")
    assert spread.rest == {"a": "2", "b": "1"}


def test_another_version_that_a_canary_holds_proves_nothing() -> None:
    spread = proven()
    spread.offer(cluster("a", "2"), cluster("b"))
    assert not spread.hold(1, a="0")
    assert spread.rest == {"a": "1", "b": "1"}


def test_what_needs_something_new_that_is_not_proven_yet_goes_on_with_it() -> None:
    spread = Spread()
    spread.offer(cluster("old"), routes("r", "1", "old"))
    spread.hold(1, old="1", r="1")
    spread.offer(cluster("old"), cluster("new"), routes("r", "2", "new"))
    spread.hold(1, r="2")
    assert spread.rest == {"old": "1", "r": "1"}
    spread.reject("new", "1")
    assert spread.canary == {"old": "1", "r": "1"}, "the routes that need it have not become the last good ones"
    spread.court.rejected.clear()
    spread.rollout.reconsider(revision=spread.revision)
    spread.hold(1, new="1")
    assert spread.rest == {"old": "1", "new": "1", "r": "2"}


def test_the_rest_of_a_group_without_any_proof_is_held_but_not_past_the_next_change() -> None:
    """The next change may take something back, which a held proxy would keep."""
    spread = Spread()
    spread.offer(cluster("a"))
    held_before = spread.rollout.is_held
    spread.offer(cluster("a", "2"))
    assert (held_before, spread.rollout.is_held) == (True, False)
    assert spread.rest == {"a": "2"}


def test_the_rest_is_held_no_longer_than_a_silent_canary_is_waited_for() -> None:
    spread = Spread()
    spread.offer(cluster("a"), now=100.0)
    looks = [100.0 + SILENCE_S - 0.1, 100.0 + SILENCE_S]
    assert [(spread.rollout.tick(spread.held_of, now), spread.rollout.is_held) for now in looks] == [
        (False, True),
        (True, False),
    ]


def test_what_is_still_pending_is_owed_since_it_was_first_offered() -> None:
    spread = proven()
    spread.offer(cluster("a", "2"), cluster("b"))
    since = spread.revision
    spread.offer(cluster("a", "2"), cluster("b", "2"))
    assert spread.rollout.pending == {(CLUSTER, "a"): since, (CLUSTER, "b"): spread.revision}


def test_a_rejection_elsewhere_does_not_take_away_what_has_been_proven_here() -> None:
    spread = proven()
    spread.reject("a", "1")
    assert spread.canary == spread.rest == {"a": "1", "b": "1"}
    assert spread.rollout.fallbacks() == ()


def test_only_what_stands_in_for_something_is_told_as_a_fallback() -> None:
    spread = proven()
    spread.offer(cluster("a", "2"), cluster("b"))
    spread.reject("a", "2")
    assert [(each.name, each.version) for each in spread.rollout.fallbacks()] == [("a", "1")]


def test_what_an_older_form_needs_is_kept_for_as_long_as_it_stands_in() -> None:
    spread = Spread()
    spread.offer(cluster("old"), routes("r", "1", "old"))
    spread.hold(1, old="1", r="1")
    spread.offer(cluster("new"), routes("r", "2", "new"))
    spread.hold(1, new="1")
    spread.reject("r", "2")
    assert spread.canary == spread.rest == {"new": "1", "r": "1", "old": "1"}
    spread.offer(cluster("new"), routes("r", "2", "new"), cluster("more"))
    assert spread.canary == {"new": "1", "r": "1", "old": "1", "more": "1"}
    spread.hold(1, more="1")
    assert spread.rest == spread.canary


def test_a_canary_that_has_taken_a_part_only_is_silent_about_the_rest() -> None:
    spread = proven(count=2)
    spread.offer(cluster("a", "2"), cluster("b", "2"))
    spread.hold(1, a="2")
    assert spread.rollout.tick(spread.held_of, SILENCE_S)
    assert 1 not in spread.rollout.group.canaries


def test_a_canary_that_has_taken_everything_is_not_silent_though_it_says_no_more() -> None:
    spread = proven(count=2)
    spread.offer(cluster("a", "2"), cluster("b"))
    spread.hold(1, a="2")
    assert spread.rollout.tick(spread.held_of, SILENCE_S)
    assert spread.rollout.group.canaries == (1, 3)


def test_routes_are_offered_in_the_form_before_while_a_cluster_they_need_is_rejected() -> None:
    spread = Spread()
    spread.offer(routes("r", "1"))
    spread.hold(1, r="1")
    spread.offer(cluster("new"), routes("r", "2", "new"))
    spread.reject("new", "1")
    assert spread.canary == {"r": "1"}
    assert (ROUTE, "r") not in spread.rollout.pending
