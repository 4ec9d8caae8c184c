"""A rollout whose canaries are watched: what waits for its trial and what does not."""

from collections.abc import Mapping

from osm.ads.canaries import Terms
from osm.ads.resource import Resource
from osm.ads.rollout import Rollout
from osm.ads.trial import Trial
from osm.ads.types import CLUSTER, ROUTE
from tests.unit.ads.test_trial import WATCH_S, Counted


def resource(type_url: str, name: str, version: str) -> Resource:
    return Resource(type_url=type_url, name=name, version=version, delta_head=b"", sotw_head=b"", body=b"")


class Verdicts:
    """Versions that begin with `less` only take back: they stand in for themselves."""

    def is_rejected(self, resource: Resource) -> bool:
        del resource
        return False

    def older(self, good: Resource, newest: Resource | None) -> Resource | None:
        return newest if newest is not None and newest.version.startswith("less") else good


class Group:
    """Two members, the first the canary, which accepts what it is offered at once."""

    def __init__(self) -> None:
        self.rollout = Rollout(Terms(), Verdicts(), (), Trial(WATCH_S, Counted(1, 2)))
        self.revision = 0
        for member in (1, 2):
            self.rollout.group.join(member, 0.0)

    def offer(self, now: float, **versions: str) -> None:
        self.revision += 1
        newest = {ROUTE: {name: resource(ROUTE, name, version) for name, version in versions.items()}}
        self.rollout.offer(newest, revision=self.revision, now=now)
        self.settle(now)

    def settle(self, now: float) -> bool:
        return self.rollout.settle(self._held, now)

    def rest(self) -> dict[str, str]:
        return {name: each.version for name, each in self.rollout.rest.get(ROUTE, {}).items()}

    def _held(self, member: int, type_url: str) -> Mapping[str, str]:
        del member
        return {name: each.version for name, each in self.rollout.canary.get(type_url, {}).items()}


def test_a_first_configuration_needs_no_trial() -> None:
    group = Group()
    group.offer(0.0, a="1")
    assert group.rest() == {"a": "1"}


def test_a_change_waits_for_its_trial() -> None:
    group = Group()
    group.offer(0.0, a="1")
    group.offer(1.0, a="2")
    assert group.rest() == {"a": "1"}
    assert [each.version for each in group.rollout.on_trial()] == ["2"]
    assert not group.settle(WATCH_S)
    assert group.settle(1.0 + WATCH_S)
    assert group.rest() == {"a": "2"}
    assert group.rollout.on_trial() == ()


def test_what_only_takes_back_is_neither_tried_nor_suspected() -> None:
    group = Group()
    group.offer(0.0, a="1", b="1")
    group.offer(1.0, a="less than 1", b="2")
    assert group.rest() == {"a": "less than 1", "b": "1"}
    assert [each.name for each in group.rollout.suspects()] == ["b"]


def test_what_had_no_form_before_is_suspected_only_if_nothing_else_is() -> None:
    group = Group()
    group.offer(0.0, a="1")
    group.offer(1.0, a="2", b="1")
    assert [each.name for each in group.rollout.suspects()] == ["a"]
    group.offer(2.0, a="1", b="1")
    assert [each.name for each in group.rollout.suspects()] == ["b"]


def test_without_a_trial_nothing_waits() -> None:
    rollout = Rollout(Terms(), Verdicts())
    rollout.group.join(1, 0.0)
    rollout.group.join(2, 0.0)
    for version in ("1", "2"):
        rollout.offer({CLUSTER: {"a": resource(CLUSTER, "a", version)}}, revision=int(version), now=0.0)
        assert rollout.settle(lambda _member, _type, held=version: {"a": held})
        assert rollout.rest[CLUSTER]["a"].version == version
    assert rollout.on_trial() == rollout.suspects() == ()
