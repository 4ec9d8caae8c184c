from osm.contracts.names import ObjectRef
from services.local.rollout import Runs, Steps, Wanted, steps

SHOP = ObjectRef("Deployment", "town", "shop")


def wanted(*ids, fingerprint="new"):
    return {id_: Wanted(owner=SHOP, fingerprint=fingerprint) for id_ in ids}


def runs(fingerprint="new", *, ready=True, stopping=False):
    return Runs(owner=SHOP, fingerprint=fingerprint, ready=ready, stopping=stopping)


def test_what_is_missing_starts_at_once():
    assert steps(wanted("a", "b"), {}) == Steps(start=("a", "b"))


def test_what_is_not_wanted_stops_once():
    assert steps({}, {"a": runs(), "b": runs(stopping=True)}) == Steps(stop=("a",))


def test_nothing_is_done_when_all_is_as_it_should_be():
    assert steps(wanted("a"), {"a": runs()}) == Steps()


def test_a_changed_template_replaces_one_at_a_time():
    old = {"a": runs("old"), "b": runs("old")}
    assert steps(wanted("a", "b"), old) == Steps(stop=("a",))
    assert steps(wanted("a", "b"), {**old, "a": runs("old", stopping=True)}) == Steps()
    assert steps(wanted("a", "b"), {"b": runs("old")}) == Steps(start=("a",))
    assert steps(wanted("a", "b"), {"a": runs(ready=False), "b": runs("old")}) == Steps()
    assert steps(wanted("a", "b"), {"a": runs(), "b": runs("old")}) == Steps(stop=("b",))


def test_a_replica_that_is_not_ready_is_replaced_first():
    assert steps(wanted("a", "b"), {"a": runs("old"), "b": runs("old", ready=False)}) == Steps(stop=("b",))


def test_a_new_version_that_never_gets_ready_stops_the_rollout():
    assert steps(wanted("a", "b", "c"), {"a": runs(ready=False), "b": runs("old"), "c": runs("old")}) == Steps()


def test_two_workloads_are_replaced_side_by_side():
    other = ObjectRef("Deployment", "town", "other")
    want = {**wanted("a"), "x": Wanted(owner=other, fingerprint="new")}
    have = {"a": runs("old"), "x": Runs(owner=other, fingerprint="old", ready=True)}
    assert steps(want, have) == Steps(stop=("a", "x"))
