"""`osm wait` as a table: what the status bucket says, and the verdict."""

import pytest
from msgspec import Struct, structs

from osm.cli.in_force import InForce, NotYet, Refused, sentence, verdict
from osm.contracts.channels import OBJECT_STATUS, PROGRESS, PROXY_STATUS
from osm.contracts.names import Identity, ObjectRef
from osm.contracts.problem import Problem
from osm.contracts.status import ObjectStatus, Progress, ProxyStatus, Rejection

TARGET = ObjectRef("TrafficTarget", "shop", "buyers")
WRONG = Problem(subject=TARGET, field="spec.rules", what="found nothing, expected a rule")


def word(service: str, *problems: Problem, generation: str = "g1", revision: int = 7) -> dict[str, Struct]:
    line = ObjectStatus(subject=TARGET, generation=generation, revision=revision, problems=problems)
    return {OBJECT_STATUS.key(service, TARGET.kind, TARGET.namespace, TARGET.name): line}


def progress(service: str, output: int, **inputs: int) -> dict[str, Struct]:
    line = Progress(
        service=service, replica="a", inputs=tuple(inputs.items()), output=output, at_s=5.0, proxies=3, behind=("late",)
    )
    return {PROGRESS.key(service, "a"): line}


def proxy(*rejections: Rejection) -> dict[str, Struct]:
    line = ProxyStatus(
        proxy_id="buyer-0", identity=Identity("shop", "buyer"), replica="a", connected_at_s=1.0, rejections=rejections
    )
    return {PROXY_STATUS.key("buyer-0"): line}


LIVE = {**word("meshspec"), **progress("catalog", 20, meshspec=7), **progress("xds", 20), **proxy()}


def ask(lines: dict[str, Struct], kind: str = "traffictarget") -> InForce | Refused | NotYet:
    return verdict(kind, "shop", "buyers", lines)


def test_what_every_proxy_has_acknowledged_is_in_force() -> None:
    assert ask(LIVE) == InForce(subject=TARGET, generation="g1", proxies=3, at_s=5.0)


def test_a_kind_may_be_written_in_any_case_and_in_the_plural() -> None:
    assert all(isinstance(ask(LIVE, kind), InForce) for kind in ("TrafficTarget", "traffictargets", "TRAFFICTARGET"))


def test_what_nobody_knows_may_still_come() -> None:
    assert ask({}) == NotYet(why="no service knows a traffictarget shop/buyers yet")


def test_an_invalid_object_is_refused_at_once_with_its_problem() -> None:
    lines = {**LIVE, **word("meshspec", WRONG)}
    assert ask(lines) == Refused(subject=TARGET, reasons=(str(WRONG),))


def test_a_warning_keeps_nothing_out_of_force() -> None:
    assert isinstance(ask({**LIVE, **word("meshspec", structs.replace(WRONG, severity="warning"))}), InForce)


def test_an_object_that_was_never_valid_is_refused_though_it_has_no_generation() -> None:
    assert isinstance(ask(word("meshspec", WRONG, generation="")), Refused)


def test_a_word_of_the_catalog_counts_once_it_has_worked_the_object_in() -> None:
    about = word("catalog", WRONG, generation="")
    assert isinstance(ask({**LIVE, **about, **progress("catalog", 20, meshspec=6)}), NotYet)
    assert ask({**LIVE, **about}) == Refused(subject=TARGET, reasons=(str(WRONG),))


def test_who_is_behind_is_named() -> None:
    found = ask({**LIVE, **progress("xds", 19)})
    assert isinstance(found, NotYet)
    assert found.behind == ("late",)


def test_a_proxy_that_rejected_what_came_of_it_says_why() -> None:
    no = Rejection(type_url="t", resources=("inbound",), reason="bad regex", origins=(TARGET,))
    found = ask({**LIVE, **proxy(no)})
    assert found == Refused(subject=TARGET, reasons=("proxy buyer-0 rejected inbound: bad regex",))


def test_a_rejection_of_something_else_is_no_matter_of_this_object() -> None:
    other = Rejection(type_url="t", resources=("inbound",), reason="bad", origins=(ObjectRef("Other", "shop", "x"),))
    assert isinstance(ask({**LIVE, **proxy(other)}), InForce)


def test_fewer_proxies_than_asked_for_are_waited_for_though_each_has_it() -> None:
    found = verdict("traffictarget", "shop", "buyers", LIVE, proxies=4)
    assert found == NotYet(why="at least 4 proxies should have it, connected are 3")
    assert isinstance(verdict("traffictarget", "shop", "buyers", LIVE, proxies=3), InForce)


def test_a_refusal_does_not_wait_for_more_proxies() -> None:
    no = Rejection(type_url="t", resources=("inbound",), reason="bad regex", origins=(TARGET,))
    found = verdict("traffictarget", "shop", "buyers", {**LIVE, **proxy(no)}, proxies=4)
    assert isinstance(found, Refused)


@pytest.mark.parametrize(
    ("proxies", "words"),
    [
        (0, "is in force, but no proxy is connected that could have it (generation g1)"),
        (1, "is in force at 1 proxy (generation g1)"),
        (5, "is in force at 5 proxies (generation g1)"),
    ],
)
def test_nowhere_yet_is_not_told_as_everywhere(proxies: int, words: str) -> None:
    found = InForce(subject=TARGET, generation="g1", proxies=proxies, at_s=5.0)
    assert sentence(found) == f"TrafficTarget shop/buyers {words}"
