"""What is said of a change that is not everywhere, and of the objects that were rejected."""

import pytest

from osm.ads.canaries import Terms
from osm.ads.resource import Resource
from osm.ads.rollout import Rollout
from osm.ads.types import CLUSTER, LISTENER
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.quarantine import BY_TRAFFIC, RejectedResource
from osm.contracts.status import RolloutStatus
from services.xds.spread import rollout_status, words_on_objects

WEB = Identity("shop", "web")
SPLIT, TARGET = ObjectRef("TrafficSplit", "shop", "split"), ObjectRef("TrafficTarget", "shop", "target")


class NothingRejected:
    def is_rejected(self, resource: Resource) -> bool:
        del resource
        return False

    def older(self, good: Resource, newest: Resource | None) -> Resource | None:
        del newest
        return good


class Class:
    """Four members that hold version 1 of a cluster, the first the canary; what they owe is set by the test."""

    def __init__(self, members: int = 4) -> None:
        self.rollout = Rollout(Terms(), NothingRejected())
        self.behind: set[int] = set()
        self.rejected: tuple[RejectedResource, ...] = ()
        for member in range(1, members + 1):
            self.rollout.group.join(member, 0.0)
        self.offer("1")
        self.hold("1")

    def offer(self, version: str) -> None:
        made = Resource(type_url=CLUSTER, name="a", version=version, delta_head=b"", sotw_head=b"", body=b"")
        self.rollout.offer({CLUSTER: {"a": made}}, revision=int(version), now=0.0)

    def hold(self, version: str) -> None:
        self.rollout.settle(lambda _member, _type: {"a": version})

    def fall_silent(self) -> None:
        for times in range(1, 5):
            self.rollout.tick(lambda _member, _type: {}, 5.0 * times)

    def status(self) -> RolloutStatus | None:
        return rollout_status(
            WEB,
            self.rollout,
            self.rejected,
            is_behind=self.behind.__contains__,
            proxy_of=lambda member: f"p-{member}",
        )

    def told(self) -> tuple[str, int, int, tuple[str, ...]] | None:
        """State, on how many of how many it is live, and the canaries."""
        line = self.status()
        return None if line is None else (line.state, line.live, line.proxies, line.canaries)


def rejection(name: str, *origins: ObjectRef, by: str = "p-1", reason: str = "no") -> RejectedResource:
    return RejectedResource(
        type_url=LISTENER, name=name, version="1", reason=reason, origins=origins, proxy_id=by, at_s=1.0
    )


def test_a_class_in_which_everything_is_everywhere_has_nothing_to_say() -> None:
    assert Class().told() is None


def test_a_change_is_live_nowhere_until_the_canary_has_it_and_then_on_the_canary() -> None:
    it = Class()
    it.offer("2")
    it.behind = {1}
    assert it.told() == ("canary", 0, 4, ("p-1",))
    it.behind = set()
    assert it.told() == ("canary", 1, 4, ("p-1",))


def test_others_that_are_behind_with_something_else_make_a_change_no_less_live_on_the_canary() -> None:
    it = Class()
    it.offer("2")
    it.behind = {2, 3}
    assert it.told() == ("canary", 1, 4, ("p-1",))


def test_a_proven_change_spreads_until_the_last_has_it() -> None:
    it = Class()
    it.offer("2")
    it.hold("2")
    it.behind = {2, 3, 4}
    assert it.told() == ("spreading", 1, 4, ())
    it.behind = {4}
    assert it.told() == ("spreading", 3, 4, ())
    it.behind = set()
    assert it.told() is None


def test_a_change_about_which_all_canaries_say_nothing_is_stalled() -> None:
    it = Class(members=8)
    it.offer("2")
    it.fall_silent()
    it.behind = {1, 2, 3, 4}
    assert it.told() == ("stalled", 0, 8, ("p-4",))


def test_what_was_rejected_is_told_with_any_state() -> None:
    it = Class()
    it.rejected = (rejection("l", SPLIT),)
    line = it.status()
    assert line is not None
    assert (line.state, line.live) == ("quarantined", 4)
    assert [(each.resources, each.reason, each.origins) for each in line.rejections] == [(("l",), "no", (SPLIT,))]
    it.offer("2")
    line = it.status()
    assert line is not None
    assert (line.state, len(line.rejections)) == ("canary", 1)


def test_a_small_class_is_all_canaries_and_says_itself_how_it_is() -> None:
    it = Class(members=1)
    it.offer("2")
    it.behind = {1}
    assert it.told() is None


@pytest.mark.parametrize(
    ("by", "said"),
    [
        ("p-1", "Envoy rejects what this makes of LDS l, first on proxy p-1: no;"),
        (BY_TRAFFIC, "traffic speaks against what this makes of LDS l: no;"),
    ],
)
def test_an_object_is_told_who_speaks_against_it_and_about_what(by: str, said: str) -> None:
    [word] = words_on_objects([rejection("l", SPLIT, by=by)]).values()
    [problem] = word.problems
    assert (problem.subject, problem.field) == (SPLIT, "spec.backends")
    assert problem.what.startswith(said)


def test_every_object_is_told_all_that_is_rejected_of_it() -> None:
    words = words_on_objects([rejection("l", SPLIT, TARGET), rejection("m", TARGET)])
    assert {origin: len(word.problems) for origin, word in words.items()} == {SPLIT: 1, TARGET: 2}
    assert {problem.field for problem in words[TARGET].problems} == {"spec.rules"}
