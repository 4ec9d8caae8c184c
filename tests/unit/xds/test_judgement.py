"""What the traffic of canaries says of a change, as a table."""

import pytest

from services.xds.judgement import Allowed, Heard, Load, objection

NONE = Load()
ALLOWED = Allowed(margin=0.1, requests=20)


def heard(canaries: Load, others: Load = NONE, before: Load = NONE, count: int = 3, rest: int = 97) -> Heard:
    return Heard(canaries=count, others=rest, of_canaries=canaries, of_others=others, before=before)


@pytest.mark.parametrize(
    ("what", "says"),
    [
        (
            heard(Load(220, 90), Load(2000, 10)),
            "3 canaries answered 5xx to 40.9 % of 220 requests, the other 97 proxies of the class to 0.5 % of 2000",
        ),
        (
            heard(Load(20, 20), before=Load(100, 1), count=1, rest=0),
            "1 canary answered 5xx to 100 % of 20 requests, before the change to 1 % of 100",
        ),
    ],
    ids=["worse than the others", "worse than before"],
)
def test_a_share_above_the_margin_is_an_objection(what: Heard, says: str) -> None:
    assert objection(what, ALLOWED) == says


@pytest.mark.parametrize(
    "what",
    [
        heard(Load(), Load(100, 0)),
        heard(Load(19, 19), Load(100, 0)),
        heard(Load(100, 10), Load(100, 0)),
        heard(Load(100, 55), Load(100, 50)),
        heard(Load(100, 0), Load(100, 50)),
        heard(Load(100, 100), rest=0),
        heard(Load(100, 100), before=Load(19, 0), rest=0),
        heard(Load(100, 100), Load(19, 0), Load(100, 0)),
    ],
    ids=[
        "no traffic",
        "too little traffic",
        "no more than the margin",
        "as bad as the others",
        "better than the others",
        "nothing to compare with",
        "too little to compare with",
        "too little of the others, though enough before",
    ],
)
def test_all_else_is_none(what: Heard) -> None:
    assert objection(what, ALLOWED) is None
