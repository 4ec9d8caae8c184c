"""How long what canaries have accepted is watched before it goes to all."""

from collections.abc import Iterable

from osm.ads.resource import Resource
from osm.ads.trial import LONGEST, Trial
from osm.ads.types import CLUSTER

WATCH_S = 10.0


class Counted(set[int]):
    """Members whose traffic is known, and how often counting began."""

    def __init__(self, *members: int) -> None:
        super().__init__(members)
        self.begun: list[bool] = []

    def begin(self, members: Iterable[int], *, keeps_reference: bool) -> None:
        assert set(members) == {1, 2}
        self.begun.append(keeps_reference)


def resource(name: str, version: str = "1") -> Resource:
    return Resource(type_url=CLUSTER, name=name, version=version, delta_head=b"", sotw_head=b"", body=b"")


A, B = resource("a"), resource("b")


def passed(trial: Trial, now: float, *accepted: Resource) -> list[str]:
    return [each.name for each in trial.passed(accepted, [1], [1, 2], now)]


def test_a_resource_passes_after_its_time() -> None:
    counted = Counted(1, 2)
    trial = Trial(WATCH_S, counted)
    assert passed(trial, 0.0, A) == []
    assert trial.keys == {(CLUSTER, "a")}
    assert passed(trial, WATCH_S - 0.1, A) == []
    assert passed(trial, WATCH_S, A) == ["a"]
    assert counted.begun == [False]


def test_nothing_waits_if_no_canary_reports() -> None:
    trial = Trial(WATCH_S, Counted(2))
    assert passed(trial, 0.0, A) == ["a"]
    assert trial.keys == set()


def test_it_begins_anew_when_something_joins_it() -> None:
    counted = Counted(1)
    trial = Trial(WATCH_S, counted)
    passed(trial, 0.0, A)
    assert passed(trial, 6.0, A, B) == []
    assert passed(trial, WATCH_S, A, B) == []
    assert passed(trial, 6.0 + WATCH_S, A, B) == ["a", "b"]
    assert counted.begun == [False, True]


def test_a_mesh_that_always_changes_does_not_hold_a_resource_for_ever() -> None:
    trial = Trial(WATCH_S, Counted(1))
    for second in range(int(LONGEST * WATCH_S)):
        assert passed(trial, float(second), A, resource("b", str(second))) == []
    assert passed(trial, LONGEST * WATCH_S, A, resource("b", "newest")) == ["a"]


def test_another_version_waits_for_its_own_time() -> None:
    counted = Counted(1)
    trial = Trial(WATCH_S, counted)
    passed(trial, 0.0, A)
    assert passed(trial, WATCH_S, resource("a", "2")) == []
    assert passed(trial, 2 * WATCH_S, resource("a", "2")) == ["a"]
    assert counted.begun == [False, False]


def test_it_waits_if_any_of_the_canaries_reports() -> None:
    trial = Trial(WATCH_S, Counted(2))
    assert trial.passed((A,), [1, 2], [1, 2], 0.0) == []


def test_what_has_passed_and_goes_leaves_the_time_of_the_others_as_it_was() -> None:
    trial, c = Trial(WATCH_S, Counted(1)), resource("c")
    passed(trial, 0.0, A)
    passed(trial, 20.0, A, B)
    passed(trial, 25.0, A, B, c)
    assert passed(trial, LONGEST * WATCH_S, A, B, c) == ["a"]
    assert passed(trial, 31.0, B, c) == []
    assert passed(trial, 25.0 + WATCH_S, B, c) == ["b", "c"]


def test_it_begins_anew_when_something_is_taken_from_it_before_its_time() -> None:
    counted = Counted(1)
    trial = Trial(WATCH_S, counted)
    passed(trial, 0.0, A, B)
    assert passed(trial, 6.0, B) == []
    assert passed(trial, WATCH_S, B) == []
    assert passed(trial, 6.0 + WATCH_S, B) == ["b"]
    assert counted.begun == [False, True]


def test_what_is_accepted_no_longer_is_not_on_trial() -> None:
    trial = Trial(WATCH_S, Counted(1))
    passed(trial, 0.0, A, B)
    passed(trial, 1.0, B)
    assert trial.keys == {(CLUSTER, "b")}
