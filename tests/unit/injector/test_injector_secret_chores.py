"""What is to be done about Secrets: tables of pods and Secrets."""

from typing import Any

from services.injector.proxies import Proxy
from services.injector.secret import Kept
from services.injector.secret_chores import GRACE_S, OTHERS_FIRST_S, chores, spread

NOW_S = 1_000_000.0
ROOTS = "roots"


def proxy(uuid: str = "u", uid: str = "pod-1", **more: Any) -> Proxy:
    fields = {"namespace": "shop", "pod": f"web-{uid}", "account": "store", "seen_s": NOW_S - 10} | more
    return Proxy(uuid=uuid, pod_uid=uid, **fields)


def kept(uuid: str = "u", owner: str = "pod-1", **more: Any) -> Kept:
    fields = {
        "created_s": NOW_S - 10,
        "not_before_s": int(NOW_S) - 10,
        "not_after_s": int(NOW_S) + 3590,
        "roots": ROOTS,
    }
    return Kept(namespace="shop", uuid=uuid, owner_uid=owner, **(fields | more))


def todo(
    proxies: list[Proxy], secrets: list[Kept] | None, admitted: tuple[str, ...] = (), now_s: float = NOW_S
) -> list[tuple[str, str, float]]:
    known = {each.key: each for each in secrets} if secrets is not None else None
    found = chores(proxies, known, admitted=admitted, roots=ROOTS, now_s=now_s)
    return [(chore.verb, chore.key[1], chore.due_s) for chore in found]


def test_who_admitted_a_pod_makes_its_secret_at_once() -> None:
    assert todo([proxy(seen_s=NOW_S)], None, admitted=("u",)) == [("make", "u", NOW_S)]


def test_who_neither_admitted_it_nor_holds_the_lease_does_nothing() -> None:
    assert todo([proxy()], None) == []


def test_the_holder_of_the_lease_makes_what_is_missing_after_a_moment() -> None:
    assert todo([proxy(seen_s=NOW_S)], []) == [("make", "u", NOW_S + OTHERS_FIRST_S)]


def test_a_pod_with_its_secret_is_only_renewed_and_each_at_a_time_of_its_own() -> None:
    found = [todo([proxy(uuid)], [kept(uuid)])[0] for uuid in ("a", "b", "c")]
    assert {verb for verb, _, _ in found} == {"renew"}
    dues = [due_s for _, _, due_s in found]
    assert len(set(dues)) == 3
    assert all(0.6 * 3600 < due_s - NOW_S + 10 < 0.73 * 3600 for due_s in dues)


def test_the_moment_of_renewal_does_not_move_when_it_is_asked_for_again() -> None:
    assert todo([proxy()], [kept()]) == todo([proxy()], [kept()], now_s=NOW_S + 100)
    assert 0 <= spread("u") < 1


def test_other_roots_are_written_at_once_and_before_anything_else_can_wait() -> None:
    assert todo([proxy()], [kept(roots="old")]) == [("trust", "u", NOW_S)]


def test_a_secret_whose_times_cannot_be_read_is_renewed_now() -> None:
    ((verb, _, due_s),) = todo([proxy()], [kept(not_before_s=0, not_after_s=0)])
    assert (verb, due_s < NOW_S) == ("renew", True)


def test_a_secret_that_nobody_owns_is_given_to_its_pod() -> None:
    assert todo([proxy()], [kept(owner="")]) == [("own", "u", NOW_S)]


def test_a_secret_without_a_pod_is_collected_when_its_pod_cannot_be_on_its_way_any_more() -> None:
    assert todo([], [kept(created_s=NOW_S)]) == [("collect", "u", NOW_S + GRACE_S)]


def test_a_secret_of_a_pod_that_was_replaced_under_its_id_is_not_handed_on() -> None:
    """Its certificate may name another account."""
    assert todo([proxy(uid="pod-2")], [kept(owner="pod-1")]) == [("collect", "u", NOW_S)]


def test_a_pod_that_claims_anothers_id_gets_nothing() -> None:
    thief = proxy(uid="pod-2", account="thief")
    ((verb, _, _),) = todo([thief, proxy()], [kept()])
    assert verb == "renew"
    (chore,) = chores([thief, proxy()], {kept().key: kept()}, admitted=(), roots=ROOTS, now_s=NOW_S)
    assert chore.proxy == proxy()


def test_of_two_that_claim_an_id_without_a_secret_the_first_has_it() -> None:
    first, second = proxy(seen_s=1.0), proxy(uid="pod-2", seen_s=2.0)
    (chore,) = chores([second, first], {}, admitted=(), roots=ROOTS, now_s=NOW_S)
    assert chore.proxy == first


def test_a_finished_pod_keeps_its_secret_and_is_given_no_new_one() -> None:
    done = proxy(finished=True)
    assert todo([done], [kept(not_after_s=0)]) == []
    assert todo([done], [], admitted=("u",)) == []


def test_the_same_uuid_in_two_namespaces_is_two_proxies() -> None:
    found = todo([proxy(), proxy(namespace="other")], [])
    assert len(found) == 2
